//! The priority of the engine's threads: below that of whoever serves clients.
//!
//! On Linux a priority is a thread's own. A scan uses every core there is, and would have a point
//! read wait for the end of a time slice; behind a thread of the lowest priority it does not.
//! Without other work the engine has the cores to itself, as before.

/// Lowers the calling thread's priority.
#[cfg(target_os = "linux")]
pub(super) fn lower() {
    /// The "nice" value: 19 is the lowest.
    const NICE: i32 = 19;
    let thread = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(thread), NICE) {
        tracing::debug!(%error, "a thread of the analytical engine keeps its priority");
    }
}

/// Elsewhere a priority is a process's.
#[cfg(not(target_os = "linux"))]
pub(super) fn lower() {}
