//! Whether the data folder can be written, and how much room there is.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Context, Finding};

const CHECK: &str = "data folder";
/// Below this much room, bytes, a warning.
const LOW: u64 = 1 << 30;

/// Writes a file into the folder (or, when it does not exist, looks at the one it would be made
/// in) and asks for free space.
pub(super) fn check(context: &Context) -> Vec<Finding> {
    let folder = context.data_dir();
    let subject = folder.display().to_string();
    let Some(existing) = nearest(folder) else {
        return vec![
            Finding::failed(CHECK, "no folder above it exists", "create it, or name another with --data-dir")
                .about(subject),
        ];
    };
    let mut findings = Vec::new();
    findings.push(match probe(&existing) {
        Ok(()) if existing == folder => Finding::ok(CHECK, "can be written"),
        Ok(()) => Finding::ok(CHECK, "does not exist yet, can be created"),
        Err(error) => Finding::failed(
            CHECK,
            format!("cannot be written: {error}"),
            "give this user the right to write there, or name another folder with --data-dir",
        ),
    });
    findings.push(match free(&existing) {
        Some(bytes) if bytes < LOW => Finding::warning(
            CHECK,
            format!("{} free", size(bytes)),
            "free some room: events cannot be stored on a full disk (what is stored stays)",
        ),
        Some(bytes) => Finding::ok(CHECK, format!("{} free", size(bytes))),
        None => Finding::skipped(CHECK, "the system does not say how much room is free"),
    });
    findings.into_iter().map(|finding| finding.about(subject.clone())).collect()
}

fn nearest(folder: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(folder).ok()?;
    absolute
        .ancestors()
        .find(|path| path.exists())
        .map(|path| if path == absolute { folder.to_path_buf() } else { path.to_path_buf() })
}

fn probe(folder: &Path) -> std::io::Result<()> {
    let path = folder.join(format!(".tocsin-doctor-{}", std::process::id()));
    std::fs::write(&path, b"tocsin")?;
    std::fs::remove_file(&path)
}

/// Free bytes of the file system, as `df` says: the standard library has no call for it.
fn free(folder: &Path) -> Option<u64> {
    let output = Command::new("df").arg("-Pk").arg(folder).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let kilobytes: u64 = text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    kilobytes.checked_mul(1024)
}

fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}
