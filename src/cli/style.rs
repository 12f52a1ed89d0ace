//! Colours, or none.

use std::fmt::Display;
use std::io::IsTerminal;

use anstyle::{AnsiColor, Effects, Style as Ansi};

use super::args::ColorChoice;

/// Paints text, or leaves it alone.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    enabled: bool,
}

impl Style {
    /// No colour at all.
    pub const PLAIN: Self = Self { enabled: false };

    /// With colour or without.
    pub fn new(enabled: bool) -> Self {
        Self { enabled }
    }

    /// For stdout.
    pub fn stdout(choice: ColorChoice) -> Self {
        Self::new(wanted(choice, std::io::stdout().is_terminal()))
    }

    /// For stderr.
    pub fn stderr(choice: ColorChoice) -> Self {
        Self::new(wanted(choice, std::io::stderr().is_terminal()))
    }

    /// Whether it paints.
    pub fn enabled(self) -> bool {
        self.enabled
    }

    fn paint(self, style: Ansi, text: impl Display) -> String {
        if self.enabled { format!("{style}{text}{style:#}") } else { text.to_string() }
    }

    /// Headings.
    pub fn bold(self, text: impl Display) -> String {
        self.paint(Ansi::new().effects(Effects::BOLD), text)
    }

    /// What matters less.
    pub fn dim(self, text: impl Display) -> String {
        self.paint(Ansi::new().effects(Effects::DIMMED), text)
    }

    /// Errors, failures.
    pub fn red(self, text: impl Display) -> String {
        self.paint(AnsiColor::Red.on_default(), text)
    }

    /// Success.
    pub fn green(self, text: impl Display) -> String {
        self.paint(AnsiColor::Green.on_default(), text)
    }

    /// Warnings.
    pub fn yellow(self, text: impl Display) -> String {
        self.paint(AnsiColor::Yellow.on_default(), text)
    }

    /// Names and links.
    pub fn cyan(self, text: impl Display) -> String {
        self.paint(AnsiColor::Cyan.on_default(), text)
    }

    /// A severity (`low`, `medium`, `high`, `critical`) in its colour.
    pub fn severity(self, severity: &str) -> String {
        let style = match severity {
            "critical" => AnsiColor::White.on(AnsiColor::Red).effects(Effects::BOLD),
            "high" => AnsiColor::Red.on_default().effects(Effects::BOLD),
            "medium" => AnsiColor::Yellow.on_default(),
            "low" => AnsiColor::Blue.on_default(),
            _ => Ansi::new(),
        };
        self.paint(style, severity)
    }
}

fn wanted(choice: ColorChoice, terminal: bool) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => terminal && anstyle_allows(),
    }
}

/// `NO_COLOR` (any non-empty value) and `TERM=dumb` turn colour off.
fn anstyle_allows() -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    !no_color && !dumb
}

/// `text` safe to show on a terminal: control characters (an event may hold escape sequences)
/// are replaced by visible ones, tabs and line breaks by a space.
pub fn visible(text: &str) -> String {
    text.chars().map(visible_char).collect()
}

/// Like [`visible`], but keeps line breaks and tabs.
pub fn visible_lines(text: &str) -> String {
    text.chars().map(|c| if matches!(c, '\n' | '\t') { c } else { visible_char(c) }).collect()
}

fn visible_char(c: char) -> char {
    match c {
        '\n' | '\t' | '\r' => ' ',
        '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
        '\u{7f}' => '\u{2421}',
        // C1 controls, and the marks that reorder or hide text around them.
        '\u{80}'..='\u{9f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            '\u{fffd}'
        }
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_cannot_drive_the_terminal() {
        assert_eq!(visible("a\u{1b}[31mred\nb"), "a␛[31mred b");
        assert_eq!(visible_lines("a\n\u{9b}b\u{202e}"), "a\n\u{fffd}b\u{fffd}");
    }

    #[test]
    fn plain_paints_nothing() {
        assert_eq!(Style::PLAIN.severity("high"), "high");
        assert_eq!(Style::new(true).red("x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
