//! What bare CQL takes: `raw HOST:PORT REPLICATION SECONDS CLIENTS lwt|accord`.
//!
//! Prints a line for each kind of work: its name, the median in milliseconds of one client, and for
//! point reads also how many a second `CLIENTS` clients get.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

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

/// What a commit is: a conditional batch for each partition, or one transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Commit {
    Lwt,
    Accord,
}

impl Commit {
    /// `INSERT` of rows that must not be there yet; with LWT it has one row.
    fn insert(self, table: &str, key: &[&str], rows: usize) -> String {
        let marks = vec!["?"; key.len() + 1].join(", ");
        let insert = format!("INSERT INTO {table} ({}, v) VALUES ({marks})", key.join(", "));
        match self {
            Commit::Lwt => format!("{insert} IF NOT EXISTS"),
            Commit::Accord => transaction(table, key, rows, "NULL", &insert),
        }
    }

    fn update(self) -> String {
        let update = "UPDATE plain SET v = ? WHERE id = ?";
        match self {
            Commit::Lwt => format!("{update} IF v != -1"),
            Commit::Accord => transaction("plain", &["id"], 1, "NOT NULL", update),
        }
    }

    /// The values of an `INSERT`: Accord's has the keys to look for before the rows.
    fn values(self, keys: &[Vec<i64>]) -> Vec<i64> {
        let sought = keys.concat();
        let rows = keys.iter().flat_map(|key| [&key[..], &[0]].concat());
        match self {
            Commit::Lwt => rows.collect(),
            Commit::Accord => sought.into_iter().chain(rows).collect(),
        }
    }
}

/// So many rows are looked for, and if they are as expected, the change is made for each.
fn transaction(table: &str, key: &[&str], rows: usize, expected: &str, change: &str) -> String {
    let sought: Vec<String> = key.iter().map(|column| format!("{column} = ?")).collect();
    let each = |of: &dyn Fn(usize) -> String, between: &str| {
        (0..rows).map(of).collect::<Vec<_>>().join(between)
    };
    let lets = each(
        &|n| format!("LET r{n} = (SELECT v FROM {table} WHERE {});", sought.join(" AND ")),
        " ",
    );
    let shown = each(&|n| format!("r{n}.v"), ", ");
    let tested = each(&|n| format!("r{n} IS {expected}"), " AND ");
    let then = each(&|_| format!("{change};"), " ");
    format!(
        "BEGIN TRANSACTION {lets} SELECT {shown}; IF {tested} THEN {then} END IF COMMIT TRANSACTION"
    )
}

struct Raw {
    session: Session,
    commit: Commit,
    read: PreparedStatement,
    write: PreparedStatement,
    insert: PreparedStatement,
    update: PreparedStatement,
    /// Rows of one partition: one with LWT, where a batch has five; else all.
    wide: PreparedStatement,
    /// Rows of five partitions: one with LWT, else all.
    five: PreparedStatement,
}

