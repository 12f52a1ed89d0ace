//! Printing an expression and reading it again gives the same expression.

use proptest::prelude::*;
use tocsin::query::lang::kql::{Expr, Options, parse};

fn read(text: &str) -> Option<Expr> {
    parse(text, &Options::default()).ok()
}

/// Words that hit the corners: keywords inside words, every escape, every special character.
fn fragment() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "a",
        "b c",
        "or",
        "and",
        "not",
        " or ",
        " and ",
        "not ",
        " not ",
        " OR ",
        " And ",
        "NOT ",
        "(",
        ")",
        "{",
        "}",
        ":",
        ": ",
        "<",
        "<=",
        ">",
        ">=",
        "*",
        "**",
        "\"",
        "\"x y\"",
        "\"\\\"\"",
        "\\",
        "\\\\",
        "\\t",
        "\\n",
        "\\r",
        "\\or",
        "\\and",
        "\\not",
        "\\not ",
        " \\or ",
        "\\*",
        "\\(",
        "\\u0041",
        "\\ud83d\\ude00",
        "\\u00A0",
        "\u{a0}",
        "\t",
        "\n",
        " ",
        "  ",
        "null",
        "true",
        "false",
        "é",
        "😀",
        "\u{feff}",
        "\u{85}",
        "?",
        "1.0",
        "-",
        "cannot ",
        "field:",
        "field: (",
        "nested: {",
        "now-1d/d",
    ])
    .prop_map(str::to_owned)
}

/// An unquoted or quoted literal.
fn literal() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9_.@/-]{1,8}",
        "[a-z *]{1,10}",
        "(not|or|and|NOT|Or| |x|\\*){1,6}",
        "\"[ -!#-\\[\\]-~]{0,8}\"",
        "(\\\\[trn]|\\\\[():<>\"*{}\\\\]|\\\\u00[0-9a-f]{2}|\\\\(not|or|and) ?|[a-z ]){1,8}",
    ]
}

fn query() -> impl Strategy<Value = String> {
    let clause = prop_oneof![
        literal(),
        (literal(), literal()).prop_map(|(f, v)| format!("{f}: {v}")),
        (literal(), literal(), prop::sample::select(vec!["<", "<=", ">", ">="]))
            .prop_map(|(f, v, o)| format!("{f} {o} {v}")),
        (literal(), literal(), literal()).prop_map(|(f, a, b)| format!("{f}: ({a} or not {b})")),
    ];
    clause.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} and {b}")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("({a} OR {b}) and not {c}")),
            inner.clone().prop_map(|a| format!("not ({a})")),
            (literal(), inner).prop_map(|(f, a)| format!("{f}: {{ {a} }}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_text_that_reads_prints_back(text in prop::collection::vec(fragment(), 0..12).prop_map(|parts| parts.concat())) {
        if let Some(expr) = read(&text) {
            let printed = expr.to_string();
            prop_assert_eq!(read(&printed), Some(expr), "{} printed as {}", text, printed);
        }
    }

    #[test]
    fn shaped_queries_print_back(text in query()) {
        if let Some(expr) = read(&text) {
            let printed = expr.to_string();
            prop_assert_eq!(read(&printed), Some(expr), "{} printed as {}", text, printed);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
        drop(tocsin::query::lang::kql::parse_filter(&text));
    }
}
