//! How a scan reaches its rows: which keys of the primary key or of an index.
//!
//! [`Condition`]s are what a scan's filter says of single columns (`a = 1`, `b IN (…)`, `c > $1`).
//! For each index, those on its first columns become an [`Access`]: values for a prefix of the
//! key, then a range on the next column. The values are expressions over parameters, the frame
//! or, for a lookup join, the left row; they are computed when the scan starts ([`KeyPart`]).
//!
//! A condition that the access implies exactly is not evaluated again.

use std::collections::HashSet;
use std::sync::Arc;

use super::compare::{Order, comparison, is_integer};
use super::scalar::Scalar;
use super::tree;
use crate::encoding::table::IndexCodec;
use crate::sql::bound::{ColId, Expr, Scan};
use crate::types::descriptor::{ColumnId, IndexDescriptor, IndexState, TableDescriptor};
use crate::types::{BaseType, Datum, SqlType};

/// By which keys a scan goes. Without parts and bounds: by all.
#[derive(Debug)]
pub struct Access {
    /// The secondary index; none: the primary key.
    pub index: Option<IndexAccess>,
    /// The columns of the key.
    pub columns: Vec<AccessColumn>,
    /// Values for the first columns.
    pub parts: Vec<KeyPart>,
    /// Lower bound of the next column.
    pub low: Option<KeyBound>,
    /// Upper bound of the next column.
    pub high: Option<KeyBound>,
    /// Whether the parts name single rows: all columns of a unique key, by equality.
    pub point: bool,
    /// How many of the key's columns make the partition part.
    pub partition_columns: usize,
    /// Whether computing a value needs a subquery.
    pub subqueries: bool,
}

impl Access {
    /// Whether it names one row by the primary key, or none where a value is NULL.
    pub fn is_one_key(&self) -> bool {
        let one = |part: &KeyPart| match part {
            KeyPart::OneOf(values) => values.len() == 1,
            KeyPart::Element(_) | KeyPart::Null => false,
        };
        self.point && self.index.is_none() && !self.subqueries && self.parts.iter().all(one)
    }
}

/// A secondary index in use.
#[derive(Debug)]
pub struct IndexAccess {
    /// The index.
    pub index: Arc<IndexDescriptor>,
    /// Its codec.
    pub codec: IndexCodec,
}

/// A column of the key.
#[derive(Clone, Copy, Debug)]
pub struct AccessColumn {
    /// Its type.
    pub ty: SqlType,
    /// Whether it descends.
    pub desc: bool,
    /// Whether NULLs come first.
    pub nulls_first: bool,
    /// Whether its code has a marker for NULL: columns of secondary indexes have.
    pub marked: bool,
}

/// Values for one column of the key.
#[derive(Debug)]
pub enum KeyPart {
    /// One of these values.
    OneOf(Vec<Scalar>),
    /// One of the elements of this array.
    Element(Scalar),
    /// NULL.
    Null,
}

/// A bound of a range.
#[derive(Debug)]
pub struct KeyBound {
    /// The value.
    pub value: Scalar,
    /// Whether the value itself belongs to the range.
    pub inclusive: bool,
}

/// What a conjunct says of one column.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Which conjunct.
    pub conjunct: usize,
    /// Which column.
    pub column: ColumnId,
    /// What.
    pub test: Test,
}

/// What is said of the column.
#[derive(Clone, Debug)]
pub enum Test {
    /// A comparison with a value.
    Compare(Order, Expr),
    /// Equal to one of these.
    OneOf(Vec<Expr>),
    /// Equal to an element of this array.
    Element(Expr),
    /// IS NULL.
    IsNull,
}

/// What the conjuncts of a scan say of its columns. `known` are columns whose values are there
/// before the scan starts, other than those of the frame: the left side of a lookup join.
pub fn conditions(scan: &Scan, conjuncts: &[Expr]) -> Vec<Condition> {
    let own: HashSet<ColId> = scan.columns.iter().map(|(_, c)| c.id).chain(scan.row_key).collect();
    let find = |expr: &Expr| column_of(scan, expr);
    let free = |expr: &Expr| !tree::is_volatile(expr) && tree::expr_columns(expr).is_disjoint(&own);
    let mut out = Vec::new();
    for (conjunct, expr) in conjuncts.iter().enumerate() {
        if let Some((column, test)) = condition(expr, &find, &free) {
            out.push(Condition { conjunct, column, test });
        }
    }
    out
}

/// The table column that `expr` is, relabelling aside, and its type.
fn column_of(scan: &Scan, expr: &Expr) -> Option<(ColumnId, SqlType)> {
    let id = match expr {
        Expr::Column(id, _) => *id,
        Expr::Cast { expr, from, to, .. }
            if is_string(*from) && is_string(*to) && to.typmod == -1 =>
        {
            return column_of(scan, expr);
        }
        _ => return None,
    };
    scan.columns.iter().find(|(_, c)| c.id == id).map(|(column, c)| (*column, c.ty))
}

/// Types that differ from text by name only.
fn is_string(ty: SqlType) -> bool {
    !ty.is_array && matches!(ty.base, BaseType::Text | BaseType::Varchar)
}

type FindColumn<'a> = &'a dyn Fn(&Expr) -> Option<(ColumnId, SqlType)>;

