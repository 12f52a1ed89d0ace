//! The chain that tocsin replaces — metric filter, alarm with OK action, SNS, chat — as a threshold
//! rule with a lifecycle: raised and resolved, with the event in the message.

use std::process::Command;

use super::*;

/// Period 300 s, sum of the matching events at least 1, one period of one: told when it begins and
/// when it is over.
const RULE: &str = r#"
[metadata]
creation_date = "2026/11/01"
maturity = "production"

[lifecycle]
evaluation_periods = 1
datapoints_to_alarm = 1
missing_data = "missing"
auto_close = true

[rule]
author = ["Somebody"]
description = "Changes of trails: at least one in five minutes."
from = "now-5m"
index = ["logs-aws.cloudtrail-*"]
interval = "5m"
language = "kuery"
license = "Apache-2.0"
name = "Trail changed"
risk_score = 73
rule_id = "trail-changed"
severity = "high"
type = "threshold"
query = '''
event.provider: cloudtrail.amazonaws.com and event.action: (StopLogging or DeleteTrail or UpdateTrail)
'''
[rule.threshold]
field = ["user.name"]
value = 1
"#;

fn tocsin(dir: &Path, arguments: &[&str]) -> String {
    let output = Command::new(assert_cmd::cargo::cargo_bin("tocsin"))
        .args(["--config", "tocsin.toml", "--data-dir", "data", "--format", "ndjson"])
        .args(arguments)
        .current_dir(dir)
        .env("HOME", dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn record(id: &str, time: &str, name: &str) -> Value {
    json!({
        "eventVersion": "1.11", "eventID": id, "eventTime": time, "eventSource": "cloudtrail.amazonaws.com",
        "eventName": name, "awsRegion": "eu-west-1", "sourceIPAddress": "203.0.113.9", "userAgent": "aws-cli/2",
        "userIdentity": {"type": "IAMUser", "userName": "mallory", "arn": "arn:aws:iam::111111111111:user/mallory", "accountId": "111111111111"},
        "eventType": "AwsApiCall", "recipientAccountId": "111111111111", "readOnly": false,
    })
}

#[test]
fn the_alarm_is_raised_and_resolved() {
    let dir = tempfile::tempdir().unwrap();
    let sns = Server::start(|_, _| Reply::Answer(200, Vec::new(), "<MessageId>m-1</MessageId>".into()));
    let chat =
        Server::start(|_, before| Reply::json(200, &json!({"ok": true, "ts": format!("17.{before}")})));
    let text = format!(
        "[[connector]]\nname = \"topic\"\ntype = \"sns\"\nregion = \"eu-west-1\"\ntopic_arn = \"arn:aws:sns:eu-west-1:111111111111:alarms\"\nurl = \"{}\"\naccess_key_id = \"a\"\nsecret_access_key = \"s\"\n\
         [[connector]]\nname = \"chat\"\ntype = \"slack\"\ntoken = \"t\"\nchannel = \"#alarms\"\nurl = \"{}/api/\"\n\
         [[route]]\nto = [\"topic\", \"chat\"]\n",
        sns.url, chat.url
    );
    std::fs::write(dir.path().join("tocsin.toml"), text).unwrap();
    std::fs::write(dir.path().join("rule.toml"), RULE).unwrap();
    let records = [
        record("e1", "2026-11-02T12:02:00Z", "StopLogging"),
        record("e2", "2026-11-02T12:07:00Z", "UpdateTrail"),
        // Something happens later, too: there is data, and it does not breach.
        record("e3", "2026-11-02T12:12:00Z", "DescribeTrails"),
    ];
    let lines: Vec<String> = records.iter().map(Value::to_string).collect();
    std::fs::write(dir.path().join("trail.ndjson"), lines.join("\n")).unwrap();
    tocsin(dir.path(), &["ingest", "trail.ndjson"]);
    for time in ["12:05", "12:10", "12:15", "12:15", "12:20"] {
        let at = format!("2026-11-02T{time}:00Z");
        tocsin(dir.path(), &["run", "--rules", "rule.toml", "--once", "--notify", "--at", &at]);
    }
    let said: Vec<Value> = chat.asked().iter().map(body).collect();
    assert_eq!(said.len(), 2, "raised once although two periods breached, resolved once: {said:#?}");
    assert_eq!(said[0]["text"], "[high] Trail changed");
    let blocks = said[0]["blocks"].to_string();
    assert!(blocks.contains("mallory"), "who is in the message: {blocks}");
    assert_eq!((&said[1]["text"], &said[1]["thread_ts"]), (&json!("OK: Trail changed"), &json!("17.0")));
    let forms: Vec<std::collections::HashMap<String, String>> = sns
        .asked()
        .iter()
        .map(|asked| {
            reqwest::Url::parse(&format!("http://h/?{}", asked.body))
                .unwrap()
                .query_pairs()
                .into_owned()
                .collect()
        })
        .collect();
    let subjects: Vec<&str> = forms.iter().map(|form| form["Subject"].as_str()).collect();
    assert_eq!(subjects, ["[high] Trail changed", "OK: Trail changed"]);
    assert!(forms[0]["Message"].contains("mallory"), "{}", forms[0]["Message"]);
    assert!(forms[1]["Message"].contains("2026-11-02T12:15:00.000Z"), "{}", forms[1]["Message"]);
    assert!(sns.asked()[0].header("authorization").unwrap().contains("/eu-west-1/sns/aws4_request"));
    // The episode's alert is closed with its end; its history says so.
    let alerts: Vec<Value> = tocsin(dir.path(), &["alerts", "list"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let first = alerts.iter().find(|alert| alert["_source"]["tocsin.episode.told"] == true).unwrap();
    assert_eq!(first["_source"]["kibana.alert.status"], "recovered");
    assert_eq!(first["_source"]["kibana.alert.workflow_status"], "closed");
    let history = tocsin(dir.path(), &["alerts", "history", first["_id"].as_str().unwrap()]);
    assert!(history.contains("\"recovered\""), "{history}");
}
