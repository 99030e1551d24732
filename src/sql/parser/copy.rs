//! COPY, in its present and its old syntax.

use super::super::keywords::Keyword as K;
use super::super::lexer::Kind;
use super::super::statement::*;
use super::{LABELS, Parser};
use crate::error::{Error, Result, SqlState};

impl Parser<'_> {
    pub(super) fn copy(&mut self) -> Result<StatementKind> {
        self.advance();
        let mut options = CopyOptions::default();
        if self.eat(K::Binary) {
            options.format = CopyFormat::Binary;
        }
        let (target, from) = if self.eat_char(b'(') {
            let inner = self.copied_statement()?;
            self.expect_char(b')')?;
            self.expect(K::To)?;
            (CopyTarget::Query(Box::new(inner)), false)
        } else {
            let table = self.qualified_name()?;
            let columns =
                if self.is_char(b'(') { Some(self.parens(Self::column_name)?) } else { None };
            let from = self.eat(K::From);
            if !from {
                self.expect(K::To)?;
            }
            (CopyTarget::Table(table, columns), from)
        };
        let program = self.eat(K::Program);
        let file = if !program && (self.eat(K::Stdin) || self.eat(K::Stdout)) {
            None
        } else {
            Some(self.string()?.to_string())
        };
        if self.is(K::Using) || self.is(K::Delimiters) {
            self.eat(K::Using);
            self.expect(K::Delimiters)?;
            options.delimiter = Some(self.string()?.to_string());
        }
        self.eat(K::With);
        if self.is_char(b'(') {
            let mut seen = Vec::new();
            self.parens(|p| p.copy_option(&mut options, &mut seen))?;
        } else {
            while self.old_copy_option(&mut options)? {}
        }
        let filter = if self.is(K::Where) {
            if !from {
                return Err(self.error("WHERE clause not allowed with COPY TO", self.at()));
            }
            self.advance();
            Some(self.expr()?)
        } else {
            None
        };
        let copy = Copy { target, from, file, program, options, filter };
        Ok(StatementKind::Copy(Box::new(copy)))
    }

    fn copied_statement(&mut self) -> Result<StatementKind> {
        match self.kind() {
            Kind::Keyword(
                K::Select | K::Values | K::Table | K::With | K::Insert | K::Update | K::Delete,
            )
            | Kind::Char(b'(') => self.optimizable(),
            _ => Err(self.unexpected()),
        }
    }

    fn copy_option(&mut self, options: &mut CopyOptions, seen: &mut Vec<String>) -> Result<()> {
        let at = self.at();
        let name = self.name_of(LABELS)?.name;
        if seen.iter().any(|other| **other == *name) {
            return Err(self.error("conflicting or redundant options", at));
        }
        seen.push(name.to_string());
        match &*name {
            "format" => {
                let format = self.setting_value()?;
                options.format = match format.as_str() {
                    "text" => CopyFormat::Text,
                    "csv" => CopyFormat::Csv,
                    "binary" => CopyFormat::Binary,
                    "parquet" => CopyFormat::Parquet,
                    _ => {
                        let message = format!("COPY format \"{format}\" not recognized");
                        return Err(self.invalid(message, at));
                    }
                };
            }
            "freeze" => options.freeze = self.copy_flag(&name)?,
            "header" => {
                options.header = Some(match self.optional_value()?.as_deref() {
                    None | Some("true" | "on" | "1") => CopyHeader::On,
                    Some("false" | "off" | "0") => CopyHeader::Off,
                    Some("match") => CopyHeader::Match,
                    Some(_) => {
                        let message = "header requires a Boolean value or \"match\"";
                        return Err(Error::new(SqlState::SYNTAX_ERROR, message));
                    }
                });
            }
            "delimiter" => options.delimiter = Some(self.setting_value()?),
            "null" => options.null = Some(self.setting_value()?),
            "quote" => options.quote = Some(self.setting_value()?),
            "escape" => options.escape = Some(self.setting_value()?),
            "encoding" => options.encoding = Some(self.setting_value()?),
            "compression" => options.compression = Some(self.setting_value()?),
            "row_group_size" => options.row_group_size = Some(self.setting_value()?),
            "force_quote" => options.force_quote = Some(self.copy_columns(true)?),
            "force_not_null" => options.force_not_null = Some(self.copy_columns(false)?),
            "force_null" => options.force_null = Some(self.copy_columns(false)?),
            _ => return Err(self.error(format!("option \"{name}\" not recognized"), at)),
        }
        Ok(())
    }

    fn optional_value(&mut self) -> Result<Option<String>> {
        match self.kind() {
            Kind::Char(b',' | b')') => Ok(None),
            _ => Ok(Some(self.setting_value()?.to_ascii_lowercase())),
        }
    }

    fn copy_flag(&mut self, name: &str) -> Result<bool> {
        match self.optional_value()?.as_deref() {
            None | Some("true" | "on" | "1") => Ok(true),
            Some("false" | "off" | "0") => Ok(false),
            Some(_) => {
                let message = format!("{name} requires a Boolean value");
                Err(Error::new(SqlState::SYNTAX_ERROR, message))
            }
        }
    }

    /// `(columns)`, or `*` (an empty list) where that is allowed.
    fn copy_columns(&mut self, star: bool) -> Result<Vec<String>> {
        if star && self.eat_char(b'*') {
            return Ok(Vec::new());
        }
        self.parens(|p| Ok(p.column_name()?.name.to_string()))
    }

    /// An option in the syntax before PostgreSQL 9.0; whether there was one.
    fn old_copy_option(&mut self, options: &mut CopyOptions) -> Result<bool> {
        let Kind::Keyword(keyword) = self.kind() else { return Ok(false) };
        match keyword {
            K::Binary => options.format = CopyFormat::Binary,
            K::Csv => options.format = CopyFormat::Csv,
            K::Header => options.header = Some(CopyHeader::On),
            K::Freeze => options.freeze = true,
            K::Delimiter | K::Null | K::Quote | K::Escape | K::Encoding => {
                self.advance();
                self.eat(K::As);
                let value = Some(self.string()?.to_string());
                match keyword {
                    K::Delimiter => options.delimiter = value,
                    K::Null => options.null = value,
                    K::Quote => options.quote = value,
                    K::Escape => options.escape = value,
                    _ => options.encoding = value,
                }
                return Ok(true);
            }
            K::Force => {
                self.advance();
                if self.eat(K::Quote) {
                    options.force_quote = Some(self.old_copy_columns(true)?);
                } else if self.eat_all(&[K::Not, K::Null]) {
                    options.force_not_null = Some(self.old_copy_columns(false)?);
                } else {
                    self.expect(K::Null)?;
                    options.force_null = Some(self.old_copy_columns(false)?);
                }
                return Ok(true);
            }
            _ => return Ok(false),
        }
        self.advance();
        Ok(true)
    }

    fn old_copy_columns(&mut self, star: bool) -> Result<Vec<String>> {
        if star && self.eat_char(b'*') {
            return Ok(Vec::new());
        }
        self.list(|p| Ok(p.column_name()?.name.to_string()))
    }
}
