//! Syslog, RFC 5424, over TCP, TLS or UDP.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustls_platform_verifier::BuilderVerifierExt;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::read;
use crate::base::window::iso_millis;
use crate::notify::connector::{Connector, Receipt, SendError};
use crate::notify::escape::{cut, line};
use crate::notify::lane::LaneSettings;
use crate::notify::message::Message;
use crate::store::state::Kind;

/// Longest message over UDP, and over a stream, bytes.
const DATAGRAM: usize = 2_048;
const LONGEST: usize = 60_000;
/// How long the server may take to close a connection in turn.
const CLOSE: Duration = Duration::from_secs(2);

const FACILITIES: [(&str, u8); 12] = [
    ("user", 1),
    ("daemon", 3),
    ("auth", 4),
    ("authpriv", 10),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

#[derive(Deserialize)]
struct Own {
    address: String,
    #[serde(default)]
    transport: Option<String>,
    #[serde(default)]
    facility: Option<String>,
    #[serde(default)]
    ca_file: Option<PathBuf>,
}

enum Way {
    Udp,
    Tcp,
    Tls(TlsConnector, ServerName<'static>),
}

pub(super) struct Syslog {
    address: String,
    facility: u8,
    timeout: Duration,
    way: Way,
}

impl std::fmt::Debug for Syslog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Syslog").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Syslog {
    pub(super) fn new(settings: &LaneSettings) -> Result<Self, String> {
        let own: Own = read(settings)?;
        let (host, port) = own.address.rsplit_once(':').ok_or("`address` is `host:port`")?;
        port.parse::<u16>().map_err(|_| "`address` is `host:port`".to_owned())?;
        let way = match own.transport.as_deref() {
            Some("udp") => Way::Udp,
            Some("tls") => {
                let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
                let name = ServerName::try_from(name).map_err(|error| format!("`{host}`: {error}"))?;
                Way::Tls(TlsConnector::from(Arc::new(tls(own.ca_file.as_deref())?)), name)
            }
            _ => Way::Tcp,
        };
        let wanted = own.facility.as_deref().unwrap_or("local0");
        let facility = FACILITIES.iter().find(|(name, _)| *name == wanted).map_or(16, |(_, number)| *number);
        Ok(Self { address: own.address, facility, timeout: settings.timeout, way })
    }

    async fn deliver(&self, record: &[u8]) -> std::io::Result<()> {
        match &self.way {
            Way::Udp => {
                let socket =
                    UdpSocket::bind(if self.address.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" })
                        .await?;
                socket.connect(&self.address).await?;
                socket.send(record).await.map(drop)
            }
            Way::Tcp => speak(TcpStream::connect(&self.address).await?, record).await,
            Way::Tls(connector, name) => {
                let stream = TcpStream::connect(&self.address).await?;
                speak(connector.connect(name.clone(), stream).await?, record).await
            }
        }
    }
}

/// Certificates are verified by the system's authorities, or by the one that is named.
fn tls(ca_file: Option<&std::path::Path>) -> Result<ClientConfig, String> {
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("cannot set up TLS: {error}"))?;
    let Some(path) = ca_file else {
        let builder =
            builder.with_platform_verifier().map_err(|error| format!("cannot set up TLS: {error}"))?;
        return Ok(builder.with_no_client_auth());
    };
    let failed = |reason: String| format!("cannot use ca_file `{}`: {reason}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))? {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        roots.add(certificate).map_err(|error| failed(error.to_string()))?;
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Writes a record and waits until the server closes in turn: syslog has no acknowledgement, but a
/// server that had not read everything would reset the connection.
async fn speak(mut stream: impl AsyncRead + AsyncWrite + Unpin, record: &[u8]) -> std::io::Result<()> {
    // Octet counting, RFC 6587 and 5425: the record may have line breaks.
    stream.write_all(format!("{} ", record.len()).as_bytes()).await?;
    stream.write_all(record).await?;
    stream.flush().await?;
    stream.shutdown().await?;
    let mut rest = [0_u8; 256];
    match tokio::time::timeout(CLOSE, stream.read(&mut rest)).await {
        Ok(Err(error)) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(error),
        // Some servers keep half-closed connections open.
        _ => Ok(()),
    }
}

/// A message as a record of RFC 5424.
pub(super) fn record(message: &Message, facility: u8, longest: usize) -> String {
    let severity = match (message.kind, message.severity.as_str()) {
        (Kind::Recovered | Kind::Closed | Kind::Acknowledged, _) => 6,
        (_, "critical") => 2,
        (_, "high") => 3,
        (_, "medium") => 4,
        _ => 5,
    };
    let mut data = String::from("[tocsin@32473");
    for (name, value) in [
        ("key", message.key.as_str()),
        ("kind", message.kind.as_str()),
        ("severity", message.severity.as_str()),
        ("alert", message.alert.as_str()),
        ("rule", message.rule.as_str()),
        ("count", message.count.to_string().as_str()),
        ("link", message.link.as_deref().unwrap_or_default()),
    ] {
        if !value.is_empty() {
            data.push_str(&format!(" {name}=\"{}\"", parameter(value)));
        }
    }
    data.push(']');
    let host = hostname();
    let head = format!(
        "<{}>1 {} {host} tocsin {} {} {data} \u{FEFF}",
        u16::from(facility) * 8 + severity,
        iso_millis(message.at),
        std::process::id(),
        message.kind.as_str().to_uppercase(),
    );
    let text = match &message.text {
        Some(text) => line(text),
        None => {
            let facts: Vec<String> =
                message.facts.iter().map(|(name, value)| format!("{name}={value}")).collect();
            line(&format!("{}: {} {}", message.title, message.summary, facts.join(" ")))
        }
    };
    cut(&format!("{head}{text}"), longest)
}

/// A value of structured data: three characters are escaped, control characters are none.
fn parameter(value: &str) -> String {
    line(value).replace('\\', "\\\\").replace('"', "\\\"").replace(']', "\\]")
}

fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(char::is_ascii_graphic).take(255).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

#[async_trait]
impl Connector for Syslog {
    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let longest = if matches!(self.way, Way::Udp) { DATAGRAM } else { LONGEST };
        let record = record(message, self.facility, longest);
        match tokio::time::timeout(self.timeout, self.deliver(record.as_bytes())).await {
            Ok(Ok(())) => Ok(Receipt::default()),
            Ok(Err(error)) => Err(SendError::unavailable(format!("`{}`: {error}", self.address))),
            Err(_) => Err(SendError::unavailable(format!("`{}` does not answer in time", self.address))),
        }
    }

    async fn check(&self) -> Result<String, SendError> {
        if matches!(self.way, Way::Udp) {
            return Ok(format!("datagrams go to {}; whether they arrive cannot be seen", self.address));
        }
        match tokio::time::timeout(self.timeout, TcpStream::connect(&self.address)).await {
            Ok(Ok(_)) => Ok(format!("{} answers", self.address)),
            Ok(Err(error)) => Err(SendError::unavailable(format!("`{}`: {error}", self.address))),
            Err(_) => Err(SendError::unavailable(format!("`{}` does not answer in time", self.address))),
        }
    }
}
