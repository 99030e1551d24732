//! The wire protocol, message by message.

use std::time::Duration;

use sluice::wire::auth::Method;
use tokio::io::AsyncReadExt;

use crate::server::*;

#[tokio::test]
async fn a_client_is_greeted() {
    let server = TestServer::start().await;
    let mut raw = Raw::connect(server.addr).await;
    // TLS is asked for first, then GSSAPI; both are declined.
    raw.send(&[0, 0, 0, 8, 4, 210, 22, 47]).await;
    assert_eq!(raw.stream.read_u8().await.unwrap(), b'N');
    raw.send(&[0, 0, 0, 8, 4, 210, 22, 48]).await;
    assert_eq!(raw.stream.read_u8().await.unwrap(), b'N');
    let options = "-c work_mem=1MB -c DateStyle=german";
    raw.startup(3 << 16, &[("user", USER), ("database", DATABASE), ("options", options)]).await;
    let answers = raw.until(b'Z').await;
    let greeting = summary(&answers);
    for expected in [
        "parameter application_name; parameter client_encoding=UTF8; \
         parameter DateStyle=German, DMY",
        "parameter is_superuser=on",
        "parameter server_version=15.0 (Sluice ",
        "parameter standard_conforming_strings=on; parameter TimeZone=Etc/UTC; K; ready I",
    ] {
        assert!(greeting.contains(expected), "{greeting}");
    }
    let key = answers.iter().find(|(kind, _)| *kind == b'K').unwrap();
    assert_eq!(key.1.len(), 8);
    assert_eq!(raw.query("show work_mem").await, "columns 1; row 1MB; SHOW; ready I");
}

#[tokio::test]
async fn protocol_versions_are_negotiated() {
    let server = TestServer::start().await;
    for (version, extension, negotiated, key_len) in [
        (3 << 16, false, None, 8),
        (3 << 16 | 2, false, None, 36),
        (3 << 16 | 9999, false, Some(2_u32), 36),
        (3 << 16, true, Some(0), 8),
    ] {
        let mut raw = Raw::connect(server.addr).await;
        let mut parameters = vec![("user", USER), ("database", DATABASE)];
        if extension {
            parameters.push(("_pq_.turbo", "on"));
        }
        raw.startup(version, &parameters).await;
        let answers = raw.until(b'Z').await;
        let answer = answers.iter().find(|(kind, _)| *kind == b'v');
        let minor = answer.map(|(_, body)| u32::from_be_bytes(body[..4].try_into().unwrap()));
        assert_eq!(minor.map(|m| m & 0xffff), negotiated, "{version:x}");
        let key = answers.iter().find(|(kind, _)| *kind == b'K').unwrap();
        assert_eq!(key.1.len(), key_len, "{version:x}");
    }
}

#[tokio::test]
async fn wrong_beginnings_are_refused() {
    let server = TestServer::start().await;
    for (bytes, expected) in [
        (&[0, 0, 0, 7, 0, 3, 0][..], "FATAL 08P01 invalid length of startup packet"),
        (&[0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0], "FATAL 08P01 invalid length of startup packet"),
        (
            &[0, 0, 0, 8, 0, 2, 0, 0],
            "FATAL 0A000 unsupported frontend protocol 2.0: \
                                     server supports 3.0 to 3.2",
        ),
        (
            &[0, 0, 0, 9, 0, 3, 0, 0, 0],
            "FATAL 28000 no PostgreSQL user name specified in \
                                        startup packet",
        ),
    ] {
        let mut raw = Raw::connect(server.addr).await;
        raw.send(bytes).await;
        assert_eq!(summary(&raw.until(b'Z').await), expected);
    }
    for (parameters, expected) in [
        (&[("user", "nobody")][..], "FATAL 28000 role \"nobody\" does not exist"),
        (&[("user", USER)], "FATAL 3D000 database \"sluice\" does not exist"),
        (
            &[("user", USER), ("database", DATABASE), ("foo", "1")],
            "FATAL 42704 unrecognized configuration parameter \"foo\"",
        ),
        (
            &[("user", USER), ("replication", "database")],
            "FATAL 0A000 replication protocol is not supported",
        ),
    ] {
        let mut raw = Raw::connect(server.addr).await;
        raw.startup(3 << 16, parameters).await;
        let answers = summary(&raw.until(b'Z').await);
        assert!(answers.ends_with(expected), "{answers}");
    }
    server.raw().await;
}

