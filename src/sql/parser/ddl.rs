//! DDL: PostgreSQL's grammar of what Sluice has, and the names of what it has not.

use std::sync::Arc;

use super::super::ast::{Expr, Offset};
use super::super::ddl::{
    CommentOn, Ddl, ObjectKind, ObjectName, OptionValue, SourceExpr, StorageOption,
};
use super::super::keywords::Keyword as K;
use super::super::lexer::Kind;
use super::super::position_at;
use super::super::statement::StatementKind;
use super::Parser;
use crate::error::{Error, Result, SqlState};

/// Words before an object's kind that do not name it.
const IGNORED_WORDS: &[K] =
    &[K::Or, K::Replace, K::Global, K::Local, K::Unlogged, K::Constraint, K::Trusted];
/// Words that name an object's kind together with those after them.
const LEADING_WORDS: &[K] = &[
    K::Access,
    K::Data,
    K::Default,
    K::Event,
    K::Foreign,
    K::Large,
    K::Materialized,
    K::Operator,
    K::Procedural,
    K::Recursive,
    K::Search,
    K::Temp,
    K::Temporary,
    K::Text,
    K::User,
];
/// Words that end the name of an object's kind.
const OBJECT_WORDS: &[K] = &[
    K::Aggregate,
    K::Cast,
    K::Class,
    K::Collation,
    K::Configuration,
    K::Conversion,
    K::Database,
    K::Dictionary,
    K::Domain,
    K::Extension,
    K::Family,
    K::Function,
    K::Group,
    K::Language,
    K::Mapping,
    K::Method,
    K::Object,
    K::Owned,
    K::Parser,
    K::Policy,
    K::Privileges,
    K::Procedure,
    K::Publication,
    K::Role,
    K::Routine,
    K::Rule,
    K::Schema,
    K::Sequence,
    K::Server,
    K::Statistics,
    K::Subscription,
    K::System,
    K::Table,
    K::Tablespace,
    K::Template,
    K::Transform,
    K::Trigger,
    K::Type,
    K::View,
    K::Wrapper,
];

