//! Rows as a client reads them: what is printed as a name of the catalog's (`regclass`, `regtype`,
//! …) becomes that name here, since the wire knows no catalog.

use super::client::{Field, ResultFormats};
use crate::functions::{self, EvalContext};
use crate::types::{Datum, Row, SqlType};

/// The columns of a result that go out as names.
pub struct Named(Vec<(usize, SqlType)>);

impl Named {
    /// Of a result with these columns, in these formats.
    pub fn of(fields: &[Field], formats: &ResultFormats) -> Named {
        Named::of_types(fields.iter().map(|f| f.ty), |i| formats.is_binary(i))
    }

    /// Of columns of these types, of which those that go out as they are, are `binary`.
    pub fn of_types(
        types: impl IntoIterator<Item = SqlType>,
        binary: impl Fn(usize) -> bool,
    ) -> Named {
        let columns = types.into_iter().enumerate();
        Named(columns.filter(|(i, ty)| functions::is_named(*ty) && !binary(*i)).collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes the names into rows.
    pub fn write(&self, rows: &mut [Row], context: &EvalContext) {
        if self.0.is_empty() {
            return;
        }
        for row in rows {
            for (column, ty) in &self.0 {
                let Some(datum) = row.get_mut(*column).filter(|d| !d.is_null()) else { continue };
                let mut text = String::new();
                functions::text_out(context, datum, *ty, &mut text);
                *datum = Datum::text(text);
            }
        }
    }
}
