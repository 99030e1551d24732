//! The values of window calls over a partition.

use super::frame::{Frames, Partition};
use crate::error::{Error, Result, SqlState};
use crate::exec::context::ExecContext;
use crate::functions::{AggregateFn, WindowFn};
use crate::plan::node::{WindowKind, WindowSpec};
use crate::types::{Datum, SqlType};

/// One value for each row of the partition.
pub async fn evaluate(
    ctx: &mut ExecContext<'_>,
    call: &WindowSpec,
    partition: &Partition<'_>,
) -> Result<Vec<Datum>> {
    match &call.kind {
        WindowKind::Aggregate(_, make, types) => {
            aggregate(ctx, call, partition, *make, types).await
        }
        WindowKind::Window(function) => match function {
            WindowFn::RowNumber
            | WindowFn::Rank
            | WindowFn::DenseRank
            | WindowFn::PercentRank
            | WindowFn::CumeDist => Ok(ranks(*function, partition)),
            WindowFn::Ntile => ntile(ctx, call, partition).await,
            WindowFn::Lag => shifted(ctx, call, partition, -1).await,
            WindowFn::Lead => shifted(ctx, call, partition, 1).await,
            WindowFn::FirstValue | WindowFn::LastValue | WindowFn::NthValue => {
                framed(ctx, call, partition, *function).await
            }
        },
    }
}

fn ranks(function: WindowFn, partition: &Partition<'_>) -> Vec<Datum> {
    let rows = partition.rows.len();
    (0..rows)
        .map(|at| {
            let peers = partition.peers(at);
            match function {
                WindowFn::RowNumber => Datum::Int8(at as i64 + 1),
                WindowFn::Rank => Datum::Int8(peers.start as i64 + 1),
                WindowFn::DenseRank => Datum::Int8(partition.group[at] as i64 + 1),
                WindowFn::PercentRank if rows == 1 => Datum::Float8(0.0),
                WindowFn::PercentRank => Datum::Float8(peers.start as f64 / (rows as f64 - 1.0)),
                _ => Datum::Float8(peers.end as f64 / rows as f64),
            }
        })
        .collect()
}

async fn argument(
    ctx: &mut ExecContext<'_>,
    call: &WindowSpec,
    partition: &Partition<'_>,
    which: usize,
    at: usize,
) -> Result<Option<Datum>> {
    match call.args.list.get(which) {
        Some(scalar) => ctx.value(scalar, &partition.rows[at], &[]).await.map(Some),
        None => Ok(None),
    }
}

fn integer(datum: &Datum) -> Option<i64> {
    match datum {
        Datum::Int2(v) => Some(i64::from(*v)),
        Datum::Int4(v) => Some(i64::from(*v)),
        Datum::Int8(v) => Some(*v),
        _ => None,
    }
}

async fn ntile(
    ctx: &mut ExecContext<'_>,
    call: &WindowSpec,
    partition: &Partition<'_>,
) -> Result<Vec<Datum>> {
    let rows = partition.rows.len();
    let Some(value) = argument(ctx, call, partition, 0, 0).await? else {
        return Err(Error::internal("ntile without an argument"));
    };
    let Some(buckets) = integer(&value) else { return Ok(vec![Datum::Null; rows]) };
    if buckets <= 0 {
        return Err(Error::new(SqlState(*b"22014"), "argument of ntile must be greater than zero"));
    }
    let buckets = buckets as usize;
    let (size, longer) = (rows / buckets, rows % buckets);
    let mut out = Vec::with_capacity(rows);
    for bucket in 0..buckets.min(rows) {
        let len = size + usize::from(bucket < longer);
        out.extend(std::iter::repeat_n(Datum::Int4(bucket as i32 + 1), len));
    }
    Ok(out)
}

