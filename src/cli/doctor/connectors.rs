//! Whether each connector could take a message, and whether the outbox empties.

use super::{Context, Finding};
use crate::notify::connectors;
use crate::store::state::DeliveryState;

const CHECK: &str = "connector";
const OUTBOX: &str = "outbox";
/// A notification that waits longer than this deserves a look, ms.
const OLD: i64 = 10 * 60_000;

/// Asks every connector.
pub(super) fn check(context: &Context) -> Vec<Finding> {
    let setup = match context.app().notifications() {
        Ok(setup) => setup,
        Err(problems) => {
            return problems
                .into_iter()
                .map(|problem| {
                    Finding::failed(CHECK, problem.message, "correct the configuration file")
                        .about(problem.path)
                })
                .collect();
        }
    };
    if setup.is_empty() {
        return vec![Finding::skipped(CHECK, "none configured: alerts wait to be looked at")];
    }
    let mut findings: Vec<Finding> = setup
        .lanes
        .iter()
        .map(|lane| {
            let name = &lane.config.name;
            let checked =
                connectors::build(lane).and_then(|connector| match context.block_on(connector.check()) {
                    Ok(Ok(seen)) => Ok(seen),
                    Ok(Err(error)) => Err(error.to_string()),
                    Err(error) => Err(error.to_string()),
                });
            let finding = match checked {
                Ok(seen) => Finding::ok(CHECK, seen),
                Err(reason) => Finding::failed(
                    CHECK,
                    reason,
                    format!("check address, credentials and network, then `tocsin notify test {name}`"),
                ),
            };
            finding.about(format!("{name} ({})", lane.config.connector_type))
        })
        .collect();
    findings.extend(outbox(context));
    findings
}

/// What waits too long, and what was given up.
fn outbox(context: &Context) -> Vec<Finding> {
    if !context.data_dir().join(crate::store::state::FILE).exists() {
        return Vec::new();
    }
    let counts = match context.app().state().and_then(|state| state.delivery_counts()) {
        Ok(counts) => counts,
        Err(error) => {
            return vec![Finding::failed(OUTBOX, error.to_string(), "see the state database's own check")];
        }
    };
    let now = context.now().timestamp_millis();
    let mut findings = Vec::new();
    for count in counts {
        let found = match count.state {
            DeliveryState::Dead => Finding::warning(
                OUTBOX,
                format!("{} given up", count.count),
                format!(
                    "`tocsin notify list --state dead` says why, `tocsin notify resend --connector {}` sends them again",
                    count.connector
                ),
            ),
            DeliveryState::Waiting if now - count.oldest > OLD => Finding::warning(
                OUTBOX,
                format!("{} waiting, the oldest for {} minutes", count.count, (now - count.oldest) / 60_000),
                "is a service running? `tocsin notify list --state waiting` shows the last failure",
            ),
            _ => continue,
        };
        findings.push(found.about(count.connector));
    }
    findings
}