impl Parser<'_> {
    /// CREATE, ALTER, DROP, TRUNCATE, COMMENT, GRANT, REVOKE, IMPORT FOREIGN SCHEMA.
    pub(super) fn ddl(&mut self) -> Result<StatementKind> {
        let from = self.next;
        let parsed = match self.kind() {
            Kind::Keyword(K::Create) => self.create()?,
            Kind::Keyword(K::Alter) => self.alter()?,
            Kind::Keyword(K::Drop) => self.drop_objects()?,
            Kind::Keyword(K::Truncate) => Some(self.truncate()?),
            Kind::Keyword(K::Import) => Some(self.import_foreign_schema()?),
            Kind::Keyword(K::Comment) => self.comment()?,
            _ => None,
        };
        match parsed {
            Some(ddl) => Ok(StatementKind::Ddl(Box::new(ddl))),
            None => {
                self.next = from;
                let name = self.statement_name()?;
                self.skip_statement();
                Ok(StatementKind::Unsupported(name))
            }
        }
    }

    /// The words that name a statement of a kind that Sluice does not have; 42601 where
    /// PostgreSQL has no such kind either.
    fn statement_name(&mut self) -> Result<String> {
        let Kind::Keyword(verb) = self.kind() else { return Err(self.unexpected()) };
        self.advance();
        let mut words = vec![verb.word()];
        if matches!(verb, K::Create | K::Alter | K::Drop) {
            loop {
                let Kind::Keyword(keyword) = self.kind() else { return Err(self.unexpected()) };
                if IGNORED_WORDS.contains(&keyword) && words.len() == 1 {
                    self.advance();
                    continue;
                }
                if keyword == K::Table && words.len() == 1 {
                    return Err(self.unexpected());
                }
                words.push(if keyword == K::Temp { "temporary" } else { keyword.word() });
                if OBJECT_WORDS.contains(&keyword) {
                    break;
                }
                if !LEADING_WORDS.contains(&keyword) {
                    return Err(self.unexpected());
                }
                self.advance();
            }
        }
        Ok(words.join(" ").to_ascii_uppercase())
    }

    fn create(&mut self) -> Result<Option<Ddl>> {
        if let Some(ddl) = self.role_statement()? {
            return Ok(Some(ddl));
        }
        match self.peek_at(1).kind {
            Kind::Keyword(K::Table) => {
                self.next += 2;
                Ok(Some(self.create_table()?))
            }
            Kind::Keyword(K::Unlogged) if self.is_at(2, K::Table) => {
                self.next += 3;
                Ok(Some(self.create_table()?))
            }
            Kind::Keyword(K::Index) => {
                self.next += 2;
                Ok(Some(self.create_index(false)?))
            }
            Kind::Keyword(K::Unique) if self.is_at(2, K::Index) => {
                self.next += 3;
                Ok(Some(self.create_index(true)?))
            }
            Kind::Keyword(K::Schema) => {
                self.next += 2;
                Ok(Some(self.create_schema()?))
            }
            Kind::Keyword(K::Sequence) => {
                self.next += 2;
                Ok(Some(self.create_sequence()?))
            }
            Kind::Keyword(K::Foreign) if self.is_at(2, K::Table) => {
                self.next += 3;
                Ok(Some(self.create_foreign_table()?))
            }
            _ => Ok(None),
        }
    }

    fn alter(&mut self) -> Result<Option<Ddl>> {
        if let Some(ddl) = self.role_statement()? {
            return Ok(Some(ddl));
        }
        match self.peek_at(1).kind {
            Kind::Keyword(K::Table) => {
                self.next += 2;
                Ok(Some(self.alter_table(ObjectKind::Table)?))
            }
            Kind::Keyword(K::Foreign) if self.is_at(2, K::Table) => {
                self.next += 3;
                Ok(Some(self.alter_table(ObjectKind::ForeignTable)?))
            }
            Kind::Keyword(K::Index) => {
                self.next += 2;
                self.alter_index().map(Some)
            }
            Kind::Keyword(K::Sequence) => {
                self.next += 2;
                self.alter_sequence().map(Some)
            }
            Kind::Keyword(K::Schema) => {
                self.next += 2;
                self.alter_schema().map(Some)
            }
            _ => Ok(None),
        }
    }

    fn drop_objects(&mut self) -> Result<Option<Ddl>> {
        if let Some(ddl) = self.role_statement()? {
            return Ok(Some(ddl));
        }
        let (kind, words) = match (self.peek_at(1).kind, self.peek_at(2).kind) {
            (Kind::Keyword(K::Table), _) => (ObjectKind::Table, 2),
            (Kind::Keyword(K::Foreign), Kind::Keyword(K::Table)) => (ObjectKind::ForeignTable, 3),
            (Kind::Keyword(K::Index), _) => (ObjectKind::Index, 2),
            (Kind::Keyword(K::Schema), _) => (ObjectKind::Schema, 2),
            (Kind::Keyword(K::View), _) => (ObjectKind::View, 2),
            (Kind::Keyword(K::Sequence), _) => (ObjectKind::Sequence, 2),
            (Kind::Keyword(K::Materialized), Kind::Keyword(K::View)) => {
                (ObjectKind::MaterializedView, 3)
            }
            _ => return Ok(None),
        };
        self.next += words;
        let concurrently = kind == ObjectKind::Index && self.eat(K::Concurrently);
        let if_exists = self.eat_all(&[K::If, K::Exists]);
        let names = self.list(Self::object_name)?;
        let cascade = self.cascade();
        if concurrently && (names.len() > 1 || cascade) {
            let what = if cascade { "CASCADE" } else { "dropping multiple objects" };
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("DROP INDEX CONCURRENTLY does not support {what}"),
            ));
        }
        Ok(Some(Ddl::Drop { kind, names, if_exists, cascade }))
    }

    /// `opt_drop_behavior`: whether CASCADE.
    pub(super) fn cascade(&mut self) -> bool {
        self.eat(K::Cascade) || {
            self.eat(K::Restrict);
            false
        }
    }

    fn truncate(&mut self) -> Result<Ddl> {
        self.advance();
        self.eat(K::Table);
        let names = self.list(Self::only_relation)?;
        let restart_identity = self.eat_all(&[K::Restart, K::Identity]);
        if !restart_identity {
            self.eat_all(&[K::Continue, K::Identity]);
        }
        let cascade = self.cascade();
        Ok(Ddl::Truncate { names, restart_identity, cascade })
    }

    /// `relation_expr`: ONLY and `*` mean nothing without inheritance.
    pub(super) fn only_relation(&mut self) -> Result<ObjectName> {
        if self.eat(K::Only) {
            if self.eat_char(b'(') {
                let name = self.object_name()?;
                self.expect_char(b')')?;
                return Ok(name);
            }
            return self.object_name();
        }
        let name = self.object_name()?;
        self.eat_char(b'*');
        Ok(name)
    }

    fn create_schema(&mut self) -> Result<Ddl> {
        let if_not_exists = self.eat_all(&[K::If, K::Not, K::Exists]);
        let name = match self.is(K::Authorization) {
            true => None,
            false => Some(self.column_name()?.name.to_string()),
        };
        let owner = match self.eat(K::Authorization) {
            true => Some(self.role_name()?),
            false => None,
        };
        if let Kind::Keyword(K::Create | K::Grant) = self.kind() {
            return Err(self.unsupported("CREATE SCHEMA with elements", self.at()));
        }
        Ok(Ddl::CreateSchema { name, owner, if_not_exists })
    }

    fn alter_schema(&mut self) -> Result<Ddl> {
        let at = self.at();
        let name = self.column_name()?.name.to_string();
        if self.eat_all(&[K::Owner, K::To]) {
            return Ok(Ddl::SchemaOwner { name, owner: self.role_name()? });
        }
        if self.is(K::Rename) {
            return Err(self.unsupported("ALTER SCHEMA … RENAME", at));
        }
        Err(self.unexpected())
    }

    fn comment(&mut self) -> Result<Option<Ddl>> {
        self.advance();
        self.expect(K::On)?;
        let Kind::Keyword(kind) = self.kind() else { return Ok(None) };
        let from = self.next;
        self.advance();
        let target = match kind {
            K::Table => CommentOn::Table(self.object_name()?),
            K::Foreign if self.eat(K::Table) => CommentOn::ForeignTable(self.object_name()?),
            K::Index => CommentOn::Index(self.object_name()?),
            K::Sequence => CommentOn::Sequence(self.object_name()?),
            K::Column => {
                let at = self.at();
                let mut parts = self.qualified_name()?;
                let column = parts.pop().map(|c| c.name.to_string()).unwrap_or_default();
                if parts.is_empty() {
                    return Err(self.error("column name must be qualified", at));
                }
                CommentOn::Column(self.name_from(&parts)?, column)
            }
            K::Constraint => {
                let name = self.column_name()?.name.to_string();
                self.expect(K::On)?;
                if self.is(K::Domain) {
                    return Err(self.unsupported("COMMENT ON CONSTRAINT … ON DOMAIN", self.at()));
                }
                CommentOn::Constraint(self.object_name()?, name)
            }
            K::Schema => CommentOn::Schema(self.column_name()?.name.to_string()),
            K::Role => CommentOn::Role(self.role_name()?),
            K::Database => CommentOn::Database(self.column_name()?.name.to_string()),
            _ => {
                self.next = from;
                let what = format!("COMMENT ON {}", kind.word().to_ascii_uppercase());
                return Err(self.unsupported(what, self.at()));
            }
        };
        self.expect(K::Is)?;
        let text = match self.eat(K::Null) {
            true => None,
            false => Some(self.string()?.to_string()),
        };
        Ok(Some(Ddl::Comment { target, text }))
    }

    /// A name of one, two or three parts; a third, the database's, goes unread.
    pub(super) fn object_name(&mut self) -> Result<ObjectName> {
        let parts = self.qualified_name()?;
        self.name_from(&parts)
    }

    pub(super) fn name_from(&self, parts: &[super::super::ast::Ident]) -> Result<ObjectName> {
        let position = parts.first().map_or(0, |part| position_at(self.text, part.at));
        let text = |part: &super::super::ast::Ident| part.name.to_string();
        match parts {
            [name] => Ok(ObjectName { schema: None, name: text(name), position }),
            [schema, name] | [_, schema, name] => {
                Ok(ObjectName { schema: Some(text(schema)), name: text(name), position })
            }
            _ => {
                let names: Vec<&str> = parts.iter().map(|part| part.name.as_ref()).collect();
                let names = names.join(".");
                Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    format!("improper qualified name (too many dotted names): {names}"),
                )
                .at(position))
            }
        }
    }

    /// What was read since `from`, with its text.
    pub(super) fn source_expr(&self, expr: Expr, from: Offset) -> SourceExpr {
        let text = &self.text[from as usize..self.end() as usize];
        SourceExpr { expr, text: Arc::from(text) }
    }

    /// `(name [= value], …)`
    pub(super) fn storage_options(&mut self) -> Result<Vec<StorageOption>> {
        self.parens(Self::storage_option)
    }

    fn storage_option(&mut self) -> Result<StorageOption> {
        let mut name = self.label()?.name.to_string();
        if self.eat_char(b'.') {
            name = format!("{name}.{}", self.label()?.name);
        }
        if !self.eat_char(b'=') {
            return Ok(StorageOption { name, value: OptionValue::None });
        }
        let token = self.peek();
        let value = match token.kind {
            Kind::Char(b'(') => {
                let names = self.parens(Self::column_name)?;
                OptionValue::Names(names.into_iter().map(|n| n.name.to_string()).collect())
            }
            Kind::Char(b'-' | b'+') => {
                self.advance();
                let number = self.advance();
                let sign = if token.kind == Kind::Char(b'-') { "-" } else { "" };
                if !matches!(number.kind, Kind::Integer | Kind::Decimal) {
                    return Err(self.error_near("syntax error", number));
                }
                OptionValue::Word(format!("{sign}{}", self.source(number)))
            }
            Kind::Integer | Kind::Decimal => {
                self.advance();
                OptionValue::Word(self.source(token).to_owned())
            }
            _ if self.at_string() => OptionValue::Word(self.string()?.to_string()),
            _ => OptionValue::Word(self.label()?.name.to_string()),
        };
        Ok(StorageOption { name, value })
    }
}
