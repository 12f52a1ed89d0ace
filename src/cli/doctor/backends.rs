//! Whether each cluster answers, and what it is.

use std::time::Duration;

use serde_json::Value;

use super::{Context, Finding};
use crate::cli::args::BackendChoice;
use crate::config::{AuthConfig, BackendConfig};

const CHECK: &str = "backend";
/// How long a node may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer to `GET /` that is read, bytes.
const LARGEST: usize = 64 * 1024;
/// Said with every cluster that answers.
const NOT_YET: &str =
    "rules are not run on clusters in this version; events are read from the embedded store";

/// Asks every node `GET /`.
pub(super) fn check(context: &Context) -> Vec<Finding> {
    let mut targets: Vec<(String, String, Option<&BackendConfig>)> = context
        .config()
        .backend
        .iter()
        .flat_map(|backend| {
            backend.url.iter().map(move |url| (format!("{} {url}", backend.name), url.clone(), Some(backend)))
        })
        .collect();
    if let BackendChoice::Url(url) = context.backend() {
        targets.push((url.clone(), url.clone(), None));
    }
    if targets.is_empty() {
        return vec![Finding::skipped(CHECK, "none configured: events are in the embedded store")];
    }
    targets
        .into_iter()
        .map(|(subject, url, backend)| {
            let asked = context.block_on(ask(&url, backend));
            match asked.map_err(|error| error.to_string()).and_then(|answer| answer) {
                Ok(product) => Finding::warning(CHECK, format!("answers: {product}"), NOT_YET),
                Err(reason) => {
                    Finding::failed(CHECK, reason, "check address, network, certificate and credentials")
                }
            }
            .about(subject)
        })
        .collect()
}

async fn ask(url: &str, backend: Option<&BackendConfig>) -> Result<String, String> {
    let mut client = reqwest::Client::builder().timeout(TIMEOUT).connect_timeout(TIMEOUT);
    if let Some(path) = backend.and_then(|backend| backend.ca_file.as_ref()) {
        let failed = |reason: String| format!("cannot use ca_file `{}`: {reason}", path.display());
        let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let certificate = reqwest::Certificate::from_pem(&pem).map_err(|error| failed(error.to_string()))?;
        client = client.add_root_certificate(certificate);
    }
    let client = client.build().map_err(|error| format!("cannot set up HTTP: {}", causes(&error)))?;
    let mut request = client.get(url);
    if let Some(auth) = backend.and_then(|backend| backend.auth.as_ref()) {
        request = authenticate(request, auth)?;
    }
    let response = request.send().await.map_err(|error| format!("does not answer: {}", causes(&error)))?;
    let status = response.status();
    if !status.is_success() {
        return Err(format!("answers with HTTP {status}"));
    }
    let body = bounded(response).await?;
    let info: Value = serde_json::from_slice(&body)
        .map_err(|_| "answers, but not with JSON: is this an Elasticsearch or OpenSearch?".to_owned())?;
    product(&info).ok_or_else(|| "answers, but is neither an Elasticsearch nor an OpenSearch".to_owned())
}

async fn bounded(mut response: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) =
        response.chunk().await.map_err(|error| format!("answer broke off: {}", causes(&error)))?
    {
        if body.len() + chunk.len() > LARGEST {
            return Err(format!("answer to `GET /` is longer than {LARGEST} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn authenticate(
    request: reqwest::RequestBuilder,
    auth: &AuthConfig,
) -> Result<reqwest::RequestBuilder, String> {
    let resolved = |secret: &crate::config::SecretRef| secret.resolve().map_err(|error| error.to_string());
    if let Some(secret) = &auth.api_key {
        return Ok(request.header("Authorization", format!("ApiKey {}", resolved(secret)?.expose())));
    }
    if let Some(secret) = &auth.bearer {
        return Ok(request.bearer_auth(resolved(secret)?.expose()));
    }
    if let Some(basic) = &auth.basic {
        return Ok(request.basic_auth(&basic.username, Some(resolved(&basic.password)?.expose())));
    }
    Err("this way to log in is not built yet".to_owned())
}

/// Product and version in the answer to `GET /`.
fn product(info: &Value) -> Option<String> {
    let version = info.pointer("/version/number")?.as_str()?;
    let name = match info.pointer("/version/distribution").and_then(Value::as_str) {
        Some("opensearch") => "OpenSearch",
        Some(_) => return None,
        None => "Elasticsearch",
    };
    let cluster = info.get("cluster_name").and_then(Value::as_str).unwrap_or("unnamed");
    Some(format!("{name} {version}, cluster {cluster}"))
}

/// An error with its causes: reqwest keeps the interesting part below.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn products_are_told_apart() {
        let elastic =
            json!({"cluster_name": "c", "version": {"number": "8.19.2", "build_flavor": "default"}});
        assert_eq!(product(&elastic).unwrap(), "Elasticsearch 8.19.2, cluster c");
        let open =
            json!({"cluster_name": "c", "version": {"number": "2.19.3", "distribution": "opensearch"}});
        assert_eq!(product(&open).unwrap(), "OpenSearch 2.19.3, cluster c");
        assert_eq!(product(&json!({"ok": true})), None);
    }
}