impl Raw {
    async fn connect(point: &str, replication: &str, commit: Commit) -> Outcome<Raw> {
        let profile = ExecutionProfile::builder()
            .consistency(Consistency::Quorum)
            .serial_consistency(Some(SerialConsistency::Serial))
            .request_timeout(Some(Duration::from_secs(20)));
        let session = SessionBuilder::new()
            .known_node(point)
            .default_execution_profile_handle(profile.build().into_handle())
            .build()
            .await?;
        let mode = match commit {
            Commit::Lwt => "",
            Commit::Accord => " WITH transactional_mode = 'full'",
        };
        // Of its own, since one with Accord's tables cannot be dropped.
        let keyspace = format!("raw_{}", UNIX_EPOCH.elapsed()?.as_millis());
        let replication =
            format!("{{'class': 'SimpleStrategy', 'replication_factor': {replication}}}");
        let create = format!("CREATE KEYSPACE {keyspace} WITH replication = {replication}");
        session.query_unpaged(create, ()).await?;
        session.use_keyspace(keyspace, false).await?;
        let tables = [
            "CREATE TABLE plain (id bigint PRIMARY KEY, v bigint)",
            "CREATE TABLE wide (p bigint, c bigint, v bigint, PRIMARY KEY (p, c))",
        ];
        for table in tables {
            session.query_unpaged(format!("{table}{mode}"), ()).await?;
        }
        let prepare = async |text: &str| {
            let mut statement = session.prepare(text).await?;
            statement.set_consistency(Consistency::Quorum);
            statement.set_serial_consistency(Some(SerialConsistency::Serial));
            Outcome::Ok(statement)
        };
        let raw = Raw {
            commit,
            read: prepare("SELECT v FROM plain WHERE id = ?").await?,
            write: prepare("INSERT INTO plain (id, v) VALUES (?, ?)").await?,
            insert: prepare(&commit.insert("plain", &["id"], 1)).await?,
            update: prepare(&commit.update()).await?,
            wide: prepare(&commit.insert("wide", &["p", "c"], 5)).await?,
            five: prepare(&commit.insert("plain", &["id"], 5)).await?,
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

    async fn write(&self, statement: &PreparedStatement, values: &[i64]) -> Outcome<()> {
        self.session.execute_unpaged(statement, values).await?;
        Ok(())
    }

    async fn insert(&self, statement: &PreparedStatement, keys: &[Vec<i64>]) -> Outcome<()> {
        self.write(statement, &self.commit.values(keys)).await
    }

    async fn batch(&self, statement: &PreparedStatement, keys: &[Vec<i64>]) -> Outcome<()> {
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.set_consistency(Consistency::Quorum);
        batch.set_serial_consistency(Some(SerialConsistency::Serial));
        keys.iter().for_each(|_| batch.append_statement(statement.clone()));
        let values: Vec<Vec<i64>> =
            keys.iter().map(|key| self.commit.values(std::slice::from_ref(key))).collect();
        self.session.batch(&batch, values).await?;
        Ok(())
    }

    /// One kind of work, `id` being a number that is used once.
    async fn run(&self, work: Work, id: i64) -> Outcome<()> {
        match (work, self.commit) {
            (Work::Read, _) => self.read(id).await,
            (Work::Write, _) => self.write(&self.write, &[id, id]).await,
            (Work::Insert, _) => self.insert(&self.insert, &[vec![id]]).await,
            (Work::Update, commit) => {
                self.read(id).await?;
                let (changed, sought) = ([id, id % ROWS], [id % ROWS]);
                match commit {
                    Commit::Lwt => self.write(&self.update, &changed).await,
                    Commit::Accord => {
                        self.write(&self.update, &[&sought[..], &changed].concat()).await
                    }
                }
            }
            (Work::FiveRows, commit) => {
                let keys: Vec<_> = (0..5).map(|c| vec![id, c]).collect();
                match commit {
                    Commit::Lwt => self.batch(&self.wide, &keys).await,
                    Commit::Accord => self.insert(&self.wide, &keys).await,
                }
            }
            (Work::FivePartitions, commit) => {
                let keys: Vec<_> = (0..5).map(|n| vec![id * 8 + n]).collect();
                match commit {
                    Commit::Lwt => {
                        try_join_all(keys.chunks(1).map(|key| self.insert(&self.five, key)))
                            .await?;
                        Ok(())
                    }
                    Commit::Accord => self.insert(&self.five, &keys).await,
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Work {
    Read,
    Write,
    Insert,
    Update,
    FiveRows,
    FivePartitions,
}

const WORKS: [(&str, Work); 6] = [
    ("read", Work::Read),
    ("write", Work::Write),
    ("insert", Work::Insert),
    ("read and update", Work::Update),
    ("insert of five rows", Work::FiveRows),
    ("insert into five partitions", Work::FivePartitions),
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
    let [point, replication, seconds, clients, commit] = &arguments[..] else {
        return Err("usage: raw HOST:PORT REPLICATION SECONDS CLIENTS lwt|accord".into());
    };
    let commit = match commit.as_str() {
        "lwt" => Commit::Lwt,
        "accord" => Commit::Accord,
        other => return Err(format!("neither lwt nor accord: {other}").into()),
    };
    let seconds: f64 = seconds.parse()?;
    let raw = Arc::new(Raw::connect(point, replication, commit).await?);
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
