//! Changes of the schema beside readers and writers.

use std::time::Duration;

use tokio_postgres::{Client, SimpleQueryMessage};

use crate::server::TestServer;

/// Rows of a query, fields separated by `|`; or the error's code and message.
async fn ask(client: &Client, sql: &str) -> Vec<String> {
    match client.simple_query(sql).await {
        Ok(messages) => messages.iter().filter_map(row).collect(),
        Err(error) => {
            let error = error.as_db_error().unwrap();
            vec![format!("{}: {}", error.code().code(), error.message())]
        }
    }
}

fn row(message: &SimpleQueryMessage) -> Option<String> {
    let SimpleQueryMessage::Row(row) = message else { return None };
    let fields: Vec<&str> = (0..row.len()).map(|i| row.get(i).unwrap_or("NULL")).collect();
    Some(fields.join("|"))
}

async fn run(client: &Client, statements: &[&str]) {
    for sql in statements {
        if let Err(error) = client.batch_execute(sql).await {
            panic!("{sql}: {:?}", error.as_db_error());
        }
    }
}

/// Runs `statement`, which waits; `meanwhile` runs on another connection, and lets it go on.
async fn waits(waiter: &Client, statement: &str, other: &Client, meanwhile: &str) -> Vec<String> {
    let waiting = ask(waiter, statement);
    let releasing = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        run(other, &[meanwhile]).await;
    };
    tokio::join!(waiting, releasing).0
}

#[tokio::test]
async fn a_writer_that_waited_for_ddl_runs_on_the_new_table() {
    let server = TestServer::start().await;
    let (a, b) = (server.connect().await, server.connect().await);
    run(&a, &["create table t (id int primary key, v int)", "insert into t values (1, 1)"]).await;

    run(&a, &["begin", "alter table t add column w int default 7"]).await;
    let got = waits(&b, "insert into t values (2, 2) returning *", &a, "commit").await;
    assert_eq!(got, ["2|2|7"]);

    run(&a, &["begin", "truncate t"]).await;
    assert_eq!(waits(&b, "insert into t values (1, 9)", &a, "commit").await, [""; 0]);
    assert_eq!(ask(&b, "select * from t").await, ["1|9|7"]);

    run(&a, &["begin", "alter table t alter v type text using v || '!'"]).await;
    assert_eq!(waits(&b, "update t set v = v returning v", &a, "commit").await, ["9!"]);

    run(&a, &["begin", "create unique index u on t (v)"]).await;
    let got = waits(&b, "insert into t values (5, '9!')", &a, "commit").await;
    assert_eq!(got, ["23505: duplicate key value violates unique constraint \"u\""]);

    run(&a, &["begin", "alter table t drop column w"]).await;
    let got = waits(&b, "update t set w = 1", &a, "commit").await;
    assert_eq!(got, ["42703: column \"w\" of relation \"t\" does not exist"]);

    run(&a, &["begin", "alter table t rename to t2", "create table t (id int, other text)"]).await;
    let got = waits(&b, "insert into t values (3, 'x') returning *", &a, "commit").await;
    assert_eq!(got, ["3|x"]);

    run(&a, &["begin", "drop table t"]).await;
    let got = waits(&b, "delete from t", &a, "commit").await;
    assert_eq!(got, ["42P01: relation \"t\" does not exist"]);

    run(&a, &["begin", "drop table t2"]).await;
    assert_eq!(waits(&b, "delete from t2 returning id", &a, "rollback").await, ["1"]);
}

