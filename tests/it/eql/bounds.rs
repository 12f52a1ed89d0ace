//! No text hangs or overflows the parser; what is wrong is located.

use tocsin::base::limits::{QUERY_BYTES, QUERY_NESTING};
use tocsin::query::lang::eql::{parse, parse_plan};

fn code(text: &str) -> Option<String> {
    parse_plan(text).err().map(|found| found.code)
}

fn nested(open: &str, inner: &str, close: &str, depth: usize) -> String {
    format!("any where {}{inner}{}", open.repeat(depth), close.repeat(depth))
}

#[test]
fn nesting_is_bounded() {
    for (open, close) in [("(", ")"), ("not (", ")"), ("(a == 1 or ", ")")] {
        assert_eq!(code(&nested(open, "a == 1", close, QUERY_NESTING)), None, "{open}");
        assert_eq!(
            code(&nested(open, "a == 1", close, QUERY_NESTING + 1)).as_deref(),
            Some("EQL002"),
            "{open}"
        );
    }
    let call = |depth| format!("any where {}a{} == 1", "length(".repeat(depth), ")".repeat(depth));
    assert_eq!(code(&call(QUERY_NESTING)), None);
    assert_eq!(code(&call(QUERY_NESTING + 1)).as_deref(), Some("EQL002"));
    // Operators in a row are levels of the tree, too.
    for unit in ["not ", "-", "1 + ", "1 * "] {
        let text = |count: usize| format!("any where {}a == 1", unit.repeat(count));
        assert_eq!(code(&text(QUERY_NESTING)), None, "{unit}");
        assert_eq!(code(&text(QUERY_NESTING + 1)).as_deref(), Some("EQL002"), "{unit}");
    }
    // Brackets in texts, names and comments do not nest.
    let many = "(".repeat(1_000);
    for text in [
        format!("any where a == \"{many}\""),
        format!("any where a == \"\"\"{many}\"\"\""),
        format!("any where `{many}` == 1"),
        format!("any where /*{many}*/ a == 1 // {many}"),
    ] {
        assert_eq!(code(&text), None, "{}", &text[..20]);
    }
}

#[test]
fn length_is_bounded() {
    let query = |length: usize| format!("any where a == \"{}\"", "x".repeat(length - 17));
    assert_eq!(code(&query(QUERY_BYTES)), None);
    assert_eq!(code(&query(QUERY_BYTES + 1)).as_deref(), Some("EQL003"));
}

#[test]
fn work_is_linear() {
    let fill = |unit: &str| unit.repeat(QUERY_BYTES / 4 / unit.len());
    let units = [
        "a == 1 and ",
        "a == 1 or not ",
        "(",
        "length(",
        "[",
        "\"",
        "\\\"",
        "\"\"\"",
        "`",
        "``",
        "/*",
        "//",
        "?a ",
        "a : (\"x\", ",
        "a in (1, ",
        "a not in (",
        "not ",
        "- ",
        "a.b.",
        "1.",
        "1e",
        "in",
        "like~ ",
        "any where ",
        "[any where a] ",
        "sequence ",
        "by a, ",
        "with ",
        "| ",
        "!",
        "\u{a0}",
        "é",
        "=",
        "a ",
        "a(",
        "a~(",
    ];
    for unit in units {
        let unit = fill(unit);
        for text in [
            unit.clone(),
            format!("any where {unit}"),
            format!("any where a == 1 {unit}"),
            format!("sequence [any where {unit}"),
            format!("sequence by {unit}"),
            format!("any where a == 1 | count {unit}"),
        ] {
            assert_ne!(
                code(&text).as_deref(),
                Some("EQL004"),
                "{}",
                text.chars().take(40).collect::<String>()
            );
        }
    }
}

#[test]
fn every_error_has_a_place() {
    let text = "process where process.name = \"x\"";
    let found = parse(text).unwrap_err();
    assert_eq!((found.line, found.column), (Some(1), Some(28)));
}
