//! Child processes that end with the demo.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::oneshot;

use crate::cli::StartArgs;
use crate::error::{Error, Result, SqlState};

const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// Clock ticks in a second that Linux counts processor time in, whatever its own are.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process that is stopped when this is dropped.
pub(super) struct Process {
    name: String,
    child: Child,
    /// How long it may take to end when it is asked to; zero: it is not asked.
    patience: Duration,
}

impl Process {
    /// Starts it.
    pub fn start(name: &str, command: &mut Command, patience: Duration) -> Result<Process> {
        let child = command.stdin(Stdio::null()).spawn().map_err(|error| {
            let program = command.get_program().to_string_lossy().into_owned();
            Error::new(SqlState::SYSTEM_ERROR, format!("could not start {program}: {error}"))
                .with_hint(format!("{name} needs it: install it, or put it into the PATH."))
        })?;
        Ok(Process { name: name.to_owned(), child, patience })
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fails when it has ended.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                let message = format!("{} ended: {status}", self.name);
                Err(Error::new(SqlState::SYSTEM_ERROR, message))
            }
        }
    }

    /// Waits for a line of its output, which must be piped, that has `mark`; the rest is read and
    /// thrown away.
    pub async fn line_with(&mut self, mark: &'static str) -> Result<String> {
        let Some(output) = self.child.stdout.take() else {
            return Err(Error::internal("a process's output is not piped"));
        };
        let (found, line) = oneshot::channel();
        let mut found = Some(found);
        std::thread::Builder::new().name("demo-output".to_owned()).spawn(move || {
            for line in BufReader::new(output).lines().map_while(std::io::Result::ok) {
                if line.contains(mark)
                    && let Some(found) = found.take()
                {
                    let _ = found.send(line);
                }
            }
        })?;
        line.await.map_err(|_| {
            Error::new(SqlState::SYSTEM_ERROR, format!("{} did not become ready", self.name))
        })
    }

    /// Asks it to end, and waits for that.
    #[expect(clippy::disallowed_methods, reason = "all else has ended")]
    fn end(&mut self) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if id.is_none_or(|id| kill_process(id, Signal::TERM).is_err()) {
            return;
        }
        for _ in 0..self.patience.as_millis() / LOOK_PAUSE.as_millis() {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(LOOK_PAUSE);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.patience.is_zero() {
            self.end();
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// This program again, for the same cluster and views as a gateway, in a data folder of its own.
pub(super) fn program(command: &str, gateway: &StartArgs, data: &Path) -> Result<Command> {
    let mut program = Command::new(std::env::current_exe()?);
    program
        .arg(command)
        .args(["--contact-points", &gateway.cluster.contact_points.join(",")])
        .arg("--keyspace")
        .args(&gateway.cluster.keyspace)
        .arg("--data")
        .arg(data)
        .args(["--log", &gateway.server.log])
        .stdout(Stdio::piped());
    if let Some(url) = &gateway.shared.views.view_store {
        program.args(["--view-store", url]);
    }
    Ok(program)
}

/// Seconds of processor time that a process has taken, where the system tells (Linux, proc(5)).
pub(super) fn processor_seconds(id: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |n: usize| fields.get(n)?.parse::<u64>().ok();
    Some((ticks(11)? + ticks(12)?) as f64 / TICKS_PER_SECOND)
}
