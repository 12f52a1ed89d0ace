use super::super::tests::{alert, at, execution};
use super::*;

/// Tells every alert of rule `r` to two connectors.
#[derive(Debug)]
struct Both {
    hold: Option<Hold>,
    burst: Option<Burst>,
}

fn notification(connector: &str, id: &str, kind: Kind, ms: i64) -> NewNotification {
    NewNotification {
        key: format!("{connector} {id} {kind}"),
        connector: connector.into(),
        route: "all".into(),
        kind,
        thread: id.into(),
        alert: id.into(),
        batch: "all".into(),
        created: ms,
        due: ms,
        hold: None,
        burst: None,
        silenced: None,
        document: r#"{"alerts":[{"kibana.alert.rule.name":"R"}],"count":1}"#.into(),
    }
}

impl Routing for Both {
    fn of_alert(&self, alert: &AlertRow, silences: &[Silence]) -> Vec<NewNotification> {
        ["one", "two"]
            .map(|connector| NewNotification {
                hold: self.hold,
                burst: self.burst,
                silenced: silences.first().map(|silence| silence.reason.clone()),
                ..notification(connector, &alert.id, Kind::Alert, alert.timestamp.timestamp_millis())
            })
            .into()
    }

    fn of_change(
        &self,
        id: &Arc<str>,
        kind: Kind,
        when: DateTime<Utc>,
        _: &str,
        earlier: &Earlier,
    ) -> Option<NewNotification> {
        Some(notification(&earlier.connector, id, kind, when.timestamp_millis()))
    }

    fn queued(&self) {}
}

fn database(routing: Both) -> (tempfile::TempDir, StateDb) {
    let dir = tempfile::tempdir().unwrap();
    let db = StateDb::open(dir.path()).unwrap();
    db.set_routing(Some(Arc::new(routing)));
    (dir, db)
}

fn plain() -> (tempfile::TempDir, StateDb) {
    database(Both { hold: None, burst: None })
}

fn settled(number: i64, verdict: Verdict) -> Settled {
    Settled { number, at: 50, verdict }
}

fn delivered(receipt: Option<&str>) -> Verdict {
    Verdict::Delivered { receipt: receipt.map(str::to_owned), note: None }
}

#[test]
fn an_alert_that_was_there_is_not_told_again() {
    let (dir, db) = plain();
    db.commit(vec![execution("r", vec![alert("a", "r", 1), alert("b", "r", 1)])]).unwrap();
    db.commit(vec![execution("r", vec![alert("a", "r", 1)])]).unwrap();
    assert_eq!(db.due("one", at(9), 10).unwrap().len(), 2);
    assert!(db.due("one", at(0), 10).unwrap().is_empty(), "not due yet");
    let first = db.due("one", at(9), 1).unwrap().remove(0);
    db.settle(vec![settled(first.number, delivered(None))]).unwrap();
    drop(db);
    let db = StateDb::open(dir.path()).unwrap();
    assert_eq!(db.due("one", at(9), 10).unwrap().len(), 1, "what was acknowledged stays acknowledged");
    assert_eq!(db.due("two", at(9), 10).unwrap().len(), 2, "the other connector has its own");
}

#[test]
fn a_failed_commit_leaves_no_notification() {
    let (_dir, db) = plain();
    let failing = db.write(|c| -> Result<(), StateError> {
        insert(c, &notification("one", "x", Kind::Alert, 1))?;
        Err(StateError::Closed)
    });
    assert!(failing.is_err());
    assert!(db.due("one", at(9), 10).unwrap().is_empty());
}

#[test]
fn a_conversation_keeps_its_order_and_its_receipt() {
    let (_dir, db) = plain();
    db.enqueue(vec![
        notification("one", "a", Kind::Alert, 1),
        notification("one", "a", Kind::Acknowledged, 2),
        notification("one", "b", Kind::Alert, 3),
        notification("one", "a", Kind::Closed, 4),
    ])
    .unwrap();
    let kinds = |db: &StateDb| {
        db.due("one", at(9), 10).unwrap().into_iter().map(|p| (p.thread, p.kind)).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&db), [("a".into(), Kind::Alert), ("b".into(), Kind::Alert)]);
    let first = db.due("one", at(9), 1).unwrap().remove(0);
    db.settle(vec![settled(first.number, Verdict::Retry { due: 100, note: "busy".into() })]).unwrap();
    assert_eq!(kinds(&db), [("b".into(), Kind::Alert)], "what follows waits for what failed");
    db.settle(vec![settled(first.number, delivered(Some("17.1")))]).unwrap();
    let next = db.due("one", at(9), 1).unwrap().remove(0);
    assert_eq!((next.kind, next.receipt.as_deref()), (Kind::Acknowledged, Some("17.1")));
}

