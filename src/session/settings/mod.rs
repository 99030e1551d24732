//! Configuration parameters of a session: `SET`, `RESET`, `SHOW`, and their undoing.
//!
//! A value is kept as text in base units. `SET` inside a transaction is undone when the
//! transaction, or the subtransaction it stands in, rolls back; `SET LOCAL` is undone at the end in
//! any case. The undo log holds, for each change, the nesting level it was made at, so that
//! `RELEASE` folds a level into its parent and `ROLLBACK TO` takes back exactly what came after.
//!
//! Does not know transactions: the session calls [`Settings::commit`], [`Settings::rollback`] and
//! the savepoint functions at the right moments, and keeps `transaction_isolation` and its like.

mod check;
pub mod table;
pub mod value;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use self::table::{Context, REPORTED, Setting, SettingId, table};
use crate::error::{Error, Result, SqlState};

/// Most custom parameters (`app.user`) a session may hold.
const CUSTOM_MAX: usize = 1_000;

/// Where a new value comes from; decides what may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The server itself.
    Server,
    /// The startup packet.
    Startup,
    /// `SET` by a session of a superuser (true) or of somebody else.
    Session {
        /// Whether the user is a superuser.
        superuser: bool,
    },
}

/// A parameter as the undo log names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Known(u16),
    Custom(Arc<str>),
}

#[derive(Clone, Debug)]
struct Undo {
    level: u32,
    name: Name,
    old: Option<Arc<str>>,
    new: Option<Arc<str>>,
    local: bool,
}

/// A session's parameters.
#[derive(Clone, Debug)]
pub struct Settings {
    /// By [`SettingId`]: the value in force.
    values: Arc<Vec<Arc<str>>>,
    /// By [`SettingId`]: what `RESET` goes back to.
    defaults: Arc<Vec<Arc<str>>>,
    custom: BTreeMap<Arc<str>, Arc<str>>,
    undo: Vec<Undo>,
    /// Every value by lower-case name as `current_setting` shows it; none after a change, until
    /// asked for again.
    shown: Option<Arc<BTreeMap<String, String>>>,
    /// Counts up with every change.
    version: u64,
}

impl Settings {
    /// The server's own values: `overrides` on top of the table's.
    pub fn server(overrides: &[(&str, String)]) -> Settings {
        let mut values: Vec<Arc<str>> = table().all().map(|(_, s)| Arc::from(s.boot)).collect();
        for (name, value) in overrides {
            if let Some(id) = table().find(name) {
                values[usize::from(id.0)] = Arc::from(value.as_str());
            }
        }
        let values = Arc::new(values);
        Settings {
            defaults: values.clone(),
            values,
            custom: BTreeMap::new(),
            undo: Vec::new(),
            shown: None,
            version: 0,
        }
    }

    /// Counts up with every change of any value.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The value in force, in base units. The name must be in the table.
    pub fn value(&self, name: &str) -> &str {
        match table().find(name) {
            Some(id) => &self.values[usize::from(id.0)],
            None => "",
        }
    }

    /// A number in force, in base units.
    pub fn number(&self, name: &str) -> i64 {
        self.value(name).parse().unwrap_or(0)
    }

    /// A duration in force, of a setting in milliseconds; none where it is 0.
    pub fn milliseconds(&self, name: &str) -> Option<Duration> {
        match u64::try_from(self.number(name)) {
            Ok(0) | Err(_) => None,
            Ok(ms) => Some(Duration::from_millis(ms)),
        }
    }

    /// A Boolean in force.
    pub fn is_on(&self, name: &str) -> bool {
        self.value(name) == "on"
    }

    /// What `SHOW name` prints, and the parameter's own spelling; 42704 if there is none.
    pub fn show(&self, name: &str) -> Result<(String, String)> {
        if let Some(id) = table().find(name) {
            let setting = table().get(id);
            let shown = value::show(setting, &self.values[usize::from(id.0)]);
            return Ok((setting.name.to_owned(), shown));
        }
        match self.custom.get(name.to_ascii_lowercase().as_str()) {
            Some(value) => Ok((name.to_owned(), value.as_ref().to_owned())),
            None => Err(unrecognized(name)),
        }
    }

