//! Mail by SMTP, as HTML and text.

use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message as Mail, Tokio1Executor};
use serde::Deserialize;

use super::{read, resolve};
use crate::config::{ConnectorConfig, SecretRef};
use crate::notify::connector::{Connector, Receipt, SendError};
use crate::notify::escape::Escape;
use crate::notify::http::causes;
use crate::notify::lane::LaneSettings;
use crate::notify::message::Message;

#[derive(Deserialize)]
struct Own {
    host: String,
    #[serde(default)]
    port: Option<u16>,
    #[serde(default)]
    tls: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<SecretRef>,
    #[serde(default)]
    ca_file: Option<PathBuf>,
    from: String,
    to: Vec<String>,
}

/// Refuses addresses that are none, before anything is sent.
pub(super) fn check_addresses(config: &ConnectorConfig) -> Result<(), (String, String)> {
    let check = |key: &str, text: &str| {
        text.parse::<Mailbox>()
            .map(drop)
            .map_err(|error| (key.to_owned(), format!("`{text}` is no mail address: {error}")))
    };
    if let Some(from) = config.settings.get("from").and_then(serde_json::Value::as_str) {
        check("from", from)?;
    }
    let to = config.settings.get("to").and_then(serde_json::Value::as_array);
    if to.is_none_or(Vec::is_empty) {
        return Err(("to".to_owned(), "names nobody".to_owned()));
    }
    to.into_iter().flatten().filter_map(serde_json::Value::as_str).try_for_each(|to| check("to", to))
}

pub(super) struct Email {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    host: String,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Email").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Email {
    pub(super) fn new(settings: &LaneSettings) -> Result<Self, String> {
        let own: Own = read(settings)?;
        let parameters = || -> Result<TlsParameters, String> {
            let mut tls = TlsParameters::builder(own.host.clone());
            if let Some(path) = &own.ca_file {
                let failed = |reason: String| format!("cannot use ca_file `{}`: {reason}", path.display());
                let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
                tls = tls.add_root_certificate(
                    Certificate::from_pem(&pem).map_err(|error| failed(error.to_string()))?,
                );
            }
            tls.build().map_err(|error| format!("cannot set up TLS: {}", causes(&error)))
        };
        let (tls, port) = match own.tls.as_deref() {
            Some("none") => (Tls::None, 25),
            Some("tls") => (Tls::Wrapper(parameters()?), 465),
            _ => (Tls::Required(parameters()?), 587),
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&own.host)
            .port(own.port.unwrap_or(port))
            .tls(tls)
            .timeout(Some(settings.timeout))
            .hello_name(ClientId::default());
        if let Some(user) = &own.username {
            let password = own.password.as_ref().map(resolve).transpose()?;
            let password = password.as_ref().map_or(String::new(), |password| password.expose().to_owned());
            transport = transport.credentials(Credentials::new(user.clone(), password));
        }
        let mailbox = |text: &String| text.parse::<Mailbox>().map_err(|error| format!("`{text}`: {error}"));
        Ok(Self {
            transport: transport.build(),
            host: own.host.clone(),
            from: mailbox(&own.from)?,
            to: own.to.iter().map(mailbox).collect::<Result<_, _>>()?,
        })
    }

    async fn deliver(&self, mail: &Mail, to: &[Mailbox]) -> Result<(), SendError> {
        let addresses: Vec<Address> = to.iter().map(|to| to.email.clone()).collect();
        let envelope = lettre::address::Envelope::new(Some(self.from.email.clone()), addresses)
            .map_err(|error| SendError::refused(error.to_string()))?;
        self.transport.send_raw(&envelope, &mail.formatted()).await.map(drop).map_err(|error| judged(&error))
    }
}

/// What an error of the server's means: only a refusal of this mail is final.
fn judged(error: &lettre::transport::smtp::Error) -> SendError {
    let reason = causes(error);
    let code = error.status().map_or(0, |code| {
        u16::from(code.severity as u8) * 100
            + u16::from(code.category as u8) * 10
            + u16::from(code.detail as u8)
    });
    // 530 to 538: the server wants another log-in.
    if error.is_permanent() && !(530..=538).contains(&code) && code != 454 {
        return SendError::refused(reason);
    }
    SendError::unavailable(reason)
}

