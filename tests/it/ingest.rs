//! From files to documents through the whole pipeline: formats, indices, and every line of bad
//! input, each with its place and with everything good kept.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tocsin::ecs::document::NewDocument;
use tocsin::ingest::formats::Format;
use tocsin::ingest::pipeline::{self, Progress, Report, Target};
use tocsin::ingest::reader::ReadOptions;
use tocsin::ingest::sources;

#[derive(Default)]
struct List(Vec<NewDocument>);

impl Target for List {
    type Error = std::convert::Infallible;
    fn push(&mut self, documents: Vec<NewDocument>) -> Result<(), Self::Error> {
        self.0.extend(documents);
        Ok(())
    }
}

const NOW: &str = "2026-06-18T00:00:00.000Z";

fn ingest(paths: &[&Path], format: Format, index: Option<&str>) -> (Report, Vec<NewDocument>) {
    let paths: Vec<PathBuf> = paths.iter().map(|path| path.to_path_buf()).collect();
    let found = sources::find(&paths).unwrap();
    let options = ReadOptions { format, index: index.map(str::to_owned), ingested: NOW.to_owned() };
    let mut list = List::default();
    let Ok(report) = pipeline::run(&found.list, &options, 2, &Progress::default(), &mut list);
    (report, list.0)
}

fn auto(path: &Path) -> (Report, Vec<NewDocument>) {
    ingest(&[path], Format::Auto, None)
}

fn file(dir: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, content).unwrap();
    path
}

fn gzip(content: impl AsRef<[u8]>) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(content.as_ref()).unwrap();
    out.finish().unwrap()
}

fn event(n: usize) -> Value {
    json!({
        "eventVersion": "1.10",
        "eventTime": "2026-06-17T03:31:17Z",
        "eventSource": "cloudtrail.amazonaws.com",
        "eventName": "StopLogging",
        "awsRegion": "eu-west-1",
        "eventID": format!("00000000-0000-4000-8000-{n:012}"),
        "recipientAccountId": "111122223333",
        "requestID": format!("{:x}", (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)),
    })
}

fn records(count: usize) -> String {
    json!({"Records": (0..count).map(event).collect::<Vec<_>>()}).to_string()
}

/// The values of one path of a document.
fn values(document: &NewDocument, path: &str) -> Vec<String> {
    document.flat.values(path).map(|leaf| leaf.value.to_owned()).collect()
}

#[test]
fn formats_are_told_by_content() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    for (name, content, index) in [
        ("records.json.gz", gzip(records(1)), "logs-aws.cloudtrail-default"),
        ("records.txt", zstd::encode_all(records(1).as_bytes(), 1).unwrap(), "logs-aws.cloudtrail-default"),
        ("line.log", format!("{}\n", event(1)).into_bytes(), "logs-aws.cloudtrail-default"),
        ("pretty.json", serde_json::to_vec_pretty(&event(1)).unwrap(), "logs-aws.cloudtrail-default"),
        (
            "ecs.ndjson",
            b"{\"@timestamp\":\"2026-01-01\",\"data_stream\":{\"dataset\":\"x\"}}".to_vec(),
            "logs-x-default",
        ),
        ("ecs2.ndjson", b"{\"a\":1,\"_index\":\"mine\",\"_id\":\"7\"}".to_vec(), "mine"),
        ("plain.ndjson", b"{\"a\":1}".to_vec(), "logs-generic-default"),
        ("hits.ndjson", b"{\"_index\":\"i\",\"_id\":\"7\",\"_source\":{\"a\":1}}".to_vec(), "i"),
        ("bulk.ndjson", b"{\"create\":{\"_index\":\"b\",\"_id\":\"7\"}}\n{\"a\":1}\n".to_vec(), "b"),
    ] {
        let path = file(d, name, content);
        let (report, documents) = auto(&path);
        assert_eq!(report.rejects, [], "{name}");
        assert_eq!((report.read, documents.len()), (1, 1), "{name}");
        assert_eq!(&*documents[0].index, index, "{name}");
        let (_, documents) = ingest(&[&path], Format::Auto, Some("elsewhere"));
        assert_eq!(&*documents[0].index, "elsewhere", "--index wins: {name}");
        if ["ecs2.ndjson", "hits.ndjson", "bulk.ndjson"].contains(&name) {
            assert_eq!((&*documents[0].id, &*documents[0].source), ("7", "{\"a\":1}"), "{name}");
        }
    }
}

