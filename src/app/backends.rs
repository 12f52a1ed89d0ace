//! Where events are searched: the embedded store, clusters, or both.

use std::sync::Arc;

use super::{App, AppError};
use crate::backend::Backend;
use crate::backend::cluster::{ClusterBackend, ClusterOptions};
use crate::backend::router::{Alerts, Route, Router};
use crate::config::{AskRules, BackendConfig};

impl App {
    /// Searches events where the configuration says: each `[[backend]]` with `patterns` serves
    /// those, the embedded store the rest; on a cluster that was chosen alone, that cluster serves
    /// everything and no store is opened.
    ///
    /// # Errors
    /// When the store cannot be opened, or the settings of a cluster cannot be used.
    pub fn backend(&self) -> Result<Arc<dyn Backend>, AppError> {
        if let Some(open) = self.backend.get() {
            return Ok(Arc::clone(open));
        }
        let made = self.make_backend()?;
        Ok(Arc::clone(self.backend.get_or_init(|| made)))
    }

    fn make_backend(&self) -> Result<Arc<dyn Backend>, AppError> {
        let mut routes = Vec::new();
        for backend in self.config.backend.iter().filter(|backend| !backend.patterns.is_empty()) {
            routes.push(Route {
                name: backend.name.clone(),
                patterns: backend.patterns.clone(),
                backend: self.searched(backend)?,
            });
        }
        let chosen = routes.iter().find(|route| self.home.as_ref() == Some(&route.name));
        let otherwise: Arc<dyn Backend> = match chosen {
            Some(route) => Arc::clone(&route.backend),
            None if routes.is_empty() => return Ok(self.local_backend()?),
            None => self.local_backend()?,
        };
        let alerts = if self.alerts_local() {
            Alerts { backend: Arc::clone(&otherwise), index: None }
        } else {
            self.cluster_of_alerts()?
        };
        Ok(Arc::new(Router::new(routes, otherwise, alerts)))
    }

    /// Where tocsin's own alerts are searched when none are kept in the data folder.
    fn cluster_of_alerts(&self) -> Result<Alerts, AppError> {
        let first = self.alert_clusters().first().copied().ok_or(super::kept::KeptError::Nowhere)?;
        let unknown = || super::kept::KeptError::Unknown(first.to_owned());
        let configured =
            self.config.backend.iter().find(|backend| backend.name == first).ok_or_else(unknown)?;
        Ok(Alerts {
            backend: self.searched(configured)?,
            index: self.names()?.alerts.resolve(".alerts-security*").map(str::to_owned),
        })
    }

    fn searched(&self, backend: &BackendConfig) -> Result<Arc<dyn Backend>, AppError> {
        let client = self.cluster(&backend.name)?;
        let options =
            ClusterOptions { grouped: backend.search == AskRules::Grouped, ..ClusterOptions::default() };
        Ok(Arc::new(ClusterBackend::with_options((*client).clone(), options)))
    }
}
