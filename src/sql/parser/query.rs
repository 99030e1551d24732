//! Queries: SELECT, VALUES, TABLE, set operations, WITH, ORDER BY, LIMIT, FOR UPDATE.

use std::sync::Arc;

use super::super::ast::*;
use super::super::bound::{PathHint, SetOp};
use super::super::keywords::Keyword as K;
use super::super::lexer::{self, Kind};
use super::Parser;
use crate::error::{Error, Result, SqlState};
use crate::kv::LockMode;

impl Parser<'_> {
    /// A query (`SelectStmt`).
    pub fn query(&mut self) -> Result<Query> {
        self.nested(|p| {
            let at = p.at();
            let with = p.with_clause()?;
            let body = p.set_operations(0)?;
            let mut query = p.query_options(body)?;
            if let Some(with) = with {
                if query.with.is_some() {
                    return Err(p.error("multiple WITH clauses not allowed", with.at));
                }
                query.with = Some(with);
            }
            query.at = at;
            Ok(query)
        })
    }

    /// The rest of a query whose first operand, a query in parentheses, was taken.
    pub(super) fn query_after(&mut self, first: Query) -> Result<Query> {
        self.nested(|p| {
            let body = p.set_operations_after(first, 0)?;
            p.query_options(body)
        })
    }

    /// Whether the next token goes on with a query.
    pub(super) fn continues_query(&self) -> bool {
        matches!(
            self.kind(),
            Kind::Keyword(
                K::Union
                    | K::Intersect
                    | K::Except
                    | K::Order
                    | K::Limit
                    | K::Offset
                    | K::Fetch
                    | K::For
            )
        )
    }

    pub(super) fn with_clause(&mut self) -> Result<Option<With>> {
        let at = self.at();
        if !self.eat(K::With) {
            return Ok(None);
        }
        let recursive = self.eat(K::Recursive);
        let ctes = self.list(Self::cte)?;
        Ok(Some(With { recursive, ctes, at }))
    }

    fn cte(&mut self) -> Result<Cte> {
        let name = self.column_name()?;
        let columns = if self.is_char(b'(') { self.parens(Self::column_name)? } else { Vec::new() };
        self.expect(K::As)?;
        let materialized = if self.eat(K::Materialized) {
            Some(true)
        } else if self.eat_all(&[K::Not, K::Materialized]) {
            Some(false)
        } else {
            None
        };
        self.expect_char(b'(')?;
        let writes =
            matches!(self.kind(), Kind::Keyword(K::Insert | K::Update | K::Delete | K::Merge))
                || (self.is(K::With) && self.with_then_writes()?);
        let body =
            if writes { self.writing_cte()? } else { CteBody::Query(Box::new(self.query()?)) };
        self.expect_char(b')')?;
        if self.is(K::Search) || (self.is(K::Cycle) && self.is_name_at(1, super::COLUMN_NAMES)) {
            let clause = self.source(self.peek()).to_ascii_uppercase();
            return Err(self.unsupported(format_args!("{clause} in WITH"), self.at()));
        }
        Ok(Cte { name, columns, materialized, body })
    }

    /// Whether WITH comes before a statement that writes.
    fn with_then_writes(&mut self) -> Result<bool> {
        let from = self.next;
        self.with_clause()?;
        let found = matches!(self.kind(), Kind::Keyword(K::Insert | K::Update | K::Delete));
        self.next = from;
        Ok(found)
    }

    /// Set operations that bind at least as strongly as `min`: INTERSECT before the others.
    fn set_operations(&mut self, min: u8) -> Result<Query> {
        let first = self.query_operand()?;
        self.set_operations_after(first, min)
    }

    fn set_operations_after(&mut self, mut left: Query, min: u8) -> Result<Query> {
        let mut chain = 0;
        loop {
            let (op, level) = match self.kind() {
                Kind::Keyword(K::Union) => (SetOp::Union, 1),
                Kind::Keyword(K::Except) => (SetOp::Except, 1),
                Kind::Keyword(K::Intersect) => (SetOp::Intersect, 2),
                _ => return Ok(left),
            };
            if level < min {
                return Ok(left);
            }
            chain += 1;
            if self.depth + chain > super::NESTING_MAX {
                return Err(super::too_deep());
            }
            self.advance();
            let all = self.eat(K::All);
            if !all {
                self.eat(K::Distinct);
            }
            let right = self.nested(|p| p.set_operations(level + 1))?;
            let at = left.at;
            let operation = SetOperation { op, all, left, right };
            left = bare_query(QueryBody::SetOp(Box::new(operation)), at);
        }
    }

    /// SELECT, VALUES, TABLE or a query in parentheses.
    fn query_operand(&mut self) -> Result<Query> {
        let at = self.at();
        match self.kind() {
            Kind::Keyword(K::Select) => self.select(),
            Kind::Keyword(K::Values) => {
                self.advance();
                let rows = self.list(|p| p.parens(Self::expr))?;
                Ok(bare_query(QueryBody::Values(rows), at))
            }
            Kind::Keyword(K::Table) => {
                self.advance();
                let from = self.relation()?;
                let star = Target { expr: Expr::new(ExprKind::Star(Vec::new()), at), alias: None };
                let mut select = empty_select();
                select.targets.push(star);
                select.from.push(FromItem::Table { name: from, alias: None });
                Ok(bare_query(QueryBody::Select(Box::new(select)), at))
            }
            Kind::Char(b'(') => {
                self.advance();
                let query = self.query()?;
                self.expect_char(b')')?;
                Ok(query)
            }
            _ => Err(self.unexpected()),
        }
    }

    /// `[ONLY] name [*]`
    pub(super) fn relation(&mut self) -> Result<QualifiedName> {
        if self.eat(K::Only) {
            if self.eat_char(b'(') {
                let name = self.qualified_name()?;
                self.expect_char(b')')?;
                return Ok(name);
            }
            return self.qualified_name();
        }
        let name = self.qualified_name()?;
        self.eat_char(b'*');
        Ok(name)
    }

    fn select(&mut self) -> Result<Query> {
        let at = self.advance().start;
        let mut select = empty_select();
        select.hints = self.path_hints()?;
        if self.eat(K::Distinct) {
            select.distinct = if self.eat(K::On) {
                Distinct::On(self.parens(Self::expr)?)
            } else {
                Distinct::All
            };
        } else {
            self.eat(K::All);
        }
        if !self.ends_select_list() || !matches!(select.distinct, Distinct::No) {
            select.targets = self.list(Self::target)?;
        }
        if self.is(K::Into) {
            return Err(self.unsupported("SELECT INTO", self.at()));
        }
        if self.eat(K::From) {
            select.from = self.list(Self::from_item)?;
        }
        if self.eat(K::Where) {
            select.filter = Some(self.expr()?);
        }
        if self.eat(K::Group) {
            self.expect(K::By)?;
            if !self.eat(K::All) {
                select.group_distinct = self.eat(K::Distinct);
            }
            select.group_by = self.list(Self::group_item)?;
        }
        if self.eat(K::Having) {
            select.having = Some(self.expr()?);
        }
        if self.eat(K::Window) {
            select.windows = self.list(|p| {
                let name = p.column_name()?;
                p.expect(K::As)?;
                Ok((name, p.window_spec()?))
            })?;
        }
        Ok(bare_query(QueryBody::Select(Box::new(select)), at))
    }

    /// Whether the select list is empty.
    fn ends_select_list(&self) -> bool {
        match self.kind() {
            Kind::Eof | Kind::Char(b')' | b';') => true,
            Kind::Keyword(K::From | K::Where | K::Group | K::Having | K::Window | K::Into) => true,
            _ => self.continues_query(),
        }
    }

    /// `*`, `expr [[AS] name]`
    pub(super) fn target(&mut self) -> Result<Target> {
        let at = self.at();
        if self.eat_char(b'*') {
            return Ok(Target { expr: Expr::new(ExprKind::Star(Vec::new()), at), alias: None });
        }
        let expr = self.expr()?;
        let alias = if self.eat(K::As) {
            Some(self.label()?)
        } else if self.at_bare_label() {
            Some(self.take_name()?)
        } else {
            None
        };
        Ok(Target { expr, alias })
    }

    fn group_item(&mut self) -> Result<GroupItem> {
        let at = self.at();
        if self.is_char(b'(') && self.is_char_at(1, b')') {
            self.advance();
            self.advance();
            return Ok(GroupItem::Empty);
        }
        if self.is(K::Rollup) && self.is_char_at(1, b'(') {
            self.advance();
            return Ok(GroupItem::Rollup(self.parens(Self::expr)?, at));
        }
        if self.is(K::Cube) && self.is_char_at(1, b'(') {
            self.advance();
            return Ok(GroupItem::Cube(self.parens(Self::expr)?, at));
        }
        if self.is(K::Grouping) && self.is_at(1, K::Sets) {
            self.advance();
            self.advance();
            let sets = self.nested(|p| p.parens(Self::group_item))?;
            return Ok(GroupItem::Sets(sets, at));
        }
        Ok(GroupItem::Expr(self.expr()?))
    }

    /// ORDER BY, if it is next.
    pub(super) fn order_by(&mut self) -> Result<Vec<OrderItem>> {
        if !self.eat(K::Order) {
            return Ok(Vec::new());
        }
        self.expect(K::By)?;
        self.list(|p| {
            let expr = p.expr()?;
            let mut item = OrderItem { expr, desc: false, nulls_first: None, using: None };
            if p.eat(K::Using) {
                let at = p.at();
                let operator = if p.is(K::Operator) {
                    p.written_operator()?
                } else {
                    OperatorName { schema: None, name: p.operator_symbol()? }
                };
                item.using = Some((operator, at));
            } else if !p.eat(K::Asc) {
                item.desc = p.eat(K::Desc);
            }
            if p.eat_all(&[K::Nulls, K::First]) {
                item.nulls_first = Some(true);
            } else if p.eat_all(&[K::Nulls, K::Last]) {
                item.nulls_first = Some(false);
            }
            Ok(item)
        })
    }

    /// ORDER BY, LIMIT, OFFSET, FETCH, FOR: each once over a query and the parentheses around it.
    fn query_options(&mut self, mut query: Query) -> Result<Query> {
        let order_by = self.order_by()?;
        if !order_by.is_empty() {
            if !query.order_by.is_empty() {
                let at = order_by[0].expr.start();
                return Err(self.error("multiple ORDER BY clauses not allowed", at));
            }
            query.order_by = order_by;
        }
        let mut seen_limit = false;
        let mut seen_offset = false;
        loop {
            let at = self.at();
            match self.kind() {
                Kind::Keyword(K::Limit) if !seen_limit => {
                    self.advance();
                    seen_limit = true;
                    let value = if self.is(K::All) {
                        Expr::new(ExprKind::Null, self.advance().start)
                    } else {
                        self.expr()?
                    };
                    if self.is_char(b',') {
                        return Err(self
                            .error("LIMIT #,# syntax is not supported", at)
                            .with_hint("Use separate LIMIT and OFFSET clauses."));
                    }
                    self.set_limit(&mut query, value)?;
                }
                Kind::Keyword(K::Fetch) if !seen_limit => {
                    self.advance();
                    seen_limit = true;
                    self.fetch_first(&mut query, at)?;
                }
                Kind::Keyword(K::Offset) if !seen_offset => {
                    self.advance();
                    seen_offset = true;
                    let value = self.expr()?;
                    if !self.eat(K::Rows) {
                        self.eat(K::Row);
                    }
                    if query.offset.is_some() {
                        return Err(
                            self.error("multiple OFFSET clauses not allowed", value.start())
                        );
                    }
                    query.offset = Some(value);
                }
                Kind::Keyword(K::For) => self.locking(&mut query)?,
                _ => return Ok(query),
            }
        }
    }

    fn set_limit(&self, query: &mut Query, value: Expr) -> Result<()> {
        if query.limit.is_some() {
            return Err(self.error("multiple LIMIT clauses not allowed", value.start()));
        }
        query.limit = Some(value);
        Ok(())
    }

    /// `FIRST|NEXT [n] ROW|ROWS ONLY|WITH TIES`
    fn fetch_first(&mut self, query: &mut Query, at: Offset) -> Result<()> {
        if !self.eat(K::First) {
            self.expect(K::Next)?;
        }
        let value = match self.kind() {
            Kind::Keyword(K::Row | K::Rows) => Expr::new(ExprKind::Number("1".into()), at),
            Kind::Char(b'+' | b'-') => {
                let negative = self.is_char(b'-');
                let sign = self.advance();
                if !matches!(self.kind(), Kind::Integer | Kind::Decimal) {
                    return Err(self.unexpected());
                }
                let digits = self.advance();
                let digits = self.source(digits);
                let digits = if negative { format!("-{digits}") } else { digits.to_owned() };
                Expr::new(ExprKind::Number(digits.into()), sign.start)
            }
            _ => self.primary()?,
        };
        if !self.eat(K::Rows) {
            self.expect(K::Row)?;
        }
        if self.is(K::With) && self.is_at(1, K::Ties) {
            self.advance();
            self.advance();
            query.with_ties = Some(at);
            if query.order_by.is_empty() {
                let message = "WITH TIES cannot be specified without ORDER BY clause";
                return Err(Error::new(SqlState::SYNTAX_ERROR, message));
            }
        } else {
            self.expect(K::Only)?;
        }
        self.set_limit(query, value)
    }

    /// `FOR UPDATE [OF t, …] [NOWAIT|SKIP LOCKED]` and its kin.
    fn locking(&mut self, query: &mut Query) -> Result<()> {
        self.expect(K::For)?;
        if self.eat_all(&[K::Read, K::Only]) {
            return Ok(());
        }
        let mode = if self.eat(K::Update) {
            LockMode::Update
        } else if self.eat(K::Share) {
            LockMode::Share
        } else if self.eat_all(&[K::No, K::Key, K::Update]) {
            LockMode::NoKeyUpdate
        } else if self.eat_all(&[K::Key, K::Share]) {
            LockMode::KeyShare
        } else {
            return Err(self.unexpected());
        };
        let of = if self.eat(K::Of) { self.list(Self::locked_name)? } else { Vec::new() };
        let nowait = self.eat(K::Nowait);
        let skip_locked = !nowait && self.eat_all(&[K::Skip, K::Locked]);
        if skip_locked && query.with_ties.is_some() {
            let message = "SKIP LOCKED and WITH TIES options cannot be used together";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
        query.locks.push(Locking { mode, of, nowait, skip_locked });
        Ok(())
    }

    fn locked_name(&mut self) -> Result<Ident> {
        let mut name = self.qualified_name()?;
        if name.len() > 1 {
            return Err(
                self.error("FOR UPDATE must specify unqualified relation names", name[0].at)
            );
        }
        Ok(name.remove(0))
    }

    /// The hints in a comment that stands right after SELECT.
    fn path_hints(&self) -> Result<Vec<(Arc<str>, PathHint)>> {
        let next = self.peek().start;
        let after = self.end();
        let mut found = Vec::new();
        for &(start, end) in self.hints {
            if start >= after && end <= next {
                read_hint(&self.text[start as usize..end as usize], &mut found);
            }
        }
        Ok(found)
    }
}