#[test]
fn no_record_of_cloudtrail_passes_for_something_else() {
    let dir = tempfile::tempdir().unwrap();
    let header = format!("{{\"message\":\"a header\"}}\n{}\n", event(1));
    let (report, documents) = auto(&file(dir.path(), "header.ndjson", header));
    assert_eq!((documents.len(), report.rejected, report.without_timestamp), (2, 0, 1));
    assert_eq!(values(&documents[1], "event.action"), ["StopLogging"]);

    let late = json!({"note": "first", "Records": [event(1), event(2)]}).to_string();
    let (report, documents) = auto(&file(dir.path(), "late.json", late));
    assert_eq!((documents.len(), report.read, report.without_timestamp), (2, 2, 0));
    assert!(documents.iter().all(|d| &*d.index == "logs-aws.cloudtrail-default"));

    let strange = json!({"Records": [{"foo": 1}, event(1)]}).to_string();
    let (report, documents) = auto(&file(dir.path(), "strange.json", strange));
    assert_eq!((documents.len(), report.rejected), (1, 1), "what is no event is refused with its place");
    assert!(report.rejects[0].reason.contains("record 1"), "{:?}", report.rejects);
}

#[test]
fn folders_are_read_whole_and_reading_again_gives_the_same_ids() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..7 {
        let lines: String = (n * 100..n * 100 + 100).map(|n| format!("{}\n", event(n))).collect();
        file(dir.path(), &format!("{n}/x.json.gz"), gzip(lines));
    }
    let (report, mut first) = auto(dir.path());
    assert_eq!((report.files, report.read, first.len()), (7, 700, 700));
    let (_, mut again) = auto(dir.path());
    first.sort_by(|a, b| a.id.cmp(&b.id));
    again.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(first, again);
    first.dedup_by(|a, b| a.id == b.id);
    assert_eq!(first.len(), 700);
    assert_eq!(first[0].id, "00000000-0000-4000-8000-000000000000-111122223333");
}

#[test]
fn bulk_actions_that_ingest_has_not_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let body = "{\"index\":{\"_index\":\"b\"}}\n{\"a\":1}\n{\"delete\":{\"_id\":\"1\"}}\n{\"update\":{\"_id\":\"2\"}}\n\
                {\"doc\":{}}\n{\"create\":{}}\n{\"a\":2}\n{\"create\":{}}\n";
    let (report, documents) = auto(&file(dir.path(), "b", body));
    assert_eq!(documents.iter().map(|d| &*d.index).collect::<Vec<_>>(), ["b", "logs-generic-default"]);
    let lines: Vec<u64> = report.rejects.iter().map(|reject| reject.line).collect();
    assert_eq!(lines, [3, 4, 8], "{:?}", report.rejects);
}

/// Reads one bad file among good ones: the good ones are whole, the bad one is named.
fn bad(name: &str, content: impl AsRef<[u8]>) -> (Report, usize) {
    let dir = tempfile::tempdir().unwrap();
    file(dir.path(), "a-good.json.gz", gzip(records(3)));
    file(dir.path(), &format!("b-{name}"), content);
    file(dir.path(), "c-good.json.gz", gzip(records(3)));
    let (report, documents) = auto(dir.path());
    assert!(!report.rejects.is_empty(), "{name} is reported");
    for reject in &report.rejects {
        assert!(reject.path.ends_with(&format!("b-{name}")), "{reject:?}");
    }
    assert_eq!(report.files, 3);
    assert_eq!(report.rejected as usize, report.rejects.len());
    (report, documents.len() - 6)
}

