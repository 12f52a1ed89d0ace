//! Exceptions and value lists from files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use walkdir::WalkDir;

use crate::base::diagnostic::Diagnostic;
use crate::base::limits::VALUE_LIST_BYTES;
use crate::query::plan::values::ValueSet;
use crate::rule::exceptions::{Exceptions, Item, ListType, read, read_values};
use crate::rule::load::{ExportKind, ExportObject};

/// Puts the exception items among `objects` together, with the value lists they name: files of that
/// name below `folders`, else beside the item's file.
pub(super) fn exceptions(
    objects: &[(Arc<PathBuf>, ExportObject)],
    folders: &[PathBuf],
    said: &mut Vec<Diagnostic>,
) -> Exceptions {
    let mut items = Vec::new();
    let mut lists = Vec::new();
    for (path, object) in objects {
        match object.kind {
            ExportKind::ExceptionItem => match read(&object.object.object(), path, object.line) {
                Ok(item) => items.push(item),
                Err(found) => said.push(found),
            },
            ExportKind::ExceptionList => lists.extend(object.object.string("list_id").map(Arc::from)),
            ExportKind::Summary | ExportKind::Connector => {}
        }
    }
    let mut values = Values { folders, found: None, read: HashMap::new(), said: Vec::new() };
    let exceptions = Exceptions::new(items, lists, |id, kind, item| values.get(id, kind, item), said);
    said.append(&mut values.said);
    exceptions
}

/// Value lists, read when they are first named.
struct Values<'f> {
    folders: &'f [PathBuf],
    /// Files below the folders, by name.
    found: Option<HashMap<String, PathBuf>>,
    read: HashMap<(PathBuf, ListType), Result<Arc<ValueSet>, String>>,
    said: Vec<Diagnostic>,
}

impl Values<'_> {
    fn get(&mut self, id: &str, kind: ListType, item: &Item) -> Result<Arc<ValueSet>, String> {
        let path = self.path(id, &item.path).ok_or_else(|| {
            format!("there is no value list `{id}`: a file of that name in `value_lists.paths`, or beside this one")
        })?;
        if let Some(known) = self.read.get(&(path.clone(), kind)) {
            return known.clone();
        }
        let list = text(&path).and_then(|text| read_values(&text, kind, &path, &mut self.said));
        if let Ok(list) = &list {
            tracing::debug!(list = id, values = list.len(), bytes = list.size(), "value list read");
        }
        self.read.insert((path, kind), list.clone());
        list
    }

    fn path(&mut self, id: &str, item: &Path) -> Option<PathBuf> {
        let folders = self.folders;
        let found = self.found.get_or_insert_with(|| {
            let mut found = HashMap::new();
            for folder in folders {
                for entry in WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter().flatten()
                {
                    if entry.file_type().is_file() {
                        let name = entry.file_name().to_string_lossy().into_owned();
                        found.entry(name).or_insert_with(|| entry.into_path());
                    }
                }
            }
            found
        });
        let beside = || {
            // An id is a name, not a way to other folders.
            let plain = Path::new(id).file_name().is_some_and(|name| name == id);
            let path = item.parent()?.join(id);
            (plain && path.is_file()).then_some(path)
        };
        found.get(id).cloned().or_else(beside)
    }
}

fn text(path: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("value list `{}` cannot be read: {error}", path.display());
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > VALUE_LIST_BYTES {
        return Err(format!("value list `{}` is larger than {} MiB", path.display(), VALUE_LIST_BYTES >> 20));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}
