//! The events of all runs, the rules, and what one evaluation over the final data gives.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};
use serde_json::json;
use tocsin::backend::memory::MemoryBackend;
use tocsin::base::clock::ManualClock;
use tocsin::base::intervals::Interval;
use tocsin::base::window::{Window, iso_millis};
use tocsin::ecs::document::Document;
use tocsin::ecs::mapping::Mapping;
use tocsin::engine::{Due, Engine, Errand, Settings, Trigger, window};
use tocsin::rule::evaluation::Evaluation;
use tocsin::rule::load::toml;
use tocsin::rule::set::RuleSet;
use tocsin::schedule::slots::Slots;
use tocsin::store::state::{AlertQuery, StateDb};

pub(super) const HOUR: i64 = 3_600_000;
pub(super) const DAY: i64 = 24 * HOUR;
/// Where virtual time begins.
pub(super) const START: i64 = 1_767_571_200_000;
/// How long a run is.
pub(super) const LENGTH: i64 = 14 * DAY;
pub(super) const INDEX: &str = "logs-sim";

/// A small generator, so that a seed means the same everywhere.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub(super) fn below(&mut self, limit: i64) -> i64 {
        (self.next() % limit.max(1) as u64) as i64
    }

    pub(super) fn chance(&mut self, percent: i64) -> bool {
        self.below(100) < percent
    }
}

/// What an event is: `noise`, or what a rule looks for.
pub(super) type Kind = &'static str;

#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    pub at: i64,
    pub kind: Kind,
    pub who: u16,
    pub number: u32,
}

impl Event {
    pub(super) fn id(&self) -> String {
        format!("e{}", self.number)
    }

    pub(super) fn document(&self, arrived: i64) -> Document {
        let time = |ms| iso_millis(DateTime::from_timestamp_millis(ms).unwrap());
        let source = json!({
            "@timestamp": time(self.at),
            "event": {"action": self.kind, "ingested": time(arrived), "category": ["process"]},
            "user": {"name": format!("u{}", self.who)},
            "host": {"name": format!("h{}", self.who)},
        });
        Document::new(INDEX, self.id(), source)
    }
}

struct Spec {
    kind: Kind,
    interval: i64,
    /// Minutes that the window is longer than the interval.
    more: i64,
    body: &'static str,
}

const QUERY: &str = "type = \"query\"\nlanguage = \"kuery\"\n";
const THRESHOLD: &str =
    "type = \"threshold\"\nlanguage = \"kuery\"\nthreshold = { field = [\"user.name\"], value = 3 }\n";
const NEW_TERMS: &str = "type = \"new_terms\"\nlanguage = \"kuery\"\nnew_terms = { field = \"new_terms_fields\", value = [\"host.name\"], history_window_start = [{ field = \"history_window_start\", value = \"now-5d\" }] }\n";
const SAVED: &str = "type = \"saved_query\"\nsaved_id = \"s\"\nlanguage = \"kuery\"\n";
const EQL: &str = "type = \"eql\"\nlanguage = \"eql\"\n";
const BY_ARRIVAL: &str = "type = \"query\"\nlanguage = \"kuery\"\ntimestamp_override = \"event.ingested\"\n";

const SUPPRESSED: &str = "type = \"query\"\nlanguage = \"kuery\"\n[rule.alert_suppression]\ngroup_by = [\"user.name\"]\nmissing_fields_strategy = \"suppress\"\n";
/// The kinds of events that each sequence joins.
const SEQUENCES: [(Kind, [Kind; 2]); 2] = [("s0", ["s0a", "s0b"]), ("s1", ["s1a", "s1b"])];

const fn spec(kind: Kind, interval: i64, more: i64, body: &'static str) -> Spec {
    Spec { kind, interval, more, body }
}

/// Kind of event, interval in hours, minutes of further look-back, type.
const SPECS: &[Spec] = &[
    spec("q0", 1, 0, QUERY),
    spec("q1", 2, 5, QUERY),
    spec("q2", 2, 0, QUERY),
    spec("q3", 3, 60, QUERY),
    spec("q4", 4, 0, QUERY),
    spec("q5", 6, 0, QUERY),
    // A window shorter than the interval: what lies between is owed all the same.
    spec("q6", 6, -240, QUERY),
    spec("q7", 2, 30, SAVED),
    spec("q8", 5, 0, SAVED),
    spec("r0", 2, 0, BY_ARRIVAL),
    spec("r1", 3, 10, BY_ARRIVAL),
    spec("c0", 2, 0, "max_signals = 3\ntype = \"query\"\nlanguage = \"kuery\"\n"),
    spec("t0", 1, 0, THRESHOLD),
    spec("t1", 2, 0, THRESHOLD),
    spec("t2", 3, 0, THRESHOLD),
    spec("t3", 6, 0, THRESHOLD),
    spec("t4", 4, 0, THRESHOLD),
    spec("n0", 2, 0, NEW_TERMS),
    spec("n1", 4, 0, NEW_TERMS),
    spec("n2", 6, 0, NEW_TERMS),
    spec("n3", 3, 0, NEW_TERMS),
    spec("q9", 3, 0, QUERY),
    spec("e0", 2, 0, EQL),
    spec("e1", 5, 20, EQL),
    spec("s0", 2, 60, EQL),
    spec("s1", 4, 90, EQL),
    spec("p0", 2, 0, SUPPRESSED),
    spec("p1", 3, 30, SUPPRESSED),
];

