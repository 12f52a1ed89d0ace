//! The files that a list of paths stands for.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

/// A place that documents are read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File {
        /// Where it is.
        path: PathBuf,
        /// Its size, bytes.
        size: u64,
    },
    /// Standard input.
    Stdin,
}

impl Source {
    /// How it is called in reports.
    pub fn name(&self) -> String {
        match self {
            Self::File { path, .. } => path.display().to_string(),
            Self::Stdin => "-".to_owned(),
        }
    }
}

/// What a list of paths stands for.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// What is read, in order.
    pub list: Vec<Source>,
    /// Digest files that were passed over in folders: they describe log files and hold no events.
    /// One that is named itself is read.
    pub digests: u64,
    /// What lies in a folder and cannot be read: a link that leads nowhere or in a circle, a folder
    /// that may not be listed. It stops nothing else.
    pub unreadable: Vec<SourceError>,
}

/// A path that cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot read `{path}`: {reason}")]
pub struct SourceError {
    /// The path.
    pub path: String,
    /// What happened.
    pub reason: String,
}

/// The folder in which CloudTrail keeps digests, beside the folder of its log files.
const DIGEST_FOLDER: &str = "CloudTrail-Digest";

/// Finds all files: those named, and those in folders named, sorted by path. `-` is standard input.
/// Hidden files in folders are passed over.
///
/// # Errors
/// When a path that was named does not exist or cannot be listed.
pub fn find(paths: &[PathBuf]) -> Result<Sources, SourceError> {
    let mut out = Sources::default();
    for path in paths {
        if path.as_os_str() == "-" {
            out.list.push(Source::Stdin);
            continue;
        }
        let failed = |reason: String| SourceError { path: path.display().to_string(), reason };
        let about = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?;
        if about.is_file() {
            out.list.push(Source::File { path: path.clone(), size: about.len() });
        } else if about.is_dir() {
            std::fs::read_dir(path).map_err(|error| failed(error.to_string()))?;
            walk(path, &mut out);
        } else {
            // A named pipe, as `<(zcat …)` gives one.
            out.list.push(Source::File { path: path.clone(), size: 0 });
        }
    }
    Ok(out)
}

/// A store among the files that are read is nothing to read: neither this one nor another.
fn is_data_folder(entry: &walkdir::DirEntry) -> bool {
    entry.file_type().is_dir() && crate::store::is_data_folder(entry.path())
}

fn walk(folder: &Path, out: &mut Sources) {
    // Whoever names a digest folder wants its files.
    let digests_wanted = is_digest(folder);
    let visible = |entry: &walkdir::DirEntry| {
        entry.depth() == 0
            || !(entry.file_name().as_encoded_bytes().starts_with(b".") || is_data_folder(entry))
    };
    for entry in WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter().filter_entry(visible)
    {
        let found = entry.and_then(|entry| entry.metadata().map(|about| (entry, about)));
        let (entry, about) = match found {
            Ok(found) => found,
            Err(error) => {
                let path = error.path().unwrap_or(folder).display().to_string();
                let reason = match (error.loop_ancestor(), error.io_error()) {
                    (Some(_), _) => "a link that leads in a circle".to_owned(),
                    (None, Some(error)) => error.to_string(),
                    (None, None) => error.to_string(),
                };
                out.unreadable.push(SourceError { path, reason });
                continue;
            }
        };
        if !about.is_file() {
            continue;
        }
        if !digests_wanted && is_digest(entry.path().strip_prefix(folder).unwrap_or(entry.path())) {
            out.digests += 1;
            continue;
        }
        out.list.push(Source::File { size: about.len(), path: entry.into_path() });
    }
}

fn is_digest(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == DIGEST_FOLDER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_walked_in_order() {
        let dir = tempfile::tempdir().unwrap();
        for file in [
            "b.json.gz",
            "a/2.json",
            "a/1.json",
            ".hidden/x.json",
            "a/.x",
            "AWSLogs/1/CloudTrail-Digest/eu/d.json.gz",
            "AWSLogs/1/CloudTrail/eu/e.json.gz",
            "tocsin-data/events/events.sqlite",
            "tocsin-data/events/segments/x.parquet",
        ] {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "{}").unwrap();
        }
        let names = |paths: &[PathBuf]| {
            let found = find(paths).unwrap();
            let names: Vec<String> = found
                .list
                .iter()
                .map(|s| s.name().replace(&format!("{}/", dir.path().display()), ""))
                .collect();
            (names, found.digests)
        };
        assert_eq!(
            names(&[dir.path().to_owned(), PathBuf::from("-")]),
            (
                ["AWSLogs/1/CloudTrail/eu/e.json.gz", "a/1.json", "a/2.json", "b.json.gz", "-"]
                    .map(str::to_owned)
                    .to_vec(),
                1
            )
        );
        let digests = dir.path().join("AWSLogs/1/CloudTrail-Digest");
        assert_eq!(names(&[digests]).0.len(), 1);
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("nowhere", dir.path().join("c.json")).unwrap();
            std::os::unix::fs::symlink(".", dir.path().join("d")).unwrap();
            let found = find(&[dir.path().to_owned()]).unwrap();
            assert_eq!(found.list.len(), 4, "the rest is read: {found:?}");
            let unreadable: Vec<String> = found.unreadable.iter().map(ToString::to_string).collect();
            assert!(unreadable[0].contains("c.json"), "{unreadable:?}");
            assert!(unreadable[1].contains("circle"), "{unreadable:?}");
        }
        let missing = find(&[dir.path().join("nope")]).unwrap_err();
        assert!(missing.to_string().contains("nope"), "{missing}");
    }
}
