//! Exceptions: conditions on events that a rule shall not alert on.
//!
//! What it is: Kibana's exception lists and items as data, value lists of any size, and what they
//! mean as filters.
//! What it is not: aware of files or of executions: the loader hands in texts, the engine asks for
//! the items that are in force at its slot.
//! Invariant: an item is applied whole or not at all; one that cannot be is an error with its place.

mod item;
mod lower;
mod values;

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::diagnostic::Diagnostic;
use crate::query::plan::{Filter, Node};

pub use item::{Entry, Item, Test, read};
pub use values::{ListType, read as read_values};

use super::codes;
use super::model::Rule;

/// One exception, ready to be applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Excepted {
    /// Its name.
    pub name: Arc<str>,
    /// The list it is in.
    pub list_id: Arc<str>,
    /// When it ends, ms since the epoch; `None`: never.
    pub expires: Option<i64>,
    /// The events it is about.
    pub filter: Arc<Filter>,
    /// The file it stands in.
    pub path: PathBuf,
    /// One-based line in it.
    pub line: usize,
}

/// The list of Elastic's endpoint agent, which prebuilt rules name whether there is one or not.
const ENDPOINT_LIST: &str = "endpoint_list";

/// The exceptions of a rule. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RuleExceptions {
    /// What is excepted.
    pub items: Arc<[Arc<Excepted>]>,
    /// The lists that the rule names and that were loaded, those without items among them.
    pub lists: Arc<[Arc<str>]>,
}

impl RuleExceptions {
    /// The lists that `rule` names and that were not loaded: it alerts on what they except.
    pub fn absent(&self, rule: &Rule) -> Vec<String> {
        let mut ids = list_ids(rule);
        ids.retain(|id| id != ENDPOINT_LIST && !self.lists.iter().any(|known| **known == **id));
        ids
    }
}

/// All exceptions that were loaded together.
#[derive(Debug, Clone, Default)]
pub struct Exceptions {
    lists: HashMap<Arc<str>, Vec<Arc<Excepted>>>,
    /// Lists without items are known all the same.
    known: BTreeSet<Arc<str>>,
}

/// The events that `exceptions` except at `now` (ms since the epoch); `None`: none.
pub fn in_force(exceptions: &[Arc<Excepted>], now: i64) -> Option<Filter> {
    let mut parts: Vec<Filter> = exceptions
        .iter()
        .filter(|item| item.expires.is_none_or(|end| end >= now))
        .map(|item| Filter::clone(&item.filter))
        .collect();
    match parts.len() {
        0 => None,
        1 => parts.pop(),
        _ => Some(Filter::new(Node::Or(parts))),
    }
}

impl Exceptions {
    /// Puts items together. `values` gives a value list by id and type, or says why there is none;
    /// what is wrong with an item goes to `said`.
    pub fn new(
        items: Vec<Item>,
        lists: impl IntoIterator<Item = Arc<str>>,
        mut values: impl FnMut(&str, ListType, &Item) -> Result<Arc<crate::query::plan::values::ValueSet>, String>,
        said: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut exceptions = Self { known: lists.into_iter().collect(), ..Self::default() };
        for item in items {
            exceptions.known.insert(Arc::clone(&item.list_id));
            let lowered = lower::filter(&item, &mut |id, kind| values(id, kind, &item));
            match lowered {
                Ok(filter) => {
                    let excepted = Excepted {
                        name: Arc::clone(&item.name),
                        list_id: Arc::clone(&item.list_id),
                        expires: item.expires,
                        filter: Arc::new(filter),
                        path: item.path,
                        line: item.line,
                    };
                    exceptions.lists.entry(item.list_id).or_default().push(Arc::new(excepted));
                }
                Err(why) => said.push(item.wrong(why)),
            }
        }
        exceptions
    }

    /// The exceptions of `rule`; lists that it names and that are not here go to `said`.
    pub fn of(&self, rule: &Rule, said: &mut Vec<Diagnostic>) -> RuleExceptions {
        let (mut items, mut lists) = (Vec::new(), Vec::new());
        for id in list_ids(rule) {
            items.extend(self.lists.get(id.as_str()).into_iter().flatten().cloned());
            lists.extend(self.known.get(id.as_str()).cloned());
        }
        let found = RuleExceptions { items: items.into(), lists: lists.into() };
        for id in found.absent(rule) {
            let mut missing = Diagnostic::warning(
                codes::NO_EXCEPTION_LIST,
                format!("exception list `{id}` is not here: `{}` alerts on what it excepts", rule.name),
            )
            .with_help("export it from Kibana together with the rule, or name its file in `exceptions.paths`")
            .with_path(&rule.origin.path);
            missing.line = Some(rule.origin.line);
            said.push(missing);
        }
        found
    }
}

/// The ids of the exception lists that a rule refers to, each once.
pub fn list_ids(rule: &Rule) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for list in &rule.exceptions_list {
        if let Some(id) = list.get("list_id").and_then(serde_json::Value::as_str)
            && !ids.iter().any(|known| known == id)
        {
            ids.push(id.to_owned());
        }
    }
    ids
}

/// Equal for equal exceptions, within one run of the program.
pub fn fingerprint(exceptions: &[Arc<Excepted>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for item in exceptions {
        (&item.list_id, &item.name, item.expires, &item.filter).hash(&mut hasher);
    }
    hasher.finish()
}
