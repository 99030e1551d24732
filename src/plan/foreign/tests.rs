use std::sync::Arc;

use super::write::{count_text, delete_text, insert_text, update_text};
use super::{Chosen, choose};
use crate::plan::access::{Condition, Test};
use crate::plan::compare::Order;
use crate::sql::bound::Expr;
use crate::types::cql::CqlType;
use crate::types::descriptor::{
    ColumnDescriptor, ColumnId, ForeignColumn, ForeignDescriptor, ForeignRole, RelationKind,
    TableDescriptor, TableId,
};
use crate::types::{Datum, SqlType};

/// `PRIMARY KEY ((a, "B"), c, d)` and a value `v`.
fn table(types: [CqlType; 5]) -> TableDescriptor {
    let roles = [
        ForeignRole::Partition(0),
        ForeignRole::Partition(1),
        ForeignRole::Clustering(0, true),
        ForeignRole::Clustering(1, false),
        ForeignRole::Regular,
    ];
    let names = ["a", "B", "c", "d", "v"];
    let columns = (1..).zip(names).zip(&types).map(|((id, name), ty)| {
        ColumnDescriptor::new(ColumnId(id), &name.to_lowercase(), ty.sql_type())
    });
    let mut table = TableDescriptor::unplaced(
        TableId(1),
        "public",
        "t",
        RelationKind::Foreign,
        columns.collect(),
    );
    let columns = (1..).zip(names).zip(types).zip(roles);
    table.foreign = Some(Box::new(ForeignDescriptor {
        keyspace: "ks".to_owned(),
        table: "t".to_owned(),
        columns: columns
            .map(|(((id, name), ty), role)| ForeignColumn {
                id: ColumnId(id),
                name: name.to_owned(),
                ty,
                role,
            })
            .collect(),
        partition_columns: 2,
        clustering_columns: 2,
    }));
    table
}

fn ints() -> TableDescriptor {
    table(std::array::from_fn(|_| CqlType::Int))
}

fn value() -> Expr {
    Expr::Literal(Datum::Int4(1), SqlType::INT4)
}

fn compare(column: u16, order: Order) -> Condition {
    let test = Test::Compare(order, value());
    Condition { conjunct: usize::from(column), column: ColumnId(column), test }
}

fn equal(columns: &[u16]) -> Vec<Condition> {
    columns.iter().map(|column| compare(*column, Order::Equal)).collect()
}

fn parts(chosen: &Chosen<'_>) -> Vec<String> {
    chosen.parts.iter().map(|(column, _)| column.name.clone()).collect()
}

fn chosen<'d>(table: &'d TableDescriptor, conditions: &[Condition]) -> Chosen<'d> {
    choose(table.foreign.as_deref().expect("foreign"), conditions)
}

#[test]
fn the_whole_partition_key_or_nothing() {
    let table = ints();
    assert!(chosen(&table, &equal(&[1])).parts.is_empty());
    assert!(chosen(&table, &equal(&[1, 3, 4])).parts.is_empty());
    let both = chosen(&table, &equal(&[2, 1]));
    assert_eq!(parts(&both), ["a", "B"]);
    assert!(!both.point && both.is_single());
    let ranged = [compare(1, Order::Equal), compare(2, Order::Less)];
    assert!(chosen(&table, &ranged).parts.is_empty());
}

#[test]
fn clustering_columns_in_their_order_and_a_range_on_the_next() {
    let table = ints();
    let mut conditions = equal(&[1, 2, 4]);
    assert_eq!(parts(&chosen(&table, &conditions)), ["a", "B"]);
    conditions.push(compare(3, Order::Greater));
    conditions.push(compare(3, Order::LessEqual));
    let range = chosen(&table, &conditions);
    assert_eq!(parts(&range), ["a", "B"]);
    assert_eq!(range.low.as_ref().map(|(c, _)| c.name.as_str()), Some("c"));
    assert_eq!(range.high.as_ref().map(|(c, _)| c.name.as_str()), Some("c"));
    assert_eq!(range.used().collect::<Vec<_>>(), [1, 2, 3, 3]);
    let point = chosen(&table, &equal(&[1, 2, 3, 4]));
    assert!(point.point && point.is_single());
}

#[test]
fn lists_name_rows_but_not_a_single_one() {
    let table = ints();
    let mut conditions = equal(&[2, 3, 4]);
    let test = Test::OneOf(vec![value(), value()]);
    conditions.push(Condition { conjunct: 1, column: ColumnId(1), test });
    let listed = chosen(&table, &conditions);
    assert!(listed.point && !listed.is_single());
}

#[test]
fn what_the_cluster_compares_otherwise_is_not_asked_of_it() {
    use CqlType::*;
    for unequal in [Decimal, Float, Double, Time] {
        let table = table([unequal, Int, Int, Int, Int]);
        assert!(chosen(&table, &equal(&[1, 2])).parts.is_empty());
    }
    for unordered in [Uuid, Timeuuid, Inet, Decimal, Time] {
        let table = table([Int, Int, unordered, Int, Int]);
        let mut conditions = equal(&[1, 2]);
        conditions.push(compare(3, Order::Less));
        assert!(chosen(&table, &conditions).high.is_none());
    }
    let table = table([Int, Int, Timeuuid, Int, Int]);
    assert_eq!(parts(&chosen(&table, &equal(&[1, 2, 3]))), ["a", "B", "c"]);
}

#[test]
fn a_key_that_is_not_all_there_is_no_key() {
    let mut table = ints();
    let foreign = Arc::new(table.foreign.take().expect("foreign"));
    let mut without = |column: usize| {
        let mut less = foreign.as_ref().clone();
        less.columns.remove(column);
        table.foreign = Some(less);
        let of = table.foreign.as_deref().expect("foreign");
        (of.key().is_some(), choose(of, &equal(&[1, 2, 3, 4])).parts.len())
    };
    assert_eq!(without(0), (false, 0));
    assert_eq!(without(2), (false, 2));
    assert_eq!(without(4), (true, 4));
}

#[test]
fn the_cql_of_writes() {
    let table = ints();
    let key = "a = ? AND \"B\" = ? AND c = ? AND d = ?";
    assert_eq!(
        insert_text(&table, &[0, 1, 2, 3]),
        "INSERT INTO ks.t (a, \"B\", c, d) VALUES (?, ?, ?, ?) IF NOT EXISTS"
    );
    assert_eq!(
        update_text(&table, &[4], &[]),
        format!("UPDATE ks.t SET v = ? WHERE {key} IF EXISTS")
    );
    assert_eq!(
        update_text(&table, &[4], &[4]),
        format!("UPDATE ks.t SET v = ? WHERE {key} IF v = ?")
    );
    assert_eq!(count_text(&table, &[(4, true)]), format!("UPDATE ks.t SET v = v - ? WHERE {key}"));
    assert_eq!(delete_text(&table, true, &[]), format!("DELETE FROM ks.t WHERE {key}"));
    assert_eq!(delete_text(&table, false, &[4]), format!("DELETE FROM ks.t WHERE {key} IF v = ?"));
}
