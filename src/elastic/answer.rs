//! Reading answers: bounded, and told apart from what is no cluster's.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::{ElasticError, Refusal, causes, shown};

/// A cluster's answer that is no error.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body, decompressed.
    pub body: Vec<u8>,
    pub(super) cluster: String,
    pub(super) path: String,
}

impl Answer {
    /// The body as `T`.
    ///
    /// # Errors
    /// When it is something else.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ElasticError> {
        serde_json::from_slice(&self.body).map_err(|error| self.unexpected(error.to_string()))
    }

    /// An error about this answer.
    pub fn unexpected(&self, reason: impl Into<String>) -> ElasticError {
        ElasticError::Unexpected {
            cluster: self.cluster.clone(),
            path: self.path.clone(),
            reason: reason.into(),
        }
    }
}

/// Why a body could not be read.
pub(super) enum Broken {
    TooLarge,
    Dropped(String),
    TimedOut,
}

/// The whole body, at most `largest` bytes.
pub(super) async fn read(mut response: reqwest::Response, largest: usize) -> Result<Vec<u8>, Broken> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > largest => return Err(Broken::TooLarge),
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) if error.is_timeout() => return Err(Broken::TimedOut),
            Err(error) => return Err(Broken::Dropped(causes(&error))),
        }
    }
}

/// The error in an answer whose status is one.
pub(super) fn refused(cluster: &str, host: &str, status: u16, body: &[u8]) -> ElasticError {
    if let Ok(answer) = serde_json::from_slice::<Value>(body)
        && (answer.is_object() || answer.is_string())
    {
        return ElasticError::Refused(Box::new(Refusal::read(cluster, status, &answer)));
    }
    let text = String::from_utf8_lossy(body);
    if text.trim_start().starts_with('<') {
        return not_a_cluster(cluster, host, status, &text);
    }
    // OpenSearch's security plugin answers in plain text.
    ElasticError::Refused(Box::new(Refusal::text(cluster, status, &text)))
}

/// Whether a body that should be JSON begins as JSON does.
pub(super) fn looks_like_json(body: &[u8]) -> bool {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    first.is_none_or(|byte| b"{[\"".contains(byte))
}

/// An answer in another language than JSON.
pub(super) fn not_a_cluster(cluster: &str, host: &str, status: u16, text: &str) -> ElasticError {
    let html = text.trim_start().starts_with('<');
    let title = text.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
    let sample = title.map_or_else(|| text.trim(), |(title, _)| title.trim());
    ElasticError::NotACluster {
        cluster: cluster.to_owned(),
        host: host.to_owned(),
        status,
        what: if html { "HTML" } else { "text" },
        sample: format!("`{}`", shown(sample).chars().take(80).collect::<String>()),
    }
}
