//! Rule files: Elastic's own load, broken ones are explained, the cache changes nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tocsin::base::diagnostic::{Diagnostic, Level};
use tocsin::rule::cache::CacheDir;
use tocsin::rule::load::files::load_paths;
use tocsin::rule::model::RuleKind;
use tocsin::rule::set::RuleSet;
use tocsin::rule::shipped;

use crate::shared::shared_dir;

fn elastic() -> Option<(PathBuf, RuleSet)> {
    let dir = shared_dir()?.join("data/elastic-rules");
    let set = load_paths(&[dir.join("rules"), dir.join("rules_building_block")], None);
    Some((dir, set))
}

fn shown(diagnostics: &[Diagnostic], least: Level) -> String {
    let wanted = diagnostics.iter().filter(|found| found.level >= least);
    wanted.map(|found| format!("{:?} {found}\n", found.level)).collect()
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).expect("writable");
    path
}

#[test]
fn every_rule_of_elastics_loads() {
    let Some((_, set)) = elastic() else { return };
    assert_eq!(shown(&set.diagnostics, Level::Error), "");
    assert_eq!(set.rules.len(), 530);
    assert_eq!(set.files.len(), 530);
    let kuery = set.rules.iter().filter(|rule| matches!(rule.kind, RuleKind::Query(_))).count();
    assert_eq!(set.compiled.len(), kuery, "every KQL query rule compiles");
    assert!(kuery > 100);
    let said: BTreeSet<&str> = set.diagnostics.iter().map(|found| found.code.as_str()).collect();
    assert_eq!(said, BTreeSet::from(["RULE011"]), "{}", shown(&set.diagnostics, Level::Warning));
}

#[test]
fn shipped_rules_are_those_of_the_folder() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = load_paths(&[root.join("rules")], None);
    let shipped = shipped::load();
    assert_eq!(shown(&folder.diagnostics, Level::Info), "");
    assert_eq!(shipped.hash, folder.hash);
    assert_eq!(shipped.compiled.len(), 15);
    for rule in &shipped.rules {
        assert!(rule.enabled && rule.note().is_some() && rule.setup().is_some(), "{}", rule.name);
        assert!(!rule.threat.is_empty() && !rule.references.is_empty() && !rule.false_positives.is_empty());
        assert_eq!(rule.license.as_deref(), Some("Apache-2.0"));
    }
}
