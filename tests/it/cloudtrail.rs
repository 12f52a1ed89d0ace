//! CloudTrail records against documents that Elastic's integration made of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;
use tocsin::ecs::document::NewDocument;
use tocsin::ecs::flat::FlatDoc;
use tocsin::ingest::normalize::cloudtrail::{INDEX, Normalizer};
use tocsin::ingest::tape::Tape;

use crate::shared::shared_dir;

const INGESTED: &str = "2026-01-01T00:00:00.000Z";

#[derive(serde::Deserialize)]
struct Pair<'a> {
    #[serde(borrow)]
    raw: &'a RawValue,
    ecs: Value,
}

fn normalize(normalizer: &mut Normalizer, raw: &str) -> NewDocument {
    let mut tape = Tape::new();
    tape.parse(raw.as_bytes()).expect("a record of the test data is JSON");
    normalizer.normalize(tape.root(raw), raw, INGESTED).expect("a record of the test data is accepted")
}

/// Values by path. The text of a value is what an index would hold, so `5` and `"5"` are equal.
fn leaves(doc: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let mut out: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for leaf in FlatDoc::from_value(doc).iter() {
        out.entry(leaf.path.to_owned()).or_default().insert(leaf.value.to_owned());
    }
    out
}

/// Why a leaf may differ: the pair was made by an older integration in a test bed.
fn explained(path: &str, raw: &Value) -> bool {
    // Without `eventTime` the pipeline takes the clock of the machine it runs on; the record's own
    // `@timestamp` is closer to the truth.
    path == "@timestamp" && raw.get("eventTime").is_none()
}

#[test]
fn leaves_equal_the_integrations() {
    let Some(shared) = shared_dir() else { return };
    let mut normalizer = Normalizer::new(Arc::from(INDEX));
    let (mut expected, mut equal, mut known) = (0usize, 0usize, 0usize);
    let mut rest: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let mut files = 0;
    for entry in std::fs::read_dir(shared.join("data/cloudtrail")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "ndjson") {
            continue;
        }
        files += 1;
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let pair: Pair<'_> = serde_json::from_str(line).unwrap();
            let raw: Value = serde_json::from_str(pair.raw.get()).unwrap();
            let document = normalize(&mut normalizer, pair.raw.get());
            let source: Value = serde_json::from_str(&document.source).unwrap();
            let ours = leaves(&source);
            let mut flat: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for leaf in document.flat.iter() {
                flat.entry(leaf.path.to_owned()).or_default().insert(leaf.value.to_owned());
            }
            assert_eq!(flat, ours, "the leaves are those of the source");
            for (path, values) in leaves(&pair.ecs) {
                expected += 1;
                if ours.get(&path) == Some(&values) {
                    equal += 1;
                } else if explained(&path, &raw) {
                    known += 1;
                } else {
                    let slot = rest.entry(path.clone()).or_default();
                    slot.0 += 1;
                    slot.1 = format!("want {values:?}, have {:?}", ours.get(&path));
                }
            }
        }
    }
    assert!(files > 0 && expected > 0, "no pairs found");
    let share = equal as f64 / expected as f64;
    println!("{equal} of {expected} leaves equal ({:.3} %), {known} explained", share * 100.0);
    for (path, (count, example)) in &rest {
        println!("unexplained: {path} x{count}: {example}");
    }
    assert!(share >= 0.995, "{:.3} % of the expected leaves are equal", share * 100.0);
}
