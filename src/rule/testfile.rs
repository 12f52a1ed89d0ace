//! Tests beside a rule: `<slug>.md` next to `<slug>.toml`.
//!
//! A test file is Markdown that reads as documentation. Below the headings `## Alerts` and
//! `## Stays quiet`, each `### …` is a case; its ```` ```json ```` blocks hold events (CloudTrail
//! records or ECS documents, one or more a block). Every event of a case under the first heading
//! must match the rule, none of a case under the second may. Rules that judge a window as a whole
//! (threshold, new terms, sequences) run at the time of a case's last event: its events together
//! must, or must not, give an alert.
//!
//! A block marked `json repeat=20` stands for its events twenty times; in the copies, `{{n}}` is the
//! number of the copy from 0, with as many digits as the last one has (`"09:00:{{n}}Z"`).

use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Parser, Tag, TagEnd};
use serde::{Deserialize, Serialize};

use crate::base::diagnostic::Diagnostic;
use crate::base::span::{Span, line_column};

use super::codes;

/// Most copies of a block.
const COPIES: usize = 1_000;
/// Longest text that the copies of a block make, bytes.
const COPIED_BYTES: usize = 4 * 1024 * 1024;

/// What a case says about its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expectation {
    /// The rule alerts on each.
    Alerts,
    /// The rule alerts on none.
    Quiet,
}

impl Expectation {
    /// The heading that says it.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Alerts => "Alerts",
            Self::Quiet => "Stays quiet",
        }
    }

    fn of(heading: &str) -> Option<Self> {
        [Self::Alerts, Self::Quiet]
            .into_iter()
            .find(|kind| kind.heading().eq_ignore_ascii_case(heading.trim()))
    }
}

/// One case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Its heading.
    pub name: String,
    /// What it says about its events.
    pub expectation: Expectation,
    /// One-based line of its heading.
    pub line: usize,
    /// Its blocks of events.
    pub blocks: Vec<Block>,
}

/// A block of events: JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The JSON text.
    pub text: String,
    /// One-based line it starts at.
    pub line: usize,
}

/// The cases of a file, and what is wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestFile {
    /// Its cases, in order.
    pub cases: Vec<Case>,
    /// What is wrong with the file itself.
    pub diagnostics: Vec<Diagnostic>,
}

/// Where the tests of a rule file lie: the same name with `.md`.
pub fn beside(rule: &Path) -> PathBuf {
    rule.with_extension("md")
}

/// Reads a test file.
pub fn parse(text: &str) -> TestFile {
    let mut reader = Reading { text, file: TestFile::default(), expectation: None, open: false };
    let mut heading: Option<(HeadingLevel, String, usize)> = None;
    let mut code: Option<(String, usize, Result<usize, ()>)> = None;
    for (event, range) in Parser::new(text).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading { level, .. }) => heading = Some((level, String::new(), range.start)),
            Event::End(TagEnd::Heading(_)) => {
                if let Some((level, title, at)) = heading.take() {
                    reader.heading(level, title, at);
                }
            }
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                let mut words = info.split([' ', ',']).filter(|word| !word.is_empty());
                if matches!(words.next(), Some("json" | "ndjson")) {
                    let copies = words.find_map(|word| word.strip_prefix("repeat="));
                    let copies = copies.map_or(Ok(1), |copies| {
                        copies.parse().ok().filter(|copies| (1..=COPIES).contains(copies)).ok_or(())
                    });
                    code = Some((String::new(), range.start, copies));
                }
            }
            Event::End(TagEnd::CodeBlock) => {
                if let Some((text, at, copies)) = code.take() {
                    reader.block(text, at, copies);
                }
            }
            Event::Text(part) | Event::Code(part) => {
                if let Some((text, ..)) = &mut code {
                    text.push_str(&part);
                } else if let Some((_, title, _)) = &mut heading {
                    title.push_str(&part);
                }
            }
            _ => {}
        }
    }
    reader.finish()
}

struct Reading<'t> {
    text: &'t str,
    file: TestFile,
    expectation: Option<Expectation>,
    /// Whether a block now belongs to the last case.
    open: bool,
}

