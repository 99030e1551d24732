//! Cassandra nodes on this machine, from its published jars, for as long as the demo runs.

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::processes::Process;
use crate::cli::serve::announce;
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Result, SqlState};

const VERSION: &str = "5.0.6";
const HEAP: &str = "1g";
/// How long a node may take until it answers.
const START_TIMEOUT: Duration = Duration::from_secs(240);
const LOOK_PAUSE: Duration = Duration::from_millis(250);
/// Looks between two lines that say that a node is not ready yet.
const LOOKS_PER_LINE: u32 = 40;
/// Bytes of a node's log that an error shows.
const LOG_SHOWN: usize = 1500;

const POM: &str = include_str!("../../../compose/local/pom.xml");
const CONFIGURATION: &str = include_str!("../../../compose/local/cassandra.yaml");
const LOGGING: &str = include_str!("../../../compose/local/logback.xml");
const JAVA_OPTIONS: &str = include_str!("../../../compose/local/java.options");

/// A node.
struct Node {
    host: String,
    folder: PathBuf,
    process: Process,
}

/// Nodes that are each other's peers.
pub(super) struct Nodes {
    nodes: Vec<Node>,
    port: u16,
}

impl Nodes {
    /// Starts them below a folder, one after the other, and waits until they answer.
    pub async fn start(folder: &Path, jars: &Path, count: u32) -> Result<Nodes> {
        let hosts = hosts(count);
        let (port, storage_port) = (free_port(&hosts[0])?, free_port(&hosts[0])?);
        let mut nodes = Nodes { nodes: Vec::new(), port };
        for (n, host) in hosts.iter().enumerate() {
            let ring = 1_i128 << 64;
            let token = n as i128 * ring / i128::from(count) - ring / 2;
            let values = [
                ("more", String::new()),
                ("token", token.to_string()),
                ("host", host.clone()),
                ("port", port.to_string()),
                ("storage_port", storage_port.to_string()),
                ("seed", hosts[0].clone()),
                ("paxos", "v2".to_owned()),
                ("snitch", "SimpleSnitch".to_owned()),
                ("sync", "commitlog_sync: periodic\ncommitlog_sync_period: 10000ms".to_owned()),
            ];
            let folder = folder.join(format!("node{}", n + 1));
            let mut node = Node::start(host, folder, jars, &values)?;
            node.wait_ready(port, &format!("Cassandra node {} of {count}", n + 1)).await?;
            nodes.nodes.push(node);
        }
        Ok(nodes)
    }

    /// What a gateway needs.
    pub fn contact_points(&self) -> Vec<String> {
        self.nodes.iter().map(|node| format!("{}:{}", node.host, self.port)).collect()
    }

    /// Where each keeps all it has: its rows in `data`, and `nodetool`, a script.
    pub fn folders(&self) -> Vec<PathBuf> {
        self.nodes.iter().map(|node| node.folder.clone()).collect()
    }

    /// Their processes.
    pub fn processes(&self) -> Vec<u32> {
        self.nodes.iter().map(|node| node.process.id()).collect()
    }
}

impl Node {
    fn start(host: &str, folder: PathBuf, jars: &Path, values: &[(&str, String)]) -> Result<Node> {
        let conf = folder.join("conf");
        std::fs::create_dir_all(&conf)?;
        let place = folder.display().to_string();
        let fill = |text: &str| {
            let values = values.iter().map(|(name, value)| (*name, value.as_str()));
            let values = values.chain([("folder", place.as_str())]);
            values.fold(text.to_owned(), |text, (name, value)| {
                text.replace(&format!("{{{name}}}"), value)
            })
        };
        std::fs::write(conf.join("cassandra.yaml"), fill(CONFIGURATION))?;
        std::fs::write(conf.join("logback.xml"), fill(LOGGING))?;
        std::fs::write(conf.join("java.options"), JAVA_OPTIONS)?;
        let jmx_port = free_port("127.0.0.1")?;
        std::fs::write(conf.join("logback-off.xml"), "<configuration/>")?;
        write_nodetool(&folder, jars, jmx_port)?;
        let output = std::fs::File::create(folder.join("out"))?;
        let mut command = Command::new("java");
        command
            .arg(format!("@{place}/conf/java.options"))
            .args([format!("-Xms{HEAP}"), format!("-Xmx{HEAP}")])
            .args([
                format!("-Dcassandra.config=file://{place}/conf/cassandra.yaml"),
                format!("-Dlogback.configurationFile={place}/conf/logback.xml"),
                format!("-Dcassandra.storagedir={place}"),
                format!("-Dcassandra.jmx.local.port={jmx_port}"),
                format!("-Djava.io.tmpdir={place}"),
            ])
            .args([
                "-Dcassandra-foreground=yes",
                "-Dcassandra.ring_delay_ms=2000",
                "-Dcassandra.skip_wait_for_gossip_to_settle=0",
                "-Djdk.attach.allowAttachSelf=true",
            ])
            .args(["-cp", &format!("{place}/conf:{}/*", jars.display())])
            .arg("org.apache.cassandra.service.CassandraDaemon")
            .current_dir(&folder)
            .stdout(output.try_clone()?)
            .stderr(output);
        // Ctrl-C is for the demo, which stops its nodes last; what they have is thrown away.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let process = Process::start("a Cassandra node", &mut command, Duration::ZERO)?;
        Ok(Node { host: host.to_owned(), folder, process })
    }

