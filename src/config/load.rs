//! Finding, reading, checking and layering: defaults, file, environment, flags.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Config;
use super::keys::{self, KEYS, Key, Kind};
use crate::base::diagnostic::Diagnostic;
use crate::base::nearest::nearest;
use crate::base::span::{Span, line_column};

/// Largest configuration file that is read, bytes.
const LARGEST: u64 = 1024 * 1024;

/// What the command line says about the configuration.
#[derive(Debug, Clone, Default)]
pub struct LoadRequest {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// The file, at this line.
    File(usize),
    /// An environment variable.
    Env(String),
    /// A flag.
    Flag(&'static str),
}

/// A configuration with its provenance.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What is in force.
    pub config: Config,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// Where a file was looked for.
    pub searched: Vec<PathBuf>,
    /// Origin of every set value by its full path (`backend[0].name`); what is missing is a
    /// default.
    pub origins: BTreeMap<String, Origin>,
    /// Where each value of the file is written, by its full path, bytes of [`Loaded::text`].
    pub places: BTreeMap<String, std::ops::Range<usize>>,
    /// The file's text, secrets masked.
    pub text: Option<String>,
    /// What is odd, with the text it is about.
    pub warnings: Vec<(Diagnostic, Option<String>)>,
}

impl Loaded {
    /// Whether anything but the default set the value at `path`.
    pub fn is_set(&self, path: &str) -> bool {
        self.origins.contains_key(path)
    }

    /// A finding about the value at `path` (`route[0].when.query`), with its place in the file.
    pub fn finding(&self, path: &str, message: impl Into<String>) -> Diagnostic {
        let found = Diagnostic::error("CONF007", format!("`{path}`: {}", message.into()));
        match (self.places.get(path), &self.text, &self.file) {
            (Some(place), Some(text), Some(file)) => {
                found.at(text, Span::new(place.start, place.end)).with_path(file)
            }
            _ => found,
        }
    }
}

mod check;

use check::{checked, from_variable};

type Found = Vec<(Diagnostic, Option<String>)>;

/// Loads the configuration of this process.
///
/// # Errors
/// Everything that is wrong with it, each with its place and the text it lies in.
pub fn load(request: &LoadRequest) -> Result<Loaded, Found> {
    let searched = places(request);
    let mut file = None;
    for path in &searched {
        if request.file.is_some() || path.is_file() {
            file = Some((path.clone(), read(path).map_err(|found| vec![(found, None)])?));
            break;
        }
    }
    let environment =
        std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(|n| n.starts_with("TOCSIN_")));
    layer(file, environment.collect(), request, searched)
}

/// The built-in defaults.
pub(super) fn defaults() -> Result<Config, Diagnostic> {
    let mut tree = Value::Object(Map::new());
    fill_defaults(&mut tree);
    typed(&tree)
}

/// The settings of a cluster that is named by its address alone.
pub(super) fn backend_at(url: &str) -> Result<super::BackendConfig, Diagnostic> {
    let mut tree = serde_json::json!({"backend": [{"name": url, "url": [url], "patterns": ["*"]}]});
    fill_defaults(&mut tree);
    let backend = typed(&tree)?.backend.into_iter().next();
    backend.ok_or_else(|| Diagnostic::error("CONF004", format!("`{url}` is no backend")))
}

fn places(request: &LoadRequest) -> Vec<PathBuf> {
    if let Some(file) = &request.file {
        return vec![file.clone()];
    }
    let mut places = vec![PathBuf::from("tocsin.toml")];
    let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    let user = std::env::var_os("XDG_CONFIG_HOME")
        .or_else(|| std::env::var_os("APPDATA"))
        .map(PathBuf::from)
        .filter(|folder| folder.is_absolute())
        .or_else(|| home.map(|home| home.join(".config")));
    places.extend(user.map(|folder| folder.join("tocsin/tocsin.toml")));
    places.push(PathBuf::from("/etc/tocsin/tocsin.toml"));
    places
}

