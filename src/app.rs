//! Wiring: from a configuration to open stores, rules and an engine. The only place that names
//! concrete types of every layer.
//!
//! Shutdown is the reverse of start-up and happens by dropping: executions have reached their
//! commit before the scheduler returns, then the state database's writer ends after everything it
//! was given is on disk, and the event store keeps what is not sealed in its database.

mod backends;
pub mod clusters;
pub mod coverage;
pub mod kept;
mod notify;
pub mod replay;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Duration, Utc};

use crate::backend::local::LocalBackend;
use crate::backend::{Backend, SearchOptions};
use crate::base::clock::Clock;
use crate::base::limits::DELIVERIES_DAYS;
use crate::config::{ByteSize, Capped, Config, TimeSpan};
use crate::engine::{CapBehaviour, Engine, Settings, Timeouts, Trigger};
use crate::rule::cache::CacheDir;
use crate::rule::load::files::{Sources, load_sources, with_exceptions};
use crate::rule::model::Rule;
use crate::rule::set::RuleSet;
use crate::rule::shipped;
use crate::schedule::blackout::{BlackoutError, Blackouts};
use crate::schedule::owed::Policy;
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
    /// Where alerts and state are kept.
    #[error(transparent)]
    Kept(#[from] kept::KeptError),
}

/// What a command chooses about its executions.
#[derive(Debug, Clone, Copy)]
pub struct EngineMode {
    /// Windows of the past are read on the events' own time: `--clock event`.
    pub event_clock: bool,
    /// Why executions run.
    pub trigger: Trigger,
}

/// The store's share of `limits.memory`; searches have the rest.
const STORE_SHARE: usize = 13;
const STORE_PARTS: usize = 16;

/// How long the execution log is kept, days: as long as Kibana's event log.
pub const LOG_DAYS: i64 = 90;

/// What [`App::sweep`] deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Events.
    pub events: u64,
    /// Alerts.
    pub alerts: u64,
    /// Entries of the execution log.
    pub executions: u64,
}

