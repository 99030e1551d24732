use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::http::{self, Answer, Peer, Request};
use super::node::Node;
use super::tool::Tool;
use crate::clock::SystemClock;
use crate::error::SqlState;

mod shares;

const PATIENCE: Duration = Duration::from_secs(5);

async fn served(handler: impl Fn(Request) -> Answer + Clone + Send + Sync + 'static) -> Peer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let handler: Arc<http::Handler> = Arc::new(move |request| {
        let handler = handler.clone();
        Box::pin(async move { handler(request) })
    });
    tokio::spawn(http::serve(listener, handler));
    Peer { address, secret: "s".to_owned() }
}

#[tokio::test]
async fn requests_files_and_refusals_pass() {
    let dir = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| ((n * 7) >> 3) as u8).collect();
    let path = dir.path().join("file");
    std::fs::write(&path, &bytes).unwrap();
    let len = bytes.len() as u64;
    let served_path = path.clone();
    let peer = served(move |request| match request.path.as_str() {
        "/echo" => {
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            Answer::ok(&json!([request.method, request.bearer, body]))
        }
        "/file" => {
            let file = tokio::fs::File::from_std(std::fs::File::open(&served_path).unwrap());
            Answer::File { file, from: request.from, len }
        }
        _ => Answer::refused(404, "nothing here"),
    })
    .await;
    let big = "x".repeat(100_000);
    let echoed: Value = peer.call("POST", "/echo", &big, PATIENCE).await.unwrap();
    assert_eq!(echoed, json!(["POST", "s", big]));
    let refused = peer.call::<Value>("GET", "/other", &json!({}), PATIENCE).await.unwrap_err();
    assert_eq!(refused.code(), SqlState::IO_ERROR);
    assert!(refused.message().ends_with("nothing here"), "{refused}");
    let copy = dir.path().join("copy");
    peer.download("/file", &copy, len, &|_| {}).await.unwrap();
    assert_eq!(std::fs::read(&copy).unwrap(), bytes);
    assert!(peer.download("/file", &copy, len + 1, &|_| {}).await.is_err(), "another length");
    let gone = Peer { address: "127.0.0.1:1".to_owned(), ..peer.clone() };
    assert_eq!(
        gone.call::<Value>("GET", "/echo", &json!({}), PATIENCE).await.unwrap_err().code(),
        SqlState::CONNECTION_FAILURE
    );
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let peer = served(|_| Answer::refused(404, "")).await;
    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n", "y".repeat(20_000));
    for text in [
        "nonsense\r\n\r\n",
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n",
        "GET / HTTP/1.1\r\nrange: bytes=1-2\r\n\r\n",
        long.as_str(),
    ] {
        let mut stream = tokio::net::TcpStream::connect(&peer.address).await.unwrap();
        let _ = stream.write_all(text.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let text = String::from_utf8_lossy(&answer);
        // Of what is far too long, not even all is read.
        assert!(answer.is_empty() || text.starts_with("HTTP/1.1 400"), "{text}");
    }
}

/// What Cassandra says that its next snapshots hold.
fn tell(dir: &TempDir, manifest: &str) {
    std::fs::write(dir.path().join("manifest.json"), manifest).unwrap();
}

/// A node whose nodetool is a script that keeps snapshots as Cassandra does.
fn node(dir: &TempDir) -> Node {
    let script = dir.path().join("nodetool");
    let data = dir.path().join("data");
    let table = data.join("app/s131-5a1c39e0b7c211f08de94d1a8f0c2be3");
    std::fs::create_dir_all(&table).unwrap();
    let mut file = std::fs::File::create(&script).unwrap();
    let text = format!(
        "#!/bin/sh\ncd {}\ncase $1 in\n\
         info) echo 'ID                     : 1f-2e' ;;\n\
         snapshot) [ $5 = app.s131 ] || {{ echo no such table; exit 1; }}\n\
         mkdir -p snapshots/$3; echo d > snapshots/$3/nb-1-big-Data.db\n\
         cp {}/manifest.json snapshots/$3/manifest.json\n\
         echo i > snapshots/$3/nb-1-big-Index.db ;;\n\
         clearsnapshot) rm -r snapshots/$3 ;;\nesac\n",
        table.display(),
        dir.path().display(),
    );
    tell(dir, "{\"files\": [\"nb-1-big-Data.db\"], \"created_at\": \"now\"}");
    file.write_all(text.as_bytes()).unwrap();
    drop(file);
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let tool = Tool::nodetool(&format!("sh {}", script.display()), clock()).unwrap();
    Node::new(tool, vec![data], "app", clock()).unwrap()
}

fn clock() -> Arc<SystemClock> {
    Arc::new(SystemClock::new())
}

