//! CREATE, ALTER and DROP ROLE.

use super::{Runner, Tag};
use crate::catalog::descriptor::RoleDescriptor;
use crate::error::{Error, Result, SqlState};
use crate::sql::ddl::{CreateRole, RoleOptions};
use crate::types::{Datum, SqlType, io};

impl Runner<'_> {
    pub(super) async fn create_role(&mut self, create: &CreateRole) -> Result<Tag> {
        let mut role = RoleDescriptor::new(0, &create.name);
        self.apply_role_options(&mut role, &create.options)?;
        self.change.create_role(role).await?;
        Ok("CREATE ROLE".into())
    }

    pub(super) async fn alter_role(&mut self, name: &str, options: &RoleOptions) -> Result<Tag> {
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

    pub(super) async fn drop_roles(&mut self, names: &[String], if_exists: bool) -> Result<Tag> {
        for name in names {
            if if_exists && self.schema().role(name).is_none() {
                let message = format!("role \"{name}\" does not exist, skipping");
                self.notice(SqlState::SUCCESSFUL_COMPLETION, message);
                continue;
            }
            if *name == self.eval.session.current_user {
                return Err(Error::new(SqlState::OBJECT_IN_USE, "current user cannot be dropped"));
            }
            self.change.drop_role(name).await?;
        }
        Ok("DROP ROLE".into())
    }
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