pub(super) struct Corpus {
    /// In time order.
    pub events: Vec<Event>,
    /// The rules, as first written.
    pub rules: RuleSet2,
    /// By rule id: the alerts that are due, with the time of their events.
    pub expected: BTreeMap<String, BTreeMap<String, Alert>>,
}

/// The rules with their number.
pub(super) struct RuleSet2(pub RuleSet);

impl RuleSet2 {
    pub(super) fn len(&self) -> usize {
        self.0.compiled.len()
    }
}

impl Spec {
    fn query(&self) -> String {
        match SEQUENCES.iter().find(|(kind, _)| *kind == self.kind) {
            Some((_, [first, second])) => format!(
                "sequence by user.name with maxspan=40m [any where event.action == \"{first}\"] \
                 [any where event.action == \"{second}\"]"
            ),
            None if self.body == EQL => format!("any where event.action == \"{}\"", self.kind),
            None => format!("event.action:{}", self.kind),
        }
    }
}

/// The rules, each in a version: versions differ in name alone.
pub(super) fn rules(versions: &[u32]) -> RuleSet {
    let mut files = Vec::new();
    for (spec, version) in SPECS.iter().zip(versions) {
        let minutes = spec.interval * 60 + spec.more;
        let text = format!(
            "[rule]\nrule_id = \"rule-{kind}\"\nname = \"{kind} {version}\"\ndescription = \"d\"\nrisk_score = 47\n\
             severity = \"low\"\nindex = [\"logs-*\"]\ninterval = \"{interval}h\"\nfrom = \"now-{minutes}m\"\n\
             query = '''{query}'''\n{body}",
            query = spec.query(),
            kind = spec.kind,
            interval = spec.interval,
            body = spec.body,
        );
        let file = toml::read(&text, &format!("{}-{version}", spec.kind));
        let errors: Vec<_> = file.diagnostics.iter().filter(|d| d.is_error()).collect();
        assert!(errors.is_empty(), "{errors:?}\n{text}");
        files.push((PathBuf::from(format!("{}.toml", spec.kind)), file));
    }
    let set = RuleSet::new(files, Vec::new());
    assert_eq!(set.compiled.len(), SPECS.len(), "every rule runs");
    set
}

/// How many rules there are.
pub(super) fn rule_count() -> usize {
    SPECS.len()
}

fn events() -> Vec<Event> {
    let mut random = Random::new(1);
    let mut events: Vec<(i64, Kind, u16)> = Vec::new();
    // Never on a boundary of windows: those are at other milliseconds.
    let at = |random: &mut Random| START + random.below(LENGTH / 1_000) * 1_000 + 511;
    for spec in SPECS {
        match spec.kind.as_bytes()[0] {
            b't' | b'p' => {
                for _ in 0..70 {
                    let (begin, who) = (at(&mut random), random.below(40) as u16);
                    for _ in 0..2 + random.below(4) {
                        events.push((begin + random.below(1_200) * 1_000, spec.kind, who));
                    }
                }
            }
            b's' => {
                let (_, [first, second]) = SEQUENCES.iter().find(|(kind, _)| *kind == spec.kind).unwrap();
                // Each of a user of its own: what arrives late completes it and changes no other.
                for who in 0..120 {
                    let begin = at(&mut random);
                    events.push((begin, first, who));
                    events.push((begin + (1 + random.below(2_300)) * 1_000, second, who));
                }
            }
            b'n' => (0..150).for_each(|_| events.push((at(&mut random), spec.kind, random.below(60) as u16))),
            _ => (0..130).for_each(|_| events.push((at(&mut random), spec.kind, random.below(1_000) as u16))),
        }
    }
    while events.len() < 100_000 {
        events.push((at(&mut random), "noise", random.below(1_000) as u16));
    }
    events.sort_by_key(|(at, ..)| *at);
    let numbered = events.into_iter().enumerate();
    numbered.map(|(number, (at, kind, who))| Event { at, kind, who, number: number as u32 }).collect()
}

