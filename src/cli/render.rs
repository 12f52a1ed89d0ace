//! Showing what is wrong: file, line, caret, help.

use std::io::{self, Write};

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, SourceCode};

use super::error::CliError;
use super::style::{Style, visible, visible_lines};
use crate::base::diagnostic::{Diagnostic, Level};
use crate::base::limits;

/// Writes an error with its advice.
///
/// # Errors
/// When `out` cannot be written.
pub fn error(out: &mut impl Write, error: &CliError, style: Style) -> io::Result<()> {
    if let CliError::Text(findings) = error {
        for finding in findings {
            diagnostic(out, &finding.diagnostic, finding.text.as_deref(), style)?;
        }
        return Ok(());
    }
    writeln!(out, "{} {}", style.red("error:"), visible_lines(&error.to_string()))?;
    if let Some(help) = error.help() {
        writeln!(out, "  {} {help}", style.cyan("help:"))?;
    }
    Ok(())
}

/// Writes a finding: drawn where there is colour, plain lines elsewhere. `text` is what its span
/// lies in; without it, the file it names is read.
///
/// # Errors
/// When `out` cannot be written.
pub fn diagnostic(
    out: &mut impl Write,
    found: &Diagnostic,
    text: Option<&str>,
    style: Style,
) -> io::Result<()> {
    let read = if text.is_none() { read_source(found) } else { None };
    let text = text.or(read.as_deref());
    if style.enabled() && found.span.is_some() && text.is_some() {
        return graphical(out, found, text.unwrap_or_default());
    }
    plain(out, found, text, style)
}

/// The file a finding is about, when it can be read as text and is not too large to be one.
fn read_source(found: &Diagnostic) -> Option<String> {
    let path = found.path.as_deref()?;
    found.line?;
    let metadata = std::fs::metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > limits::RULE_FILE_BYTES {
        return None;
    }
    std::fs::read_to_string(path).ok()
}

fn plain(out: &mut impl Write, found: &Diagnostic, text: Option<&str>, style: Style) -> io::Result<()> {
    let level = match found.level {
        Level::Error => style.red("error"),
        Level::Warning => style.yellow("warning"),
        Level::Info => style.cyan("info"),
    };
    write!(out, "{level}[{}]: {}", found.code, visible(&found.message))?;
    writeln!(out)?;
    let place = match (&found.path, found.line, found.column) {
        (Some(path), Some(line), Some(column)) => format!("{}:{line}:{column}", path.display()),
        (Some(path), Some(line), None) => format!("{}:{line}", path.display()),
        (Some(path), _, _) => path.display().to_string(),
        (None, Some(line), Some(column)) => format!("{line}:{column}"),
        _ => String::new(),
    };
    if !place.is_empty() {
        writeln!(out, "  --> {}", visible(&place))?;
    }
    if let (Some(text), Some(line)) = (text, found.line) {
        excerpt(out, found, text, line, style)?;
    }
    if let Some(help) = &found.help {
        writeln!(out, "  {} {}", style.cyan("help:"), visible(help))?;
    }
    Ok(())
}

/// Characters shown on each side of the place; lines of rule files can be thousands long.
const AROUND: usize = 60;

fn excerpt(
    out: &mut impl Write,
    found: &Diagnostic,
    text: &str,
    line: usize,
    style: Style,
) -> io::Result<()> {
    let Some(content) = text.lines().nth(line.saturating_sub(1)) else { return Ok(()) };
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    let column = found.column.unwrap_or(1).saturating_sub(1);
    let start = column.saturating_sub(AROUND);
    let shown: String = content.chars().skip(start).take(2 * AROUND).collect();
    let before = if start > 0 { "…" } else { "" };
    let after = if content.chars().count() > start + 2 * AROUND { "…" } else { "" };
    writeln!(out, "{margin} |")?;
    writeln!(out, "{number} | {before}{}{after}", visible(&shown))?;
    if found.column.is_some() {
        // Carets under the span, as far as it lies in this line.
        let length = found
            .span
            .and_then(|span| text.get(span.start..span.end))
            .map_or(1, |marked| marked.lines().next().unwrap_or("").chars().count())
            .clamp(1, 2 * AROUND);
        let indent =
            console::measure_text_width(&visible(&shown.chars().take(column - start).collect::<String>()));
        let space = " ".repeat(indent + before.chars().count());
        writeln!(out, "{margin} | {space}{}", style.red("^".repeat(length)))?;
    }
    Ok(())
}

/// A finding as miette draws it.
#[derive(Debug)]
struct Drawn<'d> {
    found: &'d Diagnostic,
    source: miette::NamedSource<String>,
}

impl std::fmt::Display for Drawn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&visible(&self.found.message))
    }
}

impl std::error::Error for Drawn<'_> {}

impl miette::Diagnostic for Drawn<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(&self.found.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.found.level {
            Level::Error => miette::Severity::Error,
            Level::Warning => miette::Severity::Warning,
            Level::Info => miette::Severity::Advice,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.found.help.as_ref().map(|help| Box::new(help) as Box<dyn std::fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.found.span?;
        Some(Box::new(std::iter::once(LabeledSpan::new(
            None,
            span.start,
            span.end.saturating_sub(span.start).max(1),
        ))))
    }
}

fn graphical(out: &mut impl Write, found: &Diagnostic, text: &str) -> io::Result<()> {
    let name = found.path.as_ref().map_or_else(|| "text".to_owned(), |path| path.display().to_string());
    let drawn = Drawn { found, source: miette::NamedSource::new(name, visible_lines_same_length(text)) };
    let mut picture = String::new();
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode());
    if handler.render_report(&mut picture, &drawn).is_err() {
        return plain(out, found, Some(text), Style::new(true));
    }
    writeln!(out, "{}", picture.trim_end())
}

/// `text` without control characters, byte for byte as long, so that spans keep their place.
fn visible_lines_same_length(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' | '\r' => c,
            '\u{0}'..='\u{1f}' | '\u{7f}' => '?',
            '\u{80}'..='\u{9f}' => '\u{a4}',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::span::Span;

    fn shown(found: &Diagnostic, text: &str) -> String {
        let mut out = Vec::new();
        diagnostic(&mut out, found, Some(text), Style::PLAIN).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_finding_names_file_line_and_marks_the_place() {
        let text = "data_dir = \"x\"\nrulez = 1\n";
        let found = Diagnostic::error("CONF002", "unknown key `rulez`")
            .at(text, Span::new(15, 20))
            .with_path("tocsin.toml")
            .with_help("did you mean `rules`?");
        assert_eq!(
            shown(&found, text),
            "error[CONF002]: unknown key `rulez`\n  --> tocsin.toml:2:1\n  |\n2 | rulez = 1\n  | ^^^^^\n  help: did you mean `rules`?\n"
        );
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let text = format!("{}bad{}", "x".repeat(500), "y".repeat(500));
        let found = Diagnostic::error("KQL001", "bad").at(&text, Span::new(500, 503));
        let shown = shown(&found, &text);
        assert!(shown.lines().all(|line| line.chars().count() < 140), "{shown}");
        assert!(shown.contains("^^^"));
    }

    #[test]
    fn colour_draws_the_same_place() {
        let text = "a = 1\nb = \n";
        let found = Diagnostic::error("CONF001", "no value").at(text, Span::new(10, 11)).with_path("t.toml");
        let mut out = Vec::new();
        diagnostic(&mut out, &found, Some(text), Style::new(true)).unwrap();
        let drawn = String::from_utf8(out).unwrap();
        assert!(drawn.contains("t.toml:2:5") && drawn.contains("no value"), "{drawn}");
    }
}
