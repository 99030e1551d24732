//! As much of HTTP/1.1 as agents and gateways speak with each other: a request for each
//! connection, bodies with a length, files from an offset on.
//!
//! Anything else is refused; curl is understood. Every wait and every buffer has a limit.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::message::Refusal;
use crate::error::{Error, Result, SqlState};

/// Bytes before a body at most, and its headers.
const HEAD_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 64;
/// Bytes of a request's body, and of an answer that is no file.
const BODY_BYTES_MAX: u64 = 64 << 20;
/// Connections that an agent serves at once.
const CONNECTIONS_MAX: usize = 64;
/// How long a peer may take to connect, and to say or take the next bytes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Bytes of a file that are sent at once.
const BLOCK_BYTES: usize = 1 << 20;
/// Times that a file is asked for again where its answer broke off.
const DOWNLOAD_TRIES_MAX: u32 = 3;

/// A request.
#[derive(Debug, Default)]
pub struct Request {
    /// GET, POST, DELETE.
    pub method: String,
    /// As it was sent.
    pub path: String,
    /// `Authorization: Bearer …`
    pub bearer: Option<String>,
    /// `Range: bytes=…-`
    pub from: u64,
    /// The body.
    pub body: Vec<u8>,
}

/// An answer.
pub enum Answer {
    /// A status and JSON.
    Json(u16, Vec<u8>),
    /// A file from an offset on, to a length.
    File { file: File, from: u64, len: u64 },
}

impl Answer {
    /// 200 with a value.
    pub fn ok(value: &impl Serialize) -> Answer {
        match serde_json::to_vec(value) {
            Ok(body) => Answer::Json(200, body),
            Err(e) => Answer::refused(500, &e.to_string()),
        }
    }

    /// A refusal.
    pub fn refused(status: u16, error: &str) -> Answer {
        let refusal = Refusal { error: error.to_owned() };
        Answer::Json(status, serde_json::to_vec(&refusal).unwrap_or_default())
    }
}

/// What answers requests.
pub type Handler =
    dyn Fn(Request) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync + 'static;

/// Serves connections for ever.
pub async fn serve(listener: TcpListener, handler: Arc<Handler>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(e) => {
                tracing::warn!(error = %e, "a connection was not accepted");
                tokio::time::sleep(CONNECT_TIMEOUT / 10).await;
                continue;
            }
        };
        let handler = handler.clone();
        tokio::spawn(async move {
            let _permit = permit;
            if let Err(e) = answer(stream, &*handler).await {
                tracing::debug!(error = %e, "a connection broke");
            }
        });
    }
}

async fn answer(mut stream: TcpStream, handler: &Handler) -> std::io::Result<()> {
    let answer = match read_request(&mut stream).await {
        Ok(request) => handler(request).await,
        Err(e) => Answer::refused(400, e.message()),
    };
    match answer {
        Answer::Json(status, body) => {
            let head = head(status, body.len() as u64, "application/json", None);
            send(&mut stream, head.as_bytes()).await?;
            send(&mut stream, &body).await?;
        }
        Answer::File { mut file, from, len } => {
            let range = (from > 0).then(|| format!("bytes {from}-{}/{len}", len.max(1) - 1));
            let status = if from > 0 { 206 } else { 200 };
            let head = head(status, len - from, "application/octet-stream", range.as_deref());
            send(&mut stream, head.as_bytes()).await?;
            file.seek(std::io::SeekFrom::Start(from)).await?;
            let mut left = len - from;
            let mut block = vec![0; BLOCK_BYTES];
            while left > 0 {
                let part = left.min(BLOCK_BYTES as u64) as usize;
                file.read_exact(&mut block[..part]).await?;
                send(&mut stream, &block[..part]).await?;
                left -= part as u64;
            }
        }
    }
    stream.shutdown().await
}

async fn send(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    let silence = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
    timeout(SILENCE_MAX, stream.write_all(bytes)).await.map_err(silence)?
}

fn head(status: u16, len: u64, kind: &str, range: Option<&str>) -> String {
    let reason = match status {
        200 => "OK",
        206 => "Partial Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        409 => "Conflict",
        416 => "Range Not Satisfiable",
        _ => "Internal Server Error",
    };
    let range = range.map_or(String::new(), |r| format!("content-range: {r}\r\n"));
    format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-type: {kind}\r\ncontent-length: {len}\r\n\
         {range}accept-ranges: bytes\r\nconnection: close\r\n\r\n"
    )
}

