//! One folder per query language: syntax tree, parser, lowering to the shared plan, printing.

pub mod dsl;
pub mod eql;
pub mod kql;
pub mod lucene;

use std::num::NonZeroUsize;
use std::sync::Once;

use crate::base::limits;

/// pest's own guard, behind the languages' own: work is linear in the text, so a budget of calls
/// per byte holds for every text within their limits. It is one setting for the whole process.
fn limit_calls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| pest::set_call_limit(NonZeroUsize::new(limits::QUERY_BYTES * 64)));
}
