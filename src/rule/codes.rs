//! The codes of everything that is said about rule files. Stable: people silence and search them.

/// A kind of finding about rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// `RULE003`.
    pub code: &'static str,
    /// What it is about, in a few words.
    pub summary: &'static str,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $summary:literal;)*) => {
        $($(#[$doc])* #[doc = $summary] pub const $name: &str = $code;)*
        /// Every code, in order.
        pub const ALL: &[Code] = &[$(Code { code: $code, summary: $summary }),*];
    };
}

codes! {
    SYNTAX = "RULE001", "the file is not valid TOML or JSON";
    UNREADABLE = "RULE002", "the file cannot be read: missing, too large, not UTF-8";
    NO_RULE = "RULE003", "the file holds no rule";
    MISSING_FIELD = "RULE004", "a required field is missing";
    WRONG_TYPE = "RULE005", "a field has a value of the wrong type";
    BAD_VALUE = "RULE006", "a field has a value that is not allowed";
    BAD_DATE_MATH = "RULE007", "`from`, `to` or another time is not date math";
    BAD_SCHEDULE = "RULE008", "the interval or the cron schedule is not valid";
    DUPLICATE_ID = "RULE009", "two rules have the same `rule_id`";
    UNKNOWN_FIELD = "RULE010", "a field that is not known; kept as it is";
    NOT_RUN_YET = "RULE011", "a rule type or language that loads but does not run yet";
    UNSUPPORTED_FILTER = "RULE012", "a Kibana filter that cannot be evaluated; the rule does not run";
    PAIR = "RULE013", "fields that come only together, or exclude each other";
    BAD_THREAT = "RULE014", "a `threat` entry without the shape ATT&CK needs";
    BAD_INDEX = "RULE015", "an index pattern that names nothing";
    GAP = "RULE016", "the window is shorter than the interval: events in between are never searched";
    KEPT_OBJECT = "RULE017", "an exported object that is no rule; kept, without effect yet";
    MATCHES_ALL = "RULE018", "a query rule without query and filters matches every event";
    UNKNOWN_QUERY_FIELD = "RULE020", "the query names a field that no known mapping has";
    NO_GUIDE = "RULE021", "the rule has no investigation guide";
    NO_THREAT = "RULE022", "the rule names no ATT&CK tactic";
    SCORE_BAND = "RULE023", "severity and risk score disagree";
    SHORT_INTERVAL = "RULE024", "the interval is shorter than a minute";
    UNBOUNDED_INDEX = "RULE025", "the rule reads every index";
    PAST_CAP = "RULE026", "`max_signals` is above what an execution may write";
    BAD_TEST = "RULE027", "a test file that cannot be read";
    ONLY_CLUSTER = "RULE028", "a part of the query that only a cluster can answer";
    SEQUENCE_SPAN = "RULE029", "a sequence longer than its window, or without a longest time";
    TYPE_CLASH = "RULE030", "the query compares a field with a value of another type";
    NO_EXCEPTION_LIST = "RULE031", "the rule refers to an exception list that is not here";
    BAD_EXCEPTION = "RULE032", "an exception that cannot be applied";
    BAD_VALUE_LIST = "RULE033", "a line of a value list that is no value of its type";
    SILENCING = "RULE034", "an exception that silences a test of its own rule";
    UNKNOWN_CATEGORY = "RULE035", "an EQL query asks for a category of events that ECS does not have";
}

#[cfg(test)]
mod tests {
    #[test]
    fn codes_are_distinct_and_in_order() {
        let codes: Vec<&str> = super::ALL.iter().map(|code| code.code).collect();
        let mut sorted = codes.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(codes, sorted);
    }
}
