//! Where alerts and state are kept: in the data folder, on a cluster, or both.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::clusters::{self, ClusterError};
use super::{App, AppError};
use crate::cluster::{AlertIndex, ClusterAlerts, ClusterState, Forwarder, Mode, Names};
use crate::config::AlertsMode;
use crate::elastic::Client;
use crate::store::state::{AlertSink, LeaseStore, LocalState, StateStore};

/// The word for the data folder in `alerts.to`.
const LOCAL: &str = "local";

/// Clients of clusters, made when they are first asked for.
#[derive(Debug, Default)]
pub(super) struct Clients(Mutex<HashMap<String, Arc<Client>>>);

/// Why alerts cannot be kept where the configuration says.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// A name that is no backend's.
    #[error("`alerts.to` names `{0}`, which is no `[[backend]]` of the configuration")]
    Unknown(String),
    /// A name of the alert index that cannot be used.
    #[error("{0}")]
    Index(String),
    /// Nowhere.
    #[error("`alerts.to` is empty: name `local`, a backend, or both")]
    Nowhere,
    /// A cluster's client.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

impl App {
    /// The client of the cluster that the configuration calls `name`.
    ///
    /// # Errors
    /// When there is none of that name, or its settings cannot be used.
    pub fn cluster(&self, name: &str) -> Result<Arc<Client>, AppError> {
        let mut clients = self.clients.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(name) {
            return Ok(Arc::clone(client));
        }
        let backend = self.config.backend.iter().find(|backend| backend.name == name);
        let backend = backend.ok_or_else(|| KeptError::Unknown(name.to_owned()))?;
        let client = clusters::client(backend, Arc::clone(&self.clock)).map_err(KeptError::from)?;
        let client = Arc::new(client);
        clients.insert(name.to_owned(), Arc::clone(&client));
        Ok(client)
    }

    /// Names of what tocsin keeps on a cluster.
    ///
    /// # Errors
    /// When the configured alert index is no name that can be used.
    pub fn names(&self) -> Result<Names, AppError> {
        let alerts = &self.config.alerts;
        let mode = match alerts.mode {
            AlertsMode::Own => Mode::Own,
            AlertsMode::Kibana => Mode::Kibana,
            AlertsMode::External => Mode::External,
        };
        let index = AlertIndex::new(mode, &alerts.index, &alerts.space);
        match index.wrong() {
            Some(why) => Err(KeptError::Index(why).into()),
            None => Ok(Names::new(index)),
        }
    }

    /// Whether alerts are listed from the data folder.
    pub fn alerts_local(&self) -> bool {
        self.home.is_none() && self.config.alerts.to.iter().any(|to| to == LOCAL)
    }

    /// The clusters to which alerts go.
    pub fn alert_clusters(&self) -> Vec<&str> {
        self.config.alerts.to.iter().map(String::as_str).filter(|to| *to != LOCAL).collect()
    }

    /// The alert index of a cluster.
    ///
    /// # Errors
    /// As [`App::cluster`] and [`App::names`].
    pub fn cluster_alerts(&self, name: &str) -> Result<Arc<ClusterAlerts>, AppError> {
        Ok(Arc::new(ClusterAlerts::new(self.cluster(name)?, self.names()?.alerts)))
    }

    /// Where alerts are listed and triaged: in the data folder where they are kept there (what
    /// people do is forwarded), else on the first cluster.
    ///
    /// # Errors
    /// When state or cluster cannot be opened.
    pub fn alerts(&self) -> Result<Arc<dyn AlertSink>, AppError> {
        if self.alerts_local() {
            return Ok(Arc::new(LocalState::new(self.state()?)));
        }
        let first = self.alert_clusters().first().copied().ok_or(KeptError::Nowhere)?.to_owned();
        Ok(self.cluster_alerts(&first)?)
    }

    /// State and alerts of executions on the cluster on which everything is kept (`--backend`);
    /// `None`: they are kept in the data folder.
    ///
    /// # Errors
    /// As [`App::cluster_alerts`].
    pub fn kept_on_cluster(&self) -> Result<Option<(Arc<dyn StateStore>, Arc<dyn AlertSink>)>, AppError> {
        let Some(home) = &self.home else { return Ok(None) };
        let to = self.alert_clusters().first().copied().unwrap_or(home).to_owned();
        let alerts: Arc<dyn AlertSink> = self.cluster_alerts(&to)?;
        let state = ClusterState::new(self.cluster(home)?, self.names()?, Arc::clone(&alerts));
        Ok(Some((Arc::new(state), alerts)))
    }

    /// Where runners that share the rules meet: the cluster on which everything is kept; `None`:
    /// one runner owns the data folder.
    ///
    /// # Errors
    /// As [`App::cluster_alerts`].
    pub fn leases(&self) -> Result<Option<Arc<dyn LeaseStore>>, AppError> {
        let Some(home) = &self.home else { return Ok(None) };
        let alerts: Arc<dyn AlertSink> = self.cluster_alerts(home)?;
        Ok(Some(Arc::new(ClusterState::new(self.cluster(home)?, self.names()?, alerts))))
    }

    /// What takes alerts of the data folder to clusters: one for each that `alerts.to` names.
    ///
    /// # Errors
    /// As [`App::cluster_alerts`].
    pub fn forwarders(&self) -> Result<Vec<Forwarder>, AppError> {
        if self.home.is_some() {
            return Ok(Vec::new());
        }
        let forwarder = |name: &str| Ok(Forwarder::new(self.state()?, name, self.cluster_alerts(name)?));
        self.alert_clusters().into_iter().map(forwarder).collect()
    }
}
