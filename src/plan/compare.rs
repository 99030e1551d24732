//! What the planner knows of comparison operators.
//!
//! `=`, `<`, `<=`, `>`, `>=` and `<>` of a type are its default btree order; a condition over one
//! of them can bound a key, join by hash, or be decided without a call. The knowledge comes from
//! the operator table, by function.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::OnceLock;

use crate::functions::{Function, operators_named};
use crate::types::{BaseType, SqlType};

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `=`
    Equal,
    /// `>=`
    GreaterEqual,
    /// `>`
    Greater,
    /// `<>`
    NotEqual,
}

impl Order {
    /// Whether it holds for two values that compare so.
    #[inline]
    pub fn holds(self, ordering: Ordering) -> bool {
        match self {
            Order::Less => ordering.is_lt(),
            Order::LessEqual => ordering.is_le(),
            Order::Equal => ordering.is_eq(),
            Order::GreaterEqual => ordering.is_ge(),
            Order::Greater => ordering.is_gt(),
            Order::NotEqual => ordering.is_ne(),
        }
    }

    /// The comparison that says the same with the sides swapped.
    pub fn swapped(self) -> Order {
        match self {
            Order::Less => Order::Greater,
            Order::LessEqual => Order::GreaterEqual,
            Order::GreaterEqual => Order::LessEqual,
            Order::Greater => Order::Less,
            same => same,
        }
    }

    /// Its operator.
    pub fn symbol(self) -> &'static str {
        match self {
            Order::Less => "<",
            Order::LessEqual => "<=",
            Order::Equal => "=",
            Order::GreaterEqual => ">=",
            Order::Greater => ">",
            Order::NotEqual => "<>",
        }
    }
}

/// What a comparison function compares.
#[derive(Clone, Copy, Debug)]
pub struct Comparison {
    /// Which comparison.
    pub order: Order,
    /// Type of its left side.
    pub left: SqlType,
    /// Type of its right side.
    pub right: SqlType,
}

impl Comparison {
    /// Whether `functions::compare` decides it: one representation on both sides, or integers.
    pub fn is_direct(&self) -> bool {
        !self.left.is_array
            && !self.right.is_array
            && (is_integer(self.left) && is_integer(self.right)
                || self.left.base == self.right.base && is_plain(self.left.base))
    }

    /// Whether its two sides can meet in a hash table: equality, as [`Comparison::is_direct`],
    /// or of one type of any kind.
    pub fn is_hashable(&self) -> bool {
        self.order == Order::Equal
            && (self.is_direct()
                || self.left.same(self.right) && self.left.base != BaseType::Bpchar)
    }
}

/// int2, int4 or int8.
pub fn is_integer(ty: SqlType) -> bool {
    !ty.is_array && matches!(ty.base, BaseType::Int2 | BaseType::Int4 | BaseType::Int8)
}

fn is_plain(base: BaseType) -> bool {
    !matches!(
        base,
        BaseType::Bpchar
            | BaseType::Json
            | BaseType::Record
            | BaseType::AnyArray
            | BaseType::AnyElement
            | BaseType::Int2Vector
            | BaseType::OidVector
            | BaseType::Any
    )
}

/// What `function` compares, if it is a comparison operator's.
pub fn comparison(function: &Function) -> Option<Comparison> {
    static TABLE: OnceLock<HashMap<u32, Comparison>> = OnceLock::new();
    TABLE.get_or_init(build).get(&function.oid).copied()
}

fn build() -> HashMap<u32, Comparison> {
    let orders = [
        Order::Less,
        Order::LessEqual,
        Order::Equal,
        Order::GreaterEqual,
        Order::Greater,
        Order::NotEqual,
    ];
    let mut table = HashMap::new();
    for order in orders {
        for operator in operators_named(order.symbol()) {
            if let Some(left) = operator.left {
                let comparison = Comparison { order, left, right: operator.right };
                table.insert(operator.function.oid, comparison);
            }
        }
    }
    table
}

/// The function that compares two values of `left` and `right`, where there is one.
pub fn comparison_function(
    order: Order,
    left: SqlType,
    right: SqlType,
) -> Option<&'static Function> {
    operators_named(order.symbol())
        .iter()
        .find(|o| o.right.same(right) && o.left.is_some_and(|l| l.same(left)))
        .map(|o| o.function)
}
