//! Merging small segments of one index and day into one.

use super::error::StoreError;
use super::open::Inner;

impl Inner {
    /// Merges days that have many small segments.
    pub(crate) fn merge_due(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