fn read(path: &Path) -> Result<String, Diagnostic> {
    let failed = |reason: String| {
        Diagnostic::error("CONF001", format!("cannot read the configuration file: {reason}")).with_path(path)
    };
    let metadata = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?;
    if metadata.is_dir() {
        return Err(
            failed("it is a folder".to_owned()).with_help("name the file itself: `--config DIR/tocsin.toml`")
        );
    }
    if metadata.len() > LARGEST {
        return Err(failed(format!("it is larger than {TOO_LARGE}")));
    }
    let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let (line, column) = line_column(&text, valid);
        let mut found = failed(format!("it is not UTF-8 from byte {valid} on"));
        (found.line, found.column) = (Some(line), Some(column));
        found
    })
}

const TOO_LARGE: &str = "1 MiB";

fn layer(
    file: Option<(PathBuf, String)>,
    environment: Vec<(OsString, OsString)>,
    request: &LoadRequest,
    searched: Vec<PathBuf>,
) -> Result<Loaded, Found> {
    let mut reading = Reading::default();
    let mut tree = Map::new();
    if let Some((path, text)) = &file {
        reading.base = path.parent().map(Path::to_path_buf).unwrap_or_default();
        match DeTable::parse(text) {
            Ok(table) => {
                reading.text.clone_from(text);
                reading.path = Some(path.clone());
                tree = reading.table("", "", table.get_ref(), &(0..0));
            }
            Err(error) => {
                let mut found = Diagnostic::error("CONF002", format!("not TOML: {}", error.message().trim()));
                if let Some(span) = error.span() {
                    found = found.at(text, Span::new(span.start, span.end));
                }
                return Err(vec![(found.with_path(path), Some(masked(text, &suspicious(text))))]);
            }
        }
    }
    let mut tree = Value::Object(tree);
    reading.environment(&mut tree, environment);
    if let Some(data_dir) = &request.data_dir {
        let from_env = std::env::var_os("TOCSIN_DATA_DIR").is_some_and(|value| value == data_dir.as_os_str());
        let origin =
            if from_env { Origin::Env("TOCSIN_DATA_DIR".to_owned()) } else { Origin::Flag("--data-dir") };
        match data_dir.to_str() {
            Some(text) => {
                insert(&mut tree, "data_dir", Value::String(text.to_owned()));
                reading.origins.insert("data_dir".to_owned(), origin);
            }
            None => reading.say(Diagnostic::error("CONF004", "--data-dir: the path is not UTF-8")),
        }
    }
    if reading.errors.is_empty() {
        fill_defaults(&mut tree);
        match typed(&tree) {
            Ok(config) => {
                let warnings = std::mem::take(&mut reading.warnings);
                let text = file.as_ref().map(|(_, text)| masked(text, &reading.secrets));
                return Ok(Loaded {
                    config,
                    file: file.map(|(path, _)| path),
                    searched,
                    origins: reading.origins,
                    places: reading.places,
                    warnings: warnings.into_iter().map(|found| (found, text.clone())).collect(),
                    text,
                });
            }
            Err(found) => reading.say(found),
        }
    }
    let text = file.map(|(_, text)| masked(&text, &reading.secrets));
    Err(reading.errors.into_iter().map(|found| (found, text.clone())).collect())
}

fn typed(tree: &Value) -> Result<Config, Diagnostic> {
    // The walk has checked every key; what is left is what only the types know.
    Config::deserialize_value(tree).map_err(|error| Diagnostic::error("CONF004", error))
}

impl Config {
    fn deserialize_value(tree: &Value) -> Result<Self, String> {
        serde_json::from_value(tree.clone()).map_err(|error| error.to_string())
    }
}

/// Sets `path` in `tree`, making the tables on the way.
fn insert(tree: &mut Value, path: &str, value: Value) {
    let mut place = tree;
    for name in path.split('.') {
        let Value::Object(table) = place else { return };
        place = table.entry(name).or_insert_with(|| Value::Object(Map::new()));
    }
    *place = value;
}

