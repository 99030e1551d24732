//! Messages of the client, decoded without copying.
//!
//! A message is a type byte, a length that counts itself, and a body. [`frame`] finds the next
//! whole message in the input; [`decode`] reads its body. Every length, count and terminator is
//! checked before it is believed, so that no input can make this panic, loop or allocate more than
//! it sent (pgwire's own decoder panics on short bodies, which is why it is not used here).

use crate::error::{Error, Result, SqlState};
use crate::session::utf8;

/// Longest message of the kinds that carry data: PostgreSQL's `PQ_LARGE_MESSAGE_LIMIT`.
pub const LARGE_MESSAGE_MAX: usize = 0x3fff_ffff - 1;

/// Longest message of every other kind: `PQ_SMALL_MESSAGE_LIMIT`.
pub const SMALL_MESSAGE_MAX: usize = 10_000;

/// Longest answer to an authentication request: `PG_MAX_AUTH_TOKEN_LENGTH`.
pub const PASSWORD_MESSAGE_MAX: usize = 65_535;

/// Type byte and length.
pub const HEADER_LEN: usize = 5;

/// A whole message in the input: its type, and how many bytes it takes, header included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The type byte.
    pub kind: u8,
    /// Bytes, header included.
    pub len: usize,
}

/// What stands at the beginning of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framed {
    /// A whole message.
    Whole(Frame),
    /// Not yet: so many bytes are needed, as far as is known.
    Needs(usize),
}

/// Finds the message at the beginning of `input`. An error here ends the connection: what follows
/// cannot be read any more.
pub fn frame(input: &[u8]) -> Result<Framed> {
    let Some(header) = input.first_chunk::<HEADER_LEN>() else {
        return Ok(Framed::Needs(HEADER_LEN));
    };
    let kind = header[0];
    let limit = match kind {
        b'Q' | b'P' | b'B' | b'F' | b'd' => LARGE_MESSAGE_MAX,
        b'p' => PASSWORD_MESSAGE_MAX,
        b'C' | b'D' | b'E' | b'H' | b'S' | b'X' | b'c' | b'f' => SMALL_MESSAGE_MAX,
        _ => {
            return Err(Error::new(
                SqlState::PROTOCOL_VIOLATION,
                format!("invalid frontend message type {kind}"),
            ));
        }
    };
    let len = i32::from_be_bytes([header[1], header[2], header[3], header[4]]);
    match usize::try_from(len) {
        Ok(len) if (4..=limit).contains(&len) => {
            let len = len + 1;
            if input.len() >= len {
                Ok(Framed::Whole(Frame { kind, len }))
            } else {
                Ok(Framed::Needs(len))
            }
        }
        _ => Err(Error::new(SqlState::PROTOCOL_VIOLATION, "invalid message length")),
    }
}

