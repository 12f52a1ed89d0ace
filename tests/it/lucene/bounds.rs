//! No text hangs or overflows the parser; work is counted by pest, not timed.

use tocsin::base::limits::{QUERY_BYTES, QUERY_NESTING};
use tocsin::query::lang::lucene::parse_filter;

fn code(text: &str) -> Option<String> {
    parse_filter(text).err().map(|diagnostic| diagnostic.code)
}

fn nested(open: &str, inner: &str, close: &str, depth: usize) -> String {
    format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
}

#[test]
fn nesting_is_bounded() {
    for open in ["(", "+(", "NOT (", "f:(", "(a OR "] {
        assert_eq!(code(&nested(open, "a", ")", QUERY_NESTING)), None, "{open}");
        assert_eq!(code(&nested(open, "a", ")", QUERY_NESTING + 1)).as_deref(), Some("LUC002"), "{open}");
    }
    assert_eq!(code(&format!("f:\"{}\"", "(".repeat(1_000))), None);
    assert_eq!(code(&"\\(".repeat(1_000)), None);
}

#[test]
fn length_is_bounded() {
    assert_eq!(code(&"a".repeat(QUERY_BYTES)), None);
    assert_eq!(code(&"a".repeat(QUERY_BYTES + 1)).as_deref(), Some("LUC003"));
}

#[test]
fn work_is_linear() {
    let units = [
        "a OR ",
        "a AND ",
        "NOT ",
        "a ",
        "f:a ",
        "f:(a OR ",
        ") ",
        "\"",
        "\\\"",
        "\\",
        "\\u0041",
        "*",
        "a*",
        " ",
        "AND ",
        "+",
        "- ",
        "!",
        "f:",
        "f :",
        "[",
        "[a TO ",
        "[a TO b] ",
        "/",
        "/a",
        "/a/",
        "a~",
        "a~1",
        "a^2 ",
        "&&",
        "|| ",
        "(a)",
        "\"a\"~1 ",
        "😀",
        "TO ",
        ">",
        "_exists_:a ",
    ];
    let mut texts: Vec<String> = units.iter().map(|unit| unit.repeat(QUERY_BYTES / unit.len() - 1)).collect();
    texts.push(format!("{}{}", nested("(a OR ", "", "", QUERY_NESTING), "a ".repeat(QUERY_BYTES / 4)));
    texts.push(format!("foo{}bar", " ".repeat(QUERY_BYTES - 6)));
    for text in texts {
        for text in [text.clone(), format!("a:({text}"), format!("{text})"), format!("x OR {text}")] {
            let text: String = text.chars().take(QUERY_BYTES / 4).collect();
            let shown: String = text.chars().take(20).collect();
            assert_ne!(code(&text).as_deref(), Some("LUC004"), "{shown}");
        }
    }
}
