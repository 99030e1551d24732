//! Roles, the database, tablespaces.

use super::super::descriptor::{RoleDescriptor, oids};
use super::Source;
use super::cells::*;
use crate::types::{Datum, Row};

/// `pg_default`
const DEFAULT_TABLESPACE: u32 = 1663;
/// UTF8, as `pg_database` numbers encodings.
const ENCODING_UTF8: i32 = 6;
/// What views show instead of a password.
const HIDDEN_PASSWORD: &str = "********";

/// The rows of a relation of this module; none if it is not one.
pub(super) fn rows(name: &str, source: &Source<'_>) -> Option<Vec<Row>> {
    let roles = || source.snapshot.roles();
    Some(match name {
        "pg_authid" => roles().map(|r| authid(r)).collect(),
        "pg_roles" => roles().map(|r| role(r)).collect(),
        "pg_shadow" => roles()
            .filter(|r| r.login)
            .map(|r| user(r, text_or_null(r.password.as_ref())))
            .collect(),
        "pg_user" => roles().filter(|r| r.login).map(|r| user(r, text(HIDDEN_PASSWORD))).collect(),
        "pg_db_role_setting" => roles()
            .filter(|r| !r.settings.is_empty())
            .map(|r| vec![oid(0), oid(r.oid), settings(r)])
            .collect(),
        "pg_group" => roles()
            .filter(|r| !r.login)
            .map(|r| vec![text(&r.name), oid(r.oid), oid_array(std::iter::empty())])
            .collect(),
        "pg_database" => vec![database(source)],
        "pg_tablespace" => [(DEFAULT_TABLESPACE, "pg_default"), (1664, "pg_global")]
            .into_iter()
            .map(|(id, name)| vec![oid(id), text(name), oid(oids::BOOTSTRAP_ROLE), NULL, NULL])
            .collect(),
        _ => return None,
    })
}

fn valid_until(role: &RoleDescriptor) -> Datum {
    role.valid_until.map_or(NULL, Datum::Timestamptz)
}

/// `name=value` of each, none if there is none.
fn settings(role: &RoleDescriptor) -> Datum {
    match role.settings.is_empty() {
        true => NULL,
        false => text_array(role.settings.iter().map(|(name, value)| format!("{name}={value}"))),
    }
}

fn authid(role: &RoleDescriptor) -> Row {
    vec![
        oid(role.oid),
        text(&role.name),
        bool(role.superuser),
        bool(role.inherit),
        bool(role.create_role),
        bool(role.create_db),
        bool(role.login),
        bool(role.replication),
        bool(role.bypass_rls),
        int4(role.connection_limit),
        text_or_null(role.password.as_ref()),
        valid_until(role),
    ]
}

fn role(role: &RoleDescriptor) -> Row {
    vec![
        text(&role.name),
        bool(role.superuser),
        bool(role.inherit),
        bool(role.create_role),
        bool(role.create_db),
        bool(role.login),
        bool(role.replication),
        int4(role.connection_limit),
        text(HIDDEN_PASSWORD),
        valid_until(role),
        bool(role.bypass_rls),
        settings(role),
        oid(role.oid),
    ]
}

fn user(role: &RoleDescriptor, password: Datum) -> Row {
    vec![
        text(&role.name),
        oid(role.oid),
        bool(role.create_db),
        bool(role.superuser),
        bool(role.replication),
        bool(role.bypass_rls),
        password,
        valid_until(role),
        settings(role),
    ]
}

fn database(source: &Source<'_>) -> Row {
    let database = source.snapshot.database();
    vec![
        oid(database.oid),
        text(&database.name),
        oid(source.owner(&database.owner)),
        int4(ENCODING_UTF8),
        char(b'c'),
        bool(false), // datistemplate
        bool(true),  // datallowconn
        int4(-1),
        oid(0), // datfrozenxid
        oid(0), // datminmxid
        oid(DEFAULT_TABLESPACE),
        text("C"),
        text("C"),
        NULL,
        NULL,
        NULL,
    ]
}
