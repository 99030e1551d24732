//! COPY's formats against what PostgreSQL 15 reads and writes.

use super::*;

fn columns(types: &[SqlType]) -> Vec<CopyColumn> {
    let names = ["a", "b", "c"];
    types.iter().zip(names).map(|(ty, name)| CopyColumn { name: name.into(), ty: *ty }).collect()
}

fn reader(options: &CopyOptions, types: &[SqlType]) -> Reader {
    Reader::new(options.clone(), "t", columns(types), FormatSettings::default(), 0)
}

/// Reads `data` in pieces of every size from one byte on; all must give the same rows.
fn read(options: &CopyOptions, types: &[SqlType], data: &[u8]) -> Result<String> {
    let mut seen: Option<String> = None;
    for piece in [1, 2, 3, 7, data.len().max(1)] {
        let mut reader = reader(options, types);
        let mut rows = Vec::new();
        for chunk in data.chunks(piece) {
            reader.feed(chunk)?;
            while let Some(row) = reader.next(false)? {
                rows.push(row.values);
            }
        }
        while let Some(row) = reader.next(true)? {
            rows.push(row.values);
        }
        let text = rows
            .iter()
            .map(|row| {
                let show = |(d, ty): (&Datum, &SqlType)| {
                    io::to_text(d, *ty, &FormatSettings::default()).unwrap_or("NULL".into())
                };
                row.iter().zip(types).map(show).collect::<Vec<_>>().join("|")
            })
            .collect::<Vec<_>>()
            .join("\n");
        if let Some(seen) = &seen {
            assert_eq!(seen, &text, "in pieces of {piece}");
        }
        seen = Some(text);
    }
    Ok(seen.unwrap_or_default())
}

const INT_TEXT: &[SqlType] = &[SqlType::INT4, SqlType::TEXT];

#[test]
fn text_is_read() {
    let options = CopyOptions::new(CopyFormat::Text);
    let data = b"1\tone\r\n2\t\\N\n3\ta\\tb\\nc\\\\\\x41\\102\n4\t\n";
    assert_eq!(read(&options, INT_TEXT, data).unwrap(), "1|one\n2|NULL\n3|a\tb\nc\\AB\n4|");
    assert_eq!(read(&options, INT_TEXT, b"1\tx\n\\.\n2\ty\n").unwrap(), "1|x");
    assert_eq!(
        read(&options, INT_TEXT, b"1\tlast line without end").unwrap(),
        "1|last line without end"
    );
    assert_eq!(read(&options, INT_TEXT, b"1\ta\\\nb\n").unwrap(), "1|a\nb");
}

#[test]
fn csv_is_read() {
    let mut options = CopyOptions::new(CopyFormat::Csv);
    options.header = true;
    let data = b"a,b\n1,\"x,\"\"y\"\"\nz\"\n2,\n3,\"\"\n4,a\"b\"c\r\n";
    assert_eq!(read(&options, INT_TEXT, data).unwrap(), "1|x,\"y\"\nz\n2|NULL\n3|\n4|abc");
    options.null = "NA".into();
    options.header = false;
    options.escape = b'\\';
    assert_eq!(
        read(&options, INT_TEXT, b"1,NA\n2,\"NA\"\n3,\"a\\\"b\"\n").unwrap(),
        "1|NULL\n2|NA\n3|a\"b"
    );
    options.force_null = Force::All;
    options.force_not_null = Force::Columns(vec![1]);
    assert_eq!(read(&options, INT_TEXT, b"1,NA\n2,\"NA\"\n").unwrap(), "1|NA\n2|NULL");
}

#[test]
fn binary_comes_back() {
    let options = CopyOptions::new(CopyFormat::Binary);
    let mut writer = Writer::new(options.clone(), columns(INT_TEXT), FormatSettings::default());
    let mut out = BytesMut::new();
    writer.header(&mut out);
    writer.row(&[Datum::Int4(7), Datum::text("seven")], &mut out);
    writer.row(&[Datum::Null, Datum::Null], &mut out);
    writer.finish(&mut out);
    assert_eq!(read(&options, INT_TEXT, &out).unwrap(), "7|seven\nNULL|NULL");
    // As in PostgreSQL, the trailer may be missing.
    let whole = &out[..out.len() - 2];
    assert_eq!(read(&options, INT_TEXT, whole).unwrap(), "7|seven\nNULL|NULL");
    for cut in [5, 12, 18, 22, out.len() - 3] {
        let e = read(&options, INT_TEXT, &out[..cut]).unwrap_err();
        assert_eq!(e.code(), SqlState::BAD_COPY_FILE_FORMAT);
    }
}

#[test]
fn rows_are_written() {
    let row = [Datum::Int4(1), Datum::text("a\t\"b\"\\,\n")];
    let print = |options: CopyOptions| {
        let mut writer = Writer::new(options, columns(INT_TEXT), FormatSettings::default());
        let mut out = BytesMut::new();
        writer.header(&mut out);
        writer.row(&row, &mut out);
        writer.row(&[Datum::Null, Datum::text("")], &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    };
    let text = CopyOptions::new(CopyFormat::Text);
    assert_eq!(print(text), "1\ta\\t\"b\"\\\\,\\n\n\\N\t\n");
    let mut csv = CopyOptions::new(CopyFormat::Csv);
    csv.header = true;
    assert_eq!(print(csv), "a,b\n1,\"a\t\"\"b\"\"\\,\n\"\n,\"\"\n");
}

#[test]
fn errors_name_the_place() {
    let options = CopyOptions::new(CopyFormat::Text);
    let check = |data: &[u8], code: &str, message: &str, context: &str| {
        let e = read(&options, INT_TEXT, data).unwrap_err();
        assert_eq!(e.code().as_str(), code);
        assert_eq!(e.message(), message);
        assert_eq!(e.fields().context.as_deref(), Some(context));
    };
    check(b"1\n", "22P04", "missing data for column \"b\"", "COPY t, line 1: \"1\"");
    check(
        b"1\tx\n1\tx\ty\n",
        "22P04",
        "extra data after last expected column",
        "COPY t, line 2: \"1\tx\ty\"",
    );
    check(
        b"one\tx\n",
        "22P02",
        "invalid input syntax for type integer: \"one\"",
        "COPY t, line 1, column a: \"one\"",
    );
    check(
        b"1\t\xff\n",
        "22021",
        "invalid byte sequence for encoding \"UTF8\": 0xff",
        "COPY t, line 1",
    );
}
