//! Checks of the tree that no compiler makes.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::licenses;

/// No source file is longer than this; generated ones say so in their first line.
const HARD_LIMIT: usize = 800;

/// Runs every check and reports all findings together.
pub fn run(root: &Path) -> Result<()> {
    let mut findings = Vec::new();
    match licenses::check(root) {
        Ok(count) => println!("licences: {count} packages, all permissive"),
        Err(error) => findings.push(format!("{error:#}")),
    }
    let files = tracked(root)?;
    for file in &files {
        let Ok(text) = std::fs::read_to_string(root.join(file)) else { continue };
        if file.ends_with(".rs") {
            let lines = text.lines().count();
            if lines > HARD_LIMIT && !text.starts_with("// @generated") {
                findings.push(format!("{file}: {lines} lines; split it (limit {HARD_LIMIT})"));
            }
            if file.starts_with("src/") && file.ends_with("/mod.rs") && !text.starts_with("//!") {
                findings.push(format!("{file}: a folder's mod.rs begins with what the folder is"));
            }
        }
        for (number, line) in text.lines().enumerate() {
            if line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ") {
                findings.push(format!("{file}:{}: conflict marker", number + 1));
            }
        }
    }
    println!("tree: {} files", files.len());
    if findings.is_empty() {
        return Ok(());
    }
    bail!("{} findings\n{}", findings.len(), findings.join("\n"));
}

/// Files git tracks, relative to the root.
fn tracked(root: &Path) -> Result<Vec<String>> {
    let output = Command::new("git").args(["ls-files"]).current_dir(root).output()?;
    if !output.status.success() {
        bail!("git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}
