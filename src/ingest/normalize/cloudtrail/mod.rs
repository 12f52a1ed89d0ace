//! CloudTrail records as ECS documents.
//!
//! The fields are those that Elastic's CloudTrail integration produces, so that rules written for
//! it match; what newer versions add (`related.entity`, `user.changes`, `user.effective` …) is
//! there too. `README.md` of the rules names the fields they rely on; `tests/it/cloudtrail.rs`
//! compares with documents of the integration.

mod category;
mod identity;
mod record;
mod special;
mod time;

use std::borrow::Cow;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use sha2::{Digest as _, Sha256};

use self::record::{Key, Record};
use super::Refusal;
use super::user_agent::{self, UserAgent};
use super::writer::EcsWriter;
use crate::ecs::document::NewDocument;
use crate::ingest::java_text::{JavaText, Pruned};
use crate::ingest::tape::{Kind, Value};

/// The index CloudTrail goes to when nothing else is said.
pub const INDEX: &str = "logs-aws.cloudtrail-default";

/// Most distinct user agents whose parts are remembered between events.
const REMEMBERED_AGENTS: usize = 4_096;

/// The nested parts that become a text and a flattened object: key in the record, field of the
/// text, its path, path of the object.
const NESTED: [(Key, &str, &str, &str); 4] = [
    (
        Key::RequestParameters,
        "request_parameters",
        "aws.cloudtrail.request_parameters",
        "aws.cloudtrail.flattened.request_parameters",
    ),
    (
        Key::ResponseElements,
        "response_elements",
        "aws.cloudtrail.response_elements",
        "aws.cloudtrail.flattened.response_elements",
    ),
    (
        Key::AdditionalEventData,
        "additional_eventdata",
        "aws.cloudtrail.additional_eventdata",
        "aws.cloudtrail.flattened.additional_eventdata",
    ),
    (
        Key::ServiceEventDetails,
        "service_event_details",
        "aws.cloudtrail.service_event_details",
        "aws.cloudtrail.flattened.service_event_details",
    ),
];

/// Turns CloudTrail records into documents; keeps its buffers from record to record.
#[derive(Debug)]
pub struct Normalizer {
    index: Arc<str>,
    namespace: String,
    pruned: [Pruned; NESTED.len()],
    java: JavaText,
    text: String,
    path: String,
    agents: FxHashMap<Box<str>, UserAgent>,
}

impl Normalizer {
    /// A normaliser for documents that go to `index`.
    pub fn new(index: Arc<str>) -> Self {
        let namespace = index
            .strip_prefix("logs-aws.cloudtrail-")
            .filter(|n| !n.is_empty())
            .unwrap_or("default")
            .to_owned();
        Self {
            index,
            namespace,
            pruned: std::array::from_fn(|_| Pruned::default()),
            java: JavaText::default(),
            text: String::new(),
            path: String::new(),
            agents: FxHashMap::default(),
        }
    }

