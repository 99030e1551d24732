//! Texts that differ in their integers alone: one *shape*, with the integers as parameters.
//!
//! A client without prepared statements sends `… where id = 1`, `… where id = 2`, each a text of
//! its own. [`lift`] takes the integers out of a text; what is left names the shape. [`parse`]
//! reads a text with its integers as parameters `$1`, `$2`, …, which stand for literals of type
//! int4 and nothing else.
//!
//! Not every integer is a value: `varchar(5)`, `order by 2`. Texts with words that give an integer
//! another meaning are not lifted here; the binder refuses a shape of which it has not met every
//! parameter as an expression ([`super::bind::Binder::lifting`]).

use std::sync::Arc;

use smallvec::SmallVec;

use super::keywords::Keyword as K;
use super::lexer::{self, Kind, Token, Tokens};
use super::{ParsedStatement, parser};
use crate::error::{Error, Result};

/// Longest text that is lifted.
const TEXT_BYTES_MAX: usize = 4 << 10;
/// Most integers in one.
const VALUES_MAX: usize = 32;
/// Stands for an integer in a shape; a text that has it is not lifted.
const PLACE: u8 = 1;

/// A text taken apart.
pub struct Lifted {
    /// The text with its integers replaced.
    pub shape: Arc<str>,
    /// The integers, in order.
    pub values: SmallVec<[i32; 8]>,
}

/// Takes the integers out of a text; none if that is not to be done.
pub fn lift(text: &str) -> Option<Lifted> {
    let first = text.bytes().next()?.to_ascii_lowercase();
    let fits = text.len() <= TEXT_BYTES_MAX
        && matches!(first, b's' | b'i' | b'u' | b'd')
        && text.bytes().any(|b| b.is_ascii_digit())
        && !text.bytes().any(|b| b == PLACE);
    if !fits {
        return None;
    }
    let scanned = lexer::scan(text);
    let integers = integers(text, &scanned)?;
    let mut shape = String::with_capacity(text.len());
    let mut values = SmallVec::new();
    let mut from = 0;
    for token in integers {
        let place = token.range();
        shape.push_str(&text[from..place.start]);
        shape.push(PLACE as char);
        values.push(text[place.clone()].parse().ok()?);
        from = place.end;
    }
    shape.push_str(&text[from..]);
    Some(Lifted { shape: shape.into(), values })
}

/// The integers of one statement; none if it has none, or is not to be lifted.
fn integers(text: &str, scanned: &Tokens) -> Option<SmallVec<[Token; 8]>> {
    let (first, last) = (scanned.tokens.first()?, scanned.tokens.last()?);
    let begins = Kind::Keyword(K::Select) == first.kind
        || matches!(first.kind, Kind::Keyword(K::Insert | K::Update | K::Delete));
    if !begins || last.kind != Kind::Eof || !scanned.hints.is_empty() {
        return None;
    }
    let mut found = SmallVec::new();
    for (i, token) in scanned.tokens.iter().enumerate() {
        match token.kind {
            // Others are not of type int4.
            Kind::Integer if text[token.range()].parse::<i32>().is_ok() => found.push(*token),
            Kind::Param => return None,
            Kind::Char(b';') if i + 2 != scanned.tokens.len() => return None,
            Kind::Keyword(K::By | K::Distinct | K::Limit | K::Offset | K::Fetch | K::With) => {
                return None;
            }
            _ => {}
        }
    }
    (1..=VALUES_MAX).contains(&found.len()).then_some(found)
}

/// Parses a text that [`lift`] takes apart, with its integers as parameters, and says how many.
pub fn parse(text: &Arc<str>) -> Result<(ParsedStatement, usize)> {
    let mut scanned = lexer::scan(text);
    let refused = || Error::internal("the text has no shape");
    let integers = integers(text, &scanned).ok_or_else(refused)?;
    let starts: SmallVec<[u32; 8]> = integers.iter().map(|token| token.start).collect();
    let mut parser = parser::Parser::new(text, &mut scanned).lifting(&starts);
    let statement = parser.statements(text)?.pop().ok_or_else(refused)?;
    Ok((statement, starts.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_differ_in_integers_have_one_shape() {
        let one = lift("select a from t where b = 17 and c = 'x 1'").unwrap();
        let other = lift("select a from t where b = 4 and c = 'x 1'").unwrap();
        assert_eq!(one.shape, other.shape);
        assert_eq!((one.values[0], one.values.len(), other.values[0]), (17, 1, 4));
        let string = lift("select a from t where b = 17 and c = 'x 2'").unwrap();
        assert_ne!(one.shape, string.shape);
        let wide = lift("update t set a = 3000000000 where b = 1;").unwrap();
        assert_eq!((wide.values.as_slice(), wide.shape.contains("3000000000")), (&[1][..], true));
    }

    #[test]
    fn texts_where_an_integer_may_be_no_value_are_left() {
        for text in [
            "select a from t",
            "select a from t order by 1",
            "select distinct on (1) a from t",
            "select a from t limit 1",
            "select $1 + 1",
            "select 1; select 2",
            "with x as (select 1) select * from x",
            "create table t (a varchar(1))",
            "select /*+ ROW[t] */ 1 from t",
            "select 'open 1",
            "\u{1} select 1",
            "select '\u{1}', 1",
        ] {
            assert!(lift(text).is_none(), "{text}");
        }
    }
}
