use bytes::Bytes;

use super::{read, write};
use crate::encoding::cql::write::Edge;
use crate::types::cql::CqlType;
use crate::types::io::{self, FormatSettings};
use crate::types::{Datum, SqlType};

fn cql(text: &str) -> CqlType {
    let field = |name: &str, ty: &str| (name.to_owned(), ty.to_owned());
    let fields = |name: &str| (name == "pair").then(|| vec![field("a", "int"), field("b", "text")]);
    CqlType::parse(text, &fields).expect("a type")
}

fn value(ty: SqlType, text: &str) -> Datum {
    io::parse_text(text, ty, &FormatSettings::default(), 0).expect("a value")
}

fn shown(ty: &CqlType, bytes: &Bytes) -> String {
    let datum = read::datum(ty, Some(bytes)).expect("a value");
    io::to_text(&datum, ty.sql_type(), &FormatSettings::default()).expect("not null")
}

#[test]
fn values_go_both_ways() {
    for (ty, texts) in [
        ("ascii", &["", "abc"][..]),
        ("text", &["", "žluť", "{}"]),
        ("tinyint", &["-128", "127"]),
        ("smallint", &["-32768"]),
        ("int", &["2147483647"]),
        ("bigint", &["-9223372036854775808"]),
        ("varint", &["0", "-170141183460469231731687303715884105729"]),
        ("decimal", &["0", "1.50", "-0.000000000000000000000000000001", "12300"]),
        ("float", &["1.5", "NaN", "-Infinity"]),
        ("double", &["0.1", "1e+300"]),
        ("boolean", &["t", "f"]),
        ("blob", &["\\x", "\\x00ff"]),
        ("uuid", &["6b3e2b3c-1b1a-4c1e-9d1e-0f1e2d3c4b5a"]),
        ("timestamp", &["2001-02-03 04:05:06.789+00", "1969-12-31 23:59:59.999+00"]),
        ("date", &["1970-01-01", "4713-01-01 BC", "5874897-12-31"]),
        ("time", &["00:00:00", "23:59:59.999999"]),
        ("inet", &["10.0.0.1", "2001:db8::1"]),
        ("duration", &["PT0S", "P1Y2M3DT4H5M6.000000007S", "P-1M-2DT-0.5S", "PT26H"]),
        ("list<int>", &["{}", "{3,1,2}"]),
        ("set<text>", &["{a,\"b c\"}"]),
        ("vector<float, 2>", &["{1.5,-2}"]),
        ("vector<text, 2>", &["{one,\"\"}"]),
        ("map<text, int>", &["{}", "{\"a\": 1, \"bb\": 2}"]),
        ("map<int, frozen<list<boolean>>>", &["{\"1\": [true, false]}"]),
        ("tuple<int, text, double>", &["[1, null, 2.5]"]),
        ("pair", &["{\"a\": null, \"b\": \"x\"}"]),
        ("list<frozen<pair>>", &["[{\"a\": 7, \"b\": null}]"]),
        ("map<frozen<tuple<int, int>>, timestamp>", &["{\"[1, 2]\": \"2001-02-03 04:05:06+00\"}"]),
    ] {
        let ty = cql(ty);
        for text in texts {
            let datum = value(ty.sql_type(), text);
            let bytes = write::cell(&ty, &datum).expect("bytes").expect("not null");
            assert_eq!(shown(&ty, &bytes), *text, "{ty}");
        }
    }
}

#[test]
fn nothing_is_null_and_so_are_empty_numbers() {
    let null = |ty: &str, bytes: Option<&Bytes>| read::datum(&cql(ty), bytes).unwrap().is_null();
    assert!(null("text", None) && !null("text", Some(&Bytes::new())));
    assert!(null("int", Some(&Bytes::new())));
    // A field that was added to a user's type later.
    assert_eq!(
        shown(&cql("pair"), &Bytes::from_static(&[0, 0, 0, 4, 0, 0, 0, 9])),
        "{\"a\": 9, \"b\": null}"
    );
}

