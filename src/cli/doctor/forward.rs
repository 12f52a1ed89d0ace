//! Whether alerts of the data folder reach the clusters that they are forwarded to.

use super::{Context, Finding};

const CHECK: &str = "forwarding";

/// What waits for each cluster, and why.
pub(super) fn check(context: &Context) -> Vec<Finding> {
    if !context.data_dir().join(crate::store::state::FILE).exists() {
        return Vec::new();
    }
    let queues = match context.app().state().and_then(|state| state.forward_queues()) {
        Ok(queues) => queues,
        Err(error) => {
            return vec![Finding::failed(CHECK, error.to_string(), "see the state database's own check")];
        }
    };
    let configured = context.app().alert_clusters();
    let idle = configured.iter().filter(|name| queues.iter().all(|queue| queue.target != **name));
    let mut findings: Vec<Finding> =
        idle.map(|name| Finding::ok(CHECK, "nothing waits").about(*name)).collect();
    for queue in &queues {
        let plural = if queue.waiting == 1 { "waits" } else { "wait" };
        let seen = format!("{} alerts and changes {plural}", queue.waiting);
        let finding = if !configured.contains(&queue.target.as_str()) {
            let advice = format!("add `{}` to `alerts.to`, or give them up", queue.target);
            Finding::warning(CHECK, format!("{seen} for a cluster that is not in `alerts.to`"), advice)
        } else if let Some(error) = &queue.error {
            Finding::failed(
                CHECK,
                format!("{seen}: {error}"),
                "mend that; they are tried again by themselves",
            )
        } else {
            Finding::ok(CHECK, format!("{seen} for the next round"))
        };
        findings.push(finding.about(queue.target.as_str()));
    }
    findings
}
