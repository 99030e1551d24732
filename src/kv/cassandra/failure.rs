//! What the driver's errors mean: to the protocol, and to who reads the log.
//!
//! After a conditional batch was sent, only an error that is raised before anything is proposed
//! says that nothing happened. Cassandra raises `Unavailable` with the serial consistency before
//! it begins, and again with the plain one when it is to be learned: the second is uncertain.

use scylla::errors::{DbError, ExecutionError, PrepareError, RequestAttemptError};
use scylla::statement::Consistency;

use crate::error::{Error, SqlState};
use crate::kv::lwt::partitions::{Failure, Refusal};

/// Why a request has no answer.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// The table is not there (yet).
    NoTable,
    /// The table has other columns than were known.
    UnknownColumn,
    /// Not enough nodes, and nothing happened.
    Unavailable(String),
    /// No answer; it may have happened.
    Uncertain(String),
    /// The nodes have too much to do.
    Overloaded(String),
    /// More bytes than the cluster takes at once.
    TooLarge(String),
    /// The user may not.
    Unauthorized(String),
    /// The cluster does not understand, or is not understood.
    Defect(String),
}

impl Trouble {
    /// What the protocol makes of it.
    pub fn failure(&self) -> Failure {
        match self {
            Trouble::NoTable | Trouble::UnknownColumn | Trouble::Unavailable(_) => {
                Failure::Unavailable
            }
            Trouble::Uncertain(_) => Failure::Uncertain,
            Trouble::Overloaded(_) => Failure::Uncertain,
            Trouble::TooLarge(_) => Failure::Refused(Refusal::TooLarge),
            Trouble::Unauthorized(_) => Failure::Refused(Refusal::Unauthorized),
            Trouble::Defect(_) => Failure::Refused(Refusal::Defect),
        }
    }

    /// A name of its kind, and the driver's words.
    pub fn describe(&self) -> (&'static str, &str) {
        match self {
            Trouble::NoTable => ("no table", ""),
            Trouble::UnknownColumn => ("unknown column", ""),
            Trouble::Unavailable(text) => ("unavailable", text),
            Trouble::Uncertain(text) => ("uncertain", text),
            Trouble::Overloaded(text) => ("overloaded", text),
            Trouble::TooLarge(text) => ("too large", text),
            Trouble::Unauthorized(text) => ("unauthorized", text),
            Trouble::Defect(text) => ("defect", text),
        }
    }

    /// The error of something that must succeed at start.
    pub fn into_error(self, what: &str) -> Error {
        let (code, text) = match &self {
            Trouble::Unauthorized(text) => (SqlState::INSUFFICIENT_PRIVILEGE, text.clone()),
            Trouble::Overloaded(text) => (SqlState::INSUFFICIENT_RESOURCES, text.clone()),
            Trouble::Defect(text) | Trouble::TooLarge(text) => {
                (SqlState::INTERNAL_ERROR, text.clone())
            }
            Trouble::Unavailable(text) | Trouble::Uncertain(text) => {
                (SqlState::CONNECTION_FAILURE, text.clone())
            }
            Trouble::NoTable => (SqlState::CONNECTION_FAILURE, "a table is missing".to_owned()),
            Trouble::UnknownColumn => {
                (SqlState::CONNECTION_FAILURE, "a column is missing".to_owned())
            }
        };
        Error::new(code, format!("could not {what} on the cluster")).with_detail(text)
    }
}

impl From<PrepareError> for Trouble {
    fn from(error: PrepareError) -> Trouble {
        match &error {
            PrepareError::AllAttemptsFailed { first_attempt } => match attempt(first_attempt) {
                // A statement that could not be prepared was not run.
                Trouble::Uncertain(text) | Trouble::Overloaded(text) => Trouble::Unavailable(text),
                trouble => trouble,
            },
            PrepareError::ConnectionPoolError(_) | PrepareError::PreparedStatementIdsMismatch => {
                Trouble::Unavailable(error.to_string())
            }
            _ => Trouble::Defect(error.to_string()),
        }
    }
}

/// What an error of a request means.
pub(super) fn trouble(error: &ExecutionError) -> Trouble {
    match error {
        ExecutionError::EmptyPlan | ExecutionError::ConnectionPoolError(_) => {
            Trouble::Unavailable(error.to_string())
        }
        ExecutionError::PrepareError(error) => error.clone().into(),
        ExecutionError::LastAttemptError(error) => attempt(error),
        ExecutionError::BadQuery(error) => Trouble::Defect(error.to_string()),
        _ => Trouble::Uncertain(error.to_string()),
    }
}

