//! What bare CQL takes: `raw HOST:PORT REPLICATION SECONDS CLIENTS`.
//!
//! Prints a line for each kind of work: its name, the median in milliseconds of one client, and for
//! point reads also how many a second `CLIENTS` clients get.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, try_join_all};
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Rows that are read and updated.
const ROWS: i64 = 50;

struct Raw {
    session: Session,
    read: PreparedStatement,
    write: PreparedStatement,
    insert: PreparedStatement,
    update: PreparedStatement,
    wide: PreparedStatement,
}

impl Raw {
    async fn connect(point: &str, replication: &str) -> Outcome<Raw> {
        let profile = ExecutionProfile::builder()
            .consistency(Consistency::Quorum)
            .serial_consistency(Some(SerialConsistency::Serial))
            .request_timeout(Some(Duration::from_secs(20)));
        let session = SessionBuilder::new()
            .known_node(point)
            .default_execution_profile_handle(profile.build().into_handle())
            .build()
            .await?;
        let ddl = [
            "DROP KEYSPACE IF EXISTS raw".to_owned(),
            format!(
                "CREATE KEYSPACE raw WITH replication = \
                 {{'class': 'SimpleStrategy', 'replication_factor': {replication}}}"
            ),
            "CREATE TABLE raw.plain (id bigint PRIMARY KEY, v bigint)".to_owned(),
            "CREATE TABLE raw.wide (p bigint, c int, v bigint, PRIMARY KEY (p, c))".to_owned(),
        ];
        for text in ddl {
            session.query_unpaged(text, ()).await?;
        }
        let prepare = async |text: &str| {
            let mut statement = session.prepare(text).await?;
            statement.set_consistency(Consistency::Quorum);
            statement.set_serial_consistency(Some(SerialConsistency::Serial));
            Outcome::Ok(statement)
        };
        let raw = Raw {
            read: prepare("SELECT v FROM raw.plain WHERE id = ?").await?,
            write: prepare("INSERT INTO raw.plain (id, v) VALUES (?, ?)").await?,
            insert: prepare("INSERT INTO raw.plain (id, v) VALUES (?, ?) IF NOT EXISTS").await?,
            update: prepare("UPDATE raw.plain SET v = ? WHERE id = ? IF v != -1").await?,
            wide: prepare("INSERT INTO raw.wide (p, c, v) VALUES (?, ?, 0) IF NOT EXISTS").await?,
            session,
        };
        for id in 0..ROWS {
            raw.session.execute_unpaged(&raw.write, (id, id)).await?;
        }
        Ok(raw)
    }

    async fn read(&self, id: i64) -> Outcome<()> {
        let rows = self.session.execute_unpaged(&self.read, (id % ROWS,)).await?;
        rows.into_rows_result()?.single_row::<(i64,)>()?;
        Ok(())
    }

    async fn insert(&self, id: i64) -> Outcome<()> {
        self.session.execute_unpaged(&self.insert, (id, 0i64)).await?;
        Ok(())
    }

    /// One kind of work, `id` being a number that is used once.
    async fn run(&self, work: Work, id: i64) -> Outcome<()> {
        match work {
            Work::Read => self.read(id).await,
            Work::Write => {
                self.session.execute_unpaged(&self.write, (id, id)).await?;
                Ok(())
            }
            Work::Lwt => self.insert(id).await,
            Work::Update => {
                self.read(id).await?;
                self.session.execute_unpaged(&self.update, (id, id % ROWS)).await?;
                Ok(())
            }
            Work::FiveRows => {
                let mut batch = Batch::new(BatchType::Unlogged);
                batch.set_consistency(Consistency::Quorum);
                batch.set_serial_consistency(Some(SerialConsistency::Serial));
                (0..5).for_each(|_| batch.append_statement(self.wide.clone()));
                let values: Vec<(i64, i32)> = (0..5).map(|c| (id, c)).collect();
                self.session.batch(&batch, values).await?;
                Ok(())
            }
            Work::FiveLwts => {
                try_join_all((0..5).map(|n| self.insert(id * 8 + n))).await?;
                Ok(())
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Work {
    Read,
    Write,
    Lwt,
    Update,
    FiveRows,
    FiveLwts,
}

const WORKS: [(&str, Work); 6] = [
    ("read", Work::Read),
    ("write", Work::Write),
    ("lwt", Work::Lwt),
    ("read and lwt", Work::Update),
    ("lwt of five rows", Work::FiveRows),
    ("five lwts", Work::FiveLwts),
];

async fn median(raw: &Raw, work: Work, seconds: f64, next: &mut i64) -> Outcome<f64> {
    let (mut took, began) = (Vec::new(), Instant::now());
    while began.elapsed().as_secs_f64() < seconds {
        *next += 1;
        let start = Instant::now();
        raw.run(work, *next).await?;
        took.push(start.elapsed().as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    Ok(took[took.len() / 2])
}

/// Point reads a second of several clients.
async fn throughput(raw: &Arc<Raw>, seconds: f64, clients: i64) -> Outcome<f64> {
    let began = Instant::now();
    let client = |n: i64| -> BoxFuture<'static, Outcome<u64>> {
        let raw = raw.clone();
        Box::pin(async move {
            let mut count = 0;
            while began.elapsed().as_secs_f64() < seconds {
                raw.read(n * 7 + count as i64).await?;
                count += 1;
            }
            Ok(count)
        })
    };
    let tasks = (0..clients).map(|n| tokio::spawn(client(n)));
    let mut done = 0;
    for count in try_join_all(tasks).await? {
        done += count?;
    }
    Ok(done as f64 / began.elapsed().as_secs_f64())
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [point, replication, seconds, clients] = &arguments[..] else {
        return Err("usage: raw HOST:PORT REPLICATION SECONDS CLIENTS".into());
    };
    let seconds: f64 = seconds.parse()?;
    let raw = Arc::new(Raw::connect(point, replication).await?);
    // New numbers are above those of the rows, and five times eight of each fit.
    let mut next = ROWS * 1000;
    // The first round is for the cluster's own compiler.
    for (_, work) in WORKS {
        median(&raw, work, seconds / 2.0, &mut next).await?;
    }
    for (name, work) in WORKS {
        println!("{name}: {:.3}", median(&raw, work, seconds, &mut next).await?);
    }
    println!("reads a second: {:.0}", throughput(&raw, seconds, clients.parse()?).await?);
    Ok(())
}
