//! The client itself: authentication, fail-over, retries, bounds.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use serde_json::Value;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;

use super::answer::{self, Answer, Broken};
use super::auth::Auth;
use super::carrier::{Astray, Carried, Carrier, Parcel};
use super::error::{ElasticError, causes};
use super::flavour::Flavour;
use super::hosts::Hosts;
use super::options::{Options, SetupError};
use super::request::{Body, Method, Request};
use super::sigv4;
use crate::base::clock::Clock;

/// Bodies from this size on are compressed, bytes.
const COMPRESS_FROM: usize = 1_024;
/// Largest answer to `GET /`, bytes.
const INFO_BYTES: usize = 64 * 1024;

/// A client of one cluster. Cheap to clone; clones share connections, budget and what is known of
/// the cluster.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    hosts: Hosts,
    way: Way,
    clock: Arc<dyn Clock>,
    budget: Semaphore,
    flavour: OnceCell<Arc<Flavour>>,
    sent: AtomicU64,
    bytes_sent: AtomicU64,
    bytes_read: AtomicU64,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("options", &self.inner.options).finish_non_exhaustive()
    }
}

/// What a client has sent and read since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// HTTP requests, repeated ones included.
    pub requests: u64,
    /// Bytes of bodies sent, as they were sent.
    pub bytes_sent: u64,
    /// Bytes of bodies read, after decompression.
    pub bytes_read: u64,
}

/// How requests reach the cluster.
enum Way {
    Http(reqwest::Client),
    Carried(Arc<dyn Carrier>),
}

/// What went wrong in one attempt, and how safe it is to make another.
enum Fault {
    /// The request never reached a cluster.
    NotSent,
    /// The connection ended; the cluster may have taken the request.
    Lost,
    /// It was turned away because of load.
    Busy(Option<Duration>),
    /// A node or what lies before it cannot serve now; it may have taken the request.
    Unavailable(Option<Duration>),
    /// Asking again gives the same.
    Final,
}

