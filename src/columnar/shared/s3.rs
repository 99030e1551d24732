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

use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{BackoffConfig, ObjectStore, Result, RetryConfig};

/// How often a request is sent again, and until when; then somebody is told. A request itself has
/// thirty seconds (`AWS_TIMEOUT`).
const RETRIES_MAX: usize = 5;
const RETRY_TIMEOUT: Duration = Duration::from_secs(30);
const BACKOFF_MAX: Duration = Duration::from_secs(3);

/// The store of `bucket/prefix`, and the prefix. Nothing is sent yet.
pub(super) fn open(place: &str) -> Result<(Arc<dyn ObjectStore>, Path)> {
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    let backoff = BackoffConfig { max_backoff: BACKOFF_MAX, ..BackoffConfig::default() };
    let retry = RetryConfig { backoff, max_retries: RETRIES_MAX, retry_timeout: RETRY_TIMEOUT };
    let builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry);
    Ok((Arc::new(builder.build()?), Path::from(prefix)))
}
