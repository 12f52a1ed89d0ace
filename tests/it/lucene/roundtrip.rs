//! Printing a query string and reading it again gives the same syntax tree.

use proptest::prelude::*;
use tocsin::query::lang::lucene::{parse, parse_filter};

/// Tokens that hit the corners: operators inside words, escapes, every special character.
fn fragment() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "a",
        "b c",
        "AND",
        " AND ",
        "OR",
        " OR ",
        "NOT",
        " NOT ",
        "&&",
        " && ",
        "||",
        " || ",
        "!",
        "+",
        "-",
        "- ",
        "(",
        ")",
        ":",
        ": ",
        "f:",
        "*:",
        "_exists_:",
        "f\\*:",
        "*",
        "?",
        "a*b?",
        "\"",
        "\"x y\"",
        "\"\\\"\"",
        "\\",
        "\\\\",
        "\\AND",
        "\\*",
        "\\u0041",
        "\\ud83d\\ude00",
        "~",
        "~1",
        "~0.5",
        "^2",
        "^",
        "[1 TO 5]",
        "[* TO 5}",
        "{\"a b\" TO *]",
        "[",
        "]",
        "{",
        "}",
        " TO ",
        "/a.b/",
        "/a\\/b/",
        "/",
        ">5",
        "<=",
        "now-1d/d",
        " ",
        "\t",
        "\u{3000}",
        "é",
        "😀",
        "1.0",
        "and",
        "or",
    ])
    .prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn any_text_that_reads_prints_back(
        text in prop::collection::vec(fragment(), 0..10).prop_map(|parts| parts.concat())
    ) {
        if let Ok(expression) = parse(&text) {
            let printed = expression.to_string();
            prop_assert_eq!(parse(&printed), Ok(expression), "{} printed as {}", text, printed);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
        drop(parse_filter(&text));
    }
}