/// Reads `READ_FROM_STORAGE(COLUMNAR[t, u], ROW[v])`; other hints are for other systems.
fn read_hint(hint: &str, found: &mut Vec<(Arc<str>, PathHint)>) {
    let scanned = lexer::scan(hint);
    let words: Vec<String> = scanned
        .tokens
        .iter()
        .map(|t| hint[t.start as usize..t.end as usize].to_ascii_lowercase())
        .collect();
    let mut path = None;
    let mut inside = false;
    for (i, word) in words.iter().enumerate() {
        match word.as_str() {
            "(" if i > 0 => inside = words[i - 1] == "read_from_storage",
            ")" => inside = false,
            "columnar" if path.is_none() => path = Some(PathHint::Columnar),
            "row" if path.is_none() => path = Some(PathHint::Row),
            "[" | "," | "" => {}
            "]" => path = None,
            name => {
                if let Some(path) = path
                    && inside
                {
                    found.push((Arc::from(name.trim_matches('"')), path));
                }
            }
        }
    }
}

/// A query that is only its body.
pub(super) fn bare_query(body: QueryBody, at: Offset) -> Query {
    Query {
        with: None,
        body,
        order_by: Vec::new(),
        limit: None,
        with_ties: None,
        offset: None,
        locks: Vec::new(),
        at,
    }
}

fn empty_select() -> Select {
    Select {
        distinct: Distinct::No,
        targets: Vec::new(),
        from: Vec::new(),
        filter: None,
        group_by: Vec::new(),
        group_distinct: false,
        having: None,
        windows: Vec::new(),
        hints: Vec::new(),
    }
}