#[tokio::test]
async fn ddl_waits_for_writers_and_sees_their_rows() {
    let server = TestServer::start().await;
    let (a, b) = (server.connect().await, server.connect().await);
    run(&a, &["create table t (id int, v int)", "begin", "insert into t values (1, 1)"]).await;
    // Its snapshot is older than the row that it waits for.
    run(&b, &["begin isolation level repeatable read", "select 1"]).await;
    assert_eq!(ask(&b, "select count(*) from t").await, ["0"]);
    assert_eq!(waits(&b, "create index i on t (v)", &a, "commit").await, [""; 0]);
    run(&b, &["commit", "set enable_seqscan = off"]).await;
    assert_eq!(ask(&b, "select id from t where v = 1").await, ["1"]);

    run(&a, &["begin", "insert into t values (1, 2)"]).await;
    let got = waits(&b, "alter table t add primary key (id)", &a, "commit").await;
    assert_eq!(got, ["23505: could not create unique index \"t_pkey\""]);
    run(&a, &["begin", "delete from t where v = 2"]).await;
    assert_eq!(waits(&b, "alter table t add primary key (id)", &a, "commit").await, [""; 0]);

    run(&a, &["begin", "select * from t for update"]).await;
    assert_eq!(waits(&b, "drop table t", &a, "commit").await, [""; 0]);
    assert_eq!(ask(&a, "select * from t").await, ["42P01: relation \"t\" does not exist"]);
}

#[tokio::test]
async fn a_reader_keeps_its_snapshot_through_drop_and_truncate() {
    let server = TestServer::start().await;
    let (a, mut b) = (server.connect().await, server.connect().await);
    run(&a, &["create table t (id int primary key)", "create table d (id int)"]).await;
    run(&a, &["insert into t select generate_series(1, 5000)", "insert into d select 1"]).await;
    let txn = b.transaction().await.unwrap();
    let (t, d) = (
        txn.bind("select id from t", &[]).await.unwrap(),
        txn.bind("select id from d", &[]).await.unwrap(),
    );
    assert_eq!(txn.query_portal(&t, 10).await.unwrap().len(), 10);
    run(&a, &["truncate t", "insert into t values (0)", "drop table d"]).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    // The portal goes on where it was; one that had not begun sees what is there now.
    assert_eq!(txn.query_portal(&t, 0).await.unwrap().len(), 4990);
    let error = txn.query_portal(&d, 0).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "42P01");
    drop(txn);
    assert_eq!(ask(&a, "select id from t").await, ["0"]);
}

#[tokio::test]
async fn an_old_snapshot_does_not_read_a_new_index() {
    let server = TestServer::start().await;
    let (a, b) = (server.connect().await, server.connect().await);
    run(&a, &["create table t (id int primary key, v int)"]).await;
    run(&a, &["insert into t select x, x from generate_series(1, 300) x"]).await;
    run(&b, &["begin isolation level repeatable read", "set local enable_seqscan = off"]).await;
    assert_eq!(ask(&b, "select count(*) from t").await, ["300"]);
    run(&a, &["create index i on t (v)", "delete from t where id < 100"]).await;
    assert_eq!(ask(&b, "select count(*) from t where v between 1 and 50").await, ["50"]);
    assert_eq!(ask(&b, "select id from t where v = 50").await, ["50"]);
    run(&b, &["commit"]).await;
    assert_eq!(ask(&b, "select id from t where v = 50").await, [""; 0]);
}

#[tokio::test]
async fn a_rollback_leaves_nothing_of_ddl() {
    let server = TestServer::start().await;
    let (a, b) = (server.connect().await, server.connect().await);
    run(&a, &["create table t (id int primary key, v int)", "insert into t values (1, 1)"]).await;
    let objects = "select relname from pg_class where oid >= 16384 order by 1";
    let before = ask(&b, objects).await;
    run(
        &a,
        &[
            "begin",
            "alter table t add column w int, alter v type text",
            "create table u (id int primary key)",
            "create index i on t (v)",
            "savepoint s",
            "drop table u",
            "alter table t drop column v",
        ],
    )
    .await;
    assert_eq!(ask(&b, objects).await, before);
    run(&a, &["rollback to s", "insert into u values (1)"]).await;
    assert_eq!(ask(&a, "select v, w, u.id from t, u").await, ["1|NULL|1"]);
    run(&a, &["rollback"]).await;
    assert_eq!(ask(&a, objects).await, before);
    assert_eq!(ask(&a, "select * from t").await, ["1|1"]);
    run(&a, &["create table u (a text)", "insert into u values ('x')"]).await;
    assert_eq!(ask(&b, "select * from u").await, ["x"]);
}

