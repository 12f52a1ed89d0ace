//! A cluster as a model: documents under ids with versions, conditional writes, searches over what
//! was written. It answers the requests that the production code sends, and no others.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use serde_json::{Value, json};

/// A stored document.
struct Stored {
    raw: String,
    source: Value,
    seq_no: i64,
}

/// The field of an alert that names its rule.
const RULE: &str = "kibana.alert.rule.uuid";

/// One index.
#[derive(Default)]
struct Index {
    documents: BTreeMap<String, Stored>,
    /// Ids by what a document of the state index is and of which rule; of alerts by their rule.
    groups: BTreeMap<(String, String), BTreeSet<String>>,
}

/// What a write is to do.
pub(super) struct Item {
    pub action: &'static str,
    pub index: String,
    pub id: String,
    condition: Option<i64>,
    body: Option<String>,
}

/// What the cluster holds.
#[derive(Default)]
pub(super) struct Cluster {
    indices: HashMap<String, Index>,
    seq_no: i64,
    pub executions: u64,
    /// What must never happen.
    pub violations: Vec<String>,
    /// What the execution log says of each rule.
    pub log: BTreeMap<String, Vec<String>>,
}

/// A field of a document, whose names are whole or nested.
fn field<'v>(source: &'v Value, name: &str) -> Option<&'v Value> {
    source.get(name).or_else(|| {
        let (head, rest) = name.split_once('.')?;
        field(source.get(head)?, rest)
    })
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    field(value, name).and_then(Value::as_str).unwrap_or_default()
}

/// The one entry of an object.
fn only(value: &Value) -> (&str, &Value) {
    let (name, value) = value.as_object().and_then(|object| object.iter().next()).expect("an entry");
    (name, value)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice)
}

/// Whether a document satisfies a query.
fn holds(query: &Value, id: &str, source: &Value) -> bool {
    let any = |found: &Value, wanted: &dyn Fn(&Value) -> bool| list(found).iter().any(wanted);
    let (kind, what) = only(query);
    match kind {
        "bool" => what.as_object().unwrap().iter().all(|(clause, queries)| {
            let mut holding = list(queries).iter().map(|query| holds(query, id, source));
            match clause.as_str() {
                "filter" => holding.all(|holds| holds),
                "must_not" => !holding.any(|holds| holds),
                "should" => holding.any(|holds| holds),
                "minimum_should_match" => true,
                other => panic!("the model knows no `{other}`"),
            }
        }),
        "ids" => what["values"].as_array().unwrap().iter().any(|wanted| wanted == id),
        "exists" => field(source, what["field"].as_str().unwrap()).is_some_and(|found| !found.is_null()),
        "term" | "terms" | "prefix" | "range" => {
            let (name, wanted) = only(what);
            let Some(found) = field(source, name) else { return false };
            match kind {
                "term" => any(found, &|one| one == wanted),
                "terms" => any(found, &|one| list(wanted).contains(one)),
                "prefix" => {
                    any(found, &|one| one.as_str().unwrap_or_default().starts_with(wanted.as_str().unwrap()))
                }
                _ => wanted.as_object().unwrap().iter().all(|(bound, end)| {
                    any(found, &|one| match bound.as_str() {
                        "gte" => one.as_str() >= end.as_str(),
                        "lte" => one.as_str() <= end.as_str(),
                        other => panic!("the model knows no `{other}`"),
                    })
                }),
            }
        }
        other => panic!("the model knows no query `{other}`"),
    }
}

fn order(a: &Value, b: &Value) -> std::cmp::Ordering {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.as_str().cmp(&b.as_str()),
    }
}

impl Index {
    fn group(source: &Value) -> (String, String) {
        match source.get(RULE).and_then(Value::as_str) {
            Some(rule) => (RULE.to_owned(), rule.to_owned()),
            None => (text(source, "type").to_owned(), text(source, "rule").to_owned()),
        }
    }

    fn put(&mut self, id: &str, raw: String, source: Value, seq_no: i64) {
        self.remove(id);
        self.groups.entry(Self::group(&source)).or_default().insert(id.to_owned());
        self.documents.insert(id.to_owned(), Stored { raw, source, seq_no });
    }

    fn remove(&mut self, id: &str) -> bool {
        let Some(old) = self.documents.remove(id) else { return false };
        if let Some(ids) = self.groups.get_mut(&Self::group(&old.source)) {
            ids.remove(id);
        }
        true
    }