#[test]
fn corrupt_gzip() {
    let mut data = gzip(records(2_000));
    let middle = data.len() / 2;
    for byte in &mut data[middle..middle + 16] {
        *byte ^= 0x5a;
    }
    let (report, kept) = bad("corrupt.json.gz", data);
    // Damage may lie before the place where it is noticed: no record of the file is evidence.
    assert_eq!((kept, report.rejects.len()), (0, 1), "{:?}", report.rejects);
    assert!(report.rejects[0].reason.contains("damaged"), "{:?}", report.rejects);
    let (report, kept) = bad("header.json.gz", [0x1f, 0x8b, 0x08, 0xff, 0x00, 0x01]);
    assert_eq!((kept, report.rejects.len()), (0, 1), "{:?}", report.rejects);
}

#[test]
fn half_written_gzip() {
    let data = gzip(records(2_000));
    let (report, kept) = bad("half.json.gz", &data[..data.len() / 2]);
    assert!(kept > 500, "{kept} kept");
    assert_eq!(report.rejects.len(), 1);
    assert!(report.rejects[0].reason.contains("cut off"), "{:?}", report.rejects);
    // Whole but for its checksum: every record is there, and still it is told.
    let (report, kept) = bad("checksum.json.gz", &data[..data.len() - 4]);
    assert_eq!(kept, 2_000);
    assert!(report.rejects[0].reason.contains("cut off"), "{:?}", report.rejects);
}

#[test]
fn concatenated_gzip() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "two.json.gz", [gzip(records(3)), gzip(format!("{}\n", event(9)))].concat());
    let (report, documents) = auto(&path);
    assert_eq!((report.rejects.len(), documents.len()), (0, 4), "{:?}", report.rejects);
}

#[test]
fn truncated_json() {
    let text = records(5);
    let (report, kept) = bad("cut.json", &text[..text.len() - 60]);
    assert_eq!(kept, 4);
    assert!(report.rejects[0].reason.contains("truncated"), "{:?}", report.rejects);
    assert!(report.rejects[0].reason.starts_with("record 5 "), "{:?}", report.rejects);
}

#[test]
fn bytes_that_are_no_text() {
    let mut data = Vec::new();
    for n in 0..3 {
        data.extend_from_slice(event(n).to_string().as_bytes());
        data.push(b'\n');
    }
    let at = data.windows(11).rposition(|w| w == b"StopLogging").unwrap();
    data[at] = 0xff;
    let (report, kept) = bad("latin.ndjson", &data);
    assert_eq!(kept, 2);
    assert_eq!(report.rejects[0].line, 3);
    assert!(report.rejects[0].reason.contains(&format!("not UTF-8 at byte {at}")), "{:?}", report.rejects);
}

#[test]
fn wrong_types() {
    let mut lines = Vec::new();
    for (key, value) in [
        ("eventName", json!(["StopLogging"])),
        ("userIdentity", json!("root")),
        ("resources", json!({"ARN": "x"})),
        ("eventTime", json!("yesterday")),
        ("eventTime", json!(null)),
    ] {
        let mut event = event(lines.len());
        event[key] = value;
        lines.push(event.to_string());
    }
    lines.push("[1, \"x\"]".to_owned());
    lines.push(event(50).to_string());
    let (report, kept) = bad("types.ndjson", lines.join("\n"));
    assert_eq!(kept, 1);
    let reasons: Vec<(u64, &str)> = report
        .rejects
        .iter()
        .map(|r| (r.line, r.reason.split_once("): ").map_or("", |(_, reason)| reason)))
        .collect();
    assert_eq!(
        reasons,
        [
            (1, "`eventName` is a list, expected text"),
            (2, "`userIdentity` is text, expected an object"),
            (3, "`resources` is an object, expected a list"),
            (4, "`eventTime` is no time: `yesterday`"),
            (5, "no `eventTime`"),
            (6, "the record is not a JSON object"),
            (6, "the record is not a JSON object"),
        ]
    );
}

