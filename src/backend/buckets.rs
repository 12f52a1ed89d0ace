//! The hash aggregate over batches.
//!
//! Each batch is grouped by dictionary codes; a value is read as its field's type has it once for
//! each distinct value, and batches meet by value. What a whole batch gave is remembered, so that
//! a long window costs its edges alone the next time.

use std::collections::HashSet;
use std::sync::Arc;

use rustc_hash::{FxBuildHasher, FxHashMap};

use super::BackendError;
use super::aggregate::{AggregateRequest, Bucket, BucketKey, BucketPage, Float, KeyValue};
use super::search::{Found, Searcher};
use super::source::Source;
use super::times::Selection;
use crate::ecs::columns::Column;
use crate::ecs::mapping::Field;
use crate::ecs::types::FieldType;
use crate::ecs::value::{boolean, date, ip, number};
use crate::store::Rests;
use crate::store::batch::Batch;

/// Most fields that events are grouped by.
pub(super) const FIELDS: usize = 5;
/// Number of a missing value.
const MISSING: u32 = u32::MAX;
/// Number of a value that the field's type cannot hold.
const NONE: u32 = u32::MAX - 1;

type Set<T> = HashSet<T, FxBuildHasher>;
/// The numbers of an event's values, one a field; unused places are 0.
type Numbers = [u32; FIELDS];

/// What is known of a bucket.
#[derive(Debug, Clone, Default)]
pub(super) struct Stat {
    pub(super) count: u64,
    pub(super) first: i64,
    pub(super) last: i64,
    distinct: Option<Set<KeyValue>>,
    /// The oldest, and all that are as old as the last of these.
    top: Vec<Found>,
}

impl Stat {
    fn add(&mut self, other: &Self, top: usize) {
        if self.count == 0 {
            *self = other.clone();
            return;
        }
        self.count += other.count;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        if let (Some(mine), Some(theirs)) = (&mut self.distinct, &other.distinct) {
            mine.extend(theirs.iter().cloned());
        }
        self.top.extend(&other.top);
        keep_oldest(&mut self.top, top);
    }
}

/// Keeps the `top` oldest and what is as old as the last of them.
fn keep_oldest(found: &mut Vec<Found>, top: usize) {
    let Some(last) = top.checked_sub(1) else { return found.clear() };
    found.sort_unstable_by_key(|f| (f.primary, f.timestamp));
    let Some(border) = found.get(last).map(|f| (f.primary, f.timestamp)) else { return };
    let keep = found.partition_point(|f| (f.primary, f.timestamp) <= border);
    found.truncate(keep);
}

/// The buckets of one batch.
pub(super) type Part = FxHashMap<BucketKey, Stat>;

/// The value of `text` in `field`; `None`: the field's type cannot hold it.
pub(super) fn key_value(field: &Field, text: &str) -> Option<KeyValue> {
    match field.kind {
        FieldType::Boolean => boolean(text).map(KeyValue::Bool),
        kind @ (FieldType::Long
        | FieldType::Integer
        | FieldType::Short
        | FieldType::Byte
        | FieldType::UnsignedLong) => number::whole(text, kind).map(KeyValue::Whole),
        kind @ (FieldType::Double | FieldType::Float | FieldType::HalfFloat | FieldType::ScaledFloat) => {
            let value = number::float(text, kind, field.scaling_factor)?;
            let factor =
                if kind == FieldType::ScaledFloat { number::scale(1.0, field.scaling_factor) } else { 1.0 };
            Some(KeyValue::Float(Float(value / factor)))
        }
        FieldType::Date | FieldType::DateNanos => {
            date::parse(text, field.format.as_deref()).map(|at| KeyValue::Whole(date::millis(at).into()))
        }
        FieldType::Ip => ip::parse(text).map(|address| {
            let address = std::net::Ipv6Addr::from(address);
            let text = address.to_ipv4_mapped().map_or_else(|| address.to_string(), |v4| v4.to_string());
            KeyValue::Text(text.into())
        }),
        FieldType::Object | FieldType::Nested | FieldType::Other | FieldType::GeoPoint => None,
        _ => {
            let limit = field.ignore_above.map_or(usize::MAX, |limit| limit as usize);
            if text.len() > limit && text.encode_utf16().count() > limit {
                return None;
            }
            Some(KeyValue::Text(if field.lowercase { text.to_lowercase().into() } else { text.into() }))
        }
    }
}