    /// The documents that a query asks for; ids, type and rule narrow it down first.
    fn matching(&self, query: &Value) -> Vec<(&String, &Stored)> {
        let filters = query.pointer("/bool/filter").map(list).unwrap_or_default();
        let term = |name: &str| {
            filters.iter().find_map(|filter| filter.get("term")?.get(name)?.as_str()).map(str::to_owned)
        };
        let found: Vec<(&String, &Stored)> = if let Some(ids) = query.pointer("/ids/values") {
            list(ids).iter().filter_map(|id| self.documents.get_key_value(id.as_str()?)).collect()
        } else if let Some(rule) = filters.iter().find_map(|filter| {
            let either = filter.pointer("/bool/should").map(list).unwrap_or_default();
            either.iter().find_map(|one| one.get("term")?.get(RULE)?.as_str())
        }) {
            let ids = self.groups.get(&(RULE.to_owned(), rule.to_owned()));
            ids.into_iter().flatten().filter_map(|id| self.documents.get_key_value(id)).collect()
        } else if let Some(kind) = term("type") {
            let groups = match term("rule") {
                Some(rule) => {
                    let one = (kind, rule);
                    self.groups.range((Bound::Included(one.clone()), Bound::Included(one)))
                }
                None => {
                    let (from, to) = ((kind.clone(), String::new()), (format!("{kind}\u{1}"), String::new()));
                    self.groups.range((Bound::Included(from), Bound::Excluded(to)))
                }
            };
            groups.flat_map(|(_, ids)| ids).filter_map(|id| self.documents.get_key_value(id)).collect()
        } else {
            self.documents.iter().collect()
        };
        found.into_iter().filter(|(id, stored)| holds(query, id, &stored.source)).collect()
    }
}

/// The writes of a bulk request to `index`.
pub(super) fn items(index: &str, body: &[u8]) -> Vec<Item> {
    let mut lines = std::str::from_utf8(body).unwrap().lines();
    let mut items = Vec::new();
    while let Some(line) = lines.next() {
        let line: Value = serde_json::from_str(line).unwrap();
        let (action, what) = only(&line);
        let action =
            ["create", "index", "update", "delete"].into_iter().find(|name| *name == action).unwrap();
        items.push(Item {
            action,
            index: what.get("_index").and_then(Value::as_str).unwrap_or(index).to_owned(),
            id: what["_id"].as_str().unwrap().to_owned(),
            condition: what.get("if_seq_no").and_then(Value::as_i64),
            body: (action != "delete").then(|| lines.next().unwrap().to_owned()),
        });
    }
    items
}

/// A write that was turned away because of load.
pub(super) fn busy(item: &Item) -> Value {
    let error = json!({"type": "es_rejected_execution_exception", "reason": "the queue is full"});
    json!({item.action: {"_id": item.id, "status": 429, "error": error}})
}

impl Cluster {
    /// Does one write, and says what became of it. With `blind`, conditions are not looked at.
    pub(super) fn write(&mut self, item: &Item, blind: bool) -> Value {
        let answer = |status: u16, seq_no: i64| json!({item.action: {"_id": item.id, "status": status, "_seq_no": seq_no, "_primary_term": 1}});
        let conflict = || {
            let error = json!({"type": "version_conflict_engine_exception", "reason": "another version"});
            json!({item.action: {"_id": item.id, "status": 409, "error": error}})
        };
        let index = self.indices.entry(item.index.clone()).or_default();
        let there = index.documents.get(&item.id);
        let fits = match (item.condition, item.action) {
            (Some(seq_no), _) => there.is_some_and(|stored| stored.seq_no == seq_no),
            (None, "create") => there.is_none(),
            (None, _) => true,
        };
        if !fits && !blind {
            return conflict();
        }
        self.seq_no += 1;
        if item.action == "delete" {
            return answer(if index.remove(&item.id) { 200 } else { 404 }, self.seq_no);
        }
        let raw = item.body.clone().unwrap();
        let mut source: Value = serde_json::from_str(&raw).unwrap();
        if item.action == "update" {
            let Some(there) = there else { return answer(404, 0) };
            let mut merged = there.source.clone();
            let Value::Object(changes) = source["doc"].take() else { panic!("a partial document") };
            merged.as_object_mut().unwrap().extend(changes);
            let raw = merged.to_string();
            index.put(&item.id, raw, merged, self.seq_no);
            return answer(200, self.seq_no);
        }
        if text(&source, "type") == "rule" {
            let fence = |source: &Value| source.pointer("/payload/fence").and_then(Value::as_i64);
            if there.and_then(|there| fence(&there.source)) > fence(&source) {
                let rule = text(&source, "payload.rule_id");
                self.violations.push(format!("`{rule}` was written under a stale token"));
            }
        }
        if item.index.starts_with("tocsin-executions") {
            self.executions += 1;
            let count = |name: &str| {
                source.pointer(&format!("/tocsin_record/{name}")).and_then(Value::as_u64).unwrap_or_default()
            };
            let sum: u64 =
                ["alerts", "duplicates", "suppressed", "excepted", "capped"].map(count).iter().sum();
            if count("candidates") != sum {
                self.violations.push(format!("candidates do not add up: {}", source["tocsin_record"]));
            }
            let said = |name: &str| source.pointer(&format!("/tocsin_record/{name}")).map(Value::to_string);
            let line = [
                "started_at",
                "slot",
                "trigger",
                "status",
                "alerts",
                "duplicates",
                "suppressed",
                "from",
                "to",
                "error",
            ]
            .map(|name| said(name).unwrap_or_default());
            let log = self.log.entry(said("rule_id").unwrap_or_default().replace('"', "")).or_default();
            log.push(line.join("  "));
            // Nobody reads the log here: that it was written once is enough.
            index.put(&item.id, String::new(), Value::Null, self.seq_no);
        } else {
            index.put(&item.id, raw, source, self.seq_no);
        }
        answer(201, self.seq_no)
    }

