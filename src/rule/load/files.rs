//! Rule files on disk: finding, reading, and the cache between them and the parsers.

mod exceptions;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use walkdir::WalkDir;

use crate::base::diagnostic::{Diagnostic, Level};
use crate::base::limits::RULE_FILE_BYTES;
use crate::rule::cache::{Cache, CacheDir};
use crate::rule::codes;
use crate::rule::set::RuleSet;

use super::{LoadedFile, hex, ndjson, toml};

/// How a file's text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Elastic's TOML.
    Toml,
    /// Kibana's NDJSON.
    Ndjson,
}

impl Format {
    /// The format of a file, by its name; `None` for files that hold no rules.
    pub(super) fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "toml" => Some(Self::Toml),
            "ndjson" | "jsonl" | "json" => Some(Self::Ndjson),
            _ => None,
        }
    }
}

/// A rule file: where it lies and how it is read.
#[derive(Debug, Clone)]
struct RuleFile {
    path: PathBuf,
    format: Format,
    /// Named by the user, not met in a folder.
    named: bool,
}

/// Where rules and what belongs to them lie: files and folders.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Rules, and exceptions beside them.
    pub rules: Vec<PathBuf>,
    /// Exceptions alone: rules in these files are not loaded.
    pub exceptions: Vec<PathBuf>,
    /// Value lists, each a file whose name is the list's id.
    pub value_lists: Vec<PathBuf>,
}

impl Sources {
    /// All paths, for noticing changes.
    pub fn paths(&self) -> Vec<PathBuf> {
        [&self.rules, &self.exceptions, &self.value_lists].into_iter().flatten().cloned().collect()
    }
}

/// Loads rules with their exceptions.
pub fn load_sources(sources: &Sources, cache: Option<&CacheDir>) -> RuleSet {
    let set = load_rules(&sources.rules, cache);
    with_exceptions(set, sources)
}

/// Gives the rules of a set the exceptions that came with them and those of `sources`.
pub fn with_exceptions(mut set: RuleSet, sources: &Sources) -> RuleSet {
    let mut said = Vec::new();
    let mut objects = std::mem::take(&mut set.objects);
    let mut cache = Cache::open(None);
    let mut buffer = Vec::new();
    for file in find(&sources.exceptions, &mut said) {
        let path = Arc::new(file.path.clone());
        let content = match read(&file.path, &mut buffer) {
            Ok(()) => load(&file, &buffer, &mut cache),
            Err(found) => LoadedFile { diagnostics: vec![found], ..LoadedFile::default() },
        };
        said.extend(content.diagnostics.into_iter().map(|found| found.with_path(path.as_path())));
        objects.extend(content.objects.into_iter().map(|object| (Arc::clone(&path), object)));
    }
    let exceptions = exceptions::exceptions(&objects, &sources.value_lists, &mut said);
    set.objects = objects;
    set.say(said);
    set.except(&exceptions);
    set
}

/// Loads rules from files and folders, with the exceptions that lie between them; see
/// [`load_sources`].
pub fn load_paths(paths: &[PathBuf], cache: Option<&CacheDir>) -> RuleSet {
    load_sources(&Sources { rules: paths.to_vec(), ..Sources::default() }, cache)
}

/// Loads rules from files and folders (searched for `.toml` and `.ndjson`, hidden entries left
/// out), in the order of their names. A broken file never stops the others.
///
/// With a cache, a file whose content was read before is not parsed again; without, or with a
/// damaged one, the result is the same.
fn load_rules(paths: &[PathBuf], cache: Option<&CacheDir>) -> RuleSet {
    let mut other = Vec::new();
    let files = find(paths, &mut other);
    let mut cache = Cache::open(cache);
    let mut loaded = Vec::with_capacity(files.len());
    let mut buffer = Vec::new();
    for file in files {
        let content = match read(&file.path, &mut buffer) {
            Ok(()) => load(&file, &buffer, &mut cache),
            Err(found) => LoadedFile { diagnostics: vec![found], ..LoadedFile::default() },
        };
        if !file.named && is_other_toml(&content) {
            other.push(
                Diagnostic::warning(codes::NO_RULE, "no `[rule]` table: skipped").with_path(&file.path),
            );
            continue;
        }
        loaded.push((file.path, content));
    }
    if let Err(error) = cache.close() {
        // A cache that cannot be written costs time, never rules.
        other.push(Diagnostic::new(
            Level::Info,
            codes::UNREADABLE,
            format!("the cache of rules is not kept: {error}"),
        ));
    }
    RuleSet::new(loaded, other)
}

