//! FROM: tables, subqueries, functions, joins.

use super::super::ast::*;
use super::super::keywords::Keyword as K;
use super::super::lexer::Kind;
use super::{COLUMN_NAMES, FUNCTION_NAMES, Parser};
use crate::error::Result;

/// What parentheses in FROM hold.
enum Enclosed {
    Query(Box<Query>),
    Join(Box<Join>),
}

impl Parser<'_> {
    /// An item of FROM with its joins (`table_ref`).
    pub(super) fn from_item(&mut self) -> Result<FromItem> {
        self.nested(|p| {
            let first = p.from_primary()?;
            p.joins(first)
        })
    }

    /// Every join that follows `left`.
    fn joins(&mut self, mut left: FromItem) -> Result<FromItem> {
        let mut chain = 0;
        while self.at_join() {
            chain += 1;
            if self.depth + chain > super::NESTING_MAX {
                return Err(super::too_deep());
            }
            left = self.join(left)?;
        }
        Ok(left)
    }

    fn at_join(&self) -> bool {
        matches!(
            self.kind(),
            Kind::Keyword(
                K::Join | K::Cross | K::Natural | K::Inner | K::Left | K::Right | K::Full
            )
        )
    }

    fn join(&mut self, left: FromItem) -> Result<FromItem> {
        if self.eat(K::Cross) {
            self.expect(K::Join)?;
            let right = self.from_primary()?;
            return Ok(joined(left, right, JoinType::Inner, JoinCondition::None));
        }
        let natural = self.eat(K::Natural);
        let kind = match self.kind() {
            Kind::Keyword(K::Left) => JoinType::Left,
            Kind::Keyword(K::Right) => JoinType::Right,
            Kind::Keyword(K::Full) => JoinType::Full,
            _ => JoinType::Inner,
        };
        if kind != JoinType::Inner {
            self.advance();
            self.eat(K::Outer);
        } else {
            self.eat(K::Inner);
        }
        self.expect(K::Join)?;
        let mut right = self.from_primary()?;
        if natural {
            return Ok(joined(left, right, kind, JoinCondition::Natural));
        }
        // `a JOIN b JOIN c ON … ON …`: the right side is itself a join.
        while self.at_join() {
            right = self.nested(|p| p.join(right))?;
        }
        let condition = if self.eat(K::On) {
            JoinCondition::On(self.expr()?)
        } else if self.eat(K::Using) {
            let columns = self.parens(Self::column_name)?;
            let alias = if self.eat(K::As) { Some(self.column_name()?) } else { None };
            JoinCondition::Using(columns, alias)
        } else {
            return Err(self.unexpected());
        };
        Ok(joined(left, right, kind, condition))
    }

    /// One item of FROM without joins.
    fn from_primary(&mut self) -> Result<FromItem> {
        let at = self.at();
        let lateral = self.eat(K::Lateral);
        if self.is(K::Rows) && self.is_at(1, K::From) && self.is_char_at(2, b'(') {
            return self.rows_from(lateral);
        }
        if self.is_char(b'(') {
            if lateral && !self.opens_query() {
                self.advance();
                return Err(self.unexpected());
            }
            return self.from_parens(lateral, at);
        }
        if self.at_function() {
            return self.function_item(lateral);
        }
        if lateral {
            return Err(self.unexpected());
        }
        let name = self.relation()?;
        let alias = self.alias()?;
        if self.is(K::Tablesample) {
            return Err(self.unsupported("TABLESAMPLE", self.at()));
        }
        Ok(FromItem::Table { name, alias })
    }

    /// A subquery, or a join in parentheses.
    fn from_parens(&mut self, lateral: bool, at: Offset) -> Result<FromItem> {
        self.expect_char(b'(')?;
        match self.nested(Self::in_parens)? {
            Enclosed::Query(query) => self.subquery_item(lateral, query, at),
            Enclosed::Join(_) if lateral => Err(self.unexpected()),
            Enclosed::Join(mut join) => {
                join.alias = self.alias()?;
                Ok(FromItem::Join(join))
            }
        }
    }

    /// What stands between parentheses, and the one that closes them. Whether more of them
    /// enclose a query or a join that begins with one shows only after the query.
    fn in_parens(&mut self) -> Result<Enclosed> {
        if self.begins_query(0) {
            let query = self.query()?;
            self.expect_char(b')')?;
            return Ok(Enclosed::Query(Box::new(query)));
        }
        let at = self.at();
        let first = if self.opens_query() {
            self.advance();
            match self.nested(Self::in_parens)? {
                Enclosed::Query(query) if self.continues_query() => {
                    let query = self.query_after(*query)?;
                    self.expect_char(b')')?;
                    return Ok(Enclosed::Query(Box::new(query)));
                }
                Enclosed::Query(query) if self.eat_char(b')') => return Ok(Enclosed::Query(query)),
                Enclosed::Query(query) => self.subquery_item(false, query, at)?,
                Enclosed::Join(mut join) => {
                    join.alias = self.alias()?;
                    FromItem::Join(join)
                }
            }
        } else {
            self.from_primary()?
        };
        match self.joins(first)? {
            // One that has an alias already is an item, and no join of its own.
            FromItem::Join(join) if join.alias.is_none() => {
                self.expect_char(b')')?;
                Ok(Enclosed::Join(join))
            }
            _ => Err(self.unexpected()),
        }
    }

    fn subquery_item(&mut self, lateral: bool, query: Box<Query>, at: Offset) -> Result<FromItem> {
        let alias = self.alias()?;
        if alias.is_none() {
            let (what, example) = match query.body {
                QueryBody::Values(_) => ("VALUES in FROM", "(VALUES ...)"),
                _ => ("subquery in FROM", "(SELECT ...)"),
            };
            return Err(self
                .error(format!("{what} must have an alias"), at)
                .with_hint(format!("For example, FROM {example} [AS] foo.")));
        }
        Ok(FromItem::Query { lateral, query, alias, at })
    }

    /// Whether a function call stands here.
    fn at_function(&self) -> bool {
        match self.kind() {
            Kind::Keyword(
                K::CurrentDate
                | K::CurrentTime
                | K::CurrentTimestamp
                | K::Localtime
                | K::Localtimestamp
                | K::CurrentRole
                | K::CurrentUser
                | K::User
                | K::SessionUser
                | K::CurrentCatalog
                | K::CurrentSchema,
            ) => return true,
            Kind::Keyword(
                K::Coalesce
                | K::Greatest
                | K::Least
                | K::Nullif
                | K::Extract
                | K::Overlay
                | K::Position
                | K::Substring
                | K::Trim
                | K::Cast
                | K::Normalize,
            ) if self.is_char_at(1, b'(') => return true,
            Kind::Keyword(K::Collation) if self.is_at(1, K::For) => return true,
            _ => {}
        }
        if !self.is_name_at(0, FUNCTION_NAMES) && !self.is_name_at(0, COLUMN_NAMES) {
            return false;
        }
        let mut ahead = 1;
        while self.is_char_at(ahead, b'.') {
            ahead += 2;
        }
        (ahead > 1 || self.is_name_at(0, FUNCTION_NAMES)) && self.is_char_at(ahead, b'(')
    }

    fn function_item(&mut self, lateral: bool) -> Result<FromItem> {
        let call = self.primary()?;
        let ordinality = self.with_ordinality();
        let (alias, definitions) = self.function_alias()?;
        Ok(FromItem::Function { lateral, calls: vec![call], ordinality, alias, definitions })
    }

    fn rows_from(&mut self, lateral: bool) -> Result<FromItem> {
        self.advance();
        self.advance();
        let calls = self.parens(|p| {
            if !p.at_function() {
                return Err(p.unexpected());
            }
            let call = p.primary()?;
            if p.is(K::As) {
                return Err(p.unsupported("a column definition list", p.at()));
            }
            Ok(call)
        })?;
        let ordinality = self.with_ordinality();
        let (alias, definitions) = self.function_alias()?;
        Ok(FromItem::Function { lateral, calls, ordinality, alias, definitions })
    }

    fn with_ordinality(&mut self) -> bool {
        self.eat_all(&[K::With, K::Ordinality])
    }

    /// `[AS] alias [(columns)]`
    pub(super) fn alias(&mut self) -> Result<Option<Alias>> {
        let name = if self.eat(K::As) {
            self.column_name()?
        } else if self.is_name_at(0, COLUMN_NAMES) {
            self.take_name()?
        } else {
            return Ok(None);
        };
        let columns = if self.is_char(b'(') { self.parens(Self::column_name)? } else { Vec::new() };
        Ok(Some(Alias { name, columns }))
    }

    /// An alias, or one with column definitions: `[AS] [alias] (column type, …)`.
    fn function_alias(&mut self) -> Result<(Option<Alias>, Vec<(Ident, TypeName)>)> {
        let explicit = self.is(K::As);
        let ahead = usize::from(explicit);
        let named = self.is_name_at(ahead, COLUMN_NAMES);
        let open = ahead + usize::from(named);
        let defines = self.is_char_at(open, b'(')
            && (named || explicit)
            && !matches!(self.peek_at(open + 2).kind, Kind::Char(b',' | b')'));
        if !defines {
            return Ok((self.alias()?, Vec::new()));
        }
        self.eat(K::As);
        let alias =
            if named { Some(Alias { name: self.take_name()?, columns: Vec::new() }) } else { None };
        let definitions = self.parens(|p| Ok((p.column_name()?, p.type_name()?)))?;
        Ok((alias, definitions))
    }
}

fn joined(left: FromItem, right: FromItem, kind: JoinType, condition: JoinCondition) -> FromItem {
    FromItem::Join(Box::new(Join { left, right, kind, condition, alias: None }))
}
