//! Console sign-in, Insight events and digest files.

use super::super::writer::EcsWriter;
use super::record::{Key, Record};
use super::time;
use crate::ingest::tape::Value;

/// `aws.cloudtrail.console_login.*`: how somebody signed in to the console.
pub(super) fn console_login(out: &mut EcsWriter, record: &Record<'_>) {
    let signin = record.get(Key::EventType).is_some_and(|kind| kind.raw() == "AwsConsoleSignIn");
    let Some(data) = record.get(Key::AdditionalEventData).filter(|_| signin) else { return };
    out.begin("console_login");
    out.begin("additional_eventdata");
    for (member, key, path) in [
        (
            "MobileVersion",
            "mobile_version",
            "aws.cloudtrail.console_login.additional_eventdata.mobile_version",
        ),
        ("MFAUsed", "mfa_used", "aws.cloudtrail.console_login.additional_eventdata.mfa_used"),
    ] {
        let text = data.member(member).and_then(|value| value.scalar()).unwrap_or_default();
        if text.eq_ignore_ascii_case("yes") || text == "true" {
            out.boolean(key, path, true);
        } else if text.eq_ignore_ascii_case("no") || text == "false" {
            out.boolean(key, path, false);
        }
    }
    out.scalar(
        "login_to",
        "aws.cloudtrail.console_login.additional_eventdata.login_to",
        data.member("LoginTo"),
    );
    out.end();
    out.end();
}

/// `aws.cloudtrail.insight_details.*`: what an Insight event is about, with the names AWS gives its
/// members (one of Elastic's shippers keeps them) and, where those are not in lower case, in the
/// snake case of all other fields.
pub(super) fn insight(out: &mut EcsWriter, record: &Record<'_>, path: &mut String) {
    let Some(details) = record.get(Key::InsightDetails) else { return };
    out.begin("insight_details");
    path.clear();
    path.push_str("aws.cloudtrail.insight_details");
    let length = path.len();
    for member in details.children().filter(|member| filled(*member)) {
        path.push('.');
        path.push_str(&member.key());
        out.tree(&member.key(), path, member, &filled);
        path.truncate(length);
    }
    for member in details.children().filter(|member| filled(*member)) {
        let snake = snake_case(&member.key());
        if *snake != *member.key() && details.member(&snake).is_none() {
            path.push('.');
            path.push_str(&snake);
            out.renamed(&snake, path, member, &snake_case);
            path.truncate(length);
        }
    }
    out.end();
}

/// `insightType` → `insight_type`.
fn snake_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// Whether a value holds anything itself; members of objects are asked one by one.
fn filled(value: Value<'_>) -> bool {
    !value.is_empty()
}

/// `aws.cloudtrail.digest.*`: the integrity record of delivered log files.
pub(super) fn digest(out: &mut EcsWriter, record: &Record<'_>) {
    if record.get(Key::DigestEndTime).is_none() {
        return;
    }
    out.begin("digest");
    for (key, field, path) in [
        (Key::DigestStartTime, "start_time", "aws.cloudtrail.digest.start_time"),
        (Key::DigestEndTime, "end_time", "aws.cloudtrail.digest.end_time"),
        (Key::NewestEventTime, "newest_event_time", "aws.cloudtrail.digest.newest_event_time"),
        (Key::OldestEventTime, "oldest_event_time", "aws.cloudtrail.digest.oldest_event_time"),
    ] {
        if let Some(text) = record.get(key).and_then(|value| value.scalar()) {
            out.text(field, path, &time::millis(&text).unwrap_or_else(|| text.to_string()));
        }
    }
    for (key, field, path) in [
        (Key::DigestS3Bucket, "s3_bucket", "aws.cloudtrail.digest.s3_bucket"),
        (Key::DigestS3Object, "s3_object", "aws.cloudtrail.digest.s3_object"),
        (
            Key::DigestPublicKeyFingerprint,
            "public_key_fingerprint",
            "aws.cloudtrail.digest.public_key_fingerprint",
        ),
        (Key::DigestSignatureAlgorithm, "signature_algorithm", "aws.cloudtrail.digest.signature_algorithm"),
        (Key::PreviousDigestS3Bucket, "previous_s3_bucket", "aws.cloudtrail.digest.previous_s3_bucket"),
        (Key::PreviousDigestS3Object, "previous_s3_object", "aws.cloudtrail.digest.previous_s3_object"),
        (Key::PreviousDigestHashValue, "previous_hash_value", "aws.cloudtrail.digest.previous_hash_value"),
        (
            Key::PreviousDigestHashAlgorithm,
            "previous_hash_algorithm",
            "aws.cloudtrail.digest.previous_hash_algorithm",
        ),
        (Key::PreviousDigestSignature, "previous_signature", "aws.cloudtrail.digest.previous_signature"),
    ] {
        out.scalar(field, path, record.get(key));
    }
    if let Some(files) = record.get(Key::LogFiles) {
        out.begin_list("log_files");
        for file in files.children() {
            out.begin_item();
            for (member, key, path) in [
                ("s3Bucket", "s3_bucket", "aws.cloudtrail.digest.log_files.s3_bucket"),
                ("s3Object", "s3_object", "aws.cloudtrail.digest.log_files.s3_object"),
                ("hashValue", "hash_value", "aws.cloudtrail.digest.log_files.hash_value"),
                ("hashAlgorithm", "hash_algorithm", "aws.cloudtrail.digest.log_files.hash_algorithm"),
                ("newestEventTime", "newest_event_time", "aws.cloudtrail.digest.log_files.newest_event_time"),
                ("oldestEventTime", "oldest_event_time", "aws.cloudtrail.digest.log_files.oldest_event_time"),
            ] {
                out.scalar(key, path, file.member(member));
            }
            out.end();
        }
        out.end_list();
    }
    out.end();
}

/// Insight details and digests as flattened objects.
pub(super) fn flattened(out: &mut EcsWriter, record: &Record<'_>, path: &mut String) {
    if let Some(details) = record.get(Key::InsightDetails) {
        path.clear();
        path.push_str("aws.cloudtrail.flattened.insight_details");
        out.tree("insight_details", path, details, &filled);
    }
    if record.get(Key::DigestEndTime).is_some() {
        path.clear();
        path.push_str("aws.cloudtrail.flattened.digest");
        out.tree("digest", path, record.root(), &filled);
    }
}