/// The parts of one installation, opened when they are first asked for.
pub struct App {
    config: Config,
    clock: Arc<dyn Clock>,
    store: OnceLock<Arc<Store>>,
    state: OnceLock<Arc<StateDb>>,
    backend: OnceLock<Arc<dyn Backend>>,
    clients: kept::Clients,
    /// The cluster on which state is kept, where it is not in the data folder.
    home: Option<String>,
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
        Self {
            config,
            clock,
            store: OnceLock::new(),
            state: OnceLock::new(),
            backend: OnceLock::new(),
            clients: kept::Clients::default(),
            home: None,
        }
    }

    /// The same with state, executions and alerts on the cluster that the configuration calls
    /// `name`, and none in the data folder.
    #[must_use]
    pub fn at_home_on(mut self, name: String) -> Self {
        self.home = Some(name);
        self
    }

    /// The cluster on which everything is, where there is no data folder: `--backend URL`.
    pub fn home(&self) -> Option<&str> {
        self.home.as_deref()
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
        opened(&self.state, || {
            let state = StateDb::open(&self.config.data_dir)?;
            state.forward_to(self.alert_clusters().into_iter().map(Arc::from).collect());
            Ok(state)
        })
    }

    /// Searches the event store, and the alerts in the state database.
    ///
    /// # Errors
    /// When either cannot be opened.
    pub fn local_backend(&self) -> Result<Arc<LocalBackend>, AppError> {
        let options = SearchOptions::within(self.memory() - self.memory() / STORE_PARTS * STORE_SHARE);
        Ok(Arc::new(LocalBackend::with_options(self.store()?, Some(self.state()?), options)))
    }

    /// An engine over backend and state, with the configured bounds.
    ///
    /// # Errors
    /// When store or state cannot be opened or read.
    pub async fn engine(&self, mode: EngineMode) -> Result<Engine, AppError> {
        let config = &self.config;
        let settings = Settings {
            space: config.alerts.space.as_str().into(),
            max_signals: config.limits.max_signals,
            capped: match config.limits.capped {
                Capped::Keep => CapBehaviour::Keep,
                Capped::Drop => CapBehaviour::Drop,
            },
            event_clock: mode.event_clock,
            trigger: mode.trigger,
            timeout: config.schedule.execution_timeout.duration(),
            timeouts: self.timeouts(),
            ..Settings::default()
        };
        if let Some((state, alerts)) = self.kept_on_cluster()? {
            let (clock, state) = (Arc::clone(&self.clock), self.announcing(state)?);
            return Ok(Engine::open(self.backend()?, state, alerts, clock, settings).await?);
        }
        Ok(Engine::new(self.backend()?, self.state()?, Arc::clone(&self.clock), settings)?)
    }

    /// Which rules have a time-out of their own.
    fn timeouts(&self) -> Timeouts {
        if self.config.rules.overrides.iter().all(|change| change.execution_timeout.is_none()) {
            return Timeouts::default();
        }
        let rules = self.config.rules.clone();
        Timeouts(Some(Arc::new(move |rule| rules.execution_timeout(rule).map(TimeSpan::duration))))
    }

    /// How what is late and what was missed is treated.
    pub fn policy(&self) -> Policy {
        let schedule = &self.config.schedule;
        let ms = |span: TimeSpan| i64::try_from(span.duration().as_millis()).unwrap_or(i64::MAX);
        Policy {
            settle: schedule.settle.map_or(0, ms),
            measured: schedule.settle.is_none(),
            // A cluster shows what it was given at its next refresh.
            lag: if self.home.is_some() { 5_000 } else { 0 },
            catch_up: ms(schedule.catch_up),
            late: ms(schedule.late),
            late_every: ms(schedule.late_check).max(1_000),
        }
    }

    /// When no rule runs.
    ///
    /// # Errors
    /// When `schedule.blackout` or `schedule.timezone` cannot be read.
    pub fn blackouts(&self) -> Result<Blackouts, BlackoutError> {
        let schedule = &self.config.schedule;
        Blackouts::parse(&schedule.blackout, schedule.timezone.as_deref())
    }

    /// Deletes what is older, or more, than the configuration keeps: events by `store.retention`,
    /// alerts by `alerts.retention`, the execution log after [`LOG_DAYS`].
    ///
    /// # Errors
    /// When store or state cannot be opened or written.
    pub fn sweep(&self, now: DateTime<Utc>) -> Result<Swept, AppError> {
        if self.home.is_some() {
            // The cluster's own lifecycle looks after what is kept there.
            return Ok(Swept::default());
        }
        let events = &self.config.store.retention;
        let (age, size) = (events.age.map(TimeSpan::duration), events.size.map(ByteSize::bytes));
        let retired = self.store()?.retain(age, size, now)?;
        let alerts = self.config.alerts.retention.and_then(|age| Duration::from_std(age.duration()).ok());
        let since = |age: Duration| now.checked_sub_signed(age);
        if let Some(until) = since(Duration::days(DELIVERIES_DAYS)) {
            self.state()?.forget_deliveries(until)?;
        }
        let removed = self.state()?.retain(alerts.and_then(since), since(Duration::days(LOG_DAYS)))?;
        Ok(Swept {
            events: retired.events,
            alerts: removed.alerts as u64,
            executions: removed.executions as u64,
        })
    }

    fn memory(&self) -> usize {
        usize::try_from(self.config.limits.memory.bytes()).unwrap_or(usize::MAX)
    }

    fn store_options(&self) -> StoreOptions {
        let cache_bytes = self.memory() / STORE_PARTS * STORE_SHARE;
        let originals = self.config.store.originals;
        StoreOptions { clock: Arc::clone(&self.clock), cache_bytes, originals, ..StoreOptions::default() }
    }

    /// The rules at `paths`, else at the configured paths, else those shipped in the binary.
    pub fn rules(&self, paths: &[PathBuf]) -> RuleSet {
        let sources = self.rule_sources(paths);
        if sources.rules.is_empty() {
            with_exceptions(shipped::load(), &sources)
        } else {
            load_sources(&sources, self.rule_cache().as_ref())
        }
    }

    /// Where the rules of [`App::rules`] and what belongs to them lie.
    pub fn rule_sources(&self, paths: &[PathBuf]) -> Sources {
        let config = &self.config;
        Sources {
            rules: if paths.is_empty() { config.rules.paths.clone() } else { paths.to_vec() },
            exceptions: config.exceptions.paths.clone(),
            value_lists: config.value_lists.paths.clone(),
        }
    }

    /// Where compiled rules are kept between starts.
    pub fn rule_cache(&self) -> Option<CacheDir> {
        // A cache makes no data folder: looking at rules leaves nothing behind.
        self.config
            .data_dir
            .is_dir()
            .then(|| CacheDir::of_data_dir(&self.config.data_dir, std::env::current_exe().ok()))
    }

    /// Rules that were switched on or off in this installation, by signature id. Makes no data folder
    /// where everything is on a cluster.
    ///
    /// # Errors
    /// When the state database cannot be read.
    pub fn enabled_overrides(&self) -> Result<HashMap<String, bool>, StateError> {
        if self.home.is_some() && !self.config.data_dir.join(crate::store::state::FILE).exists() {
            return Ok(HashMap::new());
        }
        self.state()?.enabled_overrides()
    }

    /// Whether `rule` runs: what its file says, unless `[[rules.override]]` says otherwise.
    pub fn enabled(&self, rule: &Rule) -> bool {
        self.config.rules.enabled(rule)
    }
}
