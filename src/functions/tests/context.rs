//! A context to evaluate in, without a catalog.

use std::sync::Arc;

use crate::clock::SimulatedClock;
use crate::functions::{CatalogLookup, EvalContext, SessionInfo};

struct NoCatalog;

impl CatalogLookup for NoCatalog {
    fn relation_name(&self, _: u32) -> Option<(String, String)> {
        None
    }
    fn relation_oid(&self, _: Option<&str>, _: &str, _: &[String]) -> Option<u32> {
        None
    }
    fn schema_oid(&self, _: &str) -> Option<u32> {
        None
    }
    fn schema_name(&self, _: u32) -> Option<String> {
        None
    }
    fn role_oid(&self, _: &str) -> Option<u32> {
        None
    }
    fn role_name(&self, _: u32) -> Option<String> {
        None
    }
    fn index_definition(&self, _: u32, _: i32) -> Option<String> {
        None
    }
    fn constraint_definition(&self, _: u32, _: &[String]) -> Option<String> {
        None
    }
    fn relation_size(&self, _: u32) -> Option<i64> {
        None
    }
    fn column_sequence(&self, _: u32, _: &str) -> Option<Option<(String, String)>> {
        None
    }
    fn comment(&self, _: u32, _: &str, _: i32) -> Option<String> {
        None
    }

    fn sequence(&self, _: u32) -> Option<Box<dyn crate::functions::SequenceCounter + '_>> {
        None
    }

    fn last_sequence(&self, _: i32) -> Option<u32> {
        None
    }
}

/// The transaction began at 2024-02-29 12:34:56.789012 UTC.
pub(in crate::functions) fn context() -> EvalContext {
    let time = 762_525_296_789_012;
    EvalContext {
        transaction_time: time,
        statement_time: time,
        session: Arc::new(SessionInfo {
            analytics: Default::default(),
            state: Arc::default(),
            session_user: "postgres".into(),
            current_user: "postgres".into(),
            database: "postgres".into(),
            search_path: vec!["pg_catalog".into(), "public".into()],
            backend_pid: 1,
            format: Default::default(),
            settings: Default::default(),
        }),
        catalog: Arc::new(NoCatalog),
        clock: Arc::new(SimulatedClock::new(1_709_210_096_789_012, 1)),
    }
}
