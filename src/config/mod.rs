//! The configuration: built-in defaults, then the file, then the environment, then flags.
//!
//! What it is: the typed [`Config`], its loader with places for every mistake, secret references,
//! and the one table of keys ([`keys`]) that checks, defaults, reference and schema come from.
//! What it is not: a place where settings act; nothing here opens a store or a connection.
//! Invariant: an unknown key is an error, a key without effect is said, a secret is never printed.

pub mod keys;
pub mod load;
pub mod notify;
pub mod reference;
pub mod secret;
pub mod units;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use load::{LoadRequest, Loaded, Origin, load};
pub use notify::{
    ConnectorConfig, DigestConfig, HoursConfig, MaintenanceConfig, NotifyConfig, Rate, RouteConfig,
    WhenConfig,
};
pub use secret::{Secret, SecretRef};
pub use units::{ByteSize, TimeSpan};

use crate::rule::model::{Rule, Severity};

/// The effective configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder of the embedded store and of local state.
    pub data_dir: PathBuf,
    /// The embedded store.
    pub store: StoreConfig,
    /// Clusters.
    #[serde(default)]
    pub backend: Vec<BackendConfig>,
    /// Where rules are, and what is changed about them.
    pub rules: RulesConfig,
    /// Exceptions beside those among the rules.
    #[serde(default)]
    pub exceptions: PathsConfig,
    /// Value lists of exceptions.
    #[serde(default)]
    pub value_lists: PathsConfig,
    /// Where alerts go.
    pub alerts: AlertsConfig,
    /// How rules are scheduled.
    pub schedule: ScheduleConfig,
    /// Bounds.
    pub limits: LimitsConfig,
    /// HTTP endpoints.
    pub server: ServerConfig,
    /// A sign of life.
    pub heartbeat: HeartbeatConfig,
    /// Logging.
    pub log: LogConfig,
    /// What all notifications have in common.
    pub notify: NotifyConfig,
    /// Where notifications go.
    #[serde(default)]
    pub connector: Vec<ConnectorConfig>,
    /// Which alerts go to which connector.
    #[serde(default)]
    pub route: Vec<RouteConfig>,
    /// When some alerts are not told.
    #[serde(default)]
    pub maintenance: Vec<MaintenanceConfig>,
}

impl Config {
    /// The configuration of work on the cluster at `url` alone (`--backend`): it serves every index
    /// pattern, as the configured backend with that address where there is one, and takes the
    /// alerts unless `keep_alerts`. Returns the backend's name.
    ///
    /// # Errors
    /// When `url` is no address of a backend.
    pub fn only_on(
        &mut self,
        url: &str,
        keep_alerts: bool,
    ) -> Result<String, crate::base::diagnostic::Diagnostic> {
        let same = |known: &String| known.trim_end_matches('/') == url.trim_end_matches('/');
        let configured = self.backend.iter().position(|backend| backend.url.iter().any(same));
        let mut backend = match configured {
            Some(place) => self.backend.remove(place),
            None => load::backend_at(url)?,
        };
        backend.patterns = vec!["*".to_owned()];
        let name = backend.name.clone();
        self.backend.insert(0, backend);
        if !keep_alerts {
            self.alerts.to = vec![name.clone()];
        }
        Ok(name)
    }
}

/// The embedded store.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// Whether `event.original` is kept.
    pub originals: bool,
    /// When stored events are deleted.
    pub retention: RetentionConfig,
}

/// When stored events are deleted; what is unset keeps them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionConfig {
    /// Events older than this.
    #[serde(default)]
    pub age: Option<TimeSpan>,
    /// The oldest events, when the store is larger than this.
    #[serde(default)]
    pub size: Option<ByteSize>,
}

/// A cluster.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendConfig {
    /// Its name here.
    pub name: String,
    /// Its nodes.
    pub url: Vec<String>,
    /// Index patterns it serves.
    #[serde(default)]
    pub patterns: Vec<String>,
    /// How to log in.
    #[serde(default)]
    pub auth: Option<AuthConfig>,
    /// Certificate authority, PEM.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Requests in flight at most.
    pub max_concurrent_requests: u32,
    /// How rules that are due together are asked.
    pub search: AskRules,
    /// How long setting up a connection may take.
    pub connect_timeout: TimeSpan,
    /// How long one request may take.
    pub request_timeout: TimeSpan,
}

