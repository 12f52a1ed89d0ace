//! Printing a query and reading it again gives the same query.

use proptest::prelude::*;
use tocsin::query::lang::eql::parse;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\"[ -!#-\\[\\]-~]{0,8}\"",
        "\"(\\\\[\"\\\\nrt]|\\\\u\\{[0-9a-f]{2,4}\\}|[a-z*?]){0,6}\"",
        "\"\"\"[a-z\\\\*?]{0,6}\"\"\"",
    ]
}

fn field() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_@][a-z0-9_]{0,5}(\\.[a-z][a-z0-9]{0,3}){0,2}",
        "`[a-z -]{1,6}(``)?[0-9]?`",
        "\\?[a-z]{1,3}\\.in",
        "`(any|in|sequence|not)`",
    ]
}

fn constant() -> impl Strategy<Value = String> {
    prop_oneof![
        text(),
        "[0-9]{1,5}",
        "[0-9]{1,3}\\.[0-9]{0,3}",
        "[0-9]e-?[0-9]",
        Just("null".to_owned()),
        Just("true".to_owned()),
    ]
}

fn expr() -> impl Strategy<Value = String> {
    prop_oneof![field(), constant()].prop_recursive(4, 24, 4, |inner| {
        let operator = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%"]);
        let word = prop::sample::select(vec![" and ", " or "]);
        let test = prop::sample::select(vec![":", "like", "like~", "regex", "regex~"]);
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, o, b)| format!("({a} {o} {b})")),
            (inner.clone(), word, inner.clone(), inner.clone())
                .prop_map(|(a, w, b, c)| format!("{a}{w}{b}{w}({c})")),
            inner.clone().prop_map(|a| format!("not ({a})")),
            inner.clone().prop_map(|a| format!("-({a})")),
            (inner.clone(), test, text()).prop_map(|(a, t, b)| format!("({a}) {t} {b}")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("({a} not in~ ({b}, {c}))")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("concat({a}, {b})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("STARTSWITH~({a}, {b})")),
        ]
    })
}

fn query() -> impl Strategy<Value = String> {
    let category = prop_oneof![Just("any".to_owned()), "[b-z]{4,9}x", text()];
    let event = (category, expr()).prop_map(|(category, expr)| format!("{category} where {expr}")).boxed();
    let stage = (event.clone(), prop::option::of(1..5_u32))
        .prop_map(|(event, runs)| {
            format!("[{event}] by a.b{}", runs.map(|runs| format!(" with runs={runs}")).unwrap_or_default())
        })
        .boxed();
    let stages = prop::collection::vec(stage.clone(), 2..4);
    let pipes =
        prop::sample::select(vec!["", " | head 3 | tail 1", " | sort a, length(b) | unique c", " | count"]);
    let shape = prop_oneof![
        event.clone(),
        (
            prop::option::of(field()),
            prop::option::of("[1-9][0-9]{0,3}(ms|s|m|h|d)"),
            stages,
            prop::option::of(event)
        )
            .prop_map(|(by, span, stages, until)| {
                let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
                let missing = if span.is_some() { " ![any where x == 1] by y" } else { "" };
                let span = span.map(|span| format!(" with maxspan = {span}")).unwrap_or_default();
                let until = until.map(|until| format!(" until [{until}] by z")).unwrap_or_default();
                format!("sequence{by}{span} {}{missing}{until}", stages.join("\n"))
            }),
        (field(), prop::collection::vec(stage, 2..3)).prop_map(|(by, stages)| {
            format!("sample by {by} {}", stages.join(" ").replace(" with runs", " //\n with runs"))
        }),
    ];
    (shape, pipes).prop_map(|(shape, pipes)| format!("{shape}{pipes}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn shaped_queries_print_back(text in query()) {
        if let Ok(query) = parse(&text) {
            let printed = query.to_string();
            prop_assert_eq!(parse(&printed), Ok(query), "{} printed as {}", text, printed);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
        drop(tocsin::query::lang::eql::parse_plan(&text));
        drop(tocsin::query::lang::eql::parse_plan(&format!("any where {text}")));
    }
}

#[test]
fn most_shaped_queries_are_read() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let texts = (0..300).map(|_| query().new_tree(&mut runner).expect("a tree").current());
    let read = texts.filter(|text| parse(text).is_ok()).count();
    assert!(read > 100, "{read} of 300: the property is about too few of them");
}
