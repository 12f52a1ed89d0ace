//! Index patterns: which concrete indices a list of them names.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::base::datemath::{self, Rounding};

/// The names that `patterns` select among `names`, as Elasticsearch does: a pattern adds what it
/// matches, one that begins with `-` takes away from what those before it added.
pub(crate) fn resolve<'a>(
    patterns: &[String],
    now: DateTime<Utc>,
    names: impl Iterator<Item = &'a Arc<str>>,
) -> Vec<Arc<str>> {
    let names: Vec<&Arc<str>> = names.collect();
    let mut found: BTreeSet<Arc<str>> = BTreeSet::new();
    for pattern in patterns.iter().flat_map(|pattern| split(pattern)) {
        let (exclude, pattern) = match pattern.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, pattern),
        };
        let Some(pattern) = concrete(pattern, now) else { continue };
        for name in names.iter().filter(|name| matches(&pattern, name)) {
            if exclude {
                found.remove(&***name);
            } else {
                found.insert(Arc::clone(name));
            }
        }
    }
    found.into_iter().collect()
}

/// Splits at commas that are not inside `<…>`.
fn split(patterns: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    patterns
        .split(move |c: char| {
            match c {
                '<' => inside = true,
                '>' => inside = false,
                _ => {}
            }
            c == ',' && !inside
        })
        .map(str::trim)
        .filter(|pattern| !pattern.is_empty())
}

/// The pattern with its date math resolved; `None` when it can match nothing here.
fn concrete(pattern: &str, now: DateTime<Utc>) -> Option<String> {
    match pattern.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
        Some(inner) => dated(inner, now),
        // `cluster:index` names an index of another cluster; no index name has a colon.
        None if pattern.contains(':') => None,
        None if pattern == "_all" => Some("*".to_owned()),
        None => Some(pattern.to_owned()),
    }
}

/// `logs-{now/d{yyyy.MM.dd|+02:00}}` with each `{…}` replaced by its date.
fn dated(text: &str, now: DateTime<Utc>) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let mut depth = 1_u32;
        let end = after.char_indices().find(|(_, c)| {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            depth == 0
        })?;
        let (expression, tail) = after.split_at_checked(end.0)?;
        rest = tail.strip_prefix('}')?;
        let (math, format) = match expression.split_once('{') {
            Some((math, format)) => (math, format.strip_suffix('}')?),
            None => (expression, "yyyy.MM.dd"),
        };
        let (format, zone) = match format.split_once('|') {
            Some((format, zone)) => (format, zone),
            None => (format, "+00:00"),
        };
        let at = datemath::resolve(math, now, Rounding::Down).ok()?;
        let zone = if zone == "Z" { "+00:00" } else { zone };
        let offset: chrono::FixedOffset = zone.parse().ok()?;
        out.push_str(&at.with_timezone(&offset).format(&strftime(format)?).to_string());
    }
    out.push_str(rest);
    Some(out)
}

/// The Java date formats that index names use, as strftime has them.
fn strftime(format: &str) -> Option<String> {
    let mut out = String::new();
    let mut letters = format.chars().peekable();
    while let Some(letter) = letters.next() {
        let mut run = 1;
        while letters.next_if_eq(&letter).is_some() {
            run += 1;
        }
        match (letter, run) {
            ('y' | 'u', 4) => out.push_str("%Y"),
            ('x' | 'Y', 4) => out.push_str("%G"),
            ('y' | 'u', 2) => out.push_str("%y"),
            ('M', 2) => out.push_str("%m"),
            ('d', 2) => out.push_str("%d"),
            ('D', 3) => out.push_str("%j"),
            ('H', 2) => out.push_str("%H"),
            ('m', 2) => out.push_str("%M"),
            ('s', 2) => out.push_str("%S"),
            ('w', 2) => out.push_str("%V"),
            ('\'', _) => {}
            ('%', _) => return None,
            (other, run) if !other.is_ascii_alphabetic() => out.extend(std::iter::repeat_n(other, run)),
            _ => return None,
        }
    }
    Some(out)
}

/// Whether `name` matches `pattern`, in which `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(part) = last.replace(part) {
            match rest.split_once(part) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
    }
    match last {
        None => rest.is_empty(),
        Some(last) => rest.ends_with(last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(patterns: &[&str]) -> Vec<String> {
        let names: Vec<Arc<str>> =
            ["logs-aws.cloudtrail-default", "logs-aws.s3-default", "logs-2025.11.20", "other"]
                .map(Arc::from)
                .into();
        let patterns: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
        let now = DateTime::parse_from_rfc3339("2025-11-20T23:30:00Z").unwrap().to_utc();
        resolve(&patterns, now, names.iter()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn patterns_select_as_elasticsearch_does() {
        assert_eq!(select(&["logs-aws*"]), ["logs-aws.cloudtrail-default", "logs-aws.s3-default"]);
        assert_eq!(select(&["logs-*-default,-*.s3-*"]), ["logs-aws.cloudtrail-default"]);
        assert_eq!(select(&["-logs-*", "other"]), ["other"], "an exclusion takes from what is before it");
        assert_eq!(select(&["remote:logs-*", "*:*"]), [""; 0]);
        assert_eq!(select(&["logs-aws.s3-default"]), ["logs-aws.s3-default"]);
        assert_eq!(select(&["logs-aws.s3"]), [""; 0]);
        assert_eq!(select(&["_all"]).len(), 4);
        assert_eq!(select(&["*a*a*"]), ["logs-aws.cloudtrail-default", "logs-aws.s3-default"]);
    }

    #[test]
    fn names_with_date_math_are_resolved() {
        assert_eq!(select(&["<logs-{now/d}>"]), ["logs-2025.11.20"]);
        assert_eq!(select(&["<logs-{now/d-1d}>"]), [""; 0]);
        assert_eq!(select(&["<logs-{now{yyyy.MM.dd|+01:00}}>"]), [""; 0], "it is the next day there");
        assert_eq!(
            select(&["<logs-{2025.11.20||/d{yyyy.MM.dd}}>", "<logs-{now/M{yyyy.MM}}*>"]),
            ["logs-2025.11.20"]
        );
        assert_eq!(select(&["<logs-{"]), [""; 0]);
    }
}
