//! Rules as Markdown: one rule in full, and the catalogue of many.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::model::{Rule, Schedule};
use super::set::RuleSet;

/// One rule in full: what it looks for, when, and its guides.
pub fn rule(rule: &Rule) -> String {
    let mut text = format!("# {}\n\n{}\n\n", rule.name, rule.description);
    let mut fact = |name: &str, value: String| {
        if !value.is_empty() {
            // Writing to a string cannot fail.
            writeln!(text, "- **{name}**: {value}").ok();
        }
    };
    fact("Rule id", format!("`{}`", rule.rule_id));
    fact("Severity", format!("{}, risk score {}", rule.severity.as_str(), rule.risk_score));
    fact("Type", rule_type(rule));
    fact("Runs", runs(rule));
    fact("Looks at", format!("`{}` to `{}`{}", rule.from, rule.to, time_field(rule)));
    fact("Index patterns", code_list(rule.index.as_deref().unwrap_or(&[])));
    fact("Most alerts a run", rule.max_signals.to_string());
    fact("ATT&CK", attack(rule));
    fact("Tags", rule.tags.join(", "));
    fact("Author", rule.author().join(", "));
    fact("Licence", rule.license.clone().unwrap_or_default());
    fact(
        "File",
        if rule.origin.path.as_os_str().is_empty() {
            String::new()
        } else {
            format!("`{}`", rule.origin.path.display())
        },
    );
    if let Some(query) = rule.kind.query() {
        write!(text, "\n## Query\n\n```\n{}\n```\n", query.trim()).ok();
    }
    let false_positives = rule.false_positives();
    if !false_positives.is_empty() {
        write!(text, "\n## False positives\n\n{}", bullets(&false_positives)).ok();
    }
    if let Some(note) = rule.note() {
        write!(text, "\n{}\n", headed(&note, "Investigation guide")).ok();
    }
    if let Some(setup) = rule.setup() {
        write!(text, "\n{}\n", headed(&setup, "Setup")).ok();
    }
    let references = rule.references();
    if !references.is_empty() {
        write!(text, "\n## References\n\n{}", bullets(&references)).ok();
    }
    text
}

/// A catalogue of all rules of a set, by folder.
pub fn catalogue(set: &RuleSet) -> String {
    let mut folders: BTreeMap<String, Vec<&Rule>> = BTreeMap::new();
    for rule in &set.rules {
        let folder = rule.origin.path.parent().map(|path| path.display().to_string()).unwrap_or_default();
        folders.entry(folder).or_default().push(rule);
    }
    let mut text = format!(
        "# Rules\n\n{} rules; `tocsin rules show ID` shows one with its guide, `tocsin test PATH` runs the tests beside it.\n",
        set.rules.len()
    );
    for (folder, mut rules) in folders {
        rules.sort_by(|a, b| a.name.cmp(&b.name));
        write!(text, "\n## {}\n\n", folder.trim_start_matches("rules/")).ok();
        text.push_str(
            "| Rule | Severity | Risk | Runs | Looks back from | ATT&CK |\n|---|---|---|---|---|---|\n",
        );
        for rule in rules {
            writeln!(
                text,
                "| [{}]({}) | {} | {} | {} | `{}` | {} |",
                rule.name,
                rule.origin.path.strip_prefix("rules").unwrap_or(&rule.origin.path).display(),
                rule.severity.as_str(),
                rule.risk_score,
                runs(rule),
                rule.from,
                attack(rule),
            )
            .ok();
        }
    }
    text
}

fn rule_type(rule: &Rule) -> String {
    let runs = if super::compiled::plan(rule).is_ok() { "" } else { ", not run yet" };
    match rule.kind.language() {
        Some("kuery") => format!("{} (KQL){runs}", rule.rule_type()),
        Some(language) => format!("{} ({language}){runs}", rule.rule_type()),
        None => format!("{}{runs}", rule.rule_type()),
    }
}

fn runs(rule: &Rule) -> String {
    match &rule.schedule {
        Schedule::Every { text, .. } => format!("every {text}"),
        Schedule::Cron { expression, timezone } => {
            format!("`{expression}` {}", timezone.as_deref().unwrap_or("UTC"))
        }
    }
}

fn time_field(rule: &Rule) -> String {
    rule.timestamp_override.as_ref().map_or_else(String::new, |field| format!(" by `{field}`"))
}

/// Techniques (the finest ones) with links, after their tactic.
fn attack(rule: &Rule) -> String {
    let mut parts = Vec::new();
    for threat in &rule.threat() {
        let mut names = Vec::new();
        for technique in &threat.technique {
            if technique.subtechnique.is_empty() {
                names.push(format!("[{}]({})", technique.entry.id, technique.entry.reference));
            }
            names.extend(technique.subtechnique.iter().map(|sub| format!("[{}]({})", sub.id, sub.reference)));
        }
        parts.push(format!("{} {}", threat.tactic.name, names.join(" ")).trim_end().to_owned());
    }
    parts.join("; ")
}

fn code_list(items: &[String]) -> String {
    items.iter().map(|item| format!("`{item}`")).collect::<Vec<_>>().join(", ")
}

fn bullets(items: &[String]) -> String {
    items.iter().fold(String::new(), |text, item| text + "- " + item + "\n")
}

/// A guide below a heading of its own, unless it brings one.
fn headed(guide: &str, heading: &str) -> String {
    let guide = guide.trim();
    if guide.starts_with('#') { guide.to_owned() } else { format!("## {heading}\n\n{guide}") }
}
