//! CREATE TABLE, CREATE INDEX, CREATE SEQUENCE.

use super::super::ddl::{
    ColumnDefinition, Constraint, CreateIndex, CreateSequence, CreateTable, CreateTableAs, Ddl,
    ForeignOption, IndexColumn, ObjectName, SequenceOptions, StorageOption,
};
use super::super::keywords::Keyword as K;
use super::super::lexer::Kind;
use super::super::position_at;
use super::Parser;
use crate::error::{Error, Result};

/// Operator classes that order as the type's default does, the only collation being C.
const DEFAULT_ORDER_CLASSES: &[&str] = &[
    "bool_ops",
    "bpchar_ops",
    "bpchar_pattern_ops",
    "bytea_ops",
    "char_ops",
    "date_ops",
    "float4_ops",
    "float8_ops",
    "int2_ops",
    "int4_ops",
    "int8_ops",
    "interval_ops",
    "jsonb_ops",
    "name_ops",
    "numeric_ops",
    "oid_ops",
    "text_ops",
    "text_pattern_ops",
    "time_ops",
    "timestamp_ops",
    "timestamptz_ops",
    "uuid_ops",
    "varchar_ops",
    "varchar_pattern_ops",
];

/// An element of CREATE TABLE's list.
enum Element {
    Column(ColumnDefinition),
    Constraint(Constraint),
}