/// Whether a TOML file met in a folder is about something else.
fn is_other_toml(content: &LoadedFile) -> bool {
    matches!(content.diagnostics.as_slice(), [.., only] if only.code == codes::NO_RULE && only.line.is_some())
        && content.rules.is_empty()
        && !content.diagnostics.iter().any(|found| found.code == codes::SYNTAX)
}

/// The rules in a file's bytes, from the cache when it has them.
fn load(file: &RuleFile, bytes: &[u8], cache: &mut Cache) -> LoadedFile {
    let key: [u8; 32] = Sha256::digest(bytes).into();
    if let Some(known) = cache.get(&key, file.format) {
        return known;
    }
    let loaded = parse(bytes, file.format, &key);
    match cache.put(key, file.format, &loaded) {
        Ok(compact) => compact.unwrap_or(loaded),
        Err(error) => {
            cache.give_up(error);
            loaded
        }
    }
}

/// The rules in bytes whose SHA-256 is `key`.
fn parse(bytes: &[u8], format: Format, key: &[u8; 32]) -> LoadedFile {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = before.split(|byte| *byte == b'\n').count();
            let mut found = Diagnostic::error(codes::UNREADABLE, "the file is not UTF-8");
            found.line = Some(line);
            let last = before.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
            found.column = Some(String::from_utf8_lossy(last).chars().count() + 1);
            return LoadedFile { diagnostics: vec![found], ..LoadedFile::default() };
        }
    };
    match format {
        Format::Toml => toml::read(text, &hex(key)),
        Format::Ndjson => ndjson::read(text, |line| hex(&Sha256::digest(line))),
    }
}

/// Every rule file below `paths`, each once.
fn find(paths: &[PathBuf], said: &mut Vec<Diagnostic>) -> Vec<RuleFile> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            let format = Format::of(path).unwrap_or(Format::Ndjson);
            files.push(RuleFile { path: path.clone(), format, named: true });
            continue;
        }
        let hidden = |entry: &walkdir::DirEntry| {
            entry.depth() > 0 && entry.file_name().to_str().is_some_and(|name| name.starts_with('.'))
        };
        let walk = WalkDir::new(path).follow_links(true).sort_by_file_name().into_iter();
        for entry in walk.filter_entry(|entry| !hidden(entry)) {
            match entry {
                Ok(entry) if entry.file_type().is_file() => {
                    let format = Format::of(entry.path());
                    let wanted = format.filter(|_| entry.path().extension().is_none_or(|ext| ext != "json"));
                    if let Some(format) = wanted {
                        files.push(RuleFile { path: entry.into_path(), format, named: false });
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    let place = error.path().unwrap_or(path).to_owned();
                    said.push(
                        Diagnostic::error(codes::UNREADABLE, format!("cannot be read: {error}"))
                            .with_path(place),
                    );
                }
            }
        }
    }
    let mut seen = std::collections::HashSet::new();
    files.retain(|file| seen.insert(file.path.clone()));
    files
}

/// The text of a rule file, for showing places in it; `None` when it cannot be read.
pub fn text_of(path: &Path) -> Option<String> {
    let mut buffer = Vec::new();
    read(path, &mut buffer).ok()?;
    String::from_utf8(buffer).ok()
}

/// Reads a file into `buffer`, no further than a rule file may be long.
fn read(path: &Path, buffer: &mut Vec<u8>) -> Result<(), Diagnostic> {
    buffer.clear();
    let read = std::fs::File::open(path).and_then(|file| file.take(RULE_FILE_BYTES + 1).read_to_end(buffer));
    match read {
        Err(error) => Err(Diagnostic::error(codes::UNREADABLE, format!("cannot be read: {error}"))),
        Ok(length) if length as u64 > RULE_FILE_BYTES => Err(Diagnostic::error(
            codes::UNREADABLE,
            format!("larger than {} MiB, no rule file", RULE_FILE_BYTES >> 20),
        )
        .with_help("split an export into several files")),
        Ok(_) => Ok(()),
    }
}
