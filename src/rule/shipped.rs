//! The rules shipped in the binary: those of `rules/`, compiled in.
//!
//! A test compares the list with the folder.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::load::{hex, toml};
use super::set::RuleSet;

/// Path below the repository, and text.
type File = (&'static str, &'static str);

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../", $path)))),*]
    };
}

/// Every shipped rule file, in the order of paths.
pub const FILES: &[File] = files![];

/// Loads the shipped rules.
pub fn load() -> RuleSet {
    let files = FILES.iter().map(|(path, text)| {
        let hash = hex(&Sha256::digest(text.as_bytes()));
        (PathBuf::from(path), toml::read(text, &hash))
    });
    RuleSet::new(files.collect(), Vec::new())
}
