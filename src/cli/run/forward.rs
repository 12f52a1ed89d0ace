//! Alerts on their way to clusters, beside the executions.

use std::sync::Arc;
use std::time::Duration;

use super::super::{CliError, Context};
use crate::base::clock::Clock;
use crate::cluster::{Forwarded, Forwarder};

/// Wait between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest wait while a cluster is away.
const LONGEST: Duration = Duration::from_mins(1);

/// Delivers once what waits; what cannot be delivered is said, and goes on waiting.
pub(in super::super) fn once(context: &Context) -> Result<(), CliError> {
    for forwarder in context.app().forwarders()? {
        let found = context.block_on(forwarder.run(context.clock().now()))?;
        let target = forwarder.target();
        match found {
            Ok(done) if done.refused > 0 => context.warn(format!(
                "{} alerts were refused by `{target}`: they wait, and `tocsin doctor` says why",
                done.refused
            )),
            Ok(_) => {}
            Err(error) => context.warn(format!(
                "alerts for `{target}` wait in the data folder until it can be reached: {error}"
            )),
        }
    }
    Ok(())
}

/// Delivers for as long as it is polled.
pub(super) async fn for_ever(forwarders: Vec<Forwarder>, clock: Arc<dyn Clock>) {
    let mut pauses = vec![PAUSE; forwarders.len()];
    let mut waits = vec![Duration::ZERO; forwarders.len()];
    let mut away = vec![false; forwarders.len()];
    loop {
        for (((forwarder, pause), wait), away) in
            forwarders.iter().zip(&mut pauses).zip(&mut waits).zip(&mut away)
        {
            if *wait > PAUSE {
                *wait -= PAUSE;
                continue;
            }
            let target = forwarder.target();
            match forwarder.run(clock.now()).await {
                Ok(done) => {
                    if std::mem::take(away) {
                        tracing::info!(target, "the cluster is back");
                    }
                    if done != Forwarded::default() {
                        tracing::debug!(
                            target,
                            done.delivered,
                            done.refused,
                            done.taken_over,
                            "forwarded alerts"
                        );
                    }
                    *pause = PAUSE;
                }
                Err(error) => {
                    if !std::mem::replace(away, true) {
                        tracing::warn!(target, %error, "alerts wait in the data folder until the cluster is back");
                    }
                    *pause = (*pause * 2).min(LONGEST);
                }
            }
            *wait = *pause;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
