//! The protocol's loop: one client, from its first byte to its last.
//!
//! Messages are decoded in place and acted on in order. An error in an extended message is
//! reported once, after which everything is skipped until Sync; an error that makes the stream
//! unreadable, or that ends the session, is FATAL.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use smallvec::SmallVec;

use super::auth::{self, Method};
use super::connection::{Connection, Stream};
use super::frontend::{self, Bind, Formats, Frame, Framed, HEADER_LEN, Message, Target};
use super::output::Severity;
use super::startup::{self, Opening, Startup};
use super::workers::{Crowd, Seat};
use crate::error::{Error, Result, SqlState};
use crate::session::registry::{Probe, Registration, SECRET_LEN, SHORT_SECRET_LEN, terminated};
use crate::session::{BindRequest, Client, Database, ResultFormats, Session};

/// How clients get in.
pub struct Gate {
    /// The database.
    pub database: Arc<Database>,
    /// How they prove who they are.
    pub method: Method,
    /// Time they have for it.
    pub authentication_timeout: Duration,
    /// A secret of this process.
    pub pepper: [u8; 32],
}

/// Serves one client until it leaves or is sent away. `probe` tells whether it has hung up,
/// `seat` moves its task to where it may wait, and gathers its answers with others'.
pub async fn serve<S: Stream>(
    gate: Arc<Gate>,
    stream: S,
    peer: Option<SocketAddr>,
    probe: Option<Probe>,
    seat: Option<Seat>,
) {
    let mut connection = Connection::new(stream);
    let opening = tokio::time::timeout(gate.authentication_timeout, async {
        match open(&gate, &mut connection, peer).await {
            Ok(session) => session,
            Err(error) => {
                tracing::debug!(?peer, ?error, "connection refused");
                connection.output.error(Severity::Fatal, &error);
                connection.close().await;
                None
            }
        }
    });
    // A client that takes too long is dropped without a word, as in PostgreSQL.
    let Ok(Some((session, registration))) = opening.await else { return };
    connection.attach(registration.backend.clone());
    if let Some(probe) = probe {
        registration.backend.set_probe(probe);
    }
    let crowd = seat.map(|seat| {
        // The cell is new: nobody has set it.
        let _ = registration.backend.place.set(seat.place);
        seat.crowd
    });
    let mut worker =
        Worker { connection, session, registration, crowd, skipping: false, idle: false };
    if let Err(error) = worker.run().await {
        tracing::debug!(?peer, ?error, "connection ended");
        worker.connection.output.error(Severity::Fatal, &error);
    }
    worker.connection.close().await;
}

/// From the first byte to `ReadyForQuery`; none if no session was wanted.
async fn open<S: Stream>(
    gate: &Gate,
    connection: &mut Connection<S>,
    peer: Option<SocketAddr>,
) -> Result<Option<(Session, Registration)>> {
    let startup = match startup::open(connection).await? {
        Opening::Nothing => return Ok(None),
        Opening::Cancel { pid, key } => {
            // Whether it was right is not told: that would help guessing.
            gate.database.registry.cancel(pid, &key);
            return Ok(None);
        }
        Opening::Session(startup) => startup,
    };
    if startup.minor > startup::NEWEST_MINOR || !startup.extensions.is_empty() {
        let minor = i32::from(startup.spoken_minor());
        connection.output.negotiate(minor, startup.extensions.clone());
    }
    let verifier = gate.database.verifier(&startup.user);
    let verifier = verifier.as_deref();
    auth::authenticate(connection, gate.method, &startup.user, verifier, &gate.pepper).await?;
    let registration = gate.database.registry.register(peer)?;
    let session = Session::start(
        gate.database.clone(),
        registration.backend.clone(),
        &startup.user,
        &startup.database,
        &startup.settings,
    )?;
    greet(connection, &session, &registration, &startup);
    Ok(Some((session, registration)))
}

