//! Wiring: from a configuration to open stores, rules and an engine. The only place that names
//! concrete types of every layer.
//!
//! Shutdown is the reverse of start-up and happens by dropping: executions have reached their
//! commit before the scheduler returns, then the state database's writer ends after everything it
//! was given is on disk, and the event store keeps what is not sealed in its database.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::backend::local::LocalBackend;
use crate::base::clock::Clock;
use crate::config::Config;
use crate::rule::cache::CacheDir;
use crate::rule::load::files::load_paths;
use crate::rule::model::Rule;
use crate::rule::set::RuleSet;
use crate::rule::shipped;
use crate::store::state::{StateDb, StateError};
use crate::store::{Store, StoreError, StoreOptions};

/// Why the parts could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The event store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state database.
    #[error(transparent)]
    State(#[from] StateError),
}

/// The parts of one installation, opened when they are first asked for.
pub struct App {
    config: Config,
    clock: Arc<dyn Clock>,
    store: OnceLock<Arc<Store>>,
    state: OnceLock<Arc<StateDb>>,
    backend: OnceLock<Arc<LocalBackend>>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What `part` holds, opened by `open` the first time.
fn opened<T, E>(part: &OnceLock<Arc<T>>, open: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
    match part.get() {
        Some(open) => Ok(Arc::clone(open)),
        None => open().map(|new| Arc::clone(part.get_or_init(|| Arc::new(new)))),
    }
}

impl App {
    /// The installation that `config` describes. Opens nothing yet.
    pub fn new(config: Config, clock: Arc<dyn Clock>) -> Self {
        Self { config, clock, store: OnceLock::new(), state: OnceLock::new(), backend: OnceLock::new() }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The event store of the data folder, which is made when it is missing.
    ///
    /// # Errors
    /// When it cannot be opened, or was written by a newer version.
    pub fn store(&self) -> Result<Arc<Store>, StoreError> {
        opened(&self.store, || Store::open(&self.config.data_dir, self.store_options()))
    }

    /// The state database of the data folder, which is made when it is missing.
    ///
    /// # Errors
    /// When it cannot be opened, or was written by a newer version.
    pub fn state(&self) -> Result<Arc<StateDb>, StateError> {
        opened(&self.state, || StateDb::open(&self.config.data_dir))
    }

    /// Searches the event store, and the alerts in the state database.
    ///
    /// # Errors
    /// When either cannot be opened.
    pub fn backend(&self) -> Result<Arc<LocalBackend>, AppError> {
        opened(&self.backend, || Ok(LocalBackend::new(self.store()?, Some(self.state()?))))
    }

    fn store_options(&self) -> StoreOptions {
        let cache_bytes = usize::try_from(self.config.limits.memory.bytes()).unwrap_or(usize::MAX);
        StoreOptions { clock: Arc::clone(&self.clock), cache_bytes, ..StoreOptions::default() }
    }

    /// The rules at `paths`, else at the configured paths, else those shipped in the binary.
    pub fn rules(&self, paths: &[PathBuf]) -> RuleSet {
        let paths = if paths.is_empty() { &self.config.rules.paths } else { paths };
        if paths.is_empty() { shipped::load() } else { load_paths(paths, self.rule_cache().as_ref()) }
    }

    /// Where compiled rules are kept between starts.
    pub fn rule_cache(&self) -> Option<CacheDir> {
        // A cache makes no data folder: looking at rules leaves nothing behind.
        self.config
            .data_dir
            .is_dir()
            .then(|| CacheDir::of_data_dir(&self.config.data_dir, std::env::current_exe().ok()))
    }

    /// Whether `rule` runs: what its file says, unless `[[rules.override]]` says otherwise.
    pub fn enabled(&self, rule: &Rule) -> bool {
        self.config.rules.enabled(rule)
    }
}
