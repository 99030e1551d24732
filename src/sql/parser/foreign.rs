//! IMPORT FOREIGN SCHEMA, CREATE FOREIGN TABLE.

use super::super::ddl::{
    CreateForeignTable, Ddl, ForeignOption, ImportForeignSchema, ImportedTables,
};
use super::super::keywords::Keyword as K;
use super::Parser;
use crate::error::Result;

impl Parser<'_> {
    /// IMPORT FOREIGN SCHEMA.
    pub(super) fn import_foreign_schema(&mut self) -> Result<Ddl> {
        self.advance();
        self.expect(K::Foreign)?;
        self.expect(K::Schema)?;
        let remote = self.column_name()?.name.to_string();
        let tables = if self.eat(K::Limit) {
            self.expect(K::To)?;
            ImportedTables::Only(self.imported_names()?)
        } else if self.eat(K::Except) {
            ImportedTables::Except(self.imported_names()?)
        } else {
            ImportedTables::All
        };
        self.expect(K::From)?;
        let server = self.server()?;
        self.expect(K::Into)?;
        let into = self.column_name()?.name.to_string();
        let options = self.generic_options()?;
        let import = ImportForeignSchema { remote, tables, server, into, options };
        Ok(Ddl::ImportForeignSchema(Box::new(import)))
    }

    fn imported_names(&mut self) -> Result<Vec<String>> {
        let names = self.parens(Self::only_relation)?;
        Ok(names.into_iter().map(|name| name.name).collect())
    }

    fn server(&mut self) -> Result<String> {
        self.expect(K::Server)?;
        Ok(self.column_name()?.name.to_string())
    }

    /// `OPTIONS (name 'value', …)`, or nothing.
    pub(super) fn generic_options(&mut self) -> Result<Vec<ForeignOption>> {
        if !self.eat(K::Options) {
            return Ok(Vec::new());
        }
        self.parens(|parser| {
            let name = parser.label()?.name.to_string();
            Ok(ForeignOption { name, value: parser.string()?.to_string() })
        })
    }

    /// CREATE FOREIGN TABLE, past TABLE.
    pub(super) fn create_foreign_table(&mut self) -> Result<Ddl> {
        let if_not_exists = self.eat_all(&[K::If, K::Not, K::Exists]);
        let name = self.object_name()?;
        if self.is(K::Partition) && self.is_at(1, K::Of) {
            return Err(self.unsupported("PARTITION OF", self.at()));
        }
        self.expect_char(b'(')?;
        let columns = match self.eat_char(b')') {
            true => Vec::new(),
            false => {
                let columns = self.list(Self::column_with_options)?;
                self.expect_char(b')')?;
                columns
            }
        };
        if self.is(K::Inherits) {
            return Err(self.unsupported("INHERITS", self.at()));
        }
        let server = self.server()?;
        let options = self.generic_options()?;
        let table = CreateForeignTable { name, if_not_exists, columns, server, options };
        Ok(Ddl::CreateForeignTable(Box::new(table)))
    }
}