    /// Every value by lower-case name, as `current_setting` shows it.
    pub fn shown(&mut self) -> Arc<BTreeMap<String, String>> {
        if let Some(shown) = &self.shown {
            return shown.clone();
        }
        let known = table().all().map(|(id, s)| {
            (s.name.to_ascii_lowercase(), value::show(s, &self.values[usize::from(id.0)]))
        });
        let custom =
            self.custom.iter().map(|(n, v)| (n.as_ref().to_owned(), v.as_ref().to_owned()));
        let shown = Arc::new(known.chain(custom).collect::<BTreeMap<_, _>>());
        self.shown = Some(shown.clone());
        shown
    }

    /// The value `RESET` goes back to, in base units.
    pub fn default_of(&self, id: SettingId) -> &str {
        &self.defaults[usize::from(id.0)]
    }

    /// The value in force, in base units.
    pub fn value_of(&self, id: SettingId) -> &str {
        &self.values[usize::from(id.0)]
    }

    /// Changes a parameter; `input` none is `DEFAULT`. `level` is the nesting of the transaction:
    /// 0 outside any, 1 in one, one more for each savepoint.
    pub fn set(
        &mut self,
        name: &str,
        input: Option<&str>,
        local: bool,
        level: u32,
        source: Source,
    ) -> Result<()> {
        let (name, new) = match table().find(name) {
            Some(id) => {
                let setting = table().get(id);
                allow(setting, source)?;
                let new = match input {
                    Some(input) => Arc::from(check::canonical(
                        setting,
                        input,
                        self.value_of(id),
                        source == Source::Server,
                    )?),
                    None => self.defaults[usize::from(id.0)].clone(),
                };
                (Name::Known(id.0), Some(new))
            }
            None => (self.custom_name(name)?, Some(Arc::from(input.unwrap_or_default()))),
        };
        self.change(name, new, local, level);
        Ok(())
    }

    /// A parameter's own spelling, if a session could give it a value; none: its default.
    pub fn check(&self, name: &str, input: Option<&str>, superuser: bool) -> Result<String> {
        let mut changed = self.clone();
        changed.set(name, input, false, 0, Source::Session { superuser })?;
        changed.show(name).map(|(name, _)| name)
    }

    /// Makes the values in force those `RESET` goes back to: the end of the startup.
    pub fn fix_defaults(&mut self) {
        self.defaults = self.values.clone();
    }

    /// `RESET ALL`.
    pub fn reset_all(&mut self, level: u32) {
        for (id, setting) in table().all() {
            let keep = matches!(
                setting.name,
                "transaction_isolation"
                    | "transaction_read_only"
                    | "transaction_deferrable"
                    | "role"
                    | "session_authorization"
            );
            let default = self.default_of(id);
            if !keep && setting.context >= Context::Superuser && self.value_of(id) != default {
                let default = self.defaults[usize::from(id.0)].clone();
                self.change(Name::Known(id.0), Some(default), false, level);
            }
        }
        let custom: Vec<Arc<str>> = self.custom.keys().cloned().collect();
        for name in custom {
            self.change(Name::Custom(name), Some(Arc::from("")), false, level);
        }
    }

    /// The transaction has committed.
    pub fn commit(&mut self) {
        let mut log = std::mem::take(&mut self.undo);
        while let Some(first) = log.first().map(|u| u.name.clone()) {
            let of_first = || log.iter().filter(|u| u.name == first);
            if of_first().any(|u| u.local) {
                let last_set = of_first().rev().find(|u| !u.local).map(|u| u.new.clone());
                let before = of_first().next().and_then(|u| u.old.clone());
                self.put(&first, last_set.unwrap_or(before));
            }
            log.retain(|u| u.name != first);
        }
    }

    /// The transaction has rolled back.
    pub fn rollback(&mut self) {
        self.rollback_to(1);
    }

