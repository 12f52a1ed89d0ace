//! Patterns of names as mapping templates have them: text and `*`.

/// Whether `pattern`, in which `*` stands for any run of characters, is the whole of `text`.
/// Linear: parts are found leftmost, one after another.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(first) = parts.next() else { return text.is_empty() };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_stand_for_any_run() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*.ip", "source.ip", true),
            ("*.ip", "ip", false),
            ("*_score*", "a_score_b", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a**b", "axb", true),
            ("message", "message", true),
            ("message", "messages", false),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
