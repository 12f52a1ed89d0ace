//! The way of runners to the modelled cluster: requests that the production client sends, with
//! what goes wrong on the way and in the middle of writes.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use tocsin::cluster::{AlertIndex, ClusterAlerts, ClusterState, Mode, Names};
use tocsin::elastic::{Astray, Carried, Carrier, Client, Options, Parcel, RetryPolicy};

use super::cluster::{Item, busy, items};
use super::world::{Bug, Port, RunnerClock};

/// The names of a run's indices.
pub(super) fn names() -> Names {
    Names::new(AlertIndex::new(Mode::Own, "tocsin-alerts-{space}", "default"))
}

/// The production stores of one incarnation of a runner.
pub(super) fn stores(port: &Port, clock: Arc<RunnerClock>) -> (Arc<ClusterState>, Arc<ClusterAlerts>) {
    let options = Options {
        compress: false,
        retry: RetryPolicy { spread: false, ..RetryPolicy::default() },
        ..Options::new("model", vec!["node-0".to_owned(), "node-1".to_owned(), "node-2".to_owned()])
    };
    let client = Arc::new(Client::carried(options, Arc::new(port.clone()), clock));
    let alerts = Arc::new(ClusterAlerts::new(Arc::clone(&client), names().alerts));
    (Arc::new(ClusterState::new(client, names(), Arc::clone(&alerts) as _)), alerts)
}

fn answer(status: u16, body: Vec<u8>) -> Carried {
    Carried { status, retry_after: None, body }
}

#[async_trait]
impl Carrier for Port {
    async fn carry(&self, _host: &str, parcel: Parcel) -> Result<Carried, Astray> {
        self.pass().await;
        self.latency_of_writes().await;
        self.pass().await;
        if self.world.take_unreached() {
            return Err(Astray::NotSent);
        }
        let path = parcel.target.split('?').next().unwrap_or_default();
        let (index, what) = path.trim_start_matches('/').split_once('/').expect("an index and what to do");
        let answered = match what {
            "_bulk" => self.bulk(index, &parcel.body).await?,
            "_search" => answer(200, self.world.cluster().search(index, &parcel.body)),
            "_mget" => answer(200, self.world.cluster().by_id(index, &parcel.body)),
            other => panic!("the model knows no `{other}`"),
        };
        self.pass().await;
        Ok(answered)
    }
}

impl Port {
    async fn bulk(&self, index: &str, body: &[u8]) -> Result<Carried, Astray> {
        let world = &self.world;
        if world.refuses_writes() {
            let error = json!({"type": "es_rejected_execution_exception", "reason": "the queue is full"});
            return Ok(answer(429, json!({"error": error, "status": 429}).to_string().into_bytes()));
        }
        let items = items(index, body);
        let (lose, double, part) = (world.take_lost(), world.take_doubled(), world.take_partial());
        if double {
            // The first of two equal requests; its answer counts for nothing.
            for item in &items {
                self.write(item);
            }
        }
        let half = world.below(items.len() as i64 + 1) as usize;
        let mut results: Vec<Value> = items[..half].iter().map(|item| self.write(item)).collect();
        // Whoever is to die in the middle of a write dies here.
        self.write_begun().await;
        if part && world.draw(50) {
            return Err(Astray::Lost);
        }
        for item in &items[half..] {
            results.push(if part { busy(item) } else { self.write(item) });
        }
        if lose {
            return Err(Astray::Lost);
        }
        Ok(answer(200, json!({"errors": part, "items": results}).to_string().into_bytes()))
    }

    fn write(&self, item: &Item) -> Value {
        let bug = self.world.bug;
        let (alert, rule) = (item.index == names().alerts.name, item.id.starts_with("rule:"));
        let forgets = match bug {
            Bug::CoverageWithoutAlerts => alert && item.action == "create" && self.world.draw(20),
            Bug::WritesForgotten => (alert || rule) && self.world.draw(10),
            _ => false,
        };
        if forgets {
            return json!({item.action: {"_id": item.id, "status": 201, "_seq_no": 0, "_primary_term": 1}});
        }
        self.world.cluster().write(item, bug == Bug::TokensIgnored && rule)
    }
}
