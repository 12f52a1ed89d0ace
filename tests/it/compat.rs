//! Elastic's rules compile and run, all that need neither ES|QL nor machine learning: what
//! `cargo xtask compat` prints.

#[path = "../../xtask/src/compat/table.rs"]
mod table;

use tocsin::rule::load::files::load_paths;

use crate::shared::shared_dir;

#[test]
fn every_rule_of_elastics_compiles_and_runs() {
    let Some(shared) = shared_dir() else { return };
    let set = load_paths(&[shared.join("data/elastic-rules/rules")], None);
    let dir = tempfile::tempdir().unwrap();
    let rows = table::rows(&set, dir.path()).unwrap();
    let needed: Vec<_> = rows.iter().filter(|row| row.needed()).collect();
    assert!(needed.len() > 400, "{} rules", needed.len());
    let short: Vec<String> = needed
        .iter()
        .filter(|row| row.compiled != "yes" || !row.ran())
        .map(|row| format!("{} ({}): {}, {:?}", row.name, row.kind, row.compiled, row.ran))
        .collect();
    assert!(short.is_empty(), "{} of {}:\n{}", short.len(), needed.len(), short.join("\n"));
    let whole = needed.iter().filter(|row| row.pushed[1] == "whole").count();
    assert!(whole * 2 > needed.len(), "a cluster decides {whole} of {} by itself", needed.len());
    // Those that need what is not here are neither compiled nor said to have run.
    let others: Vec<_> = rows.iter().filter(|row| !row.needed()).collect();
    assert!(!others.is_empty() && others.iter().all(|row| !row.ran()), "{}", others.len());
}
