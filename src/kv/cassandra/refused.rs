//! Why there is no session with the cluster, in words that say what to do.

use std::error::Error as StdError;

use scylla::errors::{
    ConnectionError, ConnectionPoolError, ConnectionSetupRequestErrorKind, DbError, MetadataError,
    NewSessionError,
};

use super::CassandraOptions;
use crate::error::{Error, SqlState};

/// What keeps a session from being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// User or password are wrong.
    Credentials,
    /// The cluster wants a user.
    NoCredentials,
    /// The certificate is not one of the authority given, or not for this address.
    Certificate,
    /// What answers does not speak TLS.
    NotTls,
    /// Anything else.
    Unreachable,
}

/// The error of a session that could not be made.
pub(super) fn refused(error: &NewSessionError, options: &CassandraOptions) -> Error {
    let points = options.contact_points.join(", ");
    let user = options.credentials.as_ref().map_or("", |(user, _)| user);
    let (code, message, hint) = match refusal(error) {
        Refusal::Credentials => (
            SqlState::INVALID_PASSWORD,
            format!("the cluster at {points} refuses user \"{user}\" or its password"),
            "Check --cluster-user and --cluster-password-file.",
        ),
        Refusal::NoCredentials => (
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            format!("the cluster at {points} asks for a user and a password"),
            "Give --cluster-user and --cluster-password-file.",
        ),
        Refusal::Certificate => (
            SqlState::CONNECTION_FAILURE,
            format!("the certificate of the cluster at {points} cannot be trusted"),
            "Give --cluster-ca the authority that signed it. It must be valid now, and name the \
             address that --contact-points gives.",
        ),
        Refusal::NotTls => (
            SqlState::CONNECTION_FAILURE,
            format!("the cluster at {points} does not speak TLS"),
            "Without --cluster-ca the connection is not encrypted.",
        ),
        Refusal::Unreachable => (
            SqlState::CONNECTION_FAILURE,
            format!("could not reach the cluster at {points}"),
            "Check --contact-points, and --cluster-user and --cluster-ca if it needs them.",
        ),
    };
    Error::new(code, message).with_detail(error.to_string()).with_hint(hint)
}

fn refusal(error: &NewSessionError) -> Refusal {
    let NewSessionError::MetadataError(MetadataError::ConnectionPoolError(
        ConnectionPoolError::Broken { last_connection_error, .. },
    )) = error
    else {
        return Refusal::Unreachable;
    };
    match last_connection_error {
        ConnectionError::ConnectionSetupRequestError(setup) => match setup.get_error() {
            ConnectionSetupRequestErrorKind::MissingAuthentication => Refusal::NoCredentials,
            ConnectionSetupRequestErrorKind::DbError(DbError::AuthenticationError, _) => {
                Refusal::Credentials
            }
            _ => Refusal::Unreachable,
        },
        ConnectionError::IoError(error) => tls(error.as_ref()),
        _ => Refusal::Unreachable,
    }
}

/// What went wrong with TLS, if that is what went wrong.
fn tls(error: &(dyn StdError + 'static)) -> Refusal {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let found = inner.and_then(|e| e.downcast_ref()).or_else(|| error.downcast_ref());
        match found {
            Some(rustls::Error::InvalidCertificate(_)) => return Refusal::Certificate,
            Some(rustls::Error::InvalidMessage(_)) => return Refusal::NotTls,
            _ => cause = error.source(),
        }
    }
    Refusal::Unreachable
}