#[test]
fn what_a_type_has_not_is_refused() {
    let refused = |ty: &str, text: &str| {
        let ty = cql(ty);
        write::cell(&ty, &value(ty.sql_type(), text)).expect_err("refused").code().to_string()
    };
    assert_eq!(refused("ascii", "ž"), "22023");
    assert_eq!(refused("tinyint", "128"), "22003");
    assert_eq!(refused("varint", "1.5"), "22003");
    assert_eq!(refused("decimal", "NaN"), "22003");
    assert_eq!(refused("timestamp", "infinity"), "22008");
    assert_eq!(refused("timestamp", "2001-01-01 00:00:00.0001+00"), "22008");
    assert_eq!(refused("timeuuid", "6b3e2b3c-1b1a-4c1e-9d1e-0f1e2d3c4b5a"), "22023");
    assert_eq!(refused("inet", "10.0.0"), "22023");
    assert_eq!(refused("vector<int, 2>", "{1}"), "22023");
    assert_eq!(refused("list<int>", "{1,NULL}"), "22023");
    assert_eq!(refused("pair", "{\"c\": 1}"), "22023");
    assert_eq!(refused("duration", "1 month -1 day"), "22023");
}

#[test]
fn bytes_that_are_no_value_are_refused_and_never_read_past() {
    for ty in ["int", "list<int>", "map<text, int>", "vector<text, 3>", "duration", "decimal"] {
        for bytes in [&[0xff][..], &[0, 0, 0, 5, 0, 0], &[0x7f, 0xff, 0xff, 0xff, 1]] {
            let _ = read::datum(&cql(ty), Some(&Bytes::from_static(bytes)));
        }
        assert!(read::datum(&cql(ty), Some(&Bytes::from_static(&[0xff]))).is_err(), "{ty}");
    }
}

#[test]
fn keys_that_no_row_has_are_known() {
    let found = |ty: &str, datum: Datum| write::key(&cql(ty), &datum, true).is_some();
    assert!(found("int", Datum::Int8(5)) && !found("int", Datum::Int8(1 << 40)));
    assert!(found("text", Datum::text("x")) && !found("text", Datum::text("")));
    assert!(!found("ascii", Datum::text("ž")));
    assert!(found("inet", Datum::text("::1")) && !found("inet", Datum::text("0::1")));
    assert!(!found("timestamp", Datum::Timestamptz(1)));
    assert!(!found("int", Datum::Null));
}

#[test]
fn bounds_between_values_and_beyond_them() {
    let millis = |n: i64| Bytes::copy_from_slice(&n.to_be_bytes());
    let at = |low, inclusive| {
        write::edge(
            &cql("timestamp"),
            &Datum::Timestamptz(-946_684_800_000_000 + 1500),
            low,
            inclusive,
        )
    };
    assert_eq!(at(true, true), Edge::At(millis(1), false));
    assert_eq!(at(false, false), Edge::At(millis(1), true));
    let int = |n: i64, low| write::edge(&cql("int"), &Datum::Int8(n), low, true);
    assert_eq!(int(1 << 40, true), Edge::Nothing);
    assert_eq!(int(1 << 40, false), Edge::Open);
    assert_eq!(int(-(1 << 40), true), Edge::Open);
    assert_eq!(int(-(1 << 40), false), Edge::Nothing);
    let infinite = |n: i64, low| write::edge(&cql("timestamp"), &Datum::Timestamptz(n), low, true);
    assert_eq!(infinite(i64::MAX, true), Edge::Nothing);
    assert_eq!(infinite(i64::MAX, false), Edge::Open);
    let varint = write::edge(&cql("varint"), &value(SqlType::NUMERIC, "-1.5"), true, true);
    assert_eq!(varint, Edge::At(Bytes::from_static(&[0xfe]), false));
    assert_eq!(write::edge(&cql("text"), &Datum::Null, true, true), Edge::Nothing);
}
