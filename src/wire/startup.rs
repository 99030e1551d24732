//! The beginning of a connection: encryption requests, the startup packet, cancel requests.
//!
//! Sluice has no TLS yet and answers `N` to encryption requests, after which a client that may go
//! on unencrypted does. Until the startup packet is read nothing is believed: its length is at
//! most [`STARTUP_PACKET_MAX`], and everything in it is checked.

use bytes::Buf;

use super::connection::{Connection, Stream};
use crate::error::{Error, Result, SqlState};
use crate::session::utf8;

/// Longest startup packet: PostgreSQL's `MAX_STARTUP_PACKET_LENGTH`.
pub const STARTUP_PACKET_MAX: usize = 10_000;

/// The protocol's major version.
const MAJOR: u16 = 3;

/// The newest minor version spoken: 3.2 has longer cancel keys.
pub const NEWEST_MINOR: u16 = 2;

const CANCEL_REQUEST: u32 = 80_877_102;
const SSL_REQUEST: u32 = 80_877_103;
const GSSENC_REQUEST: u32 = 80_877_104;

/// What a client wants of a new connection.
#[derive(Debug, PartialEq)]
pub enum Opening {
    /// A session.
    Session(Startup),
    /// To cancel another session's statement.
    Cancel {
        /// Its process number.
        pid: i32,
        /// Its key.
        key: Vec<u8>,
    },
    /// Nothing: it hung up.
    Nothing,
}

/// A startup packet.
#[derive(Debug, Default, PartialEq)]
pub struct Startup {
    /// The protocol's minor version, as asked for.
    pub minor: u16,
    /// The user.
    pub user: String,
    /// The database; the user's name if not given.
    pub database: String,
    /// Parameters to set, from the packet and from its `options`, in order.
    pub settings: Vec<(String, String)>,
    /// Protocol extensions asked for (`_pq_.…`), of which there are none.
    pub extensions: Vec<String>,
}

impl Startup {
    /// The minor version spoken with this client.
    pub fn spoken_minor(&self) -> u16 {
        if self.minor >= NEWEST_MINOR { NEWEST_MINOR } else { 0 }
    }
}

/// Reads up to and including the startup packet.
pub async fn open<S: Stream>(connection: &mut Connection<S>) -> Result<Opening> {
    let (mut tls_asked, mut gss_asked) = (false, false);
    loop {
        let Some(len) = packet(connection).await? else { return Ok(Opening::Nothing) };
        let body = &connection.input[4..len];
        let code = u32::from_be_bytes([body[0], body[1], body[2], body[3]]);
        match code {
            CANCEL_REQUEST => {
                let opening = cancel_request(&body[4..]);
                connection.input.advance(len);
                return opening;
            }
            SSL_REQUEST if !tls_asked => tls_asked = true,
            GSSENC_REQUEST if !gss_asked => gss_asked = true,
            version => {
                let opening = startup(version, &body[4..]).map(Opening::Session);
                connection.input.advance(len);
                return opening;
            }
        }
        connection.input.advance(len);
        connection.send_byte(b'N').await?;
    }
}

/// Waits for a whole packet; its length, or none if the client hung up.
async fn packet<S: Stream>(connection: &mut Connection<S>) -> Result<Option<usize>> {
    loop {
        let mut needs = 4;
        if let Some(header) = connection.input.first_chunk::<4>() {
            needs = u32::from_be_bytes(*header) as usize;
            if !(8..=STARTUP_PACKET_MAX).contains(&needs) {
                return Err(violation("invalid length of startup packet"));
            }
            if connection.input.len() >= needs {
                return Ok(Some(needs));
            }
        }
        if !connection.read(needs).await? {
            return if connection.input.is_empty() {
                Ok(None)
            } else {
                Err(violation("incomplete startup packet"))
            };
        }
    }
}

fn cancel_request(body: &[u8]) -> Result<Opening> {
    match body.split_first_chunk::<4>() {
        Some((pid, key)) if !key.is_empty() => {
            Ok(Opening::Cancel { pid: i32::from_be_bytes(*pid), key: key.to_vec() })
        }
        _ => Err(violation("invalid length of cancel request packet")),
    }
}

