//! Clients at work, each on its warehouse, with the mix of clause 5.2.3.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio_postgres::Error;

use crate::transactions::{Terminal, is_retryable};
use crate::{Failed, Options, connect, millis};

/// Tries of one transaction.
const TRIES_MAX: u32 = 100;
const NAMES: [&str; 5] = ["new_order", "payment", "order_status", "delivery", "stock_level"];
/// Of a hundred transactions, those of each kind.
const MIX: [usize; 5] = [45, 43, 4, 4, 4];

#[derive(Default)]
struct Results {
    /// Of each kind, how long each took that ended as it should, its repetitions included.
    took: [Vec<Duration>; 5],
    rolled_back: u64,
    retries: BTreeMap<String, u64>,
}

async fn once(terminal: &Terminal, kind: usize) -> Result<bool, Error> {
    match kind {
        0 => terminal.new_order().await,
        1 => terminal.payment().await.map(|()| true),
        2 => terminal.order_status().await.map(|()| true),
        3 => terminal.delivery().await.map(|()| true),
        _ => terminal.stock_level().await.map(|()| true),
    }
}

/// A transaction until it ends, whatever stands in its way.
async fn until_done(
    terminal: &Terminal,
    kind: usize,
    results: &RefCell<Results>,
) -> Result<(), Failed> {
    let began = Instant::now();
    for _ in 0..TRIES_MAX {
        match once(terminal, kind).await {
            Ok(true) => {
                results.borrow_mut().took[kind].push(began.elapsed());
                return Ok(());
            }
            Ok(false) => {
                results.borrow_mut().rolled_back += 1;
                return Ok(());
            }
            Err(error) if is_retryable(&error) => {
                let code = error.code().map_or("", |code| code.code()).to_owned();
                let key = format!("{} {code}", NAMES[kind]);
                *results.borrow_mut().retries.entry(key).or_default() += 1;
                terminal.simple("rollback").await?;
            }
            Err(error) => {
                let told = error.as_db_error().map(ToString::to_string).unwrap_or_default();
                return Err(format!("{}: {error} {told}", NAMES[kind]).into());
            }
        }
    }
    Err(format!("{} did not succeed in {TRIES_MAX} tries", NAMES[kind]).into())
}

/// A deck of cards, dealt in random order: the mix holds over any hundred transactions.
fn deck(terminal: &Terminal) -> Vec<usize> {
    let kinds: Vec<usize> =
        MIX.iter().enumerate().flat_map(|(kind, n)| std::iter::repeat_n(kind, *n)).collect();
    let order = terminal.random.borrow_mut().permutation(kinds.len() as i32);
    order.into_iter().map(|n| kinds[n as usize - 1]).collect()
}

async fn client(
    number: usize,
    options: Options,
    results: Rc<RefCell<Results>>,
) -> Result<(), String> {
    let work = async {
        let home = number as i32 % options.warehouses + 1;
        let seed = options.seed * 7_919 + number as u64;
        let terminal = Terminal::new(connect(&options).await?, home, seed, &options);
        let level = format!("set default_transaction_isolation = '{}'", options.isolation);
        terminal.simple(&level).await?;
        let end = Instant::now() + Duration::from_secs(options.seconds);
        let mut cards = Vec::new();
        while Instant::now() < end {
            if cards.is_empty() {
                cards = deck(&terminal);
            }
            let kind = cards.pop().unwrap_or_default();
            until_done(&terminal, kind, &results).await?;
        }
        Ok::<_, Failed>(())
    };
    work.await.map_err(|error| error.to_string())
}

fn percentile(sorted: &[Duration], share: f64) -> f64 {
    let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(0.0, |time| millis(*time))
}

/// Runs the mix for a while.
pub async fn run(options: &Options) -> Result<String, Failed> {
    let results = Rc::new(RefCell::new(Results::default()));
    let began = Instant::now();
    let clients: Vec<_> = (0..options.clients)
        .map(|n| tokio::task::spawn_local(client(n, options.clone(), results.clone())))
        .collect();
    let mut failed = Vec::new();
    for client in clients {
        failed.extend(client.await?.err());
    }
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    if let Some(first) = failed.first() {
        return Err(
            format!("{} of {} clients failed: {first}", failed.len(), options.clients).into()
        );
    }
    let mut results = results.borrow_mut();
    let mut kinds = Vec::new();
    for (name, took) in NAMES.iter().zip(&mut results.took) {
        took.sort();
        let (p50, p99) = (percentile(took, 0.5), percentile(took, 0.99));
        let count = took.len();
        kinds.push(format!("\"{name}\": {{\"count\": {count}, \"p50\": {p50}, \"p99\": {p99}}}"));
    }
    let tpmc = results.took[0].len() as f64 / minutes;
    let retries: Vec<String> =
        results.retries.iter().map(|(what, n)| format!("\"{what}\": {n}")).collect();
    Ok(format!(
        "{{\"tpmC\": {tpmc:.0}, \"rolled_back\": {}, \"retries\": {{{}}}, {}}}",
        results.rolled_back,
        retries.join(", "),
        kinds.join(", "),
    ))
}
