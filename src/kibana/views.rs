//! The views and the dashboards they are on, as data.

/// Which index a view is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// Alerts.
    Alerts,
    /// The execution log.
    Executions,
}

/// What a view counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Documents.
    Count,
    /// The sum of a field.
    Sum(&'static str),
    /// The highest value of a field.
    Max(&'static str),
    /// The average of a field.
    Average(&'static str),
    /// How many different values a field has.
    Unique(&'static str),
}

impl Measure {
    /// The field it reads; `None` for documents.
    pub fn field(self) -> Option<&'static str> {
        match self {
            Self::Count => None,
            Self::Sum(field) | Self::Max(field) | Self::Average(field) | Self::Unique(field) => Some(field),
        }
    }
}

/// How a view is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Bars over time, stacked by the values of a field.
    Timeline(&'static str),
    /// Parts of a whole by the values of a field.
    Pie(&'static str),
    /// Bars for the most frequent values of a field.
    Bar(&'static str),
    /// A row for each combination of the values of fields.
    Table(&'static [&'static str]),
    /// One number.
    Number,
}

impl Shape {
    /// The fields whose values it tells apart.
    pub fn fields(self) -> Vec<&'static str> {
        match self {
            Self::Timeline(field) => vec!["@timestamp", field],
            Self::Pie(field) | Self::Bar(field) => vec![field],
            Self::Table(fields) => fields.to_vec(),
            Self::Number => Vec::new(),
        }
    }
}

/// One view.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Its id, without what all ids begin with.
    pub id: &'static str,
    /// Its title.
    pub title: &'static str,
    /// Of which index.
    pub on: On,
    /// Which documents, KQL.
    pub query: &'static str,
    /// What is counted, with what to call it.
    pub measures: &'static [(Measure, &'static str)],
    /// How it is drawn.
    pub shape: Shape,
}

/// A saved search: a list of documents.
#[derive(Debug, Clone, Copy)]
pub struct Search {
    /// Its id, without what all ids begin with.
    pub id: &'static str,
    /// Its title.
    pub title: &'static str,
    /// Of which index.
    pub on: On,
    /// Which documents, KQL.
    pub query: &'static str,
    /// Its columns.
    pub columns: &'static [&'static str],
}

