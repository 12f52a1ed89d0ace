//! What a client is made from.

use std::fmt;
use std::time::Duration;

use super::auth::Auth;
use super::retry::RetryPolicy;
use crate::base::limits;

/// Everything a [`super::Client`] needs to know. Secrets are already resolved.
#[derive(Clone)]
pub struct Options {
    /// Name of the cluster in messages: the configuration's, or its address.
    pub name: String,
    /// Addresses of its nodes, `http://` or `https://`, each with an optional path.
    pub hosts: Vec<String>,
    /// How to log in.
    pub auth: Auth,
    /// Certificate authorities of the cluster besides the system's, PEM.
    pub authorities: Option<Vec<u8>>,
    /// Requests in flight at most.
    pub concurrency: usize,
    /// How long setting up a connection may take.
    pub connect_timeout: Duration,
    /// How long one request may take, its answer included.
    pub request_timeout: Duration,
    /// When a request is sent again.
    pub retry: RetryPolicy,
    /// Largest answer that is read, bytes after decompression.
    pub largest_answer: usize,
    /// Whether bodies are sent compressed.
    pub compress: bool,
}

impl Options {
    /// The defaults for a cluster at `hosts`, without authentication.
    pub fn new(name: impl Into<String>, hosts: Vec<String>) -> Self {
        Self {
            name: name.into(),
            hosts,
            auth: Auth::None,
            authorities: None,
            concurrency: 8,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_mins(1),
            retry: RetryPolicy::default(),
            largest_answer: limits::CLUSTER_ANSWER_BYTES,
            compress: true,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("name", &self.name)
            .field("hosts", &self.hosts)
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// No address at all.
    #[error("cluster `{0}` has no address")]
    NoHost(String),
    /// An address that is none.
    #[error("`{address}` is no address of a cluster: {reason}")]
    Address {
        /// As given.
        address: String,
        /// What is wrong.
        reason: String,
    },
    /// A certificate or key that cannot be used.
    #[error("cannot use {what}: {reason}")]
    Certificate {
        /// Which.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The credentials cannot be sent.
    #[error("the credentials of cluster `{0}` hold characters that cannot be sent")]
    Credentials(String),
    /// HTTP could not be set up.
    #[error("cannot set up HTTP: {0}")]
    Http(String),
}
