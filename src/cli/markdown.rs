//! Markdown on a terminal: guides as a person reads them.

use console::measure_text_width;
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd, TextMergeStream};

use super::style::{Style, visible, visible_lines};

/// Widest text: longer lines are hard to read, however wide the terminal is.
const WIDEST: usize = 100;

/// Renders `text` for a terminal of `width` columns. `{{field}}` in text and code is replaced by
/// what `value` gives; what it does not know stays as it is written.
pub(super) fn render(
    text: &str,
    style: Style,
    width: Option<usize>,
    value: &dyn Fn(&str) -> Option<String>,
) -> String {
    let text = plain_actions(text);
    let mut options = Options::empty();
    options.insert(Options::ENABLE_TABLES);
    options.insert(Options::ENABLE_STRIKETHROUGH);
    let mut page = Page {
        style,
        width: width.unwrap_or(WIDEST).clamp(40, WIDEST),
        value,
        out: String::new(),
        line: Vec::new(),
        lists: Vec::new(),
        marker: None,
        quotes: 0,
        strong: 0,
        emphasis: 0,
        heading: false,
        code: false,
        link: None,
        cells: 0,
    };
    for event in TextMergeStream::new(Parser::new_ext(&text, options)) {
        page.event(event);
    }
    page.flush();
    page.out.trim_end().to_owned()
}

