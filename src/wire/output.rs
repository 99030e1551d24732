//! Messages of the server, encoded into one buffer.
//!
//! Everything a client is sent goes through [`Output`]: messages pile up and are written with one
//! system call at Sync, Flush, or when the buffer is full. A [`Mark`] remembers a place in it, so
//! that a statement which is run again can take back what was not sent yet.

use bytes::{Buf, BufMut, BytesMut};
use pgwire::messages::Message as _;
use pgwire::messages::response::{ErrorResponse, NoticeResponse};
use pgwire::messages::startup::{Authentication, NegotiateProtocolVersion};

use crate::error::{Error, Fields};
use crate::session::{Field, Mark, Notice, Status};
use crate::types::SqlType;

/// The buffer is written out when it holds so many bytes.
pub const OUTPUT_FLUSH_BYTES: usize = 64 << 10;

/// What an idle connection's buffers keep of their memory.
pub const IDLE_BUFFER_BYTES: usize = 8 << 10;

/// How serious an error is for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The statement failed.
    Error,
    /// The connection ends.
    Fatal,
}

/// Messages waiting to be sent.
#[derive(Default)]
pub struct Output {
    buffer: BytesMut,
    /// Bytes sent so far: a mark below it is gone.
    sent: u64,
    /// Where the last end of a statement begins and ends.
    completed: Option<(Mark, Mark)>,
}

impl Output {
    /// What waits to be sent.
    pub fn pending(&self) -> &[u8] {
        &self.buffer
    }

    /// The buffer, for the encoding of rows.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The first so many bytes were sent.
    pub fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
        if bytes == self.buffer.len() {
            self.buffer.clear();
        } else {
            self.buffer.advance(bytes);
        }
    }

    /// Gives back memory above what an idle connection keeps.
    pub fn shrink(&mut self) {
        if self.buffer.is_empty() && self.buffer.capacity() > IDLE_BUFFER_BYTES {
            self.buffer = BytesMut::with_capacity(IDLE_BUFFER_BYTES);
        }
    }

    /// Whether it is time to write.
    pub fn is_full(&self) -> bool {
        self.buffer.len() >= OUTPUT_FLUSH_BYTES
    }

    /// This place.
    pub fn mark(&self) -> Mark {
        Mark(self.sent + self.buffer.len() as u64)
    }

    /// Takes back everything since `mark`; false if some of it was sent already.
    pub fn rewind(&mut self, mark: Mark) -> bool {
        match mark.0.checked_sub(self.sent).and_then(|at| usize::try_from(at).ok()) {
            Some(at) if at <= self.buffer.len() => {
                self.buffer.truncate(at);
                true
            }
            _ => false,
        }
    }

    /// Begins a message; [`Output::end`] fills in its length.
    pub fn begin(&mut self, kind: u8) -> usize {
        self.buffer.put_u8(kind);
        let at = self.buffer.len();
        self.buffer.put_i32(0);
        at
    }

    /// Ends the message begun at `at`.
    pub fn end(&mut self, at: usize) {
        let len = (self.buffer.len() - at) as i32;
        self.buffer[at..at + 4].copy_from_slice(&len.to_be_bytes());
    }

    /// A message without a body.
    pub fn bare(&mut self, kind: u8) {
        self.buffer.put_slice(&[kind, 0, 0, 0, 4]);
    }

    /// Text and a zero byte.
    fn string(&mut self, text: &str) {
        // A zero byte inside would end the text early and shift all that follows.
        for part in text.as_bytes().split(|b| *b == 0) {
            self.buffer.put_slice(part);
        }
        self.buffer.put_u8(0);
    }

    /// An authentication request or its end.
    pub fn authentication(&mut self, message: &Authentication) {
        // Encoding fails only for messages above 30,000 bytes, which these never are.
        let _ = message.encode(&mut self.buffer);
    }

    /// The protocol that the server speaks instead.
    pub fn negotiate(&mut self, newest_minor: i32, unsupported: Vec<String>) {
        let message = NegotiateProtocolVersion::new(newest_minor, unsupported);
        let _ = message.encode(&mut self.buffer);
    }

    /// The key for cancel requests.
    pub fn key_data(&mut self, pid: i32, secret: &[u8]) {
        let at = self.begin(b'K');
        self.buffer.put_i32(pid);
        self.buffer.put_slice(secret);
        self.end(at);
    }

    /// A parameter's value.
    pub fn parameter(&mut self, name: &str, value: &str) {
        let at = self.begin(b'S');
        self.string(name);
        self.string(value);
        self.end(at);
    }

    /// The end of a cycle.
    pub fn ready(&mut self, status: Status) {
        self.buffer.put_slice(&[b'Z', 0, 0, 0, 5, status.letter()]);
    }

    /// The end of a statement.
    pub fn complete(&mut self, tag: &str) {
        let before = self.mark();
        let at = self.begin(b'C');
        self.string(tag);
        self.end(at);
        self.completed = Some((before, self.mark()));
    }

    /// Takes the end of a statement back, if it is the last message and not sent.
    pub fn take_back_completion(&mut self) {
        if let Some((before, after)) = self.completed.take()
            && after == self.mark()
        {
            self.rewind(before);
        }
    }

    /// An error.
    pub fn error(&mut self, severity: Severity, error: &Error) {
        let severity = match severity {
            Severity::Error => "ERROR",
            Severity::Fatal => "FATAL",
        };
        let message = ErrorResponse::new(report(severity, error.fields()));
        let _ = message.encode(&mut self.buffer);
    }

    /// A notice.
    pub fn notice(&mut self, notice: &Notice) {
        let message = NoticeResponse::new(report(notice.severity.name(), notice.report.fields()));
        let _ = message.encode(&mut self.buffer);
    }

    /// What columns the rows have.
    pub fn row_description(&mut self, fields: &[Field], is_binary: impl Fn(usize) -> bool) {
        let at = self.begin(b'T');
        self.buffer.put_u16(fields.len() as u16);
        for (i, field) in fields.iter().enumerate() {
            self.string(&field.name);
            let (table, column) = field.origin.unwrap_or_default();
            self.buffer.put_u32(table);
            self.buffer.put_u16(column);
            self.buffer.put_u32(field.ty.oid());
            self.buffer.put_i16(field.ty.len());
            self.buffer.put_i32(field.ty.typmod);
            self.buffer.put_i16(i16::from(is_binary(i)));
        }
        self.end(at);
    }

    /// What types the parameters have.
    pub fn parameter_description(&mut self, types: &[SqlType]) {
        let at = self.begin(b't');
        self.buffer.put_u16(types.len() as u16);
        for ty in types {
            self.buffer.put_u32(ty.oid());
        }
        self.end(at);
    }

    /// COPY begins: `G` in, `H` out.
    pub fn copy_response(&mut self, kind: u8, binary: bool, columns: usize) {
        let at = self.begin(kind);
        self.buffer.put_u8(u8::from(binary));
        self.buffer.put_u16(columns as u16);
        for _ in 0..columns {
            self.buffer.put_u16(u16::from(binary));
        }
        self.end(at);
    }
}

