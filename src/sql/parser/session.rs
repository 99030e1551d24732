//! Statements, and the commands about transactions, settings, prepared statements and COPY.

use std::sync::Arc;

use super::super::ast::QualifiedName;
use super::super::keywords::Keyword as K;
use super::super::lexer::Kind;
use super::super::statement::*;
use super::{COLUMN_NAMES, LABELS, Parser};
use crate::error::{Error, Result, SqlState};

impl Parser<'_> {
    /// Every statement of the text.
    pub fn statements(&mut self, whole: &Arc<str>) -> Result<Vec<ParsedStatement>> {
        let mut found = Vec::new();
        loop {
            while self.eat_char(b';') {}
            if self.kind() == Kind::Eof {
                return Ok(found);
            }
            let start = self.at() as usize;
            let kind = self.statement()?;
            let range = start..self.end() as usize;
            if self.kind() != Kind::Eof && !self.is_char(b';') {
                return Err(self.unexpected());
            }
            found.push(ParsedStatement { kind, text: whole.clone(), range });
        }
    }

    fn statement(&mut self) -> Result<StatementKind> {
        let Kind::Keyword(keyword) = self.kind() else {
            if self.is_char(b'(') && self.opens_query() {
                return Ok(StatementKind::Query(Box::new(self.query()?)));
            }
            return Err(self.unexpected());
        };
        match keyword {
            K::Select | K::Values | K::Table | K::With => self.optimizable(),
            K::Insert | K::Update | K::Delete => self.optimizable(),
            K::Begin
            | K::Start
            | K::Commit
            | K::End
            | K::Rollback
            | K::Abort
            | K::Savepoint
            | K::Release => self.transaction(keyword),
            K::Set => self.set(),
            K::Reset => {
                self.advance();
                Ok(StatementKind::Reset(self.setting_or_all()?))
            }
            K::Show => {
                self.advance();
                Ok(StatementKind::Show(self.setting_or_all()?))
            }
            K::Discard => self.discard(),
            K::Explain => self.explain(),
            K::Prepare => self.prepare(),
            K::Execute => self.execute(),
            K::Deallocate => {
                self.advance();
                self.eat(K::Prepare);
                let name = if self.eat(K::All) { None } else { Some(self.plain_name()?) };
                Ok(StatementKind::Deallocate(name))
            }
            K::Copy => self.copy(),
            K::Vacuum => self.vacuum(),
            K::Analyze | K::Analyse => self.analyze(),
            K::Checkpoint => {
                self.advance();
                Ok(StatementKind::Checkpoint)
            }
            K::Lock => self.lock_table(),
            K::Refresh => self.refresh(),
            K::Declare => self.declare(),
            K::Fetch | K::Move => self.fetch(),
            K::Close => self.close(),
            K::Listen
            | K::Unlisten
            | K::Notify
            | K::Load
            | K::Do
            | K::Call
            | K::Cluster
            | K::Reindex
            | K::Merge
            | K::Reassign
            | K::Security => Ok(self.unsupported_statement(keyword)),
            K::Create
            | K::Alter
            | K::Drop
            | K::Truncate
            | K::Comment
            | K::Grant
            | K::Revoke
            | K::Import => self.ddl(),
            _ => Err(self.unexpected()),
        }
    }

    /// A statement that reads or writes rows.
    pub(super) fn optimizable(&mut self) -> Result<StatementKind> {
        let from = self.next;
        let with = self.with_clause()?;
        match self.kind() {
            Kind::Keyword(K::Insert) => Ok(StatementKind::Insert(Box::new(self.insert(with)?))),
            Kind::Keyword(K::Update) => Ok(StatementKind::Update(Box::new(self.update(with)?))),
            Kind::Keyword(K::Delete) => Ok(StatementKind::Delete(Box::new(self.delete(with)?))),
            Kind::Keyword(K::Merge) if with.is_some() => Ok(self.unsupported_statement(K::Merge)),
            _ => {
                self.next = from;
                Ok(StatementKind::Query(Box::new(self.query()?)))
            }
        }
    }

    /// Skips to the statement's end.
    fn unsupported_statement(&mut self, keyword: K) -> StatementKind {
        self.skip_statement();
        StatementKind::Unsupported(keyword.word().to_ascii_uppercase())
    }

    pub(super) fn skip_statement(&mut self) {
        while !matches!(self.kind(), Kind::Eof | Kind::Invalid | Kind::Char(b';')) {
            self.advance();
        }
    }

    fn plain_name(&mut self) -> Result<String> {
        Ok(self.column_name()?.name.to_string())
    }

    fn transaction(&mut self, keyword: K) -> Result<StatementKind> {
        self.advance();
        match keyword {
            K::Begin | K::Start => {
                if keyword == K::Start {
                    self.expect(K::Transaction)?;
                    return Ok(StatementKind::Start(self.transaction_modes(false)?));
                }
                self.eat_work();
                Ok(StatementKind::Begin(self.transaction_modes(false)?))
            }
            K::Commit | K::Rollback if self.is(K::Prepared) => {
                self.skip_statement();
                let verb = keyword.word().to_ascii_uppercase();
                Ok(StatementKind::Unsupported(format!("{verb} PREPARED")))
            }
            K::Commit | K::End => {
                self.eat_work();
                Ok(StatementKind::Commit(self.chain()?))
            }
            K::Savepoint => Ok(StatementKind::Savepoint(self.plain_name()?)),
            K::Release => {
                self.eat(K::Savepoint);
                Ok(StatementKind::Release(self.plain_name()?))
            }
            _ => {
                self.eat_work();
                if keyword == K::Rollback && self.eat(K::To) {
                    self.eat(K::Savepoint);
                    return Ok(StatementKind::RollbackTo(self.plain_name()?));
                }
                Ok(StatementKind::Rollback(self.chain()?))
            }
        }
    }

    fn eat_work(&mut self) {
        if !self.eat(K::Work) {
            self.eat(K::Transaction);
        }
    }

    fn chain(&mut self) -> Result<bool> {
        if !self.eat(K::And) {
            return Ok(false);
        }
        let no = self.eat(K::No);
        self.expect(K::Chain)?;
        Ok(!no)
    }

    fn transaction_modes(&mut self, required: bool) -> Result<TransactionModes> {
        let mut modes = TransactionModes::default();
        let mut first = required;
        loop {
            if self.eat(K::Isolation) {
                self.expect(K::Level)?;
                modes.isolation = Some(self.isolation_level()?);
            } else if self.eat(K::Read) {
                let only = self.eat(K::Only);
                if !only {
                    self.expect(K::Write)?;
                }
                modes.read_only = Some(only);
            } else if self.eat(K::Deferrable) {
                modes.deferrable = Some(true);
            } else if self.eat_all(&[K::Not, K::Deferrable]) {
                modes.deferrable = Some(false);
            } else if first {
                return Err(self.unexpected());
            } else {
                return Ok(modes);
            }
            first = self.eat_char(b',');
        }
    }

    fn isolation_level(&mut self) -> Result<IsolationLevel> {
        if self.eat(K::Serializable) {
            Ok(IsolationLevel::Serializable)
        } else if self.eat_all(&[K::Repeatable, K::Read]) {
            Ok(IsolationLevel::RepeatableRead)
        } else if self.eat_all(&[K::Read, K::Committed]) {
            Ok(IsolationLevel::ReadCommitted)
        } else if self.eat_all(&[K::Read, K::Uncommitted]) {
            Ok(IsolationLevel::ReadUncommitted)
        } else {
            if matches!(self.kind(), Kind::Keyword(K::Read | K::Repeatable)) {
                self.advance();
            }
            Err(self.unexpected())
        }
    }

    /// After SET CONSTRAINTS.
    fn set_constraints(&mut self) -> Result<StatementKind> {
        let names = match self.eat(K::All) {
            true => None,
            false => Some(self.list(Self::qualified_name)?),
        };
        let deferred = self.eat(K::Deferred);
        if !deferred {
            self.expect(K::Immediate)?;
        }
        Ok(StatementKind::SetConstraints(names, deferred))
    }

    fn set(&mut self) -> Result<StatementKind> {
        self.expect(K::Set)?;
        if self.is(K::Transaction) {
            self.advance();
            if self.is(K::Snapshot) {
                self.skip_statement();
                return Ok(StatementKind::Unsupported("SET TRANSACTION SNAPSHOT".into()));
            }
            return Ok(StatementKind::SetTransaction(self.transaction_modes(true)?));
        }
        if self.is(K::Constraints) {
            self.advance();
            return self.set_constraints();
        }
        if self.eat_all(&[K::Session, K::Characteristics]) {
            self.expect(K::As)?;
            self.expect(K::Transaction)?;
            return Ok(StatementKind::SetSessionTransaction(self.transaction_modes(true)?));
        }
        let mut local = false;
        if (self.is(K::Local) || self.is(K::Session)) && !self.is_set_operator(1) {
            local = self.is(K::Local);
            self.advance();
            if self.is(K::Transaction) && local {
                self.advance();
                return Ok(StatementKind::SetTransaction(self.transaction_modes(true)?));
            }
        }
        let (name, value) = self.setting_and_value()?;
        Ok(StatementKind::Set { name, local, value })
    }

    fn is_set_operator(&self, ahead: usize) -> bool {
        self.is_char_at(ahead, b'=') || self.is_at(ahead, K::To) || self.is_char_at(ahead, b'.')
    }

    pub(super) fn setting_and_value(&mut self) -> Result<(String, Option<String>)> {
        // SET SESSION AUTHORIZATION: the word SESSION was taken already.
        if self.is(K::Authorization) {
            self.advance();
            let value = if self.eat(K::Default) { None } else { Some(self.word_or_string()?) };
            return Ok(("session_authorization".into(), value));
        }
        if !self.is_set_operator(1) {
            match self.kind() {
                Kind::Keyword(K::Time) if self.is_at(1, K::Zone) => {
                    self.advance();
                    self.advance();
                    return Ok(("timezone".into(), self.time_zone()?));
                }
                Kind::Keyword(K::Names) => {
                    self.advance();
                    let value = match self.kind() {
                        Kind::Eof | Kind::Char(b';') => None,
                        _ if self.eat(K::Default) => None,
                        _ => Some(self.word_or_string()?),
                    };
                    return Ok(("client_encoding".into(), value));
                }
                Kind::Keyword(K::Schema) => {
                    self.advance();
                    return Ok(("search_path".into(), Some(self.string()?.to_string())));
                }
                Kind::Keyword(K::Role) => {
                    self.advance();
                    return Ok(("role".into(), Some(self.word_or_string()?)));
                }
                _ => {}
            }
        }
        let name = self.setting_name()?;
        if self.is(K::From) {
            return Err(self.unsupported("SET … FROM CURRENT", self.at()));
        }
        if !self.eat_char(b'=') {
            self.expect(K::To)?;
        }
        if self.eat(K::Default) {
            return Ok((name, None));
        }
        let values = self.list(Self::setting_value)?;
        Ok((name, Some(values.join(", "))))
    }

    /// `name(.name)*`
    fn setting_name(&mut self) -> Result<String> {
        let mut name = self.plain_name()?;
        while self.eat_char(b'.') {
            name.push('.');
            name.push_str(&self.column_name()?.name);
        }
        Ok(name.to_ascii_lowercase())
    }

    /// One value of SET: a string, a number or a word.
    pub(super) fn setting_value(&mut self) -> Result<String> {
        match self.kind() {
            Kind::Char(b'+' | b'-') | Kind::Integer | Kind::Decimal => {
                let sign = match self.kind() {
                    Kind::Char(b'-') => "-",
                    _ => "",
                };
                if matches!(self.kind(), Kind::Char(_)) {
                    self.advance();
                }
                if !matches!(self.kind(), Kind::Integer | Kind::Decimal) {
                    return Err(self.unexpected());
                }
                let token = self.advance();
                Ok(format!("{sign}{}", self.source(token)))
            }
            _ => self.word_or_string(),
        }
    }

    fn word_or_string(&mut self) -> Result<String> {
        if self.at_string() {
            return Ok(self.string()?.to_string());
        }
        match self.kind() {
            Kind::Keyword(K::True | K::False | K::On) => {
                let token = self.advance();
                Ok(self.source(token).to_ascii_lowercase())
            }
            _ if self.is_name_at(0, NON_RESERVED) => Ok(self.take_name()?.name.to_string()),
            _ => Err(self.unexpected()),
        }
    }

    fn time_zone(&mut self) -> Result<Option<String>> {
        match self.kind() {
            Kind::Keyword(K::Default | K::Local) => {
                self.advance();
                Ok(None)
            }
            Kind::Keyword(K::Interval) => {
                let at = self.at();
                Err(self.unsupported("SET TIME ZONE INTERVAL", at))
            }
            _ => self.setting_value().map(Some),
        }
    }

    pub(super) fn setting_or_all(&mut self) -> Result<Option<String>> {
        match self.kind() {
            Kind::Keyword(K::All) => {
                self.advance();
                Ok(None)
            }
            Kind::Keyword(K::Time) if self.is_at(1, K::Zone) => {
                self.advance();
                self.advance();
                Ok(Some("timezone".into()))
            }
            Kind::Keyword(K::Transaction) => {
                self.advance();
                self.expect(K::Isolation)?;
                self.expect(K::Level)?;
                Ok(Some("transaction_isolation".into()))
            }
            Kind::Keyword(K::Session) if self.is_at(1, K::Authorization) => {
                self.advance();
                self.advance();
                Ok(Some("session_authorization".into()))
            }
            _ => self.setting_name().map(Some),
        }
    }

    /// REFRESH COLUMNAR VIEW, Sluice's own. COLUMNAR is no keyword: it stays a plain name.
    fn refresh(&mut self) -> Result<StatementKind> {
        if self.peek_at(1).kind != Kind::Word || self.peek_at(2).kind != Kind::Keyword(K::View) {
            return Ok(self.unsupported_statement(K::Refresh));
        }
        self.advance();
        let what = self.column_name()?;
        if what.name.as_ref() != "columnar" {
            return Err(self.error("syntax error at REFRESH", what.at));
        }
        self.expect(K::View)?;
        Ok(StatementKind::RefreshColumnar(self.qualified_name()?))
    }

    fn discard(&mut self) -> Result<StatementKind> {
        self.advance();
        let what = match self.kind() {
            Kind::Keyword(K::All) => Discard::All,
            Kind::Keyword(K::Plans) => Discard::Plans,
            Kind::Keyword(K::Sequences) => Discard::Sequences,
            Kind::Keyword(K::Temp | K::Temporary) => Discard::Temp,
            _ => return Err(self.unexpected()),
        };
        self.advance();
        Ok(StatementKind::Discard(what))
    }

    fn explain(&mut self) -> Result<StatementKind> {
        self.advance();
        let mut options = ExplainOptions::default();
        if self.is_char(b'(') && !self.opens_query() {
            self.parens(|p| p.explain_option(&mut options))?;
        } else {
            options.analyze = self.eat(K::Analyze) || self.eat(K::Analyse);
            options.verbose = self.eat(K::Verbose);
        }
        let inner = match self.kind() {
            Kind::Keyword(K::Execute) => self.execute()?,
            Kind::Keyword(
                K::Select | K::Values | K::Table | K::With | K::Insert | K::Update | K::Delete,
            )
            | Kind::Char(b'(') => self.optimizable()?,
            Kind::Keyword(K::Create | K::Declare | K::Refresh | K::Merge) => {
                return Ok(self.unsupported_statement(K::Explain));
            }
            _ => return Err(self.unexpected()),
        };
        Ok(StatementKind::Explain(options, Box::new(inner)))
    }

    fn explain_option(&mut self, options: &mut ExplainOptions) -> Result<()> {
        let at = self.at();
        let name = self.name_of(LABELS)?.name;
        let value = match self.kind() {
            Kind::Char(b',' | b')') => None,
            _ => Some(self.setting_value()?),
        };
        if &*name == "format" {
            let format = value.unwrap_or_default().to_ascii_lowercase();
            if !matches!(format.as_str(), "text" | "json" | "yaml" | "xml") {
                let message =
                    format!("unrecognized value for EXPLAIN option \"format\": \"{format}\"");
                return Err(self.invalid(message, at));
            }
            options.format = Some(format);
            return Ok(());
        }
        let on = match value.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None | Some("true" | "on" | "1") => true,
            Some("false" | "off" | "0") => false,
            _ => {
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    format!("{name} requires a Boolean value"),
                ));
            }
        };
        match &*name {
            "analyze" => options.analyze = on,
            "verbose" => options.verbose = on,
            "costs" => options.costs = Some(on),
            "buffers" => options.buffers = on,
            "timing" => options.timing = Some(on),
            "summary" => options.summary = Some(on),
            "settings" => options.settings = on,
            "wal" => options.wal = on,
            _ => return Err(self.error(format!("unrecognized EXPLAIN option \"{name}\""), at)),
        }
        Ok(())
    }

    pub(super) fn invalid(&self, message: impl Into<String>, at: u32) -> Error {
        Error::new(SqlState::INVALID_PARAMETER_VALUE, message).at(super::position_at(self.text, at))
    }

    fn prepare(&mut self) -> Result<StatementKind> {
        self.advance();
        if self.is(K::Transaction) && self.peek_at(1).kind == Kind::String {
            self.skip_statement();
            return Ok(StatementKind::Unsupported("PREPARE TRANSACTION".into()));
        }
        let name = self.plain_name()?;
        let types = if self.is_char(b'(') { self.parens(Self::type_name)? } else { Vec::new() };
        self.expect(K::As)?;
        match self.kind() {
            Kind::Keyword(
                K::Select | K::Values | K::Table | K::With | K::Insert | K::Update | K::Delete,
            )
            | Kind::Char(b'(') => {}
            _ => return Err(self.unexpected()),
        }
        Ok(StatementKind::Prepare(name, types, Box::new(self.optimizable()?)))
    }

    fn execute(&mut self) -> Result<StatementKind> {
        self.advance();
        let name = self.plain_name()?;
        let args = if self.is_char(b'(') { self.parens(Self::expr)? } else { Vec::new() };
        Ok(StatementKind::Execute(name, args))
    }

    fn vacuum(&mut self) -> Result<StatementKind> {
        self.advance();
        let mut analyze = false;
        if self.is_char(b'(') {
            analyze = self.skip_options(K::Analyze)?;
        } else {
            self.eat(K::Full);
            self.eat(K::Freeze);
            self.eat(K::Verbose);
            analyze |= self.eat(K::Analyze) || self.eat(K::Analyse);
        }
        Ok(StatementKind::Vacuum(self.tables_with_columns()?, analyze))
    }

    fn analyze(&mut self) -> Result<StatementKind> {
        self.advance();
        if self.is_char(b'(') {
            self.skip_options(K::Analyze)?;
        } else {
            self.eat(K::Verbose);
        }
        Ok(StatementKind::Analyze(self.tables_with_columns()?))
    }

    /// Options in parentheses that only steer PostgreSQL's own work; whether `sought` is on.
    fn skip_options(&mut self, sought: K) -> Result<bool> {
        let mut found = false;
        self.parens(|p| {
            let name = p.name_of(LABELS)?.name;
            let value = match p.kind() {
                Kind::Char(b',' | b')') => None,
                _ => Some(p.setting_value()?),
            };
            found |=
                &*name == sought.word() && !matches!(value.as_deref(), Some("off" | "false" | "0"));
            Ok(())
        })?;
        Ok(found)
    }

    fn tables_with_columns(&mut self) -> Result<Vec<QualifiedName>> {
        if !self.is_name_at(0, COLUMN_NAMES) {
            return Ok(Vec::new());
        }
        self.list(|p| {
            let name = p.qualified_name()?;
            if p.is_char(b'(') {
                p.parens(Self::column_name)?;
            }
            Ok(name)
        })
    }

    fn lock_table(&mut self) -> Result<StatementKind> {
        self.advance();
        self.eat(K::Table);
        let tables = self.list(Self::relation)?;
        let mut mode = "ACCESS EXCLUSIVE".to_owned();
        if self.eat(K::In) {
            let modes: &[(&[K], &str)] = &[
                (&[K::Access, K::Share], "ACCESS SHARE"),
                (&[K::Row, K::Share], "ROW SHARE"),
                (&[K::Row, K::Exclusive], "ROW EXCLUSIVE"),
                (&[K::Share, K::Update, K::Exclusive], "SHARE UPDATE EXCLUSIVE"),
                (&[K::Share, K::Row, K::Exclusive], "SHARE ROW EXCLUSIVE"),
                (&[K::Share], "SHARE"),
                (&[K::Exclusive], "EXCLUSIVE"),
                (&[K::Access, K::Exclusive], "ACCESS EXCLUSIVE"),
            ];
            let Some((_, name)) = modes.iter().find(|(words, _)| self.eat_all(words)) else {
                return Err(self.unexpected());
            };
            mode = (*name).to_owned();
            self.expect(K::Mode)?;
        }
        let nowait = self.eat(K::Nowait);
        Ok(StatementKind::LockTable(tables, mode, nowait))
    }
}

/// What may stand as a word of SET.
const NON_RESERVED: &[super::Category] =
    &[super::Category::Unreserved, super::Category::ColumnName, super::Category::TypeOrFunction];
