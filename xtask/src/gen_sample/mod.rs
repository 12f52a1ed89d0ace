//! Generates the sample day that `tocsin demo` reads: an attack on an imagined company, told in
//! CloudTrail records, among a day's ordinary noise.
//!
//! The same seed gives the same bytes. Everything in it is made up: account numbers and bucket
//! names are those AWS uses in its documentation, addresses come from the ranges kept for
//! documentation (RFC 5737).

mod actor;
mod attack;
mod noise;
mod random;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};

use actor::Actor;
use random::Random;

/// The day, midnight UTC: 17 June 2026.
const DAY: &str = "2026-06-17";
const SEED: u64 = 0x70C5_1260_2606_0017;
/// The company's account.
const ACCOUNT: &str = "111122223333";
/// Somebody else's account.
const FOREIGN_ACCOUNT: &str = "444455556666";
const REGION: &str = "eu-west-1";

/// A call, before it becomes a record.
struct Call<'a> {
    /// Seconds since midnight.
    at: u32,
    actor: &'a Actor,
    service: &'a str,
    action: &'a str,
    read_only: bool,
    request: Value,
    response: Value,
    /// Error code and message.
    error: Option<(&'a str, String)>,
    /// Members that only some records have.
    more: Vec<(&'a str, Value)>,
}

impl<'a> Call<'a> {
    fn new(at: u32, actor: &'a Actor, service: &'a str, action: &'a str, request: Value) -> Self {
        let reading = ["Get", "List", "Describe", "Head", "Lookup", "Decrypt", "AssumeRole", "BatchGet"];
        Self {
            at,
            actor,
            service,
            action,
            read_only: reading.iter().any(|start| action.starts_with(start)),
            request,
            response: Value::Null,
            error: None,
            more: Vec::new(),
        }
    }

    fn response(mut self, response: Value) -> Self {
        self.response = response;
        self
    }

    fn error(mut self, code: &'a str, message: impl Into<String>) -> Self {
        self.error = Some((code, message.into()));
        self
    }

    fn denied(self) -> Self {
        let message = format!(
            "User: {} is not authorized to perform: {}:{} because no identity-based policy allows the action",
            self.actor.arn, self.service, self.action
        );
        self.error("AccessDenied", message)
    }

    fn with(mut self, key: &'a str, value: Value) -> Self {
        self.more.push((key, value));
        self
    }

    /// A data event on an object of a bucket that belongs to `owner`.
    fn on_object(self, owner: &str, bucket: &str, key: &str) -> Self {
        let resources = json!([
            {"type": "AWS::S3::Object", "ARN": format!("arn:aws:s3:::{bucket}/{key}")},
            {"accountId": owner, "type": "AWS::S3::Bucket", "ARN": format!("arn:aws:s3:::{bucket}")},
        ]);
        self.with("resources", resources)
            .with("managementEvent", json!(false))
            .with("eventCategory", json!("Data"))
    }
}

/// The day being written.
struct Day {
    random: Random,
    /// (delivery slot, second, sequence) → record.
    records: BTreeMap<(u32, u32, usize), Value>,
}

impl Day {
    /// Turns a call into a record and files it under the hour of its delivery: a few minutes after
    /// it happened, so the last records of an hour come with the next.
    fn add(&mut self, call: Call<'_>) {
        let actor = call.actor;
        let at = call.at.min(86_399);
        let mut record = json!({
            "eventVersion": "1.09",
            "userIdentity": actor.identity,
            "eventTime": format!("{DAY}T{:02}:{:02}:{:02}Z", at / 3600, at / 60 % 60, at % 60),
            "eventSource": format!("{}.amazonaws.com", call.service),
            "eventName": call.action,
            "awsRegion": if matches!(call.service, "iam" | "signin") { "us-east-1" } else { REGION },
            "sourceIPAddress": actor.address,
            "userAgent": actor.agent,
        });
        let fields = record.as_object_mut().expect("an object was just made");
        let mut put = |key: &str, value: Value| {
            fields.insert(key.to_owned(), value);
        };
        if let Some((code, message)) = call.error {
            put("errorCode", json!(code));
            put("errorMessage", json!(message));
        }
        put("requestParameters", call.request);
        put("responseElements", call.response);
        put("requestID", json!(self.random.uuid()));
        put("eventID", json!(self.random.uuid()));
        put("readOnly", json!(call.read_only));
        put("eventType", json!("AwsApiCall"));
        put("managementEvent", json!(true));
        put("recipientAccountId", json!(ACCOUNT));
        put("eventCategory", json!("Management"));
        for (key, value) in call.more {
            put(key, value);
        }
        if !actor.address.contains("amazonaws.com") {
            let host = format!("{}.{REGION}.amazonaws.com", call.service);
            put(
                "tlsDetails",
                json!({"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256", "clientProvidedHostHeader": host}),
            );
            if actor.console {
                put("sessionCredentialFromConsole", json!("true"));
            }
        }
        let delivered = at + 120 + self.random.below(600);
        let sequence = self.records.len();
        self.records.insert((delivered / 3600, at, sequence), record);
    }
}

/// Writes the sample day into `out`: one gzipped file an hour, and `files.rs` that names them.
pub fn run(out: &Path) -> Result<()> {
    let mut day = Day { random: Random::new(SEED), records: BTreeMap::new() };
    noise::add(&mut day);
    attack::add(&mut day);

    fs::create_dir_all(out).with_context(|| format!("create {}", out.display()))?;
    let mut slots: BTreeMap<u32, Vec<&Value>> = BTreeMap::new();
    for ((slot, ..), record) in &day.records {
        slots.entry(*slot).or_default().push(record);
    }
    let mut listing = String::from("&[\n");
    let mut size = 0;
    for (slot, records) in &slots {
        let (date, hour) = if *slot < 24 { ("20260617", *slot) } else { ("20260618", slot - 24) };
        let name = format!(
            "{ACCOUNT}_CloudTrail_{REGION}_{date}T{hour:02}00Z_{}.json.gz",
            Random::new(SEED ^ u64::from(*slot)).letters(16)
        );
        let text = serde_json::to_vec(&json!({ "Records": records }))?;
        let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
        gzip.write_all(&text)?;
        let bytes = gzip.finish()?;
        size += bytes.len();
        fs::write(out.join(&name), bytes)?;
        writeln!(listing, "    (\"{name}\", include_bytes!(\"{name}\").as_slice()),")?;
    }
    listing.push_str("]\n");
    fs::write(out.join("files.rs"), listing)?;
    println!("{} records in {} files, {size} bytes", day.records.len(), slots.len());
    Ok(())
}
