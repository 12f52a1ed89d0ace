//! `tocsin test`: the tests that rules carry.

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::output::unsupported;
use super::style::visible_lines;
use super::{CliError, Context, Format, Outcome};
use crate::base::diagnostic::Diagnostic;
use crate::base::span::Span;
use crate::ecs::document::NewDocument;
use crate::engine::ruletest::{CaseReport, RuleTest};
use crate::ingest::decode::Decoder;
use crate::ingest::formats::Format as InputFormat;
use crate::ingest::reader::{DocumentSink, ReadOptions, Reader, Reject};
use crate::rule::compiled::CompiledRule;
use crate::rule::load::files::load_paths;
use crate::rule::model::DEFAULT_INDEX;
use crate::rule::set::{FileReport, RuleSet};
use crate::rule::testfile;

/// Run the tests that rules carry
///
/// A rule's tests lie beside it: `stop.md` next to `stop.toml`. Below `## Alerts` and `## Stays
/// quiet`, each `###` heading is a case with its events in blocks of `json`: CloudTrail records, or
/// ECS documents. They go through the reader and the search that the service uses.
#[derive(Debug, clap::Args)]
pub struct TestArgs {
    /// Rule files, or folders of them
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Also turn each condition of a query round, and fail when no test notices
    #[arg(long)]
    mutate: bool,
    /// Fail for rules without tests, too
    #[arg(long)]
    require_tests: bool,
}

/// How the tests of one rule went.
#[derive(Debug, Serialize)]
struct RuleReport {
    path: String,
    rule_id: Option<String>,
    name: Option<String>,
    status: Status,
    passed: usize,
    failed: usize,
    cases: Vec<CaseReport>,
    /// Conditions no test needs, with their line and column; only with `--mutate`.
    untested: Vec<Untested>,
    diagnostics: Vec<Diagnostic>,
}

/// A condition that no test needs.
#[derive(Debug, Serialize)]
struct Untested {
    condition: String,
    line: Option<usize>,
    column: Option<usize>,
}

/// What became of a rule's tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Passed,
    Failed,
    /// The rule itself does not load.
    Broken,
    /// The rule has no tests.
    Untested,
    /// The rule's type does not run yet.
    Skipped,
}

/// Runs the command.
///
/// # Errors
/// Paths that are not there, results that cannot be written.
pub fn run(args: TestArgs, context: &Context) -> Result<Outcome, CliError> {
    for path in &args.paths {
        if !path.exists() {
            return Err(CliError::usage(format!("`{}` is not there", path.display())));
        }
    }
    if context.format() == Format::Sarif {
        return Err(unsupported(Format::Sarif));
    }
    // A test file stands for the rule beside it.
    let rule_of = |path: &PathBuf| match path.extension() {
        Some(extension) if extension == "md" => path.with_extension("toml"),
        _ => path.clone(),
    };
    let paths: Vec<PathBuf> = args.paths.iter().map(rule_of).collect();
    let set = load_paths(&paths, None);
    let mut reports = Vec::new();
    for file in &set.files {
        reports.push(test_file(&set, file, &args, context)?);
    }
    if reports.is_empty() {
        return Err(CliError::usage("there are no rules in these paths"));
    }
    show(&reports, &set, context)?;
    let bad = |report: &RuleReport| match report.status {
        Status::Failed | Status::Broken => true,
        Status::Untested => args.require_tests,
        Status::Passed | Status::Skipped => false,
    };
    Ok(context.finish(if reports.iter().any(bad) { Outcome::Findings } else { Outcome::Fine }))
}

