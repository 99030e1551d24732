//! How a gateway behaves.

use std::time::Duration;

/// How a gateway behaves.
#[derive(Clone, Debug)]
pub struct LwtOptions {
    /// A gateway whose counter stands still for this long is retired by whoever needs to.
    pub lease: Duration,
    /// How often an idle gateway publishes. A third of the lease at most.
    pub heartbeat: Duration,
    /// A waiter looks for a deadlock each time this has passed.
    pub deadlock_timeout: Duration,
    /// A commit that has not come further by then, and whose outcome is not known, is reported as
    /// such (40003); the gateway goes on settling it.
    pub settle_timeout: Duration,
    /// Rows of one conditional batch.
    pub batch_rows_max: usize,
    /// Bytes that one conditional batch writes anew; with the versions it moves to the history it
    /// is twice that, which must stay below what the cluster takes at once.
    pub batch_bytes_max: usize,
    /// Bytes of one key and value.
    pub row_bytes_max: usize,
    /// Partitions of a commit whose intents are the commit, without a verdict on the way. Each is
    /// named in what all gateways read.
    pub implicit_max: usize,
    /// How long the change log keeps what one gateway needs no more: others' views may be older.
    pub log_kept: Duration,
    /// How long an attempt's record stays when all its rows are finished.
    pub record_kept: Duration,
    /// How long the row of a gateway that is gone stays after the newest that it told.
    pub departed_kept: Duration,
    /// Where more rows are sorted than memory is for.
    pub sort_dir: std::path::PathBuf,
    /// Shows newest versions without making sure that they stay visible, to see that it is needed.
    #[cfg(test)]
    pub unsure: bool,
    /// Believes every abort, to see that it must not.
    #[cfg(test)]
    pub credulous: bool,
}

impl Default for LwtOptions {
    fn default() -> LwtOptions {
        LwtOptions {
            lease: Duration::from_secs(3),
            heartbeat: Duration::from_millis(500),
            deadlock_timeout: crate::kv::locks::DEADLOCK_TIMEOUT,
            settle_timeout: Duration::from_secs(30),
            batch_rows_max: 1024,
            batch_bytes_max: 1 << 20,
            row_bytes_max: 6 << 20,
            implicit_max: 32,
            log_kept: Duration::from_secs(900),
            record_kept: Duration::from_secs(10),
            departed_kept: Duration::from_secs(3600),
            sort_dir: std::env::temp_dir(),
            #[cfg(test)]
            unsure: false,
            #[cfg(test)]
            credulous: false,
        }
    }
}