#[test]
fn a_bomb() {
    let line = std::io::Read::take(std::io::repeat(b'x'), 256 << 20);
    let bomb = std::io::Read::chain(&b"{\"a\":\""[..], line);
    let (report, kept) = bad("bomb.json", zstd::encode_all(bomb, 1).unwrap());
    assert_eq!(kept, 0);
    assert!(report.rejects.iter().any(|r| r.reason.contains("bomb")), "{:?}", report.rejects);
}

#[test]
fn a_file_that_is_none() {
    let (report, kept) = bad("picture.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
    assert_eq!((kept, report.rejects.len()), (0, 1));
}

#[test]
fn an_unreadable_file_does_not_stop_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let gone = file(dir.path(), "gone.json", records(1));
    let good = file(dir.path(), "good.json", records(2));
    let found = sources::find(&[gone.clone(), good]).unwrap();
    std::fs::remove_file(gone).unwrap();
    let options = ReadOptions { format: Format::Auto, index: None, ingested: NOW.to_owned() };
    let mut list = List::default();
    let Ok(report) = pipeline::run(&found.list, &options, 1, &Progress::default(), &mut list);
    assert_eq!(list.0.len(), 2);
    assert!(report.rejects[0].reason.contains("cannot read"), "{:?}", report.rejects);
}

#[test]
fn a_target_that_fails_ends_the_reading() {
    struct Full(usize);
    impl Target for Full {
        type Error = &'static str;
        fn push(&mut self, documents: Vec<NewDocument>) -> Result<(), Self::Error> {
            self.0 += documents.len();
            if self.0 > 5_000 { Err("disk full") } else { Ok(()) }
        }
    }
    let dir = tempfile::tempdir().unwrap();
    for n in 0..8 {
        file(dir.path(), &format!("{n}.json"), records(5_000));
    }
    let found = sources::find(&[dir.path().to_owned()]).unwrap();
    let options = ReadOptions { format: Format::Auto, index: None, ingested: NOW.to_owned() };
    let result = pipeline::run(&found.list, &options, 2, &Progress::default(), &mut Full(0));
    assert_eq!(result.unwrap_err(), "disk full");
}