#[tokio::test]
async fn a_password_is_asked_for() {
    let server = TestServer::start_with(Method::Scram, Duration::from_secs(1)).await;
    let client = server.connect().await;
    assert_eq!(client.simple_query("show port").await.unwrap().len(), 3);
    for (user, password) in [(USER, "wrong"), ("nobody", PASSWORD)] {
        let config = format!(
            "host=127.0.0.1 port={} user={user} password={password} dbname={DATABASE}",
            server.addr.port()
        );
        let refused = tokio_postgres::connect(&config, tokio_postgres::NoTls).await.err().unwrap();
        let error = refused.as_db_error().unwrap();
        assert_eq!(error.code().code(), "28P01");
        let expected = format!("password authentication failed for user \"{user}\"");
        assert_eq!(error.message(), expected);
    }
}

#[tokio::test]
async fn simple_queries() {
    let server = TestServer::start().await;
    let mut raw = server.raw().await;
    for (text, expected) in [
        ("", "empty; ready I"),
        (" ; -- nothing\n;", "empty; ready I"),
        ("begin", "BEGIN; ready T"),
        ("begin", "WARNING 25001 there is already a transaction in progress; BEGIN; ready T"),
        ("savepoint a; release a", "SAVEPOINT; RELEASE; ready T"),
        ("release a", "ERROR 3B001 savepoint \"a\" does not exist; ready E"),
        (
            "show work_mem",
            "ERROR 25P02 current transaction is aborted, commands ignored until end of \
             transaction block; ready E",
        ),
        ("commit", "ROLLBACK; ready I"),
        ("commit", "WARNING 25P01 there is no transaction in progress; COMMIT; ready I"),
        ("savepoint a", "ERROR 25P01 SAVEPOINT can only be used in transaction blocks; ready I"),
        (
            "commit and chain",
            "ERROR 25P01 COMMIT AND CHAIN can only be used in transaction blocks; ready I",
        ),
        (
            "begin isolation level serializable; commit and chain; show transaction_isolation; \
             rollback",
            "BEGIN; COMMIT; columns 1; row serializable; SHOW; ROLLBACK; ready I",
        ),
        ("show transaction isolation level", "columns 1; row read committed; SHOW; ready I"),
        ("set timezone = 'Europe/Paris'", "SET; parameter TimeZone=Europe/Paris; ready I"),
        ("begin; set timezone = 'UTC'; rollback", "BEGIN; SET; ROLLBACK; ready I"),
        (
            "set work_mem = '1MB'; set foo = 1",
            "SET; ERROR 42704 unrecognized configuration parameter \"foo\"; ready I",
        ),
        ("show work_mem", "columns 1; row 4MB; SHOW; ready I"),
        (
            "set local work_mem = '1MB'",
            "WARNING 25P01 SET LOCAL can only be used in transaction blocks; SET; ready I",
        ),
        ("listen x", "ERROR 0A000 LISTEN is not supported; ready I"),
        ("selec", "ERROR 42601 syntax error at or near \"selec\"; ready I"),
    ] {
        assert_eq!(raw.query(text).await, expected, "{text}");
    }
}

#[tokio::test]
async fn savepoints_undo_settings() {
    let server = TestServer::start().await;
    let mut raw = server.raw().await;
    let text = "begin; set work_mem = '1MB'; savepoint a; set work_mem = '2MB'";
    raw.query(text).await;
    raw.query("release b").await;
    let answer = raw.query("rollback to a; show work_mem; commit; show work_mem").await;
    assert_eq!(
        answer,
        "ROLLBACK; columns 1; row 1MB; SHOW; COMMIT; columns 1; row 1MB; SHOW; ready I"
    );
}

