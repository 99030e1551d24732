//! Roles.

use super::super::descriptor::{RoleDescriptor, oids};
use super::super::object::{Kind, Name, Object, ObjectId};
use super::SchemaChange;
use crate::error::{Error, Result, SqlState};

impl SchemaChange<'_> {
    /// CREATE ROLE; the descriptor's OID is given here.
    pub async fn create_role(&mut self, mut role: RoleDescriptor) -> Result<()> {
        check_role_name(&role.name)?;
        role.oid = self.catalog.next_oid().await?;
        self.claim(Name::Role(&role.name), role.oid).await?;
        self.write(Object::Role(role))
    }

    /// ALTER ROLE: `change` is given the newest descriptor.
    pub async fn alter_role(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut RoleDescriptor),
    ) -> Result<()> {
        let mut role = self.lock_role(name).await?;
        change(&mut role);
        self.write(Object::Role(role))
    }

    /// ALTER ROLE … RENAME TO.
    pub async fn rename_role(&mut self, name: &str, new_name: &str) -> Result<()> {
        check_role_name(new_name)?;
        let mut role = self.lock_role(name).await?;
        self.claim(Name::Role(new_name), role.oid).await?;
        self.release(Name::Role(name))?;
        new_name.clone_into(&mut role.name);
        self.write(Object::Role(role))
    }

    /// DROP ROLE. 2BP01 if it owns anything.
    pub async fn drop_role(&mut self, name: &str) -> Result<()> {
        let role = self.lock_role(name).await?;
        if role.oid == oids::BOOTSTRAP_ROLE {
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("cannot drop role {name} because it is required by the database system"),
            ));
        }
        let tables = self.snapshot.tables().filter(|t| t.owner == name);
        let mut owned: Vec<String> = tables.map(|t| format!("owner of table {}", t.name)).collect();
        let schemas = self.snapshot.schemas().filter(|s| s.owner == name);
        owned.extend(schemas.map(|s| format!("owner of schema {}", s.name)));
        if !owned.is_empty() {
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("role \"{name}\" cannot be dropped because some objects depend on it"),
            )
            .with_detail(owned.join("\n")));
        }
        self.release(Name::Role(name))?;
        self.remove(ObjectId::Plain(Kind::Role, role.oid))?;
        self.drop_comments(oids::CLASS_ROLE, role.oid)
    }

    async fn lock_role(&mut self, name: &str) -> Result<RoleDescriptor> {
        let Some(oid) = self.snapshot.role(name).map(|r| r.oid) else {
            return Err(undefined_role(name));
        };
        match self.lock_object(ObjectId::Plain(Kind::Role, oid)).await? {
            Some(Object::Role(role)) if role.name == name => Ok(role),
            _ => Err(undefined_role(name)),
        }
    }
}

/// 42704
pub fn undefined_role(name: &str) -> Error {
    Error::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"))
}

fn check_role_name(name: &str) -> Result<()> {
    if name == "public" || name == "none" {
        return Err(Error::new(
            SqlState::RESERVED_NAME,
            format!("role name \"{name}\" is reserved"),
        ));
    }
    if name.starts_with("pg_") {
        return Err(Error::new(
            SqlState::RESERVED_NAME,
            format!("role name \"{name}\" is reserved"),
        )
        .with_detail("Role names starting with \"pg_\" are reserved."));
    }
    Ok(())
}
