//! What ends a statement before its own end: cancel requests, timeouts, a client that is gone.

use std::sync::Arc;
use std::time::Duration;

use sluice::wire::auth::Method;
use tokio_postgres::{Client, NoTls};

use crate::server::{TestServer, query};

/// Statements that compute for longer than anybody waits, each in another operator.
const ENDLESS: [&str; 10] = [
    "select count(*) from generate_series(1, 1000000000000)",
    "select * from generate_series(1, 1000000000000) g where g < 0",
    "select count(*) from generate_series(1, 3000) a, generate_series(1, 3000) b, \
     generate_series(1, 3000) c where a + b + c < 0",
    "select count(*) from generate_series(1, 300000) a \
     left join generate_series(1, 300000) b on a < b - 1000000",
    "select sum(a) from (select a % 1000 a from generate_series(1, 1000000000000) a) x group by a",
    "select * from (select a from generate_series(1, 1000000000) a) x order by a desc limit 1",
    "with recursive r(n) as (select 1::bigint union all select n + 1 from r) \
     select count(*) from r where n < 0",
    "select (select count(*) from generate_series(1, 1000000) b where b < a) \
     from generate_series(1, 1000000) a where a < 0 or a > 1",
    "select count(distinct a % 10) from generate_series(1, 1000000000000) a",
    "insert into sink select 1 from generate_series(1, 1000000000000) a where a < 0",
];

async fn error_of(client: &Client, text: &str) -> String {
    let error = client.batch_execute(text).await.unwrap_err();
    match error.as_db_error() {
        Some(error) => format!("{} {}", error.code().code(), error.message()),
        None => error.to_string(),
    }
}

async fn server_with_sink() -> (TestServer, Client) {
    let server = TestServer::start().await;
    let client = server.connect().await;
    client.batch_execute("create table sink (v int)").await.unwrap();
    (server, client)
}

#[tokio::test]
async fn a_statement_timeout_ends_what_computes() {
    let (_server, client) = server_with_sink().await;
    client.batch_execute("set statement_timeout = '80ms'").await.unwrap();
    for text in ENDLESS {
        let ended = tokio::time::timeout(Duration::from_secs(20), error_of(&client, text)).await;
        let expected = "57014 canceling statement due to statement timeout";
        assert_eq!(ended.unwrap_or_else(|_| panic!("still running: {text}")), expected, "{text}");
    }
    // The time is each statement's own, and it is over with it.
    client.batch_execute("set statement_timeout = '10s'; select 1; select 2").await.unwrap();
    client.batch_execute("begin; select 1").await.unwrap();
    tokio::time::sleep(Duration::from_millis(120)).await;
    client.batch_execute("set local statement_timeout = '100ms'; commit").await.unwrap();
}

#[tokio::test]
async fn a_cancel_request_ends_what_computes() {
    let (_server, client) = server_with_sink().await;
    for text in ENDLESS {
        let token = client.cancel_token();
        let cancel = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            token.cancel_query(NoTls).await.unwrap();
        };
        let both = async { tokio::join!(error_of(&client, text), cancel).0 };
        let ended = tokio::time::timeout(Duration::from_secs(20), both).await;
        let expected = "57014 canceling statement due to user request";
        assert_eq!(ended.unwrap_or_else(|_| panic!("still running: {text}")), expected, "{text}");
    }
}

#[tokio::test]
async fn waits_for_locks_end() {
    let server = TestServer::start().await;
    let (one, two) = (server.connect().await, server.connect().await);
    one.batch_execute(
        "create table t (k int primary key, v int); insert into t values (1, 1), (2, 2)",
    )
    .await
    .unwrap();
    one.batch_execute("begin; update t set v = 2 where k = 1").await.unwrap();
    two.batch_execute("set lock_timeout = '50ms'").await.unwrap();
    let update = "update t set v = 3 where k = 1";
    let lock_timeout = "55P03 canceling statement due to lock timeout";
    assert_eq!(error_of(&two, update).await, lock_timeout);
    two.batch_execute("reset lock_timeout; set statement_timeout = '50ms'").await.unwrap();
    let statement_timeout = "57014 canceling statement due to statement timeout";
    assert_eq!(error_of(&two, update).await, statement_timeout);
    two.batch_execute("reset statement_timeout").await.unwrap();
    let token = two.cancel_token();
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        token.cancel_query(NoTls).await.unwrap();
    };
    let (ended, ()) = tokio::join!(error_of(&two, update), cancel);
    assert_eq!(ended, "57014 canceling statement due to user request");
    // Whoever gave up left no lock and no place in the queue.
    one.batch_execute("commit").await.unwrap();
    two.batch_execute(update).await.unwrap();
    // A deadlock is looked for as soon as the setting says.
    two.batch_execute("set deadlock_timeout = '20ms'; begin; update t set v = 5 where k = 2")
        .await
        .unwrap();
    one.batch_execute("begin; update t set v = 4 where k = 1").await.unwrap();
    let waiting = one.batch_execute("update t set v = 4 where k = 2");
    let (_, ended) = tokio::join!(waiting, async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        let ended = error_of(&two, update).await;
        two.batch_execute("rollback").await.unwrap();
        ended
    });
    assert_eq!(ended, "40P01 deadlock detected");
}

