//! The listener: accepts clients, and sends them away when the server stops.
//!
//! Stopping: no new clients; sessions outside a transaction leave at once, those inside one when
//! it ends; what is still there at the deadline is terminated. A second request to stop is the
//! deadline.

use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::Receiver;
use tokio_util::task::TaskTracker;

use super::protocol::{Gate, serve};
use super::workers::Workers;
use crate::error::{Error, Result, SqlState};
use crate::session::registry::Probe;

/// Connections the system may hold before they are accepted.
const BACKLOG: i32 = 1024;

/// How long terminated sessions have to tell their clients.
const TERMINATE_GRACE: Duration = Duration::from_secs(2);

/// How long to wait when no connection can be accepted (no file handles left).
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A server's options.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Threads that connections live on; 0: they share the runtime that the server runs on.
    pub threads: usize,
    /// How long sessions may finish their transactions when the server stops.
    pub drain_timeout: Duration,
}

/// A listening server.
pub struct Server {
    options: ServerOptions,
    listener: TcpListener,
}

impl Server {
    /// Starts to listen; clients wait until [`Server::run`].
    pub fn bind(options: ServerOptions) -> Result<Server> {
        let listener = listen(options.listen).map_err(|e| {
            let message = format!("could not listen on {}: {e}", options.listen);
            let error = Error::new(SqlState::CONNECTION_FAILURE, message).with_source(e);
            error.with_hint("Is another server running there? Choose another --listen address.")
        })?;
        Ok(Server { options, listener })
    }

    /// The address, with the port that the system chose if it was 0.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Serves what `gate` leads to until `stop` gives its first value, then drains until the
    /// deadline or its second.
    pub async fn run(self, gate: Arc<Gate>, mut stop: Receiver<()>) -> Result<()> {
        let Server { options, listener } = self;
        let clients = TaskTracker::new();
        let workers = Workers::start(options.threads, gate.database.clock.clone())?;
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let (gate, client) = (gate.clone(), clients.token());
                        workers.spawn(move |seat| {
                            let (stream, probe) = adopt(stream)?;
                            Some(async move {
                                serve(gate, stream, Some(peer), probe, seat).await;
                                drop(client);
                            })
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "could not accept a connection");
                        tokio::time::sleep(ACCEPT_RETRY).await;
                    }
                },
                _ = stop.recv() => break,
            }
        }
        drop(listener);
        let registry = &gate.database.registry;
        tracing::info!(sessions = registry.len(), "stopping: waiting for open transactions");
        for backend in registry.all() {
            backend.drain();
        }
        clients.close();
        tokio::select! {
            () = clients.wait() => {}
            () = tokio::time::sleep(options.drain_timeout) => {}
            Some(()) = stop.recv() => {}
        }
        for backend in registry.all() {
            backend.terminate();
        }
        // Clients that are still at their startup are cut off with the runtime.
        let _ = tokio::time::timeout(TERMINATE_GRACE, clients.wait()).await;
        Ok(())
    }
}

/// Makes a connection one of this thread's event loop; none if it is broken already.
fn adopt(stream: TcpStream) -> Option<(TcpStream, Option<Probe>)> {
    // Without it, small answers wait for acknowledgements of earlier ones.
    let _ = stream.set_nodelay(true);
    let stream = TcpStream::from_std(stream.into_std().ok()?).ok()?;
    let probe = probe(&stream);
    Some((stream, probe))
}

/// Looks whether the client has hung up: its stream is at its end. A client that has sent more
/// than was read is taken to be there.
fn probe(stream: &TcpStream) -> Option<Probe> {
    let socket = Socket::from(stream.as_fd().try_clone_to_owned().ok()?);
    Some(Box::new(move || match socket.peek(&mut [MaybeUninit::uninit()]) {
        Ok(read) => read == 0,
        Err(e) => !matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
    }))
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let domain = if address.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    // A restarted server takes its port back while old connections still linger.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
