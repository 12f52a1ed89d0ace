//! Why a text is not EQL.

use pest::error::{ErrorVariant, InputLocation};

use super::parse::Rule;
use crate::base::diagnostic::Diagnostic;
use crate::base::limits;
use crate::base::nearest::nearest;
use crate::base::span::Span;

const KEYWORDS: [&str; 20] = [
    "and", "any", "by", "false", "in", "like", "maxspan", "not", "null", "or", "regex", "runs", "sample",
    "sequence", "true", "until", "where", "with", "head", "tail",
];

/// A finding with a place.
pub(super) fn error(
    code: &'static str,
    message: impl Into<String>,
    text: &str,
    span: Span,
    help: Option<&str>,
) -> Diagnostic {
    let found = Diagnostic::error(code, message).at(text, span);
    match help {
        Some(help) => found.with_help(help),
        None => found,
    }
}

pub(super) fn too_long(text: &str) -> Diagnostic {
    Diagnostic::error(
        "EQL003",
        format!("query of {} bytes is longer than {}", text.len(), limits::QUERY_BYTES),
    )
    .with_help("split the rule, or use an exception list")
}

pub(super) fn too_deep(text: &str, at: usize) -> Diagnostic {
    let message = format!("brackets or operators are nested deeper than {}", limits::QUERY_NESTING);
    error(
        "EQL002",
        message,
        text,
        character(text, at),
        Some("remove what changes nothing, or split the query"),
    )
}

/// The character at `at`, or the end.
fn character(text: &str, at: usize) -> Span {
    let end = text.get(at..).and_then(|rest| rest.chars().next()).map_or(at, |c| at + c.len_utf8());
    Span::new(at, end)
}

pub(super) fn syntax(text: &str, found: &pest::error::Error<Rule>) -> Diagnostic {
    let at = match found.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
    };
    let ErrorVariant::ParsingError { positives, .. } = &found.variant else {
        return error(
            "EQL004",
            "query takes too much work to read",
            text,
            character(text, at),
            Some("split the query"),
        );
    };
    let mut expected: Vec<&str> = positives.iter().flat_map(|rule| expectation(*rule)).copied().collect();
    expected.sort_unstable();
    expected.dedup();
    let word = word(text, at);
    let (shown, span) = match word {
        "" => ("the end".to_owned(), Span::new(at, at)),
        word => (format!("`{word}`"), Span::new(at, at + word.len())),
    };
    let expected = listed(&expected);
    error(
        "EQL001",
        format!("expected {expected}, found {shown}"),
        text,
        span,
        advice(text, at, word).as_deref(),
    )
}

/// The word or character at `at`.
fn word(text: &str, at: usize) -> &str {
    let rest = text.get(at..).unwrap_or_default();
    let letters = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')).unwrap_or(rest.len());
    let length = if letters > 0 { letters } else { rest.chars().next().map_or(0, char::len_utf8) };
    rest.get(..length).unwrap_or_default()
}

fn listed(words: &[&str]) -> String {
    match words {
        [] => "something else".to_owned(),
        [only] => (*only).to_owned(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// What most likely went wrong, where it shows.
fn advice(text: &str, at: usize, word: &str) -> Option<String> {
    let before = text.get(..at).unwrap_or_default().trim_end();
    let rest = text.get(at..).unwrap_or_default();
    if rest.starts_with('\'') {
        return Some("write texts in double quotes".to_owned());
    }
    let single = before.ends_with('=') && !["==", "!=", "<=", ">="].iter().any(|two| before.ends_with(two));
    if rest.starts_with('=') || single {
        return Some("`==` compares with case, `:` without".to_owned());
    }
    if word == "of" {
        return Some(
            "`child of`, `descendant of` and `event of` are not supported, as in Elasticsearch".to_owned(),
        );
    }
    if before.is_empty() && word == "join" || text.trim_start().starts_with("join ") {
        return Some("`join` is not supported, as in Elasticsearch: use `sequence` or `sample`".to_owned());
    }
    if rest.starts_with('"') {
        return Some("close the text, or write `\\\"` for a quote that belongs to it".to_owned());
    }
    if rest.starts_with('-') {
        return Some(
            "write names with other characters than letters, digits, `_` and `.` in backquotes".to_owned(),
        );
    }
    if rest.starts_with('[') && text.get(..at).is_some_and(|all| all.ends_with(char::is_alphanumeric)) {
        return Some("positions in arrays are not supported: a condition holds for any value".to_owned());
    }
    let lower = word.to_ascii_lowercase();
    if word != lower && KEYWORDS.contains(&&*lower) {
        return Some(format!("keywords are in lower case: `{lower}`"));
    }
    if KEYWORDS.contains(&word) {
        return Some(format!(
            "`{word}` is a keyword; a field or category of that name is written `\u{60}{word}\u{60}` or `\"{word}\"`"
        ));
    }
    nearest(word, KEYWORDS)
        .filter(|near| word.len() > 2 && *near != word)
        .map(|near| format!("did you mean `{near}`?"))
}

/// What a token is called in messages.
fn expectation(rule: Rule) -> &'static [&'static str] {
    match rule {
        Rule::field_name | Rule::optional | Rule::named => &["a field"],
        Rule::word => &["a name"],
        Rule::number | Rule::raw | Rule::text | Rule::kw_true | Rule::kw_false | Rule::kw_null => {
            &["a constant"]
        }
        Rule::unit => &["a unit of time"],
        Rule::value | Rule::expr | Rule::exprs => &["an expression"],
        Rule::event | Rule::kw_any => &["an event category"],
        Rule::sequence | Rule::kw_sequence => &["`sequence`"],
        Rule::sample | Rule::kw_sample => &["`sample`"],
        Rule::stage | Rule::open_stage => &["`[`"],
        Rule::missing => &["`![`"],
        Rule::close_stage => &["`]`"],
        Rule::by | Rule::kw_by => &["`by`"],
        Rule::maxspan | Rule::runs | Rule::kw_with => &["`with`"],
        Rule::kw_maxspan => &["`maxspan`"],
        Rule::kw_runs => &["`runs`"],
        Rule::kw_until => &["`until`"],
        Rule::kw_where => &["`where`"],
        Rule::kw_not => &["`not`"],
        Rule::kw_and | Rule::kw_or => &["`and`, `or`"],
        Rule::plus | Rule::minus | Rule::times | Rule::divide | Rule::modulo => &["an operator"],
        Rule::eq
        | Rule::ne
        | Rule::le
        | Rule::ge
        | Rule::lt
        | Rule::gt
        | Rule::test
        | Rule::kw_in
        | Rule::in_tilde
        | Rule::kw_like
        | Rule::like_tilde
        | Rule::kw_regex
        | Rule::regex_tilde
        | Rule::colon => &["a comparison"],
        Rule::open | Rule::group | Rule::list => &["`(`"],
        Rule::close => &["`)`"],
        Rule::comma => &["`,`"],
        Rule::bar | Rule::pipe => &["`|`"],
        Rule::equals => &["`=`"],
        Rule::EOI => &["the end"],
        _ => &[],
    }
}
