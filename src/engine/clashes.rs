//! What a rule's query asks of fields that cannot be: a date that is none, a word of a number.
//!
//! Elasticsearch refuses such a query. Where events are matched here that part of it matches
//! nothing, which looks like quiet: so the execution says it.

use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::FxHashMap;

use super::execution::Task;
use super::run::Engine;
use super::unwind::caught;
use crate::base::diagnostic::Diagnostic;
use crate::ecs::mapping::Mapping;
use crate::query::eval::Matcher;
use crate::query::plan::Filter;

/// Most filters that are remembered; when there are more, those of no rule are forgotten, else all,
/// and come back as needed.
const KEPT: usize = 8_192;

/// A filter's address, which is its own as long as it is held here, and the mapping's fingerprint.
type Asked = (usize, u64);
/// The filter, and what it asks that cannot be.
type Found = (Arc<Filter>, Arc<[String]>);

/// What filters were found to ask.
#[derive(Debug, Default)]
pub(super) struct Clashes {
    known: Mutex<FxHashMap<Asked, Found>>,
}

impl Clashes {
    fn of(&self, filter: &Arc<Filter>, mapping: &Mapping, task: &Task) -> Arc<[String]> {
        let key = (Arc::as_ptr(filter).addr(), mapping.fingerprint());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, found)) = known.get(&key) {
            return Arc::clone(found);
        }
        let matcher = Matcher::compile(filter, mapping, task.due.slot);
        let errors = matcher.diagnostics().into_iter().filter(Diagnostic::is_error);
        let found: Arc<[String]> = errors
            .map(|found| format!("{}: this part of the query matches nothing", found.message))
            .collect();
        if known.len() >= KEPT {
            // A filter made for one execution, exceptions taken out, is asked for only once.
            known.retain(|_, (filter, _)| Arc::strong_count(filter) > 1);
        }
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(key, (Arc::clone(filter), Arc::clone(&found)));
        found
    }
}

impl Engine {
    /// Warns of what the execution's query asks of fields that cannot be.
    ///
    /// # Errors
    /// In words, when the types of the fields cannot be read.
    pub(super) async fn check_types(&self, task: &mut Task) -> Result<(), String> {
        if !self.backend.capabilities().lenient {
            return Ok(());
        }
        let mapping = caught(self.backend.mapping(&task.plan.request.indices)).await?;
        let mapping = mapping.map_err(|error| error.to_string())?;
        for clash in self.clashes.of(&task.plan.request.filter, &mapping, task).iter() {
            task.log.warn(clash.clone());
        }
        Ok(())
    }
}
