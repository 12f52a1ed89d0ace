//! What can go wrong between here and a cluster, with the cluster's own words.

use std::fmt;

use serde_json::Value;

/// Why a request has no answer that can be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ElasticError {
    /// No connection.
    #[error("cluster `{cluster}` cannot be reached at {host}: {reason}")]
    Unreachable {
        /// Its name.
        cluster: String,
        /// The node asked last.
        host: String,
        /// What happened.
        reason: String,
    },
    /// The certificate is not one to trust.
    #[error("cluster `{cluster}`: the certificate of {host} is not trusted: {reason}")]
    Untrusted {
        /// Its name.
        cluster: String,
        /// The node.
        host: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The connection ended before the answer did.
    #[error("cluster `{cluster}`: {host} broke off: {reason}")]
    Dropped {
        /// Its name.
        cluster: String,
        /// The node asked last.
        host: String,
        /// What happened.
        reason: String,
    },
    /// No answer in time.
    #[error("cluster `{cluster}`: {host} did not answer within {seconds} s")]
    TimedOut {
        /// Its name.
        cluster: String,
        /// The node.
        host: String,
        /// How long was waited, seconds.
        seconds: u64,
    },
    /// The cluster answered with an error.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// Something answered that is no cluster: a proxy, a login page.
    #[error(
        "cluster `{cluster}`: {host} answers with {what} (HTTP {status}), not as a cluster does: {sample}"
    )]
    NotACluster {
        /// Its name.
        cluster: String,
        /// The node's address.
        host: String,
        /// Status of the answer.
        status: u16,
        /// `HTML`, `text` …
        what: &'static str,
        /// Its beginning or its title.
        sample: String,
    },
    /// The answer is larger than is read.
    #[error("cluster `{cluster}`: the answer to `{path}` is larger than {largest} bytes")]
    TooLarge {
        /// Its name.
        cluster: String,
        /// Path asked.
        path: String,
        /// The bound, bytes.
        largest: usize,
    },
    /// An answer that lacks what it must have.
    #[error("cluster `{cluster}`: the answer to `{path}` cannot be read: {reason}")]
    Unexpected {
        /// Its name.
        cluster: String,
        /// Path asked.
        path: String,
        /// What is missing or wrong.
        reason: String,
    },
    /// A version that is too old.
    #[error("cluster `{cluster}` is {flavour}: this version is not supported")]
    Unsupported {
        /// Its name.
        cluster: String,
        /// What it is.
        flavour: String,
    },
}

/// A cluster's error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The cluster's name.
    pub cluster: String,
    /// HTTP status.
    pub status: u16,
    /// Its `type`: `index_not_found_exception` …
    pub kind: Option<String>,
    /// Its `reason`.
    pub reason: String,
    /// The index it is about.
    pub index: Option<String>,
}

/// Longest part of foreign text in a message, characters.
const SHOWN: usize = 300;

impl Refusal {
    /// From the JSON of an answer, or of one item of a bulk or a multi-search: `{"error": …}`, the
    /// error alone, or text.
    pub fn read(cluster: &str, status: u16, answer: &Value) -> Self {
        let error = answer.get("error").unwrap_or(answer);
        // The cause below says more than "all shards failed".
        let first = |key: &str| error.get(key).and_then(Value::as_array).and_then(|list| list.first());
        let shard = first("failed_shards").and_then(|shard| shard.get("reason"));
        let cause = shard.or_else(|| first("root_cause")).unwrap_or(error);
        let deepest = std::iter::successors(Some(cause), |cause| {
            cause.get("caused_by").filter(|below| below.get("reason").is_some_and(Value::is_string))
        })
        .take(8)
        .last()
        .unwrap_or(cause);
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let own = text(cause, "reason").or_else(|| text(error, "reason"));
        let below = text(deepest, "reason").filter(|below| Some(below) != own.as_ref());
        let reason = match (own, below) {
            (Some(own), Some(below)) => format!("{own}: {below}"),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => error.as_str().map_or_else(|| error.to_string(), str::to_owned),
        };
        let index = text(cause, "index").or_else(|| text(error, "index"));
        Self {
            cluster: cluster.to_owned(),
            status,
            kind: text(cause, "type").or_else(|| text(error, "type")),
            reason: shown(&reason),
            index: index.filter(|index| index != "_na_"),
        }
    }

