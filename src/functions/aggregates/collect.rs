//! `bool_and`, `bit_or`, `string_agg`, `array_agg` and their like.

use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::Result;
use crate::functions::call::{Ret, arg, optional};
use crate::functions::numbers::ints::{Int, narrow};
use crate::functions::{Accumulator, EvalContext};
use crate::types::{Array, BaseType, Datum, SqlType};

/// `bool_and` (and `every`), or `bool_or`.
#[derive(Default)]
pub(super) struct Bools<const AND: bool>(Option<bool>);

impl<const AND: bool> Accumulator for Bools<AND> {
    fn add(&mut self, _: &EvalContext, args: &[Datum]) -> Result<()> {
        if let Some(x) = optional::<bool>(args, 0)? {
            self.0 = Some(match self.0 {
                None => x,
                Some(all) if AND => all && x,
                Some(any) => any || x,
            });
        }
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext) -> Result<Datum> {
        self.0.datum()
    }
}

/// How bits are put together.
pub(super) const AND: u8 = 0;
pub(super) const OR: u8 = 1;
pub(super) const XOR: u8 = 2;

/// `bit_and`, `bit_or`, `bit_xor`.
#[derive(Default)]
pub(super) struct Bits<A, const OPERATION: u8>(Option<i64>, PhantomData<A>);

impl<A: Int + Send, const OPERATION: u8> Accumulator for Bits<A, OPERATION> {
    fn add(&mut self, _: &EvalContext, args: &[Datum]) -> Result<()> {
        if let Some(x) = optional::<A>(args, 0)? {
            let x = x.wide();
            self.0 = Some(match (self.0, OPERATION) {
                (None, _) => x,
                (Some(bits), AND) => bits & x,
                (Some(bits), OR) => bits | x,
                (Some(bits), _) => bits ^ x,
            });
        }
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext) -> Result<Datum> {
        self.0.map(|bits| narrow::<A>(Some(bits))).datum()
    }
}

/// `string_agg(text, separator)`: each value but the first after its own separator.
#[derive(Default)]
pub(super) struct Strings(Option<String>);

impl Accumulator for Strings {
    fn add(&mut self, _: &EvalContext, args: &[Datum]) -> Result<()> {
        if let Some(x) = optional::<&str>(args, 0)? {
            match &mut self.0 {
                None => self.0 = Some(x.to_owned()),
                Some(all) => {
                    all.push_str(optional(args, 1)?.unwrap_or(""));
                    all.push_str(x);
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext) -> Result<Datum> {
        Ok(self.0.as_deref().map_or(Datum::Null, Datum::text))
    }
}

/// `string_agg(bytea, separator)`
#[derive(Default)]
pub(super) struct ByteStrings(Option<Vec<u8>>);

impl Accumulator for ByteStrings {
    fn add(&mut self, _: &EvalContext, args: &[Datum]) -> Result<()> {
        if let Some(x) = optional::<&Bytes>(args, 0)? {
            match &mut self.0 {
                None => self.0 = Some(x.to_vec()),
                Some(all) => {
                    all.extend_from_slice(optional::<&Bytes>(args, 1)?.map_or(&[], |s| s));
                    all.extend_from_slice(x);
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext) -> Result<Datum> {
        self.0.clone().datum()
    }
}

/// `array_agg(element)`: NULLs are elements too.
struct Elements {
    element: BaseType,
    values: Vec<Datum>,
}

/// `array_agg` of elements of the argument's type.
pub(super) fn array_agg(types: &[SqlType]) -> Box<dyn Accumulator> {
    let element = types.first().map_or(BaseType::Text, |ty| ty.base);
    Box::new(Elements { element, values: Vec::new() })
}

impl Accumulator for Elements {
    fn add(&mut self, _: &EvalContext, args: &[Datum]) -> Result<()> {
        self.values.push(arg::<&Datum>(args, 0)?.clone());
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext) -> Result<Datum> {
        if self.values.is_empty() {
            return Ok(Datum::Null);
        }
        Ok(Datum::Array(Arc::new(Array::new(self.element, self.values.clone()))))
    }
}
