//! Literals: numbers by their size, strings once their type is known.

use std::sync::Arc;

use super::super::bound::Expr;
use super::Binder;
use crate::error::Result;
use crate::functions::apply_cast;
use crate::types::{BaseType, Datum, Interval, Numeric, SqlType, io};

impl Binder<'_> {
    /// The value of a string as a type, modifiers aside.
    pub(super) fn read_literal(&self, text: &Arc<str>, ty: SqlType) -> Result<Datum> {
        match ty.base {
            BaseType::Text | BaseType::Varchar if !ty.is_array => Ok(Datum::Text(text.clone())),
            // Names of catalog objects are looked up.
            BaseType::Regclass
            | BaseType::Regproc
            | BaseType::Regprocedure
            | BaseType::Regoper
            | BaseType::Regtype
            | BaseType::Regnamespace
            | BaseType::Regrole => {
                let value = Datum::Text(text.clone());
                apply_cast(self.context, value, SqlType::TEXT, ty, true)
            }
            _ => {
                let format = &self.context.session.format;
                io::parse_text(text, ty, format, self.context.transaction_time)
            }
        }
    }

    /// The value of a string as an interval: fields of the type say what a bare number means.
    pub(super) fn read_interval(&self, text: &str, typmod: i32) -> Result<Datum> {
        let style = self.context.session.format.interval_style;
        Ok(Datum::Interval(Box::new(Interval::parse(text, style, typmod)?)))
    }
}

/// A number: int4 or int8 if it is an integer that fits, else numeric.
pub(super) fn number(digits: &str) -> Result<Expr> {
    let literal = if let Ok(value) = digits.parse::<i32>() {
        Expr::Literal(Datum::Int4(value), SqlType::INT4)
    } else if let Ok(value) = digits.parse::<i64>() {
        Expr::Literal(Datum::Int8(value), SqlType::INT8)
    } else {
        Expr::Literal(Datum::Numeric(Numeric::parse(digits)?), SqlType::NUMERIC)
    };
    Ok(literal)
}

/// A boolean literal.
pub(super) fn boolean(value: bool) -> Expr {
    Expr::Literal(Datum::Bool(value), SqlType::BOOL)
}
