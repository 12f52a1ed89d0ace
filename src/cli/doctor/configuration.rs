//! Which configuration is in force, and whether its secrets can be had.

use super::{Context, Finding};
use crate::config::{Config, SecretRef};

const CHECK: &str = "configuration";

/// Reports the file and its warnings, and resolves every secret.
pub(super) fn check(context: &Context) -> Vec<Finding> {
    let loaded = context.loaded();
    let mut findings = vec![match &loaded.file {
        Some(file) => Finding::ok(CHECK, format!("{} values set", loaded.origins.len()))
            .about(file.display().to_string()),
        None => Finding::ok(CHECK, "no file, defaults are in force"),
    }];
    for (warning, _) in &loaded.warnings {
        findings.push(Finding::warning(
            CHECK,
            warning.message.clone(),
            warning.help.clone().unwrap_or_default(),
        ));
    }
    for (subject, secret) in secrets(context.config()) {
        findings.push(match secret.resolve() {
            Ok(_) if matches!(secret, SecretRef::Literal(_)) => {
                Finding::ok(CHECK, "secret is written in the file").about(subject)
            }
            Ok(_) => Finding::ok(CHECK, format!("secret found: {secret}")).about(subject),
            Err(error) => {
                Finding::failed(CHECK, error.to_string(), "set it, or correct the reference").about(subject)
            }
        });
    }
    findings
}

fn secrets(config: &Config) -> Vec<(String, SecretRef)> {
    let mut found = Vec::new();
    for backend in &config.backend {
        let Some(auth) = &backend.auth else { continue };
        let basic = auth.basic.as_ref().map(|basic| &basic.password);
        let sigv4 = auth.sigv4.as_ref();
        let ways = [
            ("api_key", auth.api_key.as_ref()),
            ("bearer", auth.bearer.as_ref()),
            ("basic.password", basic),
            ("sigv4.access_key_id", sigv4.and_then(|keys| keys.access_key_id.as_ref())),
            ("sigv4.secret_access_key", sigv4.and_then(|keys| keys.secret_access_key.as_ref())),
            ("sigv4.session_token", sigv4.and_then(|keys| keys.session_token.as_ref())),
        ];
        for (way, secret) in ways {
            if let Some(secret) = secret {
                found.push((format!("backend {} {way}", backend.name), secret.clone()));
            }
        }
    }
    for connector in &config.connector {
        for (name, value) in &connector.settings {
            if let Ok(secret @ SecretRef::Reference(_)) = serde_json::from_value::<SecretRef>(value.clone()) {
                found.push((format!("connector {} {name}", connector.name), secret));
            }
        }
    }
    found
}
