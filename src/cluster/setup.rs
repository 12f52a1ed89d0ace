//! Installs on a cluster what tocsin needs there; running it again changes nothing.

use serde_json::{Value, json};

use super::fields::{Missing, Part};
use super::names::{Mode, Names};
use super::templates::{self, Lifecycle, OWNER, signed};
use crate::elastic::{Client, ElasticError, Method, Product, Request, segment};

/// Fields without which Kibana's Alerts page does not show an alert.
const KIBANA_FIELDS: [&str; 6] = [
    "kibana.alert.uuid",
    "kibana.alert.workflow_status",
    "kibana.alert.severity",
    "kibana.alert.rule.uuid",
    "kibana.alert.rule.rule_type_id",
    "kibana.space_ids",
];
/// Field types that a cluster may lack, at most.
const TYPES: usize = 12;

/// What became of one thing that is to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepOutcome {
    /// It is there now.
    Installed,
    /// It was there in an older form, and is new now.
    Updated,
    /// It was there already.
    Stood,
    /// This cluster has no such thing, and everything else works without; why.
    Unavailable(String),
    /// It is not there; why.
    Failed(String),
}

impl StepOutcome {
    /// Its name in machine output.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Installed => "installed",
            Self::Updated => "updated",
            Self::Stood => "unchanged",
            Self::Unavailable(_) => "unavailable",
            Self::Failed(_) => "failed",
        }
    }

    /// Why, where there is something to say.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Unavailable(reason) | Self::Failed(reason) => Some(reason),
            _ => None,
        }
    }
}

/// One thing that is to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it is: `index template` …
    pub what: &'static str,
    /// Its name on the cluster.
    pub name: String,
    /// What became of it.
    pub outcome: StepOutcome,
}

/// What became of the templates of an index.
#[derive(Debug, Clone, Copy, Default)]
struct Made {
    /// One is newer than the index.
    changed: bool,
    /// One is not there.
    lacking: bool,
}

impl Made {
    fn add(&mut self, other: Self) {
        self.changed |= other.changed;
        self.lacking |= other.lacking;
    }
}

/// Installs templates, lifecycles and indices.
#[derive(Debug)]
pub struct Setup<'c> {
    client: &'c Client,
    names: &'c Names,
    alerts_days: Option<u64>,
    executions_days: u64,
    steps: Vec<Step>,
    missing: Missing,
}

impl<'c> Setup<'c> {
    /// Of everything under `names`; alerts are deleted after `alerts_days` (`None`: never), the
    /// execution log after `executions_days`.
    pub fn new(client: &'c Client, names: &'c Names, alerts_days: Option<u64>, executions_days: u64) -> Self {
        let missing = Missing::default();
        Self { client, names, alerts_days, executions_days, steps: Vec::new(), missing }
    }

    /// Installs what is missing; what became of each thing.
    ///
    /// # Errors
    /// When the cluster cannot be asked what it is.
    pub async fn run(mut self) -> Result<Vec<Step>, ElasticError> {
        let opensearch = self.client.flavour().await?.product == Product::OpenSearch;
        let Names { alerts, executions, state } = self.names;
        let lifecycle = Lifecycle {
            name: executions.clone(),
            alias: executions.clone(),
            delete_after_days: Some(self.executions_days),
        };
        let managed = self.lifecycle(&lifecycle, opensearch).await;
        let body = templates::executions(executions, managed.as_ref());
        let made = self.template("index template", "_index_template", executions, body).await;
        self.index(executions, true, made).await;
        let made = self.template("index template", "_index_template", state, templates::state(state)).await;
        self.index(state, false, made).await;
        match alerts.mode {
            Mode::Kibana => self.check_kibana().await,
            Mode::Own | Mode::External => self.install_alerts(opensearch).await,
        }
        for (kind, instead) in self.missing.replaced() {
            self.steps.push(Step {
                what: "field type",
                name: kind,
                outcome: StepOutcome::Unavailable(format!("`{instead}` instead")),
            });
        }
        Ok(self.steps)
    }

