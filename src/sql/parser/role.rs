//! CREATE, ALTER and DROP ROLE, USER and GROUP.

use super::super::ddl::{CreateRole, Ddl, RoleOptions, RoleSetting};
use super::super::keywords::Keyword as K;
use super::super::lexer::Kind;
use super::super::position_at;
use super::Parser;
use crate::error::{Error, Result, SqlState};

impl Parser<'_> {
    /// CREATE, ALTER or DROP of a role, if that is next.
    pub(super) fn role_statement(&mut self) -> Result<Option<Ddl>> {
        let Kind::Keyword(object @ (K::Role | K::User | K::Group)) = self.peek_at(1).kind else {
            return Ok(None);
        };
        if self.is_at(2, K::Mapping) {
            return Ok(None);
        }
        let Kind::Keyword(verb) = self.kind() else { return Ok(None) };
        self.next += 2;
        Ok(Some(match verb {
            K::Create => {
                let name = self.role_name()?;
                let mut options = self.role_options()?;
                // A user is a role that may log in, unless it says otherwise.
                if object == K::User {
                    options.login = options.login.or(Some(true));
                }
                Ddl::CreateRole(Box::new(CreateRole { name, options }))
            }
            K::Alter => {
                let name = self.role_name()?;
                if self.eat_all(&[K::Rename, K::To]) {
                    return Ok(Some(Ddl::RenameRole(name, self.role_name()?)));
                }
                let at = self.at();
                if self.is(K::In) {
                    return Err(self.unsupported("ALTER ROLE … IN DATABASE", at));
                }
                if self.eat(K::Set) {
                    let (setting, value) = self.setting_and_value()?;
                    let change = match value {
                        Some(value) => RoleSetting::Set(setting, value),
                        None => RoleSetting::Reset(setting),
                    };
                    return Ok(Some(Ddl::RoleSetting(name, change)));
                }
                if self.eat(K::Reset) {
                    let setting = self.setting_or_all()?;
                    let change = setting.map_or(RoleSetting::ResetAll, RoleSetting::Reset);
                    return Ok(Some(Ddl::RoleSetting(name, change)));
                }
                if self.is(K::Add) || self.is(K::Drop) {
                    return Err(self.unsupported("role membership", at));
                }
                Ddl::AlterRole(name, self.role_options()?)
            }
            _ => {
                let if_exists = self.eat_all(&[K::If, K::Exists]);
                Ddl::DropRoles { names: self.list(Self::role_name)?, if_exists }
            }
        }))
    }

    pub(super) fn role_name(&mut self) -> Result<String> {
        let at = self.at();
        if self.is(K::CurrentUser) || self.is(K::CurrentRole) || self.is(K::SessionUser) {
            return Err(self.unsupported("a role named by its place in the session", at));
        }
        let name = self.column_name()?;
        if matches!(&*name.name, "public" | "none") {
            return Err(Error::new(
                SqlState::RESERVED_NAME,
                format!("role name \"{}\" is reserved", name.name),
            )
            .at(position_at(self.text, at)));
        }
        Ok(name.name.to_string())
    }

    fn role_options(&mut self) -> Result<RoleOptions> {
        self.eat(K::With);
        let mut options = RoleOptions::default();
        while !matches!(self.kind(), Kind::Eof | Kind::Invalid | Kind::Char(b';')) {
            let at = self.at();
            self.role_option(&mut options).map_err(|e| e.at(position_at(self.text, at)))?;
        }
        Ok(options)
    }

    fn role_option(&mut self, options: &mut RoleOptions) -> Result<()> {
        let redundant = || Error::new(SqlState::SYNTAX_ERROR, "conflicting or redundant options");
        let token = self.peek();
        let word = self.source(token).to_ascii_lowercase();
        let (name, value) = match word.strip_prefix("no") {
            Some(name) if name != "ne" => (name, false),
            _ => (word.as_str(), true),
        };
        let flag = match name {
            "superuser" => &mut options.superuser,
            "createdb" => &mut options.create_db,
            "createrole" => &mut options.create_role,
            "inherit" => &mut options.inherit,
            "login" => &mut options.login,
            "replication" => &mut options.replication,
            "bypassrls" => &mut options.bypass_rls,
            _ => return self.role_option_with_value(options),
        };
        if flag.replace(value).is_some() {
            return Err(redundant());
        }
        self.advance();
        Ok(())
    }

    fn role_option_with_value(&mut self, options: &mut RoleOptions) -> Result<()> {
        let at = self.at();
        if self.eat_all(&[K::Connection, K::Limit]) {
            let negative = self.eat_char(b'-');
            let limit = self.integer()?;
            options.connection_limit = Some(if negative { -limit } else { limit });
        } else if self.eat_all(&[K::Valid, K::Until]) {
            options.valid_until = Some(self.string()?.to_string());
        } else if self.is(K::Password) || self.is(K::Encrypted) {
            let encrypted = self.eat(K::Encrypted);
            self.expect(K::Password)?;
            options.password = Some(match !encrypted && self.eat(K::Null) {
                true => None,
                false => Some(self.string()?.to_string()),
            });
        } else if self.is(K::Unencrypted) {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "UNENCRYPTED PASSWORD is no longer supported",
            )
            .with_hint("Remove UNENCRYPTED to store the password in encrypted form instead."));
        } else if self.is(K::In) || self.is(K::Role) || self.is(K::User) || self.is(K::Admin) {
            return Err(self.unsupported("role membership", at));
        } else if self.kind() == Kind::Word {
            let token = self.peek();
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!("unrecognized role option \"{}\"", self.source(token)),
            ));
        } else {
            return Err(self.unexpected());
        }
        Ok(())
    }
}