/// The fields of an error or a notice.
fn report(severity: &str, fields: &Fields) -> Vec<(u8, String)> {
    let clean = |text: &str| text.replace('\0', "");
    let mut out = vec![
        (b'S', severity.to_owned()),
        (b'V', severity.to_owned()),
        (b'C', fields.code.as_str().to_owned()),
        (b'M', clean(&fields.message)),
    ];
    let position = fields.position.map(|p| p.to_string());
    let optional = [
        (b'D', &fields.detail),
        (b'H', &fields.hint),
        (b'P', &position),
        (b'W', &fields.context),
        (b's', &fields.schema),
        (b't', &fields.table),
        (b'c', &fields.column),
        (b'd', &fields.data_type),
        (b'n', &fields.constraint),
    ];
    out.extend(optional.into_iter().filter_map(|(code, text)| Some((code, clean(text.as_ref()?)))));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::SqlState;

    #[test]
    fn an_error_carries_its_fields_and_no_zero_byte() {
        let mut output = Output::default();
        let error = Error::new(SqlState::UNIQUE_VIOLATION, "a\0b")
            .with_detail("d")
            .with_table("public", "t")
            .at(3);
        output.error(Severity::Error, &error);
        let expected = b"SERROR\0VERROR\0C23505\0Mab\0Dd\0P3\0spublic\0tt\0\0";
        assert_eq!(&output.pending()[5..], expected);
        let len = i32::from_be_bytes(output.pending()[1..5].try_into().unwrap());
        assert_eq!(len as usize, 4 + expected.len());
    }

    #[test]
    fn a_mark_is_gone_once_sent() {
        let mut output = Output::default();
        output.bare(b'1');
        let mark = output.mark();
        output.complete("SELECT 1");
        assert!(output.rewind(mark));
        assert_eq!(output.pending(), [b'1', 0, 0, 0, 4]);
        output.complete("SELECT 1");
        output.sent(3);
        assert_eq!(output.pending()[..2], [0, 4]);
        output.sent(output.pending().len());
        assert!(!output.rewind(mark));
        let mark = output.mark();
        output.ready(Status::Failed);
        assert!(output.rewind(mark));
        assert!(output.pending().is_empty());
    }
}