    async fn install_alerts(&mut self, opensearch: bool) {
        let index = &self.names.alerts;
        let lifecycle = Lifecycle {
            name: index.name.clone(),
            alias: index.name.clone(),
            delete_after_days: self.alerts_days,
        };
        let managed = match index.mode {
            Mode::External => None,
            _ => self.lifecycle(&lifecycle, opensearch).await,
        };
        let mut made = Made::default();
        for (name, part) in [(templates::ECS, Part::Ecs), (templates::ALERTS, Part::Alert)] {
            let body = templates::component(part);
            made.add(self.template("component template", "_component_template", name, body).await);
        }
        let body = templates::alerts(index, managed.as_ref());
        made.add(self.template("index template", "_index_template", &index.name, body).await);
        match index.mode {
            Mode::External => {}
            _ => self.index(&index.name, true, made).await,
        }
    }

    fn step(&mut self, what: &'static str, name: &str, outcome: Result<StepOutcome, ElasticError>) {
        let outcome = outcome.unwrap_or_else(|error| StepOutcome::Failed(error.to_string()));
        self.steps.push(Step { what, name: name.to_owned(), outcome });
    }

    /// Installs a lifecycle; the settings that tie indices to it, where the cluster has it.
    async fn lifecycle(&mut self, lifecycle: &Lifecycle, opensearch: bool) -> Option<Value> {
        let installed = if opensearch { self.ism(lifecycle).await } else { self.ilm(lifecycle).await };
        let outcome = match installed {
            Err(error) if matches!(error.status(), Some(400 | 404 | 405)) => {
                Ok(StepOutcome::Unavailable(format!("indices are neither rolled over nor deleted: {error}")))
            }
            other => other,
        };
        let managed =
            matches!(outcome, Ok(StepOutcome::Installed | StepOutcome::Updated | StepOutcome::Stood));
        self.step("lifecycle policy", &lifecycle.name, outcome);
        managed.then(|| templates::lifecycle_settings(lifecycle, opensearch))
    }

    async fn ilm(&self, lifecycle: &Lifecycle) -> Result<StepOutcome, ElasticError> {
        let path = format!("/_ilm/policy/{}", segment(&lifecycle.name));
        let found = self.client.send(&Request::get(path.as_str()).accept(404)).await?;
        let body = lifecycle.ilm();
        let there = if found.status == 404 { None } else { Some(found.json::<Value>()?) };
        let phases = there.as_ref().and_then(|found| found.get(&lifecycle.name)?.pointer("/policy/phases"));
        if let Some(phases) = phases
            && same_phases(phases, &body)
        {
            return Ok(StepOutcome::Stood);
        }
        self.client.json(&Request::write(Method::Put, path).repeatable().json(&body)).await?;
        Ok(if there.is_some() { StepOutcome::Updated } else { StepOutcome::Installed })
    }

    async fn ism(&self, lifecycle: &Lifecycle) -> Result<StepOutcome, ElasticError> {
        let path = format!("/_plugins/_ism/policies/{}", segment(&lifecycle.name));
        let found = self.client.send(&Request::get(path.as_str()).accept(404)).await?;
        let body = lifecycle.ism();
        let mut request = Request::write(Method::Put, path).json(&body);
        let mut outcome = StepOutcome::Installed;
        if found.status != 404 {
            let found: Value = found.json()?;
            if found.pointer("/policy/description") == body.pointer("/policy/description") {
                return Ok(StepOutcome::Stood);
            }
            outcome = StepOutcome::Updated;
            for (name, key) in [("if_seq_no", "_seq_no"), ("if_primary_term", "_primary_term")] {
                if let Some(number) = found.get(key).and_then(Value::as_i64) {
                    request = request.query(name, number.to_string());
                }
            }
        }
        self.client.json(&request).await?;
        Ok(outcome)
    }

    /// Installs a template unless one with the same content stands. A field type that the cluster
    /// does not have is replaced and the template sent again.
    async fn template(&mut self, what: &'static str, endpoint: &str, name: &str, body: Value) -> Made {
        let outcome = self.put_template(endpoint, name, body).await;
        let made = Made {
            changed: matches!(outcome, Ok(StepOutcome::Updated)),
            lacking: matches!(outcome, Err(_) | Ok(StepOutcome::Failed(_))),
        };
        self.step(what, name, outcome);
        made
    }

