//! Tests of system relations.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::catalog::Initial;
use crate::catalog::descriptor::{CommentTarget, RoleDescriptor, oids};
use crate::clock::SimulatedClock;
use crate::functions::SessionInfo;
use crate::types::Datum;
use crate::types::descriptor::{
    CheckDescriptor, IndexColumn, IndexDescriptor, IndexState, SpaceId,
};

fn eval(snapshot: &CatalogSnapshot) -> EvalContext {
    EvalContext {
        transaction_time: 0,
        statement_time: 0,
        session: Arc::new(SessionInfo {
            analytics: Default::default(),
            state: Arc::default(),
            session_user: "me".into(),
            current_user: "me".into(),
            database: "sluice".into(),
            search_path: vec!["public".into()],
            backend_pid: 1,
            format: Default::default(),
            settings: Arc::new(BTreeMap::from([("timezone".into(), "UTC".into())])),
        }),
        catalog: Arc::new(snapshot.clone()),
        clock: Arc::new(SimulatedClock::new(0, 1)),
    }
}

fn index(oid: u32, name: &str, column: u16, constraint: Option<u32>) -> IndexDescriptor {
    IndexDescriptor {
        oid,
        name: name.into(),
        columns: vec![IndexColumn { column: ColumnId(column), desc: false, nulls_first: false }],
        unique: constraint.is_some(),
        constraint_oid: constraint,
        space: SpaceId(oid),
        state: IndexState::Public,
    }
}

/// A schema with one of everything.
fn snapshot() -> CatalogSnapshot {
    let initial = Initial { database: "sluice".into(), role: "me".into(), password: None };
    let role = RoleDescriptor::bootstrap(&initial.role, initial.password);
    let mut snapshot = CatalogSnapshot::initial(&initial.database, role);
    let mut b =
        ColumnDescriptor::new(ColumnId(2), "b", SqlType::with_typmod(BaseType::Varchar, 14));
    b.default = Some("'x'::character varying".into());
    let mut a = ColumnDescriptor::new(ColumnId(1), "a", SqlType::INT4);
    a.not_null = true;
    let c = ColumnDescriptor::new(ColumnId(4), "c", SqlType::array_of(BaseType::Int4));
    let table = TableDescriptor {
        id: TableId(16384),
        schema: "public".into(),
        name: "t".into(),
        kind: RelationKind::Table,
        columns: vec![a, b, c],
        next_column: 5,
        primary: index(16385, "t_pkey", 1, Some(16386)),
        hidden_key: false,
        partition_columns: 1,
        keys_in_value: false,
        indexes: vec![index(16387, "t_b_idx", 2, None)],
        checks: vec![CheckDescriptor {
            not_valid: false,
            oid: 16388,
            name: "t_a_check".into(),
            expr: "(a > 0)".into(),
            columns: vec![ColumnId(1)],
        }],
        columnar: true,
        columnar_since: 1,
        loaded: Default::default(),
        foreign_keys: Vec::new(),
        owner: "me".into(),
        version: 1,
        foreign: None,
        files: None,
    };
    snapshot.put(crate::catalog::object::Object::Table(Arc::new(table)));
    let target = CommentTarget { class: oids::CLASS_RELATION, oid: 16384, sub_id: 0 };
    snapshot.put(crate::catalog::object::Object::Comment(target, "mine".into()));
    snapshot
}

fn rows_of(schema: &str, name: &str) -> (Arc<TableDescriptor>, Vec<Row>) {
    let snapshot = snapshot();
    let table = table(schema, name).unwrap_or_else(|| panic!("no {schema}.{name}"));
    let rows = rows(&table, &snapshot, &eval(&snapshot));
    (table, rows)
}

fn column(table: &TableDescriptor, row: &Row, name: &str) -> Datum {
    let at = table.columns.iter().position(|c| c.name == name).unwrap();
    row[at].clone()
}

fn shown(datum: &Datum) -> String {
    match datum {
        Datum::Null => "NULL".into(),
        Datum::Text(s) => s.to_string(),
        Datum::Oid(v) => v.to_string(),
        Datum::Int2(v) => v.to_string(),
        Datum::Int4(v) => v.to_string(),
        Datum::Bool(v) => v.to_string(),
        Datum::Char(c) => (*c as char).to_string(),
        Datum::Array(a) => a.values.iter().map(shown).collect::<Vec<_>>().join(" "),
        other => format!("{other:?}"),
    }
}

/// The named columns of the rows where `key` is `value`.
fn pick(schema: &str, name: &str, key: (&str, &str), columns: &[&str]) -> Vec<String> {
    let (table, rows) = rows_of(schema, name);
    let matching = rows.iter().filter(|row| shown(&column(&table, row, key.0)) == key.1);
    matching
        .map(|row| {
            columns.iter().map(|c| shown(&column(&table, row, c))).collect::<Vec<_>>().join("|")
        })
        .collect()
}

#[test]
fn every_row_fits_its_relation() {
    let snapshot = snapshot();
    let eval = eval(&snapshot);
    assert!(all().len() > 140);
    for relation in all() {
        let table = &relation.table;
        for row in rows(table, &snapshot, &eval) {
            assert_eq!(row.len(), table.columns.len(), "{}", table.name);
            for (value, column) in row.iter().zip(&table.columns) {
                assert!(cells::fits(value, column.ty), "{}.{}: {value:?}", table.name, column.name);
                assert!(
                    !(column.not_null && value.is_null()),
                    "{}.{} is NULL",
                    table.name,
                    column.name
                );
            }
        }
    }
}

