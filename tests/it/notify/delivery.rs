//! What the outbox promises: told once acknowledged, tried again until then, forgotten never.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_arrives_with_what_a_person_needs() {
    let (dir, server) = (tempfile::tempdir().unwrap(), taking());
    let house = House::open(
        dir.path(),
        &format!("{}\n[notify]\nkibana_url = \"https://kibana.example/\"\n", webhook(&server.url)),
    );
    house.alert(vec![plain("a1")]);
    house.until_delivered(1).await;
    let asked = server.asked();
    assert_eq!((asked.len(), asked[0].method.as_str()), (1, "POST"));
    let body = body(&asked[0]);
    assert_eq!(asked[0].header("idempotency-key"), body["key"].as_str());
    assert_eq!(body["title"], "[high] Root login");
    let text = body["text"].as_str().unwrap();
    for part in [
        "authentication event by root",
        "who: root",
        "where from: 203.0.113.9",
        "when: 2026-11-02T11:59:30.000Z",
        "what: ConsoleLogin",
        "aws.cloudtrail.additional_eventdata: MFAUsed=No",
        "1) Ask the owner of the account.",
        "rule by: Somebody (Apache-2.0)",
        "https://kibana.example/app/security/alerts/redirect/a1?index=.alerts-security.alerts-default",
        "tocsin alerts show a1",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert_eq!(body["alerts"][0]["source"]["ip"], "203.0.113.9");
    house.close().await;
    // A restart tells nothing again, and the same alert is told once.
    let house = House::open(dir.path(), &webhook(&server.url));
    house.alert(vec![plain("a1"), plain("a2")]);
    house.until_delivered(2).await;
    house.close().await;
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn building_blocks_are_not_told() {
    let (dir, server) = (tempfile::tempdir().unwrap(), taking());
    let house = House::open(dir.path(), &webhook(&server.url));
    house.alert(vec![AlertRow { building_block: true, ..plain("b") }, plain("a")]);
    house.until_delivered(1).await;
    house.close().await;
    assert_eq!(server.asked().len(), 1);
    assert_eq!(body(&server.asked()[0])["alert"], "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_target_is_asked_again_when_it_says_and_with_the_same_key() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|_, before| match before {
        0 => Reply::json(429, &json!({})).with("retry-after", "1"),
        1 => Reply::Drop,
        2 => Reply::json(503, &json!({"error": "later"})),
        _ => Reply::json(200, &json!({})),
    });
    let house = House::open(dir.path(), &webhook(&server.url));
    let begun = Instant::now();
    house.alert(vec![plain("a")]);
    house.until("asked twice", |_| server.asked().len() >= 2).await;
    assert!(begun.elapsed() >= Duration::from_secs(1), "Retry-After is respected");
    house.until_delivered(1).await;
    let keys: std::collections::HashSet<_> =
        server.asked().iter().map(|asked| asked.header("idempotency-key").unwrap().to_owned()).collect();
    assert_eq!((server.asked().len(), keys.len()), (4, 1));
    assert_eq!(house.deliveries()[0].attempts, 4);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_a_dead_letter_that_can_be_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let repaired = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let switch = Arc::clone(&repaired);
    let server = Server::start(move |_, _| {
        if switch.load(Ordering::Relaxed) {
            Reply::json(200, &json!({}))
        } else {
            Reply::json(422, &json!({"error": "no such field"}))
        }
    });
    let house = House::open(dir.path(), &webhook(&server.url));
    house.alert(vec![plain("a"), plain("b")]);
    house.until("both dead", |house| house.count(DeliveryState::Dead) == 2).await;
    let dead = house.deliveries();
    assert!(dead[0].note.as_deref().unwrap().contains("no such field"), "{dead:?}");
    repaired.store(true, Ordering::Relaxed);
    let query = DeliveryQuery { alert: Some("a".into()), ..DeliveryQuery::default() };
    assert_eq!(house.state.resend(&query, Utc::now()).unwrap(), 1);
    house.until_delivered(1).await;
    assert_eq!(house.count(DeliveryState::Dead), 1);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_connector_delays_no_other_and_its_messages_wait() {
    let (dir, good) = (tempfile::tempdir().unwrap(), taking());
    // A port that takes connections and never answers.
    let hanging = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = hanging.local_addr().unwrap().port();
    let text = format!(
        "{}[[connector]]\nname = \"dead\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:{port}/\"\ntimeout = \"300ms\"\n[[route]]\nto = [\"dead\"]\n",
        webhook(&good.url)
    );
    let house = House::open(dir.path(), &text);
    house.alert((0..200).map(|n| plain(&format!("a{n}"))).collect());
    house.until_delivered(200).await;
    let of_dead =
        |house: &House| house.deliveries().into_iter().filter(|d| d.connector == "dead").collect::<Vec<_>>();
    assert!(of_dead(&house).iter().all(|delivery| delivery.state == DeliveryState::Waiting));
    house.until("the failure is stated", |house| of_dead(house).iter().any(|d| d.note.is_some())).await;
    let tried: u32 = of_dead(&house).iter().map(|delivery| delivery.attempts).sum();
    assert!(tried < 64, "a target that does not answer is not asked 200 times: {tried}");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_tried_too_long_is_given_up_and_what_nobody_configures_too() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| Reply::json(500, &json!({})));
    let house =
        House::open(dir.path(), &format!("{}\n[notify]\nretry_for = \"1ms\"\n", webhook(&server.url)));
    house.alert(vec![plain("a")]);
    house.until("given up", |house| house.count(DeliveryState::Dead) == 1).await;
    assert!(house.deliveries()[0].note.as_deref().unwrap().contains("given up after"));
    house.close().await;
    // The connector is renamed: what waited under the old name is stated, not lost.
    let idle = House::idle(dir.path(), &webhook(&server.url));
    idle.alert(vec![plain("b")]);
    drop(idle);
    let renamed = webhook(&server.url).replace("\"hook\"", "\"other\"");
    let house = House::open(dir.path(), &format!("{renamed}\n[notify]\nretry_for = \"1ms\"\n"));
    house.until("both given up", |house| house.count(DeliveryState::Dead) == 2).await;
    assert!(house.deliveries()[0].note.as_deref().unwrap().contains("no connector of this name"));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_fails_on_one_alert_harms_no_other() {
    let (dir, server) = (tempfile::tempdir().unwrap(), taking());
    let text = webhook(&server.url)
        .replace("[[route]]", "template = \"{{ rule.name }} by {{ user.name }}\"\n[[route]]");
    let house = House::open(dir.path(), &text);
    house.alert(vec![row("bad", &json!({"user": {}})), plain("good")]);
    house.until_delivered(2).await;
    let texts: Vec<String> =
        server.asked().iter().map(|asked| body(asked)["text"].as_str().unwrap().to_owned()).collect();
    assert!(texts.iter().any(|text| text.starts_with("Root login by root\n")), "{texts:?}");
    assert!(texts.iter().any(|text| text.contains("where from: 203.0.113.9")), "the plain text: {texts:?}");
    let note = |id: &str| house.deliveries().into_iter().find(|d| d.alert == id).unwrap().note;
    assert!(note("bad").unwrap().contains("template failed"));
    assert_eq!(note("good"), None);
    let history = house.state.history("bad").unwrap();
    assert!(history[0].detail.contains("template failed"), "it is stated on the alert: {history:?}");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_service_delivers_what_is_due() {
    let (dir, served) = (tempfile::tempdir().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&served);
    let server = Server::start(move |_, _| {
        std::thread::sleep(Duration::from_millis(20));
        counter.fetch_add(1, Ordering::Relaxed);
        Reply::json(200, &json!({}))
    });
    let house = House::open(dir.path(), &webhook(&server.url));
    house.alert((0..100).map(|n| plain(&format!("a{n}"))).collect());
    let state = Arc::clone(&house.state);
    house.close().await;
    let waiting = DeliveryQuery { states: vec![DeliveryState::Waiting], ..DeliveryQuery::default() };
    assert!(state.deliveries(&waiting).unwrap().is_empty());
    assert_eq!(served.load(Ordering::Relaxed), 100, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_read_again_on_reload() {
    let (dir, server) = (
        tempfile::tempdir().unwrap(),
        Server::start(|asked, _| match asked.header("authorization") {
            Some("Bearer new") => Reply::json(200, &json!({})),
            _ => Reply::json(401, &json!({})),
        }),
    );
    let secret = dir.path().join("token");
    std::fs::write(&secret, "old\n").unwrap();
    let text = webhook(&server.url).replace("[[route]]", "token = { file = \"token\" }\n[[route]]");
    let house = House::open(dir.path(), &text);
    house.alert(vec![plain("a")]);
    house.until("refused once", |_| !server.asked().is_empty()).await;
    std::fs::write(&secret, "new\n").unwrap();
    house.reload();
    house.until_delivered(1).await;
    assert!(!format!("{:?}", house.deliveries()).contains("old"));
    house.close().await;
}
