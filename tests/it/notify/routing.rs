//! Routes, digests, throttles, silences, maintenance windows, the actions of Kibana's rules.

use tocsin::store::state::Silence;

use super::*;

fn two(server: &Server, routes: &str) -> String {
    format!(
        "[[connector]]\nname = \"one\"\ntype = \"webhook\"\nurl = \"{0}/one\"\n\
         [[connector]]\nname = \"two\"\ntype = \"webhook\"\nurl = \"{0}/two\"\n{routes}",
        server.url
    )
}

/// Paths and alerts that were told, sorted.
fn told(server: &Server) -> Vec<(String, String)> {
    let mut told: Vec<_> = server
        .asked()
        .iter()
        .map(|asked| (asked.path().to_owned(), body(asked)["alert"].as_str().unwrap().to_owned()))
        .collect();
    told.sort();
    told
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(path, alert)| ((*path).to_owned(), (*alert).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_take_the_routes_that_want_them() {
    let (dir, server) = (tempfile::tempdir().unwrap(), taking());
    let routes = "[[route]]\nwhen = { severity = [\"critical\"] }\nto = [\"one\", \"two\"]\nlast = true\n\
                  [[route]]\nwhen = { field = { cloud.account.id = \"222222222222\" } }\nto = [\"one\"]\n\
                  [[route]]\nwhen = { query = \"user.name: root and not source.ip: 10.0.0.0/8\", tag = [\"Domain: *\"] }\nto = [\"two\"]\n\
                  [[route]]\nto = [\"two\"]\nwhen = { rule = [\"Root*\"] }\n";
    let house = House::open(dir.path(), &two(&server, routes));
    let account = |id: &str| json!({"account": {"id": id}});
    house.alert(vec![
        row("crit", &json!({"kibana.alert.severity": "critical"})),
        row("acct", &json!({"cloud": account("222222222222"), "kibana.alert.rule.name": "X", "user": {"name": "ann"}})),
        plain("root"),
        row("none", &json!({"kibana.alert.rule.name": "X", "source": {"ip": "10.1.2.3"}})),
    ]);
    house.until_delivered(4).await;
    house.close().await;
    assert_eq!(
        told(&server),
        pairs(&[("/one", "acct"), ("/one", "crit"), ("/two", "crit"), ("/two", "root")])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_arrives_as_a_digest() {
    let (dir, server) = (tempfile::tempdir().unwrap(), taking());
    let house = House::open(dir.path(), &two(&server, "[[route]]\nto = [\"one\"]\nthrottle = \"2/2s\"\n"));
    house.alert((0..50).map(|n| plain(&format!("a{n}"))).collect());
    house.until_delivered(3).await;
    house.close().await;
    let bodies: Vec<Value> = server.asked().iter().map(body).collect();
    assert_eq!(bodies.len(), 3);
    let digest = bodies.iter().find(|body| body["kind"] == "digest").unwrap();
    assert_eq!((&digest["count"], &digest["title"]), (&json!(48), &json!("[high] 48 alerts")));
    assert!(digest["text"].as_str().unwrap().contains("Root login: 48"), "{digest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn digests_are_kept_apart_by_group() {
    let (dir, server) = (tempfile::tempdir().unwrap(), taking());
    let routes = "[[route]]\nto = [\"one\"]\ndigest = { every = \"1s\" }\ngroup_by = [\"user.name\"]\n";
    let house = House::open(dir.path(), &two(&server, routes));
    let by = |id: &str, user: &str| row(id, &json!({"user": {"name": user}}));
    house.alert(vec![by("a1", "ann"), by("a2", "ann"), by("b1", "bob")]);
    house.until_delivered(2).await;
    house.close().await;
    let mut counts: Vec<u64> =
        server.asked().iter().map(|asked| body(asked)["count"].as_u64().unwrap()).collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn silences_and_maintenance_windows_keep_alerts_from_being_told() {
    let (dir, server) = (tempfile::tempdir().unwrap(), taking());
    let routes = "[[route]]\nto = [\"one\"]\n[[maintenance]]\nname = \"move\"\nwhen = { field = { user.name = \"mover\" } }\nstarts = \"2020-01-01T00:00:00Z\"\nends = \"2100-01-01T00:00:00Z\"\n\
                  [[maintenance]]\nname = \"over\"\nstarts = \"2020-01-01T00:00:00Z\"\nends = \"2020-01-02T00:00:00Z\"\n";
    let house = House::open(dir.path(), &two(&server, routes));
    let silence = |id: &str, matcher: &str, ends| Silence {
        id: id.into(),
        owner: "ann".into(),
        reason: "ticket 4711".into(),
        matcher: matcher.into(),
        starts: Utc::now() - chrono::Duration::hours(1),
        ends,
    };
    let later = Utc::now() + chrono::Duration::hours(1);
    house.state.put_silence(silence("s", r#"{"field": {"user.name": "quiet"}}"#, later)).unwrap();
    house.state.put_silence(silence("old", "{}", Utc::now() - chrono::Duration::minutes(1))).unwrap();
    let by = |user: &str| row(user, &json!({"user": {"name": user}}));
    house.alert(vec![by("quiet"), by("mover"), by("loud")]);
    house.until_delivered(1).await;
    house.close().await;
    assert_eq!(told(&server), pairs(&[("/one", "loud")]));
    let state = StateDb::open(&dir.path().join("data")).unwrap();
    let notes: Vec<String> = state
        .deliveries(&DeliveryQuery { states: vec![DeliveryState::Silenced], ..DeliveryQuery::default() })
        .unwrap()
        .into_iter()
        .map(|delivery| delivery.note.unwrap())
        .collect();
    assert_eq!(notes, ["maintenance window `move`", "silence s of ann: ticket 4711"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_actions_of_an_exported_rule_are_kept_to() {
    let (dir, server) = (tempfile::tempdir().unwrap(), taking());
    let house = House::open(dir.path(), &two(&server, ""));
    let action = |id: &str, kind: &str, message: &str| json!({"id": id, "action_type_id": kind, "group": "default", "params": {"message": message}, "uuid": id});
    house.alert(vec![row(
        "a",
        &json!({"kibana.alert.rule.actions": [
            action("two", ".webhook", "Rule {{context.rule.name}} generated {{state.signals_count}} alerts{{#context.alerts}} by {{user.name}}{{/context.alerts}}"),
            action("x", ".jira", "nobody has one"),
        ]}),
    )]);
    house.until_delivered(1).await;
    house.close().await;
    assert_eq!(told(&server), pairs(&[("/two", "a")]));
    let text = body(&server.asked()[0])["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with("Rule Root login generated 1 alerts by root\n"), "{text}");
}

#[test]
fn what_is_wrong_with_routes_is_said_at_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let text = "[[connector]]\nname = \"m\"\ntype = \"webhook\"\nurl = \"http://h\"\ntemplate = \"{{ x\"\n\
                [[connector]]\nname = \"s\"\ntype = \"slack\"\n\
                [[route]]\nto = [\"n\"]\n[[route]]\nto = [\"m\"]\nwhen = { query = \"a: (\" }\n\
                [[route]]\nto = [\"m\"]\ndigest = { cron = \"never\" }\n[[route]]\nto = [\"m\"]\nquiet = { from = \"late\" }\n\
                [[route]]\nto = [\"m\"]\non = [\"all\"]\n[[maintenance]]\nname = \"w\"\n";
    let app = App::new(config(dir.path(), text), Arc::new(SystemClock));
    let problems = app.notifications().unwrap_err();
    let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "connector[0].template",
            "connector[1].webhook_url",
            "route[0].to",
            "route[1].when.query",
            "route[2].digest.cron",
            "route[3].quiet.from",
            "route[4].on",
            "maintenance[0].name",
        ]
    );
    assert!(problems[2].message.contains("there are `m`, `s`"), "{problems:?}");
}
