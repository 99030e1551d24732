//! CREATE, ALTER and DROP ROLE.

use super::{Runner, Tag};
use crate::catalog::descriptor::RoleDescriptor;
use crate::error::{Error, Result, SqlState};
use crate::sql::ddl::{CreateRole, RoleOptions, RoleSetting};
use crate::types::{Datum, SqlType, io};

impl Runner<'_> {
    pub(super) async fn create_role(&mut self, create: &CreateRole) -> Result<Tag> {
        let me = self.me();
        let asked = |flag: Option<bool>| flag == Some(true) && !me.superuser;
        let options = &create.options;
        let refused = [
            (asked(options.superuser), "must be superuser to create superusers"),
            (asked(options.replication), "must be superuser to create replication users"),
            (asked(options.bypass_rls), "must be superuser to create bypassrls users"),
            (!me.superuser && !me.create_role, "permission denied to create role"),
        ];
        if let Some((_, message)) = refused.into_iter().find(|(refused, _)| *refused) {
            return Err(denied(message));
        }
        let mut role = RoleDescriptor::new(0, &create.name);
        self.apply_role_options(&mut role, &create.options)?;
        self.change.create_role(role).await?;
        Ok("CREATE ROLE".into())
    }

    pub(super) async fn alter_role(&mut self, name: &str, options: &RoleOptions) -> Result<Tag> {
        // Anyone may change their own password.
        let password_only = RoleOptions { password: options.password.clone(), ..<_>::default() };
        let above = "must be superuser to alter superuser roles or change superuser attribute";
        if options.superuser.is_some() && !self.me().superuser {
            return Err(denied(above));
        }
        self.may_change(name, above, "permission denied", *options == password_only)?;
        // What can fail fails here, before the newest descriptor is changed.
        let mut wanted = RoleDescriptor::new(0, name);
        self.apply_role_options(&mut wanted, options)?;
        let RoleOptions { password, valid_until, .. } = options;
        self.change
            .alter_role(name, |role| {
                set_flags(role, options);
                if password.is_some() {
                    role.password = wanted.password;
                }
                if valid_until.is_some() {
                    role.valid_until = wanted.valid_until;
                }
            })
            .await?;
        Ok("ALTER ROLE".into())
    }

    /// ALTER ROLE … SET: sessions that begin from now on have it.
    pub(super) async fn role_setting(&mut self, name: &str, change: &RoleSetting) -> Result<Tag> {
        // As the role's own sessions may: what only a superuser sets, only one gives to a role.
        self.may_change(name, "must be superuser to alter superusers", "permission denied", true)?;
        let (setting, value) = match change {
            RoleSetting::Set(setting, value) => (setting, Some(value)),
            RoleSetting::Reset(setting) => (setting, None),
            RoleSetting::ResetAll => {
                self.change.alter_role(name, |role| role.settings.clear()).await?;
                return Ok("ALTER ROLE".into());
            }
        };
        let setting = (self.setting)(setting, value.map(String::as_str))?;
        self.change
            .alter_role(name, |role| {
                let known = role.settings.iter().position(|(name, _)| *name == setting);
                match (known, value) {
                    (Some(at), Some(value)) => role.settings[at].1.clone_from(value),
                    (None, Some(value)) => role.settings.push((setting, value.clone())),
                    (Some(at), None) => {
                        role.settings.remove(at);
                    }
                    (None, None) => {}
                }
            })
            .await?;
        Ok("ALTER ROLE".into())
    }

    fn apply_role_options(
        &mut self,
        role: &mut RoleDescriptor,
        options: &RoleOptions,
    ) -> Result<()> {
        if options.connection_limit.is_some_and(|limit| limit < -1) {
            let limit = options.connection_limit.unwrap_or_default();
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("invalid connection limit: {limit}"),
            ));
        }
        set_flags(role, options);
        match &options.password {
            Some(Some(password)) if password.is_empty() => {
                let message = "empty string is not a valid password, clearing password";
                self.notice(SqlState::SUCCESSFUL_COMPLETION, message.to_owned());
                role.password = None;
            }
            Some(Some(password)) => {
                role.password = Some((self.verifier)(password));
            }
            Some(None) => role.password = None,
            None => {}
        }
        if let Some(text) = &options.valid_until {
            let settings = &self.eval.session.format;
            let now = self.eval.statement_time;
            let moment = io::parse_text(text, SqlType::TIMESTAMPTZ, settings, now)?;
            role.valid_until = match moment {
                Datum::Timestamptz(micros) => Some(micros),
                _ => None,
            };
        }
        Ok(())
    }

    pub(super) async fn rename_role(&mut self, name: &str, new_name: &str) -> Result<Tag> {
        let above = "must be superuser to rename superusers";
        self.may_change(name, above, "permission denied to rename role", false)?;
        self.change.rename_role(name, new_name).await?;
        Ok("ALTER ROLE".into())
    }

    /// Whoever runs the statement.
    fn me(&self) -> RoleDescriptor {
        let name = &self.eval.session.current_user;
        let known = self.schema().role(name);
        known.map_or_else(|| RoleDescriptor::new(0, name), |role| RoleDescriptor::clone(role))
    }

    /// 42501 unless the user may change a role: a superuser any, one with CREATEROLE those that
    /// are no superusers, and some things everybody of themselves.
    fn may_change(&self, role: &str, above: &str, other: &str, own: bool) -> Result<()> {
        let me = self.me();
        let of_superuser = self.schema().role(role).is_some_and(|role| role.superuser);
        match () {
            () if me.superuser => Ok(()),
            () if of_superuser => Err(denied(above)),
            () if me.create_role || own && me.name == role => Ok(()),
            () => Err(denied(other)),
        }
    }

    pub(super) async fn drop_roles(&mut self, names: &[String], if_exists: bool) -> Result<Tag> {
        for name in names {
            if if_exists && self.schema().role(name).is_none() {
                let message = format!("role \"{name}\" does not exist, skipping");
                self.notice(SqlState::SUCCESSFUL_COMPLETION, message);
                continue;
            }
            let above = "must be superuser to drop superusers";
            self.may_change(name, above, "permission denied to drop role", false)?;
            if *name == self.eval.session.current_user {
                return Err(Error::new(SqlState::OBJECT_IN_USE, "current user cannot be dropped"));
            }
            self.change.drop_role(name).await?;
        }
        Ok("DROP ROLE".into())
    }
}

/// 42501
fn denied(message: &str) -> Error {
    Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message)
}

fn set_flags(role: &mut RoleDescriptor, options: &RoleOptions) {
    role.superuser = options.superuser.unwrap_or(role.superuser);
    role.create_db = options.create_db.unwrap_or(role.create_db);
    role.create_role = options.create_role.unwrap_or(role.create_role);
    role.inherit = options.inherit.unwrap_or(role.inherit);
    role.login = options.login.unwrap_or(role.login);
    role.replication = options.replication.unwrap_or(role.replication);
    role.bypass_rls = options.bypass_rls.unwrap_or(role.bypass_rls);
    role.connection_limit = options.connection_limit.unwrap_or(role.connection_limit);
}
