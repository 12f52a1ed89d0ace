//! The licence of every dependency is on the list in `deny.toml`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Fails with the crates whose licence expression the list does not satisfy.
pub fn check(root: &Path) -> Result<usize> {
    let policy: toml::Table =
        std::fs::read_to_string(root.join("deny.toml"))?.parse().context("deny.toml")?;
    let allowed: BTreeSet<String> = policy
        .get("licenses")
        .and_then(|l| l.get("allow"))
        .and_then(toml::Value::as_array)
        .context("deny.toml has no licenses.allow")?
        .iter()
        .filter_map(|v| v.as_str().map(str::to_owned))
        .collect();
    let output = Command::new("cargo")
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ])
        .current_dir(root)
        .output()?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let reached: BTreeSet<&str> = metadata["resolve"]["nodes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|node| node["id"].as_str())
        .collect();
    let mut count = 0;
    let mut refused = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        if !package["id"].as_str().is_some_and(|id| reached.contains(id)) {
            continue;
        }
        count += 1;
        let expression = package["license"].as_str().unwrap_or("none given");
        if !satisfied(expression, &allowed) {
            refused.push(format!(
                "{} {}: {expression}",
                package["name"].as_str().unwrap_or("?"),
                package["version"].as_str().unwrap_or("?")
            ));
        }
    }
    if !refused.is_empty() {
        bail!("licences not on the list in deny.toml:\n  {}", refused.join("\n  "));
    }
    Ok(count)
}

/// Whether an SPDX expression can be met with allowed licences only. `AND` binds tighter than
/// `OR`; `/` is the old spelling of `OR`.
fn satisfied(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut position = 0;
    or(&tokens, &mut position, allowed) && position == tokens.len()
}

fn or(tokens: &[&str], position: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut result = and(tokens, position, allowed);
    while tokens.get(*position) == Some(&"OR") {
        *position += 1;
        let right = and(tokens, position, allowed);
        result = result || right;
    }
    result
}

fn and(tokens: &[&str], position: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut result = term(tokens, position, allowed);
    while tokens.get(*position) == Some(&"AND") {
        *position += 1;
        let right = term(tokens, position, allowed);
        result = result && right;
    }
    result
}

fn term(tokens: &[&str], position: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let Some(first) = tokens.get(*position) else { return false };
    *position += 1;
    if *first == "(" {
        let inside = or(tokens, position, allowed);
        *position += 1;
        return inside;
    }
    if tokens.get(*position) == Some(&"WITH") {
        let whole = format!("{first} WITH {}", tokens.get(*position + 1).unwrap_or(&""));
        *position += 2;
        return allowed.contains(&whole);
    }
    allowed.contains(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        let allowed: BTreeSet<String> =
            ["MIT", "ISC", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].map(String::from).into();
        for good in [
            "MIT",
            "MIT OR GPL-3.0",
            "MIT/GPL-3.0",
            "(GPL-2.0 OR MIT) AND ISC",
            "Apache-2.0 WITH LLVM-exception OR X",
        ] {
            assert!(satisfied(good, &allowed), "{good}");
        }
        for bad in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND AGPL-3.0", "none given", "MIT WITH X"] {
            assert!(!satisfied(bad, &allowed), "{bad}");
        }
    }
}