#[test]
fn oids_are_unique_in_a_relation() {
    for name in ["pg_class", "pg_type", "pg_proc", "pg_operator", "pg_cast", "pg_constraint"] {
        let (table, rows) = rows_of("pg_catalog", name);
        let mut seen = std::collections::HashSet::new();
        for row in &rows {
            let oid = shown(&column(&table, row, "oid"));
            assert!(seen.insert(oid.clone()), "{name} has {oid} twice");
        }
        assert!(!rows.is_empty(), "{name} is empty");
    }
}

#[test]
fn a_table_is_described() {
    let class =
        |key| pick("pg_catalog", "pg_class", ("relname", key), &["oid", "relkind", "relnatts"]);
    assert_eq!(class("t"), ["16384|r|4"]);
    assert_eq!(class("t_pkey"), ["16385|i|1"]);
    assert_eq!(class("pg_class"), ["1259|r|33"]);
    assert_eq!(class("pg_roles"), ["12000|v|13"]);
    assert_eq!(
        pick(
            "pg_catalog",
            "pg_attribute",
            ("attrelid", "16384"),
            &["attname", "attnum", "atttypid", "atttypmod", "attnotnull", "atthasdef", "attndims"]
        ),
        [
            "tableoid|-6|26|-1|true|false|0",
            "a|1|23|-1|true|false|0",
            "b|2|1043|14|false|true|0",
            "c|4|1007|-1|false|false|1"
        ]
    );
    assert_eq!(
        pick(
            "pg_catalog",
            "pg_index",
            ("indrelid", "16384"),
            &["indexrelid", "indisprimary", "indkey", "indclass", "indoption"]
        ),
        ["16385|true|1|1978|0", "16387|false|2|3126|0"]
    );
    assert_eq!(
        pick(
            "pg_catalog",
            "pg_constraint",
            ("conrelid", "16384"),
            &["conname", "contype", "conindid", "conkey"]
        ),
        ["t_a_check|c|0|1", "t_pkey|p|16385|1"]
    );
    assert_eq!(
        pick("pg_catalog", "pg_attrdef", ("adrelid", "16384"), &["adnum", "adbin"]),
        ["2|'x'::character varying"]
    );
    assert_eq!(
        pick("pg_catalog", "pg_description", ("objoid", "16384"), &["description"]),
        ["mine"]
    );
    assert_eq!(
        pick("pg_catalog", "pg_indexes", ("tablename", "t"), &["indexdef"]),
        [
            "CREATE UNIQUE INDEX t_pkey ON public.t USING btree (a)",
            "CREATE INDEX t_b_idx ON public.t USING btree (b)"
        ]
    );
}

#[test]
fn the_standard_s_views_describe_it_too() {
    let schema = "information_schema";
    assert_eq!(
        pick(
            schema,
            "columns",
            ("table_name", "t"),
            &[
                "column_name",
                "ordinal_position",
                "column_default",
                "is_nullable",
                "data_type",
                "character_maximum_length",
                "character_octet_length",
                "numeric_precision",
                "udt_name"
            ]
        ),
        [
            "a|1|NULL|NO|integer|NULL|NULL|32|int4",
            "b|2|'x'::character varying|YES|character varying|10|40|NULL|varchar",
            "c|4|NULL|YES|ARRAY|NULL|NULL|NULL|_int4"
        ]
    );
    assert_eq!(
        pick(schema, "tables", ("table_name", "t"), &["table_schema", "table_type"]),
        ["public|BASE TABLE"]
    );
    assert_eq!(
        pick(
            schema,
            "table_constraints",
            ("table_name", "t"),
            &["constraint_name", "constraint_type"]
        ),
        ["t_pkey|PRIMARY KEY", "t_a_check|CHECK", "2200_16384_1_not_null|CHECK"]
    );
    assert_eq!(
        pick(schema, "check_constraints", ("constraint_name", "t_a_check"), &["check_clause"]),
        ["((a > 0))"]
    );
    assert_eq!(
        pick(
            schema,
            "key_column_usage",
            ("table_name", "t"),
            &["constraint_name", "column_name", "ordinal_position"]
        ),
        ["t_pkey|a|1"]
    );
}

#[test]
fn types_are_postgresql_s() {
    let ty = |name| {
        pick(
            "pg_catalog",
            "pg_type",
            ("typname", name),
            &["oid", "typarray", "typelem", "typinput", "typcategory"],
        )
    };
    assert_eq!(ty("int4"), ["23|1007|0|42|N"]);
    assert_eq!(ty("_int4"), ["1007|0|23|750|A"]);
    assert_eq!(ty("int2vector"), ["22|1006|21|40|A"]);
}

#[test]
fn a_provider_gives_its_relation_s_rows() {
    let snapshot = snapshot();
    let provider: Provider = Arc::new(|eval| vec![vec![Datum::Int4(eval.session.backend_pid)]]);
    snapshot.providers().write().insert("pg_stat_activity", provider);
    let table = table("pg_catalog", "pg_stat_activity").unwrap();
    assert_eq!(rows(&table, &snapshot, &eval(&snapshot)).len(), 1);
}
