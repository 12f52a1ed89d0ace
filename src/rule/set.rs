//! [`RuleSet`]: all rules that were loaded together.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::base::diagnostic::Diagnostic;

use super::codes;
use super::compiled::CompiledRule;
use super::exceptions::{Exceptions, RuleExceptions, fingerprint};
use super::load::{ExportObject, LoadedFile, RuleHead};
use super::model::Rule;

/// The rules of some files: immutable, content-hashed, comparable.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    /// Every rule that is whole, in the order of paths and lines; also those that do not run.
    pub rules: Vec<Arc<Rule>>,
    /// Those that run, enabled or not, in the same order.
    pub compiled: Vec<Arc<CompiledRule>>,
    /// Exported objects that are no rules.
    pub objects: Vec<(Arc<PathBuf>, ExportObject)>,
    /// The files that were read.
    pub files: Vec<FileReport>,
    /// Everything that is to be said about the files, in their order.
    pub diagnostics: Vec<Diagnostic>,
    /// Hash of the rules' texts, hex: equal exactly when the rules are.
    pub hash: String,
}

/// What one file brought.
#[derive(Debug, Clone)]
pub struct FileReport {
    /// The file.
    pub path: Arc<PathBuf>,
    /// Its rules, broken ones too.
    pub heads: Vec<RuleHead>,
    /// What was said about it: a range of [`RuleSet::diagnostics`].
    pub diagnostics: std::ops::Range<usize>,
}

/// How one set differs from another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Ids only the new set has.
    pub added: Vec<Arc<str>>,
    /// Ids whose text or exceptions differ.
    pub changed: Vec<Arc<str>>,
    /// Ids only the old set has.
    pub removed: Vec<Arc<str>>,
}

impl Changes {
    /// Whether the two sets are the same.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

impl RuleSet {
    /// Puts loaded files together. A `rule_id` that was there before is an error, and that rule is
    /// left out. `other` is what was said about paths that gave no file.
    pub fn new(files: Vec<(PathBuf, LoadedFile)>, other: Vec<Diagnostic>) -> Self {
        let mut set = Self { diagnostics: other, ..Self::default() };
        let mut seen: HashMap<Arc<str>, (Arc<PathBuf>, usize)> = HashMap::new();
        for (path, file) in files {
            let path = Arc::new(path);
            let first = set.diagnostics.len();
            set.diagnostics.extend(file.diagnostics.into_iter().map(|found| found.with_path(path.as_path())));
            for mut loaded in file.rules {
                let line = loaded.rule.origin.line;
                if let Some((other, other_line)) = seen.get(&loaded.rule.rule_id) {
                    set.diagnostics.push(duplicate(&loaded.rule, &path, &file.heads, other, *other_line));
                    continue;
                }
                Arc::make_mut(&mut loaded.rule).origin.path.clone_from(path.as_ref());
                seen.insert(Arc::clone(&loaded.rule.rule_id), (Arc::clone(&path), line));
                if let Some(plan) = loaded.plan {
                    let (rule, exceptions) = (Arc::clone(&loaded.rule), RuleExceptions::default());
                    set.compiled.push(Arc::new(CompiledRule { rule, plan, exceptions }));
                }
                set.rules.push(loaded.rule);
            }
            set.objects.extend(file.objects.into_iter().map(|object| (Arc::clone(&path), object)));
            set.files.push(FileReport { path, heads: file.heads, diagnostics: first..set.diagnostics.len() });
        }
        set.hash = hash(&set.rules);
        set
    }

    /// Gives every rule its exceptions; lists that a rule names and that are not here are warned of.
    pub fn except(&mut self, exceptions: &Exceptions) {
        let mut said = Vec::new();
        for compiled in &mut self.compiled {
            let found = exceptions.of(&compiled.rule, &mut said);
            if found != compiled.exceptions {
                Arc::make_mut(compiled).exceptions = found;
            }
        }
        self.say(said);
    }

    /// Adds what is to be said about files: with what was said about each, or before them all.
    pub fn say(&mut self, said: Vec<Diagnostic>) {
        for found in said {
            let file = self.files.iter().position(|file| found.path.as_ref() == Some(file.path.as_ref()));
            // Where the file's own range ends, or, of other files, before all ranges.
            let at = file.and_then(|file| self.files.get(file)).map_or(0, |file| file.diagnostics.end);
            self.diagnostics.insert(at, found);
            for (number, other) in self.files.iter_mut().enumerate() {
                let range = &mut other.diagnostics;
                match file {
                    Some(own) if number < own => {}
                    Some(own) if number == own => range.end += 1,
                    _ => *range = range.start + 1..range.end + 1,
                }
            }
        }
    }

