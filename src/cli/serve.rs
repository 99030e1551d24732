//! Opens a folder and serves it until told to stop.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::folder::{self, Folder};
use super::{Auth, StartArgs, StoreKind, cluster};
#[cfg(feature = "columnar")]
use crate::agent::Agents;
use crate::catalog::{Catalog, Initial};
use crate::clock::{Clock, SystemClock};
#[cfg(feature = "columnar")]
use crate::columnar::engine::Exporter;
use crate::error::{Error, Result, SqlState};
use crate::kv::SharedStore;
use crate::kv::embedded::{EmbeddedOptions, EmbeddedStore};
use crate::session::{ColumnOptions, ColumnPath, Database};
use crate::telemetry;
use crate::wire::auth::{Method, verifier};
use crate::wire::{Gate, Server, ServerOptions};

/// Stack of a worker thread: deep expressions are bound and evaluated on it.
const WORKER_STACK_BYTES: usize = 128 << 20;

/// What is served.
pub(super) struct Served {
    pub database: Arc<Database>,
    pub address: SocketAddr,
    /// Where its rows are.
    pub place: String,
}

/// `sluice start`
pub(super) fn start(args: StartArgs) -> Result<()> {
    serve(args, move |served: Served| async move {
        announce(&format!("sluice is ready on {} ({})", served.address, served.place));
        Ok(())
    })
}

/// Prints a line for the person who started the program.
#[expect(clippy::print_stdout, reason = "the person who started the program reads it")]
pub(super) fn announce(line: &str) {
    println!("{line}");
}

