//! The real binary: what it says when it starts, when it cannot, and how it ends.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use sluice::clock::{Clock, SystemClock};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

fn sluice(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.args(arguments);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SLUICE_")) {
        command.env_remove(name);
    }
    command
}

/// Runs it to its end; what it wrote to stderr, and its exit code.
fn fails(command: &mut Command) -> (String, i32) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(!status.success(), "{}", String::from_utf8_lossy(&stdout));
    (String::from_utf8(stderr).unwrap(), status.code().unwrap())
}

/// A running server; killed when dropped.
pub struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: SocketAddr,
    banner: String,
}

impl Running {
    pub fn start(arguments: &[&str]) -> Running {
        let mut child = sluice(arguments)
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut banner = String::new();
        let address = loop {
            let from = banner.len();
            assert_ne!(stdout.read_line(&mut banner).unwrap(), 0, "no address in {banner:?}");
            let found = banner[from..].find("127.0.0.1:").map(|at| &banner[from + at..]);
            if let Some(found) = found {
                let end = found.find(|c: char| !(c.is_ascii_digit() || ".:".contains(c)));
                break found[..end.unwrap_or(found.len())].parse().unwrap();
            }
        };
        Running { child, stdout, address, banner }
    }

    pub fn on(data: &Path) -> Running {
        Running::start(&["start", "--auth", "trust", "--data", data.to_str().unwrap()])
    }