fn fill_defaults(tree: &mut Value) {
    for key in KEYS {
        match key.path.split_once("[].") {
            None => fill(tree, key.path, key, true),
            Some((list, rest)) => {
                let pointer = format!("/{}", list.replace('.', "/"));
                if let Some(Value::Array(items)) = tree.pointer_mut(&pointer) {
                    for item in items {
                        fill(item, rest, key, false);
                    }
                }
            }
        }
        // Tables without a default inside exist all the same.
        if !key.path.contains("[]")
            && let Some((table, _)) = key.path.rsplit_once('.')
            && tree.pointer(&format!("/{}", table.replace('.', "/"))).is_none()
        {
            insert(tree, table, Value::Object(Map::new()));
        }
    }
}

/// Sets the default at `path` where nothing is; below an optional table only where it is given.
fn fill(tree: &mut Value, path: &str, key: &Key, make_tables: bool) {
    let Some(default) = key.default else { return };
    let pointer = |path: &str| format!("/{}", path.replace('.', "/"));
    if tree.pointer(&pointer(path)).is_some() {
        return;
    }
    let parent = path.rsplit_once('.').map(|(parent, _)| parent);
    if !make_tables && parent.is_some_and(|parent| tree.pointer(&pointer(parent)).is_none()) {
        return;
    }
    if let Ok(value) = serde_json::from_str(default) {
        insert(tree, path, value);
    }
}

/// A walk over the file that collects everything at once.
#[derive(Default)]
struct Reading {
    text: String,
    path: Option<PathBuf>,
    base: PathBuf,
    origins: BTreeMap<String, Origin>,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    /// Where secrets are written out.
    secrets: Vec<Bytes>,
    /// Where each value is written.
    places: BTreeMap<String, Bytes>,
}

type Bytes = std::ops::Range<usize>;

impl Reading {
    fn say(&mut self, found: Diagnostic) {
        self.errors.push(found);
    }

    fn at(&self, found: Diagnostic, span: &Bytes) -> Diagnostic {
        let found = found.at(&self.text, Span::new(span.start, span.end));
        match &self.path {
            Some(path) => found.with_path(path),
            None => found,
        }
    }

    fn error(&mut self, code: &str, message: String, help: Option<String>, span: &Bytes) {
        let mut found = self.at(Diagnostic::error(code, message), span);
        found.help = help;
        self.errors.push(found);
    }

    /// Reads a table. `prefix` is its path in [`KEYS`], `full` the same with list positions.
    fn table(&mut self, prefix: &str, full: &str, table: &DeTable<'_>, span: &Bytes) -> Map<String, Value> {
        let mut read = Map::new();
        for (name, value) in table {
            let key_span = name.span();
            let name = name.get_ref().as_ref();
            let path = join(prefix, name);
            let full = join(full, name);
            if prefix == "connector[]" && !self.of_type(table, &path, name, &key_span) {
                continue;
            }
            if let Some(value) = self.entry(prefix, &path, &full, name, &key_span, value) {
                read.insert(name.to_owned(), value);
            }
        }
        let connector_type = table.iter().find(|(name, _)| name.get_ref() == "type");
        let connector_type =
            connector_type.and_then(|(_, value)| value.get_ref().as_str()).unwrap_or_default();
        for key in KEYS.iter().filter(|key| key.required && key.belongs_to(connector_type)) {
            if let Some((parent, name)) = key.path.rsplit_once('.')
                && parent == prefix
                && !read.contains_key(name)
                && !table.keys().any(|given| given.get_ref() == name)
            {
                self.error(
                    "CONF005",
                    format!("`{name}` is missing here"),
                    Some(key.meaning.to_owned()),
                    span,
                );
            }
        }
        if prefix == "backend[].auth" && table.len() != 1 {
            let ways = keys::children(prefix).join("`, `");
            self.error(
                "CONF006",
                "`auth` takes exactly one way to log in".into(),
                Some(format!("one of `{ways}`")),
                span,
            );
        }
        read
    }