/// Serves until SIGTERM or SIGINT. `ready` runs beside the server, once it answers; where that
/// fails, all ends.
pub(super) fn serve<F, R>(args: StartArgs, ready: F) -> Result<()>
where
    F: FnOnce(Served) -> R + Send + 'static,
    R: Future<Output = Result<()>> + Send + 'static,
{
    telemetry::start(&args.server.log)?;
    check_auth(&args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(WORKER_STACK_BYTES)
        .build()?;
    let outcome = runtime.block_on(serve_on(args, ready));
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn serve_on<F, R>(args: StartArgs, ready: F) -> Result<()>
where
    F: FnOnce(Served) -> R + Send + 'static,
    R: Future<Output = Result<()>> + Send + 'static,
{
    let (stopping, stop) = stop_signals()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    // The port first: a server that cannot be reached should not make a folder.
    let options = ServerOptions {
        listen: args.server.listen,
        threads: home_threads(args.store),
        drain_timeout: Duration::from_secs(args.server.drain_timeout),
    };
    let server = Server::bind(options)?;
    let opened = open(&args, &clock).await?;
    let database = opened.database;
    let gate = Arc::new(gate(database.clone(), &args, clock.as_ref()));
    database.collect_garbage();
    let served = Served { database, address: server.local_addr()?, place: opened.place };
    let prepared = tokio::spawn(async move {
        let outcome = ready(served).await;
        if outcome.is_err() {
            let _ = stopping.send(()).await;
        }
        outcome
    });
    let outcome = server.run(gate, stop).await;
    opened.store.close().await?;
    match prepared.is_finished() {
        true => prepared.await.map_err(|_| Error::internal("the preparation ended"))?.and(outcome),
        false => outcome,
    }
}

/// Threads of connections. A cluster's answers are read by the runtime's threads, so a connection
/// there would wait for another thread anyway (and its own, where `nextval` has it wait, would keep
/// up those that it waits for).
fn home_threads(store: StoreKind) -> usize {
    match store {
        StoreKind::Embedded => std::thread::available_parallelism().map_or(1, usize::from),
        StoreKind::Cassandra => 0,
    }
}

/// A store and the database on it.
struct Opened {
    store: SharedStore,
    database: Arc<Database>,
    /// Where the rows are, for the person who started this.
    place: String,
    /// Where the views of a cluster's gateway are.
    _folder: Option<Folder>,
}

async fn open(args: &StartArgs, clock: &Arc<dyn Clock>) -> Result<Opened> {
    let (store, place, views, folder, joined) = match args.store {
        StoreKind::Embedded => {
            let data = data_folder(args)?;
            let (store, place) = open_folder(&data, clock)?;
            (store, place, data.join("columnar"), None, None)
        }
        StoreKind::Cassandra => {
            let folder = args.data.as_deref().map_or_else(Folder::temporary, Folder::open)?;
            let may = check_password(args);
            let joined = cluster::join(&args.cluster, clock, folder.path(), may).await?;
            let views = folder.path().join(&joined.views);
            (joined.store.clone(), joined.about.clone(), views, Some(folder), Some(joined))
        }
    };
    if args.store == StoreKind::Cassandra && Catalog::is_missing(&store).await? {
        check_password(args)?;
    }
    let initial = Initial {
        database: args.database.clone(),
        role: args.user.clone(),
        password: args.password.as_deref().map(|p| verifier(p, clock.as_ref())),
    };
    let catalog = Catalog::open(store.clone(), clock.clone(), &initial).await?;
    let options = ColumnOptions {
        dir: views,
        memory_bytes: args.server.analytics_memory << 20,
        cache_bytes: args.server.analytics_cache << 20,
        #[cfg(feature = "columnar")]
        shared: view_store(args, joined.as_ref().map(|joined| joined.views.as_str()))?,
        #[cfg(feature = "spread")]
        spread: super::scans::options(&args.shared, joined.as_ref().map(|j| &j.cluster))?,
        #[cfg(feature = "columnar")]
        exporter: joined.zip(args.shared.views.view_store.clone()).map(|(joined, url)| {
            Arc::new(Agents::new(joined.cluster, url, clock.clone())) as Arc<dyn Exporter>
        }),
        #[cfg(feature = "columnar")]
        export_rows_min: args.shared.views.sstable_rows,
    };
    #[cfg(not(feature = "spread"))]
    if args.shared.scans.scan_listen.is_some() {
        return Err(Error::unsupported("--scan-listen in this build")
            .with_hint("Build with --features spread."));
    }
    #[cfg(not(feature = "columnar"))]
    drop(joined);
    let columns = ColumnPath::start(store.clone(), clock.clone(), options)?;
    let data = args.data.iter().map(|data| ("data_directory", data.display().to_string()));
    let settings: Vec<_> = data.collect();
    let connections_max = args.server.max_connections;
    let (store_of, clock_of) = (store.clone(), clock.clone());
    let database =
        Database::new(store_of, catalog, clock_of, connections_max, &settings, verifier, columns)?;
    Ok(Opened { store, database, place, _folder: folder })
}

/// Where views are shared, in the folder of a keyspace.
#[cfg(feature = "columnar")]
fn view_store(
    args: &StartArgs,
    keyspace: Option<&str>,
) -> Result<Option<Arc<crate::columnar::shared::ViewStore>>> {
    let Some(url) = &args.shared.views.view_store else { return Ok(None) };
    let Some(keyspace) = keyspace else {
        let message = "--view-store needs --store cassandra";
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
            .with_hint("The views of an embedded store lie in its own folder."));
    };
    crate::columnar::shared::ViewStore::open(url, keyspace).map(|store| Some(Arc::new(store)))
}

fn data_folder(args: &StartArgs) -> Result<PathBuf> {
    args.data.clone().ok_or_else(|| {
        Error::new(SqlState::INVALID_PARAMETER_VALUE, "the embedded store needs a folder")
            .with_hint("Give --data a folder; it is made if it is missing.")
    })
}

fn open_folder(data: &Path, clock: &Arc<dyn Clock>) -> Result<(SharedStore, String)> {
    folder::make(data)?;
    let store = EmbeddedStore::open(EmbeddedOptions::new(data), clock.clone())?;
    Ok((store, format!("data in {}", data.display())))
}

fn gate(database: Arc<Database>, args: &StartArgs, clock: &dyn Clock) -> Gate {
    let mut pepper = [0; 32];
    clock.random(&mut pepper);
    Gate {
        database,
        method: match args.auth {
            Auth::Scram => Method::Scram,
            Auth::Trust => Method::Trust,
        },
        authentication_timeout: Duration::from_secs(args.server.authentication_timeout),
        pepper,
    }
}

fn check_auth(args: &StartArgs) -> Result<()> {
    if args.auth == Auth::Trust && !args.server.listen.ip().is_loopback() {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "--auth trust lets in everybody who can connect, and the address is not loopback",
        )
        .with_hint("Listen on 127.0.0.1, or use --auth scram with a password."));
    }
    match args.store {
        StoreKind::Embedded if !data_folder(args)?.join("engine").exists() => check_password(args),
        _ => Ok(()),
    }
}

/// What a new database needs.
fn check_password(args: &StartArgs) -> Result<()> {
    if args.auth == Auth::Scram && args.password.is_none() {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "a new database with --auth scram needs a password for its superuser",
        )
        .with_hint("Set SLUICE_PASSWORD, or try it without passwords on loopback: --auth trust."));
    }
    Ok(())
}

/// Gives a value for each SIGTERM or SIGINT, and for what else is sent.
pub(super) fn stop_signals() -> Result<(mpsc::Sender<()>, mpsc::Receiver<()>)> {
    let (sender, receiver) = mpsc::channel(2);
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signals = signal(kind)?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if sender.send(()).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok((sender, receiver))
}
