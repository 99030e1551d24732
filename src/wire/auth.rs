//! Who is there: SCRAM-SHA-256 against the verifiers in the catalog, or trust.
//!
//! The exchange is pgwire's; this module reads and makes PostgreSQL's verifier text and answers a
//! name without a password as it answers a wrong password, with a salt that is always the same for
//! the same name, so that names cannot be probed.

use pgwire::api::auth::sasl::SCRAM_SHA_256_METHOD;
use pgwire::api::auth::sasl::scram::{
    SCRAM_ITERATIONS, ScramSecret, ScramServerAuth, gen_salted_password,
};
use pgwire::messages::startup::Authentication;
use sha2::{Digest, Sha256};

use bytes::Buf;

use super::connection::{Connection, Stream};
use super::frontend::{self, HEADER_LEN, Message};
use crate::clock::Clock;
use crate::error::{Error, Result, SqlState};

/// Bytes of a salt, as PostgreSQL makes it.
const SALT_LEN: usize = 16;

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// SCRAM-SHA-256 with a password.
    Scram,
    /// Not at all. Only where nobody else can connect.
    Trust,
}

/// Lets a client in by `method` or not. `verifier` is its role's; `pepper` is a secret of this
/// server, from which the salts of names without a password are made.
pub async fn authenticate<S: Stream>(
    connection: &mut Connection<S>,
    method: Method,
    user: &str,
    verifier: Option<&str>,
    pepper: &[u8],
) -> Result<()> {
    if method == Method::Scram {
        scram(connection, user, verifier, pepper).await?;
    }
    connection.output.authentication(&Authentication::Ok);
    Ok(())
}

async fn scram<S: Stream>(
    connection: &mut Connection<S>,
    user: &str,
    verifier: Option<&str>,
    pepper: &[u8],
) -> Result<()> {
    let wrong_password = || {
        Error::new(
            SqlState::INVALID_PASSWORD,
            format!("password authentication failed for user \"{user}\""),
        )
    };
    let known = verifier.and_then(parse_verifier);
    let doomed = known.is_none();
    let secret = known.unwrap_or_else(|| mock_secret(user, pepper));

    let mechanisms = vec![SCRAM_SHA_256_METHOD.to_owned()];
    connection.output.authentication(&Authentication::SASL(mechanisms));
    let first = password_message(connection).await?;
    let initial = initial_response(&first)?;
    let (challenge, exchange) = ScramServerAuth::new()
        .on_client_first_message_with_secret(initial, secret)
        .map_err(malformed)?;
    connection.output.authentication(&Authentication::SASLContinue(challenge.into()));
    let last = password_message(connection).await?;
    let proof = exchange.on_client_final_message(&last).map_err(|e| match e {
        pgwire::error::PgWireError::InvalidPassword(_) => wrong_password(),
        e => malformed(e),
    })?;
    if doomed {
        return Err(wrong_password());
    }
    connection.output.authentication(&Authentication::SASLFinal(proof.into()));
    Ok(())
}

fn malformed(cause: pgwire::error::PgWireError) -> Error {
    Error::new(SqlState::PROTOCOL_VIOLATION, "malformed SCRAM message")
        .with_detail(cause.to_string())
}

/// Sends what waits and takes the client's answer.
async fn password_message<S: Stream>(connection: &mut Connection<S>) -> Result<Vec<u8>> {
    connection.send().await?;
    let Some(frame) = connection.message().await? else {
        return Err(Error::new(SqlState::CONNECTION_FAILURE, "client hung up"));
    };
    let message = frontend::decode(frame.kind, &connection.input[HEADER_LEN..frame.len])?;
    let Message::Password(answer) = message else {
        return Err(Error::new(
            SqlState::PROTOCOL_VIOLATION,
            format!("expected SASL response, got message type {}", frame.kind),
        ));
    };
    let answer = answer.to_vec();
    connection.input.advance(frame.len);
    Ok(answer)
}

/// The data of a SASLInitialResponse that chose our mechanism.
fn initial_response(message: &[u8]) -> Result<&[u8]> {
    let malformed = || Error::new(SqlState::PROTOCOL_VIOLATION, "invalid message format");
    let end = message.iter().position(|b| *b == 0).ok_or_else(malformed)?;
    if &message[..end] != SCRAM_SHA_256_METHOD.as_bytes() {
        return Err(Error::new(
            SqlState::PROTOCOL_VIOLATION,
            "client selected an invalid SASL authentication mechanism",
        ));
    }
    let (len, data) = message[end + 1..].split_first_chunk::<4>().ok_or_else(malformed)?;
    match usize::try_from(i32::from_be_bytes(*len)) {
        Ok(len) if len == data.len() => Ok(data),
        _ => Err(malformed()),
    }
}

