//! `json_agg`, `json_object_agg` and their `jsonb` forms.

use std::sync::Arc;

use crate::error::Result;
use crate::functions::{Accumulator, EvalContext};
use crate::types::json::Json;
use crate::types::{BaseType, Datum, SqlType};

use super::build::{null_field, write, write_key};

/// JSON text that grows with each row.
struct Collected {
    types: Vec<SqlType>,
    /// Without its closing bracket; empty before the first row.
    text: String,
    object: bool,
    binary: bool,
}

fn collect(types: &[SqlType], object: bool, binary: bool) -> Box<dyn Accumulator> {
    Box::new(Collected { types: types.to_vec(), text: String::new(), object, binary })
}

/// `json_agg(anyelement)`
pub(in crate::functions) fn json_agg(types: &[SqlType]) -> Box<dyn Accumulator> {
    collect(types, false, false)
}

/// `jsonb_agg(anyelement)`
pub(in crate::functions) fn jsonb_agg(types: &[SqlType]) -> Box<dyn Accumulator> {
    collect(types, false, true)
}

/// `json_object_agg(key, value)`
pub(in crate::functions) fn json_object_agg(types: &[SqlType]) -> Box<dyn Accumulator> {
    collect(types, true, false)
}

/// `jsonb_object_agg(key, value)`
pub(in crate::functions) fn jsonb_object_agg(types: &[SqlType]) -> Box<dyn Accumulator> {
    collect(types, true, true)
}

impl Accumulator for Collected {
    fn add(&mut self, context: &EvalContext, args: &[Datum]) -> Result<()> {
        let first = self.text.is_empty();
        let value_type = self.types[usize::from(self.object)];
        let value = &args[usize::from(self.object)];
        if self.object {
            if args[0].is_null() {
                return Err(null_field());
            }
            self.text.push_str(if first { "{ " } else { ", " });
            write_key(context, &args[0], self.types[0], &mut self.text)?;
            self.text.push_str(" : ");
        } else {
            self.text.push_str(if first { "[" } else { ", " });
            // What is structured begins a line of its own, but for the first.
            let structured = value_type.is_array || value_type.base == BaseType::Record;
            if structured && !first && !value.is_null() {
                self.text.push_str("\n ");
            }
        }
        write(context, value, value_type, &mut self.text);
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext) -> Result<Datum> {
        if self.text.is_empty() {
            return Ok(Datum::Null);
        }
        let text = format!("{}{}", self.text, if self.object { " }" } else { "]" });
        match self.binary {
            true => Ok(Datum::Jsonb(Arc::new(Json::parse(&text)?))),
            false => Ok(Datum::text(text)),
        }
    }
}
