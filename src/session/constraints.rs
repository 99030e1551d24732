//! SET CONSTRAINTS, and the checks that COMMIT makes.

use super::Session;
use super::system::SystemTables;
use crate::catalog::CatalogSnapshot;
use crate::error::{Error, Result, SqlState};
use crate::exec::{ExecContext, State, check_deferred};
use crate::sql::ast::QualifiedName;
use crate::sql::bind::TableLookup;
use crate::types::descriptor::{ConstraintTiming, IndexDescriptor, TableDescriptor};

impl Session {
    /// SET CONSTRAINTS; what is not deferred any more is checked at once.
    pub(super) async fn set_constraints(
        &mut self,
        names: Option<&[QualifiedName]>,
        deferred: bool,
    ) -> Result<()> {
        let database = self.database.clone();
        let schema = self.transaction()?.schema_now(&database.catalog);
        let mut oids = Vec::new();
        if let Some(names) = names {
            let eval = self.eval_context(&schema);
            for name in names {
                oids.extend(deferrable_named(&schema, &eval.session.search_path, name)?);
            }
        }
        let transaction = self.transaction()?;
        transaction.deferred.set(names.map(|_| oids.as_slice()), deferred);
        self.check_constraints().await
    }

    /// The checks that wait for the end of the transaction.
    pub(super) async fn end_constraints(&mut self) -> Result<()> {
        let Some(transaction) = &mut self.transaction else { return Ok(()) };
        if transaction.block == super::transaction::Block::Failed {
            return Ok(());
        }
        transaction.deferred.end();
        self.check_constraints().await
    }

    async fn check_constraints(&mut self) -> Result<()> {
        let Some(transaction) = &self.transaction else { return Ok(()) };
        if !transaction.deferred.is_due() {
            return Ok(());
        }
        let database = self.database.clone();
        let schema = transaction.schema_now(&database.catalog);
        let eval = self.eval_context(&schema);
        let token = self.backend.token();
        let Some(transaction) = &mut self.transaction else { return Ok(()) };
        let Some(txn) = &mut transaction.txn else { return Ok(()) };
        let mut context = ExecContext {
            txn,
            deferred: &mut transaction.deferred,
            eval: &eval,
            params: &[],
            catalog: &schema,
            virtuals: &SystemTables {
                schema: &schema,
                eval: &eval,
                columns: &database.columns,
                cursors: &self.cursors,
                statements: &self.statements,
            },
            cancel: &token,
            state: State::default(),
        };
        self.backend.check()?;
        self.backend.interruptible(check_deferred(&mut context)).await
    }
}

/// The foreign keys of a name: those of the first schema that has any.
fn deferrable_named(
    catalog: &CatalogSnapshot,
    search_path: &[String],
    name: &QualifiedName,
) -> Result<Vec<u32>> {
    let written: Vec<&str> = name.iter().map(|part| &*part.name).collect();
    let (schemas, name) = match written.as_slice() {
        [.., schema, name] => (vec![*schema], *name),
        [name] => (search_path.iter().map(String::as_str).collect(), *name),
        [] => (Vec::new(), ""),
    };
    for schema in &schemas {
        if written.len() > 1 && !catalog.has_schema(schema) {
            let message = format!("schema \"{schema}\" does not exist");
            return Err(Error::new(SqlState::INVALID_SCHEMA_NAME, message));
        }
        let mut found = Vec::new();
        for table in catalog.tables().filter(|table| table.schema == *schema) {
            let keys = table.foreign_keys.iter().filter(|key| key.name == name);
            for key in keys {
                if key.timing == ConstraintTiming::NotDeferrable {
                    return Err(not_deferrable(name));
                }
                found.push(key.oid);
            }
            if has_other_constraint(table, name) {
                return Err(not_deferrable(name));
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    let message = format!("constraint \"{}\" does not exist", written.join("."));
    Err(Error::new(SqlState::UNDEFINED_OBJECT, message))
}

/// Whether a key or a CHECK has the name.
fn has_other_constraint(table: &TableDescriptor, name: &str) -> bool {
    let primary = !table.hidden_key && table.primary.name == name;
    let unique = |index: &IndexDescriptor| index.constraint_oid.is_some() && index.name == name;
    primary
        || table.indexes.iter().any(unique)
        || table.checks.iter().any(|check| check.name == name)
}

fn not_deferrable(name: &str) -> Error {
    let message = format!("constraint \"{name}\" is not deferrable");
    Error::new(SqlState::WRONG_OBJECT_TYPE, message)
}
