//! TPC-C (revision 5.11) without terminals and think times: load, run, check.
//!
//! ```text
//! tpcc load|run|check --dsn DSN [--warehouses N] [--items N] [--customers N] [--sluice]
//!                     [--clients N] [--seconds N] [--isolation LEVEL] [--seed N]
//! ```
//!
//! `--items` (100000) and `--customers` (3000 in a district, and as many orders) scale the
//! database down; the output says so. `--sluice` spreads tables over a cluster's partitions. Each
//! command prints one line of JSON.

mod check;
mod load;
mod random;
mod run;
mod schema;
mod transactions;

use std::time::Duration;

use tokio_postgres::{Client, NoTls};

/// What went wrong, to be printed.
pub type Failed = Box<dyn std::error::Error>;

/// The size of the database, and how it is used.
#[derive(Clone)]
pub struct Options {
    pub dsn: String,
    pub warehouses: i32,
    pub items: i32,
    pub customers: i32,
    pub sluice: bool,
    pub clients: usize,
    pub seconds: u64,
    pub isolation: String,
    pub seed: u64,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, Failed> {
        let mut options = Options {
            dsn: String::new(),
            warehouses: 1,
            items: 100_000,
            customers: 3_000,
            sluice: false,
            clients: 8,
            seconds: 30,
            isolation: "read committed".to_owned(),
            seed: 1,
        };
        while let Some(name) = arguments.next() {
            if name == "--sluice" {
                options.sluice = true;
                continue;
            }
            let value = arguments.next().ok_or(format!("{name} needs a value"))?;
            match name.as_str() {
                "--dsn" => options.dsn = value,
                "--warehouses" => options.warehouses = value.parse()?,
                "--items" => options.items = value.parse()?,
                "--customers" => options.customers = value.parse()?,
                "--clients" => options.clients = value.parse()?,
                "--seconds" => options.seconds = value.parse()?,
                "--isolation" => options.isolation = value,
                "--seed" => options.seed = value.parse()?,
                _ => return Err(format!("{name} is not known").into()),
            }
        }
        Ok(options)
    }
}

/// A connection.
pub async fn connect(options: &Options) -> Result<Client, Failed> {
    let (client, connection) = tokio_postgres::connect(&options.dsn, NoTls).await?;
    tokio::task::spawn_local(async move {
        // Its end is told to whoever uses the client.
        let _ = connection.await;
    });
    Ok(client)
}

/// Milliseconds, for the output.
pub fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e5).round() / 100.0
}

async fn command() -> Result<String, Failed> {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let options = Options::parse(arguments)?;
    match what.as_str() {
        "load" => load::load(&options).await,
        "run" => run::run(&options).await,
        "check" => check::check(&options).await,
        _ => Err("load, run or check".into()),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    match tokio::task::LocalSet::new().run_until(command()).await {
        Ok(line) => println!("{line}"),
        Err(error) => {
            let more = std::error::Error::source(&*error).map(|e| format!(": {e}"));
            eprintln!("tpcc: {error}{}", more.unwrap_or_default());
            std::process::exit(1);
        }
    }
}