#[tokio::test]
async fn extended_queries() {
    let server = TestServer::start().await;
    let mut raw = server.raw().await;
    let whole = [
        parse("s", "show work_mem"),
        describe('S', "s"),
        bind("", "s", &[]),
        describe('P', ""),
        execute("", 0),
        sync(),
    ];
    let answer = "parsed; parameters 0; columns 1; bound; columns 1; row 4MB; SHOW; ready I";
    assert_eq!(raw.ask(&whole).await, answer);
    for (messages, expected) in [
        (vec![parse("s", "show port")], "ERROR 42P05 prepared statement \"s\" already exists"),
        (vec![bind("", "x", &[])], "ERROR 26000 prepared statement \"x\" does not exist"),
        (vec![execute("x", 0)], "ERROR 34000 portal \"x\" does not exist"),
        (vec![describe('P', "x")], "ERROR 34000 portal \"x\" does not exist"),
        (
            vec![bind("", "s", &[Some("1")])],
            "ERROR 08P01 bind message supplies 1 parameters, but prepared statement \"s\" \
             requires 0",
        ),
        (
            vec![parse("", "show work_mem; show port")],
            "ERROR 42601 cannot insert multiple commands into a prepared statement",
        ),
        (vec![message(b'D', b"x\0")], "ERROR 08P01 invalid DESCRIBE message subtype 120"),
        (vec![message(b'B', b"\0\0\0")], "ERROR 08P01 insufficient data left in message"),
        (
            vec![message(b'P', b"\0\xff\0\0\0")],
            "ERROR 22021 invalid byte sequence for encoding \"UTF8\": 0xff",
        ),
        (
            vec![parse("", ""), bind("", "", &[]), describe('P', ""), execute("", 0)],
            "parsed; bound; no data; empty",
        ),
        // What comes after an error does not count until Sync.
        (
            vec![bind("", "x", &[]), parse("y", "show port"), query("show port")],
            "ERROR 26000 prepared statement \"x\" does not exist",
        ),
        (vec![bind("", "y", &[])], "ERROR 26000 prepared statement \"y\" does not exist"),
        (vec![message(b'C', b"Ss\0"), message(b'C', b"Snone\0")], "closed; closed"),
        (vec![bind("", "s", &[])], "ERROR 26000 prepared statement \"s\" does not exist"),
    ] {
        let messages = [messages, vec![sync()]].concat();
        assert_eq!(raw.ask(&messages).await, format!("{expected}; ready I"));
    }
}

#[tokio::test]
async fn an_error_is_told_before_sync() {
    let server = TestServer::start().await;
    let mut raw = server.raw().await;
    // A client that pipelines waits for it after Flush, which does not count any more.
    raw.send(&[bind("", "x", &[]), message(b'H', b"")].concat()).await;
    assert!(matches!(raw.receive().await, Some((b'E', _))));
    assert_eq!(raw.ask(&[parse("", "show port"), sync()]).await, "ready I");
}

#[tokio::test]
async fn portals_are_read_in_parts() {
    let server = TestServer::start().await;
    let mut raw = server.raw().await;
    let begun = [parse("", "show all"), bind("p", "", &[]), execute("p", 2), execute("p", 1)];
    let answer = raw.ask(&[begun.concat(), execute("p", 0), execute("p", 0), sync()]).await;
    let rows = answer.matches("row ").count();
    assert!(rows > 100, "{answer}");
    assert_eq!(answer.matches("suspended").count(), 2, "{answer}");
    // A portal ends with its transaction.
    let gone = raw.ask(&[execute("p", 0), sync()]).await;
    assert_eq!(gone, "ERROR 34000 portal \"p\" does not exist; ready I");
}