#[tokio::test]
async fn readers_and_writers_never_see_a_schema_that_is_not_there() {
    let server = TestServer::start().await;
    let a = server.connect().await;
    run(&a, &["create table t (id int primary key, v int)"]).await;
    let stop = std::sync::atomic::AtomicBool::new(false);
    let client = async |n: i32| {
        let client = server.connect().await;
        let mut done = 0;
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            let upsert = format!(
                "insert into t values ({n}, 1) on conflict (id) do update set v = excluded.v + 1"
            );
            for sql in [upsert.as_str(), "select * from t", "update t set v = 0"] {
                let got = ask(&client, sql).await;
                assert!(got.iter().all(|row| !row.contains(": ")), "{sql}: {got:?}");
                assert!(got.iter().all(|row| row.split('|').count() >= 2), "{got:?}");
            }
            done += 1;
        }
        assert!(done > 2, "starved");
    };
    let changes = async {
        for _ in 0..15 {
            run(&a, &["alter table t add column w int default 3", "truncate t"]).await;
            run(&a, &["create index i on t (v)", "alter table t alter v type bigint"]).await;
            run(&a, &["begin", "drop table t"]).await;
            run(&a, &["create table t (id int primary key, v int)", "commit"]).await;
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    tokio::join!(changes, client(1), client(2), client(3));
}

#[tokio::test]
async fn foreign_keys_hold_beside_others() {
    let server = TestServer::start().await;
    let (a, b) = (server.connect().await, server.connect().await);
    run(
        &a,
        &[
            "create table p (id int primary key)",
            "create table c (id int primary key, pid int references p on delete cascade)",
            "create table n (pid int references p)",
            "insert into p select generate_series(1, 6)",
        ],
    )
    .await;
    // A row that is referenced by a transaction that is not done stays.
    run(&a, &["begin", "insert into n values (1)"]).await;
    let got = waits(&b, "delete from p where id = 1", &a, "commit").await;
    assert_eq!(
        got,
        ["23503: update or delete on table \"p\" violates foreign key constraint \
            \"n_pid_fkey\" on table \"n\""]
    );
    // A row that goes cannot be referenced any more.
    run(&a, &["begin", "delete from p where id = 2"]).await;
    let got = waits(&b, "insert into c values (1, 2)", &a, "commit").await;
    assert_eq!(
        got,
        ["23503: insert or update on table \"c\" violates foreign key constraint \"c_pid_fkey\""]
    );
    run(&a, &["begin", "delete from p where id = 3"]).await;
    assert_eq!(waits(&b, "insert into c values (1, 3)", &a, "rollback").await, [""; 0]);
    // What came meanwhile goes with the row.
    run(&a, &["begin", "insert into c values (2, 4)"]).await;
    assert_eq!(waits(&b, "delete from p where id = 4", &a, "commit").await, [""; 0]);
    assert_eq!(ask(&a, "select id from c").await, ["1"]);
    // An old snapshot does not see what references the row, and must not leave it alone.
    run(&b, &["begin isolation level repeatable read"]).await;
    assert_eq!(ask(&b, "select count(*) from n").await, ["1"]);
    run(&a, &["insert into n values (5)"]).await;
    let got = ask(&b, "delete from p where id = 5").await;
    assert_eq!(got, ["40001: could not serialize access due to concurrent update"]);
    run(&b, &["rollback"]).await;
    // Updates of other columns and references do not wait for each other.
    run(&a, &["begin", "insert into n values (6)", "alter table n drop constraint n_pid_fkey"])
        .await;
    run(&a, &["rollback"]).await;
    assert_eq!(ask(&b, "delete from p where id = 6").await, [""; 0]);
}
