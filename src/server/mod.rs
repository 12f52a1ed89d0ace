//! Layer 7: HTTP endpoints of the running service.
//!
//! What it is: `/healthz`, `/readyz` and `/metrics`, on one address.
//! What it is not: a place that decides anything; it shows what the service told it.
//! Invariant: nothing listens beyond loopback without authentication, and what is answered without
//! authentication holds no data of rules, events or alerts.

mod pulse;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest as _, Sha256};

use crate::telemetry::metrics::{CONTENT_TYPE, Metrics};

pub use pulse::Pulse;

/// A scheduler that has not looked what is due for so long stands still.
pub const STANDSTILL: Duration = Duration::from_mins(1);

/// Why the endpoints cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be read.
    #[error("`server.bind`: `{0}` is no address with a port, such as `127.0.0.1:8787`")]
    Address(String),
    /// Anybody could connect.
    #[error("`server.bind` is `{0}`, which others can reach, and there is no `server.token`")]
    Open(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on `{address}`: {reason}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What happened.
        reason: String,
    },
}

/// What the endpoints show.
#[derive(Debug, Clone)]
pub struct Shown {
    /// What the service counts.
    pub metrics: Arc<Metrics>,
    /// Whether the scheduler lives.
    pub pulse: Arc<Pulse>,
}

#[derive(Clone)]
struct Guarded {
    shown: Shown,
    /// SHA-256 of the token that is asked for, so that comparing it takes equally long.
    token: Option<[u8; 32]>,
}

/// Endpoints that listen.
#[derive(Debug)]
pub struct Server {
    listener: tokio::net::TcpListener,
    router: Router,
    address: SocketAddr,
}

impl Server {
    /// Listens on `bind`; beyond loopback only with a `token`, which clients send as
    /// `Authorization: Bearer …`.
    ///
    /// # Errors
    /// When the address is none, is open to others without a token, or is taken.
    pub async fn bind(bind: &str, token: Option<&str>, shown: Shown) -> Result<Self, ServerError> {
        let address: SocketAddr = bind.parse().map_err(|_| ServerError::Address(bind.to_owned()))?;
        if !address.ip().is_loopback() && token.is_none() {
            return Err(ServerError::Open(address));
        }
        let failed = |error: std::io::Error| ServerError::Bind { address, reason: error.to_string() };
        let listener = tokio::net::TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, router: router(token, shown), address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`.
    ///
    /// # Errors
    /// When the listener breaks.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
        axum::serve(self.listener, self.router).with_graceful_shutdown(stop).await
    }
}

fn router(token: Option<&str>, shown: Shown) -> Router {
    let guarded = Guarded { shown, token: token.map(|token| Sha256::digest(token).into()) };
    Router::new()
        .route("/metrics", get(|State(guarded): State<Guarded>| async move { metrics(&guarded) }))
        .layer(from_fn_with_state(guarded.clone(), authenticated))
        // Probes bring no credentials, and learn nothing but whether it works.
        .route("/healthz", get(|State(guarded): State<Guarded>| async move { healthz(&guarded) }))
        .route("/readyz", get(|State(guarded): State<Guarded>| async move { readyz(&guarded) }))
        .with_state(guarded)
}

async fn authenticated(State(guarded): State<Guarded>, request: Request, next: Next) -> Response {
    let Some(expected) = guarded.token else { return next.run(request).await };
    let sent = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let sent = sent.and_then(|value| value.strip_prefix("Bearer "));
    if sent.is_some_and(|sent| <[u8; 32]>::from(Sha256::digest(sent.trim())) == expected) {
        return next.run(request).await;
    }
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], "a token is needed\n").into_response()
}

fn metrics(guarded: &Guarded) -> Response {
    match guarded.shown.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// Lives: the scheduler looked what is due not long ago.
fn healthz(guarded: &Guarded) -> Response {
    match guarded.shown.pulse.age() {
        Some(age) if age > STANDSTILL => {
            let text = format!("the scheduler has stood still for {} s\n", age.as_secs());
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
        _ => "ok\n".into_response(),
    }
}

/// Works: rules are on their schedules.
fn readyz(guarded: &Guarded) -> Response {
    match guarded.shown.pulse.age() {
        Some(age) if age <= STANDSTILL => "ready\n".into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "not ready: no rule is on its schedule yet\n").into_response(),
    }
}
