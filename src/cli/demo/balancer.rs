//! One address for several gateways: each connection goes to the next of them that answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::error::Result;

/// Passes connections on for as long as it is polled; at most `connections_max` at once, further
/// ones wait.
pub(super) async fn balance(
    listener: TcpListener,
    gateways: Vec<SocketAddr>,
    connections_max: usize,
) -> Result<()> {
    let gateways: Arc<[SocketAddr]> = gateways.into();
    let next = Arc::new(AtomicUsize::new(0));
    let places = Arc::new(Semaphore::new(connections_max));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return Ok(()) };
        let (client, _) = listener.accept().await?;
        let (gateways, next) = (gateways.clone(), next.clone());
        tokio::spawn(async move {
            let _place = place;
            if let Some(gateway) = connect(&gateways, &next).await {
                pass(client, gateway).await;
            }
        });
    }
}

async fn connect(gateways: &[SocketAddr], next: &AtomicUsize) -> Option<TcpStream> {
    let first = next.fetch_add(1, Ordering::Relaxed);
    for n in 0..gateways.len() {
        let address = gateways[(first + n) % gateways.len()];
        match TcpStream::connect(address).await {
            Ok(gateway) => return Some(gateway),
            Err(error) => tracing::warn!(%error, %address, "a gateway does not answer"),
        }
    }
    None
}

async fn pass(mut client: TcpStream, mut gateway: TcpStream) {
    let _ = client.set_nodelay(true);
    let _ = gateway.set_nodelay(true);
    // Either side may go at any time.
    let _ = copy_bidirectional(&mut client, &mut gateway).await;
}