fn condition(
    expr: &Expr,
    find: FindColumn<'_>,
    free: &dyn Fn(&Expr) -> bool,
) -> Option<(ColumnId, Test)> {
    match expr {
        Expr::Call(call) => {
            let c = comparison(call.function).filter(|c| c.order != Order::NotEqual)?;
            let [left, right] = call.args.as_slice() else { return None };
            if let Some((column, ty)) = find(left)
                && free(right)
                && comparable(ty, c.right)
            {
                return Some((column, Test::Compare(c.order, right.clone())));
            }
            let (column, ty) = find(right)?;
            (free(left) && comparable(ty, c.left))
                .then(|| (column, Test::Compare(c.order.swapped(), left.clone())))
        }
        Expr::AnyAll { any: true, left, array, function, .. } => {
            let c = comparison(function).filter(|c| c.order == Order::Equal)?;
            let (column, ty) = find(left)?;
            (free(array) && comparable(ty, c.right))
                .then(|| (column, Test::Element(array.as_ref().clone())))
        }
        Expr::Or(list) => one_of(list, find, free),
        Expr::IsNull(e) => find(e).map(|(column, _)| (column, Test::IsNull)),
        Expr::Column(..) => {
            let (column, ty) = find(expr)?;
            let truth = Expr::Literal(Datum::Bool(true), SqlType::BOOL);
            (ty.base == BaseType::Bool).then_some((column, Test::Compare(Order::Equal, truth)))
        }
        Expr::Not(inner) => {
            let (column, ty) = find(inner)?;
            let falsehood = Expr::Literal(Datum::Bool(false), SqlType::BOOL);
            (ty.base == BaseType::Bool).then_some((column, Test::Compare(Order::Equal, falsehood)))
        }
        _ => None,
    }
}

/// `a = x OR a = y OR a IN (…)`: one column, equalities only.
fn one_of(
    list: &[Expr],
    find: FindColumn<'_>,
    free: &dyn Fn(&Expr) -> bool,
) -> Option<(ColumnId, Test)> {
    let mut column = None;
    let mut values = Vec::new();
    for expr in list {
        let (found, test) = condition(expr, find, free)?;
        if *column.get_or_insert(found) != found {
            return None;
        }
        match test {
            Test::Compare(Order::Equal, value) => values.push(value),
            Test::OneOf(more) => values.extend(more),
            _ => return None,
        }
    }
    Some((column?, Test::OneOf(values)))
}

/// Whether a value of `value` can be put into the key code of a column of `column`: the same
/// representation, or integers of another width, which are fitted when the scan starts.
fn comparable(column: SqlType, value: SqlType) -> bool {
    let plain = |ty: SqlType| if is_string(ty) { BaseType::Text } else { ty.base };
    !column.is_array
        && !value.is_array
        && (plain(column) == plain(value) || is_integer(column) && is_integer(value))
}

/// How conditions use one index.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Which secondary index, by place in the descriptor; none: the primary key.
    pub index: Option<usize>,
    /// Conditions used for the first columns.
    pub parts: Vec<Condition>,
    /// Lower bound of the next column.
    pub low: Option<Condition>,
    /// Upper bound of the next column.
    pub high: Option<Condition>,
    /// Whether single rows are named.
    pub point: bool,
}

impl Candidate {
    /// The conjuncts that the access implies.
    pub fn implied(&self) -> impl Iterator<Item = usize> {
        self.parts.iter().chain(&self.low).chain(&self.high).map(|c| c.conjunct)
    }

    /// Whether it is the whole table, in one order or another.
    pub fn is_whole(&self) -> bool {
        self.implied().next().is_none()
    }

    /// Whether it is one row's key.
    pub fn is_one_key(&self) -> bool {
        self.point
            && self.index.is_none()
            && self.parts.iter().all(|part| matches!(part.test, Test::Compare(..)))
    }

    /// Whether it goes through the whole key.
    pub fn is_full(&self) -> bool {
        self.parts.is_empty() && self.low.is_none() && self.high.is_none()
    }
}

/// The columns of an index (none: the primary key) of a table.
pub fn index_columns(table: &TableDescriptor, index: Option<usize>) -> &IndexDescriptor {
    index.map_or(&table.primary, |i| &table.indexes[i])
}

/// What each readable index can do with the conditions. The primary key comes first.
pub fn candidates(table: &TableDescriptor, conditions: &[Condition]) -> Vec<Candidate> {
    let secondary = table.indexes.iter().enumerate();
    let public = secondary.filter(|(_, i)| i.state == IndexState::Public).map(|(at, _)| Some(at));
    std::iter::once(None).chain(public).map(|i| candidate(table, i, conditions)).collect()
}

fn candidate(table: &TableDescriptor, index: Option<usize>, conditions: &[Condition]) -> Candidate {
    let descriptor = index_columns(table, index);
    let mut out = Candidate { index, parts: Vec::new(), low: None, high: None, point: false };
    let mut with_null = false;
    for key in &descriptor.columns {
        let on = |test: fn(&Test) -> bool| {
            conditions.iter().find(|c| c.column == key.column && test(&c.test)).cloned()
        };
        let part = on(|t| matches!(t, Test::Compare(Order::Equal, _)))
            .or_else(|| on(|t| matches!(t, Test::OneOf(_) | Test::Element(_))))
            .or_else(|| on(|t| matches!(t, Test::IsNull)).filter(|_| index.is_some()));
        if let Some(part) = part {
            with_null |= matches!(part.test, Test::IsNull);
            out.parts.push(part);
            continue;
        }
        let is_low = |t: &Test| matches!(t, Test::Compare(Order::Greater | Order::GreaterEqual, _));
        let is_high = |t: &Test| matches!(t, Test::Compare(Order::Less | Order::LessEqual, _));
        out.low = on(is_low);
        out.high = on(is_high);
        break;
    }
    out.point = !descriptor.columns.is_empty()
        && out.parts.len() == descriptor.columns.len()
        && (index.is_none() || descriptor.unique)
        && !with_null;
    out
}
