//! `tocsin doctor`: is everything in place, and what to do where it is not.
//!
//! A check is a file in `doctor/` with one function, named in [`CHECKS`].

mod backends;
mod clock;
mod configuration;
mod connectors;
mod data_dir;
mod forward;
mod rules;
mod service;
mod store;

use std::io::Write;

use serde::Serialize;

use super::style::visible;
use super::{CliError, Context, Outcome};

/// Check the installation, and say what to do about what is wrong
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tocsin doctor                     check everything
  tocsin doctor --format json       the same for a script; exit code 1 when a check failed")]
pub struct DoctorArgs {}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// Works, but deserves a look.
    Warning,
    /// Does not work.
    Failed,
    /// There is nothing to check.
    Skipped,
}

/// What a check found.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// Name of the check.
    pub check: &'static str,
    /// What was looked at, when a check looks at several things.
    pub subject: Option<String>,
    /// How it ended.
    pub status: Status,
    /// What was seen.
    pub seen: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Finding {
    fn new(check: &'static str, status: Status, seen: impl Into<String>) -> Self {
        Self { check, subject: None, status, seen: seen.into(), advice: None }
    }

    /// As it should be.
    pub fn ok(check: &'static str, seen: impl Into<String>) -> Self {
        Self::new(check, Status::Ok, seen)
    }

    /// Works, but deserves a look.
    pub fn warning(check: &'static str, seen: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(check, Status::Warning, seen).advise(advice)
    }

    /// Does not work.
    pub fn failed(check: &'static str, seen: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(check, Status::Failed, seen).advise(advice)
    }

    /// There is nothing to check.
    pub fn skipped(check: &'static str, seen: impl Into<String>) -> Self {
        Self::new(check, Status::Skipped, seen)
    }

    /// Names what was looked at.
    #[must_use]
    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

/// A check: looks, changes nothing that stays, and never fails itself.
type Check = fn(&Context) -> Vec<Finding>;

/// Every check, in the order they are shown.
const CHECKS: &[(&str, Check)] = &[
    ("configuration", configuration::check),
    ("data folder", data_dir::check),
    ("store", store::check),
    ("service", service::check),
    ("rules", rules::check),
    ("clock", clock::check),
    ("backends", backends::check),
    ("forwarding", forward::check),
    ("connectors", connectors::check),
];

#[derive(Serialize)]
struct Report<'r> {
    ok: bool,
    findings: &'r [Finding],
}

/// Runs the command.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(_args: DoctorArgs, context: &Context) -> Result<Outcome, CliError> {
    let progress = context.progress("checking", Some(CHECKS.len() as u64));
    let mut findings = Vec::new();
    for (name, check) in CHECKS {
        progress.label(*name);
        findings.extend(check(context));
        progress.advance(1);
    }
    drop(progress);
    let failed = findings.iter().filter(|finding| finding.status == Status::Failed).count();
    match context.format() {
        super::Format::Human => human(context, &findings, failed)?,
        super::Format::Json => context.document(&Report { ok: failed == 0, findings: &findings }, &[])?,
        _ => {
            let mut records = context.records(&["check", "subject", "status", "seen", "advice"]);
            for finding in &findings {
                records.write(finding)?;
            }
            records.finish()?;
        }
    }
    Ok(if failed == 0 { Outcome::Fine } else { Outcome::Findings })
}

fn human(context: &Context, findings: &[Finding], failed: usize) -> Result<(), CliError> {
    let style = context.style();
    let mut out = context.out();
    for finding in findings {
        let mark = match finding.status {
            Status::Ok => style.green("ok     "),
            Status::Warning => style.yellow("warning"),
            Status::Failed => style.red("failed "),
            Status::Skipped => style.dim("skipped"),
        };
        let subject =
            finding.subject.as_ref().map_or_else(String::new, |subject| format!(" {}", visible(subject)));
        writeln!(out, "{mark}  {}{subject}: {}", style.bold(finding.check), visible(&finding.seen))?;
        if let Some(advice) = &finding.advice {
            writeln!(out, "         {} {}", style.cyan("do:"), visible(advice))?;
        }
    }
    match failed {
        0 => writeln!(out, "\neverything that was checked works")?,
        1 => writeln!(out, "\n1 check failed")?,
        failed => writeln!(out, "\n{failed} checks failed")?,
    }
    Ok(())
}
