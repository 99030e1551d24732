//! ALTER TABLE, ALTER INDEX, ALTER SEQUENCE.

use super::super::ddl::{AlterTable, ColumnConstraint, Ddl, ObjectKind, SequenceOptions};
use super::super::keywords::Keyword as K;
use super::super::lexer::Kind;
use super::super::position_at;
use super::Parser;
use crate::error::{Error, Result};

impl Parser<'_> {
    /// ALTER TABLE and ALTER FOREIGN TABLE, past TABLE.
    pub(super) fn alter_table(&mut self, kind: ObjectKind) -> Result<Ddl> {
        let at = self.at();
        if self.is(K::All) && self.is_at(1, K::In) {
            return Err(self.unsupported("ALTER TABLE ALL IN TABLESPACE", at));
        }
        let if_exists = self.eat_all(&[K::If, K::Exists]);
        let name = self.only_relation()?;
        let actions = if self.eat(K::Rename) {
            vec![self.rename()?]
        } else if self.eat_all(&[K::Set, K::Schema]) {
            vec![AlterTable::SetSchema(self.column_name()?.name.to_string())]
        } else if let Kind::Keyword(K::Attach | K::Detach) = self.kind() {
            return Err(self.unsupported("PARTITION", self.at()));
        } else {
            self.list(Self::alter_table_action)?
        };
        Ok(Ddl::AlterTable { kind, name, if_exists, actions })
    }

    fn rename(&mut self) -> Result<AlterTable> {
        if self.eat(K::To) {
            return Ok(AlterTable::RenameTable(self.column_name()?.name.to_string()));
        }
        if self.eat(K::Constraint) {
            let name = self.column_name()?.name.to_string();
            self.expect(K::To)?;
            let new_name = self.column_name()?.name.to_string();
            return Ok(AlterTable::RenameConstraint { name, new_name });
        }
        self.eat(K::Column);
        let name = self.column_name()?.name.to_string();
        self.expect(K::To)?;
        let new_name = self.column_name()?.name.to_string();
        Ok(AlterTable::RenameColumn { name, new_name })
    }

    fn alter_table_action(&mut self) -> Result<AlterTable> {
        let at = self.at();
        let Kind::Keyword(keyword) = self.kind() else { return Err(self.unexpected()) };
        self.advance();
        match keyword {
            K::Add => self.add(),
            K::Drop => self.drop_action(),
            K::Alter => self.alter_column(),
            K::Set if self.is_char(b'(') => Ok(AlterTable::SetOptions(self.storage_options()?)),
            K::Reset => {
                let names = self.storage_options()?;
                Ok(AlterTable::ResetOptions(names.into_iter().map(|o| o.name).collect()))
            }
            K::Owner => {
                self.expect(K::To)?;
                Ok(AlterTable::OwnerTo(self.role_name()?))
            }
            K::Validate => {
                self.expect(K::Constraint)?;
                Ok(AlterTable::ValidateConstraint(self.column_name()?.name.to_string()))
            }
            K::Options => Err(self.unsupported("ALTER FOREIGN TABLE … OPTIONS", at)),
            K::Set if self.is(K::Tablespace) => Err(self.unsupported("SET TABLESPACE", at)),
            K::Set if self.is(K::Logged) || self.is(K::Unlogged) => {
                self.advance();
                Ok(AlterTable::SetOptions(Vec::new()))
            }
            K::Set if self.is(K::Without) => {
                self.skip_statement();
                Ok(AlterTable::SetOptions(Vec::new()))
            }
            K::Set if self.is(K::Access) => Err(self.unsupported("SET ACCESS METHOD", at)),
            K::Enable | K::Disable | K::Force | K::No => {
                let what = match self.kind() {
                    _ if keyword == K::Force || keyword == K::No => "ROW LEVEL SECURITY",
                    Kind::Keyword(K::Row) => "ROW LEVEL SECURITY",
                    Kind::Keyword(K::Rule) => "RULE",
                    _ => "TRIGGER",
                };
                Err(self.unsupported(what, at))
            }
            K::Inherit => Err(self.unsupported("INHERIT", at)),
            K::Cluster => Err(self.unsupported("CLUSTER", at)),
            K::Replica => Err(self.unsupported("REPLICA IDENTITY", at)),
            K::Of | K::Not => Err(self.unsupported("ALTER TABLE OF", at)),
            _ => {
                self.next -= 1;
                Err(self.unexpected())
            }
        }
    }

    fn add(&mut self) -> Result<AlterTable> {
        if let Kind::Keyword(
            K::Constraint | K::Check | K::Unique | K::Primary | K::Exclude | K::Foreign,
        ) = self.kind()
        {
            let constraint = self.table_constraint()?;
            let not_valid = self.eat_all(&[K::Not, K::Valid]);
            return Ok(AlterTable::AddConstraint { constraint, not_valid });
        }
        self.eat(K::Column);
        let if_not_exists = self.eat_all(&[K::If, K::Not, K::Exists]);
        let column = Box::new(self.column_definition()?);
        Ok(AlterTable::AddColumn { column, if_not_exists })
    }

    fn drop_action(&mut self) -> Result<AlterTable> {
        if self.eat(K::Constraint) {
            let if_exists = self.eat_all(&[K::If, K::Exists]);
            let name = self.column_name()?.name.to_string();
            let cascade = self.cascade();
            return Ok(AlterTable::DropConstraint { name, if_exists, cascade });
        }
        self.eat(K::Column);
        let if_exists = self.eat_all(&[K::If, K::Exists]);
        let name = self.column_name()?.name.to_string();
        let cascade = self.cascade();
        Ok(AlterTable::DropColumn { name, if_exists, cascade })
    }

    fn alter_column(&mut self) -> Result<AlterTable> {
        let at = self.at();
        if self.eat(K::Constraint) {
            return Err(self.unsupported("ALTER CONSTRAINT", at));
        }
        self.eat(K::Column);
        let at = self.at();
        let column = self.column_name()?.name.to_string();
        let position = position_at(self.text, at);
        if self.eat_all(&[K::Set, K::Default]) {
            let from = self.at();
            let expr = self.expr()?;
            let default = Some(self.source_expr(expr, from));
            return Ok(AlterTable::SetDefault { column, default });
        }
        if self.eat_all(&[K::Drop, K::Default]) {
            return Ok(AlterTable::SetDefault { column, default: None });
        }
        if self.eat_all(&[K::Set, K::Not, K::Null]) {
            return Ok(AlterTable::SetNotNull(column));
        }
        if self.eat_all(&[K::Drop, K::Not, K::Null]) {
            return Ok(AlterTable::DropNotNull(column));
        }
        if self.eat(K::Type) || self.eat_all(&[K::Set, K::Data, K::Type]) {
            let ty = self.type_name()?;
            if self.is(K::Collate) {
                return Err(self.unsupported("COLLATE", self.at()));
            }
            let using = match self.eat(K::Using) {
                true => {
                    let from = self.at();
                    let expr = self.expr()?;
                    Some(self.source_expr(expr, from))
                }
                false => None,
            };
            return Ok(AlterTable::SetType { column, ty, using, position });
        }
        let at = self.at();
        if self.eat_all(&[K::Drop, K::Identity]) {
            let if_exists = self.eat_all(&[K::If, K::Exists]);
            return Ok(AlterTable::DropIdentity { column, if_exists });
        }
        if self.eat(K::Add) {
            return match self.generated(position)? {
                ColumnConstraint::Identity { always, options, .. } => {
                    Ok(AlterTable::AddIdentity { column, always, options: Box::new(options) })
                }
                _ => Err(self.unexpected()),
            };
        }
        if self.is(K::Restart) || (self.is(K::Set) && self.sets_identity()) {
            let (always, options) = self.identity_changes()?;
            return Ok(AlterTable::SetIdentity { column, always, options: Box::new(options) });
        }
        if self.is(K::Set) || self.is(K::Reset) || self.is(K::Restart) {
            let what = match self.peek_at(1).kind {
                Kind::Keyword(K::Statistics) => "SET STATISTICS",
                Kind::Keyword(K::Storage) => "SET STORAGE",
                Kind::Keyword(K::Compression) => "SET COMPRESSION",
                Kind::Char(b'(') => "column options",
                _ => {
                    self.advance();
                    return Err(self.unexpected());
                }
            };
            return Err(self.unsupported(what, at));
        }
        Err(self.unexpected())
    }

    /// Whether SET is followed by an option of an identity column.
    fn sets_identity(&self) -> bool {
        matches!(
            self.peek_at(1).kind,
            Kind::Keyword(
                K::Generated
                    | K::Increment
                    | K::Minvalue
                    | K::Maxvalue
                    | K::Start
                    | K::Restart
                    | K::Cache
                    | K::Cycle
                    | K::No
                    | K::Sequence
            )
        )
    }

    /// `alter_identity_column_option_list`: whether it becomes ALWAYS, and options.
    fn identity_changes(&mut self) -> Result<(Option<bool>, SequenceOptions)> {
        let (mut always, mut options) = (None, SequenceOptions::default());
        loop {
            if self.is(K::Restart) {
                let restart = self.sequence_options(false)?.restart;
                options.restart = restart.or(options.restart);
            } else if self.eat_all(&[K::Set, K::Generated]) {
                always = Some(self.eat(K::Always));
                if always == Some(false) {
                    self.expect(K::By)?;
                    self.expect(K::Default)?;
                }
            } else if self.eat(K::Set) {
                let more = self.sequence_options(false)?;
                options = options.or(more);
            } else {
                return Ok((always, options));
            }
        }
    }

    /// ALTER INDEX, past INDEX.
    pub(super) fn alter_index(&mut self) -> Result<Ddl> {
        let if_exists = self.eat_all(&[K::If, K::Exists]);
        let name = self.object_name()?;
        if self.eat_all(&[K::Rename, K::To]) {
            let actions = vec![AlterTable::RenameTable(self.column_name()?.name.to_string())];
            return Ok(Ddl::AlterTable { kind: ObjectKind::Index, name, if_exists, actions });
        }
        Err(self.unsupported_action("ALTER INDEX"))
    }

    /// ALTER SEQUENCE, past SEQUENCE.
    pub(super) fn alter_sequence(&mut self) -> Result<Ddl> {
        let if_exists = self.eat_all(&[K::If, K::Exists]);
        let name = self.object_name()?;
        let action = if self.eat_all(&[K::Rename, K::To]) {
            AlterTable::RenameTable(self.column_name()?.name.to_string())
        } else if self.eat_all(&[K::Owner, K::To]) {
            AlterTable::OwnerTo(self.role_name()?)
        } else if self.eat_all(&[K::Set, K::Schema]) {
            AlterTable::SetSchema(self.column_name()?.name.to_string())
        } else {
            let options = self.sequence_options(false)?;
            return Ok(Ddl::AlterSequence { name, if_exists, options: Box::new(options) });
        };
        let actions = vec![action];
        Ok(Ddl::AlterTable { kind: ObjectKind::Sequence, name, if_exists, actions })
    }

    fn unsupported_action(&self, statement: &str) -> Error {
        match self.kind() {
            Kind::Keyword(keyword) => {
                let word = keyword.word().to_ascii_uppercase();
                self.unsupported(format!("{statement} … {word}"), self.at())
            }
            _ => self.unexpected(),
        }
    }
}
