//! Statements about the session itself: settings, prepared statements, DISCARD.

use super::Session;
use super::client::{Client, Field, Notice};
use super::hooks::Change;
use super::run::Outcome;
use super::settings::Source;
use super::settings::table::table;
use super::transaction::isolation_name;
use crate::error::{Error, Result, SqlState};
use crate::sql::ast::QualifiedName;
use crate::sql::bind::Binder;
use crate::sql::statement::{Discard, TransactionModes};
use crate::sql::{ParsedStatement, StatementKind};
use crate::types::{Datum, Row, SqlType};

/// Parameters that `SHOW ALL` and `pg_settings` leave out.
pub(super) const UNLISTED: [&str; 3] = ["is_superuser", "role", "session_authorization"];

impl Session {
    /// Runs a statement that is not a query.
    pub(super) async fn utility(
        &mut self,
        client: &mut impl Client,
        parsed: &ParsedStatement,
    ) -> Result<Outcome> {
        match &parsed.kind {
            statement @ (StatementKind::Begin(_)
            | StatementKind::Start(_)
            | StatementKind::Commit(_)
            | StatementKind::Rollback(_)
            | StatementKind::Savepoint(_)
            | StatementKind::Release(_)
            | StatementKind::RollbackTo(_)) => {
                self.transaction_statement(statement).await.map(Outcome::tag)
            }
            statement @ (StatementKind::SetTransaction(_)
            | StatementKind::SetSessionTransaction(_)
            | StatementKind::SetConstraints(..)
            | StatementKind::Set { .. }
            | StatementKind::Reset(_)) => self.set_statement(statement).await.map(Outcome::tag),
            StatementKind::Show(name) => self.show(name.as_deref()),
            StatementKind::Deallocate(name) => self.deallocate(name.as_deref()),
            StatementKind::Discard(what) => self.discard(*what),
            StatementKind::Prepare(name, types, kind) => {
                self.prepare_named(parsed, name, types, kind)?;
                Ok(Outcome::tag("PREPARE"))
            }
            StatementKind::Fetch(fetch) => self.fetch(fetch).await,
            StatementKind::Close(name) => self.close(name.as_deref()),
            StatementKind::Copy(copy) => self.copy(client, parsed, copy).await,
            StatementKind::Vacuum(tables, _) => {
                if self.in_block() {
                    return Err(Error::new(
                        SqlState::ACTIVE_SQL_TRANSACTION,
                        "VACUUM cannot run inside a transaction block",
                    ));
                }
                self.analyze(parsed, tables).await?;
                Ok(Outcome::tag("VACUUM"))
            }
            StatementKind::Analyze(tables) => {
                self.analyze(parsed, tables).await?;
                Ok(Outcome::tag("ANALYZE"))
            }
            StatementKind::RefreshColumnar(name) => {
                self.refresh_columnar(parsed, name).await?;
                Ok(Outcome::tag("REFRESH COLUMNAR VIEW"))
            }
            // Every commit is durable before it is acknowledged: there is nothing to flush.
            StatementKind::Checkpoint => Ok(Outcome::tag("CHECKPOINT")),
            StatementKind::LockTable(tables, mode, no_wait) => {
                self.lock_table_statement(parsed, tables, mode, *no_wait).await
            }
            StatementKind::Ddl(ddl) => self.run_ddl(ddl, parsed.text.clone()).await,
            StatementKind::Unsupported(what) => Err(Error::unsupported(what)),
            _ => Err(Error::unsupported("this statement")),
        }
    }