impl Reading<'_> {
    fn heading(&mut self, level: HeadingLevel, title: String, at: usize) {
        match level {
            HeadingLevel::H1 | HeadingLevel::H2 => {
                self.expectation = Expectation::of(&title);
                self.open = false;
            }
            HeadingLevel::H3 => {
                self.open = self.expectation.is_some();
                if let Some(expectation) = self.expectation {
                    let line = line_column(self.text, at).0;
                    self.file.cases.push(Case { name: title, expectation, line, blocks: Vec::new() });
                }
            }
            _ => {}
        }
    }

    fn block(&mut self, text: String, at: usize, copies: Result<usize, ()>) {
        let text = match copies {
            Ok(1) => text,
            Ok(copies) if text.len().saturating_mul(copies) <= COPIED_BYTES => repeated(&text, copies),
            _ => {
                let help = format!("write `json repeat=20`; copies take at most {} MiB", COPIED_BYTES >> 20);
                self.wrong(&format!("a block is repeated 1 to {COPIES} times"), &help, at);
                return;
            }
        };
        let line = line_column(self.text, at).0 + 1;
        match self.file.cases.last_mut() {
            Some(case) if self.open => case.blocks.push(Block { text, line }),
            _ => self.wrong(
                "this block of events belongs to no case",
                "put it below a `### …` heading, under `## Alerts` or `## Stays quiet`",
                at,
            ),
        }
    }

    fn wrong(&mut self, message: &str, help: &str, at: usize) {
        let found =
            Diagnostic::error(codes::BAD_TEST, message).at(self.text, Span::new(at, at + 3)).with_help(help);
        self.file.diagnostics.push(found);
    }

    fn finish(mut self) -> TestFile {
        for case in &self.file.cases {
            if case.blocks.is_empty() {
                let mut found =
                    Diagnostic::error(codes::BAD_TEST, format!("the case `{}` has no events", case.name))
                        .with_help("add a fenced block of `json`");
                found.line = Some(case.line);
                found.column = Some(1);
                self.file.diagnostics.push(found);
            }
        }
        if self.file.cases.is_empty() && self.file.diagnostics.is_empty() {
            self.wrong(
                "the file holds no cases",
                "`## Alerts`, then `### a case`, then a block of `json`",
                0,
            );
        }
        self.file
    }
}

/// The block so many times, each with its number.
fn repeated(text: &str, copies: usize) -> String {
    let width = copies.saturating_sub(1).to_string().len();
    let copy = |n: usize| text.replace("{{n}}", &format!("{n:0width$}"));
    (0..copies).map(copy).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_follow_the_headings() {
        let text = "# Rule\n\nIntro.\n\n## Alerts\n\n### One `x`\n\nwhy\n\n```json\n{\"a\":1}\n```\n\n```text\nno\n```\n\n```json\n{\"a\":2}\n```\n\n## Stays quiet\n\n### Two\n\n```ndjson\n{\"a\":3}\n{\"a\":4}\n```\n\n## Notes\n\n### Not a case\n";
        let file = parse(text);
        assert_eq!(file.diagnostics, []);
        let seen: Vec<_> = file
            .cases
            .iter()
            .map(|case| (case.name.as_str(), case.expectation, case.line, case.blocks.len()))
            .collect();
        assert_eq!(seen, [("One x", Expectation::Alerts, 7, 2), ("Two", Expectation::Quiet, 25, 1)]);
        assert_eq!(file.cases[0].blocks[1].line, 20);
        assert_eq!(file.cases[1].blocks[0].text, "{\"a\":3}\n{\"a\":4}\n");
    }

    #[test]
    fn a_block_is_repeated_with_its_number() {
        let case =
            |info: &str| parse(&format!("## Alerts\n\n### x\n\n```{info}\n{{\"a\":\"{{{{n}}}}\"}}\n```\n"));
        assert_eq!(
            case("json repeat=3").cases[0].blocks[0].text,
            "{\"a\":\"0\"}\n{\"a\":\"1\"}\n{\"a\":\"2\"}\n"
        );
        let many = case("json repeat=11");
        assert!(many.cases[0].blocks[0].text.ends_with("{\"a\":\"09\"}\n{\"a\":\"10\"}\n"));
        for wrong in ["json repeat=0", "json repeat=1001", "json repeat=x"] {
            assert!(case(wrong).diagnostics[0].message.contains("1 to 1000 times"), "{wrong}");
        }
    }

    #[test]
    fn what_belongs_nowhere_is_an_error() {
        let lost = parse("## Somewhere\n\n### x\n\n```json\n{}\n```\n");
        assert_eq!(lost.diagnostics.len(), 1);
        assert_eq!(lost.diagnostics[0].line, Some(5));
        assert_eq!(parse("## Alerts\n\n### empty\n").diagnostics.len(), 1);
        assert_eq!(parse("nothing").diagnostics.len(), 1);
    }
}