    /// The document of one record. `original` is the record's JSON text, `ingested` the time of
    /// reading it (RFC 3339), which becomes `event.ingested` and `event.created`.
    ///
    /// # Errors
    /// When the record is no object, has no time, or holds a list or object where CloudTrail has
    /// text.
    pub fn normalize(
        &mut self,
        root: Value<'_>,
        original: &str,
        ingested: &str,
    ) -> Result<NewDocument, Refusal> {
        let record = Record::read(root)?;
        let timestamp = timestamp(&record)?;
        let mut out = EcsWriter::new(original.len() * 2 + 512);

        out.text("@timestamp", "@timestamp", &timestamp);
        out.begin("ecs");
        out.text("version", "ecs.version", "8.0.0");
        out.end();
        out.begin("data_stream");
        out.text("type", "data_stream.type", "logs");
        out.text("dataset", "data_stream.dataset", "aws.cloudtrail");
        out.text("namespace", "data_stream.namespace", &self.namespace);
        out.end();
        event(&mut out, &record, ingested);

        out.begin("cloud");
        out.text("provider", "cloud.provider", "aws");
        out.scalar("region", "cloud.region", record.get(Key::AwsRegion));
        let account = record.get(Key::UserIdentity).and_then(|identity| identity.member("accountId"));
        out.begin("account");
        out.scalar(
            "id",
            "cloud.account.id",
            account
                .filter(|id| !id.is_empty())
                .or(record.get(Key::RecipientAccountId))
                .or(record.get(Key::AwsAccountId)),
        );
        out.end();
        out.end();

        let identity = identity::Identity::read(&record)?;
        identity.write_user(&mut out, &record);
        source(&mut out, &record);
        self.user_agent(&mut out, &record);
        tls(&mut out, &record);
        related(&mut out, &record, &identity);

        out.begin("aws");
        out.begin("cloudtrail");
        for (key, field, path) in [
            (Key::EventVersion, "event_version", "aws.cloudtrail.event_version"),
            (Key::EventCategory, "event_category", "aws.cloudtrail.event_category"),
            (Key::EventType, "event_type", "aws.cloudtrail.event_type"),
            (Key::ErrorCode, "error_code", "aws.cloudtrail.error_code"),
            (Key::ErrorMessage, "error_message", "aws.cloudtrail.error_message"),
            (Key::RequestId, "request_id", "aws.cloudtrail.request_id"),
            (Key::ApiVersion, "api_version", "aws.cloudtrail.api_version"),
            (Key::ManagementEvent, "management_event", "aws.cloudtrail.management_event"),
            (Key::ReadOnly, "read_only", "aws.cloudtrail.read_only"),
            (Key::RecipientAccountId, "recipient_account_id", "aws.cloudtrail.recipient_account_id"),
            (Key::SharedEventId, "shared_event_id", "aws.cloudtrail.shared_event_id"),
            (Key::VpcEndpointId, "vpc_endpoint_id", "aws.cloudtrail.vpc_endpoint_id"),
            (Key::VpcEndpointAccountId, "vpc_endpoint_account_id", "aws.cloudtrail.vpc_endpoint_account_id"),
            (
                Key::SessionCredentialFromConsole,
                "session_credential_from_console",
                "aws.cloudtrail.session_credential_from_console",
            ),
        ] {
            out.scalar(field, path, record.get(key));
        }
        identity.write(&mut out);
        resources(&mut out, &record);
        self.nested(&mut out, &record);
        special::console_login(&mut out, &record);
        special::insight(&mut out, &record, &mut self.path);
        special::digest(&mut out, &record);
        out.end();
        out.end();

        let (source, flat) = out.finish();
        Ok(NewDocument {
            index: Arc::clone(&self.index),
            id: identity_of(&record, original),
            source,
            original: Some(original.to_owned()),
            flat,
        })
    }

    /// Request parameters and their kin: as text, then as objects below `flattened`.
    fn nested(&mut self, out: &mut EcsWriter, record: &Record<'_>) {
        for ((key, field, path, _), pruned) in NESTED.iter().zip(&mut self.pruned) {
            let Some(value) = record.get(*key) else { continue };
            pruned.judge(value);
            if pruned.keeps(value) {
                self.text.clear();
                self.java.render(value, pruned, &mut self.text);
                out.text(field, path, &self.text);
            }
        }
        out.begin("flattened");
        for ((key, field, _, path), pruned) in NESTED.iter().zip(&self.pruned) {
            let Some(value) = record.get(*key) else { continue };
            // Only objects can be flattened; a bare text is in the text field.
            if value.kind() == Kind::Object {
                self.path.clear();
                self.path.push_str(path);
                out.tree(field, &mut self.path, value, &|node| pruned.keeps(node));
            }
        }
        special::flattened(out, record, &mut self.path);
        out.end();
    }

