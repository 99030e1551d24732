//! What functions, the binder and text conversion may know of a session, and the settings that
//! the session itself follows, read once for each change.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::client::Notice;
use super::hooks::{Change, Hooks, Shared};
use super::settings::Settings;
use super::transaction::{Modes, isolation_named};
use crate::functions::{AnalyticsLimits, SessionInfo, SessionState};
use crate::kv::LockWait;
use crate::types::datetime::{DateStyle, TimeZone};
use crate::types::interval::IntervalStyle;
use crate::types::io::{ByteaOutput, FormatSettings};

/// Settings that steer how names and literals are read, and which paths plans may take.
const BINDING_SETTINGS: [&str; 8] = [
    "search_path",
    "TimeZone",
    "DateStyle",
    "IntervalStyle",
    "extra_float_digits",
    "bytea_output",
    "enable_seqscan",
    "sluice.read_engines",
];

/// Settings that the session follows.
#[derive(Clone, Copy, Debug)]
pub struct Knobs {
    /// Modes of the next transaction.
    pub default_modes: Modes,
    /// Modes of this one, as `SHOW` has them.
    pub shown_modes: Modes,
    /// `statement_timeout`
    pub statement_timeout: Option<Duration>,
    /// `client_connection_check_interval`. On by default, other than in PostgreSQL: a look costs
    /// one system call, and a statement nobody waits for takes a thread from others.
    pub client_check: Option<Duration>,
    /// `lock_timeout`; 0 is none.
    pub lock_timeout_ms: u64,
    /// `deadlock_timeout`
    pub deadlock_timeout_ms: u64,
    /// `idle_session_timeout`
    pub idle_timeout: Option<Duration>,
    /// `idle_in_transaction_session_timeout`
    pub idle_in_transaction_timeout: Option<Duration>,
    /// `sluice.max_staleness`; none: exact.
    pub max_staleness: Option<Duration>,
    /// `sluice.lock_mode = optimistic`
    pub optimistic: bool,
}

fn analytics_limits(settings: &Settings) -> AnalyticsLimits {
    let number = |name| usize::try_from(settings.number(name)).unwrap_or(0);
    AnalyticsLimits {
        queries: number("sluice.analytics_queries"),
        memory_bytes: number("sluice.analytics_memory") * 1024,
        time: settings.milliseconds("sluice.analytics_timeout"),
    }
}

/// The session as functions see it, made anew when a setting has changed.
pub struct Environment {
    user: String,
    database: String,
    backend_pid: i32,
    state: Arc<SessionState>,
    shared: Arc<Mutex<Shared>>,
    info: Option<(u64, Arc<SessionInfo>)>,
    knobs: Option<(u64, Knobs)>,
    binding: Option<(u64, Arc<str>)>,
}

impl Environment {
    /// The environment of a session.
    pub fn new(user: &str, database: &str, hooks: Hooks) -> Environment {
        let (backend_pid, shared) = (hooks.backend.pid, hooks.shared.clone());
        Environment {
            user: user.to_owned(),
            database: database.to_owned(),
            backend_pid,
            state: Arc::new(SessionState::new(Box::new(hooks))),
            shared,
            info: None,
            knobs: None,
            binding: None,
        }
    }

    /// The session, with the settings in force.
    pub fn info(&mut self, settings: &mut Settings) -> Arc<SessionInfo> {
        match &self.info {
            Some((version, info)) if *version == settings.version() => info.clone(),
            _ => {
                let info = Arc::new(SessionInfo {
                    session_user: self.user.clone(),
                    current_user: self.user.clone(),
                    database: self.database.clone(),
                    search_path: search_path(settings.value("search_path"), &self.user),
                    backend_pid: self.backend_pid,
                    format: format_settings(settings),
                    settings: settings.shown(),
                    analytics: analytics_limits(settings),
                    state: self.state.clone(),
                });
                let mut shared = self.shared.lock();
                shared.settings = Some(settings.clone());
                shared.superuser = settings.is_on("is_superuser");
                drop(shared);
                self.info = Some((settings.version(), info.clone()));
                info
            }
        }
    }

    /// What functions have set, and what they have to say, since this was asked last.
    pub fn take_changes(&mut self) -> (Vec<Change>, Vec<Notice>) {
        let mut shared = self.shared.lock();
        (std::mem::take(&mut shared.changes), std::mem::take(&mut shared.notices))
    }

    /// Everything about the session that binding and planning look at, as one text.
    pub fn binding(&mut self, settings: &Settings) -> Arc<str> {
        match &self.binding {
            Some((version, text)) if *version == settings.version() => text.clone(),
            _ => {
                let values = BINDING_SETTINGS.map(|name| settings.value(name));
                let text: Arc<str> = Arc::from(format!("{}\n{}", self.user, values.join("\n")));
                self.binding = Some((settings.version(), text.clone()));
                text
            }
        }
    }