fn broken(what: impl std::fmt::Display) -> Error {
    Error::new(SqlState::CONNECTION_FAILURE, format!("{what}"))
}

/// Reads until a head is whole: its length, and what was read beyond it.
async fn read_head(
    stream: &mut (impl AsyncRead + Unpin),
    mut whole: impl FnMut(&[u8]) -> Result<Option<usize>>,
) -> Result<(usize, Vec<u8>)> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        let read = timeout(SILENCE_MAX, stream.read_buf(&mut bytes)).await;
        let read = read.map_err(|_| broken("the peer says nothing"))?.map_err(broken)?;
        if let Some(len) = whole(&bytes)? {
            return Ok((len, bytes));
        }
        if read == 0 {
            return Err(broken("the peer hung up"));
        }
        if bytes.len() > HEAD_BYTES_MAX {
            return Err(broken("a head is too long"));
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Result<Request> {
    let mut request = Request::default();
    let mut body_len = 0;
    let (head, mut bytes) = read_head(stream, |bytes| {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Request::new(&mut headers);
        let status = parsed.parse(bytes).map_err(broken)?;
        let httparse::Status::Complete(len) = status else { return Ok(None) };
        request.method = parsed.method.unwrap_or_default().to_owned();
        request.path = parsed.path.unwrap_or_default().to_owned();
        for header in parsed.headers.iter() {
            let value = std::str::from_utf8(header.value).unwrap_or_default().trim();
            match header.name.to_ascii_lowercase().as_str() {
                "content-length" => body_len = value.parse().map_err(broken)?,
                "transfer-encoding" => return Err(broken("a body without a length")),
                "authorization" => {
                    request.bearer = value.strip_prefix("Bearer ").map(str::to_owned);
                }
                "range" => {
                    let from = value.strip_prefix("bytes=").and_then(|r| r.strip_suffix('-'));
                    let from = from.ok_or_else(|| broken("ranges are bytes=N-"))?;
                    request.from = from.parse().map_err(broken)?;
                }
                _ => {}
            }
        }
        Ok(Some(len))
    })
    .await?;
    request.body = read_body(stream, bytes.split_off(head), body_len).await?;
    Ok(request)
}

async fn read_body(
    stream: &mut (impl AsyncRead + Unpin),
    mut body: Vec<u8>,
    len: u64,
) -> Result<Vec<u8>> {
    if len > BODY_BYTES_MAX || body.len() as u64 > len {
        return Err(broken("a body is too long"));
    }
    while (body.len() as u64) < len {
        let read = timeout(SILENCE_MAX, stream.read_buf(&mut body)).await;
        if read.map_err(|_| broken("the peer says nothing"))?.map_err(broken)? == 0 {
            return Err(broken("the peer hung up"));
        }
    }
    body.truncate(len as usize);
    Ok(body)
}

/// Whom a request goes to.
#[derive(Clone, Debug)]
pub struct Peer {
    /// `host:port`
    pub address: String,
    /// What the request shows; empty: nothing.
    pub secret: String,
}

/// An answer's head: its status, the length of its body, and what was read of that.
struct Answered {
    stream: TcpStream,
    status: u16,
    len: u64,
    begun: Vec<u8>,
}

impl Peer {
    /// Sends a request; gives the answer's body. An answer may take as long as `patience`.
    ///
    /// # Errors
    /// 08006 where nobody answers, 58030 with the peer's words where it refuses.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &impl Serialize,
        patience: Duration,
    ) -> Result<T> {
        let body = serde_json::to_vec(body).map_err(|e| Error::internal(e.to_string()))?;
        let whole = async {
            let answered = self.ask(method, path, 0, &body, patience).await?;
            self.refusal(answered).await
        };
        let answered = timeout(patience, whole).await;
        let mut body = answered.map_err(|_| self.silent())?.map_err(|e| self.about(&e))?;
        if body.is_empty() {
            body.extend_from_slice(b"null");
        }
        serde_json::from_slice(&body).map_err(|e| self.about(&broken(e)))
    }

    fn silent(&self) -> Error {
        broken(format!("agent at {}: it does not answer", self.address))
    }

    fn about(&self, e: &Error) -> Error {
        Error::new(e.code(), format!("agent at {}: {}", self.address, e.message()))
    }

    /// The body of an answer; its error if it is a refusal.
    async fn refusal(&self, answered: Answered) -> Result<Vec<u8>> {
        let Answered { mut stream, status, len, begun } = answered;
        let body = read_body(&mut stream, begun, len).await?;
        if status == 200 {
            return Ok(body);
        }
        let refusal: Option<Refusal> = serde_json::from_slice(&body).ok();
        let why = refusal.map_or_else(|| format!("status {status}"), |r| r.error);
        Err(Error::new(SqlState::IO_ERROR, why))
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        from: u64,
        body: &[u8],
        patience: Duration,
    ) -> Result<Answered> {
        let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(&self.address)).await;
        let mut stream = connected.map_err(|_| self.silent())?.map_err(broken)?;
        let range = if from > 0 { format!("range: bytes={from}-\r\n") } else { String::new() };
        let shown = match self.secret.as_str() {
            "" => String::new(),
            secret => format!("authorization: Bearer {secret}\r\n"),
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\n{shown}content-length: {}\r\n\
             {range}connection: close\r\n\r\n",
            self.address,
            body.len()
        );
        send(&mut stream, head.as_bytes()).await.map_err(broken)?;
        send(&mut stream, body).await.map_err(broken)?;
        let (mut status, mut len) = (0, 0);
        let read = read_head(&mut stream, |bytes| {
            let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
            let mut parsed = httparse::Response::new(&mut headers);
            let httparse::Status::Complete(head) = parsed.parse(bytes).map_err(broken)? else {
                return Ok(None);
            };
            status = parsed.code.unwrap_or_default();
            for header in parsed.headers.iter() {
                if header.name.eq_ignore_ascii_case("content-length") {
                    let value = std::str::from_utf8(header.value).unwrap_or_default();
                    len = value.trim().parse().map_err(broken)?;
                }
            }
            Ok(Some(head))
        });
        let read = timeout(patience, read).await.map_err(|_| self.silent())?;
        let (head, mut bytes) = read?;
        Ok(Answered { begun: bytes.split_off(head), stream, status, len })
    }

    /// Copies a file of `bytes` bytes; `copied` hears of every block. Goes on where an answer broke
    /// off.
    ///
    /// # Errors
    /// As for [`Peer::call`].
    pub async fn download(
        &self,
        path: &str,
        to: &Path,
        bytes: u64,
        copied: &(dyn Fn(u64) + Sync),
    ) -> Result<()> {
        let mut file = File::create(to).await?;
        let (mut at, mut attempt) = (0, 0);
        loop {
            let result = self.download_from(path, &mut file, &mut at, bytes, copied).await;
            match result {
                Ok(()) => return Ok(file.sync_all().await?),
                Err(e) if e.code() == SqlState::CONNECTION_FAILURE => {
                    attempt += 1;
                    if attempt >= DOWNLOAD_TRIES_MAX {
                        return Err(self.about(&e));
                    }
                }
                Err(e) => return Err(self.about(&e)),
            }
        }
    }

    async fn download_from(
        &self,
        path: &str,
        file: &mut File,
        at: &mut u64,
        bytes: u64,
        copied: &(dyn Fn(u64) + Sync),
    ) -> Result<()> {
        if *at == bytes && bytes > 0 {
            return Ok(());
        }
        let answered = self.ask("GET", path, *at, &[], SILENCE_MAX).await?;
        if !matches!(answered.status, 200 | 206) {
            return self.refusal(answered).await.map(drop);
        }
        let Answered { mut stream, len, begun: mut block, .. } = answered;
        if *at + len != bytes {
            let message = format!("{path} has {} bytes and not {bytes}", *at + len);
            return Err(Error::new(SqlState::IO_ERROR, message));
        }
        loop {
            let part = block.len().min((bytes - *at) as usize);
            file.write_all(&block[..part]).await?;
            *at += part as u64;
            copied(part as u64);
            if *at == bytes {
                file.flush().await?;
                return Ok(());
            }
            block.clear();
            block.reserve(BLOCK_BYTES);
            let read = timeout(SILENCE_MAX, stream.read_buf(&mut block)).await;
            if read.map_err(|_| broken("the peer says nothing"))?.map_err(broken)? == 0 {
                return Err(broken("the peer hung up"));
            }
        }
    }
}
