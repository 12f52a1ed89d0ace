//! AWS: SNS topics, SQS queues, `EventBridge` buses.

use async_trait::async_trait;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::webhook::document;
use super::{address, http, put, read, text_at};
use crate::base::clock::{Clock, SystemClock};
use crate::config::SecretRef;
use crate::config::secret::Reference;
use crate::elastic::Credentials;
use crate::elastic::sigv4::{Parts, Scope, headers};
use crate::notify::connector::{Connector, Receipt, SendError};
use crate::notify::escape::{cut, line};
use crate::notify::http::{Answer, Http, Outgoing, header};
use crate::notify::lane::LaneSettings;
use crate::notify::message::Message;

/// Longest text that SNS and SQS take, less what goes with it, bytes.
const LONGEST: usize = 240 * 1024;

#[derive(Deserialize)]
struct Own {
    region: String,
    #[serde(default)]
    url: Option<SecretRef>,
    #[serde(default)]
    access_key_id: Option<SecretRef>,
    #[serde(default)]
    secret_access_key: Option<SecretRef>,
    #[serde(default)]
    session_token: Option<SecretRef>,
    #[serde(default)]
    topic_arn: Option<String>,
    #[serde(default)]
    queue_url: Option<String>,
    #[serde(default)]
    event_bus: Option<String>,
}

#[derive(Debug)]
enum Target {
    Topic(String),
    Queue(String),
    Bus(String),
}

#[derive(Debug)]
pub(super) struct Aws {
    http: Http,
    url: Url,
    region: String,
    service: &'static str,
    credentials: Credentials,
    target: Target,
}

impl Aws {
    pub(super) fn new(settings: &LaneSettings) -> Result<Self, String> {
        let own: Own = read(settings)?;
        let (service, target) = match settings.config.connector_type.as_str() {
            "sns" => ("sns", Target::Topic(own.topic_arn.ok_or("needs `topic_arn`")?)),
            "sqs" => ("sqs", Target::Queue(own.queue_url.ok_or("needs `queue_url`")?)),
            _ => ("events", Target::Bus(own.event_bus.unwrap_or_else(|| "default".to_owned()))),
        };
        let own_url = match &target {
            Target::Queue(url) => url.clone(),
            _ => format!("https://{service}.{}.amazonaws.com/", own.region),
        };
        let mut url = match &own.url {
            Some(url) => address(url)?,
            None => Url::parse(&own_url).map_err(|error| format!("`{own_url}`: {error}"))?,
        };
        url.set_path("/");
        let variable = |name: &str| SecretRef::Reference(Reference::Env(name.to_owned()));
        let secret = |given: Option<SecretRef>, name: &str| {
            given.unwrap_or_else(|| variable(name)).resolve().map(|secret| secret.expose().to_owned())
        };
        let explicit = own.access_key_id.is_some();
        let session = match own.session_token {
            Some(token) => Some(token.resolve().map_err(|error| error.to_string())?.expose().to_owned()),
            // A token of the environment belongs to the keys of the environment.
            None if explicit => None,
            None => secret(None, "AWS_SESSION_TOKEN").ok(),
        };
        Ok(Self {
            http: http(settings)?,
            url,
            region: own.region,
            service,
            credentials: Credentials {
                access_key: secret(own.access_key_id, "AWS_ACCESS_KEY_ID")
                    .map_err(|error| error.to_string())?,
                secret_key: secret(own.secret_access_key, "AWS_SECRET_ACCESS_KEY")
                    .map_err(|error| error.to_string())?,
                session_token: session,
            },
            target,
        })
    }

    async fn call(
        &self,
        body: String,
        content_type: &'static str,
        target: Option<&'static str>,
    ) -> Result<Answer, SendError> {
        let host = self.url.host_str().unwrap_or_default();
        let host = self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let parts = Parts { method: "POST", path: "/", query: "", host: &host, body: body.as_bytes() };
        let scope = Scope { region: &self.region, service: self.service };
        let signed = headers(&parts, scope, &self.credentials, SystemClock.now());
        let mut all: Vec<(HeaderName, HeaderValue)> =
            vec![(CONTENT_TYPE, HeaderValue::from_static(content_type))];
        for (name, value) in signed {
            all.push(header(name, &value).map_err(SendError::unavailable)?);
        }
        if let Some(target) = target {
            all.push((HeaderName::from_static("x-amz-target"), HeaderValue::from_static(target)));
        }
        let outgoing =
            Outgoing { method: Method::POST, url: self.url.clone(), headers: all, body: body.into_bytes() };
        match self.http.send(outgoing).await {
            // AWS answers 400 to what has nothing to do with the message.
            Err(SendError::Refused { reason }) if TRANSIENT.iter().any(|word| reason.contains(word)) => {
                Err(SendError::unavailable(reason))
            }
            other => other,
        }
    }
}

/// Errors of AWS's that come with status 400 and may pass.
const TRANSIENT: [&str; 9] = [
    "Throttl",
    "ExpiredToken",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnrecognizedClient",
    "AccessDenied",
    "QueueDoesNotExist",
    "RequestExpired",
    "IncompleteSignature",
];

/// Title and text for people, then the document for programs, in one text.
fn text(message: &Message) -> String {
    cut(&format!("{}\n\n{}", message.title, message.plain()), LONGEST)
}

/// The subject that SNS takes: ASCII, at most 100 characters.
pub(super) fn subject(title: &str) -> String {
    let ascii: String =
        line(title).chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect();
    let short: String = ascii.chars().take(100).collect();
    if short.trim().is_empty() { "tocsin".to_owned() } else { short }
}

