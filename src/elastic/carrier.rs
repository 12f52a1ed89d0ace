//! What carries requests to a cluster instead of HTTP: the seam behind which the simulation keeps a
//! model of a cluster, so that retries, fail-over and everything above run as they are.

use std::time::Duration;

use async_trait::async_trait;

use super::request::Method;

/// A request as it goes to one node.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// What is to be done.
    pub method: Method,
    /// Path and query string, percent-encoded; begins with `/`.
    pub target: String,
    /// The body, uncompressed; empty without one.
    pub body: Vec<u8>,
}

/// What a node answered.
#[derive(Debug, Clone)]
pub struct Carried {
    /// HTTP status.
    pub status: u16,
    /// The pause that it asks for.
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Astray {
    /// The request never reached the node.
    NotSent,
    /// The connection ended; the node may have taken the request.
    Lost,
}

/// Carries requests to nodes.
#[async_trait]
pub trait Carrier: Send + Sync {
    /// Takes a request to the node at `host`, and brings its answer.
    ///
    /// # Errors
    /// When there is no answer.
    async fn carry(&self, host: &str, parcel: Parcel) -> Result<Carried, Astray>;
}