    async fn put_template(
        &mut self,
        endpoint: &str,
        name: &str,
        mut body: Value,
    ) -> Result<StepOutcome, ElasticError> {
        let path = format!("/{endpoint}/{}", segment(name));
        let found = self.client.send(&Request::get(path.as_str()).accept(404)).await?;
        let there = if found.status == 404 { None } else { Some(found.json::<Value>()?) };
        let meta = there.as_ref().map(|found| meta(found, endpoint));
        if let Some(meta) = &meta
            && meta.get("managed_by").and_then(Value::as_str) != Some(OWNER)
        {
            return Ok(StepOutcome::Failed(
                "there is one of that name which tocsin did not make: it was left alone".to_owned(),
            ));
        }
        for _ in 0..TYPES {
            self.missing.apply(&mut body);
            // What is asked for, before types are replaced, would differ on every run.
            let template = signed(body.clone());
            if meta.as_ref().and_then(|meta| meta.get("hash")) == template.pointer("/_meta/hash") {
                return Ok(StepOutcome::Stood);
            }
            let request = Request::write(Method::Put, path.as_str()).repeatable().json(&template);
            match self.client.json(&request).await {
                Ok(_) if meta.is_some() => return Ok(StepOutcome::Updated),
                Ok(_) => return Ok(StepOutcome::Installed),
                Err(error) => {
                    if !self.missing.learn(&error.to_string()) {
                        return Err(error);
                    }
                }
            }
        }
        Ok(StepOutcome::Failed("the cluster lacks too many field types".to_owned()))
    }

    /// Makes an index, or the first index behind an alias; one that is there gets new fields when
    /// its template changed. Without its template it would have no mapping, so then it is not made.
    async fn index(&mut self, name: &str, alias: bool, template: Made) {
        let outcome = if template.lacking {
            Ok(StepOutcome::Failed("its template could not be installed".to_owned()))
        } else {
            self.make_index(name, alias, template.changed).await
        };
        self.step(if alias { "write alias" } else { "index" }, name, outcome);
    }

    async fn make_index(&self, name: &str, alias: bool, changed: bool) -> Result<StepOutcome, ElasticError> {
        let encoded = segment(name);
        let found = self.client.send(&Request::get(format!("/{encoded}/_alias")).accept(404)).await?;
        if found.status != 404 {
            let found: Value = found.json()?;
            if alias && found.get(name).is_some() {
                return Ok(StepOutcome::Failed(format!(
                    "`{name}` is an index, not an alias of numbered ones: rename it, or choose another name"
                )));
            }
            if !changed {
                return Ok(StepOutcome::Stood);
            }
            let simulated = self
                .client
                .json(&Request::read(format!("/_index_template/_simulate_index/{encoded}-000001")))
                .await?;
            let Some(mappings) = simulated.pointer("/template/mappings") else {
                return Ok(StepOutcome::Stood);
            };
            let request =
                Request::write(Method::Put, format!("/{encoded}/_mapping")).repeatable().json(mappings);
            self.client.json(&request).await?;
            return Ok(StepOutcome::Updated);
        }
        let (path, body) = if alias {
            (format!("/{encoded}-000001"), json!({"aliases": {name: {"is_write_index": true}}}))
        } else {
            (format!("/{encoded}"), json!({}))
        };
        match self.client.json(&Request::write(Method::Put, path).json(&body)).await {
            Ok(_) => Ok(StepOutcome::Installed),
            // Another set-up was faster.
            Err(error)
                if error.refusal().and_then(|r| r.kind.as_deref())
                    == Some("resource_already_exists_exception") =>
            {
                Ok(StepOutcome::Stood)
            }
            Err(error) => Err(error),
        }
    }