    /// The settings that the session follows.
    pub fn knobs(&mut self, settings: &Settings) -> Knobs {
        match &self.knobs {
            Some((version, knobs)) if *version == settings.version() => *knobs,
            _ => {
                let knobs = read_knobs(settings);
                self.knobs = Some((settings.version(), knobs));
                knobs
            }
        }
    }
}

fn read_knobs(settings: &Settings) -> Knobs {
    let modes = |prefix: &str| Modes {
        isolation: isolation_named(settings.value(&format!("{prefix}_isolation"))),
        read_only: settings.is_on(&format!("{prefix}_read_only")),
        deferrable: settings.is_on(&format!("{prefix}_deferrable")),
    };
    Knobs {
        default_modes: modes("default_transaction"),
        shown_modes: modes("transaction"),
        statement_timeout: settings.milliseconds("statement_timeout"),
        client_check: settings.milliseconds("client_connection_check_interval"),
        lock_timeout_ms: lock_timeout_ms(settings),
        deadlock_timeout_ms: deadlock_timeout_ms(settings),
        idle_timeout: settings.milliseconds("idle_session_timeout"),
        idle_in_transaction_timeout: settings.milliseconds("idle_in_transaction_session_timeout"),
        max_staleness: settings.milliseconds("sluice.max_staleness"),
        optimistic: settings.value("sluice.lock_mode") == "optimistic",
    }
}

fn lock_timeout_ms(settings: &Settings) -> u64 {
    u64::try_from(settings.number("lock_timeout")).unwrap_or(0)
}

fn deadlock_timeout_ms(settings: &Settings) -> u64 {
    u64::try_from(settings.number("deadlock_timeout")).unwrap_or(0)
}

/// How these settings have a lock waited for.
pub fn lock_wait(settings: &Settings) -> LockWait {
    LockWait::Block {
        lock_timeout_ms: lock_timeout_ms(settings),
        deadlock_timeout_ms: deadlock_timeout_ms(settings),
    }
}

/// The settings that steer text forms.
fn format_settings(settings: &Settings) -> FormatSettings {
    let defaults = FormatSettings::default();
    let date_style = settings.value("DateStyle").split(", ");
    FormatSettings {
        date_style: date_style
            .fold(DateStyle::default(), |style, word| style.with_setting(word).unwrap_or(style)),
        interval_style: IntervalStyle::from_setting(settings.value("IntervalStyle"))
            .unwrap_or(defaults.interval_style),
        time_zone: TimeZone::from_setting(settings.value("TimeZone")).unwrap_or(defaults.time_zone),
        extra_float_digits: settings.number("extra_float_digits") as i32,
        bytea_output: match settings.value("bytea_output") {
            "escape" => ByteaOutput::Escape,
            _ => ByteaOutput::Hex,
        },
    }
}

/// The schemas of `search_path`: `"$user"` is the user's own, and `pg_catalog` comes first unless
/// it is named.
fn search_path(setting: &str, user: &str) -> Vec<String> {
    let mut path: Vec<String> = split_identifiers(setting)
        .into_iter()
        .map(|name| if name == "$user" { user.to_owned() } else { name })
        .filter(|name| !name.is_empty())
        .collect();
    if !path.iter().any(|name| name == "pg_catalog") {
        path.insert(0, "pg_catalog".to_owned());
    }
    path
}

/// Identifiers between commas: folded, or as they are between double quotes.
fn split_identifiers(text: &str) -> Vec<String> {
    let mut names = vec![];
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let mut name = String::new();
        if let Some(mut quoted) = rest.strip_prefix('"') {
            while let Some(end) = quoted.find('"') {
                name.push_str(&quoted[..end]);
                quoted = &quoted[end + 1..];
                match quoted.strip_prefix('"') {
                    Some(more) => {
                        name.push('"');
                        quoted = more;
                    }
                    None => break,
                }
            }
            rest = quoted;
        }
        let end = rest.find(',').unwrap_or(rest.len());
        name.push_str(&rest[..end].trim().to_lowercase());
        names.push(name);
        rest = rest[end..].strip_prefix(',').unwrap_or_default().trim_start();
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_paths() {
        for (setting, expected) in [
            ("\"$user\", public", "pg_catalog me public"),
            ("\"\"", "pg_catalog"),
            ("", "pg_catalog"),
            ("A, \"B \"\"c\",pg_catalog", "a B \"c pg_catalog"),
        ] {
            assert_eq!(search_path(setting, "me").join(" "), expected, "{setting}");
        }
    }
}
