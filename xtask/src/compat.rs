//! The compatibility table: what becomes of each rule in a folder on each backend.

mod table;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail};
use tocsin::rule::load::files::load_paths;
use tocsin::rule::set::RuleSet;

use table::{Row, rows};

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let Some(folder) = arguments.first().map(PathBuf::from) else { bail!("name a folder of rules") };
    let set = load_paths(std::slice::from_ref(&folder), None);
    if set.files.is_empty() {
        bail!("no rule file in `{}`", folder.display());
    }
    let dir = std::env::temp_dir().join(format!("tocsin-compat-{}", std::process::id()));
    let rows = rows(&set, &dir);
    std::fs::remove_dir_all(&dir).ok();
    print(&set, &rows?);
    Ok(())
}

fn print(set: &RuleSet, rows: &[Row]) {
    println!("| Rule | Type | Compiled | Memory | Embedded store | Pushed down: store | cluster |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for Row { name, kind, compiled, ran: [memory, embedded], pushed: [store, cluster] } in rows {
        let name = name.replace('|', "\\|");
        println!("| {name} | {kind} | {compiled} | {memory} | {embedded} | {store} | {cluster} |");
    }
    let mut kinds: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    for row in rows {
        let counts = kinds.entry(row.kind).or_default();
        for (count, one) in
            counts.iter_mut().zip([true, row.compiled == "yes", row.ran(), row.pushed[1] == "whole"])
        {
            *count += usize::from(one);
        }
    }
    println!("\n| Type | Rules | Compiled | Ran on memory and store | Wholly pushed down to a cluster |");
    println!("| --- | --- | --- | --- | --- |");
    for (kind, [all, compiled, ran, whole]) in &kinds {
        println!("| {kind} | {all} | {compiled} | {ran} | {whole} |");
    }
    let needed: Vec<&Row> = rows.iter().filter(|row| row.needed()).collect();
    let ran = needed.iter().filter(|row| row.ran()).count();
    let errors = set.errors().count();
    println!(
        "\n{} rule files, {} rules, {errors} errors; of {} that need neither ES|QL nor machine learning, {ran} ran.",
        set.files.len(),
        rows.len(),
        needed.len(),
    );
}
