//! How a value is written into a text for a target, so that it stays a value.

use std::borrow::Cow;

/// What a text is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Escape {
    /// Plain text: control characters become spaces, line breaks stay.
    Plain,
    /// The inside of a JSON string.
    Json,
    /// HTML text and attribute values.
    Html,
    /// Slack's mrkdwn.
    Mrkdwn,
    /// Markdown as Mattermost, Discord and Teams read it.
    Markdown,
}

/// Zero-width space: breaks up what would be a mention.
const BREAK: char = '\u{200B}';

impl Escape {
    /// `value` written so that the target shows it as it is.
    pub fn apply(self, value: &str) -> Cow<'_, str> {
        match self {
            Self::Plain => plain(value),
            Self::Json => json(value),
            Self::Html => each(&plain(value), |c, out| match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\'' => out.push_str("&#39;"),
                c => out.push(c),
            })
            .into(),
            // Slack reads three characters as control; formatting marks are harmless decoration,
            // but a value with them would not be shown as it is, so they are kept apart.
            Self::Mrkdwn => each(&plain(value), |c, out| match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '*' | '_' | '~' | '`' => out.extend([BREAK, c, BREAK]),
                c => out.push(c),
            })
            .into(),
            Self::Markdown => each(&plain(value), |c, out| match c {
                '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '#' | '+' | '-' | '.' | '!'
                | '|' | '~' | '>' | '=' => out.extend(['\\', c]),
                '<' => out.push_str("\\<"),
                '&' => out.push_str("\\&"),
                // A mention is broken up: escaping does not disarm it everywhere.
                '@' => out.extend(['@', BREAK]),
                ':' => out.extend([':', BREAK]),
                c => out.push(c),
            })
            .into(),
        }
    }
}

fn each(value: &str, mut write: impl FnMut(char, &mut String)) -> String {
    let mut out = String::with_capacity(value.len() + 16);
    for c in value.chars() {
        write(c, &mut out);
    }
    out
}

/// Whether a character would act on a terminal, a header or the direction of text.
fn acts(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

fn plain(value: &str) -> Cow<'_, str> {
    if value.contains(acts) { value.replace(acts, " ").into() } else { value.into() }
}

fn json(value: &str) -> Cow<'_, str> {
    let quoted = serde_json::to_string(value).unwrap_or_default();
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default();
    if inner == value { value.into() } else { inner.to_owned().into() }
}

/// `value` in one line.
pub fn line(value: &str) -> String {
    plain(value).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `value`, at most `most` bytes long; what is cut off is said by `…`.
pub fn cut(value: &str, most: usize) -> String {
    if value.len() <= most {
        return value.to_owned();
    }
    let mut end = most.saturating_sub('…'.len_utf8());
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", value.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_values() {
        assert_eq!(Escape::Html.apply("<b>&'\""), "&lt;b&gt;&amp;&#39;&quot;");
        assert_eq!(Escape::Mrkdwn.apply("<!channel> & co"), "&lt;!channel&gt; &amp; co");
        assert_eq!(Escape::Json.apply("a\"b\\\n"), "a\\\"b\\\\\\n");
        assert_eq!(Escape::Plain.apply("a\u{1b}[31m\r\nb"), "a [31m \nb");
        assert!(Escape::Markdown.apply("@here").starts_with("@\u{200B}"));
        assert_eq!(cut("äöü", 5), "ä…");
        assert_eq!(line(" a\r\n b\u{0}c "), "a b c");
    }
}
