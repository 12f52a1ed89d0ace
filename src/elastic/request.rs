//! One request, without a host.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

/// HTTP methods that clusters know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `DELETE`
    Delete,
}

impl Method {
    /// As it is sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// What is sent along.
#[derive(Debug, Clone, Default)]
pub(super) enum Body {
    #[default]
    None,
    Json(Vec<u8>),
    Lines(Vec<u8>),
    Other(String, Vec<u8>),
}

/// A request to whichever node is asked.
#[derive(Debug, Clone)]
pub struct Request {
    pub(super) method: Method,
    /// Percent-encoded, begins with `/`.
    pub(super) path: String,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Body,
    pub(super) headers: Vec<(&'static str, String)>,
    /// Doing it twice is as doing it once.
    pub(super) repeatable: bool,
    pub(super) accepted: Vec<u16>,
    pub(super) timeout: Option<Duration>,
    pub(super) largest: Option<usize>,
}

impl Request {
    fn new(method: Method, path: impl Into<String>, repeatable: bool) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            body: Body::None,
            headers: Vec::new(),
            repeatable,
            accepted: Vec::new(),
            timeout: None,
            largest: None,
        }
    }

    /// A `GET` of `path` (percent-encoded, see [`segment`]; begins with `/`).
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::Get, path, true)
    }

    /// A `POST` that only reads, as `_search` is; sent again when a connection breaks.
    pub fn read(path: impl Into<String>) -> Self {
        Self::new(Method::Post, path, true)
    }

    /// A request that changes something. It is sent again only when the cluster cannot have taken
    /// it; say [`Request::repeatable`] when taking it twice changes nothing.
    pub fn write(method: Method, path: impl Into<String>) -> Self {
        Self::new(method, path, false)
    }

    /// Declares that doing it twice is as doing it once: a `PUT` of a template, a bulk of
    /// `create`s with explicit `_id`s.
    #[must_use]
    pub fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// Sends `body` as JSON.
    #[must_use]
    pub fn json(mut self, body: &Value) -> Self {
        self.body = Body::Json(body.to_string().into_bytes());
        self
    }

    /// Sends `lines` as NDJSON, a line break after each.
    ///
    /// # Errors
    /// When a line cannot be written as JSON.
    pub fn lines<T: Serialize>(
        mut self,
        lines: impl IntoIterator<Item = T>,
    ) -> Result<Self, serde_json::Error> {
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, &line)?;
            text.push(b'\n');
        }
        self.body = Body::Lines(text);
        Ok(self)
    }

    /// Sends NDJSON that is already written, each line with its line break.
    #[must_use]
    pub fn ndjson(mut self, text: Vec<u8>) -> Self {
        self.body = Body::Lines(text);
        self
    }

    /// Sends a body of another kind, as it is.
    #[must_use]
    pub fn body(mut self, kind: impl Into<String>, bytes: Vec<u8>) -> Self {
        self.body = Body::Other(kind.into(), bytes);
        self
    }

    /// Adds a header; `name` in lower case.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds a parameter to the query string.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// Takes this status as an answer, not as an error: 404 where nothing need be there.
    #[must_use]
    pub fn accept(mut self, status: u16) -> Self {
        self.accepted.push(status);
        self
    }

    /// How long it may take, instead of the client's bound.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Largest answer that is read, bytes, instead of the client's bound.
    #[must_use]
    pub fn largest(mut self, bytes: usize) -> Self {
        self.largest = Some(bytes);
        self
    }

    /// Size of its body before compression, bytes.
    pub fn body_len(&self) -> usize {
        match &self.body {
            Body::None => 0,
            Body::Json(text) | Body::Lines(text) | Body::Other(_, text) => text.len(),
        }
    }

    /// Path and query string as they are sent.
    pub(super) fn target(&self) -> String {
        let mut target = self.path.clone();
        for (place, (name, value)) in self.query.iter().enumerate() {
            target.push(if place == 0 { '?' } else { '&' });
            target.push_str(name);
            target.push('=');
            target.push_str(&segment(value));
        }
        target
    }
}

/// A part of a path with everything percent-encoded that is not an unreserved character: index
/// names and patterns, ids.
pub fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_indices_are_encoded_whole() {
        assert_eq!(segment("<logs-{now/d}>,remote:a*"), "%3Clogs-%7Bnow%2Fd%7D%3E%2Cremote%3Aa%2A");
        let request = Request::get("/_cat").query("h", "a,b").query("v", "true");
        assert_eq!(request.target(), "/_cat?h=a%2Cb&v=true");
    }
}
