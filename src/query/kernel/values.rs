//! Judging one distinct value of a column for all predicates on that column at once.

use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use rustc_hash::FxHashMap;

use super::PredicateId;
use crate::query::eval::leaf::LeafTest;

/// Separates the key from the value in an entry of a flattened object's column.
const KEY_SEPARATOR: char = '\0';

/// All predicates on one column.
#[derive(Debug)]
pub(super) struct ColumnIndex {
    /// Path of the column.
    pub(super) path: Arc<str>,
    /// Predicates on the whole column (of a flattened object: on the value of any key).
    pub(super) plain: ValueIndex,
    /// Predicates on one key of a flattened object.
    pub(super) keyed: FxHashMap<Arc<str>, ValueIndex>,
    /// Whether the column is a flattened object's, its entries being `key\0value`.
    pub(super) flattened: bool,
}

/// Predicates on the values of one field.
#[derive(Debug, Default)]
pub(super) struct ValueIndex {
    /// Predicates satisfied by exactly these texts.
    exact: FxHashMap<Box<str>, Vec<PredicateId>>,
    /// Tests of patterns that need a literal, letters as they are.
    literal: Option<Gate>,
    /// Tests of patterns that need a literal, letters without ASCII case.
    folded: Option<Gate>,
    /// Tests asked of every value.
    always: Vec<(PredicateId, LeafTest)>,
}

/// Tests that are asked only of values that contain a literal.
#[derive(Debug)]
struct Gate {
    automaton: AhoCorasick,
    /// By number of the literal.
    tests: Vec<Vec<(PredicateId, LeafTest)>>,
    /// The literals are ASCII and matched without case, so a value with other letters cannot be
    /// decided by them (`K` the Kelvin sign folds to `k`) and gets all tests.
    folded: bool,
}

/// What a test needs before it is worth asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Need {
    /// One of these texts exactly, and then it holds.
    Exactly(Vec<Box<str>>),
    /// A value containing this text.
    Literal(Box<str>),
    /// A value containing this ASCII text in whatever case, or a value that is not ASCII.
    Folded(Box<str>),
    /// Nothing is known.
    Nothing,
}

/// A [`ValueIndex`] being collected.
#[derive(Debug, Default)]
pub(super) struct ValueIndexBuilder {
    exact: FxHashMap<Box<str>, Vec<PredicateId>>,
    literal: GateBuilder,
    folded: GateBuilder,
    always: Vec<(PredicateId, LeafTest)>,
}

#[derive(Debug, Default)]
struct GateBuilder {
    numbers: FxHashMap<Box<str>, usize>,
    literals: Vec<Box<str>>,
    tests: Vec<Vec<(PredicateId, LeafTest)>>,
}

impl GateBuilder {
    fn add(&mut self, literal: Box<str>, id: PredicateId, test: LeafTest) {
        let next = self.literals.len();
        let number = *self.numbers.entry(literal.clone()).or_insert(next);
        if number == next {
            self.literals.push(literal);
            self.tests.push(Vec::new());
        }
        if let Some(tests) = self.tests.get_mut(number) {
            tests.push((id, test));
        }
    }

    /// The gate, or the tests back when no automaton can be built.
    fn build(self, folded: bool) -> Result<Option<Gate>, Vec<(PredicateId, LeafTest)>> {
        if self.literals.is_empty() {
            return Ok(None);
        }
        // A DFA is twice as fast as the NFA and, for the literals of a thousand rules, a few MB.
        let bytes: usize = self.literals.iter().map(|l| l.len()).sum();
        let kind = if bytes <= 16 * 1024 { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA };
        let built = AhoCorasick::builder()
            .kind(Some(kind))
            .ascii_case_insensitive(folded)
            .build(self.literals.iter().map(|l| l.as_bytes()));
        match built {
            Ok(automaton) => Ok(Some(Gate { automaton, tests: self.tests, folded })),
            Err(_) => Err(self.tests.into_iter().flatten().collect()),
        }
    }
}

impl ValueIndexBuilder {
    /// Adds a predicate, to be asked when its need is met.
    pub(super) fn add(&mut self, id: PredicateId, need: Need, test: LeafTest) {
        match need {
            Need::Exactly(texts) => {
                for text in texts {
                    let ids = self.exact.entry(text).or_default();
                    if ids.last() != Some(&id) {
                        ids.push(id);
                    }
                }
            }
            Need::Literal(text) => self.literal.add(text, id, test),
            Need::Folded(text) => self.folded.add(text, id, test),
            Need::Nothing => self.always.push((id, test)),
        }
    }

    /// The finished index.
    pub(super) fn build(self) -> ValueIndex {
        let mut always = self.always;
        let mut gate = |builder: GateBuilder, folded| match builder.build(folded) {
            Ok(gate) => gate,
            Err(tests) => {
                always.extend(tests);
                None
            }
        };
        let literal = gate(self.literal, false);
        let folded = gate(self.folded, true);
        ValueIndex { exact: self.exact, literal, folded, always }
    }
}