/// A statement or a portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// A prepared statement's name.
    Statement(&'a str),
    /// A portal's name.
    Portal(&'a str),
}

/// A message of the client.
#[derive(Debug, PartialEq)]
pub enum Message<'a> {
    /// Simple query.
    Query(&'a str),
    /// Make a prepared statement.
    Parse {
        /// Its name; empty: the unnamed one.
        name: &'a str,
        /// Its text.
        query: &'a str,
        /// OIDs of parameter types; 0 is unspecified.
        types: Vec<u32>,
    },
    /// Make a portal.
    Bind(Bind<'a>),
    /// Describe.
    Describe(Target<'a>),
    /// Run a portal.
    Execute {
        /// Its name.
        portal: &'a str,
        /// Rows at most; 0: all.
        rows_max: i32,
    },
    /// Forget.
    Close(Target<'a>),
    /// Send what there is.
    Flush,
    /// End of a pipeline's part.
    Sync,
    /// Data of COPY.
    CopyData(&'a [u8]),
    /// End of COPY.
    CopyDone,
    /// The client gives COPY up, saying why.
    CopyFail(&'a str),
    /// An answer to an authentication request; it has no place after the startup.
    Password(&'a [u8]),
    /// The fast path's function call, which Sluice does not have.
    FunctionCall,
    /// Goodbye.
    Terminate,
}

/// Bind.
#[derive(Debug, PartialEq)]
pub struct Bind<'a> {
    /// The portal's name; empty: the unnamed one.
    pub portal: &'a str,
    /// The statement's name.
    pub statement: &'a str,
    /// Formats of the parameters: none, one for all, or one for each. True: binary.
    pub parameter_formats: Formats<'a>,
    /// The parameters' values; none is NULL.
    pub parameters: Vec<Option<&'a [u8]>>,
    /// Formats of the result's columns, likewise.
    pub result_formats: Formats<'a>,
}

/// Format codes as they came: two bytes each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Formats<'a>(&'a [u8]);

impl<'a> Formats<'a> {
    /// How many codes there are.
    pub fn len(self) -> usize {
        self.0.len() / 2
    }

    /// The codes; true is binary. 22023 for a code that is neither 0 nor 1.
    pub fn codes(self) -> impl Iterator<Item = Result<bool>> + 'a {
        self.0.chunks_exact(2).map(|code| match i16::from_be_bytes([code[0], code[1]]) {
            0 => Ok(false),
            1 => Ok(true),
            code => Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("unsupported format code: {code}"),
            )),
        })
    }
}

/// Decodes a message's body. An error here is the message's alone.
pub fn decode(kind: u8, body: &[u8]) -> Result<Message<'_>> {
    let mut body = Body(body);
    let message = match kind {
        b'Q' => Message::Query(body.string()?),
        b'P' => {
            let (name, query) = (body.string()?, body.string()?);
            let count = usize::from(body.u16()?);
            let types = body.take(count * 4)?;
            let oid = |c: &[u8]| u32::from_be_bytes([c[0], c[1], c[2], c[3]]);
            Message::Parse { name, query, types: types.chunks_exact(4).map(oid).collect() }
        }
        b'B' => Message::Bind(bind(&mut body)?),
        b'D' => Message::Describe(target(&mut body, "DESCRIBE")?),
        b'E' => Message::Execute { portal: body.string()?, rows_max: body.i32()? },
        b'C' => Message::Close(target(&mut body, "CLOSE")?),
        b'H' => Message::Flush,
        b'S' => Message::Sync,
        b'd' => return Ok(Message::CopyData(body.0)),
        b'c' => Message::CopyDone,
        b'f' => Message::CopyFail(body.string()?),
        b'p' => return Ok(Message::Password(body.0)),
        b'F' => return Ok(Message::FunctionCall),
        b'X' => return Ok(Message::Terminate),
        _ => {
            return Err(Error::new(
                SqlState::PROTOCOL_VIOLATION,
                format!("invalid frontend message type {kind}"),
            ));
        }
    };
    if body.0.is_empty() { Ok(message) } else { Err(malformed("invalid message format")) }
}

fn bind<'a>(body: &mut Body<'a>) -> Result<Bind<'a>> {
    let (portal, statement) = (body.string()?, body.string()?);
    let parameter_formats = body.formats()?;
    let count = usize::from(body.u16()?);
    // Four bytes at least for each value: the count is checked before room is made for it.
    if count * 4 > body.0.len() {
        return Err(malformed("insufficient data left in message"));
    }
    let mut parameters = Vec::with_capacity(count);
    for _ in 0..count {
        parameters.push(match body.i32()? {
            -1 => None,
            len => {
                let len = usize::try_from(len)
                    .map_err(|_| malformed("insufficient data left in message"))?;
                Some(body.take(len)?)
            }
        });
    }
    let result_formats = body.formats()?;
    Ok(Bind { portal, statement, parameter_formats, parameters, result_formats })
}

fn target<'a>(body: &mut Body<'a>, message: &str) -> Result<Target<'a>> {
    let kind = body.take(1)?[0];
    let name = body.string()?;
    match kind {
        b'S' => Ok(Target::Statement(name)),
        b'P' => Ok(Target::Portal(name)),
        _ => Err(malformed(&format!("invalid {message} message subtype {kind}"))),
    }
}