/// Elastic's guides hold buttons for Kibana, `!{name{…json…}}`: their label is what is left of
/// them here.
fn plain_actions(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("!{") {
        out.push_str(before);
        let mut depth = 1usize;
        let end = after.char_indices().find_map(|(at, c)| {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            (depth == 0).then_some(at)
        });
        let Some((body, tail)) = end.and_then(|at| Some((after.get(..at)?, after.get(at + 1..)?))) else {
            out.push_str("!{");
            rest = after;
            continue;
        };
        let json = body.find('{').and_then(|at| body.get(at..));
        let button: Option<serde_json::Value> = json.and_then(|json| serde_json::from_str(json).ok());
        match button.as_ref().and_then(|button| button.get("label")?.as_str()) {
            Some(label) => out.push_str(&format!("*[in Kibana: {label}]*")),
            None => out.push_str(&format!("!{{{body}}}")),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

/// A word and what follows it belongs to: painted text, and whether a space may come before it.
struct Word {
    painted: String,
    width: usize,
    glued: bool,
}

struct Page<'a> {
    style: Style,
    width: usize,
    value: &'a dyn Fn(&str) -> Option<String>,
    out: String,
    line: Vec<Word>,
    /// Next number of each list that is open; `None`: bullets.
    lists: Vec<Option<u64>>,
    /// What the next block of a list item begins with.
    marker: Option<String>,
    quotes: usize,
    strong: usize,
    emphasis: usize,
    heading: bool,
    code: bool,
    link: Option<String>,
    cells: usize,
}

impl Page<'_> {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) if self.code => {
                for line in self.filled(&text).lines() {
                    let line = visible_lines(line);
                    self.raw(&format!("    {}", self.style.dim(line)));
                }
            }
            // Raw HTML is shown as it is written: there is nothing to draw it with.
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => self.words(&text, false),
            Event::Code(text) => self.words(&text, true),
            Event::SoftBreak => self.space(),
            Event::HardBreak => self.flush(),
            Event::Rule => {
                self.flush();
                let rule = self.style.dim("─".repeat(self.width.min(40)));
                self.raw(&rule);
            }
            _ => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { .. } => {
                self.gap();
                self.heading = true;
            }
            Tag::Paragraph if self.marker.is_none() => self.gap(),
            Tag::List(first) => {
                self.flush();
                if self.lists.is_empty() {
                    self.gap();
                }
                self.lists.push(first);
            }
            Tag::Item => {
                self.flush();
                let marker = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{}. ", *number - 1)
                    }
                    _ => "• ".to_owned(),
                };
                self.marker = Some(marker);
            }
            Tag::BlockQuote(_) => {
                self.gap();
                self.quotes += 1;
            }
            Tag::CodeBlock(kind) => {
                self.gap();
                self.code = true;
                if let CodeBlockKind::Fenced(name) = kind
                    && !name.is_empty()
                {
                    let name = self.style.dim(visible(&name));
                    self.raw(&format!("    {name}"));
                }
            }
            Tag::Strong => self.strong += 1,
            Tag::Emphasis => self.emphasis += 1,
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                self.link = Some(dest_url.to_string());
            }
            Tag::Table(_) => self.gap(),
            Tag::TableHead | Tag::TableRow => self.cells = 0,
            Tag::TableCell => {
                if self.cells > 0 {
                    self.words(" │ ", false);
                }
                self.cells += 1;
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) => {
                self.flush();
                self.heading = false;
            }
            TagEnd::Paragraph | TagEnd::Item | TagEnd::TableHead | TagEnd::TableRow => self.flush(),
            TagEnd::List(_) => {
                self.flush();
                self.lists.pop();
            }
            TagEnd::BlockQuote(_) => {
                self.flush();
                self.quotes = self.quotes.saturating_sub(1);
            }
            TagEnd::CodeBlock => self.code = false,
            TagEnd::Strong => self.strong = self.strong.saturating_sub(1),
            TagEnd::Emphasis => self.emphasis = self.emphasis.saturating_sub(1),
            TagEnd::Link | TagEnd::Image => {
                if let Some(url) = self.link.take() {
                    let shown: String = self.line.iter().map(|word| word.painted.as_str()).collect();
                    if !shown.contains(&url) {
                        self.space();
                        let url = self.style.dim(format!("<{}>", visible(&url)));
                        self.push(url, false);
                    }
                }
            }
            _ => {}
        }
    }

    fn filled(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            out.push_str(before);
            match after.split_once("}}") {
                Some((name, tail)) => {
                    match (self.value)(name.trim()) {
                        Some(value) => out.push_str(&visible(&value)),
                        None => out.push_str(&format!("{{{{{name}}}}}")),
                    }
                    rest = tail;
                }
                None => {
                    out.push_str("{{");
                    rest = after;
                }
            }
        }
        out.push_str(rest);
        out
    }

    fn words(&mut self, text: &str, code: bool) {
        let text = self.filled(text);
        if text.starts_with(char::is_whitespace) {
            self.space();
        }
        let mut words = text.split_whitespace().peekable();
        while let Some(word) = words.next() {
            let painted = self.paint(&visible(word), code);
            self.push(painted, true);
            if words.peek().is_some() {
                self.space();
            }
        }
        if text.ends_with(char::is_whitespace) {
            self.space();
        }
    }

    fn paint(&self, word: &str, code: bool) -> String {
        if code {
            self.style.cyan(word)
        } else if self.heading || self.strong > 0 || self.emphasis > 0 {
            self.style.bold(word)
        } else {
            word.to_owned()
        }
    }

    /// Adds a word; `glued`: to the word before it, when no space came between.
    fn push(&mut self, painted: String, glued: bool) {
        let width = measure_text_width(&painted);
        self.line.push(Word { painted, width, glued });
    }

    fn space(&mut self) {
        if self.line.last().is_some_and(|word| word.width > 0) {
            self.line.push(Word { painted: String::new(), width: 0, glued: false });
        }
    }

    /// An empty line between blocks.
    fn gap(&mut self) {
        self.flush();
        if !self.out.is_empty() && !self.out.ends_with("\n\n") && self.lists.is_empty() {
            self.out.push('\n');
        }
    }

    fn raw(&mut self, line: &str) {
        let indent = "  ".repeat(self.lists.len());
        self.out.push_str(&indent);
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }

    /// Writes the words gathered, broken into lines.
    fn flush(&mut self) {
        let words = std::mem::take(&mut self.line);
        if words.iter().all(|word| word.width == 0) {
            return;
        }
        let quote = "│ ".repeat(self.quotes);
        let indent = "  ".repeat(self.lists.len().saturating_sub(1));
        let marker = self.marker.take();
        let hang = match (&marker, self.lists.is_empty()) {
            (Some(marker), _) => " ".repeat(measure_text_width(marker)),
            (None, false) => "  ".to_owned(),
            (None, true) => String::new(),
        };
        let first = format!("{quote}{indent}{}", marker.as_deref().unwrap_or(&hang));
        let later = format!("{quote}{indent}{hang}");
        let room = self.width.saturating_sub(measure_text_width(&first)).max(20);
        let (mut line, mut used, mut start) = (String::new(), 0, true);
        let mut lines = Vec::new();
        // Words without a space between them stay together.
        let mut unit = (String::new(), 0);
        let mut place = |unit: &mut (String, usize), line: &mut String, used: &mut usize| {
            let (text, width) = std::mem::take(unit);
            if width == 0 {
                return;
            }
            if *used > 0 && *used + 1 + width > room {
                lines.push(std::mem::take(line));
                *used = 0;
            }
            if *used > 0 {
                line.push(' ');
                *used += 1;
            }
            line.push_str(&text);
            *used += width;
        };
        for word in words {
            if word.width == 0 || !word.glued {
                place(&mut unit, &mut line, &mut used);
            }
            unit.0.push_str(&word.painted);
            unit.1 += word.width;
        }
        place(&mut unit, &mut line, &mut used);
        lines.push(line);
        for text in lines {
            self.out.push_str(if start { &first } else { &later });
            self.out.push_str(&text);
            self.out.push('\n');
            start = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str, width: usize) -> String {
        render(text, Style::PLAIN, Some(width), &|name| {
            (name == "user.name").then(|| "mal*lory*\u{1b}".to_owned())
        })
    }

    #[test]
    fn draws_blocks_and_fills_in_values() {
        let text = "## Triage\n\nAsk **{{user.name}}**, see `{{user.name}}` and {{ other }}.\n\n1. First\n2. Second\n   - inner\n\n> quoted\n\n```sh\naws s3 ls\n```\n[docs](https://example.com/)";
        let expected = "Triage\n\nAsk mal*lory*␛, see mal*lory*␛ and {{ other }}.\n\n1. First\n2. Second\n  • inner\n\n│ quoted\n\n    sh\n    aws s3 ls\n\ndocs <https://example.com/>";
        assert_eq!(plain(text, 80), expected);
    }

    #[test]
    fn wraps_words_and_never_breaks_glued_ones() {
        let text = "one two three four five six seven eight nine `ten`, eleven twelve";
        assert_eq!(plain(text, 45), "one two three four five six seven eight nine\nten, eleven twelve");
    }

    #[test]
    fn buttons_of_kibana_leave_their_label() {
        let text = "!{investigate{\"label\":\"All events\",\"providers\":[[{\"a\":{}}]]}} then !{broken";
        assert_eq!(plain(text, 80), "[in Kibana: All events] then !{broken");
    }
}
