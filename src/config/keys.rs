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
    /// An `http://` or `https://` address, or a secret reference to one: it may hold a token.
    Endpoint,
    /// So many in a length of time (`10/5m`).
    Rate,
    /// A table of HTTP headers: names with texts or secret references.
    Headers,
    /// A table of fields with a text or a list of texts each.
    Fields,
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
            Self::Endpoint => "URL, or a secret reference to one".to_owned(),
            Self::Rate => "rate (`10/5m`)".to_owned(),
            Self::Headers => "table of headers, text or secret reference each".to_owned(),
            Self::Fields => "table of fields, text or list of texts each".to_owned(),
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
    /// The types of connector that have it; empty: all tables of its kind do.
    pub types: &'static [&'static str],
}

const fn key(path: &'static str, kind: Kind, default: Option<&'static str>, meaning: &'static str) -> Key {
    Key { path, kind, default, required: false, meaning, types: &[] }
}

impl Key {
    const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    const fn of(mut self, types: &'static [&'static str]) -> Self {
        self.types = types;
        self
    }

    /// Whether a connector of this type has it.
    pub fn belongs_to(&self, connector_type: &str) -> bool {
        self.types.is_empty() || self.types.contains(&connector_type)
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

/// Types of connector.
pub const CONNECTOR_TYPES: &[&str] = &[
    "webhook",
    "slack",
    "email",
    "pagerduty",
    "sns",
    "sqs",
    "eventbridge",
    "alertmanager",
    "syslog",
    "file",
    "stdout",
    "teams",
    "mattermost",
    "discord",
    "opsgenie",
    "jira",
    "servicenow",
    "thehive",
    "iris",
    "otlp",
];

/// Every key, in the order of the reference; one a line, however long.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("data_dir", Kind::Path, Some("\"./tocsin-data\""), "Folder of the embedded store (events) and of local state (alerts, executions)."),
    key("store.originals", Kind::Flag, Some("true"), "Whether `event.original`, the record as it came, is kept of events that are ingested from now on: a fifth of the store."),
    key("store.retention.age", Kind::Duration, None, "Events older than this are deleted by the running service, whole segments at a time. Unset: never for their age."),
    key("store.retention.size", Kind::Size, None, "When the store is larger than this, the running service deletes its oldest segments. Unset: never for its size."),
    key("backend[].name", Kind::Text, None, "Name of an Elasticsearch or OpenSearch cluster, used in `alerts.to`, `--backend` and messages.").required(),
    key("backend[].url", Kind::Urls, None, "Its nodes. They are asked in turns; one that fails is left out for a while.").required(),
    key("backend[].patterns", Kind::Texts, None, "Index patterns it serves. The first backend whose patterns match serves a rule; what no backend serves, the embedded store does. Unset: it serves none."),
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
    key("backend[].search", Kind::Choice(&["grouped", "each"]), Some("\"grouped\""), "How rules that are due together are asked: those on the same indices `grouped` into one look at the events of their windows, where that costs less, or `each` by a search of its own. Both find the same."),
    key("backend[].connect_timeout", Kind::Duration, Some("\"5s\""), "How long setting up a connection may take."),
    key("backend[].request_timeout", Kind::Duration, Some("\"1m\""), "How long one request may take, its answer included."),
    key("rules.paths", Kind::Paths, Some("[]"), "Rule files and folders (Elastic's TOML, Kibana's NDJSON). Empty: the rules shipped in the binary."),
    key("rules.reload", Kind::Flag, Some("true"), "Whether the service reloads rule files that change (all or nothing). SIGHUP always does."),
    key("exceptions.paths", Kind::Paths, Some("[]"), "Files and folders of exception lists (Kibana's NDJSON, TOML with `[[exceptions]]`), beside those that lie among the rules."),
    key("value_lists.paths", Kind::Paths, Some("[]"), "Files and folders of value lists: a value a line; the name of a file is the id of its list."),
    key("rules.override[].match.tag", Kind::Text, None, "Rules that have this tag. All conditions of a `match` must hold; an empty one matches every rule."),
    key("rules.override[].match.rule_id", Kind::Text, None, "The rule with this `rule_id`."),
    key("rules.override[].match.name", Kind::Text, None, "The rule with this name."),
    key("rules.override[].match.type", Kind::Text, None, "Rules of this type (`query`)."),
    key("rules.override[].match.severity", Kind::Choice(&["low", "medium", "high", "critical"]), None, "Rules of this severity."),
    key("rules.override[].enabled", Kind::Flag, None, "Run them, or do not, whatever their files say. Later overrides win."),
    key("rules.override[].execution_timeout", Kind::Duration, None, "An execution that takes longer has failed, instead of `schedule.execution_timeout`. Later overrides win."),
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
    key("schedule.lease", Kind::Duration, Some("\"30s\""), "Where several runners share the rules of a cluster: a runner that shows no life for so long loses its rules to the others. Each shows life three times in it."),
    key("schedule.blackout", Kind::Texts, Some("[]"), "Stretches of the week in which no rule runs, such as `Fri 18:00 to Mon 02:00`, or `22:00 to 04:00` for every day. What they leave out is searched afterwards."),
    key("schedule.timezone", Kind::Text, None, "IANA time zone of `schedule.blackout`. Unset: UTC."),
    key(
        "limits.memory",
        Kind::Size,
        Some("\"1GiB\""),
        "Memory for what was read and found: decoded columns, matched rows, documents. What rules and a search at work need comes on top.",
    ),
    key("limits.max_signals", Kind::Number(1, 1_000_000), Some("1000"), "Alerts of one execution at most, whatever `max_signals` its rule asks for."),
    key("limits.capped", Kind::Choice(&["keep", "drop"]), Some("\"keep\""), "Candidates beyond the cap: `keep` them for later executions (up to ten times the cap or 24 hours), or `drop` them at once as Kibana does."),
    key("server.bind", Kind::Text, Some("\"127.0.0.1:8787\""), "Address of `/healthz`, `/readyz` and `/metrics` of `tocsin serve`; loopback unless `server.token` is set."),
    key("server.token", Kind::Secret, None, "What clients of `/metrics` send as `Authorization: Bearer …`. Needed to listen beyond loopback."),
    key("heartbeat.url", Kind::Secret, None, "Address that `tocsin run` and `tocsin serve` ask for (GET) as long as the scheduler works and its executions can be written: a dead-man switch such as healthchecks.io, or Alertmanager's. A secret, as such addresses are. Unset: none."),
    key("heartbeat.every", Kind::Duration, Some("\"1m\""), "How often."),
    key("log.level", Kind::Choice(&["error", "warn", "info", "debug", "trace"]), Some("\"info\""), "Lowest level written to stderr by the service. Other commands write warnings unless this is set or `-v` is given."),
    key("log.format", Kind::Choice(&["human", "json"]), Some("\"human\""), "Lines for people, or a JSON object each."),
    key("notify.allow_urls", Kind::Texts, Some("[]"), "Beginnings of URLs that connectors may speak to (`https://hooks.slack.com/`). Empty: any."),
    key("notify.kibana_url", Kind::Text, None, "Address of Kibana: notifications link to the alert there. Unset: they name the command that shows it."),
    key("notify.rule_actions", Kind::Flag, Some("true"), "Whether the `actions` of rules exported from Kibana are kept to: through the connector named like the action's connector id, else the first of its type."),
    key("notify.retry_for", Kind::Duration, Some("\"1d\""), "How long a notification is tried before it becomes a dead letter (`tocsin notify list --state dead`)."),
    key("notify.drain", Kind::Duration, Some("\"10s\""), "How long the end of the service waits for notifications that are due. What is left is delivered by the next start."),
    key("connector[].name", Kind::Text, None, "Name of a connector, used in routes.").required(),
    key("connector[].type", Kind::Choice(CONNECTOR_TYPES), None, "What it is. `teams` to `otlp` are templates over `webhook`.").required(),
    key("connector[].concurrency", Kind::Number(1, 256), None, "Notifications under way at once. Default: by type, 32 for `webhook`, 1 for chats."),
    key("connector[].rate", Kind::Rate, None, "Most notifications in a length of time. Default: by type, `1/1s` for `slack`."),
    key("connector[].timeout", Kind::Duration, None, "How long one attempt may take. Default: 10s."),
    key("connector[].retry_for", Kind::Duration, None, "How long a notification is tried, instead of `notify.retry_for`."),
    key("connector[].template", Kind::Text, None, "Text of its notifications: Jinja, Kibana's mustache, or Falco's `%field`; values are escaped for the target."),
    key("connector[].title", Kind::Text, None, "Title (subject, summary) of its notifications, a template too."),
    key("connector[].url", Kind::Endpoint, None, "Where it is. Required where the type has no address of its own.").of(&["webhook", "slack", "pagerduty", "alertmanager", "opsgenie", "jira", "servicenow", "thehive", "iris", "otlp", "sns", "sqs", "eventbridge"]),
    key("connector[].webhook_url", Kind::Secret, None, "Incoming-webhook address: a secret.").of(&["slack", "teams", "mattermost", "discord"]),
    key("connector[].method", Kind::Choice(&["POST", "PUT", "PATCH", "GET", "DELETE"]), None, "HTTP method. Default: POST.").of(&["webhook"]),
    key("connector[].headers", Kind::Headers, None, "Further HTTP headers.").of(&["webhook", "alertmanager", "opsgenie", "jira", "servicenow", "thehive", "iris", "otlp"]),
    key("connector[].body", Kind::Text, None, "Template of the whole body. Default: a JSON document with title, text, fields and the alert.").of(&["webhook"]),
    key("connector[].content_type", Kind::Text, None, "Type of `body`. Default: `application/json`, whose strings values are escaped for.").of(&["webhook"]),
    key("connector[].hmac_secret", Kind::Secret, None, "Signs time and body with HMAC-SHA256: `X-Tocsin-Timestamp`, `X-Tocsin-Signature: sha256=…`.").of(&["webhook"]),
    key("connector[].token", Kind::Secret, None, "Bot token, API key or bearer token.").of(&["slack", "webhook", "alertmanager", "opsgenie", "jira", "thehive", "iris"]),
    key("connector[].username", Kind::Text, None, "User name.").of(&["webhook", "email", "alertmanager", "jira", "servicenow"]),
    key("connector[].password", Kind::Secret, None, "Password.").of(&["webhook", "email", "alertmanager", "servicenow"]),
    key("connector[].ca_file", Kind::Path, None, "Certificate authority, PEM; besides the system's.").of(&["webhook", "alertmanager", "opsgenie", "jira", "servicenow", "thehive", "iris", "otlp", "email", "syslog"]),
    key("connector[].channel", Kind::Text, None, "Channel, with `token`.").of(&["slack"]),
    key("connector[].host", Kind::Text, None, "SMTP server.").of(&["email"]).required(),
    key("connector[].port", Kind::Number(1, 65_535), None, "SMTP port. Default: 587 with `starttls`, 465 with `tls`, 25 with `none`.").of(&["email"]),
    key("connector[].tls", Kind::Choice(&["starttls", "tls", "none"]), None, "How SMTP is encrypted. Default: `starttls`, and nothing is sent without it.").of(&["email"]),
    key("connector[].from", Kind::Text, None, "Sender.").of(&["email"]).required(),
    key("connector[].to", Kind::Texts, None, "Recipients.").of(&["email"]).required(),
    key("connector[].routing_key", Kind::Secret, None, "Integration key of an Events API v2 service.").of(&["pagerduty"]).required(),
    key("connector[].region", Kind::Text, None, "AWS region.").of(&["sns", "sqs", "eventbridge"]).required(),
    key("connector[].access_key_id", Kind::Secret, None, "AWS access key. Default: `{ env = \"AWS_ACCESS_KEY_ID\" }`.").of(&["sns", "sqs", "eventbridge"]),
    key("connector[].secret_access_key", Kind::Secret, None, "Its secret. Default: `{ env = \"AWS_SECRET_ACCESS_KEY\" }`.").of(&["sns", "sqs", "eventbridge"]),
    key("connector[].session_token", Kind::Secret, None, "Session token. Default: `{ env = \"AWS_SESSION_TOKEN\" }` where that is set.").of(&["sns", "sqs", "eventbridge"]),
    key("connector[].topic_arn", Kind::Text, None, "SNS topic; `.fifo` topics get group and de-duplication ids.").of(&["sns"]).required(),
    key("connector[].queue_url", Kind::Text, None, "SQS queue; `.fifo` queues get group and de-duplication ids.").of(&["sqs"]).required(),
    key("connector[].event_bus", Kind::Text, None, "EventBridge bus. Default: `default`.").of(&["eventbridge"]),
    key("connector[].address", Kind::Text, None, "`host:port` of the syslog server.").of(&["syslog"]).required(),
    key("connector[].transport", Kind::Choice(&["udp", "tcp", "tls"]), None, "Default: `tcp`. `udp` is not acknowledged and cut at 2,048 bytes.").of(&["syslog"]),
    key("connector[].facility", Kind::Choice(&["auth", "authpriv", "daemon", "user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"]), None, "Default: `local0`.").of(&["syslog"]),
    key("connector[].path", Kind::Path, None, "File that gets a JSON document a line.").of(&["file"]).required(),
    key("connector[].rotate_size", Kind::Size, None, "The file is renamed to `.1` when it is larger. Default: 100MiB.").of(&["file"]),
    key("connector[].keep", Kind::Number(0, 1_000), None, "Renamed files kept. Default: 5.").of(&["file"]),
    key("connector[].project", Kind::Text, None, "Project key.").of(&["jira"]).required(),
    key("connector[].issue_type", Kind::Text, None, "Default: `Task`.").of(&["jira"]),
    key("connector[].customer", Kind::Number(1, 1_000_000), None, "Customer id. Default: 1.").of(&["iris"]),
    key("route[].name", Kind::Text, None, "Name of a route. Default: `route 1`, `route 2` …"),
    key("route[].when.severity", Kind::Texts, None, "Alerts of one of these severities. All conditions of a `when` must hold; an empty one takes every alert."),
    key("route[].when.rule", Kind::Texts, None, "Of one of these rules (id or name, `*` stands for anything)."),
    key("route[].when.tag", Kind::Texts, None, "Whose rule has one of these tags."),
    key("route[].when.field", Kind::Fields, None, "Whose fields have these values: `{ \"cloud.account.id\" = [\"1111\", \"2222\"] }`."),
    key("route[].when.query", Kind::Text, None, "That satisfy this KQL."),
    key("route[].when.time.from", Kind::Text, None, "Made at this time of day (`08:00`) or later."),
    key("route[].when.time.to", Kind::Text, None, "And before this one; earlier than `from`: of the next day."),
    key("route[].when.time.days", Kind::Texts, None, "On these days, `mon` to `sun`."),
    key("route[].when.time.timezone", Kind::Text, None, "IANA name. Default: UTC."),
    key("route[].to", Kind::Texts, None, "Names of connectors.").required(),
    key("route[].on", Kind::Texts, None, "What is told: `alert`, `acknowledged`, `closed`, `reopened`, `recovered`, `insufficient_data`. Default: `alert` and `recovered`; to incident managers (`pagerduty`, `opsgenie`, `alertmanager`) all."),
    key("route[].digest.every", Kind::Duration, None, "Alerts are collected and told together, so often."),
    key("route[].digest.cron", Kind::Text, None, "Or at the times of a cron expression."),
    key("route[].digest.timezone", Kind::Text, None, "IANA name for `cron`. Default: UTC."),
    key("route[].throttle", Kind::Rate, None, "Most alerts told one by one in a length of time; the others follow as a digest."),
    key("route[].group_by", Kind::Texts, Some("[]"), "Fields for whose values digest and throttle are kept apart."),
    key("route[].quiet.from", Kind::Text, None, "Quiet hours: alerts are held back from this time of day (`22:00`) …"),
    key("route[].quiet.to", Kind::Text, None, "… to this one, and then told together."),
    key("route[].quiet.days", Kind::Texts, None, "On these days, `mon` to `sun`."),
    key("route[].quiet.timezone", Kind::Text, None, "IANA name. Default: UTC."),
    key("route[].last", Kind::Flag, Some("false"), "Later routes do not see an alert that this one takes."),
    key("maintenance[].name", Kind::Text, None, "Name of a maintenance window: alerts in it are written, not told.").required(),
    key("maintenance[].when.severity", Kind::Texts, None, "Alerts of one of these severities."),
    key("maintenance[].when.rule", Kind::Texts, None, "Of one of these rules."),
    key("maintenance[].when.tag", Kind::Texts, None, "Whose rule has one of these tags."),
    key("maintenance[].when.field", Kind::Fields, None, "Whose fields have these values."),
    key("maintenance[].when.query", Kind::Text, None, "That satisfy this KQL."),
    key("maintenance[].starts", Kind::Text, None, "From when on, RFC 3339."),
    key("maintenance[].ends", Kind::Text, None, "Until when, RFC 3339."),
    key("maintenance[].cron", Kind::Text, None, "When it begins, again and again, instead of `starts`."),
    key("maintenance[].duration", Kind::Duration, None, "How long it lasts, with `cron`."),
    key("maintenance[].timezone", Kind::Text, None, "IANA name for `cron`. Default: UTC."),
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