    async fn wait_ready(&mut self, port: u16, name: &str) -> Result<()> {
        let looks = (START_TIMEOUT.as_millis() / LOOK_PAUSE.as_millis()) as u32;
        for look in 0..looks {
            self.process.check().map_err(|e| e.with_detail(self.said()))?;
            let answer = timeout(LOOK_PAUSE, TcpStream::connect((self.host.as_str(), port))).await;
            if let Ok(Ok(_)) = answer {
                announce(&format!("{name} answers at {}:{port}.", self.host));
                return Ok(());
            }
            if look % LOOKS_PER_LINE == 0 {
                let seconds = u128::from(look) * LOOK_PAUSE.as_millis() / 1000;
                announce(&format!("{name} is starting ({seconds} s) …"));
            }
            sleep(LOOK_PAUSE).await;
        }
        let message = format!("{name} did not answer in {} s", START_TIMEOUT.as_secs());
        Err(Error::new(SqlState::SYSTEM_ERROR, message).with_detail(self.said()))
    }

    /// The end of what it has said.
    fn said(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        let text = [read("out"), read("system.log")].concat();
        let from = text.len().saturating_sub(LOG_SHOWN);
        let from = (from..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text[from..].to_owned()
    }
}

/// Makes the script by which a node is administered.
fn write_nodetool(folder: &Path, jars: &Path, jmx_port: u16) -> Result<()> {
    let quoted = |path: String| format!("'{}'", path.replace('\'', r"'\''"));
    let place = folder.display();
    let script = format!(
        "#!/bin/sh\nexec java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC \
         --add-exports=java.base/sun.nio.ch=ALL-UNNAMED \
         --add-exports=java.base/jdk.internal.ref=ALL-UNNAMED {} {} -cp {} \
         org.apache.cassandra.tools.NodeTool -h 127.0.0.1 -p {jmx_port} \"$@\"\n",
        quoted(format!("-Dcassandra.storagedir={place}")),
        quoted(format!("-Dlogback.configurationFile={place}/conf/logback-off.xml")),
        quoted(format!("{}/*", jars.display())),
    );
    let path = folder.join("nodetool");
    std::fs::write(&path, script)?;
    std::fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    Ok(())
}

/// Addresses on loopback: one alone has the usual one, several have a network of their own.
fn hosts(count: u32) -> Vec<String> {
    if count == 1 {
        return vec!["127.0.0.1".to_owned()];
    }
    let mut random = [0; 2];
    SystemClock::new().random(&mut random);
    let [a, b] = random.map(|byte| 1 + byte % 250);
    (1..=count).map(|n| format!("127.{a}.{b}.{n}")).collect()
}

fn free_port(host: &str) -> Result<u16> {
    Ok(TcpListener::bind((host, 0))?.local_addr()?.port())
}

/// The folder with the jars, fetched if they are not there.
pub(super) fn jars(folder: Option<&Path>) -> Result<PathBuf> {
    let folder = match folder {
        Some(folder) => folder.to_owned(),
        None => cache()?.join("cassandra").join(VERSION),
    };
    let jar = format!("cassandra-all-{VERSION}.jar");
    if folder.join(&jar).exists() {
        return Ok(folder);
    }
    announce(&format!("Fetching Cassandra {VERSION} with Maven, once (80 MB) …"));
    let part = folder.with_extension("part");
    std::fs::create_dir_all(&part)?;
    let pom = part.join("pom.xml");
    std::fs::write(&pom, POM)?;
    let mut command = Command::new("mvn");
    command.args(["--quiet", "--batch-mode", "-f"]).arg(&pom).args([
        "dependency:copy-dependencies".to_owned(),
        format!("-Dcassandra.version={VERSION}"),
        format!("-DoutputDirectory={}", part.display()),
    ]);
    let failed = |why: String| {
        Error::new(SqlState::SYSTEM_ERROR, format!("could not fetch Cassandra: {why}")).with_hint(
            "Install Maven and Java 17, or give a folder with its jars (--cassandra), or a cluster \
             that runs (--contact-points).",
        )
    };
    let ended = command.status().map_err(|error| failed(format!("mvn: {error}")))?;
    if !ended.success() || !part.join(&jar).exists() {
        return Err(failed(format!("mvn: {ended}")));
    }
    std::fs::rename(&part, &folder)?;
    Ok(folder)
}

/// Where downloads are kept: `$SLUICE_CACHE`, or `sluice` in the user's cache.
fn cache() -> Result<PathBuf> {
    let of = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let cache = of("SLUICE_CACHE")
        .or_else(|| of("XDG_CACHE_HOME").map(|cache| cache.join("sluice")))
        .or_else(|| of("HOME").map(|home| home.join(".cache").join("sluice")));
    cache.ok_or_else(|| {
        Error::new(SqlState::SYSTEM_ERROR, "there is no folder for downloads")
            .with_hint("Set SLUICE_CACHE, or give a folder with Cassandra's jars: --cassandra.")
    })
}
