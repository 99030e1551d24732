//! EXPLAIN's text.

use std::collections::HashMap;

use crate::sql::bound::{ColId, Expr, SortKey, Statement};

/// Names of a statement's columns, as EXPLAIN shows them.
#[derive(Default)]
pub struct Names {
    columns: HashMap<ColId, String>,
}

impl Names {
    /// The names in a statement.
    pub fn of(_statement: &Statement) -> Names {
        Names::default()
    }

    /// Conditions, ANDed.
    pub fn conjunction(&self, _exprs: &[Expr]) -> String {
        String::new()
    }

    /// Expressions with commas between.
    pub fn list(&self, _exprs: &[Expr]) -> String {
        let _ = &self.columns;
        String::new()
    }

    /// Sort keys.
    pub fn sort_keys(&self, _keys: &[SortKey]) -> String {
        String::new()
    }
}
