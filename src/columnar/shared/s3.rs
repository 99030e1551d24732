//! A bucket of S3, or of what speaks its protocol.
//!
//! It must take `If-None-Match: *`: S3 does, as do MinIO, R2 and Ceph. A store that looks first
//! and writes then would let two builders make the same generation.
//!
//! Credentials, region and address come from the environment, as other tools have them
//! (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`,
//! `AWS_ENDPOINT_URL`; `AWS_ALLOW_HTTP=true` for an address without TLS), from a web identity or
//! from the machine's role. `~/.aws` is not read.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, RetryConfig};

use super::failed;
use crate::error::{Error, Result, SqlState};

/// How often a request is sent again, and until when; then somebody is told. A request itself has
/// thirty seconds (`AWS_TIMEOUT`).
const RETRIES_MAX: usize = 5;
const RETRY_TIMEOUT: Duration = Duration::from_secs(30);
const BACKOFF_MAX: Duration = Duration::from_secs(3);

/// The store of `s3://bucket/prefix`, given without what comes before the bucket, and the prefix.
/// Nothing is sent yet.
///
/// # Errors
/// 22023 for an address without TLS that is not allowed to be; 58030 for what is no store.
pub(super) fn open(url: &str, place: &str) -> Result<(Arc<dyn ObjectStore>, Path)> {
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    let backoff = BackoffConfig { max_backoff: BACKOFF_MAX, ..BackoffConfig::default() };
    let retry = RetryConfig { backoff, max_retries: RETRIES_MAX, retry_timeout: RETRY_TIMEOUT };
    let builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry);
    check_address(&builder)?;
    let store = builder.build().map_err(|e| failed("use", url, e))?;
    Ok((Arc::new(store), Path::from(prefix)))
}

/// What the client itself says of such an address is "builder error", at its first request.
fn check_address(builder: &AmazonS3Builder) -> Result<()> {
    let address = builder.get_config_value(&AmazonS3ConfigKey::Endpoint).unwrap_or_default();
    let allowed = AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp);
    let is_allowed = builder.get_config_value(&allowed).is_some_and(|value| value == "true");
    if !address.starts_with("http://") || is_allowed {
        return Ok(());
    }
    let message = format!("the address {address} is one without TLS");
    Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
        .with_hint("Set AWS_ALLOW_HTTP=true, or give AWS_ENDPOINT_URL an https:// address."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_tls_has_to_be_allowed() {
        let builder = || AmazonS3Builder::new().with_bucket_name("b").with_region("r");
        let plain = || builder().with_endpoint("http://127.0.0.1:9000");
        let error = check_address(&plain()).unwrap_err();
        assert!(error.message().contains("http://127.0.0.1:9000"), "{error}");
        assert!(check_address(&plain().with_allow_http(true)).is_ok());
        assert!(check_address(&builder().with_endpoint("https://127.0.0.1:9000")).is_ok());
        assert!(check_address(&builder()).is_ok());
    }
}