#[tokio::test]
async fn snapshots_go_with_their_leases() {
    let dir = tempfile::tempdir().unwrap();
    let one = node(&dir);
    let taken = one.take("s131", Duration::from_secs(60)).await.unwrap();
    assert_eq!(taken.files.len(), 1, "indexes are not read");
    let (snapshot, file) = (taken.snapshot.as_str(), taken.files[0].name.as_str());
    assert!(one.file(snapshot, file).is_some());
    for odd in ["0/../x", "1/nb-1-big-Data.db", "0/.x", "nb-1-big-Data.db"] {
        assert!(one.file(snapshot, odd).is_none(), "{odd}");
    }
    assert!(one.file("../..", file).is_none());
    one.reap().await;
    assert_eq!(one.found(), [snapshot]);
    assert!(one.renew(snapshot, Duration::ZERO) && !one.renew("other", Duration::ZERO));
    tokio::time::sleep(Duration::from_millis(5)).await;
    one.reap().await;
    assert!(one.found().is_empty() && one.leased().is_empty());
    // A failed one leaves nothing, and only one's own are released.
    let error = one.take("s9", Duration::from_secs(60)).await.unwrap_err();
    assert!(error.message().contains("no such table"), "{error}");
    one.reap().await;
    assert!(one.leased().is_empty());
    assert!(one.release("operators").await.is_err());
    // Nor is one taken for whole that Cassandra says has more files, or says nothing of.
    for manifest in ["{\"files\": [\"nb-1-big-Data.db\", \"nb-2-big-Data.db\"]}", "{}", ""] {
        tell(&dir, manifest);
        let error = one.take("s131", Duration::from_secs(60)).await.unwrap_err();
        assert!(error.message().contains("is not whole"), "{error}");
        one.reap().await;
        assert!(one.found().is_empty());
    }
    tell(&dir, "{\"files\": [\"nb-1-big-Data.db\"]}");
    // A killed agent's snapshots go when it starts again.
    let left = one.take("s131", Duration::from_secs(60)).await.unwrap();
    let next = node(&dir);
    assert_eq!(next.found(), [left.snapshot.as_str()]);
    next.release_all().await;
    assert!(next.found().is_empty());
    // And what nodetool took after that for the one that was killed.
    one.take("s131", Duration::from_secs(60)).await.unwrap();
    next.reap().await;
    assert!(next.found().is_empty());
}

#[tokio::test]
async fn nodetool_tells_which_node_it_is() {
    let tool = Tool::nodetool("echo nothing", clock()).unwrap();
    assert!(tool.host(|_| None).await.is_err());
    let dir = tempfile::tempdir().unwrap();
    drop(node(&dir));
    let command = format!("sh {}", dir.path().join("nodetool").display());
    let tool = Tool::nodetool(&command, clock()).unwrap();
    assert_eq!(tool.host(|_| None).await.unwrap(), "1f-2e");
    assert!(Tool::nodetool(" ", clock()).is_err());
}

/// Answers as Sidecar does for a node with one table; keeps its snapshots in a folder.
fn sidecar(table: &std::path::Path, request: &Request) -> Answer {
    let of_table = "/api/v1/keyspaces/app/tables/s131/snapshots/";
    let name = request.path.strip_prefix(of_table).map(|name| name.trim_end_matches("?ttl=6h"));
    let folder = name.map(|name| table.join("snapshots").join(name));
    match (request.method.as_str(), folder) {
        ("GET", None) if request.path == "/api/v1/cassandra/settings" => {
            Answer::ok(&json!({ "releaseVersion": "5.0.6", "tokens": ["x", "-7", "9"] }))
        }
        ("PUT", Some(folder)) => {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("nb-1-big-Data.db"), "d").unwrap();
            let manifest = "{\"files\": [\"nb-1-big-Data.db\"]}";
            std::fs::write(folder.join("manifest.json"), manifest).unwrap();
            Answer::ok(&json!({ "result": "Success" }))
        }
        ("DELETE", Some(folder)) => {
            std::fs::remove_dir_all(folder).unwrap();
            Answer::Json(200, Vec::new())
        }
        _ => {
            let body = json!({ "status": "Not Found", "code": 404, "message": "no such table" });
            Answer::Json(404, body.to_string().into_bytes())
        }
    }
}

#[tokio::test]
async fn sidecar_takes_snapshots_too() {
    let dir = tempfile::tempdir().unwrap();
    let table = dir.path().join("app/s131-5a1c39e0b7c211f08de94d1a8f0c2be3");
    std::fs::create_dir_all(&table).unwrap();
    let peer = served(move |request| sidecar(&table, &request)).await;
    let tool = Tool::sidecar(&format!("http://{}/", peer.address), clock()).unwrap();
    let of = |token| (token == -7).then(|| "1f-2e".to_owned());
    assert_eq!(tool.host(of).await.unwrap(), "1f-2e");
    let error = tool.host(|_| None).await.unwrap_err();
    assert!(error.message().contains("no token of this cluster"), "{error}");
    let node = Node::new(tool, vec![dir.path().to_owned()], "app", clock()).unwrap();
    let taken = node.take("s131", Duration::from_secs(60)).await.unwrap();
    assert_eq!(taken.files.len(), 1);
    assert_eq!(node.found(), [taken.snapshot.as_str()]);
    node.release(&taken.snapshot).await.unwrap();
    assert!(node.found().is_empty() && node.leased().is_empty());
    let error = node.take("s9", Duration::from_secs(60)).await.unwrap_err();
    assert!(error.message().ends_with("no such table"), "{error}");
    for wrong in
        ["https://node:9043", "node:9043", "http://node", "http://u@node:1", "http://n:1/x"]
    {
        assert!(Tool::sidecar(wrong, clock()).is_err(), "{wrong}");
    }
}
