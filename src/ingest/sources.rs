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
}

/// A path that cannot be read.
#[derive(Debug, thiserror::Error)]
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
/// When a path does not exist or a folder cannot be listed.
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
            walk(path, &mut out).map_err(|error| failed(error.to_string()))?;
        } else {
            // A named pipe, as `<(zcat …)` gives one.
            out.list.push(Source::File { path: path.clone(), size: 0 });
        }
    }
    Ok(out)
}

fn walk(folder: &Path, out: &mut Sources) -> Result<(), walkdir::Error> {
    // Whoever names a digest folder wants its files.
    let digests_wanted = is_digest(folder);
    let visible = |entry: &walkdir::DirEntry| {
        entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".")
    };
    for entry in WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter().filter_entry(visible)
    {
        let entry = entry?;
        if !entry.file_type().is_file() {
            continue;
        }
        if !digests_wanted && is_digest(entry.path().strip_prefix(folder).unwrap_or(entry.path())) {
            out.digests += 1;
            continue;
        }
        let size = entry.metadata()?.len();
        out.list.push(Source::File { path: entry.into_path(), size });
    }
    Ok(())
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
        let missing = find(&[dir.path().join("nope")]).unwrap_err();
        assert!(missing.to_string().contains("nope"), "{missing}");
    }
}