    /// Answers a search.
    pub(super) fn search(&self, index: &str, body: &[u8]) -> Vec<u8> {
        let body: Value = serde_json::from_slice(body).unwrap();
        let nothing = Index::default();
        let index_of = self.indices.get(index).unwrap_or(&nothing);
        let mut found = index_of.matching(&body["query"]);
        if let Some(sources) = body.pointer("/aggs/rules/composite/sources") {
            assert_eq!(*sources, json!([{"rule": {"terms": {"field": "rule"}}}]));
            let rules: BTreeSet<&str> =
                found.iter().map(|(_, stored)| text(&stored.source, "rule")).collect();
            let buckets: Vec<Value> = rules.iter().map(|rule| json!({"key": {"rule": rule}})).collect();
            return json!({"hits": {"hits": []}, "aggregations": {"rules": {"buckets": buckets}}})
                .to_string()
                .into_bytes();
        }
        let sorts: Vec<(&str, bool)> = body
            .get("sort")
            .map(list)
            .unwrap_or_default()
            .iter()
            .map(|sort| {
                let (name, how) = only(sort);
                (name, how["order"] == "desc")
            })
            .collect();
        let keys = |stored: &Stored| -> Vec<Value> {
            sorts.iter().map(|(name, _)| field(&stored.source, name).cloned().unwrap_or_default()).collect()
        };
        let compare = |a: &[Value], b: &[Value]| {
            let by_key = a.iter().zip(b).zip(&sorts).map(|((a, b), (_, descending))| {
                if *descending { order(a, b).reverse() } else { order(a, b) }
            });
            by_key.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
        };
        if !sorts.is_empty() {
            found.sort_by(|(_, a), (_, b)| compare(&keys(a), &keys(b)));
        }
        if let Some(after) = body.get("search_after").and_then(Value::as_array) {
            found.retain(|(_, stored)| compare(&keys(stored), after).is_gt());
        }
        found.truncate(body["size"].as_u64().unwrap() as usize);
        let without = body.get("_source") == Some(&Value::Bool(false));
        let hits: Vec<String> = found
            .into_iter()
            .map(|(id, stored)| {
                let sort = Value::Array(keys(stored));
                let source = if without { "null" } else { stored.raw.as_str() };
                format!(
                    "{{\"_index\":\"{index}\",\"_id\":{},\"_seq_no\":{},\"_primary_term\":1,\"sort\":{sort},\"_source\":{source}}}",
                    Value::from(id.as_str()), stored.seq_no
                )
            })
            .collect();
        format!("{{\"hits\":{{\"hits\":[{}]}}}}", hits.join(",")).into_bytes()
    }

    /// Answers a request for documents by id.
    pub(super) fn by_id(&self, index: &str, body: &[u8]) -> Vec<u8> {
        let body: Value = serde_json::from_slice(body).unwrap();
        let documents = self.indices.get(index).map(|index| &index.documents);
        let docs: Vec<String> = list(&body["ids"])
            .iter()
            .map(|id| match documents.and_then(|documents| documents.get(id.as_str()?)) {
                None => format!("{{\"_id\":{id},\"found\":false}}"),
                Some(stored) => format!(
                    "{{\"_id\":{id},\"found\":true,\"_seq_no\":{},\"_primary_term\":1,\"_source\":{}}}",
                    stored.seq_no, stored.raw
                ),
            })
            .collect();
        format!("{{\"docs\":[{}]}}", docs.join(",")).into_bytes()
    }

    /// All documents of an index.
    pub(super) fn documents(&self, index: &str) -> impl Iterator<Item = (&str, &Value)> {
        let documents = self.indices.get(index).into_iter().flat_map(|index| &index.documents);
        documents.map(|(id, stored)| (id.as_str(), &stored.source))
    }
}
