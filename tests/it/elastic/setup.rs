//! What `tocsin setup` asks of products that the nodes of the tests are not: lifecycle management
//! (ILM and ISM), and Kibana's own index with the privileges on it. A server answers as they document
//! it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tocsin::base::clock::SystemClock;
use tocsin::cluster::{AlertIndex, Mode, Names, Setup, Step, StepOutcome};
use tocsin::elastic::{Client, Options};

use super::server::{Asked, Reply, Server};
use crate::nodes::block;

/// What was put under each path, as a cluster that keeps it.
type Kept = Arc<Mutex<BTreeMap<String, Value>>>;

fn missing() -> Reply {
    Reply::json(
        404,
        &json!({"error": {"type": "resource_not_found_exception", "reason": "none"}, "status": 404}),
    )
}

/// A cluster that keeps what it is given and gives it back in the shapes of its interfaces.
fn answer(asked: &Asked, kept: &Kept, number: &str, distribution: Option<&str>) -> Reply {
    let path = asked.path().to_owned();
    if path == "/" {
        let mut version = json!({"number": number, "build_flavor": "default"});
        if let Some(distribution) = distribution {
            version["distribution"] = distribution.into();
        }
        return Reply::json(200, &json!({"cluster_name": "c", "version": version}));
    }
    let mut kept = kept.lock().unwrap();
    let name = path.rsplit('/').next().unwrap().to_owned();
    if asked.method == "PUT" {
        kept.insert(path, serde_json::from_str(&asked.body).unwrap_or_default());
        return Reply::json(200, &json!({"acknowledged": true}));
    }
    if let Some(alias) = path.strip_suffix("/_alias") {
        let there = kept.contains_key(alias) || kept.contains_key(&format!("{alias}-000001"));
        return if there { Reply::json(200, &json!({})) } else { missing() };
    }
    let Some(body) = kept.get(&path) else { return missing() };
    if path.starts_with("/_ilm/policy/") {
        // The cluster adds what nobody asked for.
        let mut body = body.clone();
        if let Some(delete) = body.pointer_mut("/policy/phases/delete/actions/delete") {
            delete["delete_searchable_snapshot"] = true.into();
        }
        return Reply::json(
            200,
            &json!({name: {"version": 1, "modified_date": "2026-11-01T00:00:00Z", "policy": body["policy"]}}),
        );
    }
    if path.starts_with("/_plugins/_ism/policies/") {
        return Reply::json(
            200,
            &json!({"_id": name, "_seq_no": 7, "_primary_term": 2, "policy": body["policy"]}),
        );
    }
    if path.starts_with("/_component_template/") {
        return Reply::json(
            200,
            &json!({"component_templates": [{"name": name, "component_template": body}]}),
        );
    }
    if path.starts_with("/_index_template/") {
        return Reply::json(200, &json!({"index_templates": [{"name": name, "index_template": body}]}));
    }
    Reply::json(200, body)
}

fn client(server: &Server) -> Client {
    Client::new(Options::new("prod", vec![server.url.clone()]), Arc::new(SystemClock)).unwrap()
}

fn outcome<'s>(steps: &'s [Step], what: &str, name: &str) -> &'s StepOutcome {
    let step = steps.iter().find(|step| step.what == what && step.name == name);
    &step.unwrap_or_else(|| panic!("no {what} `{name}`: {steps:?}")).outcome
}

/// Installs with alerts kept for so many days.
fn install(server: &Server, days: u64) -> Vec<Step> {
    let names = Names::new(AlertIndex::new(Mode::Own, "tocsin-alerts-{space}", "soc"));
    block(Setup::new(&client(server), &names, Some(days), 90).run()).unwrap()
}

#[test]
fn ilm_policies_are_installed_once_and_changed_when_they_are_to_be() {
    let kept = Kept::default();
    let shared = Arc::clone(&kept);
    let server = Server::start(move |asked, _| answer(asked, &shared, "8.19.2", None));
    let first = install(&server, 365);
    assert_eq!(*outcome(&first, "lifecycle policy", "tocsin-alerts-soc"), StepOutcome::Installed);
    assert_eq!(*outcome(&first, "write alias", "tocsin-alerts-soc"), StepOutcome::Installed);
    let of = |path: &str| kept.lock().unwrap().get(path).cloned().unwrap_or_else(|| panic!("no {path}"));
    let policy = of("/_ilm/policy/tocsin-alerts-soc");
    assert_eq!(policy["policy"]["phases"]["delete"]["min_age"], "365d");
    assert!(policy["policy"]["phases"]["hot"]["actions"]["rollover"].is_object());
    let settings = of("/_index_template/tocsin-alerts-soc")["template"]["settings"].to_string();
    assert!(settings.contains("lifecycle") && settings.contains("tocsin-alerts-soc"), "{settings}");
    let again = install(&server, 365);
    assert!(again.iter().all(|step| step.outcome == StepOutcome::Stood), "{again:?}");
    let changed = install(&server, 30);
    assert_eq!(*outcome(&changed, "lifecycle policy", "tocsin-alerts-soc"), StepOutcome::Updated);
    assert_eq!(of("/_ilm/policy/tocsin-alerts-soc")["policy"]["phases"]["delete"]["min_age"], "30d");
}

