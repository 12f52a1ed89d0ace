//! No text hangs or overflows the parser. Work is counted, not timed: pest refuses a parse that
//! takes more than 64 calls per byte of the longest text allowed, as `KQL004`; none of these may.

use tocsin::base::limits::{QUERY_BYTES, QUERY_NESTING};
use tocsin::query::lang::kql::{Options, parse, parse_filter};

fn code(text: &str) -> Option<String> {
    parse_filter(text).err().map(|diagnostic| diagnostic.code)
}

fn nested(open: &str, inner: &str, close: &str, depth: usize) -> String {
    format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
}

#[test]
fn nesting_is_bounded() {
    for (open, close) in [("(", ")"), ("not (", ")"), ("f: { ", " }"), ("( a or ", " )")] {
        assert_eq!(code(&nested(open, "a: b", close, QUERY_NESTING)), None, "{open}");
        let error = parse_filter(&nested(open, "a: b", close, QUERY_NESTING + 1)).unwrap_err();
        assert_eq!(error.code, "KQL002", "{open}");
        assert_eq!(error.span.unwrap().start, open.len() * QUERY_NESTING + open.find(['(', '{']).unwrap());
    }
    let values = |depth| format!("f: {}", nested("(", "a", ")", depth));
    assert_eq!(code(&values(QUERY_NESTING)), None);
    assert_eq!(code(&values(QUERY_NESTING + 1)).as_deref(), Some("KQL002"));
    // Brackets inside quotes, or escaped, do not nest.
    assert_eq!(code(&format!("f: \"{}\"", "(".repeat(1_000))), None);
    assert_eq!(code(&format!("f: {}", "\\(".repeat(1_000))), None);
    // Closing brackets that nothing opened do not make room for more.
    assert_eq!(code(&format!("{}{}", ")".repeat(100), "(".repeat(65))).as_deref(), Some("KQL002"));
}

#[test]
fn length_is_bounded() {
    assert_eq!(code(&"a".repeat(QUERY_BYTES)), None);
    let error = parse(&"a".repeat(QUERY_BYTES + 1), &Options::default()).unwrap_err();
    assert!(error.to_string().len() < 1_000, "the whole text is not repeated");
    assert_eq!(code(&"a".repeat(QUERY_BYTES + 1)).as_deref(), Some("KQL003"));
}

#[test]
fn work_is_linear() {
    // Each pattern at full length, whole and with its last character missing or a wrong one added,
    // so that whatever can be tried again is tried again.
    let fill = |unit: &str| unit.repeat(QUERY_BYTES / unit.len() - 1);
    let nested_open = nested("(a or ", "", "", QUERY_NESTING);
    let mut texts: Vec<String> = [
        "a or ",
        "a and ",
        "not ",
        "not a or ",
        "a: b or ",
        "f: (a or ",
        ") ",
        "( ",
        "{ ",
        "\"",
        "\\\"",
        "\\",
        "\\u0041",
        "*",
        "a*",
        " ",
        "\u{a0}",
        "or ",
        " or",
        "and",
        "not",
        "nota",
        "a:",
        "a: ",
        "a<",
        "a >= ",
        "\"a\" ",
        "(a)",
        "a\t",
        "\\not ",
        "\\or ",
        "no",
        "an",
        " an",
        " o",
        "😀",
    ]
    .iter()
    .map(|unit| fill(unit))
    .collect();
    texts.push(format!("{nested_open}{}", " ".repeat(QUERY_BYTES - nested_open.len())));
    texts.push(format!("f: ({}", "a or ".repeat(QUERY_BYTES / 5 - 2)));
    texts.push(nested("f:{g:(a or ", "", "", QUERY_NESTING / 2));
    texts.push(format!("foo{}bar", " ".repeat(QUERY_BYTES - 6)));
    texts.push(format!("foo{}or", " ".repeat(QUERY_BYTES - 5)));
    for text in texts {
        for text in [text.clone(), format!("a: ({text}"), format!("{text})"), format!("x or {text}")] {
            let text: String = text.chars().take(QUERY_BYTES / 4).collect();
            let shown: String = text.chars().take(20).collect();
            assert_ne!(code(&text).as_deref(), Some("KQL004"), "{shown}");
        }
    }
}
