use super::*;
use chrono::{DateTime, Utc};

pub(super) fn at(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap()
}

pub(super) fn alert(id: &str, rule: &str, ms: i64) -> AlertRow {
    AlertRow {
        id: id.into(),
        space: "default".into(),
        rule_uuid: format!("uuid-{rule}").into(),
        rule_id: rule.into(),
        timestamp: at(ms),
        original_time: None,
        severity: "low".into(),
        building_block: false,
        counted: true,
        document: format!(r#"{{"kibana.alert.uuid":"{id}","kibana.alert.workflow_tags":[]}}"#),
    }
}

fn record(rule: &str, alerts: u64) -> ExecutionRecord {
    ExecutionRecord {
        timings: crate::store::state::Timings::default(),
        sources: Vec::new(),
        rule_id: rule.into(),
        rule_name: rule.into(),
        rule_type: "query".into(),
        status: Status::Succeeded,
        from: None,
        to: None,
        candidates: alerts,
        alerts,
        duplicates: 0,
        suppressed: 0,
        excepted: Some(0),
        capped: 0,
        warnings: Vec::new(),
        error: None,
        took_ms: 1,
        execution_id: "e".into(),
        rule_uuid: format!("uuid-{rule}"),
        slot: "2026-11-01T00:00:00.000Z".into(),
        started_at: "2026-11-01T00:00:00.000Z".into(),
        clock: "event".into(),
        trigger: "scheduled".into(),
        backlog: BacklogCounts::default(),
    }
}

pub(super) fn execution(rule: &str, alerts: Vec<AlertRow>) -> ExecutionCommit {
    ExecutionCommit {
        record: record(rule, alerts.len() as u64),
        alerts,
        state: None,
        kept: Vec::new(),
        settled: Vec::new(),
        updates: Vec::new(),
        memory: Vec::new(),
        turns: Vec::new(),
    }
}

#[test]
fn what_was_committed_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let db = StateDb::open(dir.path()).unwrap();
    let mut first = execution("r", vec![alert("aa1", "r", 1), alert("aa2", "r", 2), alert("b", "s", 3)]);
    first.state = Some(RuleState {
        rule: "uuid-r".into(),
        rule_id: "r".into(),
        last_slot: Some(5),
        last_to: Some(6),
        failures: 2,
        status: Status::PartialFailure,
        ..RuleState::new("uuid-r", "r")
    });
    db.commit(vec![first.clone()]).unwrap();
    let remember =
        |key: &str, value: Option<&str>| Memory { key: key.into(), value: value.map(str::to_owned) };
    let mut second = execution("r", Vec::new());
    second.memory = vec![remember("kept", Some("1")), remember("dropped", Some("2"))];
    let mut third = execution("r", Vec::new());
    third.memory = vec![remember("kept", Some("3")), remember("dropped", None)];
    db.commit(vec![second, third]).unwrap();
    db.set_value("k", Some("v")).unwrap();
    drop(db);
    let db = StateDb::open(dir.path()).unwrap();
    assert_eq!(db.alerts(&AlertQuery::default()).unwrap().len(), 3);
    let of_rule = AlertQuery { rule: Some("r".into()), from: Some(at(2)), ..AlertQuery::default() };
    assert_eq!(db.alerts(&of_rule).unwrap().len(), 1);
    assert_eq!(db.rule_states().unwrap().get("uuid-r"), first.state.as_ref());
    assert_eq!(db.executions(&ExecutionQuery::default()).unwrap().last(), Some(&first.record));
    assert_eq!(db.rule_memory("uuid-r").unwrap(), [("kept".to_owned(), "3".to_owned())].into());
    assert_eq!(db.value("k").unwrap().as_deref(), Some("v"));
    assert!(matches!(db.alert("b").unwrap(), Lookup::One(found) if &*found.id == "b"));
    assert!(matches!(db.alert("aa").unwrap(), Lookup::Several(ids) if ids.len() == 2));
    assert_eq!(db.alert("c").unwrap(), Lookup::Nothing);
    let ids: Vec<std::sync::Arc<str>> = vec!["aa1".into(), "zz".into()];
    assert_eq!(db.existing(&ids).unwrap().len(), 1);
    assert_eq!(db.alert_documents("default", Some((2, 2))).unwrap().len(), 1);
}