    pub async fn connect(&self, user: &str, database: &str) -> Client {
        let config =
            format!("host=127.0.0.1 port={} user={user} dbname={database}", self.address.port());
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// The processor's time that it has had, of all its threads.
    pub fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // Of proc(5): utime and stime are fields 14 and 15, the third comes after the name.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11..13].iter().map(|n| n.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Waits for its end; its exit code.
    pub async fn ended(mut self) -> Option<i32> {
        let clock = SystemClock::new();
        let until = clock.monotonic() + PATIENCE;
        while clock.monotonic() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it does not end");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn first_value(client: &Client, sql: &str) -> String {
    let answers = client.simple_query(sql).await.unwrap();
    let row = answers.iter().find_map(|answer| match answer {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    row.unwrap()
}

#[test]
fn the_command_line_explains_itself() {
    let version = sluice(&["version"]).output().unwrap();
    assert!(version.status.success());
    assert!(String::from_utf8(version.stdout).unwrap().starts_with("sluice "));
    let (text, code) = fails(&mut sluice(&["start", "--frob"]));
    assert!(text.contains("unexpected argument '--frob'") && code == 2, "{code}: {text}");
    let (text, _) = fails(sluice(&["start", "--data", "/nowhere"]).env("SLUICE_LISTEN", "here"));
    assert!(text.contains("invalid value 'here' for '--listen"), "{text}");
    let help = String::from_utf8(sluice(&["start", "--help"]).output().unwrap().stdout).unwrap();
    for flag in help.lines().filter_map(|line| line.trim().strip_prefix("--")) {
        let name = flag.split([' ', '<']).next().unwrap().to_uppercase().replace('-', "_");
        let own = ["HELP"].contains(&name.as_str());
        assert!(own || help.contains(&format!("[env: SLUICE_{name}")), "--{flag} has no variable");
    }
}

#[test]
fn what_keeps_it_from_starting_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let start = |data: &str, listen: &str, auth: &str| {
        fails(&mut sluice(&["start", "--data", data, "--listen", listen, "--auth", auth]))
    };
    let free = "127.0.0.1:0";

    let taken = TcpListener::bind(free).unwrap().local_addr().unwrap();
    let held = TcpListener::bind(taken).unwrap();
    let (text, code) = start(&path("new"), &taken.to_string(), "trust");
    assert!(text.contains("Address already in use") && text.contains("HINT: "), "{text}");
    assert_eq!(code, 1);
    assert!(!folder.path().join("new").exists(), "a folder for nothing");
    drop(held);

    std::fs::write(path("file"), "").unwrap();
    let (text, _) = start(&path("file/data"), free, "trust");
    assert!(text.contains("could not use the data folder") && text.contains("HINT: "), "{text}");

    std::fs::create_dir(path("newer")).unwrap();
    std::fs::write(path("newer/FORMAT"), "sluice embedded store, format 99\n").unwrap();
    let (text, _) = start(&path("newer"), free, "trust");
    assert!(text.contains("has format 99, and this program reads up to format"), "{text}");

    std::fs::create_dir(path("other")).unwrap();
    std::fs::write(path("other/thesis.tex"), "").unwrap();
    let (text, _) = start(&path("other"), free, "trust");
    assert!(text.contains("is not empty") && text.contains("thesis.tex"), "{text}");

    let (text, _) = start(&path("open"), "0.0.0.0:0", "trust");
    assert!(text.contains("the address is not loopback"), "{text}");
    let (text, _) = start(&path("secret"), free, "scram");
    assert!(text.contains("needs a password") && text.contains("SLUICE_PASSWORD"), "{text}");
}

#[tokio::test]
async fn a_folder_is_served_by_one_and_outlives_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let clock = SystemClock::new();
    let began = clock.monotonic();
    let server = Running::on(&data);
    let ready = clock.monotonic() - began;
    assert!(ready < Duration::from_secs(5), "ready after {ready:?}");
    assert!(server.banner.contains("is ready on 127.0.0.1:"), "{}", server.banner);
    let (text, _) = fails(&mut sluice(&[
        "start",
        "--data",
        data.to_str().unwrap(),
        "--auth",
        "trust",
        "--listen",
        "127.0.0.1:0",
    ]));
    assert!(text.contains("is in use by another process"), "{text}");

    let client = server.connect("postgres", "postgres").await;
    client
        .batch_execute("create table t (k int primary key); insert into t values (1)")
        .await
        .unwrap();
    // Acknowledged, so there after the worst end.
    server.signal("-KILL");
    server.ended().await;

    let server = Running::on(&data);
    let client = server.connect("postgres", "postgres").await;
    assert_eq!(first_value(&client, "select count(*) from t").await, "1");
    client.batch_execute("insert into t values (2)").await.unwrap();
    server.signal("-TERM");
    assert_eq!(server.ended().await, Some(0));

    let server = Running::on(&data);
    let client = server.connect("postgres", "postgres").await;
    assert_eq!(first_value(&client, "select count(*) from t").await, "2");
}

#[tokio::test]
async fn an_open_transaction_may_finish() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Running::on(&data);
    let client = server.connect("postgres", "postgres").await;
    client.batch_execute("create table t (k int primary key); begin").await.unwrap();
    client.batch_execute("insert into t values (1)").await.unwrap();
    server.signal("-TERM");
    tokio::time::sleep(Duration::from_millis(200)).await;
    client.batch_execute("insert into t values (2); commit").await.unwrap();
    assert_eq!(server.ended().await, Some(0));
    let server = Running::on(&data);
    let client = server.connect("postgres", "postgres").await;
    assert_eq!(first_value(&client, "select count(*) from t").await, "2");
}

#[tokio::test]
async fn the_demo_is_there_and_leaves_nothing() {
    let mut server = Running::start(&["demo", "--orders", "100"]);
    let place = server.banner.split("Data: ").nth(1).map(|rest| rest.split(' ').next().unwrap());
    let place = Path::new(place.unwrap()).to_path_buf();
    assert!(place.is_dir());
    while !server.banner.contains("complete") {
        assert_ne!(server.stdout.read_line(&mut server.banner).unwrap(), 0);
    }
    let client = server.connect("demo", "shop").await;
    assert_eq!(first_value(&client, "select count(*) from orders").await, "100");
    for line in server.banner.lines().filter(|line| line.starts_with("  ") && line.ends_with(';')) {
        client.simple_query(line).await.unwrap_or_else(|e| panic!("{line}: {e}"));
    }
    server.signal("-INT");
    let mut rest = String::new();
    server.stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(server.ended().await, Some(0));
    assert!(!place.exists(), "{} is left", place.display());
}