    /// Whether a connector of this table's type has the key `name`; says so where it has not.
    fn of_type(&mut self, table: &DeTable<'_>, path: &str, name: &str, span: &Bytes) -> bool {
        let Some(key) = keys::find(path) else { return true };
        let Some(given) = table.iter().find(|(name, _)| name.get_ref() == "type") else { return true };
        let given = given.1.get_ref().as_str().unwrap_or_default();
        if key.belongs_to(given) || !keys::CONNECTOR_TYPES.contains(&given) {
            return true;
        }
        let has: Vec<&str> = KEYS
            .iter()
            .filter(|key| key.belongs_to(given))
            .filter_map(|key| key.path.strip_prefix("connector[]."))
            .collect();
        self.error(
            "CONF003",
            format!("a connector of type `{given}` has no `{name}`"),
            Some(format!("it has: `{}`", has.join("`, `"))),
            span,
        );
        false
    }

    fn entry(
        &mut self,
        prefix: &str,
        path: &str,
        full: &str,
        name: &str,
        key_span: &Bytes,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<Value> {
        if let Some(key) = keys::find(path) {
            return self.leaf(key, full, value);
        }
        if !keys::children(&format!("{path}[]")).is_empty() {
            return self.list(path, full, value);
        }
        if !keys::children(path).is_empty() {
            let DeValue::Table(table) = value.get_ref() else {
                self.mistyped(path, "a table", value);
                return None;
            };
            return Some(Value::Object(self.table(path, full, table, &value.span())));
        }
        if let Some(key) = keys::find(&format!("{prefix}.*")) {
            return self.leaf(key, full, value);
        }
        let known = keys::children(prefix);
        let help = match nearest(name, known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("known here: `{}`", known.join("`, `")),
        };
        self.error("CONF003", format!("unknown key `{path}`"), Some(help), key_span);
        None
    }

    fn list(&mut self, path: &str, full: &str, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        let DeValue::Array(items) = value.get_ref() else {
            self.mistyped(path, &format!("a list of tables (`[[{path}]]`)"), value);
            return None;
        };
        let mut read = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let DeValue::Table(table) = item.get_ref() else {
                self.mistyped(path, "a table", item);
                continue;
            };
            let span = item.span();
            read.push(Value::Object(self.table(
                &format!("{path}[]"),
                &format!("{full}[{index}]"),
                table,
                &span,
            )));
        }
        Some(Value::Array(read))
    }

    fn mistyped(&mut self, path: &str, expected: &str, value: &Spanned<DeValue<'_>>) {
        let message = format!("`{path}` is {expected}, not {}", type_words(value.get_ref()));
        self.error("CONF004", message, None, &value.span());
    }

    fn leaf(&mut self, key: &'static Key, full: &str, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        let (line, _) = line_column(&self.text, value.span().start);
        self.origins.insert(full.to_owned(), Origin::File(line));
        self.places.insert(full.to_owned(), value.span());
        if matches!(key.kind, Kind::Secret | Kind::Endpoint | Kind::Headers) {
            self.secrets.push(value.span());
        }
        match checked(key.kind, &json(value.get_ref()), &self.base) {
            Ok(read) => {
                if key.kind == Kind::Secret && read.is_string() {
                    let found =
                        Diagnostic::warning("CONF010", format!("`{full}` holds a secret in plain text"));
                    let found = found.with_help(
                        "refer to it: `{ env = \"NAME\" }`, `{ file = \"…\" }` or `{ command = […] }`",
                    );
                    let found = self.at(found, &value.span());
                    self.warnings.push(found);
                }
                Some(read)
            }
            Err(reason) => {
                self.error(
                    "CONF004",
                    format!("`{full}`{} {reason}", if reason.starts_with("is ") { "" } else { ":" }),
                    Some(format!("expected: {}", key.kind.words())),
                    &value.span(),
                );
                None
            }
        }
    }