#[test]
fn ism_policies_are_installed_once_and_changed_under_their_version() {
    let kept = Kept::default();
    let shared = Arc::clone(&kept);
    let server = Server::start(move |asked, _| answer(asked, &shared, "2.19.1", Some("opensearch")));
    let path = "/_plugins/_ism/policies/tocsin-alerts-soc";
    let first = install(&server, 365);
    assert_eq!(*outcome(&first, "lifecycle policy", "tocsin-alerts-soc"), StepOutcome::Installed);
    let policy = kept.lock().unwrap()[path].clone();
    assert_eq!(policy["policy"]["default_state"], "hot");
    assert_eq!(policy["policy"]["ism_template"][0]["index_patterns"], json!(["tocsin-alerts-soc-*"]));
    assert_eq!(*outcome(&install(&server, 365), "lifecycle policy", "tocsin-alerts-soc"), StepOutcome::Stood);
    assert_eq!(
        *outcome(&install(&server, 30), "lifecycle policy", "tocsin-alerts-soc"),
        StepOutcome::Updated
    );
    let put =
        server.asked().into_iter().rev().find(|asked| asked.method == "PUT" && asked.path() == path).unwrap();
    assert!(put.target.contains("if_seq_no=7") && put.target.contains("if_primary_term=2"), "{}", put.target);
}

#[test]
fn a_cluster_without_lifecycles_is_set_up_and_says_that_nothing_is_deleted() {
    let kept = Kept::default();
    let server = Server::start(move |asked, _| match asked.path() {
        path if path.starts_with("/_ilm/") => {
            Reply::json(400, &json!({"error": "no handler found for uri [/_ilm/policy]"}))
        }
        _ => answer(asked, &kept, "7.10.2", None),
    });
    let steps = install(&server, 365);
    let StepOutcome::Unavailable(why) = outcome(&steps, "lifecycle policy", "tocsin-alerts-soc") else {
        panic!("{steps:?}")
    };
    assert!(why.contains("neither rolled over nor deleted"), "{why}");
    assert_eq!(*outcome(&steps, "write alias", "tocsin-alerts-soc"), StepOutcome::Installed);
}

/// Sets up for Kibana's own index, on a cluster where the user has the privileges named.
fn kibana(privileges: &'static [&'static str]) -> (Vec<Step>, Vec<Asked>) {
    let kept = Kept::default();
    let alias = ".alerts-security.alerts-soc";
    let backing = ".internal.alerts-security.alerts-soc-*";
    let server = Server::start(move |asked, _| match asked.path() {
        path if path == format!("/_alias/{alias}") => Reply::json(
            200,
            &json!({".internal.alerts-security.alerts-soc-000001": {"aliases": {alias: {}}}}),
        ),
        path if path.contains("/_mapping/field/") => {
            let fields = path.rsplit('/').next().unwrap().split(',');
            let fields: Value =
                fields.map(|name| (name.to_owned(), json!({}))).collect::<serde_json::Map<_, _>>().into();
            Reply::json(200, &json!({".internal.alerts-security.alerts-soc-000001": {"mappings": fields}}))
        }
        "/_security/user/_has_privileges" => {
            let has: Value = ["read", "write", "view_index_metadata"]
                .map(|name| (name.to_owned(), json!(privileges.contains(&name))))
                .into_iter()
                .collect::<serde_json::Map<_, _>>()
                .into();
            Reply::json(
                200,
                &json!({"username": "u", "has_all_requested": false, "index": {alias: has, backing: has}}),
            )
        }
        _ => answer(asked, &kept, "8.19.2", None),
    });
    let names = Names::new(AlertIndex::new(Mode::Kibana, "", "soc"));
    (block(Setup::new(&client(&server), &names, None, 90).run()).unwrap(), server.asked())
}

#[test]
fn kibanas_index_is_used_when_it_is_there_and_may_be_written() {
    let (steps, asked) = kibana(&["read", "write", "view_index_metadata"]);
    for what in ["alias of Kibana", "fields of Kibana", "privileges"] {
        assert_eq!(*outcome(&steps, what, ".alerts-security.alerts-soc"), StepOutcome::Stood);
    }
    let written =
        asked.iter().filter(|asked| asked.method == "PUT" && asked.path().contains("alerts-security"));
    assert_eq!(written.count(), 0, "nothing of Kibana's is made or changed");
}

#[test]
fn a_user_who_may_not_write_kibanas_index_is_told_what_lacks() {
    let (steps, _) = kibana(&["read", "view_index_metadata"]);
    let StepOutcome::Failed(why) = outcome(&steps, "privileges", ".alerts-security.alerts-soc") else {
        panic!("{steps:?}")
    };
    assert_eq!(
        why,
        "the user lacks `write` on `.alerts-security.alerts-soc`, `write` on `.internal.alerts-security.alerts-soc-*`"
    );
}