impl Client {
    /// A client of the cluster that `options` describes. `clock` dates signatures and the rest of
    /// nodes that failed.
    ///
    /// # Errors
    /// When addresses, certificates or credentials cannot be used.
    pub fn new(options: Options, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        if options.hosts.is_empty() {
            return Err(SetupError::NoHost(options.name.clone()));
        }
        let mut addresses = Vec::with_capacity(options.hosts.len());
        for host in &options.hosts {
            let wrong = |reason: String| SetupError::Address { address: host.clone(), reason };
            let url = reqwest::Url::parse(host).map_err(|error| wrong(error.to_string()))?;
            if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
                return Err(wrong("write `http://HOST:PORT` or `https://HOST:PORT`".to_owned()));
            }
            if !url.username().is_empty() || url.password().is_some() {
                return Err(wrong("credentials belong in `auth`, not in the address".to_owned()));
            }
            addresses.push(url.as_str().trim_end_matches('/').to_owned());
        }
        let way = Way::Http(http(&options)?);
        Ok(Self::made(options, addresses, way, clock))
    }

    /// A client of the cluster to whose nodes `carrier` takes requests: addresses are names that it
    /// knows, and nobody logs in.
    pub fn carried(options: Options, carrier: Arc<dyn Carrier>, clock: Arc<dyn Clock>) -> Self {
        let addresses = options.hosts.clone();
        Self::made(options, addresses, Way::Carried(carrier), clock)
    }

    fn made(options: Options, addresses: Vec<String>, way: Way, clock: Arc<dyn Clock>) -> Self {
        let budget = Semaphore::new(options.concurrency.clamp(1, Semaphore::MAX_PERMITS));
        Self {
            inner: Arc::new(Inner {
                hosts: Hosts::new(addresses),
                options,
                way,
                clock,
                budget,
                flavour: OnceCell::new(),
                sent: AtomicU64::new(0),
                bytes_sent: AtomicU64::new(0),
                bytes_read: AtomicU64::new(0),
            }),
        }
    }

    /// The cluster's name here.
    pub fn name(&self) -> &str {
        &self.inner.options.name
    }

    /// What it was made from.
    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// What was sent and read so far.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            requests: self.inner.sent.load(Ordering::Relaxed),
            bytes_sent: self.inner.bytes_sent.load(Ordering::Relaxed),
            bytes_read: self.inner.bytes_read.load(Ordering::Relaxed),
        }
    }

    /// What the cluster is; asked once.
    ///
    /// # Errors
    /// When it does not answer, or is none that is supported.
    pub async fn flavour(&self) -> Result<Arc<Flavour>, ElasticError> {
        self.inner.flavour.get_or_try_init(|| self.ask_flavour()).await.cloned()
    }

    async fn ask_flavour(&self) -> Result<Arc<Flavour>, ElasticError> {
        let collection = matches!(&self.inner.options.auth, Auth::SigV4 { service, .. } if service == "aoss");
        if collection {
            return Ok(Arc::new(Flavour::serverless_collection()));
        }
        let answer = self.send(&Request::get("/").largest(INFO_BYTES)).await?;
        let info: Value = answer.json()?;
        let flavour = Flavour::read(&info)
            .ok_or_else(|| answer.unexpected("neither Elasticsearch nor OpenSearch answers so"))?;
        if !flavour.supported() {
            return Err(ElasticError::Unsupported {
                cluster: self.name().to_owned(),
                flavour: format!("{} {}", flavour.product, flavour.version),
            });
        }
        Ok(Arc::new(flavour))
    }

    /// Sends a request and reads its answer as JSON.
    ///
    /// # Errors
    /// As [`Client::send`], and when the answer is no JSON.
    pub async fn json(&self, request: &Request) -> Result<Value, ElasticError> {
        self.send(request).await?.json()
    }

    /// Sends a request: to another node when one is away, again after a pause when the cluster is
    /// busy, and never twice when it might change something twice.
    ///
    /// # Errors
    /// What kept it from being answered, or the cluster's own error. A status named by
    /// [`Request::accept`] is no error.
    pub async fn send(&self, request: &Request) -> Result<Answer, ElasticError> {
        let body = self.body(request)?;
        let policy = self.inner.options.retry;
        let started = Instant::now();
        let mut tried: Vec<usize> = Vec::new();
        let mut round = 1;
        loop {
            let now = self.inner.clock.now();
            let picked = self.inner.hosts.pick(&tried, now).or_else(|| self.inner.hosts.pick(&[], now));
            let Some((node, host)) = picked else {
                return Err(ElasticError::Unreachable {
                    cluster: self.name().to_owned(),
                    host: "no address".to_owned(),
                    reason: "there is none".to_owned(),
                });
            };
            let (error, fault) = match self.attempt(host, request, body.as_ref()).await {
                Ok(answer) => {
                    self.inner.hosts.answered(node);
                    return Ok(answer);
                }
                Err(failed) => failed,
            };
            let (again, away, asked) = match fault {
                Fault::NotSent => (true, true, None),
                Fault::Lost => (request.repeatable, true, None),
                Fault::Busy(asked) => (true, false, asked),
                Fault::Unavailable(asked) => (request.repeatable, true, asked),
                Fault::Final => (false, false, None),
            };
            if away {
                self.inner.hosts.failed(node, now);
            }
            if !again {
                return Err(error);
            }
            tried.push(node);
            if away && tried.len() < self.inner.hosts.len() {
                tracing::debug!(%error, "another node is asked");
                continue;
            }
            tried.clear();
            let pause = policy.pause(round, asked);
            let patient = started.elapsed() + pause <= policy.patience;
            // A node that refuses connections is waited for more shortly than one that asks to wait.
            let over = match fault {
                Fault::NotSent | Fault::Lost => round >= policy.rounds,
                _ => !patient,
            };
            if over {
                return Err(error);
            }
            tracing::debug!(%error, round, ?pause, "asked again after a pause");
            tokio::time::sleep(pause).await;
            round += 1;
        }
    }

    /// The body as it is sent, with its headers.
    fn body(&self, request: &Request) -> Result<Option<Sent>, ElasticError> {
        let (text, kind) = match &request.body {
            Body::None => return Ok(None),
            Body::Json(text) => (text, "application/json"),
            Body::Lines(text) => (text, "application/x-ndjson"),
            Body::Other(kind, bytes) => {
                return Ok(Some(Sent { bytes: bytes.clone(), kind: kind.clone(), gzip: false }));
            }
        };
        if !self.inner.options.compress || text.len() < COMPRESS_FROM {
            return Ok(Some(Sent { bytes: text.clone(), kind: kind.to_owned(), gzip: false }));
        }
        let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 4), Compression::fast());
        let packed = encoder.write_all(text).and_then(|()| encoder.finish());
        let bytes = packed.map_err(|error| ElasticError::Unexpected {
            cluster: self.name().to_owned(),
            path: request.path.clone(),
            reason: format!("the body cannot be compressed: {error}"),
        })?;
        Ok(Some(Sent { bytes, kind: kind.to_owned(), gzip: true }))
    }

    async fn attempt(
        &self,
        host: &str,
        request: &Request,
        body: Option<&Sent>,
    ) -> Result<Answer, (ElasticError, Fault)> {
        // Never closed, so there is no error to meet; without a permit the request still goes.
        let permit = self.inner.budget.acquire().await.ok();
        self.inner.sent.fetch_add(1, Ordering::Relaxed);
        let sent = body.map_or(0, |body| body.bytes.len());
        self.inner.bytes_sent.fetch_add(sent as u64, Ordering::Relaxed);
        let Carried { status, retry_after, body } = match &self.inner.way {
            Way::Http(http) => self.over_http(http, host, request, body).await?,
            Way::Carried(carrier) => {
                let parcel = Parcel {
                    method: request.method,
                    target: request.target(),
                    body: body.map_or_else(Vec::new, |body| body.bytes.clone()),
                };
                carrier.carry(host, parcel).await.map_err(|astray| self.astray(host, astray))?
            }
        };
        drop(permit);
        let cluster = self.name().to_owned();
        self.inner.bytes_read.fetch_add(body.len() as u64, Ordering::Relaxed);
        if (200..300).contains(&status) || request.accepted.contains(&status) {
            if request.method != Method::Head && !answer::looks_like_json(&body) {
                let text = String::from_utf8_lossy(&body);
                return Err((answer::not_a_cluster(&cluster, host, status, &text), Fault::Final));
            }
            return Ok(Answer { status, body, cluster, path: request.path.clone() });
        }
        let error = answer::refused(&cluster, host, status, &body);
        // Shards that are away do not come back within a pause; a cluster that starts does.
        let shards = error
            .refusal()
            .and_then(|refusal| refusal.kind.as_deref())
            .is_some_and(|kind| kind.starts_with("search_phase") || kind.starts_with("no_shard_available"));
        let fault = match status {
            503 if shards => Fault::Final,
            429 => Fault::Busy(retry_after),
            502..=504 => Fault::Unavailable(retry_after),
            _ => Fault::Final,
        };
        Err((error, fault))
    }

    async fn over_http(
        &self,
        http: &reqwest::Client,
        host: &str,
        request: &Request,
        body: Option<&Sent>,
    ) -> Result<Carried, (ElasticError, Fault)> {
        let cluster = self.name().to_owned();
        let timeout = request.timeout.unwrap_or(self.inner.options.request_timeout);
        let failed = |error: &reqwest::Error| self.failed(host, error, timeout);
        let target = request.target();
        let (path, query) = target.split_once('?').unwrap_or((target.as_str(), ""));
        let url = reqwest::Url::parse(&format!("{host}{target}")).map_err(|error| {
            let reason = error.to_string();
            (
                ElasticError::Unreachable { cluster: cluster.clone(), host: host.to_owned(), reason },
                Fault::Final,
            )
        })?;
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Head => reqwest::Method::HEAD,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut builder = http.request(method, url.clone()).timeout(timeout);
        builder = match &self.inner.options.auth {
            Auth::Basic { username, password } => builder.basic_auth(username, Some(password)),
            Auth::Bearer(token) => builder.bearer_auth(token),
            Auth::ApiKey(key) => builder.header("authorization", secret(&format!("ApiKey {key}"))),
            Auth::SigV4 { region, service, credentials } => {
                // What lies before the path in the host's address is signed with it.
                let base = reqwest::Url::parse(host).map(|url| url.path().trim_end_matches('/').to_owned());
                let whole = format!("{}{path}", base.unwrap_or_default());
                let at = match url.port() {
                    Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
                    None => url.host_str().unwrap_or_default().to_owned(),
                };
                let parts = sigv4::Parts {
                    method: request.method.as_str(),
                    path: &whole,
                    query,
                    host: &at,
                    body: body.map_or(&[], |body| &body.bytes),
                };
                let scope = sigv4::Scope { region, service };
                let now = self.inner.clock.now();
                sigv4::headers(&parts, scope, credentials, now)
                    .into_iter()
                    .fold(builder, |builder, (name, value)| {
                        builder.header(HeaderName::from_static(name), secret(&value))
                    })
            }
            Auth::None | Auth::Certificate { .. } => builder,
        };
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        if let Some(body) = body {
            builder = builder.header(CONTENT_TYPE, &body.kind);
            if body.gzip {
                builder = builder.header(CONTENT_ENCODING, "gzip");
            }
            builder = builder.body(body.bytes.clone());
        }
        let response = builder.send().await.map_err(|error| failed(&error))?;
        let status = response.status().as_u16();
        let wait = retry_after(response.headers().get(RETRY_AFTER));
        let largest = request.largest.unwrap_or(self.inner.options.largest_answer);
        let body = answer::read(response, largest).await.map_err(|broken| {
            let (cluster, host) = (cluster.clone(), host.to_owned());
            match broken {
                Broken::TooLarge => {
                    (ElasticError::TooLarge { cluster, path: request.path.clone(), largest }, Fault::Final)
                }
                Broken::TimedOut => {
                    (ElasticError::TimedOut { cluster, host, seconds: timeout.as_secs() }, Fault::Final)
                }
                Broken::Dropped(reason) => (ElasticError::Dropped { cluster, host, reason }, Fault::Lost),
            }
        })?;
        Ok(Carried { status, retry_after: wait, body })
    }

    fn astray(&self, host: &str, astray: Astray) -> (ElasticError, Fault) {
        let (cluster, host) = (self.name().to_owned(), host.to_owned());
        match astray {
            Astray::NotSent => {
                let reason = "it was not reached".to_owned();
                (ElasticError::Unreachable { cluster, host, reason }, Fault::NotSent)
            }
            Astray::Lost => {
                let reason = "the connection ended".to_owned();
                (ElasticError::Dropped { cluster, host, reason }, Fault::Lost)
            }
        }
    }

    fn failed(&self, host: &str, error: &reqwest::Error, timeout: Duration) -> (ElasticError, Fault) {
        let (cluster, host) = (self.name().to_owned(), host.to_owned());
        let reason = causes(&error);
        if reason.contains("certificate") || reason.contains("UnknownIssuer") {
            return (ElasticError::Untrusted { cluster, host, reason }, Fault::Final);
        }
        if error.is_connect() {
            return (ElasticError::Unreachable { cluster, host, reason }, Fault::NotSent);
        }
        if error.is_timeout() {
            return (ElasticError::TimedOut { cluster, host, seconds: timeout.as_secs() }, Fault::Final);
        }
        if error.is_builder() {
            return (ElasticError::Unreachable { cluster, host, reason }, Fault::Final);
        }
        (ElasticError::Dropped { cluster, host, reason }, Fault::Lost)
    }
}

