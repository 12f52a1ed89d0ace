//! The next steps of an investigation guide.

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use crate::notify::escape::{cut, line};

/// Most steps told, and the longest of them, bytes.
const MOST: usize = 5;
const LONGEST: usize = 240;

/// Headings under which guides say what to do.
const WANTED: [&str; 5] = ["investigat", "triage", "analysis", "next step", "respon"];

/// The first list of steps under a heading that speaks of investigating; else the first list.
pub(super) fn steps(note: &str) -> Vec<String> {
    let mut lists: Vec<(bool, Vec<String>)> = Vec::new();
    let (mut heading, mut in_heading, mut wanted) = (String::new(), false, false);
    let (mut depth, mut item) = (0_u32, None::<String>);
    for event in Parser::new(note) {
        match event {
            Event::Start(Tag::Heading { .. }) => {
                heading.clear();
                in_heading = true;
            }
            Event::End(TagEnd::Heading(_)) => {
                in_heading = false;
                let lower = heading.to_lowercase();
                wanted = WANTED.iter().any(|word| lower.contains(word));
            }
            Event::Start(Tag::List(_)) => {
                depth += 1;
                if depth == 1 {
                    lists.push((wanted, Vec::new()));
                }
            }
            Event::End(TagEnd::List(_)) => depth = depth.saturating_sub(1),
            Event::Start(Tag::Item) if depth == 1 => item = Some(String::new()),
            Event::End(TagEnd::Item) if depth == 1 => {
                let text = cut(&line(&item.take().unwrap_or_default()), LONGEST);
                if let Some((_, steps)) = lists.last_mut()
                    && !text.is_empty()
                    && steps.len() < MOST
                {
                    steps.push(text);
                }
            }
            Event::Text(text) | Event::Code(text) if in_heading => heading.push_str(&text),
            Event::Text(text) | Event::Code(text) => {
                if let Some(item) = item.as_mut().filter(|_| depth == 1) {
                    item.push_str(&text);
                }
            }
            Event::SoftBreak | Event::HardBreak => {
                if let Some(item) = item.as_mut() {
                    item.push(' ');
                }
            }
            _ => {}
        }
    }
    let chosen = lists.iter().position(|(wanted, steps)| *wanted && !steps.is_empty());
    let chosen = chosen.or_else(|| lists.iter().position(|(_, steps)| !steps.is_empty()));
    chosen.map(|at| lists.swap_remove(at).1).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_of_the_investigation_come_first() {
        let note = "## What it is\n\n- not this\n\n### Investigating it\n\n- Ask **Ann** about\n  `that`.\n  - a detail\n- Then rest.\n";
        assert_eq!(steps(note), ["Ask Ann about that.", "Then rest."]);
        assert_eq!(steps("1. one\n2. two"), ["one", "two"]);
        assert!(steps("nothing to do").is_empty());
    }
}
