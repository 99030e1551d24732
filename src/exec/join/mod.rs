//! Joins: by comparing all pairs, by running the right side anew, by key, by hash table.

mod apply;
mod hash;
mod lookup;
mod nested;

pub use apply::ApplyNode;
pub use hash::HashNode;
pub use lookup::LookupNode;
pub use nested::NestedNode;

use super::context::ExecContext;
use crate::error::Result;
use crate::plan::scalar::Scalars;
use crate::sql::bound::JoinKind;
use crate::types::{Datum, Row};

/// Appends what a join makes of one left row and its candidates on the right. Gives the places
/// of the candidates that matched.
async fn join_row(
    ctx: &mut ExecContext<'_>,
    kind: JoinKind,
    on: &Scalars,
    left: &[Datum],
    candidates: impl Iterator<Item = (usize, &Row)> + Send,
    right_width: usize,
    out: &mut Vec<Row>,
    mut matched: impl FnMut(usize) + Send,
) -> Result<()> {
    let mut any = false;
    for (place, right) in candidates {
        ctx.spend(1).await?;
        if !on.is_empty() && !ctx.all_hold(on, left, right).await? {
            continue;
        }
        any = true;
        matched(place);
        match kind {
            JoinKind::Semi => break,
            JoinKind::Anti => break,
            _ => out.push(concat(left, right)),
        }
    }
    match (kind, any) {
        (JoinKind::Semi, true) | (JoinKind::Anti, false) => out.push(left.to_vec()),
        (JoinKind::Left | JoinKind::Full, false) => {
            let mut row = Vec::with_capacity(left.len() + right_width);
            row.extend_from_slice(left);
            row.resize(left.len() + right_width, Datum::Null);
            out.push(row);
        }
        _ => {}
    }
    Ok(())
}

/// A left row with a right row behind it.
fn concat(left: &[Datum], right: &[Datum]) -> Row {
    let mut row = Vec::with_capacity(left.len() + right.len());
    row.extend_from_slice(left);
    row.extend_from_slice(right);
    row
}

/// A right row without a left one.
fn null_left(width: usize, right: &[Datum]) -> Row {
    let mut row = vec![Datum::Null; width];
    row.extend_from_slice(right);
    row
}
