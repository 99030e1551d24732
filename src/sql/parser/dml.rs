//! INSERT, UPDATE, DELETE.

use super::super::ast::*;
use super::super::keywords::Keyword as K;
use super::Parser;
use crate::error::Result;

impl Parser<'_> {
    /// INSERT, at its keyword.
    pub(super) fn insert(&mut self, with: Option<With>) -> Result<Insert> {
        self.expect(K::Insert)?;
        self.expect(K::Into)?;
        let table = self.qualified_name()?;
        let alias = if self.eat(K::As) { Some(self.column_name()?) } else { None };
        let mut columns = None;
        if self.is_char(b'(') && !self.opens_query() {
            columns = Some(self.parens(Self::insert_column)?);
        }
        let mut overriding = None;
        if self.eat(K::Overriding) {
            let system = self.eat(K::System);
            if !system {
                self.expect(K::User)?;
            }
            self.expect(K::Value)?;
            overriding = Some(system);
        }
        let source =
            if self.eat_all(&[K::Default, K::Values]) { None } else { Some(self.query()?) };
        let on_conflict = self.on_conflict()?;
        let returning = self.returning()?;
        Ok(Insert { with, table, alias, columns, overriding, source, on_conflict, returning })
    }

    fn insert_column(&mut self) -> Result<Ident> {
        let column = self.column_name()?;
        if self.is_char(b'.') || self.is_char(b'[') {
            return Err(self.unsupported("assignment to a part of a column", self.at()));
        }
        Ok(column)
    }

    fn on_conflict(&mut self) -> Result<Option<OnConflict>> {
        let at = self.at();
        if !self.eat(K::On) {
            return Ok(None);
        }
        self.expect(K::Conflict)?;
        let target = if self.eat_all(&[K::On, K::Constraint]) {
            ConflictTarget::Constraint(self.column_name()?)
        } else if self.is_char(b'(') {
            let columns = self.parens(|p| {
                let expr = p.expr()?;
                p.operator_class()?;
                Ok(expr)
            })?;
            let predicate = if self.eat(K::Where) { Some(self.expr()?) } else { None };
            ConflictTarget::Columns(columns, predicate)
        } else {
            ConflictTarget::Any
        };
        self.expect(K::Do)?;
        let update = if self.eat(K::Nothing) {
            None
        } else {
            self.expect(K::Update)?;
            self.expect(K::Set)?;
            let assignments = self.list(Self::assignment)?;
            let filter = if self.eat(K::Where) { Some(self.expr()?) } else { None };
            Some((assignments, filter))
        };
        Ok(Some(OnConflict { target, update, at }))
    }

    /// An operator class after an index expression.
    fn operator_class(&mut self) -> Result<()> {
        if self.is_char(b',') || self.is_char(b')') {
            return Ok(());
        }
        self.qualified_name().map(|_| ())
    }

    /// `column = value`, `(columns) = row`
    fn assignment(&mut self) -> Result<Assignment> {
        let multiple = self.is_char(b'(');
        let columns =
            if multiple { self.parens(Self::insert_column)? } else { vec![self.insert_column()?] };
        self.expect_char(b'=')?;
        let value = self.expr()?;
        Ok(Assignment { columns, multiple, value })
    }

    pub(super) fn returning(&mut self) -> Result<Vec<Target>> {
        if self.eat(K::Returning) { self.list(Self::target) } else { Ok(Vec::new()) }
    }

    /// UPDATE, at its keyword.
    pub(super) fn update(&mut self, with: Option<With>) -> Result<Update> {
        self.expect(K::Update)?;
        let table = self.relation()?;
        let alias = self.write_alias(&[K::Set])?;
        self.expect(K::Set)?;
        let assignments = self.list(Self::assignment)?;
        let from = if self.eat(K::From) { self.list(Self::from_item)? } else { Vec::new() };
        let (filter, current_of) = self.write_filter()?;
        let returning = self.returning()?;
        Ok(Update { with, table, alias, assignments, from, filter, current_of, returning })
    }

    /// DELETE, at its keyword.
    pub(super) fn delete(&mut self, with: Option<With>) -> Result<Delete> {
        self.expect(K::Delete)?;
        self.expect(K::From)?;
        let table = self.relation()?;
        let alias = self.write_alias(&[])?;
        let using = if self.eat(K::Using) { self.list(Self::from_item)? } else { Vec::new() };
        let (filter, current_of) = self.write_filter()?;
        let returning = self.returning()?;
        Ok(Delete { with, table, alias, using, filter, current_of, returning })
    }

    fn write_alias(&mut self, not: &[K]) -> Result<Option<Ident>> {
        if self.eat(K::As) {
            return self.column_name().map(Some);
        }
        if not.iter().any(|k| self.is(*k)) || !self.is_name_at(0, super::COLUMN_NAMES) {
            return Ok(None);
        }
        self.take_name().map(Some)
    }

    /// `WHERE condition`, or `WHERE CURRENT OF cursor`.
    fn write_filter(&mut self) -> Result<(Option<Expr>, Option<Ident>)> {
        if !self.eat(K::Where) {
            return Ok((None, None));
        }
        if self.eat_all(&[K::Current, K::Of]) {
            if self.kind() == super::Kind::Param {
                return Err(self.unsupported("WHERE CURRENT OF with a parameter", self.at()));
            }
            return Ok((None, Some(self.column_name()?)));
        }
        Ok((Some(self.expr()?), None))
    }

    /// INSERT, UPDATE or DELETE inside WITH.
    pub(super) fn writing_cte(&mut self) -> Result<CteBody> {
        let with = self.with_clause()?;
        Ok(match self.kind() {
            super::Kind::Keyword(K::Insert) => CteBody::Insert(Box::new(self.insert(with)?)),
            super::Kind::Keyword(K::Update) => CteBody::Update(Box::new(self.update(with)?)),
            super::Kind::Keyword(K::Delete) => CteBody::Delete(Box::new(self.delete(with)?)),
            _ => return Err(self.unsupported("MERGE in WITH", self.at())),
        })
    }
}