/// A secret that no password fits: its salt is made from the name.
fn mock_secret(user: &str, pepper: &[u8]) -> ScramSecret {
    let digest = |what: &[u8]| {
        Sha256::new().chain_update(pepper).chain_update(what).chain_update(user).finalize().to_vec()
    };
    ScramSecret::Verifier {
        salt: digest(b"salt")[..SALT_LEN].to_vec(),
        iterations: SCRAM_ITERATIONS,
        stored_key: digest(b"stored"),
        server_key: digest(b"server"),
    }
}

/// `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`; none if it is something else.
fn parse_verifier(text: &str) -> Option<ScramSecret> {
    let (parameters, keys) = text.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
    let (iterations, salt) = parameters.split_once(':')?;
    let (stored_key, server_key) = keys.split_once(':')?;
    Some(ScramSecret::Verifier {
        salt: base64::decode(salt)?,
        iterations: iterations.parse().ok()?,
        stored_key: base64::decode(stored_key)?,
        server_key: base64::decode(server_key)?,
    })
}

/// PostgreSQL's verifier of a password, with a fresh salt; what is one already stays as it is.
pub fn verifier(password: &str, clock: &dyn Clock) -> String {
    if parse_verifier(password).is_some() {
        return password.to_owned();
    }
    let mut salt = [0; SALT_LEN];
    clock.random(&mut salt);
    let salted = gen_salted_password(password, &salt, SCRAM_ITERATIONS);
    let secret =
        ScramSecret::verifier_from_salted_password(salt.to_vec(), salted, SCRAM_ITERATIONS);
    let ScramSecret::Verifier { salt, iterations, stored_key, server_key } = secret else {
        return String::new();
    };
    format!(
        "SCRAM-SHA-256${iterations}:{}${}:{}",
        base64::encode(&salt),
        base64::encode(&stored_key),
        base64::encode(&server_key)
    )
}

/// Base64 as verifiers have it: RFC 4648, padded.
mod base64 {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    pub fn encode(bytes: &[u8]) -> String {
        let mut out = String::new();
        for chunk in bytes.chunks(3) {
            let bits = chunk.iter().fold(0_u32, |acc, b| acc << 8 | u32::from(*b))
                << (8 * (3 - chunk.len()));
            for i in 0..4 {
                if i <= chunk.len() {
                    out.push(char::from(ALPHABET[(bits >> (18 - 6 * i) & 63) as usize]));
                } else {
                    out.push('=');
                }
            }
        }
        out
    }

    pub fn decode(text: &str) -> Option<Vec<u8>> {
        if !text.len().is_multiple_of(4) {
            return None;
        }
        let digits = text.trim_end_matches('=');
        if text.len() - digits.len() > 2 {
            return None;
        }
        let (mut out, mut bits, mut held) = (Vec::new(), 0_u32, 0);
        for c in digits.bytes() {
            bits = bits << 6 | ALPHABET.iter().position(|a| *a == c)? as u32;
            held += 6;
            if held >= 8 {
                held -= 8;
                out.push((bits >> held) as u8);
            }
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SimulatedClock;

    #[test]
    fn a_verifier_reads_back() {
        let text = verifier("secret", &SimulatedClock::new(0, 1));
        let Some(ScramSecret::Verifier { salt, iterations, stored_key, server_key }) =
            parse_verifier(&text)
        else {
            panic!("unreadable: {text}");
        };
        assert_eq!((salt.len(), iterations), (SALT_LEN, 4096));
        assert_eq!((stored_key.len(), server_key.len()), (32, 32));
        for wrong in ["", "md5abc", "SCRAM-SHA-256$x:y$z:w", "SCRAM-SHA-256$4096:a===$b:c"] {
            assert!(parse_verifier(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn base64_of_every_length() {
        for len in 0..9_u8 {
            let bytes: Vec<u8> = (0..len).map(|i| i.wrapping_mul(37).wrapping_add(200)).collect();
            assert_eq!(base64::decode(&base64::encode(&bytes)).unwrap(), bytes);
        }
        assert_eq!(base64::encode(b"ab"), "YWI=");
    }
}