/// Parameters and the cancel key.
fn greet<S: Stream>(
    connection: &mut Connection<S>,
    session: &Session,
    registration: &Registration,
    startup: &Startup,
) {
    for (name, value) in session.reported_parameters() {
        connection.output.parameter(name, value);
    }
    let len = if startup.spoken_minor() >= 2 { SECRET_LEN } else { SHORT_SECRET_LEN };
    let backend = &registration.backend;
    connection.output.key_data(backend.pid, &backend.secret[..len]);
}

/// What the loop does after a message.
enum Next {
    Continue,
    /// A cycle is over.
    Ready,
    /// The client is done.
    Leave,
    /// The client makes no sense.
    Fatal(Error),
}

struct Worker<S> {
    connection: Connection<S>,
    session: Session,
    registration: Registration,
    /// Connections on the same thread.
    crowd: Option<Arc<Crowd>>,
    /// After an error in an extended message: nothing counts until Sync.
    skipping: bool,
    /// Nothing was asked since the last `ReadyForQuery`.
    idle: bool,
}

impl<S: Stream> Worker<S> {
    async fn run(&mut self) -> Result<()> {
        self.ready().await?;
        while let Some(frame) = self.next_message().await? {
            self.idle = false;
            let next = match self.handle(frame).await {
                Ok(next) => next,
                Err(error) if is_fatal(&error) => return Err(error),
                Err(error) => {
                    tracing::debug!(?error, "statement failed");
                    self.session.fail(&error).await;
                    self.connection.output.error(Severity::Error, &error);
                    self.skipping = is_extended(frame.kind);
                    if self.skipping { Next::Continue } else { Next::Ready }
                }
            };
            match next {
                Next::Continue => {}
                Next::Ready => self.ready().await?,
                Next::Leave => return Ok(()),
                Next::Fatal(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Tells the client that it may go on.
    async fn ready(&mut self) -> Result<()> {
        self.session.report_changes(&mut self.connection);
        self.connection.output.ready(self.session.status());
        self.session.idle();
        self.idle = true;
        if let Some(crowd) = &self.crowd {
            crowd.gather().await;
        }
        self.connection.finish().await
    }

    /// Waits for a whole message; none when the client is gone.
    async fn next_message(&mut self) -> Result<Option<Frame>> {
        loop {
            let needs = match frontend::frame(&self.connection.input)? {
                Framed::Whole(frame) => return Ok(Some(frame)),
                Framed::Needs(needs) => needs,
            };
            self.connection.shrink();
            if self.skipping {
                // The client may wait for the error and not have sent Sync; its Flush is skipped.
                self.connection.flush().await?;
            }
            let busy = !self.idle || self.session.in_transaction();
            let timeout = if self.idle { self.session.idle_timeout() } else { None };
            let read = self.connection.read(needs);
            let backend = &self.registration.backend;
            let read = match timeout {
                None => backend.while_idle(busy, read).await,
                Some((limit, error)) => {
                    let waiting = tokio::time::timeout(limit, backend.while_idle(busy, read));
                    waiting.await.map_err(|_| error)?
                }
            };
            match read {
                None => return Err(terminated()),
                Some(Ok(true)) => {}
                // Nobody is there to be told of an error.
                Some(Ok(false) | Err(_)) => return Ok(None),
            }
        }
    }

    /// Acts on the message at the beginning of the input and takes it away.
    #[expect(clippy::too_many_lines, reason = "one arm for each message")]
    async fn handle(&mut self, frame: Frame) -> Result<Next> {
        if self.skipping && !matches!(frame.kind, b'S' | b'X') {
            self.connection.input.advance(frame.len);
            return Ok(Next::Continue);
        }
        let body = &self.connection.input[HEADER_LEN..frame.len];
        let (session, output) = (&mut self.session, &mut self.connection.output);
        let done = match frontend::decode(frame.kind, body) {
            Ok(Message::Query(text)) => {
                let text = Arc::from(text);
                self.connection.input.advance(frame.len);
                self.session.query(&mut self.connection, text).await?;
                return Ok(Next::Ready);
            }
            Ok(Message::Execute { portal, rows_max }) => {
                let portal = portal.to_owned();
                let rows_max = usize::try_from(rows_max).unwrap_or(0);
                self.connection.input.advance(frame.len);
                let last = self.connection.input.first() == Some(&b'S');
                self.session.execute(&mut self.connection, &portal, rows_max, last).await?;
                return Ok(Next::Continue);
            }
            Ok(Message::Bind(message)) => bind(session, &message).map(|()| output.bare(b'2')),
            Ok(Message::Parse { name, query, types }) => {
                session.parse(name, query, &types).await.map(|()| output.bare(b'1'))
            }
            Ok(Message::Describe(Target::Statement(name))) => {
                session.describe_statement(name).map(|described| {
                    output.parameter_description(described.parameters);
                    match described.fields {
                        Some(fields) => output.row_description(fields, |_| false),
                        None => output.bare(b'n'),
                    }
                })
            }
            Ok(Message::Describe(Target::Portal(name))) => {
                session.describe_portal(name).map(|described| match described {
                    Some((fields, formats)) => {
                        output.row_description(fields, |i| formats.is_binary(i));
                    }
                    None => output.bare(b'n'),
                })
            }
            Ok(Message::Close(target)) => {
                match target {
                    Target::Statement(name) => session.close_statement(name),
                    Target::Portal(name) => session.close_portal(name),
                }
                output.bare(b'3');
                Ok(())
            }
            Ok(Message::Sync) => {
                self.connection.input.advance(frame.len);
                self.skipping = false;
                self.session.sync(&mut self.connection).await?;
                return Ok(Next::Ready);
            }
            Ok(Message::Flush) => {
                self.connection.input.advance(frame.len);
                self.connection.flush().await?;
                return Ok(Next::Continue);
            }
            // What a client still sends of a COPY that failed.
            Ok(Message::CopyData(_) | Message::CopyDone | Message::CopyFail(_)) => Ok(()),
            Ok(Message::FunctionCall) => Err(Error::unsupported("the function call protocol")),
            Ok(Message::Password(_)) => {
                let message = "invalid frontend message type 112";
                return Ok(Next::Fatal(Error::new(SqlState::PROTOCOL_VIOLATION, message)));
            }
            Ok(Message::Terminate) => return Ok(Next::Leave),
            Err(error) => Err(error),
        };
        self.connection.input.advance(frame.len);
        done.map(|()| Next::Continue)
    }
}

fn bind(session: &mut Session, message: &Bind<'_>) -> Result<()> {
    let parameter_formats: SmallVec<[bool; 16]> =
        message.parameter_formats.codes().collect::<Result<_>>()?;
    session.bind(BindRequest {
        portal: message.portal,
        statement: message.statement,
        parameter_formats: &parameter_formats,
        parameters: &message.parameters,
        result_formats: result_formats(message.result_formats)?,
    })
}

/// None: all text; one: for all; else one for each column, which the session counts.
fn result_formats(formats: Formats<'_>) -> Result<ResultFormats> {
    let mut codes = formats.codes();
    match formats.len() {
        0 => Ok(ResultFormats::Text),
        1 => match codes.next() {
            Some(Err(error)) => Err(error),
            Some(Ok(true)) => Ok(ResultFormats::Binary),
            _ => Ok(ResultFormats::Text),
        },
        _ => Ok(ResultFormats::Each(codes.collect::<Result<_>>()?)),
    }
}

/// Whether an error in such a message makes the client's next messages count only from Sync on.
fn is_extended(kind: u8) -> bool {
    matches!(kind, b'P' | b'B' | b'D' | b'E' | b'C' | b'H')
}

/// Errors that end the connection. A client that is gone gets no answer anyway.
fn is_fatal(error: &Error) -> bool {
    error.ends_session()
        || matches!(error.code(), SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN)
}