    /// Takes back every change made at `level` or deeper.
    pub fn rollback_to(&mut self, level: u32) {
        while self.undo.last().is_some_and(|u| u.level >= level) {
            if let Some(undo) = self.undo.pop() {
                self.put(&undo.name, undo.old);
            }
        }
    }

    /// Folds changes made at `level` or deeper into the level above it.
    pub fn release(&mut self, level: u32) {
        for undo in &mut self.undo {
            undo.level = undo.level.min(level.saturating_sub(1));
        }
    }

    /// Reported parameters and their values, as `ParameterStatus` tells them.
    pub fn reported(&self) -> impl Iterator<Item = (&'static str, Arc<str>)> + '_ {
        REPORTED.iter().filter_map(|name| {
            let id = table().find(name)?;
            Some((*name, self.values[usize::from(id.0)].clone()))
        })
    }

    fn change(&mut self, name: Name, new: Option<Arc<str>>, local: bool, level: u32) {
        if level == 0 {
            // `SET LOCAL` outside a transaction ends with its own statement.
            if !local {
                self.put(&name, new);
            }
            return;
        }
        let old = match &name {
            Name::Known(i) => Some(self.values[usize::from(*i)].clone()),
            Name::Custom(n) => self.custom.get(n).cloned(),
        };
        self.undo.push(Undo { level, name: name.clone(), old, new: new.clone(), local });
        self.put(&name, new);
    }

    fn put(&mut self, name: &Name, value: Option<Arc<str>>) {
        self.version += 1;
        self.shown = None;
        match (name, value) {
            (Name::Known(i), Some(value)) => {
                Arc::make_mut(&mut self.values)[usize::from(*i)] = value;
            }
            (Name::Known(i), None) => {
                let default = self.defaults[usize::from(*i)].clone();
                Arc::make_mut(&mut self.values)[usize::from(*i)] = default;
            }
            (Name::Custom(name), Some(value)) => {
                self.custom.insert(name.clone(), value);
            }
            (Name::Custom(name), None) => {
                self.custom.remove(name);
            }
        }
    }

    /// A custom parameter's name, checked.
    fn custom_name(&self, name: &str) -> Result<Name> {
        if !name.contains('.') {
            return Err(unrecognized(name));
        }
        let simple = |part: &str| {
            part.starts_with(|c: char| c.is_alphabetic() || c == '_')
                && part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$')
        };
        if !name.split('.').all(simple) {
            let message = format!("invalid configuration parameter name \"{name}\"");
            return Err(Error::new(SqlState::INVALID_NAME, message).with_detail(
                "Custom parameter names must be two or more simple identifiers separated by dots.",
            ));
        }
        let name = name.to_ascii_lowercase();
        if name.starts_with("sluice.") {
            return Err(Error::new(
                SqlState::INVALID_NAME,
                format!("invalid configuration parameter name \"{name}\""),
            )
            .with_detail("\"sluice\" is a reserved prefix."));
        }
        if self.custom.len() >= CUSTOM_MAX && !self.custom.contains_key(name.as_str()) {
            return Err(Error::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("a session may have at most {CUSTOM_MAX} custom parameters"),
            ));
        }
        Ok(Name::Custom(Arc::from(name)))
    }
}

/// 42704.
fn unrecognized(name: &str) -> Error {
    Error::new(
        SqlState::UNDEFINED_OBJECT,
        format!("unrecognized configuration parameter \"{name}\""),
    )
}

/// Whether `source` may change the parameter.
fn allow(setting: &Setting, source: Source) -> Result<()> {
    let cannot = |how: &str| {
        let message = format!("parameter \"{}\" cannot be changed{how}", setting.name);
        Err(Error::new(SqlState::CANT_CHANGE_RUNTIME_PARAM, message))
    };
    match (setting.context, source) {
        (_, Source::Server) => Ok(()),
        (Context::Internal, _) => cannot(""),
        (Context::Postmaster, _) => cannot(" without restarting the server"),
        (Context::Sighup, _) => cannot(" now"),
        (Context::Superuser, Source::Session { superuser: false }) => Err(Error::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("permission denied to set parameter \"{}\"", setting.name),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
