//! The one table of configuration parameters: what `SET` accepts, `SHOW` prints and `pg_settings`
//! lists.
//!
//! `table.tsv` holds a line for each parameter, tab separated, as `pg_settings` has its columns.
//! Parameters of PostgreSQL that steer machinery Sluice does not have (WAL, vacuum workers, log
//! files) are left out, so that they are unknown rather than pretended; planner parameters are
//! kept and have no effect on answers.

use std::collections::HashMap;
use std::sync::OnceLock;

/// A parameter's position in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SettingId(pub u16);

/// What values a parameter takes.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// on or off
    Bool,
    /// A whole number.
    Int {
        /// Lowest.
        min: i64,
        /// Highest.
        max: i64,
    },
    /// A floating-point number.
    Real {
        /// Lowest.
        min: f64,
        /// Highest.
        max: f64,
    },
    /// One of some words.
    Enum(Vec<&'static str>),
    /// Any text; some parameters check it further.
    Text,
}

/// Who may change a parameter, and when; from nobody to anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Context {
    /// Nobody.
    Internal,
    /// At the start of the server.
    Postmaster,
    /// By reloading the server's configuration.
    Sighup,
    /// A superuser, at any time.
    Superuser,
    /// Anybody, at any time.
    User,
}

impl Context {
    /// As `pg_settings.context` has it.
    pub fn name(self) -> &'static str {
        match self {
            Context::Internal => "internal",
            Context::Postmaster => "postmaster",
            Context::Sighup => "sighup",
            Context::Superuser => "superuser",
            Context::User => "user",
        }
    }
}

/// The unit a number is kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A plain number.
    None,
    /// Memory, in so many bytes.
    Bytes(u64),
    /// Time, in so many microseconds.
    Micros(u64),
}

/// A parameter.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Its name, in PostgreSQL's spelling.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// Who may change it.
    pub context: Context,
    /// The unit of its number.
    pub unit: Unit,
    /// The unit's name, empty if none.
    pub unit_name: &'static str,
    /// Its value in a fresh server, in base units.
    pub boot: &'static str,
    /// Its group in the manual.
    pub category: &'static str,
    /// What it does.
    pub description: &'static str,
    /// Whether clients are told its value (`GUC_REPORT`).
    pub reported: bool,
}

/// Parameters whose changes clients are told, in PostgreSQL's order.
pub const REPORTED: [&str; 13] = [
    "application_name",
    "client_encoding",
    "DateStyle",
    "default_transaction_read_only",
    "in_hot_standby",
    "integer_datetimes",
    "IntervalStyle",
    "is_superuser",
    "server_encoding",
    "server_version",
    "session_authorization",
    "standard_conforming_strings",
    "TimeZone",
];

/// All parameters, by name without regard to case.
pub struct Table {
    settings: Vec<Setting>,
    by_name: HashMap<String, SettingId>,
}

/// The table.
pub fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| Table::parse(include_str!("table.tsv")))
}

impl Table {
    fn parse(text: &'static str) -> Table {
        let settings: Vec<Setting> = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .map(parse_line)
            .collect();
        let by_name = settings
            .iter()
            .enumerate()
            .map(|(i, s)| (s.name.to_ascii_lowercase(), SettingId(i as u16)))
            .collect();
        Table { settings, by_name }
    }

    /// All parameters, in the order of their names.
    pub fn all(&self) -> impl Iterator<Item = (SettingId, &Setting)> {
        self.settings.iter().enumerate().map(|(i, s)| (SettingId(i as u16), s))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.settings.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty()
    }

    /// The parameter of that name, in any case.
    pub fn find(&self, name: &str) -> Option<SettingId> {
        match self.by_name.get(name) {
            Some(id) => Some(*id),
            None => self.by_name.get(&name.to_ascii_lowercase()).copied(),
        }
    }

    /// The parameter with that id.
    pub fn get(&self, id: SettingId) -> &Setting {
        &self.settings[usize::from(id.0)]
    }
}

fn parse_line(line: &'static str) -> Setting {
    let mut fields = line.split('\t');
    let mut next = || fields.next().unwrap_or_default();
    let (name, kind, context, unit_name) = (next(), next(), next(), next());
    let (min, max, values, boot) = (next(), next(), next(), next());
    let (category, description) = (next(), next());
    let kind = match kind {
        "bool" => Kind::Bool,
        "integer" => {
            Kind::Int { min: min.parse().unwrap_or(i64::MIN), max: max.parse().unwrap_or(i64::MAX) }
        }
        "real" => Kind::Real {
            min: min.parse().unwrap_or(f64::MIN),
            max: match max {
                // PostgreSQL's DBL_MAX, as it prints it.
                "1.79769e+308" => f64::MAX,
                max => max.parse().unwrap_or(f64::MAX),
            },
        },
        "enum" => Kind::Enum(values.split(',').collect()),
        _ => Kind::Text,
    };
    let context = match context {
        "internal" => Context::Internal,
        "postmaster" => Context::Postmaster,
        "sighup" => Context::Sighup,
        "superuser" => Context::Superuser,
        _ => Context::User,
    };
    let unit = match unit_name {
        "B" => Unit::Bytes(1),
        "kB" => Unit::Bytes(1 << 10),
        "8kB" => Unit::Bytes(8 << 10),
        "MB" => Unit::Bytes(1 << 20),
        "ms" => Unit::Micros(1_000),
        "s" => Unit::Micros(1_000_000),
        "min" => Unit::Micros(60_000_000),
        _ => Unit::None,
    };
    let reported = REPORTED.contains(&name);
    Setting { name, kind, context, unit, unit_name, boot, category, description, reported }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_whole_and_every_boot_value_is_valid() {
        for (_, setting) in table().all() {
            assert!(!setting.description.is_empty(), "{}", setting.name);
            assert!(!setting.category.is_empty(), "{}", setting.name);
            super::super::value::canonical(setting, setting.boot)
                .unwrap_or_else(|e| panic!("{}: {e:?}", setting.name));
        }
        for name in REPORTED {
            assert!(table().find(name).is_some(), "{name}");
        }
    }

    #[test]
    fn names_are_found_in_any_case() {
        assert_eq!(table().find("timezone"), table().find("TimeZone"));
        assert!(table().find("TIMEZONE").is_some());
        assert!(table().find("shared_buffers").is_none());
    }
}
