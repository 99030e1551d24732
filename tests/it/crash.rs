//! The real binary killed at random instants under load: what was acknowledged is there after the
//! restart, and no transaction is there in part.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sluice::clock::{Clock, SystemClock};
use tokio_postgres::Client;

use crate::program::Running;

/// Says how often the server is killed; `tests/run.sh --long` asks for more.
const ROUNDS: &str = "SLUICE_TEST_CRASH_ROUNDS";
const ROUNDS_USUAL: usize = 4;
const CLIENTS: i32 = 4;
const ACCOUNTS: i32 = 10;
/// Rows of one bulk statement: its commit takes several batches.
const BULK_ROWS: i64 = 20_000;

const SCHEMA: &str = "
    create table account (id int primary key, balance bigint not null);
    create table history (client int, n int, payer int, payee int, amount bigint,
                          primary key (client, n));
    create index history_payer on history (payer);
    create table bulk (round int, n int, v text, primary key (round, n));
    insert into account select i, 1000 from generate_series(1, 10) i";

type Acknowledged = Arc<Mutex<HashMap<i32, i32>>>;

/// Transfers without pause until the server is gone.
async fn transfer(client: Client, number: i32, acknowledged: Acknowledged) {
    let last = "select coalesce(max(n), 0) from history where client = $1";
    let Ok(row) = client.query_one(last, &[&number]).await else { return };
    let mut n: i32 = row.get(0);
    loop {
        n += 1;
        let payer = (number * 7 + n * 3) % ACCOUNTS + 1;
        let payee = (number * 5 + n) % ACCOUNTS + 1;
        let (low, high) = (payer.min(payee), payer.max(payee));
        let change = |id: i32| i64::from(id == payee) - i64::from(id == payer);
        let text = format!(
            "begin; update account set balance = balance + ({}) where id = {low}; \
             update account set balance = balance + ({}) where id = {high} and {low} <> {high}; \
             insert into history values ({number}, {n}, {payer}, {payee}, 1); commit",
            change(low),
            change(high),
        );
        if client.batch_execute(&text).await.is_err() {
            return;
        }
        acknowledged.lock().insert(number, n);
    }
}

/// Bulk statements without pause until the server is gone.
async fn bulk(client: Client, acknowledged: Acknowledged) {
    let Ok(row) = client.query_one("select coalesce(max(round), 0) from bulk", &[]).await else {
        return;
    };
    let mut round: i32 = row.get(0);
    loop {
        round += 1;
        let text = format!(
            "insert into bulk select {round}, n, repeat('x', 300) \
             from generate_series(1, {BULK_ROWS}) n; \
             delete from bulk where round < {round} - 1",
        );
        if client.batch_execute(&text).await.is_err() {
            return;
        }
        acknowledged.lock().insert(0, round);
    }
}

async fn number(client: &Client, text: &str) -> i64 {
    client.query_one(text, &[]).await.unwrap().get(0)
}

async fn verify(client: &Client, acknowledged: &HashMap<i32, i32>) {
    assert_eq!(number(client, "select sum(balance)::bigint from account").await, 10_000);
    let wrong = "select count(*) from account a where balance <> 1000 \
        + (select count(*) from history where payee = a.id) \
        - (select count(*) from history where payer = a.id)";
    assert_eq!(number(client, wrong).await, 0, "balances do not follow from the history");
    let by_index = "select sum(c)::bigint from (select (select count(*) from history \
        where payer = i) c from generate_series(1, 10) i) x";
    let all = number(client, "select count(*) from history").await;
    assert_eq!(number(client, by_index).await, all, "index and table differ");
    for one in 1..=CLIENTS {
        let text = format!("select count(*) from history where client = {one}");
        let there = number(client, &text).await;
        let told = i64::from(acknowledged.get(&one).copied().unwrap_or(0));
        let known = there == told || there == told + 1;
        assert!(known, "client {one} was told of {told}, and {there} are there");
    }
    let rounds = client
        .query("select round, count(*) from bulk group by round order by round", &[])
        .await
        .unwrap();
    for row in &rounds {
        let (round, count): (i32, i64) = (row.get(0), row.get(1));
        assert_eq!(count, BULK_ROWS, "bulk round {round} is there in part");
    }
    let last = rounds.last().map_or(0, |row| row.get::<_, i32>(0));
    let told = acknowledged.get(&0).copied().unwrap_or(0);
    assert!(
        last >= told && rounds.len() <= 2,
        "bulk round {told} was acknowledged, {last} is last"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_nothing_acknowledged() {
    let rounds = std::env::var(ROUNDS).ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS_USUAL);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let acknowledged: Acknowledged = Arc::default();
    for round in 0..rounds {
        run_and_kill(&data, round == 0, &acknowledged).await;
        let server = Running::on(&data);
        let client = server.connect("postgres", "postgres").await;
        let told = acknowledged.lock().clone();
        verify(&client, &told).await;
        // What was not told of and is there counts as told of from now on.
        for one in 1..=CLIENTS {
            let text = format!("select count(*) from history where client = {one}");
            let there = number(&client, &text).await as i32;
            acknowledged.lock().insert(one, there);
        }
        server.signal("-KILL");
        server.ended().await;
    }
    assert!(acknowledged.lock().values().all(|n| *n > 0));
}

async fn run_and_kill(data: &Path, first: bool, acknowledged: &Acknowledged) {
    let server = Running::on(data);
    if first {
        let client = server.connect("postgres", "postgres").await;
        client.batch_execute(SCHEMA).await.unwrap();
    }
    let mut tasks = Vec::new();
    for one in 1..=CLIENTS {
        let client = server.connect("postgres", "postgres").await;
        tasks.push(tokio::spawn(transfer(client, one, acknowledged.clone())));
    }
    let client = server.connect("postgres", "postgres").await;
    tasks.push(tokio::spawn(bulk(client, acknowledged.clone())));
    let mut random = [0; 2];
    SystemClock::new().random(&mut random);
    let millis = 300 + u64::from(u16::from_le_bytes(random)) % 900;
    tokio::time::sleep(Duration::from_millis(millis)).await;
    server.signal("-KILL");
    server.ended().await;
    for task in tasks {
        task.await.unwrap();
    }
}