/// Insight, digest and network activity events, in the shape AWS documents.
#[test]
fn special_events() {
    let dir = tempfile::tempdir().unwrap();
    let insight = json!({
        "eventVersion": "1.07", "eventTime": "2026-06-17T03:12:00Z", "awsRegion": "eu-west-1",
        "eventID": "i-1", "eventType": "AwsCloudTrailInsight", "recipientAccountId": "111122223333",
        "sharedEventID": "s-1", "eventCategory": "Insight",
        "insightDetails": {
            "state": "Start", "eventSource": "s3.amazonaws.com", "eventName": "DeleteBucket",
            "insightType": "ApiCallRateInsight",
            "insightContext": {
                "statistics": {"baseline": {"average": 0.0017}, "insight": {"average": 3.5}, "insightDuration": 1, "baselineDuration": 10060},
                "attributions": [{"attribute": "userIdentityArn", "insight": [{"value": "arn:aws:iam::111122223333:user/x", "average": 3.5}]}],
            },
        },
    });
    let network = json!({
        "eventVersion": "1.09", "eventTime": "2026-06-17T03:12:00Z", "eventSource": "kms.amazonaws.com", "eventName": "Decrypt",
        "awsRegion": "eu-west-1", "sourceIPAddress": "192.0.2.7", "eventID": "n-1", "eventType": "AwsVpceEvent",
        "eventCategory": "NetworkActivity", "recipientAccountId": "111122223333", "vpcEndpointId": "vpce-1",
        "vpcEndpointAccountId": "444455556666", "errorCode": "VpceAccessDenied",
        "errorMessage": "The request was denied due to a VPC endpoint policy",
        "userIdentity": {"type": "AWSAccount", "principalId": "AROAEXAMPLE:s", "accountId": "777788889999"},
    });
    let digest = json!({
        "awsAccountId": "111122223333", "digestStartTime": "2026-06-17T02:00:00Z", "digestEndTime": "2026-06-17T03:00:00Z",
        "digestS3Bucket": "amzn-s3-demo-bucket", "digestS3Object": "AWSLogs/x.json.gz", "digestPublicKeyFingerprint": "31e8",
        "digestSignatureAlgorithm": "SHA256withRSA", "newestEventTime": "2026-06-17T02:59:00Z", "oldestEventTime": "2026-06-17T02:01:00Z",
        "previousDigestS3Bucket": "amzn-s3-demo-bucket", "previousDigestHashAlgorithm": "SHA-256",
        "logFiles": [{"s3Bucket": "amzn-s3-demo-bucket", "s3Object": "AWSLogs/y.json.gz", "hashValue": "9a", "hashAlgorithm": "SHA-256"}],
    });
    let read = |event: &Value| {
        let (report, documents) = auto(&file(dir.path(), "e", event.to_string()));
        assert_eq!(report.rejects, []);
        documents.into_iter().next().unwrap()
    };

    let document = read(&insight);
    for (path, expected) in [
        ("aws.cloudtrail.event_category", "Insight"),
        ("aws.cloudtrail.insight_details.state", "Start"),
        ("aws.cloudtrail.insight_details.event_name", "DeleteBucket"),
        ("aws.cloudtrail.insight_details.insightType", "ApiCallRateInsight"),
        ("aws.cloudtrail.insight_details.insight_context.statistics.insight_duration", "1"),
        ("aws.cloudtrail.insight_details.insight_context.statistics.baseline.average", "0.0017"),
        ("aws.cloudtrail.flattened.insight_details.insightContext.statistics.insight.average", "3.5"),
        ("cloud.account.id", "111122223333"),
    ] {
        assert_eq!(values(&document, path), [expected], "{path}");
    }
    assert!(values(&document, "event.action").is_empty());

    let document = read(&network);
    for (path, expected) in [
        ("aws.cloudtrail.event_category", "NetworkActivity"),
        ("aws.cloudtrail.vpc_endpoint_account_id", "444455556666"),
        ("event.outcome", "failure"),
        ("cloud.account.id", "777788889999"),
    ] {
        assert_eq!(values(&document, path), [expected], "{path}");
    }

    let document = read(&digest);
    for (path, expected) in [
        ("@timestamp", "2026-06-17T03:00:00.000Z"),
        ("aws.cloudtrail.digest.start_time", "2026-06-17T02:00:00.000Z"),
        ("aws.cloudtrail.digest.s3_object", "AWSLogs/x.json.gz"),
        ("aws.cloudtrail.digest.previous_hash_algorithm", "SHA-256"),
        ("aws.cloudtrail.digest.log_files.hash_value", "9a"),
        ("aws.cloudtrail.flattened.digest.digestS3Bucket", "amzn-s3-demo-bucket"),
    ] {
        assert_eq!(values(&document, path), [expected], "{path}");
    }
}