    fn user_agent(&mut self, out: &mut EcsWriter, record: &Record<'_>) {
        let Some(value) = record.get(Key::UserAgent) else { return };
        let Some(original) = value.scalar() else { return };
        out.begin("user_agent");
        out.scalar("original", "user_agent.original", Some(value));
        if !self.agents.contains_key(&*original) {
            if self.agents.len() >= REMEMBERED_AGENTS {
                self.agents.clear();
            }
            self.agents.insert(Box::from(&*original), user_agent::parse(&original));
        }
        if let Some(agent) = self.agents.get(&*original) {
            out.text("name", "user_agent.name", &agent.name);
            out.text("version", "user_agent.version", agent.version.as_deref().unwrap_or_default());
            out.begin("device");
            out.text("name", "user_agent.device.name", &agent.device);
            out.end();
            if let Some(name) = &agent.os_name {
                out.begin("os");
                out.text("name", "user_agent.os.name", name);
                if let Some(version) = &agent.os_version {
                    out.text("version", "user_agent.os.version", version);
                    out.text("full", "user_agent.os.full", &format!("{name} {version}"));
                }
                out.end();
            }
        }
        out.end();
    }
}

/// The event's own time: `eventTime`, else the end of a digest, else what a shipper wrote.
fn timestamp(record: &Record<'_>) -> Result<String, Refusal> {
    for (key, field) in [
        (Key::EventTime, "eventTime"),
        (Key::DigestEndTime, "digestEndTime"),
        (Key::AtTimestamp, "@timestamp"),
    ] {
        if let Some(text) = record.get(key).and_then(|value| value.scalar()) {
            return time::millis(&text)
                .ok_or_else(|| Refusal::BadTime { field, value: text.chars().take(64).collect() });
        }
    }
    Err(Refusal::Missing("eventTime"))
}