/// How rules that are due together are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AskRules {
    /// Those on the same indices once, where that costs less.
    Grouped,
    /// Each by a search of its own.
    Each,
}

/// How to log in to a cluster: one of these.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    /// An Elasticsearch API key.
    #[serde(default)]
    pub api_key: Option<SecretRef>,
    /// User and password.
    #[serde(default)]
    pub basic: Option<BasicAuth>,
    /// A bearer token.
    #[serde(default)]
    pub bearer: Option<SecretRef>,
    /// A client certificate.
    #[serde(default)]
    pub client_certificate: Option<ClientCertificate>,
    /// AWS signatures.
    #[serde(default)]
    pub sigv4: Option<SigV4>,
}

/// User and password.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// The user.
    pub username: String,
    /// The password.
    pub password: SecretRef,
}

/// A client certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificate {
    /// Certificate, PEM.
    pub cert_file: PathBuf,
    /// Private key, PEM.
    pub key_file: PathBuf,
}

/// AWS signatures (OpenSearch Service).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigV4 {
    /// Region of the domain.
    pub region: String,
    /// `es` or `aoss`.
    pub service: String,
    /// Access key id; unset: the environment's.
    #[serde(default)]
    pub access_key_id: Option<SecretRef>,
    /// Secret access key; unset: the environment's.
    #[serde(default)]
    pub secret_access_key: Option<SecretRef>,
    /// Session token; unset: the environment's, if any.
    #[serde(default)]
    pub session_token: Option<SecretRef>,
}

/// Where rules are, and what is changed about them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulesConfig {
    /// Files and folders; empty: the rules shipped in the binary.
    #[serde(default)]
    pub paths: Vec<PathBuf>,
    /// Whether the service reloads files that change.
    pub reload: bool,
    /// Changes without touching the files; later ones win.
    #[serde(default, rename = "override")]
    pub overrides: Vec<RuleOverride>,
}

/// Files of some kind.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathsConfig {
    /// Files and folders.
    #[serde(default)]
    pub paths: Vec<PathBuf>,
}

impl RulesConfig {
    /// Whether `rule` runs: what its file says, unless an override says otherwise.
    pub fn enabled(&self, rule: &Rule) -> bool {
        self.overrides
            .iter()
            .filter(|change| change.matcher.matches(rule))
            .filter_map(|change| change.enabled)
            .next_back()
            .unwrap_or(rule.enabled)
    }

    /// How long an execution of `rule` may take, where an override says so.
    pub fn execution_timeout(&self, rule: &Rule) -> Option<TimeSpan> {
        let changes = self.overrides.iter().filter(|change| change.matcher.matches(rule));
        changes.filter_map(|change| change.execution_timeout).next_back()
    }
}

/// A change to the rules that match.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleOverride {
    /// Which rules.
    #[serde(rename = "match")]
    pub matcher: RuleMatch,
    /// Run them, or not.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// How long an execution may take, instead of `schedule.execution_timeout`.
    #[serde(default)]
    pub execution_timeout: Option<TimeSpan>,
}

/// Which rules an override changes: those that have all that is named; an empty one matches every
/// rule.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleMatch {
    /// One of the rule's tags.
    #[serde(default)]
    pub tag: Option<String>,
    /// Its `rule_id`.
    #[serde(default)]
    pub rule_id: Option<String>,
    /// Its name.
    #[serde(default)]
    pub name: Option<String>,
    /// Its type.
    #[serde(default, rename = "type")]
    pub rule_type: Option<String>,
    /// Its severity.
    #[serde(default)]
    pub severity: Option<Severity>,
}