/// A field of one batch: the number of each dictionary code's value.
pub(super) struct Numbered {
    column: Option<Arc<Column>>,
    /// By code.
    numbers: Vec<u32>,
    /// By number.
    values: Vec<KeyValue>,
    /// The one value of every event.
    constant: bool,
}

impl Numbered {
    pub(super) fn new(field: Option<&Field>, column: Option<Arc<Column>>) -> Self {
        let mut out = Self { column: None, numbers: Vec::new(), values: Vec::new(), constant: false };
        let Some(field) = field.filter(|field| field.nested.is_none()) else { return out };
        if let Some(constant) = &field.constant {
            out.values.push(KeyValue::Text(Arc::clone(constant)));
            out.constant = true;
            return out;
        }
        let Some(column) = column else { return out };
        let mut known: FxHashMap<KeyValue, u32> = FxHashMap::default();
        for text in &column.dictionary {
            let text = match &field.key {
                None => Some(&**text),
                Some(key) => text.strip_prefix(&**key).and_then(|rest| rest.strip_prefix('\0')),
            };
            let number = match text.and_then(|text| key_value(field, text)) {
                None => NONE,
                Some(value) => *known.entry(value).or_insert_with_key(|value| {
                    out.values.push(value.clone());
                    u32::try_from(out.values.len() - 1).unwrap_or(NONE)
                }),
            };
            out.numbers.push(number);
        }
        out.column = Some(column);
        out
    }

    /// The numbers of a row's values, each once; with none of them, [`MISSING`].
    pub(super) fn row(&self, row: u32, out: &mut Vec<u32>) {
        out.clear();
        if self.constant {
            out.push(0);
            return;
        }
        if let Some(column) = &self.column {
            for code in column.row(row as usize) {
                let number = self.numbers.get(*code as usize).copied().unwrap_or(NONE);
                if number != NONE && !out.contains(&number) {
                    out.push(number);
                }
            }
        }
        if out.is_empty() {
            out.push(MISSING);
        }
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn value(&self, number: u32) -> KeyValue {
        self.values.get(number as usize).cloned().unwrap_or(KeyValue::Missing)
    }
}

/// Groups the rows of one batch.
struct Grouping<'r> {
    request: &'r AggregateRequest,
    keys: Option<Set<BucketKey>>,
    counted: FxHashMap<BucketKey, Vec<(i64, i64)>>,
}

/// A bucket of one batch before its values are read.
struct Draft {
    stat: Stat,
    distinct: Set<u32>,
    /// Stretches of time whose events do not count.
    counted: Vec<(i64, i64)>,
    wanted: bool,
    key: BucketKey,
}

impl Draft {
    /// Whether an event at this time counted under this key before.
    fn has_counted(&self, time: i64) -> bool {
        self.counted.iter().any(|(first, last)| *first <= time && time <= *last)
    }
}