impl Parser<'_> {
    /// CREATE TABLE, past TABLE.
    pub(super) fn create_table(&mut self) -> Result<Ddl> {
        let if_not_exists = self.eat_all(&[K::If, K::Not, K::Exists]);
        let name = self.object_name()?;
        if self.is(K::Of) {
            return Err(self.unsupported("CREATE TABLE OF", self.at()));
        }
        if self.is(K::Partition) && self.is_at(1, K::Of) {
            return Err(self.unsupported("PARTITION OF", self.at()));
        }
        if self.is(K::As) || self.is(K::With) || self.is(K::Using) || self.lists_names_only() {
            return self.create_table_as(name, if_not_exists);
        }
        self.expect_char(b'(')?;
        let elements = match self.eat_char(b')') {
            true => Vec::new(),
            false => {
                let elements = self.list(Self::table_element)?;
                self.expect_char(b')')?;
                elements
            }
        };
        let options = self.table_clauses()?;
        let (mut columns, mut constraints) = (Vec::new(), Vec::new());
        for element in elements {
            match element {
                Element::Column(column) => columns.push(column),
                Element::Constraint(constraint) => constraints.push(constraint),
            }
        }
        let table = CreateTable { name, if_not_exists, columns, constraints, options };
        Ok(Ddl::CreateTable(Box::new(table)))
    }

    /// Whether `(a, b)` without types is next: names for a query's columns.
    fn lists_names_only(&self) -> bool {
        if !self.is_char(b'(') {
            return false;
        }
        let next = self.peek_at(2).kind;
        self.is_name_at(1, super::COLUMN_NAMES)
            && matches!(next, Kind::Char(b',') | Kind::Char(b')'))
    }

    fn create_table_as(&mut self, name: ObjectName, if_not_exists: bool) -> Result<Ddl> {
        let columns = match self.is_char(b'(') {
            true => self.parens(Self::column_name)?,
            false => Vec::new(),
        };
        let options = self.table_clauses()?;
        self.expect(K::As)?;
        if self.is(K::Execute) {
            return Err(self.unsupported("CREATE TABLE AS EXECUTE", self.at()));
        }
        let query = self.query()?;
        let with_data = !self.eat_all(&[K::With, K::No, K::Data]);
        if with_data {
            self.eat_all(&[K::With, K::Data]);
        }
        Ok(Ddl::CreateTableAs(Box::new(CreateTableAs {
            name,
            if_not_exists,
            columns: columns.into_iter().map(|c| c.name.to_string()).collect(),
            options,
            query,
            with_data,
        })))
    }

    /// What follows CREATE TABLE's list.
    fn table_clauses(&mut self) -> Result<Vec<StorageOption>> {
        let at = self.at();
        if self.eat(K::Inherits) {
            return Err(self.unsupported("INHERITS", at));
        }
        if self.eat(K::Partition) {
            return Err(self.unsupported("PARTITION BY", at).with_hint(
                "WITH (partition_by = (…)) says which key columns place a row in the store.",
            ));
        }
        if self.eat(K::Using) {
            let at = self.at();
            let method = self.column_name()?.name;
            if &*method != "heap" {
                return Err(self.unsupported(format!("access method \"{method}\""), at));
            }
        }
        let options = if self.eat(K::With) {
            self.storage_options()?
        } else {
            self.eat_all(&[K::Without, K::Oids]);
            Vec::new()
        };
        if self.is(K::On) {
            return Err(self.unsupported("ON COMMIT", self.at()));
        }
        self.tablespace()?;
        Ok(options)
    }

    pub(super) fn tablespace(&mut self) -> Result<()> {
        if !self.eat(K::Tablespace) {
            return Ok(());
        }
        let at = self.at();
        let name = self.column_name()?.name;
        match &*name {
            "pg_default" => Ok(()),
            _ => Err(self.unsupported("TABLESPACE", at)),
        }
    }

    fn table_element(&mut self) -> Result<Element> {
        match self.kind() {
            Kind::Keyword(
                K::Constraint | K::Check | K::Unique | K::Primary | K::Exclude | K::Foreign,
            ) => Ok(Element::Constraint(self.table_constraint()?)),
            Kind::Keyword(K::Like) => Err(self.unsupported("CREATE TABLE … (LIKE …)", self.at())),
            _ => Ok(Element::Column(self.column_definition()?)),
        }
    }

    /// `columnDef` of a table in the store.
    pub(super) fn column_definition(&mut self) -> Result<ColumnDefinition> {
        let (column, options) = self.column_with_options()?;
        if !options.is_empty() {
            return Err(Error::unsupported("OPTIONS").at(column.position));
        }
        Ok(column)
    }

    /// `columnDef`
    pub(super) fn column_with_options(&mut self) -> Result<(ColumnDefinition, Vec<ForeignOption>)> {
        let at = self.at();
        let name = self.column_name()?.name.to_string();
        let ty = self.type_name()?;
        let mut column = ColumnDefinition {
            name,
            ty,
            constraints: Vec::new(),
            position: position_at(self.text, at),
        };
        if self.is(K::Compression) {
            return Err(self.unsupported("COMPRESSION", self.at()));
        }
        let options = self.generic_options()?;
        while let Some(constraint) = self.column_constraint()? {
            column.constraints.extend(constraint);
        }
        Ok((column, options))
    }

    /// CREATE INDEX, past INDEX.
    pub(super) fn create_index(&mut self, unique: bool) -> Result<Ddl> {
        let concurrently = self.eat(K::Concurrently);
        let if_not_exists = self.eat_all(&[K::If, K::Not, K::Exists]);
        let name = match self.is(K::On) && !if_not_exists {
            true => None,
            false => Some(self.column_name()?.name.to_string()),
        };
        self.expect(K::On)?;
        let table = self.only_relation()?;
        if self.eat(K::Using) {
            let at = self.at();
            let method = self.column_name()?.name;
            if &*method != "btree" {
                return Err(self.unsupported(format!("access method \"{method}\""), at));
            }
        }
        let columns = self.parens(Self::index_column)?;
        let at = self.at();
        if self.eat(K::Include) {
            return Err(self.unsupported("INCLUDE", at));
        }
        self.nulls_distinct()?;
        if self.eat(K::With) {
            self.storage_options()?;
        }
        self.tablespace()?;
        if self.is(K::Where) {
            return Err(self.unsupported("a partial index", self.at()));
        }
        let index = CreateIndex { name, table, unique, concurrently, if_not_exists, columns };
        Ok(Ddl::CreateIndex(Box::new(index)))
    }

    fn index_column(&mut self) -> Result<IndexColumn> {
        let at = self.at();
        let is_call = self.is_char_at(1, b'(') || self.is_char_at(1, b'.');
        if self.is_char(b'(') || is_call || !self.is_name_at(0, super::COLUMN_NAMES) {
            self.primary()?;
            return Err(self.unsupported("an index on an expression", at));
        }
        let name = self.column_name()?.name.to_string();
        if self.eat(K::Collate) {
            let at = self.at();
            let collation = self.qualified_name()?;
            let collation = collation.last().map_or("", |c| c.name.as_ref());
            if !matches!(collation, "C" | "POSIX" | "default" | "ucs_basic") {
                return Err(self.unsupported(format!("collation \"{collation}\""), at));
            }
        }
        if self.is_name_at(0, super::COLUMN_NAMES) && !self.is(K::Nulls) {
            let at = self.at();
            let class = self.qualified_name()?;
            let class = class.last().map_or("", |c| c.name.as_ref());
            if !DEFAULT_ORDER_CLASSES.contains(&class) {
                return Err(self.unsupported(format!("operator class \"{class}\""), at));
            }
        }
        let desc = self.eat(K::Desc);
        if !desc {
            self.eat(K::Asc);
        }
        let nulls_first = if self.eat(K::Nulls) {
            let first = self.eat(K::First);
            if !first {
                self.expect(K::Last)?;
            }
            first
        } else {
            desc
        };
        Ok(IndexColumn { name, desc, nulls_first, position: position_at(self.text, at) })
    }

    /// CREATE SEQUENCE, past SEQUENCE.
    pub(super) fn create_sequence(&mut self) -> Result<Ddl> {
        let if_not_exists = self.eat_all(&[K::If, K::Not, K::Exists]);
        let name = self.object_name()?;
        let options = self.sequence_options(false)?;
        Ok(Ddl::CreateSequence(Box::new(CreateSequence { name, if_not_exists, options })))
    }

    /// Options of a sequence, up to what is none. `named`: its name may be one.
    pub(super) fn sequence_options(&mut self, named: bool) -> Result<SequenceOptions> {
        let mut options = SequenceOptions::default();
        loop {
            let at = self.at();
            let redundant = if self.eat(K::As) {
                options.ty.replace(self.type_name()?).is_some()
            } else if self.eat(K::Increment) {
                self.eat(K::By);
                options.increment.replace(self.signed_integer()?).is_some()
            } else if self.eat(K::Minvalue) {
                options.min.replace(Some(self.signed_integer()?)).is_some()
            } else if self.eat(K::Maxvalue) {
                options.max.replace(Some(self.signed_integer()?)).is_some()
            } else if self.eat_all(&[K::No, K::Minvalue]) {
                options.min.replace(None).is_some()
            } else if self.eat_all(&[K::No, K::Maxvalue]) {
                options.max.replace(None).is_some()
            } else if self.eat(K::Start) {
                self.eat(K::With);
                options.start.replace(self.signed_integer()?).is_some()
            } else if self.eat(K::Restart) {
                self.eat(K::With);
                let value = match self.kind() {
                    Kind::Integer | Kind::Char(b'-' | b'+') => Some(self.signed_integer()?),
                    _ => None,
                };
                options.restart.replace(value).is_some()
            } else if self.eat(K::Cache) {
                options.cache.replace(self.signed_integer()?).is_some()
            } else if self.eat(K::Cycle) {
                options.cycle.replace(true).is_some()
            } else if self.eat_all(&[K::No, K::Cycle]) {
                options.cycle.replace(false).is_some()
            } else if self.eat_all(&[K::Owned, K::By]) {
                options.owned_by.replace(self.owned_by()?).is_some()
            } else if self.eat_all(&[K::Sequence, K::Name]) {
                if !named {
                    return Err(self.error("invalid sequence option SEQUENCE NAME", at));
                }
                options.name.replace(self.object_name()?).is_some()
            } else {
                return Ok(options);
            };
            if redundant {
                return Err(self.error("conflicting or redundant options", at));
            }
        }
    }

    fn owned_by(&mut self) -> Result<Option<(ObjectName, String)>> {
        let at = self.at();
        if self.eat(K::None) {
            return Ok(None);
        }
        let mut parts = self.qualified_name()?;
        let column = parts.pop().map(|c| c.name.to_string()).unwrap_or_default();
        if parts.is_empty() {
            return Err(self
                .error("invalid OWNED BY option", at)
                .with_hint("Specify OWNED BY table.column or OWNED BY NONE."));
        }
        Ok(Some((self.name_from(&parts)?, column)))
    }

    fn signed_integer(&mut self) -> Result<i64> {
        let negative = self.eat_char(b'-');
        if !negative {
            self.eat_char(b'+');
        }
        let token = self.peek();
        let digits = self.source(token);
        let text = if negative { format!("-{digits}") } else { digits.to_owned() };
        match (token.kind, text.parse()) {
            (Kind::Integer, Ok(value)) => {
                self.advance();
                Ok(value)
            }
            _ => Err(self.unexpected()),
        }
    }
}