    /// Overlays `TOCSIN_SERVER__BIND` and its like.
    fn environment(&mut self, tree: &mut Value, variables: Vec<(OsString, OsString)>) {
        for (name, text) in variables {
            let Some(name) = name.to_str() else { continue };
            let Some(key) = KEYS.iter().find(|key| key.variable().as_deref() == Some(name)) else {
                // One underscore: a flag's variable, or somebody else's.
                if name.contains("__") {
                    let known: Vec<String> = KEYS.iter().filter_map(Key::variable).collect();
                    let mut found =
                        Diagnostic::error("CONF003", format!("environment variable `{name}` names no key"));
                    found.help = nearest(name, known.iter().map(String::as_str))
                        .map(|meant| format!("did you mean `{meant}`?"));
                    self.say(found);
                }
                continue;
            };
            let value = match text.to_str() {
                Some(text) => checked(key.kind, &from_variable(key.kind, text), Path::new("")),
                None => Err("not UTF-8".to_owned()),
            };
            match value {
                Ok(value) => {
                    insert(tree, key.path, value);
                    self.origins.insert(key.path.to_owned(), Origin::Env(name.to_owned()));
                }
                Err(reason) => self.say(
                    Diagnostic::error("CONF004", format!("environment variable `{name}`: {reason}"))
                        .with_help(format!("expected: {}", key.kind.words())),
                ),
            }
        }
    }
}

/// The table's entry for a full path (`backend[0].name`, `connector[1].channel`).
pub fn key_of(full: &str) -> Option<&'static Key> {
    let mut path = String::with_capacity(full.len());
    let mut inside = false;
    for c in full.chars() {
        match c {
            '[' => inside = true,
            ']' => {
                inside = false;
                path.push_str("[]");
            }
            _ if inside => {}
            c => path.push(c),
        }
    }
    keys::find(&path).or_else(|| keys::find(&format!("{}.*", path.rsplit_once('.')?.0)))
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

/// A TOML value as JSON; numbers JSON cannot hold and dates become text.
fn json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Integer(number) => {
            let digits = number.as_str();
            i64::from_str_radix(digits, number.radix())
                .map_or_else(|_| Value::String(digits.to_owned()), Value::from)
        }
        DeValue::Float(number) => {
            let parsed = number.as_str().parse::<f64>().ok().and_then(serde_json::Number::from_f64);
            parsed.map_or_else(|| Value::String(number.as_str().to_owned()), Value::Number)
        }
        DeValue::Datetime(date) => Value::String(date.to_string()),
        DeValue::Array(items) => Value::Array(items.iter().map(|item| json(item.get_ref())).collect()),
        DeValue::Table(table) => Value::Object(
            table.iter().map(|(name, value)| (name.get_ref().to_string(), json(value.get_ref()))).collect(),
        ),
    }
}

fn type_words(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::Table(_) => "a table",
        DeValue::Datetime(_) => "a date",
        other => json_words(&json(other)),
    }
}

fn json_words(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

/// `text` with every secret in it replaced by asterisks, byte for byte as long, so that places
/// stay where they are: excerpts of it are shown.
fn masked(text: &str, secrets: &[Bytes]) -> String {
    let mut masked = String::with_capacity(text.len());
    for (offset, c) in text.char_indices() {
        if c != '\n' && secrets.iter().any(|span| span.contains(&offset)) {
            masked.extend(std::iter::repeat_n('*', c.len_utf8()));
        } else {
            masked.push(c);
        }
    }
    masked
}

/// What may be secret in a text that is no TOML: the rest of each line after a key that sounds
/// like one.
fn suspicious(text: &str) -> Vec<Bytes> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let lower = line.to_ascii_lowercase();
        let after = ["password", "api_key", "bearer", "token", "secret", "webhook_url"]
            .iter()
            .filter_map(|word| lower.find(word))
            .min()
            .and_then(|word| {
                lower.get(word..).and_then(|rest| rest.find('=')).map(|equals| word + equals + 1)
            });
        if let Some(after) = after {
            found.push(start + after..start + line.len());
        }
        start += line.len();
    }
    found
}

#[cfg(test)]
mod tests;