/// A body ready to be sent.
struct Sent {
    bytes: Vec<u8>,
    kind: String,
    gzip: bool,
}

/// A header value that is not shown by what logs requests.
fn secret(text: &str) -> HeaderValue {
    let mut value = HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

/// The seconds that `Retry-After` names. A date there is not read: pauses grow by themselves.
fn retry_after(value: Option<&HeaderValue>) -> Option<Duration> {
    let seconds: u64 = value?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn http(options: &Options) -> Result<reqwest::Client, SetupError> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(options.connect_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("tocsin/", env!("CARGO_PKG_VERSION")))
        .pool_max_idle_per_host(options.concurrency);
    let wrong = |what: &'static str| {
        move |error: reqwest::Error| SetupError::Certificate { what, reason: causes(&error) }
    };
    if let Some(pem) = &options.authorities {
        let found = reqwest::Certificate::from_pem_bundle(pem).map_err(wrong("`ca_file`"))?;
        if found.is_empty() {
            return Err(SetupError::Certificate {
                what: "`ca_file`",
                reason: "there is no certificate in it".to_owned(),
            });
        }
        builder = found.into_iter().fold(builder, reqwest::ClientBuilder::add_root_certificate);
    }
    match &options.auth {
        Auth::Certificate { certificate, key } => {
            let pem = [key.as_slice(), b"\n", certificate.as_slice()].concat();
            let identity = reqwest::Identity::from_pem(&pem).map_err(wrong("the client certificate"))?;
            builder = builder.identity(identity);
        }
        Auth::ApiKey(text) | Auth::Bearer(text) if HeaderValue::from_str(text).is_err() => {
            return Err(SetupError::Credentials(options.name.clone()));
        }
        _ => {}
    }
    builder.build().map_err(|error| SetupError::Http(causes(&error)))
}