fn test_file(
    set: &RuleSet,
    file: &FileReport,
    args: &TestArgs,
    context: &Context,
) -> Result<RuleReport, CliError> {
    let head = file.heads.first();
    let said = set.diagnostics.get(file.diagnostics.clone()).unwrap_or_default();
    let mut report = RuleReport {
        path: file.path.display().to_string(),
        rule_id: head.and_then(|head| head.rule_id.clone()),
        name: head.and_then(|head| head.name.clone()),
        status: Status::Untested,
        passed: 0,
        failed: 0,
        cases: Vec::new(),
        untested: Vec::new(),
        diagnostics: said.iter().filter(|found| found.is_error()).cloned().collect(),
    };
    if !report.diagnostics.is_empty() {
        report.status = Status::Broken;
        return Ok(report);
    }
    let tests = testfile::beside(&file.path);
    if !tests.is_file() {
        return Ok(report);
    }
    let Some(rule) = set.compiled.iter().find(|rule| rule.rule.origin.path == **file.path) else {
        report.status = Status::Skipped;
        return Ok(report);
    };
    let text = std::fs::read_to_string(&tests).map_err(|error| CliError::io("read", &tests, error))?;
    let cases = testfile::parse(&text);
    report.diagnostics.extend(cases.diagnostics.iter().map(|found| found.clone().with_path(&tests)));
    let indices = rule.rule.index.clone().unwrap_or_else(|| DEFAULT_INDEX.map(str::to_owned).to_vec());
    let ingested = crate::base::window::iso_millis(context.now());
    let mut normalize = |block: &str| normalize(block, &ingested);
    let test = RuleTest::new(rule, &indices, &cases, &mut normalize);
    report.cases = test.run();
    report.failed = report.cases.iter().filter(|case| !case.failures.is_empty()).count();
    report.passed = report.cases.len() - report.failed;
    if args.mutate && report.failed == 0 {
        report.untested =
            test.untested().iter().map(|mutant| untested(rule, mutant.span, &file.path)).collect();
    }
    let clean = report.failed == 0 && report.untested.is_empty() && report.diagnostics.is_empty();
    report.status = if clean { Status::Passed } else { Status::Failed };
    Ok(report)
}

/// The condition at a place of the query, and where that is in the file.
fn untested(rule: &CompiledRule, span: Option<Span>, path: &Path) -> Untested {
    let query = rule.rule.kind.query().unwrap_or_default();
    let condition =
        span.and_then(|span| query.get(span.start..span.end)).unwrap_or("a Kibana filter").to_owned();
    // The query stands in the file as it is, except in one-line strings with escapes.
    let place = std::fs::read_to_string(path).ok().and_then(|text| {
        let start =
            text.find(query.trim())? + span?.start.saturating_sub(query.len() - query.trim_start().len());
        Some(crate::base::span::line_column(&text, start))
    });
    Untested { condition, line: place.map(|(line, _)| line), column: place.map(|(_, column)| column) }
}

/// Documents and refusals of one block.
#[derive(Default)]
struct Collected {
    documents: Vec<NewDocument>,
    rejects: Vec<Reject>,
}

impl DocumentSink for Collected {
    fn document(&mut self, document: NewDocument) -> bool {
        self.documents.push(document);
        true
    }

    fn reject(&mut self, reject: Reject) {
        self.rejects.push(reject);
    }
}

/// Reads a block of events as `ingest` would read a file.
pub(super) fn normalize(block: &str, ingested: &str) -> Result<Vec<NewDocument>, String> {
    let options = ReadOptions { format: InputFormat::Auto, index: None, ingested: ingested.to_owned() };
    let input = std::io::Cursor::new(block.as_bytes().to_vec());
    let decoder = Decoder::new(Box::new(input)).map_err(|error| error.to_string())?;
    let mut collected = Collected::default();
    Reader::new(options).read("-", decoder, &mut collected);
    match collected.rejects.first() {
        Some(reject) => Err(format!("this event would be refused: {}", reject.reason)),
        None => Ok(collected.documents),
    }
}

fn show(reports: &[RuleReport], set: &RuleSet, context: &Context) -> Result<(), CliError> {
    match context.format() {
        Format::Human => {
            context.diagnostics(&set.errors().cloned().collect::<Vec<_>>(), None);
            human(reports, context)
        }
        Format::Junit => {
            context.out().write_all(junit(reports).as_bytes())?;
            Ok(())
        }
        _ => {
            let columns = ["path", "rule_id", "name", "status", "passed", "failed"];
            let mut records = context.records(&columns);
            for report in reports {
                records.write(report)?;
            }
            records.finish()?;
            Ok(())
        }
    }
}