impl Grouping<'_> {
    fn group(
        &self,
        fields: &[Numbered],
        counter: Option<&Numbered>,
        selection: &Selection,
        position: u32,
        rows: &[u32],
    ) -> Part {
        let mut places: FxHashMap<Numbers, usize> = FxHashMap::default();
        let mut drafts: Vec<Draft> = Vec::new();
        let mut values: Vec<Vec<u32>> = vec![Vec::new(); fields.len()];
        let mut distinct = Vec::new();
        let mut combinations: Vec<Numbers> = Vec::new();
        let mut its_places: Vec<usize> = Vec::new();
        for row in rows {
            combinations.clear();
            combinations.push([0; FIELDS]);
            for (place, (field, values)) in fields.iter().zip(&mut values).enumerate() {
                field.row(*row, values);
                if !self.request.missing && values.first() == Some(&MISSING) {
                    combinations.clear();
                    break;
                }
                combine(&mut combinations, place, values);
            }
            if combinations.is_empty() {
                continue;
            }
            let (primary, timestamp) = selection.place(*row);
            let time = if primary == i64::MAX { timestamp } else { primary };
            if let Some(counter) = counter {
                counter.row(*row, &mut distinct);
            }
            its_places.clear();
            its_places.extend(combinations.iter().map(|numbers| {
                *places.entry(*numbers).or_insert_with(|| {
                    drafts.push(self.draft(fields, numbers));
                    drafts.len() - 1
                })
            }));
            // What counted under one of its values counts under none: a cluster leaves out the event.
            if its_places.iter().any(|place| drafts.get(*place).is_some_and(|draft| draft.has_counted(time)))
            {
                continue;
            }
            for place in &its_places {
                let Some(draft) = drafts.get_mut(*place).filter(|draft| draft.wanted) else { continue };
                let stat = &mut draft.stat;
                if stat.count == 0 {
                    (stat.first, stat.last) = (time, time);
                } else {
                    (stat.first, stat.last) = (stat.first.min(time), stat.last.max(time));
                }
                stat.count += 1;
                draft.distinct.extend(distinct.iter().filter(|number| **number != MISSING));
                if self.request.top > 0 {
                    stat.top.push(Found { primary, timestamp, batch: position, row: *row });
                    if stat.top.len() >= 4 * self.request.top + 64 {
                        keep_oldest(&mut stat.top, self.request.top);
                    }
                }
            }
        }
        let mut part = Part::default();
        for mut draft in drafts.into_iter().filter(|draft| draft.stat.count > 0) {
            keep_oldest(&mut draft.stat.top, self.request.top);
            if let Some(counter) = counter {
                draft.stat.distinct = Some(draft.distinct.into_iter().map(|n| counter.value(n)).collect());
            }
            part.entry(draft.key).or_default().add(&draft.stat, self.request.top);
        }
        part
    }

    fn draft(&self, fields: &[Numbered], numbers: &Numbers) -> Draft {
        let key: BucketKey = fields.iter().zip(numbers).map(|(field, number)| field.value(*number)).collect();
        Draft {
            stat: Stat::default(),
            distinct: Set::default(),
            counted: self.counted.get(&key).cloned().unwrap_or_default(),
            wanted: self.wants(&key),
            key,
        }
    }

    fn wants(&self, key: &BucketKey) -> bool {
        self.keys.as_ref().is_none_or(|keys| keys.contains(key))
    }
}

/// Extends every combination by every value.
fn combine(combinations: &mut Vec<Numbers>, place: usize, values: &[u32]) {
    let before = std::mem::take(combinations);
    for numbers in before {
        for value in values {
            let mut longer = numbers;
            if let Some(slot) = longer.get_mut(place) {
                *slot = *value;
            }
            combinations.push(longer);
        }
    }
}

