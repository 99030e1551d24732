//! Expected values are PostgreSQL 15's. Reading and its errors are tested with `io`.

use super::*;

#[test]
fn order_and_containment() {
    let value = |text: &str| Json::parse(text).unwrap();
    let mut wrong = Vec::new();
    for (a, order, contains) in COMPARED {
        for (i, (b, ..)) in COMPARED.iter().enumerate() {
            let got = match value(a).compare(&value(b)) {
                Ordering::Less => '<',
                Ordering::Equal => '=',
                Ordering::Greater => '>',
            };
            if got != char::from(order.as_bytes()[i]) {
                wrong.push(format!("{a} {got} {b}"));
            }
            if value(a).contains(&value(b)) != (contains.as_bytes()[i] == b'y') {
                wrong.push(format!("{a} @> {b}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn access() {
    let j = Json::parse(r#"{"a": [1, 2, {"b": "x"}], "c": null}"#).unwrap();
    assert_eq!(j.get("a").unwrap().at(-1).unwrap().get("b").unwrap().as_text().unwrap(), "x");
    assert_eq!(j.get("c").unwrap().as_text(), None);
    assert!(j.get("d").is_none() && j.at(0).is_none());
    assert_eq!(j.get("a").unwrap().at(1).unwrap().to_string(), "2");
}

#[test]
fn depth_is_limited() {
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    assert!(Json::parse(&deep(900)).is_ok());
    let e = Json::parse(&deep(100_000)).unwrap_err();
    assert_eq!(e.code(), crate::error::SqlState::STATEMENT_TOO_COMPLEX);
    assert!(validate(&deep(100_000)).is_err());
}

#[test]
fn pretty() {
    let mut out = String::new();
    Json::parse(r#"{"a":[1,{}],"b":[]}"#).unwrap().write_pretty(0, &mut out);
    assert_eq!(
        out,
        "{\n    \"a\": [\n        1,\n        {\n        }\n    ],\n    \"b\": [\n    ]\n}"
    );
}

// jsonb values: each row, how it compares with all of them, and which of them it contains.
#[rustfmt::skip]
const COMPARED: &[(&str, &str, &str)] = &[
    ("{}", "=>>>>>>>>>>>>>>><<<<<>>><<>>", "ynnnnnnnnnnnnnnnnnnnnnnnnnnn"),
    ("[]", "<=<<<<<<<<<<<<<<<<<<<<<<<<<<", "nynnnnnnnnnnnnnnnnnnnnnnnnnn"),
    ("null", "<>=<<<<<<<<<<<<<<<<<<<<<<<<<", "nnynnnnnnnnnnnnnnnnnnnnnnnnn"),
    ("\"a\"", "<>>=<><<<<<<<<<<<<<<<<<<<<<<", "nnnynnnnnnnnnnnnnnnnnnnnnnnn"),
    ("\"b\"", "<>>>=><<<<<<<<<<<<<<<<><<<<<", "nnnnynnnnnnnnnnnnnnnnnnnnnnn"),
    ("\"\"", "<>><<=<<<<<<<<<<<<<<<<<<<<<<", "nnnnnynnnnnnnnnnnnnnnnnnnnnn"),
    ("1", "<>>>>>==<<<<<<<<<<<<<<><<<<<", "nnnnnnyynnnnnnnnnnnnnnnnnnnn"),
    ("1.0", "<>>>>>==<<<<<<<<<<<<<<><<<<<", "nnnnnnyynnnnnnnnnnnnnnnnnnnn"),
    ("2", "<>>>>>>>=<<<<<<<<<<<<<><<<<<", "nnnnnnnnynnnnnnnnnnnnnnnnnnn"),
    ("true", "<>>>>>>>>=><<<<<<<<<<<><<<<<", "nnnnnnnnnynnnnnnnnnnnnnnnnnn"),
    ("false", "<>>>>>>>><=<<<<<<<<<<<><<<<<", "nnnnnnnnnnynnnnnnnnnnnnnnnnn"),
    ("[1]", "<>>>>>>>>>>=<<<><<<<<<><<<><", "nynnnnyynnnynnnnnnnnnnnnnnnn"),
    ("[1,2]", "<>>>>>>>>>>>=>>><<<<<>>><<>>", "nynnnnyyynnyyynnnnnnnnnnnnnn"),
    ("[2]", "<>>>>>>>>>>><=<><<<<<<><<<><", "nynnnnnnynnnnynnnnnnnnnnnnnn"),
    ("[[]]", "<>>>>>>>>>>><>=><<<<<<><<<><", "nynnnnnnnnnnnnynnnnnnnnnnnnn"),
    ("[null]", "<>>>>>>>>>><<<<=<<<<<<><<<<<", "nyynnnnnnnnnnnnynnnnnnnnnnnn"),
    ("{\"a\":1}", ">>>>>>>>>>>>>>>>=<<<<>>><<>>", "ynnnnnnnnnnnnnnnynnnnnnnnnnn"),
    ("{\"a\":2}", ">>>>>>>>>>>>>>>>>=<<<>>><<>>", "ynnnnnnnnnnnnnnnnynnnnnnnnnn"),
    ("{\"b\":1}", ">>>>>>>>>>>>>>>>>>=><>>>>>>>", "ynnnnnnnnnnnnnnnnnynnnnnnnnn"),
    ("{\"aa\":1}", ">>>>>>>>>>>>>>>>>><=<>>>>>>>", "ynnnnnnnnnnnnnnnnnnynnnnnnnn"),
    ("{\"a\":1,\"b\":2}", ">>>>>>>>>>>>>>>>>>>>=>>>>>>>", "ynnnnnnnnnnnnnnnynnnynnnnnnn"),
    ("[{}]", "<>>>>>>>>>>><>>><<<<<=><<<>>", "nynnnnnnnnnnnnnnnnnnnynnnnnn"),
    ("\"aa\"", "<>>><><<<<<<<<<<<<<<<<=<<<<<", "nnnnnnnnnnnnnnnnnnnnnnynnnnn"),
    ("[1,\"a\"]", "<>>>>>>>>>>><>>><<<<<>>=<<>>", "nynynnyynnnynnnnnnnnnnnynnyn"),
    ("{\"a\":[1,2]}", ">>>>>>>>>>>>>>>>>><<<>>>=<>>", "ynnnnnnnnnnnnnnnnnnnnnnnynnn"),
    ("{\"a\":{\"b\":1}}", ">>>>>>>>>>>>>>>>>><<<>>>>=>>", "ynnnnnnnnnnnnnnnnnnnnnnnnynn"),
    ("[\"a\"]", "<>>>>>>>>>><<<<><<<<<<><<<=<", "nynynnnnnnnnnnnnnnnnnnnnnnyn"),
    ("[[1,2]]", "<>>>>>>>>>>><>>><<<<<<><<<>=", "nynnnnnnnnnnnnynnnnnnnnnnnny"),
];
