//! A server in this process, for tests, and a client that speaks raw protocol messages.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sluice::catalog::{Catalog, Initial};
use sluice::clock::{Clock, SystemClock};
use sluice::kv::memory::MemoryStore;
use sluice::session::{ColumnPath, Database};
use sluice::wire::auth::{self, Method};
use sluice::wire::{Gate, Server, ServerOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The password of [`USER`].
pub const PASSWORD: &str = "p\u{e4}ssword";
/// The superuser.
pub const USER: &str = "sluice";
/// The database.
pub const DATABASE: &str = "shop";

/// A server on a port of its own; stops when dropped.
pub struct TestServer {
    pub addr: SocketAddr,
    stop: Option<tokio::sync::mpsc::Sender<()>>,
    pub stopped: Option<tokio::task::JoinHandle<()>>,
}

impl TestServer {
    /// Lets everybody in.
    pub async fn start() -> TestServer {
        TestServer::start_with(Method::Trust, Duration::from_secs(10)).await
    }

    /// Lets clients in by `method`.
    pub async fn start_with(method: Method, drain_timeout: Duration) -> TestServer {
        let gate = gate(method).await;
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::bind(ServerOptions { listen, threads: 2, drain_timeout }).unwrap();
        let addr = server.local_addr().unwrap();
        let (stop, stopping) = tokio::sync::mpsc::channel(2);
        let stopped = tokio::spawn(async move {
            server.run(gate, stopping).await.unwrap();
        });
        TestServer { addr, stop: Some(stop), stopped: Some(stopped) }
    }

    /// Asks the server to stop, as SIGTERM does.
    pub fn stop(&self) {
        self.stop.as_ref().unwrap().try_send(()).unwrap();
    }

    /// A connected tokio-postgres client.
    pub async fn connect(&self) -> tokio_postgres::Client {
        self.connect_as(USER).await
    }

    /// The same of another role.
    pub async fn connect_as(&self, user: &str) -> tokio_postgres::Client {
        let config = format!(
            "host=127.0.0.1 port={} user={user} password={PASSWORD} dbname={DATABASE}",
            self.addr.port()
        );
        let (client, connection) =
            tokio_postgres::connect(&config, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// A raw connection that is ready for queries.
    pub async fn raw(&self) -> Raw {
        let mut raw = Raw::connect(self.addr).await;
        raw.startup(3 << 16, &[("user", USER), ("database", DATABASE)]).await;
        raw.until(b'Z').await;
        raw
    }
}

/// A database in memory and how clients get in.
pub async fn gate(method: Method) -> Arc<Gate> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = MemoryStore::new(clock.clone());
    let initial = Initial {
        database: DATABASE.to_owned(),
        role: USER.to_owned(),
        password: Some(auth::verifier(PASSWORD, clock.as_ref())),
    };
    let catalog = Catalog::open(store.clone(), clock.clone(), &initial).await.unwrap();
    let views = ColumnPath::none();
    let database = Database::new(store, catalog, clock, 20, &[], auth::verifier, views).unwrap();
    let authentication_timeout = Duration::from_secs(60);
    Arc::new(Gate { database, method, authentication_timeout, pepper: [7; 32] })
}

/// A client that sends and receives messages as bytes.
pub struct Raw {
    pub stream: TcpStream,
}

/// A message of the server: its type and its body.
pub type Answer = (u8, Vec<u8>);

impl Raw {
    pub async fn connect(addr: SocketAddr) -> Raw {
        Raw { stream: TcpStream::connect(addr).await.unwrap() }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub async fn startup(&mut self, version: u32, parameters: &[(&str, &str)]) {
        let mut body = version.to_be_bytes().to_vec();
        for (name, value) in parameters {
            body.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
        }
        body.push(0);
        let mut packet = (body.len() as u32 + 4).to_be_bytes().to_vec();
        packet.extend(body);
        self.send(&packet).await;
    }

    /// The next message; none when the server has hung up.
    pub async fn receive(&mut self) -> Option<Answer> {
        let waiting = async {
            let kind = self.stream.read_u8().await.ok()?;
            let len = self.stream.read_u32().await.ok()?;
            let mut body = vec![0; len as usize - 4];
            self.stream.read_exact(&mut body).await.ok()?;
            Some((kind, body))
        };
        tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("no answer")
    }

    /// Messages up to one of that type, or to the end.
    pub async fn until(&mut self, kind: u8) -> Vec<Answer> {
        let mut answers = Vec::new();
        while let Some(answer) = self.receive().await {
            let last = answer.0 == kind;
            answers.push(answer);
            if last {
                break;
            }
        }
        answers
    }

    /// Sends messages and says what came back up to `ReadyForQuery`, in short.
    pub async fn ask(&mut self, messages: &[Vec<u8>]) -> String {
        self.send(&messages.concat()).await;
        summary(&self.until(b'Z').await)
    }

    /// A simple query, and what came back, in short.
    pub async fn query(&mut self, text: &str) -> String {
        self.ask(&[query(text)]).await
    }
}

/// A message of the client.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

pub fn query(text: &str) -> Vec<u8> {
    message(b'Q', format!("{text}\0").as_bytes())
}

pub fn parse(name: &str, text: &str) -> Vec<u8> {
    message(b'P', format!("{name}\0{text}\0\0\0").as_bytes())
}

/// Bind with text parameters and text results.
pub fn bind(portal: &str, statement: &str, parameters: &[Option<&str>]) -> Vec<u8> {
    let mut body = format!("{portal}\0{statement}\0\0\0").into_bytes();
    body.extend_from_slice(&(parameters.len() as u16).to_be_bytes());
    for parameter in parameters {
        match parameter {
            Some(text) => {
                body.extend_from_slice(&(text.len() as u32).to_be_bytes());
                body.extend_from_slice(text.as_bytes());
            }
            None => body.extend_from_slice(&u32::MAX.to_be_bytes()),
        }
    }
    body.extend_from_slice(&[0, 0]);
    message(b'B', &body)
}

pub fn describe(kind: char, name: &str) -> Vec<u8> {
    message(b'D', format!("{kind}{name}\0").as_bytes())
}

pub fn execute(portal: &str, rows_max: u32) -> Vec<u8> {
    let mut body = format!("{portal}\0").into_bytes();
    body.extend_from_slice(&rows_max.to_be_bytes());
    message(b'E', &body)
}

pub fn sync() -> Vec<u8> {
    message(b'S', &[])
}

/// The fields of an error or a notice.
pub fn fields(body: &[u8]) -> Vec<(char, String)> {
    body.split(|b| *b == 0)
        .filter(|field| !field.is_empty())
        .map(|f| (char::from(f[0]), String::from_utf8_lossy(&f[1..]).into_owned()))
        .collect()
}

/// Messages in short: types, with what matters of some.
pub fn summary(answers: &[Answer]) -> String {
    let text = |body: &[u8]| String::from_utf8_lossy(body).trim_end_matches('\0').to_owned();
    let one = |(kind, body): &Answer| match kind {
        b'E' | b'N' => {
            let fields = fields(body);
            let field = |code| fields.iter().find(|f| f.0 == code).map_or("", |f| f.1.as_str());
            format!("{} {} {}", field('S'), field('C'), field('M'))
        }
        b'C' => text(body),
        b'Z' => format!("ready {}", char::from(body[0])),
        b'S' => format!("parameter {}", text(body).replace('\0', "=")),
        b'D' => format!("row {}", row(body).join(",")),
        b'T' => format!("columns {}", u16::from_be_bytes([body[0], body[1]])),
        b't' => format!("parameters {}", u16::from_be_bytes([body[0], body[1]])),
        b'1' => "parsed".to_owned(),
        b'2' => "bound".to_owned(),
        b'3' => "closed".to_owned(),
        b'n' => "no data".to_owned(),
        b's' => "suspended".to_owned(),
        b'I' => "empty".to_owned(),
        kind => char::from(*kind).to_string(),
    };
    answers.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// A row's columns as text.
pub fn row(body: &[u8]) -> Vec<String> {
    let count = u16::from_be_bytes([body[0], body[1]]);
    let mut rest = &body[2..];
    (0..count)
        .map(|_| {
            let (len, after) = rest.split_first_chunk::<4>().unwrap();
            let Ok(len) = usize::try_from(i32::from_be_bytes(*len)) else {
                rest = after;
                return "NULL".to_owned();
            };
            let (value, after) = after.split_at(len);
            rest = after;
            String::from_utf8_lossy(value).into_owned()
        })
        .collect()
}
