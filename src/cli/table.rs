//! Tables for people: columns without lines, so that they can be read, cut and searched.

use std::io::{self, Write};

use console::{measure_text_width, truncate_str};

use super::style::{Style, visible};

/// Space between columns.
const GAP: usize = 2;
/// Narrowest a shrunk column gets.
const NARROWEST: usize = 12;

/// A table for people. Cells are made safe for terminals; styled cells are the caller's, who has
/// cleaned what is in them.
#[derive(Debug)]
pub struct Table {
    headers: Vec<String>,
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
}

impl Table {
    /// A table with these column headings. A heading that starts with `>` is aligned right.
    pub fn new(headers: &[&str]) -> Self {
        Self {
            headers: headers.iter().map(|header| header.trim_start_matches('>').to_owned()).collect(),
            right: headers.iter().map(|header| header.starts_with('>')).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row. A cell that holds escape sequences must have been made by [`Style`].
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().map(|cell| cell.0).collect());
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Draws it. With `width`, the widest columns are shortened until a row fits.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn draw(&self, out: &mut impl Write, style: Style, width: Option<usize>) -> io::Result<()> {
        let widths = self.widths(width);
        let headers: Vec<String> = self.headers.iter().map(|header| header.to_uppercase()).collect();
        self.line(out, &headers, &widths, |text| style.bold(text))?;
        for row in &self.rows {
            self.line(out, row, &widths, |text| text)?;
        }
        Ok(())
    }

    fn widths(&self, limit: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = self.headers.iter().map(|header| measure_text_width(header)).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(measure_text_width(cell));
            }
        }
        let Some(limit) = limit else { return widths };
        let gaps = GAP * widths.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > limit {
            match widths.iter_mut().max() {
                Some(widest) if *widest > NARROWEST => *widest -= 1,
                _ => break,
            }
        }
        widths
    }

    fn line(
        &self,
        out: &mut impl Write,
        cells: &[String],
        widths: &[usize],
        paint: impl Fn(String) -> String,
    ) -> io::Result<()> {
        let mut line = String::new();
        let last = widths.len().saturating_sub(1);
        for (index, ((cell, width), right)) in cells.iter().zip(widths).zip(&self.right).enumerate() {
            let cell = truncate_str(cell, *width, "…");
            let space = " ".repeat(width.saturating_sub(measure_text_width(&cell)));
            match (right, index == last) {
                (true, _) => line.extend([space.as_str(), &paint(cell.into_owned())]),
                (false, true) => line.push_str(&paint(cell.into_owned())),
                (false, false) => line.extend([paint(cell.into_owned()).as_str(), &space]),
            }
            if index < last {
                line.push_str(&" ".repeat(GAP));
            }
        }
        writeln!(out, "{}", line.trim_end())
    }
}

/// A cell of a [`Table`].
#[derive(Debug)]
pub struct Cell(String);

impl Cell {
    /// A cell whose text was painted by [`Style`]; its content must be safe for terminals.
    pub fn styled(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// A cell with any text; control characters are made visible.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self(visible(text.as_ref()))
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

macro_rules! number_cells {
    ($($kind:ty),*) => {$(
        impl From<$kind> for Cell {
            fn from(number: $kind) -> Self {
                Self(grouped(number))
            }
        }
    )*};
}
number_cells!(u8, u16, u32, u64, usize, i32, i64);

/// A whole number with its digits in groups of three: `1,234,567`.
pub fn grouped(number: impl std::fmt::Display) -> String {
    let digits = number.to_string();
    let digits = digits.as_str();
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    text.push_str(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(table: &Table, width: Option<usize>) -> String {
        let mut out = Vec::new();
        table.draw(&mut out, Style::PLAIN, width).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_align_and_numbers_are_grouped() {
        let mut table = Table::new(&["rule", ">alerts"]);
        table.row(["CloudTrail stopped".into(), 1_234_567_u64.into()]);
        table.row(["x".into(), 3_u64.into()]);
        assert_eq!(
            drawn(&table, None),
            "RULE                   ALERTS\nCloudTrail stopped  1,234,567\nx                           3\n"
        );
    }

    #[test]
    fn the_widest_column_gives_way() {
        let mut table = Table::new(&["a", "b"]);
        table.row(["short".into(), "a very long text that does not fit".into()]);
        assert_eq!(drawn(&table, Some(24)), "A      B\nshort  a very long text…\n");
    }

    #[test]
    fn escape_sequences_in_values_are_shown_not_obeyed() {
        let mut table = Table::new(&["a"]);
        table.row(["\u{1b}[2J".into()]);
        assert_eq!(drawn(&table, None), "A\n␛[2J\n");
    }
}
