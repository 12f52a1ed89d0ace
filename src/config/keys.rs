//! The table of keys: checks, defaults, `config reference` and the JSON schema come from it, so
//! that they cannot drift apart; a test holds it against [`super::Config`].

use crate::base::limits;

/// What a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A file or folder, relative to the configuration file's folder.
    Path,
    /// `true` or `false`.
    Flag,
    /// A whole number between two others.
    Number(u64, u64),
    /// A length of time (`5m`).
    Duration,
    /// A number of bytes (`1GiB`).
    Size,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// A list of files and folders, as `Path`.
    Paths,
    /// A list of `http://` or `https://` addresses.
    Urls,
    /// `{ env = "X" }`, `{ file = "…" }`, `{ command = […] }`, or (with a warning) the secret.
    Secret,
    /// A table whose keys are read later.
    Open,
}

impl Kind {
    /// In words, for people.
    pub fn words(self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Path => "path".to_owned(),
            Self::Flag => "`true` or `false`".to_owned(),
            Self::Number(low, high) => format!("number, {low} to {high}"),
            Self::Duration => "length of time (`5m`, `30d`)".to_owned(),
            Self::Size => "size (`512MiB`)".to_owned(),
            Self::Choice(words) => {
                words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
            }
            Self::Texts => "list of texts".to_owned(),
            Self::Paths => "list of paths".to_owned(),
            Self::Urls => "list of URLs".to_owned(),
            Self::Secret => "secret reference".to_owned(),
            Self::Open => "table".to_owned(),
        }
    }
}

/// One key of the configuration file.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its dotted path; `name[]` is an array of tables, a last `*` any other key.
    pub path: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Its default as JSON; `None`: unset.
    pub default: Option<&'static str>,
    /// Whether it must be given where its table is.
    pub required: bool,
    /// What it means.
    pub meaning: &'static str,
    /// Whether this version acts on it.
    pub effective: bool,
}

const fn key(path: &'static str, kind: Kind, default: Option<&'static str>, meaning: &'static str) -> Key {
    Key { path, kind, default, required: false, meaning, effective: true }
}

impl Key {
    const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    const fn without_effect(mut self) -> Self {
        self.effective = false;
        self
    }

    /// Name of the environment variable that overlays it; none below arrays of tables.
    pub fn variable(&self) -> Option<String> {
        if self.path.contains(['[', '*']) {
            return None;
        }
        Some(format!("TOCSIN_{}", self.path.replace('.', "__").to_uppercase()))
    }
}

const _: () = assert!(limits::MAX_SIGNALS_CLUSTER == 1_000, "the default of limits.max_signals below");