fn fifo(name: &str) -> bool {
    std::path::Path::new(name).extension().is_some_and(|end| end == "fifo")
}

/// A group id as FIFO targets take it.
fn group(message: &Message) -> String {
    message.thread.chars().filter(char::is_ascii_graphic).take(128).collect()
}

/// The document that queues and buses carry; without the events where it would be too long.
pub(super) fn carried(message: &Message) -> String {
    let mut document = document(message);
    let whole = document.to_string();
    if whole.len() <= LONGEST {
        return whole;
    }
    put(&mut document, "alerts", Value::Null);
    put(&mut document, "text", cut(&message.plain(), LONGEST / 4));
    document.to_string()
}

fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// A message as the form that `Publish` takes.
fn publish(topic: &str, message: &Message) -> String {
    let (subject, text, group) = (subject(&message.title), text(message), group(message));
    let mut pairs = vec![
        ("Action".to_owned(), "Publish"),
        ("Version".to_owned(), "2010-03-31"),
        ("TopicArn".to_owned(), topic),
        ("Subject".to_owned(), subject.as_str()),
        ("Message".to_owned(), text.as_str()),
    ];
    if fifo(topic) {
        pairs.push(("MessageGroupId".to_owned(), &group));
        pairs.push(("MessageDeduplicationId".to_owned(), &message.key));
    }
    let attributes = [
        ("key", message.key.as_str()),
        ("kind", message.kind.as_str()),
        ("severity", message.severity.as_str()),
        ("alert", message.alert.as_str()),
    ];
    let named = attributes.into_iter().filter(|(_, value)| !value.is_empty());
    for (number, (name, value)) in named.enumerate() {
        let at = format!("MessageAttributes.entry.{}", number + 1);
        pairs.push((format!("{at}.Name"), name));
        pairs.push((format!("{at}.Value.DataType"), "String"));
        pairs.push((format!("{at}.Value.StringValue"), value));
    }
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    form(&pairs)
}

#[async_trait]
impl Connector for Aws {
    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        match &self.target {
            Target::Topic(topic) => {
                let form = publish(topic, message);
                let answer = self.call(form, "application/x-www-form-urlencoded", None).await?;
                let id = answer
                    .body
                    .split_once("<MessageId>")
                    .and_then(|(_, rest)| rest.split_once("</MessageId>"));
                match id {
                    Some((id, _)) => Ok(Receipt { reference: Some(id.trim().to_owned()), note: None }),
                    None => Err(SendError::unavailable("the answer names no message id")),
                }
            }
            Target::Queue(queue) => {
                let mut body = json!({"QueueUrl": queue, "MessageBody": carried(message)});
                put(
                    &mut body,
                    "MessageAttributes",
                    json!({
                        "key": {"DataType": "String", "StringValue": message.key},
                        "kind": {"DataType": "String", "StringValue": message.kind.as_str()},
                    }),
                );
                if fifo(queue) {
                    put(&mut body, "MessageGroupId", group(message));
                    put(&mut body, "MessageDeduplicationId", message.key.as_str());
                }
                let answer = self
                    .call(body.to_string(), "application/x-amz-json-1.0", Some("AmazonSQS.SendMessage"))
                    .await?;
                match answer.json().and_then(|body| text_at(&body, "/MessageId")) {
                    Some(id) => Ok(Receipt { reference: Some(id), note: None }),
                    None => Err(SendError::unavailable("the answer names no message id")),
                }
            }
            Target::Bus(bus) => {
                let entry = json!({
                    "Source": "tocsin",
                    "DetailType": format!("tocsin {}", message.kind),
                    "Detail": carried(message),
                    "EventBusName": bus,
                    "Time": message.at.timestamp(),
                });
                let body = json!({"Entries": [entry]}).to_string();
                let answer =
                    self.call(body, "application/x-amz-json-1.1", Some("AWSEvents.PutEvents")).await?;
                let answer = answer.json().ok_or_else(|| SendError::unavailable("the answer is no JSON"))?;
                // A success that took nothing is none.
                if answer.get("FailedEntryCount").and_then(Value::as_u64) != Some(0) {
                    return Err(SendError::unavailable(format!(
                        "eventbridge says {}",
                        cut(&answer.to_string(), 200)
                    )));
                }
                Ok(Receipt { reference: text_at(&answer, "/Entries/0/EventId"), note: None })
            }
        }
    }

    async fn check(&self) -> Result<String, SendError> {
        match &self.target {
            Target::Topic(topic) => {
                let form =
                    form(&[("Action", "GetTopicAttributes"), ("Version", "2010-03-31"), ("TopicArn", topic)]);
                self.call(form, "application/x-www-form-urlencoded", None).await?;
                Ok(format!("topic {topic} is there"))
            }
            Target::Queue(queue) => {
                let body = json!({"QueueUrl": queue, "AttributeNames": ["QueueArn"]}).to_string();
                self.call(body, "application/x-amz-json-1.0", Some("AmazonSQS.GetQueueAttributes")).await?;
                Ok(format!("queue {queue} is there"))
            }
            Target::Bus(bus) => {
                let body = json!({"Name": bus}).to_string();
                self.call(body, "application/x-amz-json-1.1", Some("AWSEvents.DescribeEventBus")).await?;
                Ok(format!("event bus {bus} is there"))
            }
        }
    }

    fn concurrency(&self) -> u32 {
        16
    }
}
