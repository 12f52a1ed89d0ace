//! Whether each cluster answers, what it is, and whether rules can be run on it.

use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use serde_json::{Value, json};

use super::{Context, Finding};
use crate::app::clusters;
use crate::backend::Backend;
use crate::backend::cluster::ClusterBackend;
use crate::base::clock::Clock;
use crate::cli::args::BackendChoice;
use crate::config::BackendConfig;
use crate::ecs::types::FieldType;
use crate::elastic::{Client, ElasticError, Options, Product, Request, RetryPolicy};

const CHECK: &str = "backend";
/// How long a node may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// From here on two clocks differ so much that windows miss events, ms.
const SKEW: i64 = 30_000;

/// One address to ask, and what it belongs to.
struct Target<'c> {
    subject: String,
    url: String,
    backend: Option<&'c BackendConfig>,
}

/// Asks every node of every cluster.
pub(super) fn check(context: &Context) -> Vec<Finding> {
    let mut targets: Vec<Target<'_>> = context
        .config()
        .backend
        .iter()
        .flat_map(|backend| {
            backend.url.iter().map(move |url| Target {
                subject: format!("{} {url}", backend.name),
                url: url.clone(),
                backend: Some(backend),
            })
        })
        .collect();
    if let BackendChoice::Url(url) = context.backend()
        && !targets.iter().any(|target| target.url == *url)
    {
        targets.push(Target { subject: url.clone(), url: url.clone(), backend: None });
    }
    if targets.is_empty() {
        return vec![Finding::skipped(CHECK, "none configured: events are in the embedded store")];
    }
    targets
        .into_iter()
        .flat_map(|target| match context.block_on(look(&target, &context.clock())) {
            Ok(findings) => findings,
            Err(error) => vec![Finding::failed(CHECK, error.to_string(), "try again").about(&target.subject)],
        })
        .collect()
}

/// Everything that can be seen through one address.
async fn look(target: &Target<'_>, clock: &Arc<dyn Clock>) -> Vec<Finding> {
    let about = |finding: Finding| finding.about(&target.subject);
    let client = match connect(target, clock) {
        Ok(client) => client,
        Err(reason) => return vec![about(Finding::failed(CHECK, reason, "correct the configuration"))],
    };
    let flavour = match client.flavour().await {
        Ok(flavour) => flavour,
        Err(error) => return vec![about(Finding::failed(CHECK, error.to_string(), error.help()))],
    };
    let mut findings = vec![about(Finding::ok(CHECK, format!("answers: {flavour}")))];
    findings.extend(skew(&client, clock).await.map(about));
    let Some(backend) = target.backend.filter(|backend| !backend.patterns.is_empty()) else {
        return findings;
    };
    if flavour.product == Product::Elasticsearch {
        findings.extend(privileges(&client, &backend.patterns).await.map(about));
    }
    findings.push(about(indices(client, &backend.patterns).await));
    findings
}

fn connect(target: &Target<'_>, clock: &Arc<dyn Clock>) -> Result<Client, String> {
    let options = match target.backend {
        Some(backend) => clusters::options(backend).map_err(|error| error.to_string())?,
        None => Options::new(&target.url, Vec::new()),
    };
    let options = Options {
        hosts: vec![target.url.clone()],
        retry: RetryPolicy::never(),
        connect_timeout: TIMEOUT,
        request_timeout: TIMEOUT,
        ..options
    };
    Client::new(options, Arc::clone(clock)).map_err(|error| error.to_string())
}

/// How far the cluster's clock is from this one. Who may not ask for it, is not told.
async fn skew(client: &Client, clock: &Arc<dyn Clock>) -> Option<Finding> {
    let request = Request::get("/_nodes/stats/os").query("filter_path", "nodes.*.timestamp");
    let answer = client.json(&request).await.ok()?;
    let now = clock.now();
    let times = answer.get("nodes")?.as_object()?.values().filter_map(|node| node.get("timestamp")?.as_i64());
    let differences =
        times.filter_map(|ms| Some((DateTime::from_timestamp_millis(ms)? - now).num_milliseconds()));
    let worst = differences.max_by_key(|difference| difference.abs())?;
    if worst.abs() < SKEW {
        return None;
    }
    Some(Finding::warning(
        CHECK,
        format!("its clock differs from this machine's by {} s", worst / 1_000),
        "set both clocks by NTP: windows are computed here, times of arrival there",
    ))
}

/// What is missing to read the patterns; nothing where there is no security to ask.
async fn privileges(client: &Client, patterns: &[String]) -> Option<Finding> {
    let wanted = ["read", "view_index_metadata"];
    let body = json!({"index": [{"names": patterns, "privileges": wanted}]});
    let answer = client.json(&Request::read("/_security/user/_has_privileges").json(&body)).await.ok()?;
    if answer.get("has_all_requested").and_then(Value::as_bool)? {
        return None;
    }
    let missing: Vec<String> = answer
        .get("index")?
        .as_object()?
        .iter()
        .flat_map(|(name, has)| {
            wanted
                .iter()
                .filter(|privilege| has.get(**privilege).and_then(Value::as_bool) == Some(false))
                .map(move |privilege| format!("`{privilege}` on `{name}`"))
        })
        .collect();
    Some(Finding::failed(
        CHECK,
        format!("its user lacks {}", missing.join(", ")),
        "give the user a role with these privileges",
    ))
}

/// Whether the patterns name indices, and whether these have the time that rules search by.
async fn indices(client: Client, patterns: &[String]) -> Finding {
    let named = patterns.join(", ");
    let counted = count(&client, patterns).await;
    let mapping = ClusterBackend::new(client).mapping(patterns).await;
    let (count, mapping) = match (counted, mapping) {
        (Ok(count), Ok(mapping)) => (count, mapping),
        (Err(error), _) => return Finding::failed(CHECK, error.to_string(), error.help()),
        (_, Err(error)) => {
            return Finding::failed(
                CHECK,
                error.to_string(),
                "give the user the privilege `view_index_metadata`",
            );
        }
    };
    if count == 0 {
        return Finding::warning(
            CHECK,
            format!("no index matches `{named}`"),
            "check `patterns`; rules on them have no data source until there is one",
        );
    }
    match mapping.resolve("@timestamp") {
        Some(field)
            if matches!(field.kind, FieldType::Date | FieldType::DateNanos) && !field.conflicting() =>
        {
            Finding::ok(CHECK, format!("{count} indices match `{named}`"))
        }
        Some(_) => Finding::warning(
            CHECK,
            format!("`@timestamp` is not a date in every index that matches `{named}`"),
            "map it as `date`, or leave those indices out with `-NAME`",
        ),
        None => Finding::warning(
            CHECK,
            format!("no index that matches `{named}` has a field `@timestamp`"),
            "rules search by `@timestamp` unless they have a `timestamp_override`",
        ),
    }
}

async fn count(client: &Client, patterns: &[String]) -> Result<usize, ElasticError> {
    let path = format!("/{}/_field_caps", crate::elastic::segment(&patterns.join(",")));
    let request = Request::read(path)
        .query("fields", "@timestamp")
        .query("ignore_unavailable", "true")
        .query("allow_no_indices", "true")
        .accept(404);
    let answer = client.json(&request).await?;
    Ok(answer.get("indices").and_then(Value::as_array).map_or(0, Vec::len))
}
