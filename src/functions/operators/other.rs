//! Operators of texts, patterns, arrays and JSON.

use crate::functions::registry::OperatorEntry;
use crate::functions::signature::types::*;

use super::op;

/// By symbol, then OID.
pub(super) static OPERATORS: &[OperatorEntry] = &[
    op(640, "!~", Some(NAME), TEXT, 1252, None, Some("~")),
    op(642, "!~", Some(TEXT), TEXT, 1256, None, Some("~")),
    op(1056, "!~", Some(BPCHAR), TEXT, 1659, None, Some("~")),
    op(1227, "!~*", Some(NAME), TEXT, 1241, None, Some("~*")),
    op(1229, "!~*", Some(TEXT), TEXT, 1239, None, Some("~*")),
    op(1235, "!~*", Some(BPCHAR), TEXT, 1657, None, Some("~*")),
    op(1208, "!~~", Some(NAME), TEXT, 859, None, Some("~~")),
    op(1210, "!~~", Some(TEXT), TEXT, 851, None, Some("~~")),
    op(1212, "!~~", Some(BPCHAR), TEXT, 1632, None, Some("~~")),
    op(2017, "!~~", Some(BYTEA), BYTEA, 2006, None, Some("~~")),
    op(1626, "!~~*", Some(NAME), TEXT, 1636, None, Some("~~*")),
    op(1628, "!~~*", Some(TEXT), TEXT, 1634, None, Some("~~*")),
    op(1630, "!~~*", Some(BPCHAR), TEXT, 1661, None, Some("~~*")),
    op(3877, "^@", Some(TEXT), TEXT, 3696, None, None),
    op(654, "||", Some(TEXT), TEXT, 1258, None, None),
    op(2018, "||", Some(BYTEA), BYTEA, 2011, None, None),
    op(2779, "||", Some(TEXT), ANYNONARRAY, 2003, None, None),
    op(2780, "||", Some(ANYNONARRAY), TEXT, 2004, None, None),
    op(639, "~", Some(NAME), TEXT, 79, None, Some("!~")),
    op(641, "~", Some(TEXT), TEXT, 1254, None, Some("!~")),
    op(1055, "~", Some(BPCHAR), TEXT, 1658, None, Some("!~")),
    op(1226, "~*", Some(NAME), TEXT, 1240, None, Some("!~*")),
    op(1228, "~*", Some(TEXT), TEXT, 1238, None, Some("!~*")),
    op(1234, "~*", Some(BPCHAR), TEXT, 1656, None, Some("!~*")),
    op(1207, "~~", Some(NAME), TEXT, 858, None, Some("!~~")),
    op(1209, "~~", Some(TEXT), TEXT, 850, None, Some("!~~")),
    op(1211, "~~", Some(BPCHAR), TEXT, 1631, None, Some("!~~")),
    op(2016, "~~", Some(BYTEA), BYTEA, 2005, None, Some("!~~")),
    op(1625, "~~*", Some(NAME), TEXT, 1635, None, Some("!~~*")),
    op(1627, "~~*", Some(TEXT), TEXT, 1633, None, Some("!~~*")),
    op(1629, "~~*", Some(BPCHAR), TEXT, 1660, None, Some("!~~*")),
];
