//! Finds the shared test data that CI has and a clone of the project does not.

use std::path::{Path, PathBuf};

/// The folder with the shared data, or `None` when it is not here.
///
/// With `TOCSIN_REQUIRE_SHARED=1` (as CI sets it) a missing folder fails the test instead.
pub(crate) fn shared_dir() -> Option<PathBuf> {
    let dir = std::env::var_os("TOCSIN_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    if dir.join("data").is_dir() {
        return Some(dir);
    }
    assert!(
        std::env::var_os("TOCSIN_REQUIRE_SHARED").is_none(),
        "shared data is required but not at {}",
        dir.display()
    );
    eprintln!("skipped: no shared data at {}", dir.display());
    None
}
