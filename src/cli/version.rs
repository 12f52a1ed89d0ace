//! `tocsin version`.

use std::io::Write;

use serde::Serialize;

use super::{CliError, Context, Outcome};

/// Print the version and what this build can do
#[derive(Debug, clap::Args)]
pub struct VersionArgs {}

/// What this build is.
#[derive(Debug, Serialize)]
pub struct Version {
    /// Name of the program.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The commit it was built from, when the build said so (`TOCSIN_GIT_HASH` at build time).
    pub commit: Option<&'static str>,
    /// Machine it was built for.
    pub target: String,
    /// `release` or `debug`.
    pub profile: &'static str,
    /// Query languages rules may use.
    pub languages: &'static [&'static str],
    /// Rule types that are run.
    pub rule_types: &'static [&'static str],
    /// Places events may be searched in.
    pub backends: &'static [&'static str],
    /// Sources `ingest` normalises.
    pub inputs: &'static [&'static str],
}

impl Version {
    /// This build.
    pub fn this() -> Self {
        Self {
            name: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            commit: option_env!("TOCSIN_GIT_HASH").filter(|hash| !hash.is_empty()),
            target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            profile: if cfg!(debug_assertions) { "debug" } else { "release" },
            languages: &["kuery", "lucene", "eql"],
            rule_types: &[
                "query",
                "saved_query",
                "eql",
                "threshold",
                "new_terms",
                "threat_match",
                "machine_learning",
            ],
            backends: &["embedded", "elasticsearch", "opensearch"],
            inputs: &["cloudtrail", "ecs", "hits", "bulk"],
        }
    }
}

/// Runs the command.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(_args: VersionArgs, context: &Context) -> Result<Outcome, CliError> {
    let version = Version::this();
    if !context.human() {
        context.document(&version, &["name", "version", "commit", "target", "profile"])?;
        return Ok(Outcome::Fine);
    }
    let mut out = context.out();
    writeln!(out, "{} {}", version.name, version.version)?;
    if let Some(commit) = version.commit {
        writeln!(out, "commit      {commit}")?;
    }
    writeln!(out, "built for   {} ({})", version.target, version.profile)?;
    writeln!(out, "languages   {}", version.languages.join(", "))?;
    writeln!(out, "rule types  {}", version.rule_types.join(", "))?;
    writeln!(out, "backends    {}", version.backends.join(", "))?;
    writeln!(out, "inputs      {}", version.inputs.join(", "))?;
    Ok(Outcome::Fine)
}