    /// What writing into Kibana's own index requires: that Security was set up in the space, that
    /// the fields are mapped, and that this user may write.
    async fn check_kibana(&mut self) {
        let name = self.names.alerts.name.clone();
        let alias = self.kibana_alias(&name).await;
        let there = matches!(alias, Ok(StepOutcome::Stood));
        self.step("alias of Kibana", &name, alias);
        if there {
            let fields = self.kibana_fields(&name).await;
            self.step("fields of Kibana", &name, fields);
            let privileges = self.kibana_privileges(&name).await;
            self.step("privileges", &name, privileges);
        }
    }

    async fn kibana_alias(&self, name: &str) -> Result<StepOutcome, ElasticError> {
        let request = Request::get(format!("/_alias/{}", segment(name))).accept(404);
        if self.client.send(&request).await?.status == 404 {
            return Ok(StepOutcome::Failed(format!(
                "Kibana makes it when Security is opened in the space `{}` for the first time: open it \
                 there, then run this again (tocsin never makes it)",
                self.names.alerts.space
            )));
        }
        Ok(StepOutcome::Stood)
    }

    async fn kibana_fields(&self, name: &str) -> Result<StepOutcome, ElasticError> {
        let path = format!("/{}/_mapping/field/{}", segment(name), KIBANA_FIELDS.join(","));
        let found = self.client.json(&Request::get(path)).await?;
        let lacks: Vec<&str> = KIBANA_FIELDS
            .into_iter()
            .filter(|field| {
                !found.as_object().is_some_and(|indices| {
                    indices.values().any(|index| {
                        index.get("mappings").is_some_and(|mappings| mappings.get(field).is_some())
                    })
                })
            })
            .collect();
        Ok(if lacks.is_empty() {
            StepOutcome::Stood
        } else {
            StepOutcome::Failed(format!("no alert index of Kibana: it lacks {}", lacks.join(", ")))
        })
    }

    async fn kibana_privileges(&self, name: &str) -> Result<StepOutcome, ElasticError> {
        let space = &self.names.alerts.space;
        let backing = format!(".internal.alerts-security.alerts-{space}-*");
        let wanted = ["read", "write", "view_index_metadata"];
        let body = json!({"index": [{"names": [name, backing], "privileges": wanted}]});
        let request = Request::read("/_security/user/_has_privileges").json(&body);
        let found = match self.client.json(&request).await {
            Ok(found) => found,
            Err(error) if matches!(error.status(), Some(400 | 404 | 405 | 500)) => {
                return Ok(StepOutcome::Unavailable(format!("the cluster checks no privileges: {error}")));
            }
            Err(error) => return Err(error),
        };
        let mut lacks = Vec::new();
        for index in [name, &backing] {
            for privilege in wanted {
                let has = found.pointer("/index").and_then(|all| all.get(index)?.get(privilege)?.as_bool());
                if has != Some(true) {
                    lacks.push(format!("`{privilege}` on `{index}`"));
                }
            }
        }
        Ok(if lacks.is_empty() {
            StepOutcome::Stood
        } else {
            StepOutcome::Failed(format!("the user lacks {}", lacks.join(", ")))
        })
    }
}

/// `_meta` of a template as it is read back.
fn meta(found: &Value, endpoint: &str) -> Value {
    let (list, key) = match endpoint {
        "_component_template" => ("component_templates", "component_template"),
        _ => ("index_templates", "index_template"),
    };
    found.get(list).and_then(|list| list.get(0)?.get(key)?.get("_meta")).cloned().unwrap_or_default()
}

/// Whether the phases of a policy are those asked for. A cluster adds defaults of its own to
/// actions, so only what was asked for is compared.
fn same_phases(found: &Value, body: &Value) -> bool {
    let Some(asked) = body.pointer("/policy/phases") else { return false };
    let names = |phases: &Value| {
        phases.as_object().map(|map| map.keys().cloned().collect::<std::collections::BTreeSet<_>>())
    };
    names(found) == names(asked) && holds(found, asked)
}

fn holds(found: &Value, asked: &Value) -> bool {
    match (found, asked) {
        (Value::Object(found), Value::Object(asked)) => {
            asked.iter().all(|(key, value)| found.get(key).is_some_and(|found| holds(found, value)))
        }
        (found, asked) => found == asked,
    }
}
