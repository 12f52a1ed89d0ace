//! Random documents and random filters over the same few fields, so that they meet.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tocsin::ecs::mapping::Mapping;
use tocsin::query::plan::values::{AddressSetBuilder, ValueSet};
use tocsin::query::plan::{Bounds, Case, FieldPattern, Filter, Least, Node, Pattern, Piece};

/// Every kind of field the evaluator knows.
pub(crate) fn mapping() -> Mapping {
    Mapping::from_elasticsearch(&json!({"properties": {
        "@timestamp": {"type": "date"},
        "event": {"properties": {"ingested": {"type": "date"}}},
        "k": {"type": "keyword", "fields": {"text": {"type": "text"}}},
        "a": {"properties": {
            "k": {"type": "keyword", "ignore_above": 8},
            "b": {"properties": {"k": {"type": "keyword"}, "n": {"type": "long"}}},
        }},
        "low": {"type": "keyword", "normalizer": "lowercase"},
        "w": {"type": "wildcard"},
        "text": {"type": "match_only_text"},
        "n": {"type": "long"},
        "f": {"type": "double"},
        "yes": {"type": "boolean"},
        "at": {"type": "date"},
        "ip": {"type": "ip"},
        "flat": {"type": "flattened"},
        "nest": {"type": "nested", "properties": {"k": {"type": "keyword"}, "n": {"type": "long"}}},
    }}))
    .expect("a mapping")
}

/// Names that filters ask for; the last is in no mapping.
const FIELDS: [&str; 24] = [
    "k",
    "k.text",
    "a.k",
    "a.b.k",
    "a.b.n",
    "low",
    "w",
    "text",
    "n",
    "f",
    "yes",
    "at",
    "ip",
    "flat",
    "flat.x",
    "flat.y.z",
    "nest.k",
    "nest.n",
    "a",
    "a.b",
    "nest",
    "@timestamp",
    "event.ingested",
    "unknown",
];

const WORDS: [&str; 22] = [
    "alpha",
    "Alpha",
    "ALPHA",
    "beta",
    "alphabet",
    "a b",
    "al*pha",
    "",
    "0",
    "1",
    "01",
    "1.0",
    "-5",
    "true",
    "false",
    "False",
    "10.0.0.1",
    "10.0.0.0/8",
    "::1",
    "2024-01-02",
    "2024-01-02T03:04:05.000Z",
    "\u{212a}elvin ÄÖ",
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        10 => prop::sample::select(&WORDS[..]).prop_map(str::to_owned),
        1 => "[a-cA-C]{0,3}",
        1 => Just("long value that ends beyond every limit".to_owned()),
        1 => Just("kelvin äö".to_owned()),
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        8 => word().prop_map(Value::from),
        2 => (-6i64..6).prop_map(Value::from),
        1 => prop::sample::select(vec![0.5, 1.0, 1.5, 1e3]).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => prop::sample::select(vec![1_704_164_645_000i64, 1_704_153_600_000]).prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => scalar(),
        2 => prop::collection::vec(scalar(), 0..4).prop_map(Value::from),
    ]
}

/// A document; some fields spelled with dots, some nested, some as arrays of objects.
pub(crate) fn document() -> impl Strategy<Value = Value> {
    let leaves = ["k", "low", "w", "text", "n", "f", "yes", "at", "ip", "unknown2"];
    let plain = prop::collection::vec((prop::sample::select(leaves.to_vec()), value()), 0..7);
    let dotted = prop::collection::vec((prop::sample::select(vec!["a.k", "a.b.k", "a.b.n"]), value()), 0..3);
    let object =
        prop::option::of((value(), value()).prop_map(|(k, inner)| json!({"k": k, "b": {"k": inner}})));
    let flat = prop::option::of((value(), value()).prop_map(|(x, z)| json!({"x": x, "y": {"z": z}})));
    let nested = prop::collection::vec((scalar(), scalar()).prop_map(|(k, n)| json!({"k": k, "n": n})), 0..3);
    let dots_or_object = any::<bool>();
    (plain, dotted, object, flat, nested, dots_or_object, 0i64..40, prop::option::of(-10i64..50)).prop_map(
        |(plain, dotted, object, flat, nested, dots, at, ingested)| {
            let mut map = Map::new();
            for (name, value) in plain {
                map.insert(name.to_owned(), value);
            }
            if dots {
                for (name, value) in dotted {
                    map.insert(name.to_owned(), value);
                }
            } else if let Some(object) = object {
                map.insert("a".to_owned(), object);
            }
            if let Some(flat) = flat {
                map.insert("flat".to_owned(), flat);
            }
            if !nested.is_empty() {
                map.insert("nest".to_owned(), Value::from(nested));
            }
            map.insert("@timestamp".to_owned(), json!(time(at * 10)));
            if let Some(ingested) = ingested {
                map.insert("event".to_owned(), json!({"ingested": time(ingested * 10)}));
            }
            Value::Object(map)
        },
    )
}

/// `seconds` after a fixed instant.
pub(crate) fn instant(seconds: i64) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp(1_704_164_400 + seconds, 0).expect("in range")
}