impl Searcher {
    /// Groups the events of `source`.
    pub(super) fn aggregate(
        &self,
        source: &Source,
        request: &AggregateRequest,
    ) -> Result<BucketPage, BackendError> {
        if request.group_by.len() > FIELDS {
            let found = request.group_by.len();
            return Err(BackendError::Unsupported(format!(
                "events are grouped by at most {FIELDS} fields, not {found}"
            )));
        }
        let search = request.scope.search(0);
        let fields: Vec<Option<Field>> =
            request.group_by.iter().map(|name| source.mapping.resolve(name)).collect();
        let counter = request.cardinality.as_ref().map(|(name, _)| source.mapping.resolve(name));
        let grouping = Grouping {
            request,
            keys: request.keys.as_ref().map(|keys| keys.iter().cloned().collect()),
            counted: counted(request),
        };
        let whole = self.prepared(source, &[&search]);
        let plain = request.counted.is_empty() && request.cardinality.is_none() && request.top == 0;
        let part_key =
            whole.together.first().and_then(|p| p.key).filter(|_| plain && source.agrees()).map(|filter| {
                PartKey {
                    filter,
                    fields: fields.clone(),
                    missing: request.missing,
                    time: search.time.clone(),
                }
            });
        let mut buckets = Part::default();
        self.visit(source, &search, &whole, |searcher, position, batch, selection, judge| {
            let all = part_key.as_ref().filter(|_| selection.is_whole(batch));
            if let Some(key) = all
                && let Some(part) = searcher.part(batch.key(), key)
            {
                merge(&mut buckets, &part, &grouping, request.top);
                return Ok(());
            }
            let rows = judge()?;
            // Values of different types are different keys, whatever index they are in.
            let own = (!source.agrees()).then(|| source.mapping_of(batch));
            let own_of = |name: &Arc<str>| own.and_then(|mapping| mapping.resolve(name));
            let (own_fields, own_counter): (Vec<Option<Field>>, Option<Option<Field>>);
            let (fields, counter) = match own {
                None => (&fields, &counter),
                Some(_) => {
                    own_fields = request.group_by.iter().map(own_of).collect();
                    own_counter = request.cardinality.as_ref().map(|(name, _)| own_of(name));
                    (&own_fields, &own_counter)
                }
            };
            let names: Vec<Arc<str>> =
                fields.iter().chain(counter.iter()).flatten().map(|f| Arc::clone(&f.path)).collect();
            let columns = batch.columns(&names)?;
            let numbered = |field: &Option<Field>| {
                let column = field.as_ref().and_then(|field| columns.columns.get(&field.path).cloned());
                Numbered::new(field.as_ref(), column)
            };
            let fields: Vec<Numbered> = fields.iter().map(numbered).collect();
            let counter = counter.as_ref().map(numbered);
            // What is remembered serves requests for other keys too.
            let every = Grouping { request, keys: None, counted: FxHashMap::default() };
            let used = if all.is_some() { &every } else { &grouping };
            let part = Arc::new(used.group(&fields, counter.as_ref(), selection, position, &rows));
            merge(&mut buckets, &part, &grouping, request.top);
            if let Some(key) = all {
                searcher.remember_part(batch.key(), key.clone(), part);
            }
            Ok(())
        })?;
        self.buckets(source, request, buckets)
    }

    /// The buckets that were asked for, in the order of their keys, with their oldest events.
    fn buckets(
        &self,
        source: &Source,
        request: &AggregateRequest,
        buckets: Part,
    ) -> Result<BucketPage, BackendError> {
        let mut chosen: Vec<(BucketKey, Stat)> = buckets
            .into_iter()
            .filter(|(key, stat)| {
                let least = request.cardinality.as_ref().map_or(0, |(_, least)| *least);
                let distinct = stat.distinct.as_ref().map_or(u64::MAX, |set| set.len() as u64);
                stat.count >= request.min_count
                    && distinct >= least
                    && request.after.as_ref().is_none_or(|after| key > after)
            })
            .collect();
        chosen.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let drafts =
            chosen.iter().map(|(_, stat)| super::search::keyed(source, stat.top.clone(), request.top));
        let drafts = drafts.collect::<Result<Vec<_>, _>>()?;
        let pages = self.fill(source, drafts)?;
        let buckets = chosen
            .into_iter()
            .zip(pages)
            .map(|((key, stat), page)| Bucket {
                key,
                count: stat.count,
                first: stat.first,
                last: stat.last,
                distinct: stat.distinct.map(|set| set.len() as u64),
                top: page.hits,
            })
            .collect();
        Ok(BucketPage { buckets, indices: source.indices, after: None })
    }
}