/// The mail of a message. Its `Message-ID` is made of the key: a repeated mail has the same.
pub(super) fn mail(message: &Message, from: &Mailbox, to: &[Mailbox]) -> Result<Mail, String> {
    let domain = from.email.domain();
    let id = format!("<{}@{domain}>", message.key);
    let mut mail = Mail::builder()
        .from(from.clone())
        .subject(message.title.clone())
        .message_id(Some(id))
        .date(message.at.into());
    for to in to {
        mail = mail.to(to.clone());
    }
    if let Some(first) = &message.receipt {
        mail = mail.in_reply_to(first.clone()).references(first.clone());
    }
    let name = HeaderName::new_from_ascii_str("Auto-Submitted");
    mail = mail.raw_header(HeaderValue::new(name, "auto-generated".to_owned()));
    let parts = MultiPart::alternative()
        .singlepart(SinglePart::plain(message.plain()))
        .singlepart(SinglePart::html(html(message)));
    mail.multipart(parts).map_err(|error| error.to_string())
}

/// A message as HTML.
pub(super) fn html(message: &Message) -> String {
    let esc = |text: &str| Escape::Html.apply(text).into_owned();
    let mut out = format!(
        "<!doctype html><html><head><meta charset=\"utf-8\"></head><body><h2>{}</h2>\n",
        esc(&message.title)
    );
    match &message.text {
        Some(text) => out.push_str(&format!("<pre>{}</pre>\n", esc(text))),
        None => {
            out.push_str(&format!("<p>{}</p>\n", esc(&message.summary)));
            if !message.facts.is_empty() {
                out.push_str("<table>\n");
                for (name, value) in &message.facts {
                    out.push_str(&format!(
                        "<tr><th align=\"left\">{}</th><td>{}</td></tr>\n",
                        esc(name),
                        esc(value)
                    ));
                }
                out.push_str("</table>\n");
            }
            if !message.steps.is_empty() {
                out.push_str("<h3>Next steps</h3><ol>\n");
                for step in &message.steps {
                    out.push_str(&format!("<li>{}</li>\n", esc(step)));
                }
                out.push_str("</ol>\n");
            }
        }
    }
    if let Some(link) = message.link.as_ref().filter(|link| link.starts_with("http")) {
        out.push_str(&format!("<p><a href=\"{}\">Open in Kibana</a></p>\n", esc(link)));
    }
    if let Some(command) = &message.command {
        out.push_str(&format!("<p><code>{}</code></p>\n", esc(command)));
    }
    out.push_str("</body></html>\n");
    out
}

#[async_trait]
impl Connector for Email {
    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let mail = mail(message, &self.from, &self.to).map_err(SendError::refused)?;
        let id = format!("<{}@{}>", message.key, self.from.email.domain());
        let mut receipt = Receipt { reference: Some(id), note: None };
        match self.deliver(&mail, &self.to).await {
            Err(SendError::Refused { reason }) if self.to.len() > 1 => {
                // One mailbox that takes nothing keeps no mail from the others.
                let mut refused = Vec::new();
                for to in &self.to {
                    match self.deliver(&mail, std::slice::from_ref(to)).await {
                        Ok(()) => {}
                        Err(error @ SendError::Unavailable { .. }) => return Err(error),
                        Err(SendError::Refused { reason }) => refused.push(format!("{}: {reason}", to.email)),
                    }
                }
                if refused.len() == self.to.len() {
                    return Err(SendError::refused(reason));
                }
                receipt.note = Some(format!("not to {}", refused.join("; ")));
                Ok(receipt)
            }
            other => other.map(|()| receipt),
        }
    }

    async fn check(&self) -> Result<String, SendError> {
        match self.transport.test_connection().await {
            Ok(true) => Ok(format!("{} takes mail", self.host)),
            Ok(false) => Err(SendError::unavailable(format!("{} does not take mail now", self.host))),
            Err(error) => Err(judged(&error)),
        }
    }

    fn concurrency(&self) -> u32 {
        2
    }
}
