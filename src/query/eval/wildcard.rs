//! Matching wildcard patterns in one pass.

use std::borrow::Cow;

use memchr::memmem::Finder;

use crate::query::plan::{Pattern, Piece};

/// A wildcard pattern compiled for matching.
///
/// The parts between `*` are found leftmost, one after another, so nothing is tried twice: the
/// cost is linear in the text (times the length of a part that holds `?`).
#[derive(Debug, Clone)]
pub struct Wildcard {
    /// Parts between `*`; the first must start the text and the last must end it. One part: the
    /// pattern has no `*`.
    parts: Vec<Part>,
    /// Texts and patterns are compared without case.
    folded: bool,
    literals: Vec<Box<str>>,
}

#[derive(Debug, Clone)]
enum Part {
    Text(Box<Finder<'static>>),
    /// With single-character wildcards (`None`).
    Mixed(Vec<Option<char>>),
}

impl Wildcard {
    /// Compiles `pattern`; with `folded`, letters match without case.
    pub fn new(pattern: &Pattern, folded: bool) -> Self {
        let mut runs: Vec<Vec<Option<char>>> = vec![Vec::new()];
        for piece in &pattern.0 {
            match piece {
                Piece::Any => runs.push(Vec::new()),
                Piece::One => push(&mut runs, None),
                Piece::Literal(text) => {
                    for c in text.chars() {
                        push(&mut runs, Some(if folded { lower(c) } else { c }));
                    }
                }
            }
        }
        let literals = runs
            .iter()
            .flat_map(|run| run.split(Option::is_none))
            .map(|run| run.iter().flatten().collect::<String>().into_boxed_str())
            .filter(|text| !text.is_empty())
            .collect();
        let last = runs.len() - 1;
        let parts = runs
            .into_iter()
            .enumerate()
            // Empty parts in the middle say nothing: `a**b` is `a*b`.
            .filter(|(at, run)| !run.is_empty() || *at == 0 || *at == last)
            .map(|(_, run)| match run.iter().copied().collect::<Option<String>>() {
                Some(text) => Part::Text(Box::new(Finder::new(text.as_bytes()).into_owned())),
                None => Part::Mixed(run),
            })
            .collect();
        Self { parts, folded, literals }
    }

    /// Whether the whole of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        if self.folded { self.matches_folded(&fold(text)) } else { self.matches_folded(text) }
    }

    /// Whether the whole of `text` matches, which is already in the pattern's case.
    fn matches_folded(&self, text: &str) -> bool {
        let Some((first, others)) = self.parts.split_first() else { return false };
        let Some((last, middle)) = others.split_last() else { return first.starts(text) == Some("") };
        let Some(mut rest) = first.starts(text) else { return false };
        for part in middle {
            match part.find(rest) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        last.ends(rest)
    }

    /// Texts every match contains, in the pattern's case.
    pub fn literals(&self) -> &[Box<str>] {
        &self.literals
    }

    /// Whether letters match without case (and [`Wildcard::literals`] are lower-cased).
    pub fn folded(&self) -> bool {
        self.folded
    }
}

fn push(runs: &mut [Vec<Option<char>>], c: Option<char>) {
    if let Some(run) = runs.last_mut() {
        run.push(c);
    }
}

impl Part {
    /// What follows the part when `text` starts with it.
    fn starts<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Self::Text(finder) => {
                let length = finder.needle().len();
                (text.as_bytes().get(..length)? == finder.needle()).then(|| text.get(length..))?
            }
            Self::Mixed(run) => {
                let mut rest = text.chars();
                for wanted in run {
                    let c = rest.next()?;
                    if wanted.is_some_and(|w| w != c) {
                        return None;
                    }
                }
                Some(rest.as_str())
            }
        }
    }

    /// What follows the leftmost occurrence.
    fn find<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Self::Text(finder) => {
                let at = finder.find(text.as_bytes())?;
                text.get(at + finder.needle().len()..)
            }
            Self::Mixed(_) => {
                text.char_indices().find_map(|(at, _)| text.get(at..).and_then(|rest| self.starts(rest)))
            }
        }
    }

    /// Whether `text` ends with the part.
    fn ends(&self, text: &str) -> bool {
        match self {
            Self::Text(finder) => text.as_bytes().ends_with(finder.needle()),
            Self::Mixed(run) => {
                let start = match run.len().checked_sub(1) {
                    None => Some(text.len()),
                    Some(back) => text.char_indices().rev().nth(back).map(|(at, _)| at),
                };
                start.and_then(|at| text.get(at..)).is_some_and(|tail| self.starts(tail) == Some(""))
            }
        }
    }
}

/// `text` in the case that folded comparison uses: every character by itself, so that the result
/// does not depend on its neighbours.
pub fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Cow::Owned(text.to_ascii_lowercase());
        }
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(lower).collect())
}

/// The lower case of one character as one character (Java's simple mapping).
fn lower(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        let mut pieces = Vec::new();
        for c in text.chars() {
            pieces.push(match c {
                '*' => Piece::Any,
                '?' => Piece::One,
                c => Piece::Literal(c.to_string().into()),
            });
        }
        Pattern(pieces)
    }

    #[test]
    fn patterns_match_whole_texts() {
        for (p, text, expected) in [
            ("a*", "abc", true),
            ("a*", "ba", false),
            ("*b*", "abc", true),
            ("a*a", "a", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("**", "", true),
            ("*", "", true),
            ("a**c", "abc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("?", "ü", true),
            ("*?c", "c", false),
            ("*?c", "xxc", true),
            ("*a?*b", "aaxb", true),
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("é*", "éa", true),
            ("A*", "abc", false),
            ("*ab", "aab", true),
            ("*aab", "aaab", true),
        ] {
            assert_eq!(Wildcard::new(&pattern(p), false).matches(text), expected, "{p} on {text}");
        }
        assert!(Wildcard::new(&pattern("A*É"), true).matches("abcé"));
        assert_eq!(&*Wildcard::new(&pattern("*Ab?c*"), true).literals()[1], "c");
    }

    #[test]
    fn hostile_patterns_cost_one_pass() {
        let text = "a".repeat(100_000);
        let hostile = Wildcard::new(&pattern(&format!("{}b", "a*".repeat(1_000))), false);
        let started = std::time::Instant::now();
        assert!(!hostile.matches(&text));
        assert!(started.elapsed().as_secs() < 2);
    }
}
