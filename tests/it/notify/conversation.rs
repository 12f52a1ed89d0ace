//! What follows an alert: in the same thread, under the same key.

use tocsin::store::state::{Triage, WorkflowStatus};

use super::*;

fn set(house: &House, status: WorkflowStatus, reason: Option<&str>) {
    let triage = Triage {
        status: Some(status),
        reason: reason.map(str::to_owned),
        by: "ann".into(),
        at: Utc::now(),
        ..Triage::default()
    };
    assert_eq!(house.state.triage(vec!["a".into()], triage).unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn pagerduty_opens_acknowledges_and_resolves_one_incident() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|asked, _| {
        Reply::json(202, &json!({"status": "success", "dedup_key": body(asked)["dedup_key"]}))
    });
    let text = format!(
        "[[connector]]\nname = \"p\"\ntype = \"pagerduty\"\nrouting_key = \"key\"\nurl = \"{}/v2/enqueue\"\n[[route]]\nto = [\"p\"]\n",
        server.url
    );
    let house = House::open(dir.path(), &text);
    house.alert(vec![plain("a")]);
    set(&house, WorkflowStatus::Acknowledged, None);
    set(&house, WorkflowStatus::Acknowledged, None);
    set(&house, WorkflowStatus::Closed, Some("false positive"));
    house.until_delivered(3).await;
    house.close().await;
    let events: Vec<Value> = server.asked().iter().map(body).collect();
    let told: Vec<_> = events
        .iter()
        .map(|event| (event["event_action"].as_str().unwrap(), event["dedup_key"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [("trigger", "a"), ("acknowledge", "a"), ("resolve", "a")],
        "in this order, the same once"
    );
    let payload = &events[0]["payload"];
    assert_eq!((&payload["severity"], &payload["source"]), (&json!("error"), &json!("tocsin")));
    assert_eq!(payload["custom_details"]["where from"], "203.0.113.9");
    assert!(payload["summary"].as_str().unwrap().len() <= 1_024);
}

#[tokio::test(flavor = "multi_thread")]
async fn slack_goes_on_in_the_thread() {
    let dir = tempfile::tempdir().unwrap();
    let server =
        Server::start(|_, before| Reply::json(200, &json!({"ok": true, "ts": format!("17.{before}")})));
    let text = format!(
        "[[connector]]\nname = \"s\"\ntype = \"slack\"\ntoken = \"xoxb\"\nchannel = \"#soc\"\nurl = \"{}/api/\"\n\
         [[route]]\nto = [\"s\"]\non = [\"alert\", \"closed\"]\n",
        server.url
    );
    let house = House::open(dir.path(), &text);
    house.alert(vec![plain("a")]);
    set(&house, WorkflowStatus::Acknowledged, None);
    set(&house, WorkflowStatus::Closed, Some("planned"));
    house.until_delivered(2).await;
    house.close().await;
    let asked = server.asked();
    assert_eq!(asked.len(), 2, "the route does not want acknowledgements");
    assert!(
        asked
            .iter()
            .all(|a| a.path() == "/api/chat.postMessage" && a.header("authorization") == Some("Bearer xoxb"))
    );
    let (first, second) = (body(&asked[0]), body(&asked[1]));
    assert_eq!((&first["channel"], &first["thread_ts"]), (&json!("#soc"), &Value::Null));
    assert_eq!(second["thread_ts"], "17.0");
    assert!(second["blocks"].to_string().contains("closed by ann: planned"), "{second}");
    assert!(first["blocks"].as_array().unwrap().len() <= 50);
    assert_eq!(first["blocks"][0]["type"], "header");
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_get_comments_under_what_was_made_first() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|asked, _| match asked.path() {
        "/rest/api/2/issue" => Reply::json(201, &json!({"id": "1", "key": "SOC-7"})),
        "/rest/api/2/issue/SOC-7/comment" => Reply::json(201, &json!({})),
        _ => Reply::json(404, &json!({})),
    });
    let text = format!(
        "[[connector]]\nname = \"j\"\ntype = \"jira\"\nurl = \"{}\"\nusername = \"me@example.com\"\ntoken = \"t\"\nproject = \"SOC\"\n[[route]]\nto = [\"j\"]\n",
        server.url
    );
    let house = House::open(dir.path(), &text);
    house.alert(vec![plain("a")]);
    set(&house, WorkflowStatus::Closed, Some("done"));
    house.until_delivered(2).await;
    house.close().await;
    let asked = server.asked();
    assert_eq!(asked[0].header("authorization"), Some("Basic bWVAZXhhbXBsZS5jb206dA=="));
    let fields = &body(&asked[0])["fields"];
    assert_eq!((&fields["project"]["key"], &fields["summary"]), (&json!("SOC"), &json!("[high] Root login")));
    assert!(body(&asked[1])["body"].as_str().unwrap().contains("closed by ann: done"));
}