fn counted(request: &AggregateRequest) -> FxHashMap<BucketKey, Vec<(i64, i64)>> {
    let mut out: FxHashMap<BucketKey, Vec<(i64, i64)>> = FxHashMap::default();
    for one in &*request.counted {
        out.entry(Arc::clone(&one.key)).or_default().push((one.first, one.last));
    }
    out
}

fn merge(buckets: &mut Part, part: &Part, grouping: &Grouping<'_>, top: usize) {
    if let Some(keys) = grouping.keys.as_ref().filter(|keys| keys.len() < part.len()) {
        // Few keys are looked up in many.
        #[expect(clippy::iter_over_hash_type, reason = "adding up does not depend on the order")]
        for key in keys {
            if let Some(stat) = part.get(key) {
                buckets.entry(Arc::clone(key)).or_default().add(stat, top);
            }
        }
        return;
    }
    #[expect(clippy::iter_over_hash_type, reason = "adding up does not depend on the order")]
    for (key, stat) in part {
        if grouping.wants(key) {
            buckets.entry(Arc::clone(key)).or_default().add(stat, top);
        }
    }
}

/// What a remembered [`Part`] is the answer to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct PartKey {
    filter: super::kernels::FilterKey,
    fields: Vec<Option<Field>>,
    missing: bool,
    time: super::TimeField,
}

/// Remembered parts, bounded in bytes (approximately); the batch used longest ago goes first.
#[derive(Debug, Default)]
pub(super) struct PartCache {
    parts: FxHashMap<u64, (u64, FxHashMap<PartKey, Arc<Part>>)>,
    bytes: usize,
    limit: usize,
    clock: u64,
    rests: Rests,
}

impl PartCache {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Forgets batches not used since some rests ago.
    pub(super) fn rest(&mut self) {
        let Some(before) = self.rests.rest(self.clock) else { return };
        self.parts.retain(|_, (used, _)| *used > before);
        self.bytes = self.parts.values().flat_map(|(_, parts)| parts.values()).map(|part| size(part)).sum();
    }

    fn get(&mut self, batch: u64, key: &PartKey) -> Option<Arc<Part>> {
        self.clock += 1;
        let (used, parts) = self.parts.get_mut(&batch)?;
        *used = self.clock;
        parts.get(key).cloned()
    }

    fn put(&mut self, batch: u64, key: PartKey, part: Arc<Part>) {
        self.clock += 1;
        let clock = self.clock;
        let (used, parts) = self.parts.entry(batch).or_default();
        *used = clock;
        self.bytes += size(&part);
        if let Some(old) = parts.insert(key, part) {
            self.bytes = self.bytes.saturating_sub(size(&old));
        }
        while self.bytes > self.limit {
            let Some((_, oldest)) = self.parts.iter().map(|(batch, (used, _))| (*used, *batch)).min() else {
                break;
            };
            let Some((_, gone)) = self.parts.remove(&oldest) else { break };
            self.bytes = self.bytes.saturating_sub(gone.values().map(|part| size(part)).sum());
        }
    }
}

/// Approximate heap size of a part, bytes.
fn size(part: &Part) -> usize {
    const ENTRY: usize = std::mem::size_of::<(BucketKey, Stat)>() + 24;
    let text = |value: &KeyValue| match value {
        KeyValue::Text(text) => 48 + text.len(),
        _ => 32,
    };
    256 + part.keys().map(|key| ENTRY + key.iter().map(text).sum::<usize>()).sum::<usize>()
}

impl Searcher {
    fn part(&self, batch: u64, key: &PartKey) -> Option<Arc<Part>> {
        super::search::lock(&self.parts).get(batch, key)
    }

    fn remember_part(&self, batch: u64, key: PartKey, part: Arc<Part>) {
        super::search::lock(&self.parts).put(batch, key, part);
    }
}

impl Selection {
    /// Whether every row of the batch is in time.
    fn is_whole(&self, batch: &dyn Batch) -> bool {
        self.is_contiguous() && self.hull.start == 0 && self.hull.end as usize == batch.rows()
    }
}