pub(crate) fn time(seconds: i64) -> String {
    instant(seconds).to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

fn pattern() -> impl Strategy<Value = Pattern> {
    let piece = prop_oneof![
        3 => Just(Piece::Any),
        4 => prop::sample::select(vec!["al", "ph", "a", "Alpha", "beta", "k", "long", "1", "ö", "b"])
            .prop_map(|t| Piece::Literal(Arc::from(t))),
        1 => Just(Piece::One),
    ];
    prop::collection::vec(piece, 1..5).prop_map(Pattern)
}

fn field() -> impl Strategy<Value = FieldPattern> {
    prop_oneof![
        12 => prop::sample::select(&FIELDS[..]).prop_map(|n| FieldPattern::Name(Arc::from(n))),
        1 => prop::sample::select(vec!["a.", "k", "flat", "nest.", ""]).prop_map(|start| {
            let mut pieces = vec![Piece::Literal(Arc::from(start)), Piece::Any];
            if start.is_empty() {
                pieces.remove(0);
            }
            FieldPattern::Pattern(Pattern(pieces))
        }),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    prop_oneof![4 => Just(Case::Field), 1 => Just(Case::Insensitive)]
}

/// Regular expressions, the last of them refused.
fn regexp() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "al.*",
        ".*pha",
        "(al|be)[a-z]+",
        "[^0-9]{5}",
        "a|b|0",
        "\\d+(\\.\\d+)?",
        "a.b",
        ".*\"*\".*",
        "kelvin.*|.*ÄÖ",
        "",
        "long@",
        "x#",
        "~a",
    ])
}

fn leaf() -> impl Strategy<Value = Node> {
    let text = || word().prop_map(|w| Arc::<str>::from(w.as_str()));
    prop_oneof![
        1 => field().prop_map(|field| Node::Exists { field }),
        5 => (prop::option::weighted(0.95, field()), text(), any::<bool>(), case())
            .prop_map(|(field, value, phrase, case)| Node::Is { field, value, phrase, case }),
        3 => (prop::option::weighted(0.95, field()), pattern(), case())
            .prop_map(|(field, pattern, case)| Node::Wildcard { field, pattern, case }),
        1 => (prop::option::weighted(0.95, field()), regexp(), case())
            .prop_map(|(field, pattern, case)| Node::Regexp { field, pattern: Arc::from(pattern), case }),
        2 => (field(), prop::collection::vec(word(), 0..5)).prop_map(|(field, values)| {
            let values = Arc::new(ValueSet::of(values).expect("a small set"));
            Node::OneOf { field, values }
        }),
        1 => (field(), prop::collection::vec((0u32..4, 0u32..20), 0..4)).prop_map(|(field, ranges)| {
            let mut set = AddressSetBuilder::default();
            for (first, length) in ranges {
                let first = 0xffff_0a00_0000 + u128::from(first);
                set.insert(first, first + u128::from(length));
            }
            Node::OneOf { field, values: Arc::new(ValueSet::addresses(set.finish())) }
        }),
        1 => (prop::sample::select(&FIELDS[..]), text(), text(), least()).prop_map(|(field, a, b, least)| {
            Node::Words { field: Arc::from(field), text: format!("{a} {b}").into(), least }
        }),
        1 => prop::collection::vec(0usize..8, 1..3).prop_map(|rows| {
            let names = rows.iter().map(|row| format!("id{row:03}"));
            let values = Arc::new(ValueSet::of(names).expect("a small set"));
            Node::OneOf { field: FieldPattern::Name(Arc::from("_id")), values }
        }),
        2 => (field(), text(), 0usize..4, zone()).prop_map(|(field, value, which, zone)| {
            let mut bounds = Bounds { zone, ..Bounds::default() };
            match which {
                0 => bounds.gt = Some(value),
                1 => bounds.gte = Some(value),
                2 => bounds.lt = Some(value),
                _ => bounds.lte = Some(value),
            }
            Node::Range { field, bounds }
        }),
        1 => prop_oneof![Just(Node::All), Just(Node::Nothing)],
    ]
}

fn least() -> impl Strategy<Value = Least> {
    prop_oneof![
        (-2i32..4).prop_map(Least::Count),
        prop::sample::select(vec![50, 75, 100, -25]).prop_map(Least::Percent),
    ]
}

fn zone() -> impl Strategy<Value = Option<Arc<str>>> {
    prop::option::weighted(0.3, prop::sample::select(vec!["+02:00", "Europe/Paris", "Z"]).prop_map(Arc::from))
}

/// A filter of some depth.
pub(crate) fn filter() -> impl Strategy<Value = Filter> {
    leaf().prop_map(Filter::new).prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            3 => prop::collection::vec(inner.clone(), 0..4).prop_map(|c| Filter::new(Node::And(c))),
            3 => prop::collection::vec(inner.clone(), 0..4).prop_map(|c| Filter::new(Node::Or(c))),
            1 => (0u32..4, prop::collection::vec(inner.clone(), 0..4))
                .prop_map(|(least, of)| Filter::new(Node::AtLeast { least, of })),
            2 => inner.clone().prop_map(|c| Filter::new(Node::Not(Box::new(c)))),
            1 => inner.prop_map(|c| Filter::new(Node::Nested { path: Arc::from("nest"), inner: Box::new(c) })),
        ]
    })
}