fn human(reports: &[RuleReport], context: &Context) -> Result<(), CliError> {
    let style = context.style();
    let mut out = context.out();
    for report in reports {
        let label = match report.status {
            Status::Passed => style.green("ok      "),
            Status::Failed => style.red("FAILED  "),
            Status::Broken => style.red("BROKEN  "),
            Status::Untested => style.yellow("no tests"),
            Status::Skipped => style.yellow("not run "),
        };
        let name = report.name.as_deref().unwrap_or(&report.path);
        let cases = match report.status {
            Status::Passed => format!("  {} cases", report.cases.len()),
            _ => String::new(),
        };
        writeln!(out, "{label} {}{}", visible_lines(name), style.dim(cases))?;
        for found in report.diagnostics.iter().filter(|_| report.status == Status::Failed) {
            writeln!(out, "    {}", visible_lines(&found.to_string()))?;
        }
        for case in report.cases.iter().filter(|case| !case.failures.is_empty()) {
            let tests = testfile::beside(Path::new(&report.path));
            writeln!(out, "    {} › {}", case.expectation.heading(), style.bold(visible_lines(&case.name)))?;
            for failure in &case.failures {
                writeln!(
                    out,
                    "      {}:{}: {}",
                    tests.display(),
                    failure.line,
                    visible_lines(&failure.message)
                )?;
                if let Some(verdict) = &failure.verdict {
                    for line in verdict.to_string().lines() {
                        writeln!(out, "        {}", style.dim(visible_lines(line)))?;
                    }
                }
            }
        }
        for untested in &report.untested {
            let place = untested.line.map_or_else(String::new, |line| format!(":{line}"));
            let condition = visible_lines(&untested.condition);
            writeln!(out, "    {}{place}: no test needs `{condition}`", report.path)?;
        }
    }
    let count = |status| reports.iter().filter(|report| report.status == status).count();
    let cases: usize = reports.iter().map(|report| report.cases.len()).sum();
    let failed: usize = reports.iter().map(|report| report.failed).sum();
    writeln!(
        out,
        "{} rules, {cases} cases: {} passed, {failed} failed; {} rules without tests, {} broken, {} of types not run yet",
        reports.len(),
        cases - failed,
        count(Status::Untested),
        count(Status::Broken),
        count(Status::Skipped),
    )?;
    Ok(())
}

/// `JUnit`'s XML: a suite a rule, a test case a case.
fn junit(reports: &[RuleReport]) -> String {
    let mut xml =
        String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"tocsin rules\">\n");
    for report in reports {
        let name = escape(report.name.as_deref().unwrap_or(&report.path));
        let broken = usize::from(matches!(report.status, Status::Broken));
        let skipped = usize::from(matches!(report.status, Status::Skipped | Status::Untested));
        let lost = usize::from(!report.untested.is_empty())
            + usize::from(!report.diagnostics.is_empty() && broken == 0);
        let tests = report.cases.len() + broken + skipped + lost;
        // Writing to a string cannot fail.
        writeln!(
            xml,
            "  <testsuite name=\"{name}\" file=\"{}\" tests=\"{tests}\" failures=\"{}\" errors=\"{broken}\" skipped=\"{skipped}\">",
            escape(&report.path),
            report.failed + lost,
        )
        .ok();
        for case in &report.cases {
            let (class, case_name) = (escape(case.expectation.heading()), escape(&case.name));
            write!(
                xml,
                "    <testcase classname=\"{name}.{class}\" name=\"{case_name}\" line=\"{}\"",
                case.line
            )
            .ok();
            if case.failures.is_empty() {
                xml.push_str("/>\n");
                continue;
            }
            xml.push_str(">\n");
            for failure in &case.failures {
                let why = failure.verdict.as_ref().map(ToString::to_string).unwrap_or_default();
                let message = escape(&failure.message);
                writeln!(
                    xml,
                    "      <failure message=\"{message}\">line {}\n{}</failure>",
                    failure.line,
                    escape(&why)
                )
                .ok();
            }
            xml.push_str("    </testcase>\n");
        }
        let mut whole = |tag: &str, message: &str| {
            let message = escape(message);
            writeln!(
                xml,
                "    <testcase classname=\"{name}\" name=\"rule\"><{tag} message=\"{message}\"/></testcase>"
            )
            .ok();
        };
        let said = report.diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        match report.status {
            Status::Broken => whole("error", &said),
            Status::Untested => whole("skipped", "no tests beside the rule"),
            Status::Skipped => whole("skipped", "rules of this type do not run yet"),
            _ if !report.diagnostics.is_empty() => whole("failure", &said),
            _ => {}
        }
        if !report.untested.is_empty() {
            let conditions: Vec<&str> = report.untested.iter().map(|one| one.condition.as_str()).collect();
            whole("failure", &format!("no test needs: {}", conditions.join("; ")));
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// Text for XML, control characters left out.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(character),
            other if other.is_control() => {}
            other => escaped.push(other),
        }
    }
    escaped
}
