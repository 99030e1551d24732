//! A connection: bytes in, bytes out, and what a session asks of it.
//!
//! One read system call takes whatever the client has sent; one write sends whatever has piled up.
//! Input is decoded in place. The input buffer grows with the bytes that come, never with the
//! length a message claims, and both buffers give their memory back when the connection idles.

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::frontend::{self, Frame, Framed, HEADER_LEN, Message};
use super::output::{IDLE_BUFFER_BYTES, Output};
use super::rows;
use crate::error::{Error, Result, SqlState};
use crate::session::registry::Backend;
use crate::session::{Client, CopyInput, Field, Mark, Notice, ResultFormats};
use crate::types::Datum;
use crate::types::io::FormatSettings;

/// Most that the input buffer grows by at once.
const GROWTH_MAX: usize = 1 << 20;

/// A byte stream to a client.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A client's connection.
pub struct Connection<S> {
    stream: S,
    /// Bytes read and not yet used.
    pub input: BytesMut,
    /// Messages not yet sent.
    pub output: Output,
    /// What others may ask of the session.
    backend: Option<Arc<Backend>>,
    scratch: String,
}

impl<S: Stream> Connection<S> {
    /// A connection over `stream`.
    pub fn new(stream: S) -> Connection<S> {
        Connection {
            stream,
            input: BytesMut::with_capacity(IDLE_BUFFER_BYTES),
            output: Output::default(),
            backend: None,
            scratch: String::new(),
        }
    }

    /// From now on, waits for the client end when `backend` is interrupted.
    pub fn attach(&mut self, backend: Arc<Backend>) {
        self.backend = Some(backend);
    }

    /// Reads once; false at the end of the stream. `needs` is how many bytes the caller waits for
    /// in all. Cancel-safe.
    pub async fn read(&mut self, needs: usize) -> Result<bool> {
        let missing = needs.saturating_sub(self.input.len());
        self.input.reserve(missing.clamp(IDLE_BUFFER_BYTES / 2, GROWTH_MAX));
        let read = self.stream.read_buf(&mut self.input).await.map_err(lost)?;
        Ok(read > 0)
    }

    /// Gives back memory that an idle connection does not need.
    pub fn shrink(&mut self) {
        if self.input.is_empty() && self.input.capacity() > 2 * IDLE_BUFFER_BYTES {
            self.input = BytesMut::with_capacity(IDLE_BUFFER_BYTES);
        }
        self.output.shrink();
    }

    /// Sends what waits. Cancel-safe: what was sent is not sent again.
    pub async fn send(&mut self) -> Result<()> {
        while !self.output.pending().is_empty() {
            let sent = self.stream.write(self.output.pending()).await.map_err(lost)?;
            if sent == 0 {
                return Err(lost(std::io::ErrorKind::WriteZero.into()));
            }
            self.output.sent(sent);
        }
        Ok(())
    }

    /// Sends what waits once a cycle is over: a cancel request comes too late now.
    pub async fn finish(&mut self) -> Result<()> {
        match self.backend.clone() {
            Some(backend) => backend.unless_terminated(self.send()).await,
            None => self.send().await,
        }
    }

    /// Sends one byte by itself: the answer to an encryption request.
    pub async fn send_byte(&mut self, byte: u8) -> Result<()> {
        self.stream.write_all(&[byte]).await.map_err(lost)
    }

    /// Sends what waits and closes the connection.
    pub async fn close(&mut self) {
        // The client may be gone already; there is nobody to tell.
        let _ = self.send().await;
        let _ = self.stream.shutdown().await;
    }