    /// The rule with this `rule_id`, or whose saved-object id it is.
    pub fn find(&self, id: &str) -> Option<&Arc<Rule>> {
        let by_rule_id = self.rules.iter().find(|rule| &*rule.rule_id == id);
        by_rule_id.or_else(|| self.rules.iter().find(|rule| rule.id.as_deref() == Some(id)))
    }

    /// The plan of the rule with this `rule_id`; `None` when it does not run.
    pub fn plan(&self, rule_id: &str) -> Option<&Arc<CompiledRule>> {
        self.compiled.iter().find(|compiled| &*compiled.rule.rule_id == rule_id)
    }

    /// Number of rules that load and do not run, those among them that need a machine learning job.
    pub fn not_run(&self) -> usize {
        let need_jobs = self.compiled.iter().filter(|compiled| compiled.plan.needs_job()).count();
        self.rules.len() - self.compiled.len() + need_jobs
    }

    /// The errors among the diagnostics.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().filter(|found| found.is_error())
    }

    /// What is different in `new`.
    pub fn changes(&self, new: &Self) -> Changes {
        let texts = |set: &Self| -> BTreeMap<Arc<str>, (String, u64)> {
            let exceptions: HashMap<&str, u64> = set
                .compiled
                .iter()
                .map(|compiled| (&*compiled.rule.rule_id, fingerprint(&compiled.exceptions.items)))
                .collect();
            let of = |rule: &Rule| exceptions.get(&*rule.rule_id).copied().unwrap_or_default();
            set.rules
                .iter()
                .map(|rule| (Arc::clone(&rule.rule_id), (rule.origin.hash.clone(), of(rule))))
                .collect()
        };
        let (before, after) = (texts(self), texts(new));
        let mut changes = Changes::default();
        for (id, hash) in &after {
            match before.get(id) {
                None => changes.added.push(Arc::clone(id)),
                Some(old) if old != hash => changes.changed.push(Arc::clone(id)),
                Some(_) => {}
            }
        }
        changes.removed = before.into_keys().filter(|id| !after.contains_key(id)).collect();
        changes
    }

    /// Takes the place of `self` when nothing in `new` broke since: all of it or nothing.
    ///
    /// # Errors
    /// The errors that `self` did not have; then `self` stays in force.
    pub fn replaced_by(&self, new: Self) -> Result<(Self, Changes), Vec<Diagnostic>> {
        let same =
            |a: &Diagnostic, b: &Diagnostic| a.path == b.path && a.code == b.code && a.message == b.message;
        let broken: Vec<Diagnostic> =
            new.errors().filter(|found| !self.errors().any(|old| same(old, found))).cloned().collect();
        if !broken.is_empty() {
            return Err(broken);
        }
        let changes = self.changes(&new);
        Ok((new, changes))
    }
}

fn duplicate(rule: &Rule, path: &Path, heads: &[RuleHead], other: &Path, other_line: usize) -> Diagnostic {
    let mut found = Diagnostic::error(
        codes::DUPLICATE_ID,
        format!("`rule_id` `{}` is already that of {}:{other_line}", rule.rule_id, other.display()),
    )
    .with_help("give one of them an id of its own; this one is not loaded")
    .with_path(path);
    let head = heads.iter().find(|head| head.line == rule.origin.line);
    found.line = Some(head.map_or(rule.origin.line, |head| head.id_line));
    found.column = Some(head.map_or(1, |head| head.id_column));
    found
}

/// The hash of the rules' texts, whatever files and order they came in.
fn hash(rules: &[Arc<Rule>]) -> String {
    let mut parts: Vec<(&str, &str)> =
        rules.iter().map(|rule| (&*rule.rule_id, rule.origin.hash.as_str())).collect();
    parts.sort_unstable();
    let mut hasher = Sha256::new();
    for (id, text) in parts {
        hasher.update(id.as_bytes());
        hasher.update([0]);
        hasher.update(text.as_bytes());
        hasher.update([0]);
    }
    super::load::hex(&hasher.finalize())
}
