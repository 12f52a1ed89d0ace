//! HTTP as connectors use it: bounded, verified, to allowed addresses only.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};

use super::connector::SendError;
use crate::base::limits::TARGET_ANSWER_BYTES;

/// Redirects followed, all on the same host.
const REDIRECTS: usize = 3;
/// The longest pause that a target may ask for.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// How a connector speaks HTTP.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// How long a request may take.
    pub timeout: Duration,
    /// Certificate authority besides the system's, PEM.
    pub ca_file: Option<PathBuf>,
    /// Beginnings of URLs that may be spoken to; empty: any.
    pub allow: Arc<[String]>,
}

/// An HTTP client.
#[derive(Debug, Clone)]
pub struct Http {
    client: reqwest::Client,
    allow: Arc<[String]>,
}

/// What is sent.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Method.
    pub method: Method,
    /// Address.
    pub url: Url,
    /// Headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Body.
    pub body: Vec<u8>,
}

/// What came back, of a success.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Body, at most 64 KiB.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_str(&self.body).ok()
    }
}

impl Http {
    /// A client.
    ///
    /// # Errors
    /// When the certificate authority cannot be read.
    pub fn new(options: &HttpOptions) -> Result<Self, String> {
        let mut client = reqwest::Client::builder()
            .timeout(options.timeout)
            .connect_timeout(options.timeout)
            .user_agent(concat!("tocsin/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::custom(redirect));
        if let Some(path) = &options.ca_file {
            let failed = |reason: String| format!("cannot use ca_file `{}`: {reason}", path.display());
            let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
            let authorities =
                reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| failed(error.to_string()))?;
            for authority in authorities {
                client = client.add_root_certificate(authority);
            }
        }
        let client = client.build().map_err(|error| format!("cannot set up HTTP: {}", causes(&error)))?;
        Ok(Self { client, allow: Arc::clone(&options.allow) })
    }

    /// Refuses an address that the configuration does not allow.
    ///
    /// # Errors
    /// Says so.
    pub fn allowed(&self, url: &Url) -> Result<(), String> {
        allowed(&self.allow, url)
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// When there is no answer, or one that is no success; the reason holds no secret.
    pub async fn send(&self, outgoing: Outgoing) -> Result<Answer, SendError> {
        self.allowed(&outgoing.url).map_err(SendError::unavailable)?;
        let mut request = self.client.request(outgoing.method, outgoing.url).body(outgoing.body);
        for (name, value) in outgoing.headers {
            request = request.header(name, value);
        }
        // A URL may hold a token: errors do not show it.
        let failed = |error: reqwest::Error| SendError::unavailable(causes(&error.without_url()));
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        let after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| retry_after(value.to_str().ok()?, response_date(&response)));
        let body = bounded(response).await.map_err(failed)?;
        if status.is_success() {
            return Ok(Answer { status, body });
        }
        Err(refusal(status, &body, after))
    }
}

fn response_date(response: &reqwest::Response) -> Option<DateTime<Utc>> {
    let text = response.headers().get(reqwest::header::DATE)?.to_str().ok()?;
    DateTime::parse_from_rfc2822(text).ok().map(|date| date.to_utc())
}

/// A redirect to another host would take the message, and what authorises it, somewhere else.
fn redirect(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
    let origin =
        |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default());
    let first = attempt.previous().first().map(origin);
    if first.as_ref() != Some(&origin(attempt.url())) {
        let host = attempt.url().host_str().unwrap_or_default().to_owned();
        return attempt.error(format!("a redirect to another host is refused: `{host}`"));
    }
    if attempt.previous().len() > REDIRECTS {
        return attempt.error("too many redirects");
    }
    attempt.follow()
}

/// Refuses an address that no beginning of `allow` begins.
pub fn allowed(allow: &[String], url: &Url) -> Result<(), String> {
    let begins = |beginning: &String| {
        let Ok(allowed) = Url::parse(beginning) else { return false };
        allowed.scheme() == url.scheme()
            && allowed.host_str() == url.host_str()
            && allowed.port_or_known_default() == url.port_or_known_default()
            && url.path().starts_with(allowed.path())
    };
    if allow.is_empty() || allow.iter().any(begins) {
        return Ok(());
    }
    let host = url.host_str().unwrap_or_default();
    Err(format!("`notify.allow_urls` does not allow to speak to `{host}`"))
}

/// What an answer that is no success means.
fn refusal(status: StatusCode, body: &str, after: Option<Duration>) -> SendError {
    let said = super::escape::cut(&super::escape::line(body), 200);
    let said = if said.is_empty() { said } else { format!(": {said}") };
    let reason = format!("HTTP {status}{said}");
    match status.as_u16() {
        // Nothing about this message: who we are, where it goes, or how busy the target is.
        401 | 403 | 404 | 407 | 408 | 410 | 425 | 429 | 500.. => SendError::Unavailable { reason, after },
        _ => SendError::Refused { reason },
    }
}

/// `Retry-After`: seconds, or a date (compared with the answer's own).
fn retry_after(text: &str, now: Option<DateTime<Utc>>) -> Option<Duration> {
    let pause = match text.trim().parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => (DateTime::parse_from_rfc2822(text.trim()).ok()?.to_utc() - now?).to_std().ok()?,
    };
    Some(pause.min(LONGEST_PAUSE))
}

async fn bounded(mut response: reqwest::Response) -> Result<String, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = TARGET_ANSWER_BYTES.saturating_sub(body.len());
        body.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
        if room <= chunk.len() {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// An error with its causes: reqwest keeps the interesting part below.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// A header, or why it is none.
pub(super) fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let name =
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is no name of a header"))?;
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| format!("the value of header `{name}` has characters that none may have"))?;
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn only_allowed_addresses() {
        let allow = ["https://hooks.slack.com/services/".to_owned()];
        assert!(allowed(&allow, &url("https://hooks.slack.com/services/T/B")).is_ok());
        for wrong in [
            "http://hooks.slack.com/services/T",
            "https://hooks.slack.com.evil.example/services/T",
            "https://hooks.slack.com@evil.example/services/T",
            "https://hooks.slack.com:444/services/T",
            "https://hooks.slack.com/other",
        ] {
            assert!(allowed(&allow, &url(wrong)).is_err(), "{wrong}");
        }
        assert!(allowed(&[], &url("http://anything")).is_ok());
    }

    #[test]
    fn what_an_answer_means() {
        let wide = |status: u16| {
            matches!(refusal(StatusCode::from_u16(status).unwrap(), "", None), SendError::Unavailable { .. })
        };
        assert!([401, 403, 404, 408, 429, 500, 503].into_iter().all(wide));
        assert!(![400, 409, 413, 422].into_iter().any(wide));
    }

    #[test]
    fn pauses_that_are_asked_for() {
        let now = DateTime::parse_from_rfc2822("Sun, 01 Nov 2026 00:00:00 GMT").unwrap().to_utc();
        assert_eq!(retry_after("7", None), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Sun, 01 Nov 2026 00:00:30 GMT", Some(now)), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("999999999", None), Some(LONGEST_PAUSE));
        assert_eq!(retry_after("soon", Some(now)), None);
    }
}
