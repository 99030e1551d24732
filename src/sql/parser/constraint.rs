//! Constraints of columns and tables.

use super::super::ddl::{
    ColumnConstraint, Constraint, ConstraintKind, ForeignKey, SequenceOptions,
};
use super::super::keywords::Keyword as K;
use super::super::lexer::Kind;
use super::super::position_at;
use super::Parser;
use crate::error::{Error, Result, SqlState};
use crate::types::descriptor::{ConstraintTiming, ForeignAction};

impl Parser<'_> {
    /// A constraint of a column; inner none: it says nothing that is not so anyway.
    #[expect(clippy::option_option, reason = "no constraint, or one without effect")]
    pub(super) fn column_constraint(&mut self) -> Result<Option<Option<ColumnConstraint>>> {
        let named_at = self.at();
        let name = match self.eat(K::Constraint) {
            true => Some(self.column_name()?.name.to_string()),
            false => None,
        };
        let at = if name.is_some() { named_at } else { self.at() };
        let position = position_at(self.text, at);
        let table = |name, kind| ColumnConstraint::Table(Constraint { name, kind, position });
        let Kind::Keyword(keyword) = self.kind() else {
            return if name.is_some() { Err(self.unexpected()) } else { Ok(None) };
        };
        let constraint = match keyword {
            K::Not if self.is_at(1, K::Null) => {
                self.next += 2;
                ColumnConstraint::NotNull(position)
            }
            K::Null => {
                self.advance();
                ColumnConstraint::Null(position)
            }
            K::Unique => {
                self.advance();
                self.key_clauses()?;
                self.checked_at_once(&ConstraintKind::Unique(Vec::new()))?;
                table(name, ConstraintKind::Unique(Vec::new()))
            }
            K::Primary => {
                self.advance();
                self.expect(K::Key)?;
                self.key_clauses()?;
                self.checked_at_once(&ConstraintKind::PrimaryKey(Vec::new()))?;
                table(name, ConstraintKind::PrimaryKey(Vec::new()))
            }
            K::Check => table(name, self.check()?),
            K::Default => {
                self.advance();
                let from = self.at();
                let expr = self.restricted_expr()?;
                ColumnConstraint::Default(self.source_expr(expr, from), position)
            }
            K::Generated => self.generated(position)?,
            K::References => table(name, self.references(Vec::new())?),
            K::Collate if name.is_none() => {
                self.advance();
                let at = self.at();
                let collation = self.qualified_name()?;
                let collation = collation.last().map_or("", |c| c.name.as_ref());
                if !matches!(collation, "C" | "POSIX" | "default" | "ucs_basic") {
                    let what = format!("collation \"{collation}\"");
                    return Err(self.unsupported(what, at));
                }
                return Ok(Some(None));
            }
            K::Deferrable | K::Initially | K::Not if let Some(clause) = self.timing_clause() => {
                return Err(self.error(format!("misplaced {clause} clause"), self.at()));
            }
            K::Not => {
                self.advance();
                return Err(self.unexpected());
            }
            _ if name.is_some() => return Err(self.unexpected()),
            _ => return Ok(None),
        };
        Ok(Some(Some(constraint)))
    }

    /// DEFERRABLE and INITIALLY … (`ConstraintAttributeSpec`).
    fn constraint_timing(&mut self) -> Result<ConstraintTiming> {
        let (mut deferrable, mut deferred) = (None, None);
        loop {
            let at = self.at();
            let (said, value) = if self.eat(K::Deferrable) {
                (&mut deferrable, true)
            } else if self.eat_all(&[K::Not, K::Deferrable]) {
                (&mut deferrable, false)
            } else if self.eat_all(&[K::Initially, K::Deferred]) {
                (&mut deferred, true)
            } else if self.eat_all(&[K::Initially, K::Immediate]) {
                (&mut deferred, false)
            } else {
                break;
            };
            if said.replace(value).is_some_and(|before| before != value) {
                return Err(self.error("conflicting constraint properties", at));
            }
            if deferred == Some(true) && deferrable == Some(false) {
                let message = "constraint declared INITIALLY DEFERRED must be DEFERRABLE";
                return Err(self.error(message, at));
            }
        }
        Ok(match (deferrable, deferred) {
            (_, Some(true)) => ConstraintTiming::Deferred,
            (Some(true), _) => ConstraintTiming::Immediate,
            _ => ConstraintTiming::NotDeferrable,
        })
    }

    /// The clause about timing that stands here, where none may follow.
    fn timing_clause(&self) -> Option<&'static str> {
        match self.kind() {
            Kind::Keyword(K::Deferrable) => Some("DEFERRABLE"),
            Kind::Keyword(K::Initially) if self.is_at(1, K::Deferred) => Some("INITIALLY DEFERRED"),
            Kind::Keyword(K::Initially) if self.is_at(1, K::Immediate) => {
                Some("INITIALLY IMMEDIATE")
            }
            Kind::Keyword(K::Not) if self.is_at(1, K::Deferrable) => Some("NOT DEFERRABLE"),
            _ => None,
        }
    }

    /// The timing of a key or a CHECK: no other than at once.
    fn checked_at_once(&mut self, kind: &ConstraintKind) -> Result<()> {
        let at = self.at();
        match (self.constraint_timing()?, kind) {
            (ConstraintTiming::NotDeferrable, _) => Ok(()),
            (_, ConstraintKind::Check(_)) => {
                let message = "CHECK constraints cannot be marked DEFERRABLE";
                Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message))
            }
            _ => Err(self.unsupported("a DEFERRABLE unique constraint", at)),
        }
    }

    pub(super) fn generated(&mut self, position: u32) -> Result<ColumnConstraint> {
        let at = self.at();
        self.expect(K::Generated)?;
        let always = self.eat(K::Always);
        if !always {
            self.expect(K::By)?;
            self.expect(K::Default)?;
        }
        self.expect(K::As)?;
        if self.is_char(b'(') {
            return Err(self.unsupported("GENERATED ALWAYS AS (…) STORED", at));
        }
        self.expect(K::Identity)?;
        let options = match self.eat_char(b'(') {
            true => {
                let options = self.sequence_options(true)?;
                self.expect_char(b')')?;
                options
            }
            false => SequenceOptions::default(),
        };
        Ok(ColumnConstraint::Identity { always, options, position })
    }

    fn check(&mut self) -> Result<ConstraintKind> {
        self.expect(K::Check)?;
        self.expect_char(b'(')?;
        let from = self.at();
        let expr = self.expr()?;
        let source = self.source_expr(expr, from);
        self.expect_char(b')')?;
        if self.is(K::No) && self.is_at(1, K::Inherit) {
            return Err(self.unsupported("NO INHERIT", self.at()));
        }
        Ok(ConstraintKind::Check(source))
    }

    /// What may follow UNIQUE and PRIMARY KEY.
    fn key_clauses(&mut self) -> Result<()> {
        let at = self.at();
        if self.eat(K::Include) {
            return Err(self.unsupported("INCLUDE", at));
        }
        if self.eat(K::With) {
            // Storage parameters of the index: none of them means anything here.
            self.storage_options()?;
        }
        if self.eat_all(&[K::Using, K::Index]) {
            self.tablespace()?;
        }
        Ok(())
    }

    pub(super) fn nulls_distinct(&mut self) -> Result<()> {
        let at = self.at();
        if self.eat_all(&[K::Nulls, K::Not, K::Distinct]) {
            return Err(self.unsupported("NULLS NOT DISTINCT", at));
        }
        self.eat_all(&[K::Nulls, K::Distinct]);
        Ok(())
    }

    /// REFERENCES and what belongs to it.
    fn references(&mut self, columns: Vec<String>) -> Result<ConstraintKind> {
        self.expect(K::References)?;
        let parent = self.object_name()?;
        let parent_columns = match self.is_char(b'(') {
            true => self.parens(Self::column_name)?,
            false => Vec::new(),
        };
        let mut key = ForeignKey {
            columns,
            parent,
            parent_columns: parent_columns.into_iter().map(|c| c.name.to_string()).collect(),
            match_full: false,
            on_delete: ForeignAction::NoAction,
            on_update: ForeignAction::NoAction,
            timing: ConstraintTiming::NotDeferrable,
        };
        let at = self.at();
        if self.eat(K::Match) {
            if self.eat(K::Partial) {
                return Err(self.unsupported("MATCH PARTIAL", at));
            }
            key.match_full = self.eat(K::Full);
            if !key.match_full {
                self.expect(K::Simple)?;
            }
        }
        while self.is(K::On) {
            self.advance();
            let is_delete = self.eat(K::Delete);
            if !is_delete {
                self.expect(K::Update)?;
            }
            let action = self.foreign_action()?;
            match is_delete {
                true => key.on_delete = action,
                false => key.on_update = action,
            }
        }
        key.timing = self.constraint_timing()?;
        Ok(ConstraintKind::Foreign(Box::new(key)))
    }

    fn foreign_action(&mut self) -> Result<ForeignAction> {
        let at = self.at();
        let action = if self.eat_all(&[K::No, K::Action]) {
            ForeignAction::NoAction
        } else if self.eat(K::Restrict) {
            ForeignAction::Restrict
        } else if self.eat(K::Cascade) {
            ForeignAction::Cascade
        } else if self.eat_all(&[K::Set, K::Null]) {
            ForeignAction::SetNull
        } else if self.eat_all(&[K::Set, K::Default]) {
            ForeignAction::SetDefault
        } else {
            return Err(self.unexpected());
        };
        if self.is_char(b'(') {
            return Err(self.unsupported("SET NULL and SET DEFAULT of some columns", at));
        }
        Ok(action)
    }

    /// `TableConstraint`
    pub(super) fn table_constraint(&mut self) -> Result<Constraint> {
        let at = self.at();
        let name = match self.eat(K::Constraint) {
            true => Some(self.column_name()?.name.to_string()),
            false => None,
        };
        let kind = match self.kind() {
            Kind::Keyword(K::Check) => self.check()?,
            Kind::Keyword(K::Unique) => {
                self.advance();
                self.nulls_distinct()?;
                ConstraintKind::Unique(self.key_columns()?)
            }
            Kind::Keyword(K::Primary) => {
                self.advance();
                self.expect(K::Key)?;
                ConstraintKind::PrimaryKey(self.key_columns()?)
            }
            Kind::Keyword(K::Foreign) => {
                self.advance();
                self.expect(K::Key)?;
                let columns = self.parens(Self::column_name)?;
                self.references(columns.into_iter().map(|c| c.name.to_string()).collect())?
            }
            Kind::Keyword(K::Exclude) => return Err(self.unsupported("EXCLUDE", at)),
            _ => return Err(self.unexpected()),
        };
        self.checked_at_once(&kind)?;
        Ok(Constraint { name, kind, position: position_at(self.text, at) })
    }

    fn key_columns(&mut self) -> Result<Vec<String>> {
        if self.is(K::Using) && self.is_at(1, K::Index) {
            return Err(self.unsupported("USING INDEX", self.at()));
        }
        let columns = self.parens(Self::column_name)?;
        self.key_clauses()?;
        Ok(columns.into_iter().map(|c| c.name.to_string()).collect())
    }
}