/// A place on a dashboard's grid, which is 48 wide: the view or search, x, y, width, height.
pub type Place = (&'static str, u32, u32, u32, u32);

/// A dashboard.
#[derive(Debug, Clone, Copy)]
pub struct Dashboard {
    /// Its id, without what all ids begin with.
    pub id: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What it shows.
    pub description: &'static str,
    /// The time it opens with.
    pub from: &'static str,
    /// What is where.
    pub panels: &'static [Place],
}

const NO_BLOCKS: &str = "not kibana.alert.building_block_type: *";
const OPEN: &str = "kibana.alert.workflow_status: open and not kibana.alert.building_block_type: *";
const ALERTS: &[(Measure, &str)] = &[(Measure::Count, "alerts")];
const RULE: &str = "kibana.alert.rule.name";
const STATUS: &str = "kibana.alert.rule.execution.status";

const fn alerts(id: &'static str, title: &'static str, shape: Shape) -> View {
    View { id, title, on: On::Alerts, query: NO_BLOCKS, measures: ALERTS, shape }
}

/// Every view.
pub const VIEWS: &[View] = &[
    alerts("over-time", "Alerts over time", Shape::Timeline("kibana.alert.severity")),
    alerts("by-severity", "Alerts by severity", Shape::Pie("kibana.alert.severity")),
    alerts("by-status", "Alerts by workflow status", Shape::Pie("kibana.alert.workflow_status")),
    alerts("by-rule", "Alerts by rule", Shape::Bar(RULE)),
    alerts("by-tactic", "Alerts by tactic", Shape::Bar("kibana.alert.rule.threat.tactic.name")),
    alerts("by-user", "Alerts by user", Shape::Bar("user.name")),
    alerts("by-host", "Alerts by host", Shape::Bar("host.name")),
    View { query: OPEN, ..alerts("open", "Open alerts", Shape::Number) },
    View {
        measures: &[(Measure::Count, "alerts"), (Measure::Max("kibana.alert.risk_score"), "highest risk")],
        ..alerts("riskiest-users", "Users at risk", Shape::Table(&["user.name"]))
    },
    View {
        measures: &[(Measure::Count, "alerts"), (Measure::Unique(RULE), "rules")],
        ..alerts(
            "techniques",
            "Tactics and techniques alerted on",
            Shape::Table(&[
                "kibana.alert.rule.threat.tactic.name",
                "kibana.alert.rule.threat.technique.name",
            ]),
        )
    },
    View {
        id: "executions-over-time",
        title: "Executions over time",
        on: On::Executions,
        query: "",
        measures: &[(Measure::Count, "executions")],
        shape: Shape::Timeline(STATUS),
    },
    View {
        id: "executions-by-status",
        title: "Executions by status",
        on: On::Executions,
        query: "",
        measures: &[(Measure::Count, "executions")],
        shape: Shape::Pie(STATUS),
    },
    View {
        id: "unhealthy-rules",
        title: "Rules that fail or warn",
        on: On::Executions,
        query: "kibana.alert.rule.execution.status: (failed or \"partial failure\")",
        measures: &[(Measure::Count, "executions")],
        shape: Shape::Table(&["rule.name", STATUS]),
    },
    View {
        id: "slowest-rules",
        title: "Slowest rules",
        on: On::Executions,
        query: "",
        measures: &[
            (Measure::Average("kibana.alert.rule.execution.metrics.total_run_duration_ms"), "average ms"),
            (Measure::Max("kibana.alert.rule.execution.metrics.total_run_duration_ms"), "longest ms"),
        ],
        shape: Shape::Table(&["rule.name"]),
    },
    View {
        id: "left-out",
        title: "Candidates and what became of them",
        on: On::Executions,
        query: "tocsin.execution.candidates > 0",
        measures: &[
            (Measure::Sum("tocsin.execution.candidates"), "candidates"),
            (Measure::Sum("tocsin.execution.alerts"), "alerts"),
            (Measure::Sum("tocsin.execution.duplicates"), "duplicates"),
            (Measure::Sum("tocsin.execution.excepted"), "excepted"),
            (Measure::Sum("tocsin.execution.suppressed"), "suppressed"),
            (Measure::Sum("tocsin.execution.capped"), "capped"),
        ],
        shape: Shape::Table(&["rule.name"]),
    },
    View {
        id: "searched-up-to",
        title: "How far each rule has searched",
        on: On::Executions,
        query: "not kibana.alert.rule.execution.status: failed and tocsin.execution.to: *",
        measures: &[(Measure::Max("tocsin.execution.to"), "searched up to"), (Measure::Count, "executions")],
        shape: Shape::Table(&["rule.name"]),
    },
    View {
        id: "no-data",
        title: "Rules without a data source",
        on: On::Executions,
        query: "kibana.alert.rule.execution.status: \"no data source\"",
        measures: &[(Measure::Count, "executions")],
        shape: Shape::Bar("rule.name"),
    },
    View {
        id: "rules-run",
        title: "Rules that ran",
        on: On::Executions,
        query: "",
        measures: &[(Measure::Unique("rule.id"), "rules")],
        shape: Shape::Number,
    },
];

/// Every saved search.
pub const SEARCHES: &[Search] = &[
    Search {
        id: "open-alerts",
        title: "Open alerts, newest first",
        on: On::Alerts,
        query: OPEN,
        columns: &[
            "kibana.alert.severity",
            "kibana.alert.rule.name",
            "kibana.alert.reason",
            "user.name",
            "host.name",
            "source.ip",
        ],
    },
    Search {
        id: "all-alerts",
        title: "All alerts, building blocks too",
        on: On::Alerts,
        query: "",
        columns: &[
            "kibana.alert.severity",
            "kibana.alert.rule.name",
            "kibana.alert.workflow_status",
            "kibana.alert.reason",
        ],
    },
    Search {
        id: "troubled-executions",
        title: "Executions that failed or warned",
        on: On::Executions,
        query: "kibana.alert.rule.execution.status: (failed or \"partial failure\")",
        columns: &["rule.name", STATUS, "message"],
    },
];

/// Every dashboard.
pub const DASHBOARDS: &[Dashboard] = &[
    Dashboard {
        id: "alerts",
        title: "Alerts",
        description: "What was found, when, by which rule, about whom.",
        from: "now-7d",
        panels: &[
            ("over-time", 0, 0, 36, 12),
            ("open", 36, 0, 12, 6),
            ("by-severity", 36, 6, 12, 12),
            ("by-status", 36, 18, 12, 12),
            ("by-rule", 0, 12, 18, 18),
            ("by-tactic", 18, 12, 18, 18),
            ("by-user", 0, 30, 16, 15),
            ("by-host", 16, 30, 16, 15),
            ("riskiest-users", 32, 30, 16, 15),
            ("open-alerts", 0, 45, 48, 20),
        ],
    },
    Dashboard {
        id: "rule-health",
        title: "Rule health",
        description: "How executions ended, which rules fail, how long they take, what they leave out.",
        from: "now-24h",
        panels: &[
            ("executions-over-time", 0, 0, 36, 12),
            ("executions-by-status", 36, 0, 12, 12),
            ("unhealthy-rules", 0, 12, 24, 15),
            ("slowest-rules", 24, 12, 24, 15),
            ("left-out", 0, 27, 48, 15),
            ("troubled-executions", 0, 42, 48, 18),
        ],
    },
    Dashboard {
        id: "coverage",
        title: "Coverage",
        description: "Which rules ran over which time, on which data, and which techniques they found.",
        from: "now-7d",
        panels: &[
            ("rules-run", 0, 0, 12, 8),
            ("no-data", 0, 8, 24, 14),
            ("searched-up-to", 24, 0, 24, 22),
            ("techniques", 0, 22, 48, 18),
        ],
    },
];
