//! Which of the indices in memory an index pattern names.

use std::sync::Arc;

use chrono::{DateTime, Utc};

/// The existing indices that `patterns` name, in the order they exist in: `a,b`, `logs-*`,
/// exclusions (`-logs-x*`, which take from what stands before them). Date-math names
/// (`<logs-{now/d}>`) are left to the store; `cluster:` prefixes name nothing here.
pub(super) fn resolve(patterns: &[String], existing: &[Arc<str>], now: DateTime<Utc>) -> Vec<Arc<str>> {
    let _ = now;
    let mut chosen = vec![false; existing.len()];
    for (position, pattern) in patterns.iter().flat_map(|p| p.split(',')).map(str::trim).enumerate() {
        let (pattern, include) = match pattern.strip_prefix('-') {
            Some(rest) if position > 0 => (rest, false),
            _ => (pattern, true),
        };
        let pattern = if pattern == "_all" { "*" } else { pattern };
        for (chosen, name) in chosen.iter_mut().zip(existing) {
            if matches(pattern, name) {
                *chosen = include;
            }
        }
    }
    existing.iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(name, _)| name.clone()).collect()
}

/// Whether a pattern with `*` matches a whole name.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::{DateTime, Utc};

    #[test]
    fn wildcards_commas_and_exclusions() {
        let existing: Vec<Arc<str>> =
            ["logs-aws.cloudtrail-default", "logs-generic-default", "other"].map(Arc::from).to_vec();
        let resolve = |patterns: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
            let found = super::resolve(&patterns, &existing, DateTime::<Utc>::UNIX_EPOCH);
            found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(resolve(&["logs-*"]), "logs-aws.cloudtrail-default logs-generic-default");
        assert_eq!(resolve(&["other,logs-gen*t"]), "logs-generic-default other");
        assert_eq!(resolve(&["*", "-logs-*"]), "other");
        assert_eq!(resolve(&["logs-aws.cloudtrail-*"]), "logs-aws.cloudtrail-default");
        assert_eq!(resolve(&["cluster:logs-*"]), "");
        assert_eq!(resolve(&["logs"]), "");
        assert_eq!(resolve(&["_all"]).split(' ').count(), 3);
    }
}