#[test]
fn what_was_given_up_is_listed_and_sent_again() {
    let (_dir, db) = plain();
    db.enqueue(vec![notification("one", "a", Kind::Alert, 1)]).unwrap();
    let number = db.due("one", at(9), 1).unwrap()[0].number;
    db.settle(vec![settled(number, Verdict::Dead { note: "gone".into() })]).unwrap();
    assert!(db.due("one", at(9), 1).unwrap().is_empty());
    db.forget_deliveries(at(1_000)).unwrap();
    let dead = DeliveryQuery { states: vec![DeliveryState::Dead], ..DeliveryQuery::default() };
    let listed = db.deliveries(&dead).unwrap();
    assert_eq!((listed.len(), listed[0].note.as_deref()), (1, Some("gone")));
    assert_eq!(db.resend(&dead, at(60)).unwrap(), 1);
    let again = db.due("one", at(60), 1).unwrap().remove(0);
    assert_eq!(again.key, "one a alert");
    assert!(again.document.contains("alerts"));
}

#[test]
fn what_is_held_becomes_one_digest() {
    let (_dir, db) = database(Both { hold: Some(Hold { until: 500 }), burst: None });
    db.commit(vec![execution("r", vec![alert("a", "r", 1), alert("b", "r", 2), alert("c", "r", 3)])])
        .unwrap();
    assert!(db.due("one", at(499), 10).unwrap().is_empty());
    assert_eq!(db.make_digests(at(499)).unwrap(), 0);
    assert_eq!(db.make_digests(at(500)).unwrap(), 2, "one a connector");
    assert_eq!(db.make_digests(at(500)).unwrap(), 0, "and only once");
    let digest = db.due("one", at(500), 10).unwrap().remove(0);
    let document: serde_json::Value = serde_json::from_str(&digest.document).unwrap();
    assert_eq!((digest.kind, &document["count"]), (Kind::Digest, &serde_json::json!(3)));
    assert_eq!(document["rules"]["R"], 3);
}

#[test]
fn a_burst_leaves_a_few_alone_and_the_rest_as_a_digest() {
    let (_dir, db) = database(Both { hold: None, burst: Some(Burst { most: 2, within: 1_000 }) });
    let alerts = (0..10).map(|n| alert(&format!("a{n}"), "r", 10 + n)).collect();
    db.commit(vec![execution("r", alerts)]).unwrap();
    assert_eq!(db.due("one", at(100), 99).unwrap().len(), 2);
    assert_eq!(db.make_digests(at(1_009)).unwrap(), 0);
    assert_eq!(db.make_digests(at(1_010)).unwrap(), 2);
    let all = db.due("one", at(1_010), 99).unwrap();
    assert_eq!(all.iter().map(|p| p.kind).collect::<Vec<_>>(), [Kind::Alert, Kind::Alert, Kind::Digest]);
    let later = alert("later", "r", 2_000);
    db.commit(vec![execution("r", vec![later])]).unwrap();
    assert_eq!(db.due("one", at(2_000), 99).unwrap().len(), 4, "there is room again");
}

#[test]
fn what_a_silence_covers_is_kept_as_evidence_only() {
    let (_dir, db) = plain();
    let silence = Silence {
        id: "s".into(),
        owner: "ann".into(),
        reason: "planned work".into(),
        matcher: "{}".into(),
        starts: at(0),
        ends: at(100),
    };
    db.put_silence(silence).unwrap();
    db.commit(vec![execution("r", vec![alert("a", "r", 1)])]).unwrap();
    assert!(db.due("one", at(999), 10).unwrap().is_empty());
    let listed = db.deliveries(&DeliveryQuery::default()).unwrap();
    assert!(listed.iter().all(|d| d.state == DeliveryState::Silenced));
    assert_eq!(listed[0].note.as_deref(), Some("planned work"));
    assert!(db.end_silence("s", at(50)).unwrap());
    assert!(!db.end_silence("t", at(50)).unwrap());
    assert!(db.silences(Some(at(50))).unwrap().is_empty());
}