#[tokio::test]
async fn a_session_idle_in_a_transaction_is_sent_away() {
    let server = TestServer::start().await;
    let mut raw = server.raw().await;
    raw.query("set idle_in_transaction_session_timeout = '50ms'").await;
    assert_eq!(raw.query("select 1").await, "columns 1; row 1; SELECT 1; ready I");
    tokio::time::sleep(Duration::from_millis(80)).await;
    raw.query("begin").await;
    let last = crate::server::summary(&raw.until(b'E').await);
    assert_eq!(last, "FATAL 25P03 terminating connection due to idle-in-transaction timeout");
    assert!(raw.receive().await.is_none());
}

#[tokio::test]
async fn a_statement_ends_with_its_client() {
    let (server, client) = server_with_sink().await;
    let mut raw = server.raw().await;
    raw.query("set client_connection_check_interval = '20ms'").await;
    raw.send(&query("select count(*) from generate_series(1, 1000000000000)")).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let running = "select count(*) from pg_stat_activity where state = 'active' \
                   and query like '%1000000000000%' and pid <> pg_backend_pid()";
    let count = async || client.query_one(running, &[]).await.unwrap().get::<_, i64>(0);
    assert_eq!(count().await, 1);
    drop(raw);
    for _ in 0..200 {
        if count().await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the statement outlives its client");
}

#[tokio::test]
async fn stopping_ends_what_computes_at_the_deadline() {
    let server = TestServer::start_with(Method::Trust, Duration::from_millis(50)).await;
    let mut raw = server.raw().await;
    raw.send(&query("select count(*) from generate_series(1, 1000000000000)")).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.stop();
    let ended = crate::server::summary(&raw.until(b'E').await);
    let expected = "FATAL 57P01 terminating connection due to administrator command";
    assert!(ended.ends_with(expected), "{ended}");
}

#[tokio::test]
async fn a_cancel_while_rows_are_sent_leaves_whole_messages() {
    let server = TestServer::start().await;
    let client = server.connect().await;
    let mut raw = server.raw().await;
    let pid = raw.query("select pg_backend_pid()").await;
    assert!(pid.contains("row "));
    raw.query("set statement_timeout = '100ms'").await;
    // Nobody reads: the server is stuck in the middle of a message when its time is over.
    raw.send(&query("select repeat('x', 1000) from generate_series(1, 1000000)")).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let answers = raw.until(b'Z').await;
    let kinds: Vec<u8> = answers.iter().map(|a| a.0).collect();
    assert_eq!(&kinds[kinds.len() - 2..], b"EZ");
    assert!(kinds[1..kinds.len() - 2].iter().all(|kind| *kind == b'D'));
    client.batch_execute("select 1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_anothers_statement_and_session() {
    let server = TestServer::start().await;
    let one = server.connect().await;
    let other = Arc::new(server.connect().await);
    let pid: i32 = other.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    let asleep = {
        let other = other.clone();
        tokio::spawn(async move { error_of(&other, "select pg_sleep(60)").await })
    };
    let running = "select count(*) from pg_stat_activity where pid = $1 and state = 'active'";
    while one.query_one(running, &[&pid]).await.unwrap().get::<_, i64>(0) == 0 {}
    let told = |call: &'static str| {
        let one = &one;
        async move { one.query_one(call, &[&pid]).await.unwrap().get::<_, bool>(0) }
    };
    assert!(told("select pg_cancel_backend($1)").await);
    assert_eq!(asleep.await.unwrap(), "57014 canceling statement due to user request");
    assert!(told("select pg_terminate_backend($1, 10000)").await, "it is gone within that time");
    assert!(!told("select pg_terminate_backend($1)").await);
    assert!(other.query("select 1", &[]).await.is_err());
    // Roles that are not superusers end sessions of their own.
    one.batch_execute("create role low login password 'sluice'").await.unwrap();
    let low = server.connect_as("low").await;
    let mine: i32 = one.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    for (call, refused) in [
        ("pg_cancel_backend", "42501 must be a superuser to cancel superuser query"),
        ("pg_terminate_backend", "42501 must be a superuser to terminate superuser process"),
    ] {
        assert_eq!(error_of(&low, &format!("select {call}({mine})")).await, refused);
    }
    let error = error_of(&low, "select pg_cancel_backend(pg_backend_pid())").await;
    assert_eq!(error, "57014 canceling statement due to user request");
}