    /// From an answer that is text.
    pub(super) fn text(cluster: &str, status: u16, text: &str) -> Self {
        let reason = if text.trim().is_empty() { "no reason given".to_owned() } else { shown(text.trim()) };
        Self { cluster: cluster.to_owned(), status, kind: None, reason, index: None }
    }
}

/// The beginning of foreign text, without line breaks or control characters.
pub(super) fn shown(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN + 1).collect();
    if plain.chars().count() > SHOWN {
        let mut cut: String = plain.chars().take(SHOWN).collect();
        cut.push('…');
        return cut;
    }
    plain
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, status, reason, .. } = self;
        match status {
            401 => write!(f, "cluster `{cluster}` does not accept the credentials: {reason} (HTTP 401)"),
            403 => write!(f, "cluster `{cluster}` does not allow it: {reason} (HTTP 403)"),
            429 => write!(f, "cluster `{cluster}` is too busy: {reason} (HTTP 429)"),
            _ => {
                write!(f, "cluster `{cluster}`: {reason}")?;
                if let Some(index) = self.index.as_ref().filter(|index| !reason.contains(index.as_str())) {
                    write!(f, ", index `{index}`")?;
                }
                match &self.kind {
                    Some(kind) => write!(f, " ({kind}, HTTP {status})"),
                    None => write!(f, " (HTTP {status})"),
                }
            }
        }
    }
}

impl ElasticError {
    /// The cluster's answer, where there is one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// HTTP status of the cluster's answer, where there is one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(refusal) => Some(refusal.status),
            Self::NotACluster { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether it may go away by itself: the cluster is away, busy or slow, not wrong.
    pub fn passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Dropped { .. } | Self::TimedOut { .. } => true,
            _ => matches!(self.status(), Some(429 | 502 | 503 | 504)),
        }
    }

    /// What a person can do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } | Self::Dropped { .. } => {
                "check address, network and that the nodes run"
            }
            Self::Untrusted { .. } => {
                "name the authority that signed it with `ca_file`, or the host name that it was made for"
            }
            Self::TimedOut { .. } => "raise `request_timeout`, or lessen the load of the cluster",
            Self::NotACluster { .. } => "check that the address is the cluster's and not that of a proxy",
            Self::TooLarge { .. } => "narrow the search",
            Self::Unexpected { .. } => "check that the address is the cluster's, and its version",
            Self::Unsupported { .. } => "Elasticsearch 7.10 and OpenSearch 1.0 are the oldest supported",
            Self::Refused(refusal) => match refusal.status {
                401 => "check user, password or key in `auth`",
                403 => "give the user the privileges `read` and `view_index_metadata` on these indices",
                404 => "check the name of the index",
                429 => "lower `max_concurrent_requests`, or give the cluster more room",
                502..=504 => "check the health of the cluster",
                _ => "see the cluster's log",
            },
        }
    }
}

/// An error with its causes: the interesting part lies below.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let below = cause.to_string();
        if !text.contains(&below) {
            text = format!("{text}: {below}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_cause_below_is_what_is_shown() {
        let answer = json!({"error": {
            "root_cause": [{"type": "query_shard_exception", "reason": "failed to create query: x", "index": "logs-a"}],
            "type": "search_phase_execution_exception", "reason": "all shards failed",
            "failed_shards": [{"shard": 0, "index": "logs-a", "reason": {
                "type": "query_shard_exception", "reason": "failed to create query: x", "index": "logs-a",
                "caused_by": {"type": "number_format_exception", "reason": "For input string: \"x\""}}}],
        }, "status": 400});
        let refusal = Refusal::read("prod", 400, &answer);
        assert_eq!(
            refusal.to_string(),
            "cluster `prod`: failed to create query: x: For input string: \"x\", index `logs-a` \
             (query_shard_exception, HTTP 400)"
        );
        let text = Refusal::read("prod", 405, &json!({"error": "Incorrect HTTP method", "status": 405}));
        assert_eq!(text.to_string(), "cluster `prod`: Incorrect HTTP method (HTTP 405)");
    }
}
