//! Noticing that rule files changed.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use walkdir::WalkDir;

/// What the files below `paths` look like from outside: names, sizes, times of change. Equal
/// values mean that nothing was touched; different ones that the files are to be read, and their
/// content decides whether the rules changed.
pub fn fingerprint(paths: &[PathBuf]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for path in paths {
        for entry in WalkDir::new(path).follow_links(true).sort_by_file_name().into_iter().flatten() {
            if !entry.file_type().is_file() {
                continue;
            }
            add(&mut hash, entry.path());
        }
    }
    hash.finalize().into()
}

fn add(hash: &mut Sha256, path: &Path) {
    hash.update(path.as_os_str().as_encoded_bytes());
    hash.update([0]);
    if let Ok(metadata) = path.metadata() {
        hash.update(metadata.len().to_le_bytes());
        let changed = metadata.modified().ok().and_then(|t| t.duration_since(SystemTime::UNIX_EPOCH).ok());
        hash.update(changed.map_or(0, |t| t.as_nanos()).to_le_bytes());
    }
}
