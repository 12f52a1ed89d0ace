//! [`Worker`]: all connectors at work, from the outbox to their targets.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::connector::Connector;
use super::connectors::{self, Broken};
use super::lane::{Lane, LaneSettings};
use super::settings::Setup;
use crate::base::clock::Clock;
use crate::store::state::{DeliveryState, StateDb};

/// How often digests are looked for.
const DIGESTS: Duration = Duration::from_millis(500);
/// How often it is looked whether notifications wait for connectors that nobody configures.
const ORPHANS: Duration = Duration::from_mins(1);

/// Takes notifications from the outbox to their targets.
#[derive(Clone)]
pub struct Worker {
    /// What the configuration says.
    pub setup: Setup,
    /// The outbox.
    pub state: Arc<StateDb>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("setup", &self.setup).finish_non_exhaustive()
    }
}

impl Worker {
    /// Delivers until `stop`, then what is due, up to the configured deadline. Whenever `reload`
    /// changes, secrets are read again.
    pub async fn run(self, stop: CancellationToken, mut reload: watch::Receiver<u64>) {
        loop {
            // Not a child of `stop`: lanes drain after the last digests were made.
            let (round, again) = (CancellationToken::new(), CancellationToken::new());
            let mut lanes = self.start(&round).await;
            let mut known: HashSet<String> =
                self.setup.lanes.iter().map(|lane| lane.config.name.clone()).collect();
            let mut digests = tokio::time::interval(DIGESTS);
            let mut orphans = tokio::time::interval(ORPHANS);
            loop {
                tokio::select! {
                    () = stop.cancelled() => break,
                    Ok(()) = reload.changed() => {
                        again.cancel();
                        break;
                    }
                    _ = digests.tick() => self.digests().await,
                    _ = orphans.tick() => self.orphans(&mut known, &mut lanes, &round).await,
                }
            }
            // A last look, so that what became due is part of what is drained.
            self.digests().await;
            round.cancel();
            while lanes.join_next().await.is_some() {}
            if !again.is_cancelled() {
                return;
            }
            tracing::info!("connectors were set up again");
        }
    }

    /// Delivers what is due now, for at most the configured time, and ends.
    pub async fn drain(self) {
        let stop = CancellationToken::new();
        stop.cancel();
        let (_keep, reload) = watch::channel(0);
        self.run(stop, reload).await;
    }

    async fn start(&self, stop: &CancellationToken) -> JoinSet<()> {
        let mut lanes = JoinSet::new();
        for settings in &self.setup.lanes {
            let name = &settings.config.name;
            // Secrets may come from programs.
            let own = settings.clone();
            let built = tokio::task::spawn_blocking(move || connectors::build(&own)).await;
            let connector: Arc<dyn Connector> =
                match built.map_err(|error| error.to_string()).and_then(|built| built) {
                    Ok(connector) => connector,
                    Err(reason) => {
                        tracing::error!(
                            connector = name,
                            reason,
                            "a connector cannot be set up: what is for it waits"
                        );
                        Arc::new(Broken(reason))
                    }
                };
            lanes.spawn(self.lane(settings, connector).run(
                self.setup.wake.clone(),
                stop.clone(),
                self.setup.drain,
            ));
        }
        lanes
    }

    fn lane(&self, settings: &LaneSettings, connector: Arc<dyn Connector>) -> Lane {
        let most = settings.concurrency.unwrap_or_else(|| connector.concurrency());
        Lane {
            name: settings.config.name.clone(),
            connector,
            wording: Arc::new(settings.wording.clone()),
            timeout: settings.timeout,
            retry_for: settings.retry_for,
            concurrency: usize::try_from(most).unwrap_or(1).max(1),
            rate: settings.rate,
            state: Arc::clone(&self.state),
            clock: Arc::clone(&self.clock),
        }
    }

    async fn digests(&self) {
        let (state, now) = (Arc::clone(&self.state), self.clock.now());
        match tokio::task::spawn_blocking(move || state.make_digests(now)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::error!(%error, "cannot make digests"),
            Err(error) => tracing::error!(%error, "cannot make digests"),
        }
    }

    /// Gives notifications for connectors that nobody configures any more their way to the dead
    /// letters.
    async fn orphans(&self, known: &mut HashSet<String>, lanes: &mut JoinSet<()>, stop: &CancellationToken) {
        let state = Arc::clone(&self.state);
        let Ok(Ok(counts)) = tokio::task::spawn_blocking(move || state.delivery_counts()).await else {
            return;
        };
        for count in counts.into_iter().filter(|count| count.state == DeliveryState::Waiting) {
            let Some(template) = self.setup.lanes.first() else { return };
            if !known.insert(count.connector.clone()) {
                continue;
            }
            tracing::warn!(
                connector = count.connector,
                count = count.count,
                "notifications wait for a connector that is not configured"
            );
            let mut settings = template.clone();
            settings.config.name.clone_from(&count.connector);
            let broken = Arc::new(Broken("no connector of this name is configured".to_owned()));
            lanes.spawn(self.lane(&settings, broken).run(
                self.setup.wake.clone(),
                stop.clone(),
                self.setup.drain,
            ));
        }
    }
}
