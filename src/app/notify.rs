//! Notifications of an installation: its routes put before the outbox, its connectors to work.

use std::sync::Arc;

use super::App;
use crate::notify::{Problem, Setup, Worker};
use crate::store::state::{Routing, StateError};

impl App {
    /// What the configuration says about notifications.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn notifications(&self) -> Result<Setup, Vec<Problem>> {
        Setup::new(&self.config, Arc::clone(&self.clock))
    }

    /// Has `setup` decide what is told of alerts from now on; the worker that tells it.
    ///
    /// # Errors
    /// When the state database cannot be opened.
    pub fn notify(&self, setup: Setup) -> Result<Worker, StateError> {
        let state = self.state()?;
        let router: Arc<dyn Routing> = Arc::clone(&setup.router) as Arc<dyn Routing>;
        state.set_routing(Some(router));
        Ok(Worker { setup, state, clock: Arc::clone(&self.clock) })
    }
}