#[test]
fn an_alert_written_by_someone_else_is_counted_as_a_duplicate() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (StateDb::open(dir.path()).unwrap(), StateDb::open(dir.path()).unwrap());
    one.commit(vec![execution("r", vec![alert("a", "r", 1)])]).unwrap();
    let written = other.commit(vec![execution("r", vec![alert("a", "r", 9), alert("b", "r", 9)])]).unwrap();
    assert_eq!((written[0].alerts, written[0].duplicates), (1, 1));
    assert_eq!(other.alerts(&AlertQuery::default()).unwrap().len(), 2);
}

#[test]
fn writes_that_come_together_share_a_transaction_and_a_failing_one_stands_alone() {
    let dir = tempfile::tempdir().unwrap();
    let db = StateDb::open(dir.path()).unwrap();
    let barrier = std::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (db, barrier) = (&db, &barrier);
            scope.spawn(move || {
                barrier.wait();
                if n == 0 {
                    let failing = db.write(|c| -> Result<(), StateError> {
                        c.execute("INSERT INTO key_value VALUES ('half', 'done')", [])?;
                        panic!("on purpose");
                    });
                    assert!(matches!(failing, Err(StateError::Undone(text)) if text.contains("on purpose")));
                } else {
                    db.commit(vec![execution("r", vec![alert(&format!("id{n}"), "r", n)])]).unwrap();
                }
            });
        }
    });
    assert!(db.groups() < 8, "{} groups", db.groups());
    assert_eq!(db.value("half").unwrap(), None);
    assert_eq!(db.alerts(&AlertQuery::default()).unwrap().len(), 7);
}

#[test]
fn a_newer_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(StateDb::open(dir.path()).unwrap());
    let raw = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    drop(raw);
    let error = StateDb::open(dir.path()).unwrap_err();
    assert!(matches!(error, StateError::Newer { found: 99, .. }), "{error}");
}

#[test]
fn triage_changes_row_and_document() {
    let dir = tempfile::tempdir().unwrap();
    let db = StateDb::open(dir.path()).unwrap();
    db.commit(vec![execution("r", vec![alert("a", "r", 1)])]).unwrap();
    let ids: Vec<std::sync::Arc<str>> = vec!["a".into(), "missing".into()];
    assert_eq!(db.set_workflow_status(ids.clone(), WorkflowStatus::Closed, at(7)).unwrap(), 1);
    assert_eq!(db.tag_alerts(ids.clone(), vec!["x".into(), "y".into()], Vec::new()).unwrap(), 1);
    assert_eq!(db.tag_alerts(ids, vec!["x".into()], vec!["y".into()]).unwrap(), 1);
    let open = AlertQuery { status: Some(WorkflowStatus::Open), ..AlertQuery::default() };
    assert!(db.alerts(&open).unwrap().is_empty());
    let closed = AlertQuery { status: Some(WorkflowStatus::Closed), ..AlertQuery::default() };
    let alert = db.alerts(&closed).unwrap().remove(0);
    assert_eq!(alert.source["kibana.alert.workflow_status"], "closed");
    assert_eq!(alert.source["kibana.alert.workflow_tags"], serde_json::json!(["x"]));
    assert_eq!(db.alert_counts().unwrap(), vec![("closed".to_owned(), 1)]);
}

#[test]
fn overrides_and_retention() {
    let dir = tempfile::tempdir().unwrap();
    let db = StateDb::open(dir.path()).unwrap();
    db.set_enabled(vec!["r".into(), "s".into()], Some(false)).unwrap();
    db.set_enabled(vec!["s".into()], None).unwrap();
    assert_eq!(db.enabled_overrides().unwrap(), [("r".to_owned(), false)].into());
    db.commit(vec![execution("r", vec![alert("old", "r", 1), alert("new", "r", 10)])]).unwrap();
    let removed = db.retain(Some(at(5)), None).unwrap();
    assert_eq!(removed, Removed { alerts: 1, executions: 0 });

    // The execution was of 1970 and is written now.
    let year =
        |year| chrono::NaiveDate::from_ymd_opt(year, 1, 1).unwrap().and_hms_opt(0, 0, 0).unwrap().and_utc();
    assert_eq!(db.retain(None, Some(year(2020))).unwrap(), Removed::default());
    assert_eq!(db.retain(None, Some(year(2500))).unwrap(), Removed { alerts: 0, executions: 1 });
}
