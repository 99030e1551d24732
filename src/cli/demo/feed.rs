//! What sends the fleet's reports, and says how it goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;

use super::cluster::{DATABASE, USER};
use super::fleet::{SHARDS, report};
use super::processes::processor_seconds;
use super::silent::Quiet;
use crate::cli::serve::announce;
use crate::error::Result;
use crate::session::Database;

/// Sessions that send.
const SENDERS: u64 = 4;
/// Events of one report at most: they are one batch of the cluster.
const REPORT_EVENTS_MAX: u64 = 250;
/// How often a line says how it goes.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// How long a sender waits after a failure.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// How much is sent.
#[derive(Clone, Copy)]
pub(super) struct Load {
    /// Events in a second.
    pub rate: u32,
    /// Events after which it is over.
    pub events_max: u64,
}

/// What is sent, how long it took, and by whom.
struct Figures {
    events: AtomicU64,
    /// Milliseconds of each statement since the last line.
    latencies: Mutex<Vec<f64>>,
    next_report: AtomicU64,
    load: Load,
    began: Duration,
    salt: u64,
}

impl Figures {
    fn events_per_report(&self) -> u64 {
        (u64::from(self.load.rate) / SHARDS).clamp(1, REPORT_EVENTS_MAX)
    }

    /// When a report is due.
    fn due(&self, number: u64) -> Duration {
        let events = number * self.events_per_report();
        self.began + Duration::from_secs_f64(events as f64 / f64::from(self.load.rate))
    }
}

/// Sends until enough is sent. `gateways` and `nodes` are processes whose work lines tell of.
pub(super) async fn feed(
    database: Arc<Database>,
    load: Load,
    (gateways, nodes): (Vec<u32>, Vec<u32>),
) -> Result<()> {
    let mut salt = [0; 8];
    database.clock.random(&mut salt);
    let figures = Arc::new(Figures {
        events: AtomicU64::new(0),
        latencies: Mutex::default(),
        next_report: AtomicU64::new(0),
        load,
        began: database.clock.monotonic(),
        salt: u64::from_le_bytes(salt),
    });
    let senders: Vec<_> =
        (0..SENDERS).map(|_| tokio::spawn(send(database.clone(), figures.clone()))).collect();
    let lines = tokio::spawn(tell(database, figures.clone(), gateways, nodes));
    for sender in senders {
        let _ = sender.await;
    }
    lines.abort();
    announce(&format!("All {} events are sent.", figures.events.load(Ordering::Relaxed)));
    Ok(())
}

/// One session that sends the next report whenever one is due.
async fn send(database: Arc<Database>, figures: Arc<Figures>) -> Result<()> {
    let mut session = Quiet::start(&database, USER, DATABASE)?;
    let clock = database.clock.clone();
    let count = figures.events_per_report();
    loop {
        let number = figures.next_report.fetch_add(1, Ordering::Relaxed);
        if (number + 1) * count > figures.load.events_max {
            return Ok(());
        }
        sleep(figures.due(number).saturating_sub(clock.monotonic())).await;
        let statements =
            report(number % SHARDS, number * count, count, clock.wall_micros(), figures.salt);
        let mut sent = true;
        for statement in statements {
            let began = clock.monotonic();
            if let Err(error) = session.run(statement).await {
                tracing::warn!(?error, "a report was not taken");
                sent = false;
                sleep(FAILURE_PAUSE).await;
                break;
            }
            let took = clock.monotonic().saturating_sub(began);
            figures.latencies.lock().push(took.as_secs_f64() * 1000.0);
        }
        if sent {
            figures.events.fetch_add(count, Ordering::Relaxed);
        }
    }
}

/// Prints how it goes.
async fn tell(database: Arc<Database>, figures: Arc<Figures>, gateways: Vec<u32>, nodes: Vec<u32>) {
    let lwts =
        || database.transactions.store().requests().map_or(0, |r| r.lwts.load(Ordering::Relaxed));
    let work = |ids: &[u32]| -> f64 { ids.iter().filter_map(|id| processor_seconds(*id)).sum() };
    let now = || {
        let time = database.clock.monotonic().as_secs_f64();
        let events = figures.events.load(Ordering::Relaxed);
        (time, events, lwts(), work(&gateways), work(&nodes))
    };
    let mut before = now();
    loop {
        sleep(LINE_EVERY).await;
        let after = now();
        let seconds = (after.0 - before.0).max(f64::EPSILON);
        let mut latencies = std::mem::take(&mut *figures.latencies.lock());
        latencies.sort_by(f64::total_cmp);
        let quantile = |q: f64| {
            let at = (latencies.len() as f64 * q) as usize;
            latencies.get(at.min(latencies.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
        };
        announce(&format!(
            "  {} events, {:.0}/s; writes p50 {:.1} ms, p99 {:.1} ms; {:.0} lightweight \
             transactions/s; processors: gateways {:.2}, Cassandra {:.2}",
            after.1,
            (after.1 - before.1) as f64 / seconds,
            quantile(0.5),
            quantile(0.99),
            (after.2 - before.2) as f64 / seconds,
            (after.3 - before.3) / seconds,
            (after.4 - before.4) / seconds,
        ));
        before = after;
    }
}
