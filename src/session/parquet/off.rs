//! Parquet in a build that has none of it.

use super::super::Session;
use super::super::client::Client;
use crate::error::{Error, Result};
use crate::sql::ParsedStatement;
use crate::sql::statement::Copy;

impl Session {
    pub(in crate::session) async fn copy_parquet(
        &mut self,
        _: &mut impl Client,
        _: &ParsedStatement,
        _: &Copy,
    ) -> Result<u64> {
        Err(missing())
    }
}

pub(super) fn missing() -> Error {
    Error::unsupported("Parquet in a build without the feature \"columnar\"")
}
