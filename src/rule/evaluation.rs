//! Whether a rule judges each event by itself or a window as a whole.

use super::model::Rule;

/// How a rule judges what its window holds. It decides what an execution that was missed owes: a
/// wider window later finds the same single events, but not the same counts and sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evaluation {
    /// Each event by itself: missed slots may be taken in one wider window.
    ByEvent,
    /// The window as a whole (threshold, sequences, aggregations, first appearances): every missed
    /// slot has to be evaluated over the window it would have had.
    ByWindow {
        /// What a slot finds depends on what earlier slots found (a threshold's history,
        /// suppression), so missed slots run in their order.
        ordered: bool,
    },
}

impl Evaluation {
    /// How `rule` judges.
    pub fn of(rule: &Rule) -> Self {
        if rule.alert_suppression.is_some() {
            return Self::ByWindow { ordered: true };
        }
        match rule.rule_type() {
            "threshold" => Self::ByWindow { ordered: true },
            "esql" | "new_terms" => Self::ByWindow { ordered: false },
            "eql" if rule.parameters.string("query").is_some_and(|query| correlates(&query)) => {
                Self::ByWindow { ordered: false }
            }
            _ => Self::ByEvent,
        }
    }
}

/// Whether an EQL query joins several events.
fn correlates(query: &str) -> bool {
    let mut rest = query.trim_start();
    // Comments may stand before the first word.
    loop {
        let after = if let Some(line) = rest.strip_prefix("//") {
            line.split_once('\n').map_or("", |(_, after)| after)
        } else if let Some(block) = rest.strip_prefix("/*") {
            block.split_once("*/").map_or("", |(_, after)| after)
        } else {
            break;
        };
        rest = after.trim_start();
    }
    let word: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
    matches!(word.as_str(), "sequence" | "sample")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_and_samples_are_told_from_single_events() {
        for query in
            ["sequence by a [x where true] [y where true]", "// why\n /* so */ sample by a [any where 1==1]"]
        {
            assert!(correlates(query), "{query}");
        }
        for query in ["process where process.name == \"sequence\"", "sequences where true", "", "// sequence"]
        {
            assert!(!correlates(query), "{query}");
        }
    }
}
