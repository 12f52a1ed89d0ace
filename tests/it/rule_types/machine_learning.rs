use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;
use tocsin::backend::cluster::ClusterBackend;
use tocsin::backend::memory::MemoryBackend;
use tocsin::backend::{
    AggregateRequest, Backend, BackendError, BucketPage, Capabilities, DocumentRef, HitPage, SearchRequest,
};
use tocsin::base::clock::ManualClock;
use tocsin::ecs::document::Document;
use tocsin::ecs::flat::FlatDoc;
use tocsin::ecs::mapping::Mapping;
use tocsin::elastic::{Method, Request};
use tocsin::engine::{Due, Engine, Settings};
use tocsin::store::state::{AlertQuery, AlertSink, EphemeralState, ExecutionRecord, Status, StoredAlert};

use super::{everywhere, minutes, noon, rule};
use crate::nodes::{Index, block, running};

/// Where jobs that share an index record.
const JOBS: &str = ".ml-anomalies-shared";

const RULE: &str =
    "type = \"machine_learning\"\nanomaly_threshold = 50\nmachine_learning_job_id = [\"rare\", \"odd\"]\n";

/// Events in memory, and jobs that record anomalies among them.
struct WithJobs(MemoryBackend);

#[async_trait]
impl Backend for WithJobs {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn anomalies(&self) -> Result<bool, BackendError> {
        Ok(true)
    }

    async fn mapping(&self, indices: &[String]) -> Result<Arc<Mapping>, BackendError> {
        self.0.mapping(indices).await
    }

    async fn search(&self, request: SearchRequest) -> Result<HitPage, BackendError> {
        self.0.search(request).await
    }

    async fn search_many(&self, requests: Vec<SearchRequest>) -> Vec<Result<HitPage, BackendError>> {
        self.0.search_many(requests).await
    }

    async fn aggregate(&self, request: AggregateRequest) -> Result<BucketPage, BackendError> {
        self.0.aggregate(request).await
    }

    async fn get(&self, names: &[DocumentRef]) -> Result<Vec<Option<Document>>, BackendError> {
        self.0.get(names).await
    }
}

#[test]
fn without_jobs_the_rule_is_not_run() {
    everywhere(|house| {
        let record = house.run(&rule(RULE), noon());
        assert_eq!(record.status, Status::NotRun);
        assert!(
            record.warnings[0]
                .starts_with("the rule needs the anomalies of machine learning job `rare`, `odd`")
        );
    });
}

#[test]
fn final_records_from_the_threshold_on_are_alerts() {
    let documents = anomalies();
    let mut mapping = Mapping::ecs();
    for document in &documents {
        mapping.learn_document(&FlatDoc::from_value(&document.source));
    }
    let (record, alerts) = run(Arc::new(WithJobs(MemoryBackend::new(documents, mapping))));
    found_is_alerted(&record, &alerts);
}

/// Records as jobs write them, one of which the rule is to alert on.
fn anomalies() -> Vec<Document> {
    let record = |id: &str, job: &str, score: u32, kind: &str, interim: bool| {
        let source = json!({
            "job_id": job, "result_type": kind, "is_interim": interim, "record_score": score,
            "timestamp": (noon() - minutes(5)).timestamp_millis(),
            "influencers": [{"influencer_field_name": "user.name", "influencer_field_values": ["mallory"]}],
        });
        Document::new(JOBS, id, source)
    };
    vec![
        record("found", "rare", 50, "record", false),
        record("low", "rare", 49, "record", false),
        record("interim", "odd", 90, "record", true),
        record("bucket", "odd", 90, "bucket", false),
        record("of another job", "other", 90, "record", false),
    ]
}

/// Elasticsearch has jobs, and an index of their results once one has run; no job runs on these
/// nodes, so the index is made in the shape that jobs give it. No other product has any.
#[test]
fn on_elasticsearch_the_records_of_jobs_are_searched() {
    for node in running() {
        let backend = || Arc::new(ClusterBackend::new(node.client()));
        let (record, _) = run(backend());
        assert_eq!(record.status, Status::NotRun, "{}: {record:?}", node.name);
        let keyword = json!({"type": "keyword"});
        let mappings = json!({"properties": {
            "timestamp": {"type": "date"}, "job_id": keyword, "result_type": keyword,
            "is_interim": {"type": "boolean"}, "record_score": {"type": "double"},
            "influencers": {"type": "nested", "properties": {
                "influencer_field_name": keyword, "influencer_field_values": keyword}},
        }});
        let settings = json!({"number_of_replicas": 0, "hidden": true});
        let body = json!({"mappings": mappings, "settings": settings});
        node.ask(Request::write(Method::Put, format!("/{JOBS}")).json(&body));
        let index = Index { node: node.clone(), name: JOBS.to_owned() };
        let documents = anomalies();
        index.fill(documents.iter().map(|document| (&*document.id, &*document.source)));
        let (record, alerts) = run(backend());
        if node.name.starts_with("es") {
            found_is_alerted(&record, &alerts);
        } else {
            assert_eq!(record.status, Status::NotRun, "{}: {record:?}", node.name);
        }
    }
}

fn run(backend: Arc<dyn Backend>) -> (ExecutionRecord, Vec<StoredAlert>) {
    let state = Arc::new(EphemeralState::default());
    block(async {
        let clock = Arc::new(ManualClock::new(noon()));
        let engine =
            Engine::open(backend, state.clone(), state.clone(), clock, Settings::default()).await.unwrap();
        let loaded = rule(RULE);
        let due = Due { plan: loaded.plan.clone(), ..Due::not_run(&loaded.rule, noon()) };
        let record = engine.run(vec![due]).await.remove(0);
        (record, state.find(&AlertQuery::default()).await.unwrap())
    })
}

fn found_is_alerted(record: &ExecutionRecord, alerts: &[StoredAlert]) {
    assert_eq!((record.status, record.alerts), (Status::Succeeded, 1), "{record:?}");
    assert_eq!(alerts[0].source["kibana.alert.ancestors"][0]["id"], "found");
    assert_eq!(alerts[0].source["user"]["name"], json!(["mallory"]));
    assert_eq!(alerts[0].source["kibana.alert.original_time"], "2026-11-01T11:55:00.000Z");
    assert_eq!(alerts[0].source["kibana.alert.rule.rule_type_id"], "siem.mlRule");
}
