//! Where log lines go: standard error, as text on a terminal and as JSON lines elsewhere.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::error::{Error, Result, SqlState};

/// Starts logging. `filter` is a level or a list of `module=level`.
///
/// # Errors
/// 22023 for a filter that cannot be read.
pub fn start(filter: &str) -> Result<()> {
    let filter = EnvFilter::try_new(filter).map_err(|e| {
        Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("invalid log filter: {e}"))
            .with_hint("Use error, warn, info, debug or trace, or module=level.")
    })?;
    let terminal = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started =
        if terminal { lines.with_target(false).try_init() } else { lines.json().try_init() };
    started.map_err(|e| Error::internal(format!("logging was started twice: {e}")))
}