impl RuleMatch {
    fn matches(&self, rule: &Rule) -> bool {
        self.tag.as_ref().is_none_or(|tag| rule.tags.contains(tag))
            && self.rule_id.as_deref().is_none_or(|id| id == &*rule.rule_id)
            && self.name.as_ref().is_none_or(|name| *name == rule.name)
            && self.rule_type.as_deref().is_none_or(|kind| kind == rule.rule_type())
            && self.severity.is_none_or(|severity| severity == rule.severity)
    }
}

/// Where alerts go.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertsConfig {
    /// `local`, and names of clusters.
    pub to: Vec<String>,
    /// How alerts are kept on a cluster.
    pub mode: AlertsMode,
    /// Index on a cluster.
    pub index: String,
    /// Kibana space: part of alert ids and of the alert index's name.
    pub space: String,
    /// How long local alerts are kept; unset: for ever.
    #[serde(default)]
    pub retention: Option<TimeSpan>,
}

/// How alerts are kept on a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertsMode {
    /// In an index of tocsin's own, behind a write alias.
    #[default]
    Own,
    /// In Kibana's `.alerts-security.alerts-<space>`, so that they show on its Alerts page.
    Kibana,
    /// As `event.kind: alert` documents that Kibana's external-alerts rule promotes.
    External,
}

/// How rules are scheduled.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleConfig {
    /// Executions at work at once.
    pub max_concurrent_executions: usize,
    /// After this an execution has failed.
    pub execution_timeout: TimeSpan,
    /// How long events take to arrive; unset: as measured.
    #[serde(default)]
    pub settle: Option<TimeSpan>,
    /// How old an event may be when it arrives and still be alerted on.
    pub late: TimeSpan,
    /// How often it is looked for what arrived late.
    pub late_check: TimeSpan,
    /// How far back what was missed is made up for without being asked.
    pub catch_up: TimeSpan,
    /// How long a runner that shows no life keeps its rules, where several share them.
    pub lease: TimeSpan,
    /// When no rule runs.
    #[serde(default)]
    pub blackout: Vec<String>,
    /// Time zone of `blackout`.
    #[serde(default)]
    pub timezone: Option<String>,
}

/// Bounds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    /// Memory for what was read and found.
    pub memory: ByteSize,
    /// Alerts of one execution, whatever its rule says.
    pub max_signals: u32,
    /// What happens to candidates beyond the cap.
    pub capped: Capped,
}

/// What happens to candidates beyond the cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Capped {
    /// They wait for later executions.
    Keep,
    /// They are dropped at once, as Kibana does.
    Drop,
}

/// HTTP endpoints.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Address and port.
    pub bind: String,
    /// What clients send as `Authorization: Bearer …`.
    #[serde(default)]
    pub token: Option<SecretRef>,
}

/// A sign of life for whoever watches over the service.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatConfig {
    /// Address that is asked for as long as the service works.
    #[serde(default)]
    pub url: Option<SecretRef>,
    /// How often.
    pub every: TimeSpan,
}

/// Logging.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// Lowest level written.
    pub level: LogLevel,
    /// Form of a line.
    pub format: LogFormat,
}

/// A level of logging.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What failed.
    Error,
    /// What is odd.
    Warn,
    /// What happened.
    Info,
    /// How it happened.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    /// The level `steps` more talkative (or less); `None` below `error`.
    pub fn moved(self, steps: i16) -> Option<Self> {
        let place = (self as i16).saturating_add(steps).min(4);
        usize::try_from(place).ok().and_then(|place| Self::ALL.get(place).copied())
    }
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Human,
    /// A JSON object a line.
    Json,
}

impl Default for Config {
    #[expect(clippy::expect_used, reason = "the defaults are compiled in, and a test reads them")]
    fn default() -> Self {
        load::defaults().expect("built-in defaults are a valid configuration")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_move_and_fall_silent() {
        assert_eq!(LogLevel::Warn.moved(1), Some(LogLevel::Info));
        assert_eq!(LogLevel::Debug.moved(9), Some(LogLevel::Trace));
        assert_eq!(LogLevel::Warn.moved(-1), Some(LogLevel::Error));
        assert_eq!(LogLevel::Warn.moved(-2), None);
    }
}