impl Corpus {
    pub(super) fn shared() -> Arc<Self> {
        static CORPUS: OnceLock<Arc<Corpus>> = OnceLock::new();
        Arc::clone(CORPUS.get_or_init(|| Arc::new(Self::new())))
    }

    fn new() -> Self {
        let events = events();
        let set = rules(&vec![0; SPECS.len()]);
        let expected = evaluate(&events, &set);
        Self { events, rules: RuleSet2(set), expected }
    }
}

/// One evaluation over the final data: single events by one search of all time, windows slot by
/// slot, in order, with nothing going wrong.
fn evaluate(events: &[Event], set: &RuleSet) -> BTreeMap<String, BTreeMap<String, Alert>> {
    let documents =
        events.iter().filter(|event| event.kind != "noise").map(|event| event.document(event.at)).collect();
    let backend = Arc::new(MemoryBackend::new(documents, Mapping::ecs()));
    let dir = tempfile::tempdir().unwrap();
    let state = Arc::new(StateDb::open(dir.path()).unwrap());
    let clock = Arc::new(ManualClock::new(at(START + LENGTH)));
    let settings = Settings { max_signals: 1_000_000, ..Settings::default() };
    let engine = Engine::new(backend, Arc::clone(&state), clock, settings).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    // By rule, its executions in order; then the first of each rule together, and so on.
    let mut rounds: Vec<Vec<Due>> = Vec::new();
    for compiled in &set.compiled {
        let rule = &compiled.rule;
        let slots = Slots::of(rule).unwrap();
        let (mut slot, mut covered) = (slots.after(at(START)).unwrap(), START);
        for round in 0.. {
            if slot >= at(START + LENGTH) {
                break;
            }
            let mut own = window(rule, slot).unwrap();
            if Evaluation::of(rule) == Evaluation::ByEvent {
                // The rule may look back less than its interval; one evaluation leaves nothing out.
                own.from = at(covered);
                covered = own.to.timestamp_millis() + 1;
            }
            let errand = Errand::over(Trigger::Scheduled, own, own.into());
            if rounds.len() <= round {
                rounds.push(Vec::new());
            }
            rounds[round].push(Due::on_errand(compiled, slot, errand));
            slot = slots.after(slot).unwrap();
        }
    }
    for round in rounds {
        runtime.block_on(engine.run(round));
    }
    // What a cap left out comes with later executions.
    let capped = set.compiled.iter().find(|c| &*c.rule.rule_id == "rule-c0").unwrap();
    for _ in 0..50 {
        let whole = Window::new(at(START), at(START + LENGTH));
        let errand = Errand::over(Trigger::Backfill, whole, Interval::new(START, START));
        runtime.block_on(engine.run(vec![Due::on_errand(capped, at(START + LENGTH), errand)]));
    }
    let mut expected: BTreeMap<String, BTreeMap<String, Alert>> = BTreeMap::new();
    for alert in state.alerts(&AlertQuery::default()).unwrap() {
        let rule = alert.source["kibana.alert.rule.rule_id"].as_str().unwrap().to_owned();
        expected.entry(rule).or_default().insert(alert.id.to_string(), Alert::of(&alert.source, events));
    }
    for compiled in &set.compiled {
        let id = &*compiled.rule.rule_id;
        assert!(
            expected.get(id).is_some_and(|alerts| alerts.len() >= 5),
            "{id} alerts too seldom to be of use"
        );
    }
    expected
}

pub(super) fn at(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap()
}

/// What is compared of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Alert {
    /// When its event, or the last of its events, happened.
    pub at: i64,
    /// How many events it has taken in.
    pub suppressed: Option<u64>,
}

impl Alert {
    pub(super) fn of(source: &serde_json::Value, events: &[Event]) -> Self {
        let original = source.get("kibana.alert.original_time").and_then(|time| time.as_str());
        let at = match original {
            Some(text) => DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis(),
            // An alert on a sequence names its events.
            None => {
                let ancestors = source["kibana.alert.ancestors"].as_array().unwrap().iter();
                let number = |one: &serde_json::Value| one["id"].as_str()?.strip_prefix('e')?.parse().ok();
                ancestors.filter_map(number).filter_map(|n: usize| Some(events.get(n)?.at)).max().unwrap()
            }
        };
        Self { at, suppressed: source.get("kibana.alert.suppression.docs_count").and_then(|n| n.as_u64()) }
    }
}
