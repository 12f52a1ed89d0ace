use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;
use tocsin::backend::memory::MemoryBackend;
use tocsin::backend::{
    AggregateRequest, Backend, BackendError, BucketPage, Capabilities, DocumentRef, HitPage, SearchRequest,
};
use tocsin::base::clock::ManualClock;
use tocsin::ecs::document::Document;
use tocsin::ecs::flat::FlatDoc;
use tocsin::ecs::mapping::Mapping;
use tocsin::engine::{Due, Engine, Settings};
use tocsin::store::state::{AlertQuery, AlertSink, EphemeralState, Status};

use super::{everywhere, minutes, noon, rule};

const RULE: &str =
    "type = \"machine_learning\"\nanomaly_threshold = 50\nmachine_learning_job_id = [\"rare\", \"odd\"]\n";

/// Events in memory, and jobs that record anomalies among them.
struct WithJobs(MemoryBackend);

#[async_trait]
impl Backend for WithJobs {
    fn capabilities(&self) -> Capabilities {
        Capabilities { anomalies: true, ..self.0.capabilities() }
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
    let record = |id: &str, job: &str, score: u32, kind: &str, interim: bool| {
        let source = json!({
            "job_id": job, "result_type": kind, "is_interim": interim, "record_score": score,
            "timestamp": (noon() - minutes(5)).timestamp_millis(),
            "influencers": [{"influencer_field_name": "user.name", "influencer_field_values": ["mallory"]}],
        });
        Document::new(".ml-anomalies-shared", id, source)
    };
    let documents = vec![
        record("found", "rare", 50, "record", false),
        record("low", "rare", 49, "record", false),
        record("interim", "odd", 90, "record", true),
        record("bucket", "odd", 90, "bucket", false),
        record("of another job", "other", 90, "record", false),
    ];
    let mut mapping = Mapping::ecs();
    for document in &documents {
        mapping.learn_document(&FlatDoc::from_value(&document.source));
    }
    let state = Arc::new(EphemeralState::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let alerts = runtime.block_on(async {
        let backend = Arc::new(WithJobs(MemoryBackend::new(documents, mapping)));
        let clock = Arc::new(ManualClock::new(noon()));
        let engine =
            Engine::open(backend, state.clone(), state.clone(), clock, Settings::default()).await.unwrap();
        let loaded = rule(RULE);
        let due = Due { plan: loaded.plan.clone(), ..Due::not_run(&loaded.rule, noon()) };
        let record = engine.run(vec![due]).await.remove(0);
        assert_eq!((record.status, record.alerts), (Status::Succeeded, 1), "{record:?}");
        state.find(&AlertQuery::default()).await.unwrap()
    });
    assert_eq!(alerts[0].source["kibana.alert.ancestors"][0]["id"], "found");
    assert_eq!(alerts[0].source["user"]["name"], json!(["mallory"]));
    assert_eq!(alerts[0].source["kibana.alert.original_time"], "2026-11-01T11:55:00.000Z");
    assert_eq!(alerts[0].source["kibana.alert.rule.rule_type_id"], "siem.mlRule");
}