/// `_id`: the event's own id with the account that received it (an event that concerns two accounts
/// is delivered to both), else a hash of the record.
fn identity_of(record: &Record<'_>, original: &str) -> String {
    let text = |key| record.get(key).and_then(|value: Value<'_>| value.scalar());
    match (text(Key::EventId), text(Key::RecipientAccountId)) {
        (Some(id), Some(account)) => format!("{id}-{account}"),
        (Some(id), None) => id.into_owned(),
        (None, _) => content_id(original),
    }
}

/// An `_id` from the content of a record that brings none.
pub(crate) fn content_id(text: &str) -> String {
    use std::fmt::Write as _;
    let digest = Sha256::digest(text.as_bytes());
    let mut out = String::with_capacity(40);
    for byte in digest.iter().take(20) {
        // Writing to a String cannot fail.
        let _ok = write!(out, "{byte:02x}").is_ok();
    }
    out
}

fn event(out: &mut EcsWriter, record: &Record<'_>, ingested: &str) {
    out.begin("event");
    out.text("kind", "event.kind", "event");
    out.text("module", "event.module", "aws");
    out.text("dataset", "event.dataset", "aws.cloudtrail");
    out.scalar("provider", "event.provider", record.get(Key::EventSource));
    out.scalar("action", "event.action", record.get(Key::EventName));
    out.scalar("id", "event.id", record.get(Key::EventId));
    let action = record.get(Key::EventName).and_then(|value| value.scalar()).unwrap_or_default();
    let (category, types) = category::of(&action);
    out.texts("category", "event.category", category);
    out.texts("type", "event.type", types);
    if record.get(Key::DigestEndTime).is_none() {
        let outcome = if failed(record, &action) { "failure" } else { "success" };
        out.text("outcome", "event.outcome", outcome);
    }
    out.text("created", "event.created", ingested);
    out.text("ingested", "event.ingested", ingested);
    out.end();
}

/// Whether the call failed: an error code or message says so, and for sign-in events the response,
/// which names the action with `Success` or `Failure`.
fn failed(record: &Record<'_>, action: &str) -> bool {
    if record.get(Key::ErrorCode).is_some() || record.get(Key::ErrorMessage).is_some() {
        return true;
    }
    record
        .get(Key::ResponseElements)
        .and_then(|response| response.member(action))
        .and_then(|result| result.as_str())
        .is_some_and(|result| result.eq_ignore_ascii_case("failure"))
}

/// An address that is the name of a service is an address but no ip.
fn source(out: &mut EcsWriter, record: &Record<'_>) {
    let Some(address) = record.get(Key::SourceIpAddress) else { return };
    out.begin("source");
    out.scalar("address", "source.address", Some(address));
    if address.as_str().is_some_and(|text| is_ip(&text)) {
        out.scalar("ip", "source.ip", Some(address));
    }
    out.end();
}

/// IPv6, or four numbers up to 255; leading zeros are let through as the integration does.
fn is_ip(text: &str) -> bool {
    let mut parts = 0;
    let dotted = text.split('.').all(|part| {
        parts += 1;
        matches!(part.len(), 1..=3)
            && part.bytes().all(|b| b.is_ascii_digit())
            && part.parse::<u16>().is_ok_and(|n| n <= 255)
    });
    (dotted && parts == 4) || (text.contains(':') && text.parse::<std::net::Ipv6Addr>().is_ok())
}

fn tls(out: &mut EcsWriter, record: &Record<'_>) {
    let Some(details) = record.get(Key::TlsDetails) else { return };
    out.begin("tls");
    let version = details.member("tlsVersion").and_then(|value| value.as_str()).unwrap_or_default();
    if let Some(at) = version.find('v') {
        let (protocol, number) = version.split_at_checked(at).unwrap_or_default();
        out.text("version", "tls.version", number.trim_start_matches('v'));
        out.text("version_protocol", "tls.version_protocol", &protocol.to_ascii_lowercase());
    } else {
        out.text("version", "tls.version", &version);
    }
    out.scalar("cipher", "tls.cipher", details.member("cipherSuite"));
    out.begin("client");
    out.scalar("server_name", "tls.client.server_name", details.member("clientProvidedHostHeader"));
    out.end();
    out.end();
}

fn related(out: &mut EcsWriter, record: &Record<'_>, identity: &identity::Identity<'_>) {
    out.begin("related");
    let mut users: Vec<Cow<'_, str>> = Vec::new();
    let request = record.get(Key::RequestParameters);
    let asked = |key| request.and_then(|request| request.member(key)).filter(|value| !value.is_empty());
    for value in [identity.user_name, asked("userName"), asked("newUserName")] {
        if let Some(text) = value.and_then(|value| value.scalar())
            && !users.contains(&text)
        {
            users.push(text);
        }
    }
    out.texts("user", "related.user", &users);
    let mut entities: Vec<Cow<'_, str>> = Vec::new();
    identity.entities(&mut entities);
    for key in [Key::Resources, Key::RequestParameters, Key::ResponseElements] {
        if let Some(part) = record.get(key) {
            arns(part, &mut entities);
        }
    }
    entities.sort_unstable();
    entities.dedup();
    out.texts("entity", "related.entity", &entities);
    out.end();
}

/// All texts inside `part` that are ARNs.
fn arns<'a>(part: Value<'a>, entities: &mut Vec<Cow<'a, str>>) {
    for index in part.index()..part.end_index() {
        let value = part.at(index);
        if value.kind() == Kind::String
            && value.raw().starts_with("arn:")
            && let Some(text) = value.as_str()
        {
            entities.push(text);
        }
    }
}

fn resources(out: &mut EcsWriter, record: &Record<'_>) {
    let Some(resources) = record.get(Key::Resources) else { return };
    out.begin_list("resources");
    for resource in resources.children() {
        out.begin_item();
        let arn = resource.member("ARN").or_else(|| resource.member("arn"));
        out.scalar("arn", "aws.cloudtrail.resources.arn", arn);
        out.scalar("account_id", "aws.cloudtrail.resources.account_id", resource.member("accountId"));
        out.scalar("type", "aws.cloudtrail.resources.type", resource.member("type"));
        out.end();
    }
    out.end_list();
}