/// Memory reused from value to value.
#[derive(Debug, Default)]
pub(super) struct JudgeScratch {
    /// By number of a literal: the value in which it was last seen.
    seen: Vec<u32>,
    value: u32,
}

impl Gate {
    fn judge(&self, value: &str, scratch: &mut JudgeScratch, out: &mut Vec<PredicateId>) {
        if self.folded && !value.is_ascii() {
            for (id, test) in self.tests.iter().flatten() {
                if test.test(value) {
                    out.push(*id);
                }
            }
            return;
        }
        if scratch.seen.len() < self.tests.len() {
            scratch.seen.resize(self.tests.len(), 0);
        }
        scratch.value = scratch.value.wrapping_add(1);
        if scratch.value == 0 {
            scratch.seen.fill(0);
            scratch.value = 1;
        }
        for found in self.automaton.find_overlapping_iter(value) {
            let number = found.pattern().as_usize();
            let (Some(seen), Some(tests)) = (scratch.seen.get_mut(number), self.tests.get(number)) else {
                continue;
            };
            if *seen == scratch.value {
                continue;
            }
            *seen = scratch.value;
            for (id, test) in tests {
                if test.test(value) {
                    out.push(*id);
                }
            }
        }
    }
}

impl ValueIndex {
    /// Appends the predicates that `value` satisfies to `out`.
    pub(super) fn judge(&self, value: &str, scratch: &mut JudgeScratch, out: &mut Vec<PredicateId>) {
        if let Some(ids) = self.exact.get(value) {
            out.extend_from_slice(ids);
        }
        if let Some(gate) = &self.literal {
            gate.judge(value, scratch, out);
        }
        if let Some(gate) = &self.folded {
            gate.judge(value, scratch, out);
        }
        for (id, test) in &self.always {
            if test.test(value) {
                out.push(*id);
            }
        }
    }
}

impl ColumnIndex {
    /// Appends the predicates that the column's entry `value` satisfies to `out`.
    pub(super) fn judge(&self, value: &str, scratch: &mut JudgeScratch, out: &mut Vec<PredicateId>) {
        if !self.flattened {
            self.plain.judge(value, scratch, out);
            return;
        }
        match value.split_once(KEY_SEPARATOR) {
            Some((key, text)) => self.judge_keyed(key, text, scratch, out),
            None => self.plain.judge(value, scratch, out),
        }
    }

    /// The same for a flattened object's entry that comes as key and value.
    pub(super) fn judge_keyed(
        &self,
        key: &str,
        text: &str,
        scratch: &mut JudgeScratch,
        out: &mut Vec<PredicateId>,
    ) {
        self.plain.judge(text, scratch, out);
        if let Some(index) = self.keyed.get(key) {
            index.judge(text, scratch, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::{DateTime, Utc};

    use super::{JudgeScratch, Need, ValueIndexBuilder};
    use crate::ecs::mapping::Field;
    use crate::ecs::types::FieldType;
    use crate::query::eval::leaf::LeafTest;
    use crate::query::plan::{Case, Node, Pattern, Piece};

    fn wildcard(literal: &str, case: Case) -> LeafTest {
        let pattern = Pattern(vec![Piece::Any, Piece::Literal(Arc::from(literal)), Piece::Any]);
        let node = Node::Wildcard { field: None, pattern, case };
        LeafTest::compile(&node, &Field::new("k", FieldType::Keyword), DateTime::<Utc>::UNIX_EPOCH)
    }

    #[test]
    fn a_letter_that_folds_into_ascii_passes_the_gate() {
        let mut builder = ValueIndexBuilder::default();
        builder.add(7, Need::Folded("kel".into()), wildcard("kel", Case::Insensitive));
        let index = builder.build();
        let judged = |value: &str| {
            let mut out = Vec::new();
            index.judge(value, &mut JudgeScratch::default(), &mut out);
            out
        };
        assert_eq!(judged("lord \u{212a}elvin"), [7]);
        assert_eq!(judged("lord KELvin"), [7]);
        assert!(judged("lord elvin").is_empty());
    }

    #[test]
    fn a_literal_met_twice_asks_its_tests_once() {
        let mut builder = ValueIndexBuilder::default();
        builder.add(1, Need::Literal("ab".into()), wildcard("ab", Case::Field));
        builder.add(2, Need::Literal("abab".into()), wildcard("abab", Case::Field));
        builder.add(3, Need::Exactly(vec!["ababab".into(), "x".into()]), wildcard("ab", Case::Field));
        let index = builder.build();
        let mut out = Vec::new();
        let mut scratch = JudgeScratch::default();
        index.judge("ababab", &mut scratch, &mut out);
        index.judge("x", &mut scratch, &mut out);
        out.sort_unstable();
        assert_eq!(out, [1, 2, 3, 3]);
    }
}
