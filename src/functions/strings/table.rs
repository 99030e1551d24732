//! Functions of strings.

use super::basic;
use crate::functions::Function;
use crate::functions::signature::scalar;
use crate::functions::signature::types::*;

/// The functions.
pub(in crate::functions) static FUNCTIONS: &[Function] = &[
    scalar(1258, "textcat", &[TEXT, TEXT], TEXT, basic::concatenate),
    scalar(1317, "length", &[TEXT], INT4, basic::length),
    scalar(1318, "length", &[BPCHAR], INT4, basic::blank_length),
    scalar(1381, "char_length", &[TEXT], INT4, basic::length),
    scalar(1372, "char_length", &[BPCHAR], INT4, basic::blank_length),
    scalar(1369, "character_length", &[TEXT], INT4, basic::length),
    scalar(1367, "character_length", &[BPCHAR], INT4, basic::blank_length),
    scalar(1374, "octet_length", &[TEXT], INT4, basic::octet_length),
    scalar(1375, "octet_length", &[BPCHAR], INT4, basic::octet_length),
    scalar(401, "text", &[BPCHAR], TEXT, basic::without_blanks),
    scalar(406, "text", &[NAME], TEXT, basic::same),
    scalar(408, "bpchar", &[NAME], BPCHAR, basic::same),
    scalar(1401, "varchar", &[NAME], VARCHAR, basic::same),
    scalar(407, "name", &[TEXT], NAME, basic::to_name),
    scalar(409, "name", &[BPCHAR], NAME, basic::to_name),
    scalar(1400, "name", &[VARCHAR], NAME, basic::to_name),
];
