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
pub const FILES: &[File] = files![
    "rules/aws/account/deletions_in_burst.toml",
    "rules/aws/cloudtrail/event_selectors_narrowed.toml",
    "rules/aws/cloudtrail/logging_stopped.toml",
    "rules/aws/cloudtrail/not_started_again.toml",
    "rules/aws/cloudtrail/stopped_before_purge.toml",
    "rules/aws/cloudtrail/trail_changed.toml",
    "rules/aws/cloudtrail/trail_deleted.toml",
    "rules/aws/iam/administrator_made_with_key.toml",
    "rules/aws/iam/calls_refused_in_numbers.toml",
    "rules/aws/iam/change_from_new_address.toml",
    "rules/aws/lambda/code_updated.toml",
    "rules/aws/lambda/configuration_updated.toml",
    "rules/aws/lambda/function_deleted.toml",
    "rules/aws/lambda/invoked_by_unusual_principal.toml",
    "rules/aws/s3/accessed_from_tor.toml",
    "rules/aws/s3/acl_changed.toml",
    "rules/aws/s3/bucket_deleted.toml",
    "rules/aws/s3/bucket_policy_changed.toml",
    "rules/aws/s3/objects_copied_in_bulk.toml",
    "rules/aws/s3/objects_deleted_in_bulk.toml",
    "rules/aws/s3/objects_put_into_foreign_bucket.toml",
    "rules/aws/s3/versioning_suspended.toml",
    "rules/aws/signin/console_logins_failed.toml",
];

/// Loads the shipped rules.
pub fn load() -> RuleSet {
    let files = FILES.iter().map(|(path, text)| {
        let hash = hex(&Sha256::digest(text.as_bytes()));
        (PathBuf::from(path), toml::read(text, &hash))
    });
    RuleSet::new(files.collect(), Vec::new())
}
