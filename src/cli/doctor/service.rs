//! Whether a service works on the data folder.

use super::{Context, Finding};
use crate::schedule::lock::{LockError, ServiceLock};

const CHECK: &str = "service";

/// Tries the lock that a service holds, where one was ever made, and lets go of it at once.
pub(super) fn check(context: &Context) -> Vec<Finding> {
    let folder = context.data_dir();
    if !folder.join(crate::schedule::lock::FILE).is_file() {
        return vec![Finding::skipped(CHECK, "none has run here: `tocsin run` starts one")];
    }
    vec![match ServiceLock::take(folder) {
        Ok(_) => Finding::warning(
            CHECK,
            "none is running",
            "`tocsin run` starts one; without it no rule runs by itself",
        ),
        Err(error @ LockError::Held { .. }) => Finding::ok(CHECK, error.to_string()),
        Err(error @ LockError::Io { .. }) => {
            Finding::failed(CHECK, error.to_string(), "give this user the right to write the data folder")
        }
    }]
}
