//! The values that some field has in the events that match, without counting them.
//!
//! What it is: one pass over the columns, batch by batch; a value comes once for each batch that has
//! it, and nothing is kept.
//! What it is not: grouping ([`super::buckets`]), which remembers what each value stands for.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use super::BackendError;
use super::aggregate::{KeyValue, Scope};
use super::buckets::Numbered;
use super::search::Searcher;
use super::source::Source;

impl Source {
    /// Equal for equal events under equal mappings, within one run of the program.
    pub(super) fn content(&self) -> u64 {
        let mut batches: Vec<u64> = self.batches.iter().map(|batch| batch.key()).collect();
        batches.sort_unstable();
        let mut hasher = DefaultHasher::new();
        (batches, self.mapping.fingerprint(), self.indices).hash(&mut hasher);
        hasher.finish()
    }
}

impl Searcher {
    /// Shows the values of `name` to `each` until it wants no more.
    pub(super) fn distinct(
        &self,
        source: &Source,
        scope: &Scope,
        name: &Arc<str>,
        each: &mut dyn FnMut(&KeyValue) -> bool,
    ) -> Result<(), BackendError> {
        let search = scope.search(0);
        let whole = self.prepared(source, &[&search]);
        let mut enough = false;
        self.visit(source, &search, &whole, |_, _, batch, _, judge| {
            if enough {
                return Ok(());
            }
            let mapping = if source.agrees() { &source.mapping } else { source.mapping_of(batch) };
            let Some(field) = mapping.resolve(name) else { return Ok(()) };
            let rows = judge()?;
            let columns = batch.columns(std::slice::from_ref(&field.path))?;
            let numbered = Numbered::new(Some(&field), columns.columns.get(&field.path).cloned());
            let mut seen = vec![false; numbered.len()];
            let mut numbers = Vec::new();
            for row in rows {
                numbered.row(row, &mut numbers);
                for number in &numbers {
                    if let Some(seen) = seen.get_mut(*number as usize)
                        && !std::mem::replace(seen, true)
                        && !enough
                    {
                        enough = !each(&numbered.value(*number));
                    }
                }
            }
            Ok(())
        })
    }
}