    /// Waits for a whole message. None at the end of the stream.
    pub async fn message(&mut self) -> Result<Option<Frame>> {
        loop {
            match frontend::frame(&self.input)? {
                Framed::Whole(frame) => return Ok(Some(frame)),
                Framed::Needs(needs) => {
                    if !self.read(needs).await? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Takes one message of COPY input that is already here.
    fn take_copy_message(
        &mut self,
        frame: Frame,
        into: &mut BytesMut,
    ) -> Result<Option<CopyInput>> {
        let body = &self.input[HEADER_LEN..frame.len];
        let taken = match frontend::decode(frame.kind, body) {
            Ok(Message::CopyData(data)) => {
                into.extend_from_slice(data);
                Ok(Some(CopyInput::Data))
            }
            Ok(Message::CopyDone) => Ok(Some(CopyInput::Done)),
            Ok(Message::CopyFail(why)) => Ok(Some(CopyInput::Failed(why.to_owned()))),
            // Clients send these without noticing that the command was COPY.
            Ok(Message::Flush | Message::Sync) => Ok(None),
            Ok(_) => {
                return Err(Error::new(
                    SqlState::PROTOCOL_VIOLATION,
                    format!("unexpected message type 0x{:02X} during COPY from stdin", frame.kind),
                ));
            }
            Err(e) => Err(e),
        };
        self.input.advance(frame.len);
        taken
    }
}

/// 08006: the client is gone.
fn lost(e: std::io::Error) -> Error {
    let lost = Error::new(SqlState::CONNECTION_FAILURE, "connection to client lost");
    lost.with_source(e).ending_session()
}

impl<S: Stream> Client for Connection<S> {
    fn describe(&mut self, fields: &[Field], formats: &ResultFormats) {
        self.output.row_description(fields, |i| formats.is_binary(i));
    }

    fn row(
        &mut self,
        row: &[Datum],
        fields: &[Field],
        formats: &ResultFormats,
        settings: &FormatSettings,
    ) -> Result<()> {
        rows::data_row(&mut self.output, &mut self.scratch, row, fields, formats, settings)
    }

    fn complete(&mut self, tag: &str) {
        self.output.complete(tag);
    }

    fn empty_query(&mut self) {
        self.output.bare(b'I');
    }

    fn suspended(&mut self) {
        self.output.bare(b's');
    }

    fn notice(&mut self, notice: &Notice) {
        self.output.notice(notice);
    }

    fn parameter(&mut self, name: &str, value: &str) {
        self.output.parameter(name, value);
    }

    fn take_back_completion(&mut self) {
        self.output.take_back_completion();
    }

    fn mark(&self) -> Mark {
        self.output.mark()
    }

    fn rewind(&mut self, mark: Mark) -> bool {
        self.output.rewind(mark)
    }

    fn is_full(&self) -> bool {
        self.output.is_full()
    }

    async fn flush(&mut self) -> Result<()> {
        match self.backend.clone() {
            Some(backend) => backend.interruptible(self.send()).await,
            None => self.send().await,
        }
    }

    fn copy_out(&mut self, binary: bool, columns: usize) {
        self.output.copy_response(b'H', binary, columns);
    }

    fn copy_data(&mut self, data: &[u8]) {
        let at = self.output.begin(b'd');
        self.output.buffer().extend_from_slice(data);
        self.output.end(at);
    }

    fn copy_done(&mut self) {
        self.output.bare(b'c');
    }

    async fn copy_in(&mut self, binary: bool, columns: usize) -> Result<()> {
        self.output.copy_response(b'G', binary, columns);
        self.flush().await
    }

    async fn copy_input(&mut self, into: &mut BytesMut) -> Result<CopyInput> {
        loop {
            match frontend::frame(&self.input)? {
                Framed::Whole(frame) => {
                    if let Some(input) = self.take_copy_message(frame, into)? {
                        return Ok(input);
                    }
                }
                Framed::Needs(needs) => {
                    let more = match self.backend.clone() {
                        Some(backend) => backend.interruptible(self.read(needs)).await?,
                        None => self.read(needs).await?,
                    };
                    if !more {
                        return Err(Error::new(
                            SqlState::CONNECTION_FAILURE,
                            "unexpected EOF on client connection with an open transaction",
                        )
                        .ending_session());
                    }
                }
            }
        }
    }
}