fn startup(version: u32, body: &[u8]) -> Result<Startup> {
    let (major, minor) = ((version >> 16) as u16, version as u16);
    if major != MAJOR {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!(
                "unsupported frontend protocol {major}.{minor}: server supports {MAJOR}.0 to \
                 {MAJOR}.{NEWEST_MINOR}"
            ),
        ));
    }
    let mut startup = Startup { minor, ..Startup::default() };
    let mut options = Vec::new();
    for (name, value) in pairs(body)? {
        match name {
            "user" => startup.user = value.to_owned(),
            "database" => startup.database = value.to_owned(),
            "options" => options = parse_options(value)?,
            "replication" if is_off(value) => {}
            "replication" => return Err(Error::unsupported("replication protocol")),
            name if name.starts_with("_pq_.") => startup.extensions.push(name.to_owned()),
            name => startup.settings.push((name.to_owned(), value.to_owned())),
        }
    }
    if startup.user.is_empty() {
        return Err(Error::new(
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            "no PostgreSQL user name specified in startup packet",
        ));
    }
    if startup.database.is_empty() {
        startup.database.clone_from(&startup.user);
    }
    // Options come first, so that what the packet names by itself wins, as in PostgreSQL.
    options.append(&mut startup.settings);
    startup.settings = options;
    Ok(startup)
}

fn is_off(value: &str) -> bool {
    matches!(value, "false" | "off" | "no" | "0")
}

/// Names and values up to the empty name that ends them.
fn pairs(body: &[u8]) -> Result<Vec<(&str, &str)>> {
    let invalid = || violation("invalid startup packet layout: expected terminator as last byte");
    let mut pairs = Vec::new();
    let mut parts = body.split(|b| *b == 0);
    loop {
        let name = parts.next().ok_or_else(invalid)?;
        if name.is_empty() {
            break;
        }
        let value = parts.next().ok_or_else(invalid)?;
        pairs.push((utf8::text(name)?, utf8::text(value)?));
    }
    // The terminator is the last byte: only the empty rest after it may follow.
    match (parts.next(), parts.next()) {
        (Some([]), None) => Ok(pairs),
        _ => Err(invalid()),
    }
}

/// The command line in `options`: `-c name=value`, `-cname=value`, `--name=value`; a backslash
/// takes the next character as it is.
fn parse_options(text: &str) -> Result<Vec<(String, String)>> {
    let mut settings = Vec::new();
    let mut words = split_options(text).into_iter();
    while let Some(word) = words.next() {
        let assignment = match word.as_str() {
            "-c" | "--" => words.next(),
            word => word.strip_prefix("--").or_else(|| word.strip_prefix("-c")).map(str::to_owned),
        };
        let Some(assignment) = assignment else {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!("invalid command-line argument for server process: {word}"),
            ));
        };
        let Some((name, value)) = assignment.split_once('=') else {
            let message = if word.starts_with("--") {
                format!("--{assignment} requires a value")
            } else {
                format!("-c {assignment} requires a value")
            };
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        };
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

fn split_options(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_ascii_whitespace() => words.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(chars.next()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn violation(message: &str) -> Error {
    Error::new(SqlState::PROTOCOL_VIOLATION, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION_3_0: u32 = 3 << 16;

    #[test]
    fn a_packet_with_options() {
        let body = b"user\0me\0options\0-c work_mem=1MB --search-path=a\\ b -cgeqo=off\0\
                     application_name\0psql\0_pq_.x\0y\0\0";
        let startup = startup(VERSION_3_0, body).unwrap();
        assert_eq!((startup.user.as_str(), startup.database.as_str()), ("me", "me"));
        let settings: Vec<_> =
            startup.settings.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(
            settings,
            [
                ("work_mem", "1MB"),
                ("search_path", "a b"),
                ("geqo", "off"),
                ("application_name", "psql")
            ]
        );
        assert_eq!(startup.extensions, ["_pq_.x"]);
    }

    #[test]
    fn wrong_packets() {
        let layout = "invalid startup packet layout: expected terminator as last byte";
        let no_user = "no PostgreSQL user name specified in startup packet";
        for (version, body, message) in [
            (VERSION_3_0, &b"user\0me\0"[..], layout),
            (VERSION_3_0, b"user\0me", layout),
            (VERSION_3_0, b"user\0me\0\0x", layout),
            (VERSION_3_0, b"", layout),
            (VERSION_3_0, b"\0", no_user),
            (VERSION_3_0, b"user\0\0\0", no_user),
            (2 << 16, b"", "unsupported frontend protocol 2.0: server supports 3.0 to 3.2"),
            (
                SSL_REQUEST,
                b"",
                "unsupported frontend protocol 1234.5679: server supports 3.0 to 3.2",
            ),
            (
                VERSION_3_0,
                b"user\0me\0options\0-x\0\0",
                "invalid command-line argument for server process: -x",
            ),
            (VERSION_3_0, b"user\0me\0options\0-c x\0\0", "-c x requires a value"),
            (
                VERSION_3_0,
                b"user\0me\0replication\0true\0\0",
                "replication protocol is not supported",
            ),
        ] {
            assert_eq!(startup(version, body).unwrap_err().message(), message);
        }
    }
}