    /// SET of any kind and RESET; the command tag.
    async fn set_statement(&mut self, statement: &StatementKind) -> Result<&'static str> {
        match statement {
            StatementKind::SetTransaction(modes) => {
                self.warn_outside_block("SET TRANSACTION");
                self.set_transaction(*modes)?;
            }
            StatementKind::SetSessionTransaction(modes) => self.set_session_modes(*modes)?,
            StatementKind::SetConstraints(names, deferred) => {
                self.warn_outside_block("SET CONSTRAINTS");
                self.set_constraints(names.as_deref(), *deferred).await?;
                return Ok("SET CONSTRAINTS");
            }
            StatementKind::Set { name, local, value } => {
                self.set(name, *local, value.as_deref())?;
            }
            StatementKind::Reset(name) => {
                match name {
                    Some(name) => self.set(name, false, None)?,
                    None => self.settings.reset_all(self.level()),
                }
                return Ok("RESET");
            }
            _ => return Err(Error::internal("not a SET")),
        }
        Ok("SET")
    }

    /// ANALYZE, and what is left of VACUUM: old versions are collected all the time.
    async fn analyze(&mut self, parsed: &ParsedStatement, tables: &[QualifiedName]) -> Result<()> {
        let schema = self.schema();
        let eval = self.eval_context(&schema);
        for name in tables {
            Binder::new(schema.as_ref(), &eval, parsed.text.clone(), Vec::new())
                .find_table(name)?;
        }
        for (space, rows) in self.database.catalog.refresh_sizes().await? {
            self.database.statistics.learn(space, rows);
        }
        Ok(())
    }

    /// Brings a table's columnar view up to now, and returns when queries see it.
    async fn refresh_columnar(
        &mut self,
        parsed: &ParsedStatement,
        name: &QualifiedName,
    ) -> Result<()> {
        let schema = self.schema();
        let eval = self.eval_context(&schema);
        let table = Binder::new(schema.as_ref(), &eval, parsed.text.clone(), Vec::new())
            .find_table(name)?;
        let database = self.database.clone();
        let refreshed = async {
            database.columns.catch_up(&database.catalog).await;
            database.columns.refresh(&table).await
        };
        self.backend.interruptible(refreshed).await
    }

    /// Nesting level for settings: that of the open transaction.
    fn level(&self) -> u32 {
        self.transaction.as_ref().map_or(0, |t| t.level())
    }

    fn warn_outside_block(&mut self, what: &str) {
        if !self.in_block() {
            let message = format!("{what} can only be used in transaction blocks");
            self.notices.push(Notice::warning(SqlState::NO_ACTIVE_SQL_TRANSACTION, message));
        }
    }

    fn set(&mut self, name: &str, local: bool, value: Option<&str>) -> Result<()> {
        if local {
            self.warn_outside_block("SET LOCAL");
        }
        let source = Source::Session { superuser: self.superuser };
        let level = self.level();
        // Checked as any value; what it changes is the transaction.
        if let Some(modes) = self.named_modes(name, value)? {
            return self.set_transaction(modes);
        }
        if name == "session_authorization" && value.is_none_or(|user| user == self.user) {
            return Ok(());
        }
        if name == "session_authorization" {
            return Err(Error::unsupported("SET SESSION AUTHORIZATION"));
        }
        self.settings.set(name, value, local, level, source)
    }

    /// Sets what functions have asked to be set.
    pub(super) fn make_changes(&mut self, changes: Vec<Change>) -> Result<()> {
        for change in changes {
            let (name, value) = (change.name.as_str(), change.value.as_deref());
            match self.named_modes(name, value)? {
                Some(modes) => self.set_transaction(modes)?,
                None => {
                    let source = Source::Session { superuser: self.superuser };
                    self.settings.set(name, value, change.local, self.level(), source)?;
                }
            }
        }
        Ok(())
    }

    /// The modes that `SET transaction_… = value` asks for.
    fn named_modes(&mut self, name: &str, value: Option<&str>) -> Result<Option<TransactionModes>> {
        let asked = TransactionModes::default();
        let mode = match name {
            "transaction_isolation" | "transaction_read_only" | "transaction_deferrable" => name,
            _ => return Ok(None),
        };
        let defaults = self.environment.knobs(&self.settings).default_modes;
        let checked = |value: &str| {
            let setting = table().find(name).map(|id| table().get(id));
            let setting = setting.ok_or_else(|| Error::internal("a mode without a setting"))?;
            super::settings::value::canonical(setting, value)
        };
        let value = value.map(checked).transpose()?;
        let is_on = |default: bool| value.as_deref().map_or(default, |value| value == "on");
        Ok(Some(match mode {
            "transaction_isolation" => {
                let named = value.as_deref().map(super::transaction::isolation_named);
                TransactionModes { isolation: named.or(Some(defaults.isolation)), ..asked }
            }
            "transaction_read_only" => {
                TransactionModes { read_only: Some(is_on(defaults.read_only)), ..asked }
            }
            _ => TransactionModes { deferrable: Some(is_on(defaults.deferrable)), ..asked },
        }))
    }

    fn set_session_modes(&mut self, modes: TransactionModes) -> Result<()> {
        let source = Source::Session { superuser: self.superuser };
        let level = self.level();
        let on = |value| if value { "on" } else { "off" };
        let asked = [
            ("default_transaction_isolation", modes.isolation.map(isolation_name)),
            ("default_transaction_read_only", modes.read_only.map(on)),
            ("default_transaction_deferrable", modes.deferrable.map(on)),
        ];
        for (name, value) in asked {
            if value.is_some() {
                self.settings.set(name, value, false, level, source)?;
            }
        }
        Ok(())
    }

    /// The columns of SHOW.
    pub(super) fn show_fields(&self, name: Option<&str>) -> Result<Vec<Field>> {
        Ok(match name {
            Some(name) => vec![Field::new(&self.settings.show(name)?.0, SqlType::TEXT)],
            None => ["name", "setting", "description"]
                .map(|name| Field::new(name, SqlType::TEXT))
                .to_vec(),
        })
    }

    fn show(&mut self, name: Option<&str>) -> Result<Outcome> {
        let rows: Vec<Row> = match name {
            Some(name) => vec![vec![Datum::text(self.settings.show(name)?.1)]],
            None => table()
                .all()
                .filter(|(_, setting)| !UNLISTED.contains(&setting.name))
                .map(|(id, setting)| {
                    let shown = super::settings::value::show(setting, self.settings.value_of(id));
                    [setting.name, &shown, setting.description].map(Datum::text).to_vec()
                })
                .collect(),
        };
        Ok(Outcome { tag: "SHOW".into(), rows: Some(rows) })
    }

    fn deallocate(&mut self, name: Option<&str>) -> Result<Outcome> {
        let Some(name) = name else {
            self.statements.clear();
            return Ok(Outcome::tag("DEALLOCATE ALL"));
        };
        self.statement(name)?;
        self.statements.remove(name);
        Ok(Outcome::tag("DEALLOCATE"))
    }

    fn discard(&mut self, what: Discard) -> Result<Outcome> {
        match what {
            Discard::All => {
                if self.in_block() {
                    return Err(Error::new(
                        SqlState::ACTIVE_SQL_TRANSACTION,
                        "DISCARD ALL cannot run inside a transaction block",
                    ));
                }
                let level = self.level();
                self.portals.clear();
                self.cursors.clear();
                self.statements.clear();
                self.settings.reset_all(level);
                self.forget_sequences();
                Ok(Outcome::tag("DISCARD ALL"))
            }
            Discard::Plans => Ok(Outcome::tag("DISCARD PLANS")),
            Discard::Sequences => {
                self.forget_sequences();
                Ok(Outcome::tag("DISCARD SEQUENCES"))
            }
            Discard::Temp => Ok(Outcome::tag("DISCARD TEMP")),
        }
    }
}
