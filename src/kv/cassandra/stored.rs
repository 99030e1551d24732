//! Rows of a space as they lie in Cassandra's files, for who reads those without asking a node.

use bytes::Bytes;

use super::cql::{REST, SPACE_COLUMNS, name};
use super::native::Natives;
use super::rows::kind_of;
use crate::error::{Error, Result};
use crate::kv::lwt::partitions::{Column, Row, RowKey};

/// Columns of a space's primary key: `pk`, `kind`, `ck`, `ver`.
const KEY_COLUMNS: usize = 4;

/// The columns of a space's table, as its files have them.
pub struct Stored {
    /// Where each column of the protocol is; those that no file has are not there.
    places: Vec<(Column, usize)>,
    /// Where `vr` is.
    rest: Option<usize>,
    natives: Natives,
    native_places: Vec<usize>,
}

impl Stored {
    /// A table by the names and CQL types of its columns, those of the primary key first.
    ///
    /// # Errors
    /// XX001 where they are not a space's.
    pub fn new(columns: &[(String, String)]) -> Result<Stored> {
        let key: Vec<&str> = columns.iter().take(KEY_COLUMNS).map(|c| c.1.as_str()).collect();
        if key != ["blob", "tinyint", "blob", "bigint"] {
            return Err(Error::corrupted("the files are not those of a table's rows"));
        }
        let find = |wanted: &str| columns.iter().position(|(found, _)| found == wanted);
        let bare = |column: Column| name(column).trim_matches('"');
        let places = SPACE_COLUMNS.iter().filter_map(|c| Some((*c, find(bare(*c))?))).collect();
        let natives = Natives::read(columns[KEY_COLUMNS..].iter().cloned());
        let place_of = |quoted: &String| {
            let name = quoted[1..quoted.len() - 1].replace("\"\"", "\"");
            find(&name).ok_or_else(|| Error::internal("a column is lost"))
        };
        let native_places =
            natives.columns.iter().map(|c| place_of(&c.name)).collect::<Result<_>>();
        Ok(Stored { places, rest: find(REST), native_places: native_places?, natives })
    }

    /// A row with its partition key, by its cells in the order of the columns.
    ///
    /// # Errors
    /// XX001 for cells that were not written so.
    pub fn row(&self, cells: &[Option<Bytes>]) -> Result<(Bytes, Row)> {
        let damaged = |what: &str| Error::corrupted(format!("a stored row is damaged: {what}"));
        let cell = |at: usize| cells.get(at).cloned().flatten();
        let partition = cell(0).ok_or_else(|| damaged("it has no partition key"))?;
        let kind = cell(1).filter(|kind| kind.len() == 1).and_then(|kind| kind_of(kind[0] as i8));
        let version = cell(3).and_then(|version| version.as_ref().try_into().ok());
        let key = RowKey {
            kind: kind.ok_or_else(|| damaged("its kind is unknown"))?,
            key: cell(2).unwrap_or_default(),
            version: version.map(u64::from_be_bytes).ok_or_else(|| damaged("it has no version"))?,
        };
        let mut found: Vec<(Column, Bytes)> = Vec::with_capacity(self.places.len());
        for (column, at) in &self.places {
            match (column, cell(*at)) {
                (_, None) => {}
                (Column::Dl, Some(live)) if live.as_ref() == [1] => {}
                (_, Some(value)) => found.push((*column, value)),
            }
        }
        let whole = found.iter().any(|(column, _)| *column == Column::Va);
        if let Some(rest) = self.rest.and_then(cell).filter(|_| !whole) {
            let native: Vec<_> = self.native_places.iter().map(|at| cell(*at)).collect();
            let value = self.natives.join(&rest, &native);
            let value = value.map_err(|trouble| trouble.into_error("read a stored row"))?;
            let at = found.partition_point(|(column, _)| *column < Column::Va);
            found.insert(at, (Column::Va, value));
        }
        Ok((partition, Row { key, cells: found }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::lwt::partitions::Kind;

    fn columns(more: &[(&str, &str)]) -> Vec<(String, String)> {
        let key = [("pk", "blob"), ("kind", "tinyint"), ("ck", "blob"), ("ver", "bigint")];
        let all = key.iter().chain(more);
        all.map(|(name, ty)| ((*name).to_owned(), (*ty).to_owned())).collect()
    }

    #[test]
    fn cells_become_rows_of_the_protocol() {
        let stored = Stored::new(&columns(&[
            ("in", "blob"),
            ("live", "boolean"),
            ("n_1", "int"),
            ("ts", "blob"),
            ("vr", "blob"),
        ]));
        let stored = stored.unwrap();
        let bytes = |b: &'static [u8]| Some(Bytes::from_static(b));
        let ts = bytes(&[0, 0, 0, 0, 0, 0, 0, 9]);
        let key = [bytes(b"\x01p"), bytes(&[1]), bytes(b"c"), bytes(&[0; 8])];
        // The field 1 is in a column; nothing else is left.
        let cells =
            [&key[..], &[None, bytes(&[1]), bytes(&[0, 0, 0, 5]), ts.clone(), bytes(&[1, 0])]];
        let (pk, row) = stored.row(&cells.concat()).unwrap();
        assert_eq!((pk.as_ref(), row.key.kind), (&b"\x01p"[..], Kind::Head));
        let columns_of = |row: &Row| row.cells.iter().map(|c| c.0).collect::<Vec<_>>();
        assert_eq!(columns_of(&row), [Column::Ts, Column::Va]);
        assert_eq!(row.get(Column::Va).unwrap().len(), 2, "an id and a number");
        let cells = [&key[..], &[bytes(b"i"), bytes(&[0]), None, ts, None]].concat();
        let (_, row) = stored.row(&cells).unwrap();
        assert_eq!(columns_of(&row), [Column::Ts, Column::Dl, Column::In]);
        let mut cells = cells;
        cells[1] = bytes(&[7]);
        assert!(stored.row(&cells).is_err());
        let other = columns(&[]).into_iter().rev().collect::<Vec<_>>();
        assert!(Stored::new(&other).is_err());
    }
}