/// A role session, an assumed role, a failed sign-in, TLS, a service's address.
#[test]
fn identities_and_connections() {
    let dir = tempfile::tempdir().unwrap();
    let mut assume = event(1);
    assume["eventSource"] = json!("sts.amazonaws.com");
    assume["eventName"] = json!("AssumeRole");
    assume["sourceIPAddress"] = json!("2001:db8::7");
    assume["userAgent"] = json!("aws-cli/2.27.30 md/awscrt#0.26.1 ua/2.1 os/linux#6.8.0");
    assume["userIdentity"] = json!({
        "type": "AssumedRole", "principalId": "AROA1:session", "arn": "arn:aws:sts::111122223333:assumed-role/ci/session",
        "accountId": "111122223333", "accessKeyId": "ASIA1",
        "sessionContext": {
            "sessionIssuer": {"type": "Role", "principalId": "AROA1", "arn": "arn:aws:iam::111122223333:role/ci", "accountId": "111122223333", "userName": "ci"},
            "attributes": {"creationDate": "2026-06-17T02:00:00Z", "mfaAuthenticated": "false"},
        },
    });
    assume["requestParameters"] =
        json!({"roleArn": "arn:aws:iam::444455556666:role/team/audit", "roleSessionName": "x"});
    assume["responseElements"] = json!({"assumedRoleUser": {"assumedRoleId": "AROA2:x", "arn": "arn:aws:sts::444455556666:assumed-role/audit/x"}});
    assume["tlsDetails"] = json!({"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256", "clientProvidedHostHeader": "sts.eu-west-1.amazonaws.com"});
    let mut rename = event(2);
    rename["eventSource"] = json!("iam.amazonaws.com");
    rename["eventName"] = json!("UpdateUser");
    rename["sourceIPAddress"] = json!("AWS Internal");
    rename["userIdentity"] = json!({"type": "IAMUser", "userName": "alice", "principalId": "AIDA1"});
    rename["requestParameters"] = json!({"userName": "old", "newUserName": "new"});
    let mut login = event(3);
    login["eventName"] = json!("ConsoleLogin");
    login["eventType"] = json!("AwsConsoleSignIn");
    login["responseElements"] = json!({"ConsoleLogin": "Failure"});
    login["additionalEventData"] =
        json!({"LoginTo": "https://console.aws.amazon.com/", "MobileVersion": "No", "MFAUsed": "Yes"});

    let lines = [assume, rename, login].map(|event| event.to_string()).join("\n");
    let (report, documents) = auto(&file(dir.path(), "e", lines));
    assert_eq!(report.rejects, []);
    let none: &[&str] = &[];
    for (document, path, expected) in [
        (0, "user.name", &["ci"][..]),
        (0, "user.id", &["AROA1:session"]),
        (0, "user.effective.name", &["audit"]),
        (0, "user.effective.id", &["AROA2:x"]),
        (0, "source.ip", &["2001:db8::7"]),
        (0, "tls.version", &["1.3"]),
        (0, "tls.version_protocol", &["tls"]),
        (0, "tls.client.server_name", &["sts.eu-west-1.amazonaws.com"]),
        (0, "user_agent.name", &["aws-cli"]),
        (0, "user_agent.os.name", &["Linux"]),
        (0, "event.category", &["authentication"]),
        (0, "event.ingested", &[NOW]),
        (0, "event.created", &[NOW]),
        (
            0,
            "aws.cloudtrail.user_identity.session_context.session_issuer.arn",
            &["arn:aws:iam::111122223333:role/ci"],
        ),
        (0, "aws.cloudtrail.flattened.request_parameters.roleSessionName", &["x"]),
        (
            0,
            "related.entity",
            &[
                "AROA1:session",
                "ASIA1",
                "arn:aws:iam::111122223333:role/ci",
                "arn:aws:iam::444455556666:role/team/audit",
                "arn:aws:sts::111122223333:assumed-role/ci/session",
                "arn:aws:sts::444455556666:assumed-role/audit/x",
            ],
        ),
        (1, "source.address", &["AWS Internal"]),
        (1, "source.ip", none),
        (1, "user.target.name", &["old"]),
        (1, "user.changes.name", &["new"]),
        (1, "related.user", &["alice", "old", "new"]),
        (1, "event.type", &["user", "change"]),
        (2, "event.outcome", &["failure"]),
        (2, "aws.cloudtrail.console_login.additional_eventdata.mfa_used", &["true"]),
        (2, "aws.cloudtrail.console_login.additional_eventdata.mobile_version", &["false"]),
    ] {
        assert_eq!(values(&documents[document], path), expected, "{path}");
    }
    assert!(documents[0].original.as_ref().is_some_and(|text| text.starts_with("{\"eventVersion\"")));
}

/// The bundled sample day is read without a reject and holds its story.
#[test]
fn the_sample_day() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/sample-day");
    let files: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "gz"))
        .collect();
    let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let (report, documents) = ingest(&paths, Format::Auto, None);
    assert_eq!((report.rejected, report.read, documents.len()), (0, 7_109, 7_109));
    let count = |action: &str| documents.iter().filter(|d| values(d, "event.action") == [action]).count();
    for (action, expected) in
        [("CopyObject", 64), ("DeleteTrail", 1), ("StopLogging", 2), ("PutBucketVersioning", 2)]
    {
        assert_eq!(count(action), expected, "{action}");
    }
}