/// Every key, in the order of the reference.
pub const KEYS: &[Key] = &[
    key("data_dir", Kind::Path, Some("\"./tocsin-data\""), "Folder of the embedded store (events) and of local state (alerts, executions)."),
    key("store.retention.age", Kind::Duration, None, "Events older than this are deleted by the running service, whole segments at a time. Unset: never for their age."),
    key("store.retention.size", Kind::Size, None, "When the store is larger than this, the running service deletes its oldest segments. Unset: never for its size."),
    key("backend[].name", Kind::Text, None, "Name of an Elasticsearch or OpenSearch cluster, used in `alerts.to`, `--backend` and messages.").required(),
    key("backend[].url", Kind::Urls, None, "Its nodes. They are asked in turns; one that fails is left out for a while.").required(),
    key("backend[].patterns", Kind::Texts, None, "Index patterns it serves. The first backend whose patterns match serves a rule; without any, the embedded store does.").without_effect(),
    key("backend[].auth.api_key", Kind::Secret, None, "Elasticsearch API key (its base64 form)."),
    key("backend[].auth.basic.username", Kind::Text, None, "User name.").required(),
    key("backend[].auth.basic.password", Kind::Secret, None, "Password.").required(),
    key("backend[].auth.bearer", Kind::Secret, None, "Bearer token."),
    key("backend[].auth.client_certificate.cert_file", Kind::Path, None, "Client certificate, PEM, with those between it and its authority.").required(),
    key("backend[].auth.client_certificate.key_file", Kind::Path, None, "Its private key, PEM.").required(),
    key("backend[].auth.sigv4.region", Kind::Text, None, "AWS region of an OpenSearch Service domain.").required(),
    key("backend[].auth.sigv4.service", Kind::Choice(&["es", "aoss"]), Some("\"es\""), "`es` for domains, `aoss` for serverless collections."),
    key("backend[].auth.sigv4.access_key_id", Kind::Secret, None, "AWS access key id. Unset: `AWS_ACCESS_KEY_ID` of the environment."),
    key("backend[].auth.sigv4.secret_access_key", Kind::Secret, None, "AWS secret access key. Unset: `AWS_SECRET_ACCESS_KEY` of the environment."),
    key("backend[].auth.sigv4.session_token", Kind::Secret, None, "Session token of temporary credentials. Unset: `AWS_SESSION_TOKEN` of the environment, if it is there."),
    key("backend[].ca_file", Kind::Path, None, "Certificate authority of the cluster, PEM; besides the system's."),
    key("backend[].max_concurrent_requests", Kind::Number(1, 1_024), Some("8"), "Requests to it in flight at most."),
    key("backend[].connect_timeout", Kind::Duration, Some("\"5s\""), "How long setting up a connection may take."),
    key("backend[].request_timeout", Kind::Duration, Some("\"1m\""), "How long one request may take, its answer included."),
    key("rules.paths", Kind::Paths, Some("[]"), "Rule files and folders (Elastic's TOML, Kibana's NDJSON). Empty: the rules shipped in the binary."),
    key("rules.reload", Kind::Flag, Some("true"), "Whether the service reloads rule files that change (all or nothing). SIGHUP always does."),
    key("rules.override[].match.tag", Kind::Text, None, "Rules that have this tag. All conditions of a `match` must hold; an empty one matches every rule."),
    key("rules.override[].match.rule_id", Kind::Text, None, "The rule with this `rule_id`."),
    key("rules.override[].match.name", Kind::Text, None, "The rule with this name."),
    key("rules.override[].match.type", Kind::Text, None, "Rules of this type (`query`)."),
    key("rules.override[].match.severity", Kind::Choice(&["low", "medium", "high", "critical"]), None, "Rules of this severity."),
    key("rules.override[].enabled", Kind::Flag, None, "Run them, or do not, whatever their files say. Later overrides win."),
    key("alerts.to", Kind::Texts, Some("[\"local\"]"), "Where alerts are written: `local`, and names of backends. What is meant for a cluster waits in the data folder until the cluster has it; a local copy is kept either way, and with `local` it is the one that `tocsin alerts` shows."),
    key("alerts.mode", Kind::Choice(&["own", "kibana", "external"]), Some("\"own\""), "How alerts are kept on a cluster: `own` in an index of tocsin's, behind a write alias; `kibana` in `.alerts-security.alerts-{space}`, where Kibana's Alerts page looks (`tocsin setup` checks that it can); `external` as `event.kind: alert` documents that a promotion rule of Kibana picks up (set `alerts.index` to a data stream such as `logs-tocsin.alerts-{space}`)."),
    key("alerts.index", Kind::Text, Some("\"tocsin-alerts-{space}\""), "Alias (or data stream) of alerts on a cluster; `{space}` stands for the space. With `alerts.mode = \"kibana\"` the name is Kibana's."),
    key("alerts.space", Kind::Text, Some("\"default\""), "Kibana space. Part of every alert's id and of the name of the alert index: do not change it while alerts matter."),
    key("alerts.retention", Kind::Duration, None, "How long local alerts are kept by the running service. Unset: for ever."),
    key("schedule.max_concurrent_executions", Kind::Number(1, 1_024), Some("4"), "Rule executions at work at once."),
    key("schedule.execution_timeout", Kind::Duration, Some("\"5m\""), "An execution that takes longer has failed."),
    key("schedule.settle", Kind::Duration, None, "How long events take to arrive as a rule. The youngest part of a window is searched again after so long, and rules that judge whole windows (threshold, sequences, aggregations) wait so long with a slot. Unset: as measured per source, 5 minutes at most."),
    key("schedule.late", Kind::Duration, Some("\"24h\""), "Events that are older than this when they arrive are history: rules do not alert on them unless `tocsin backfill` asks."),
    key("schedule.late_check", Kind::Duration, Some("\"5m\""), "How often each rule looks for events that arrived late, or that are dated in the future."),
    key("schedule.catch_up", Kind::Duration, Some("\"7d\""), "How far back windows that were missed are searched without being asked. What is older stays a hole in `tocsin coverage`."),
    key("schedule.blackout", Kind::Texts, Some("[]"), "Stretches of the week in which no rule runs, such as `Fri 18:00 to Mon 02:00`, or `22:00 to 04:00` for every day. What they leave out is searched afterwards."),
    key("schedule.timezone", Kind::Text, None, "IANA time zone of `schedule.blackout`. Unset: UTC."),
    key("limits.memory", Kind::Size, Some("\"1GiB\""), "Decoded event columns kept in memory."),
    key("limits.max_signals", Kind::Number(1, 1_000_000), Some("1000"), "Alerts of one execution at most, whatever `max_signals` its rule asks for."),
    key("limits.capped", Kind::Choice(&["keep", "drop"]), Some("\"keep\""), "Candidates beyond the cap: `keep` them for later executions (up to ten times the cap or 24 hours), or `drop` them at once as Kibana does."),
    key("server.bind", Kind::Text, Some("\"127.0.0.1:8787\""), "Address of /healthz, /readyz, /metrics and more; loopback unless authentication is set.").without_effect(),
    key("log.level", Kind::Choice(&["error", "warn", "info", "debug", "trace"]), Some("\"info\""), "Lowest level written to stderr by the service. Other commands write warnings unless this is set or `-v` is given."),
    key("log.format", Kind::Choice(&["human", "json"]), Some("\"human\""), "Lines for people, or a JSON object each."),
    key("connector[].name", Kind::Text, None, "Name of a connector, used in routes.").required().without_effect(),
    key("connector[].type", Kind::Text, None, "What it is: `slack`, `webhook`, `email` and others.").required().without_effect(),
    key("connector[].*", Kind::Open, None, "What its type needs (`webhook_url = { env = \"SLACK_URL\" }`).").without_effect(),
    key("route[].when", Kind::Open, None, "Which alerts: `{ severity = [\"high\", \"critical\"] }`.").without_effect(),
    key("route[].to", Kind::Texts, None, "Names of connectors.").required().without_effect(),
];

/// The key at `path`, list positions left out (`backend[].name`).
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// What lies below a table.
pub fn children(prefix: &str) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for key in KEYS {
        let rest = if prefix.is_empty() {
            Some(key.path)
        } else {
            key.path.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.'))
        };
        if let Some(name) = rest.and_then(|rest| rest.split(['.', '[']).next())
            && name != "*"
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    names
}