/// What is left of a body.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        match self.0.split_at_checked(len) {
            Some((taken, rest)) => {
                self.0 = rest;
                Ok(taken)
            }
            None => Err(malformed("insufficient data left in message")),
        }
    }

    fn u16(&mut self) -> Result<u16> {
        let b = self.take(2)?;
        Ok(u16::from_be_bytes([b[0], b[1]]))
    }

    fn i32(&mut self) -> Result<i32> {
        let b = self.take(4)?;
        Ok(i32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    }

    fn formats(&mut self) -> Result<Formats<'a>> {
        let count = usize::from(self.u16()?);
        Ok(Formats(self.take(count * 2)?))
    }

    /// Text up to a zero byte.
    fn string(&mut self) -> Result<&'a str> {
        let Some(end) = self.0.iter().position(|b| *b == 0) else {
            return Err(malformed("invalid string in message"));
        };
        let bytes = self.take(end + 1)?;
        utf8::text(&bytes[..end])
    }
}

fn malformed(message: &str) -> Error {
    Error::new(SqlState::PROTOCOL_VIOLATION, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames() {
        assert_eq!(frame(b"Q\0\0").unwrap(), Framed::Needs(5));
        assert_eq!(frame(b"Q\0\0\0\x08abc").unwrap(), Framed::Needs(9));
        let whole = Framed::Whole(Frame { kind: b'S', len: 5 });
        assert_eq!(frame(b"S\0\0\0\x04S").unwrap(), whole);
        for wrong in
            [&b"Q\x7f\xff\xff\xff"[..], b"Q\xff\xff\xff\xff", b"Q\0\0\0\x03", b"S\0\0\x27\x11"]
        {
            assert_eq!(frame(wrong).unwrap_err().message(), "invalid message length");
        }
        let error = frame(b"\xff\0\0\0\x04").unwrap_err();
        assert_eq!(error.message(), "invalid frontend message type 255");
    }

    #[test]
    fn bodies() {
        assert_eq!(decode(b'Q', b"select 1\0").unwrap(), Message::Query("select 1"));
        let parse = decode(b'P', b"s\0q\0\0\x01\0\0\0\x17").unwrap();
        assert_eq!(parse, Message::Parse { name: "s", query: "q", types: vec![23] });
        let Message::Bind(bind) =
            decode(b'B', b"\0s\0\0\x01\0\x01\0\x02\0\0\0\x01x\xff\xff\xff\xff\0\0").unwrap()
        else {
            panic!("not a Bind");
        };
        assert_eq!(bind.parameters, [Some(&b"x"[..]), None]);
        assert_eq!(bind.parameter_formats.codes().collect::<Result<Vec<_>>>().unwrap(), [true]);
        assert_eq!(bind.result_formats.len(), 0);
        let describe = decode(b'D', b"Pp\0").unwrap();
        assert_eq!(describe, Message::Describe(Target::Portal("p")));
    }

    #[test]
    fn malformed_bodies() {
        for (kind, body, message) in [
            (b'Q', &b"select 1"[..], "invalid string in message"),
            (b'Q', b"a\0b", "invalid message format"),
            (b'P', b"\0q\0\xff\xff", "insufficient data left in message"),
            (b'B', b"\0\0\0\0\xff\xff", "insufficient data left in message"),
            (b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff", "insufficient data left in message"),
            (b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe", "insufficient data left in message"),
            (b'D', b"x\0", "invalid DESCRIBE message subtype 120"),
            (b'C', b"", "insufficient data left in message"),
            (b'E', b"\0\0", "insufficient data left in message"),
            (b'Q', b"\xff\0", "invalid byte sequence for encoding \"UTF8\": 0xff"),
            (b'Q', b"a\xc3\x28\0", "invalid byte sequence for encoding \"UTF8\": 0xc3 0x28"),
        ] {
            assert_eq!(decode(kind, body).unwrap_err().message(), message);
        }
    }
}