/// What an error of a statement about another keyspace's table means: as [`trouble`], but that
/// nothing happened either where there were too few nodes for a statement without a condition,
/// and that its keyspace is gone where it is not known.
pub(super) fn foreign_trouble(error: &ExecutionError) -> Trouble {
    if let ExecutionError::LastAttemptError(RequestAttemptError::DbError(db, message)) = error {
        match db {
            DbError::Invalid if message.contains("eyspace") => return Trouble::NoTable,
            _ => {}
        }
    }
    trouble(error)
}

fn attempt(error: &RequestAttemptError) -> Trouble {
    let text = error.to_string();
    match error {
        RequestAttemptError::DbError(db, message) => db_error(db, message, text),
        // Not run: the node knew the statement no more, and another schema than before.
        RequestAttemptError::UnableToAllocStreamId
        | RequestAttemptError::RepreparedIdChanged { .. }
        | RequestAttemptError::RepreparedIdMissingInBatch => Trouble::Unavailable(text),
        RequestAttemptError::SerializationError(_)
        | RequestAttemptError::CqlRequestSerialization(_) => Trouble::Defect(text),
        _ => Trouble::Uncertain(text),
    }
}

fn db_error(db: &DbError, message: &str, text: String) -> Trouble {
    match db {
        DbError::Unavailable {
            consistency: Consistency::Serial | Consistency::LocalSerial,
            ..
        } => Trouble::Unavailable(text),
        DbError::Overloaded | DbError::RateLimitReached { .. } => Trouble::Overloaded(text),
        DbError::IsBootstrapping => Trouble::Unavailable(text),
        DbError::Unauthorized | DbError::AuthenticationError => Trouble::Unauthorized(text),
        DbError::Invalid if is_missing_table(message) => Trouble::NoTable,
        // A node that has not heard of it yet.
        DbError::Invalid if message.starts_with("Undefined column name") => Trouble::UnknownColumn,
        // A node that has not heard of the keyspace yet.
        DbError::Invalid if message.to_lowercase().contains("keyspace") => {
            Trouble::Unavailable(text)
        }
        // "Mutation of … is too large", "Batch too large"
        DbError::Invalid if message.contains("too large") => Trouble::TooLarge(text),
        DbError::ServerError if message.contains("too large") => Trouble::TooLarge(text),
        DbError::Invalid
        | DbError::SyntaxError
        | DbError::ConfigError
        | DbError::AlreadyExists { .. }
        | DbError::FunctionFailure { .. } => Trouble::Defect(text),
        _ => Trouble::Uncertain(text),
    }
}

fn is_missing_table(message: &str) -> bool {
    message.contains("unconfigured table")
        // One of Accord's, which waits for transactions; with one replica it may stay so.
        || message.contains("is already being dropped")
        || (message.contains("able ") && message.contains("does not exist"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use scylla::errors::WriteType;

    fn of(db: DbError, message: &str) -> Failure {
        let error = RequestAttemptError::DbError(db, message.to_owned());
        trouble(&ExecutionError::LastAttemptError(error)).failure()
    }

    #[test]
    fn what_may_have_happened_is_uncertain() {
        let timeout = DbError::WriteTimeout {
            consistency: Consistency::Serial,
            received: 1,
            required: 2,
            write_type: WriteType::Cas,
        };
        assert_eq!(of(timeout, ""), Failure::Uncertain);
        let unavailable = |consistency| DbError::Unavailable { consistency, required: 2, alive: 1 };
        assert_eq!(of(unavailable(Consistency::Serial), ""), Failure::Unavailable);
        assert_eq!(of(unavailable(Consistency::Quorum), ""), Failure::Uncertain);
        let broken = ExecutionError::RequestTimeout(std::time::Duration::from_secs(1));
        assert_eq!(trouble(&broken).failure(), Failure::Uncertain);
        assert_eq!(trouble(&ExecutionError::EmptyPlan).failure(), Failure::Unavailable);
    }

    #[test]
    fn refusals_are_told_apart() {
        assert_eq!(of(DbError::Unauthorized, ""), Failure::Refused(Refusal::Unauthorized));
        let large = "Mutation of 33554432 bytes is too large for the maximum size of 16777216";
        assert_eq!(of(DbError::Invalid, large), Failure::Refused(Refusal::TooLarge));
        assert_eq!(of(DbError::SyntaxError, "line 1:0"), Failure::Refused(Refusal::Defect));
        assert_eq!(of(DbError::Invalid, "Keyspace 'app' does not exist"), Failure::Unavailable);
        assert!(is_missing_table("Table 'app.s200' is already being dropped"));
        assert!(is_missing_table("table s200 does not exist"));
        assert!(is_missing_table("unconfigured table s200"));
    }
}
