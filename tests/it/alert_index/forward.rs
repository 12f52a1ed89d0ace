//! Alerts of the data folder on their way to a cluster, and triage on its way back.

use std::sync::Arc;

use serde_json::json;
use tocsin::cluster::{Forwarded, Forwarder};
use tocsin::store::state::{AlertQuery, AlertSink, StateDb, WorkflowStatus};

use super::{Place, commit, on_every_node, time};

#[test]
fn what_was_alerted_while_the_cluster_was_away_arrives_once_and_triage_goes_both_ways() {
    on_every_node(async |url| {
        let place = Place::own(url);
        let dir = tempfile::tempdir().unwrap();
        let db = Arc::new(StateDb::open(dir.path()).unwrap());
        db.forward_to(vec!["node".into()]);
        let forwarder = Forwarder::new(Arc::clone(&db), "node", place.alerts());
        let rows = (0..1_200).map(|n| place.alert(&format!("{n:04}"), json!({}))).collect();
        db.commit(vec![commit("e1", rows, 1)]).unwrap();
        db.set_workflow_status(
            vec!["0000".into()],
            WorkflowStatus::Acknowledged,
            time("2026-11-02T00:00:00Z"),
        )
        .unwrap();
        let waiting = |db: &StateDb| db.forward_queues().unwrap().first().map_or(0, |queue| queue.waiting);
        assert_eq!(waiting(&db), 1_201);

        // There is no index yet: everything is refused, and waits.
        let start = time("2026-11-02T00:00:01Z");
        let refused = forwarder.run(start).await.unwrap();
        assert_eq!((refused.delivered, refused.refused), (0, 1_200), "the change waits behind its alert");
        assert_eq!(waiting(&db), 1_201);
        assert!(db.forward_queues().unwrap()[0].error.as_ref().unwrap().contains("tocsin setup"));
        assert_eq!(forwarder.run(start).await.unwrap(), Forwarded::default(), "not before its time");

        place.set_up().await;
        // A runner that died after the cluster had taken some of them, before it took note.
        let some = (0..100).map(|n| place.alert(&format!("{n:04}"), json!({}))).collect();
        place.alerts().create(some).await.unwrap();
        let later = time("2026-11-02T01:00:00Z");
        let done = forwarder.run(later).await.unwrap();
        assert_eq!((done.delivered, done.refused), (1_201, 0));
        assert_eq!(waiting(&db), 0);
        assert_eq!(place.alerts().count(&AlertQuery::default()).await.unwrap(), 1_200);
        let acknowledged = AlertQuery { status: Some(WorkflowStatus::Acknowledged), ..AlertQuery::default() };
        let there = place.alerts().find(&acknowledged).await.unwrap();
        assert_eq!(there.iter().map(|alert| &*alert.id).collect::<Vec<_>>(), ["0000"]);

        // Someone closes one on the cluster, and one here.
        let ids = |id: &str| vec![Arc::from(id)];
        let at = time("2026-11-03T00:00:00Z");
        place.alerts().set_workflow_status(ids("0001"), WorkflowStatus::Closed, at).await.unwrap();
        db.set_workflow_status(ids("0002"), WorkflowStatus::Closed, at).unwrap();
        db.tag_alerts(ids("0002"), vec!["seen".into()], vec![]).unwrap();
        let done = forwarder.run(at).await.unwrap();
        assert_eq!((done.delivered, done.taken_over), (2, 1));
        let closed =
            AlertQuery { status: Some(WorkflowStatus::Closed), ascending: true, ..AlertQuery::default() };
        for found in [db.alerts(&closed).unwrap(), place.alerts().find(&closed).await.unwrap()] {
            let mut ids: Vec<&str> = found.iter().map(|alert| &*alert.id).collect();
            ids.sort_unstable();
            assert_eq!(ids, ["0001", "0002"]);
        }
        let tagged = place.alerts().find(&closed).await.unwrap();
        assert!(tagged.iter().any(|alert| alert.source["kibana.alert.workflow_tags"] == json!(["seen"])));
        assert_eq!(forwarder.run(at).await.unwrap(), Forwarded::default(), "nothing is left to do");
    });
}