#[tokio::test]
async fn nonsense_ends_one_connection_only() {
    let server = TestServer::start().await;
    for (bytes, expected) in [
        (message(b'?', b""), "FATAL 08P01 invalid frontend message type 63"),
        (message(b'p', b"x\0"), "FATAL 08P01 invalid frontend message type 112"),
        (vec![b'Q', 0x7f, 0xff, 0xff, 0xff], "FATAL 08P01 invalid message length"),
        (vec![b'Q', 0, 0, 0, 3], "FATAL 08P01 invalid message length"),
    ] {
        let mut raw = server.raw().await;
        raw.send(&bytes).await;
        assert_eq!(summary(&raw.until(b'Z').await), expected);
    }
    // Half a message, then nobody.
    let mut raw = server.raw().await;
    raw.send(&[b'Q', 0, 0, 1, 0, b'x']).await;
    drop(raw);
    let mut raw = server.raw().await;
    let answer = raw.ask(&[message(b'F', b"\0\0\0\0")]).await;
    assert_eq!(answer, "ERROR 0A000 the function call protocol is not supported; ready I");
    assert_eq!(raw.query("show port").await, "columns 1; row 5432; SHOW; ready I");
}

#[tokio::test]
async fn the_server_stops_politely() {
    let server = TestServer::start().await;
    let mut idle = server.raw().await;
    let mut busy = server.raw().await;
    busy.query("begin").await;
    server.stop();
    let farewell = "FATAL 57P01 terminating connection due to administrator command";
    assert_eq!(summary(&idle.until(b'Z').await), farewell);
    assert_eq!(busy.query("show work_mem").await, "columns 1; row 4MB; SHOW; ready T");
    assert_eq!(busy.query("commit").await, "COMMIT; ready I");
    assert_eq!(summary(&busy.until(b'Z').await), farewell);
    let mut server = server;
    server.stopped.take().unwrap().await.unwrap();
}

#[tokio::test]
async fn an_open_transaction_is_waited_for_only_so_long() {
    let mut server = TestServer::start_with(Method::Trust, Duration::from_millis(50)).await;
    let mut busy = server.raw().await;
    busy.query("begin").await;
    server.stop();
    server.stopped.take().unwrap().await.unwrap();
    let farewell = "FATAL 57P01 terminating connection due to administrator command";
    assert_eq!(summary(&busy.until(b'Z').await), farewell);
}

#[tokio::test]
async fn an_idle_transaction_times_out() {
    let server = TestServer::start().await;
    let mut raw = server.raw().await;
    raw.query("set idle_in_transaction_session_timeout = 20; begin").await;
    assert_eq!(
        summary(&raw.until(b'Z').await),
        "FATAL 25P03 terminating connection due to idle-in-transaction timeout"
    );
}

#[tokio::test]
async fn a_statement_outlives_its_table() {
    let server = TestServer::start().await;
    let mut raw = server.raw().await;
    let asked = |table: &str| {
        let made =
            format!("drop table if exists t; create table t ({table}); insert into t values (1)");
        let run = [bind("", "s", &[]), execute("", 0), sync()];
        (made, run)
    };
    let (made, run) = asked("a int");
    raw.query(&made).await;
    raw.ask(&[parse("s", "select * from t"), sync()]).await;
    assert_eq!(raw.ask(&run).await, "bound; row 1; SELECT 1; ready I");
    // Another table of that name whose rows look the same is as good.
    let (made, run) = asked("a int primary key");
    raw.query(&made).await;
    assert_eq!(raw.ask(&run).await, "bound; row 1; SELECT 1; ready I");
    let (made, run) = asked("a int8");
    raw.query(&made).await;
    let refused = "ERROR 0A000 cached plan must not change result type; ready I";
    assert_eq!(raw.ask(&run).await, refused);
}

#[tokio::test]
async fn a_real_driver_is_at_home() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    let rows = client.query("show server_version_num", &[]).await.unwrap();
    assert_eq!(rows[0].get::<_, &str>(0), "150000");
    let transaction = client.transaction().await.unwrap();
    transaction.execute("set work_mem = '7MB'", &[]).await.unwrap();
    transaction.rollback().await.unwrap();
    let rows = client.query("show work_mem", &[]).await.unwrap();
    assert_eq!(rows[0].get::<_, &str>(0), "4MB");
}