/// lag and lead: the value some rows before or after, else the default.
async fn shifted(
    ctx: &mut ExecContext<'_>,
    call: &WindowSpec,
    partition: &Partition<'_>,
    direction: i64,
) -> Result<Vec<Datum>> {
    let rows = partition.rows.len();
    let mut out = Vec::with_capacity(rows);
    for at in 0..rows {
        let by = match argument(ctx, call, partition, 1, at).await? {
            None => 1,
            Some(value) => match integer(&value) {
                Some(by) => by,
                None => {
                    out.push(Datum::Null);
                    continue;
                }
            },
        };
        let place = (at as i64).saturating_add(direction.saturating_mul(by));
        let value = match usize::try_from(place).ok().filter(|p| *p < rows) {
            Some(place) => argument(ctx, call, partition, 0, place).await?,
            None => argument(ctx, call, partition, 2, at).await?,
        };
        out.push(value.unwrap_or(Datum::Null));
    }
    Ok(out)
}

/// first_value, last_value, nth_value: a row of the frame.
async fn framed(
    ctx: &mut ExecContext<'_>,
    call: &WindowSpec,
    partition: &Partition<'_>,
    function: WindowFn,
) -> Result<Vec<Datum>> {
    let frames = Frames::new(ctx, &call.frame, partition).await?;
    let rows = partition.rows.len();
    let mut out = Vec::with_capacity(rows);
    for at in 0..rows {
        ctx.spend(1).await?;
        let mut frame = frames.range(at).filter(|other| !frames.excludes(at, *other));
        let place = match function {
            WindowFn::FirstValue => frame.next(),
            WindowFn::LastValue => frame.next_back(),
            _ => match argument(ctx, call, partition, 1, at).await?.as_ref().map(integer) {
                Some(Some(n)) if n > 0 => frame.nth(n as usize - 1),
                Some(Some(_)) => {
                    return Err(Error::new(
                        SqlState(*b"22016"),
                        "argument of nth_value must be greater than zero",
                    ));
                }
                _ => None,
            },
        };
        out.push(match place {
            Some(place) => argument(ctx, call, partition, 0, place).await?.unwrap_or(Datum::Null),
            None => Datum::Null,
        });
    }
    Ok(out)
}

/// An aggregate over each row's frame. While a frame only grows at its end, it is carried on.
async fn aggregate(
    ctx: &mut ExecContext<'_>,
    call: &WindowSpec,
    partition: &Partition<'_>,
    make: AggregateFn,
    types: &[SqlType],
) -> Result<Vec<Datum>> {
    let rows = partition.rows.len();
    let mut inputs: Vec<Option<Vec<Datum>>> = Vec::with_capacity(rows);
    for row in &partition.rows {
        let wanted = match &call.filter {
            Some(filter) => matches!(ctx.value(filter, row, &[]).await?, Datum::Bool(true)),
            None => true,
        };
        inputs.push(if wanted { Some(ctx.values(&call.args, row, &[]).await?) } else { None });
    }
    let frames = Frames::new(ctx, &call.frame, partition).await?;
    let mut out = Vec::with_capacity(rows);
    let mut state = make(types);
    let mut done = 0..0;
    let mut last: Option<Datum> = None;
    for at in 0..rows {
        let range = frames.range(at);
        let carried = range.start == done.start && range.end >= done.end;
        // An aggregate that cannot be carried on looks at its whole frame again.
        let looked_at = if carried { range.end - done.end } else { range.len() };
        ctx.spend(looked_at + 1).await?;
        if !frames.is_whole() {
            let mut own = make(types);
            for other in range.filter(|other| !frames.excludes(at, *other)) {
                if let Some(args) = &inputs[other] {
                    own.add(ctx.eval, args)?;
                }
            }
            out.push(own.finish(ctx.eval)?);
            continue;
        }
        if carried
            && range == done
            && let Some(value) = &last
        {
            out.push(value.clone());
            continue;
        }
        if !carried {
            state = make(types);
            done = range.start..range.start;
        }
        for args in inputs[done.end..range.end].iter().flatten() {
            state.add(ctx.eval, args)?;
        }
        done.end = range.end.max(done.end);
        let value = state.finish(ctx.eval)?;
        last = Some(value.clone());
        out.push(value);
    }
    Ok(out)
}
