//! Progress bars on stderr.

use std::borrow::Cow;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A progress bar; it disappears when dropped. All methods do nothing where there is no terminal.
#[derive(Debug)]
pub struct Progress(ProgressBar);

const KNOWN: &str = "{msg} {bar:30} {human_pos}/{human_len} {eta}";
const OPEN: &str = "{spinner} {msg} {human_pos} ({per_sec})";
const KNOWN_BYTES: &str = "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
const OPEN_BYTES: &str = "{spinner} {msg} {bytes} ({bytes_per_sec})";

impl Progress {
    /// A bar that is never seen.
    pub fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }

    pub(super) fn new(label: &str, total: Option<u64>) -> Self {
        Self::drawn(label, total, if total.is_some() { KNOWN } else { OPEN })
    }

    pub(super) fn bytes(label: &str, total: Option<u64>) -> Self {
        Self::drawn(label, total, if total.is_some() { KNOWN_BYTES } else { OPEN_BYTES })
    }

    fn drawn(label: &str, total: Option<u64>, template: &str) -> Self {
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(label.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }

    /// `by` more steps are done.
    pub fn advance(&self, by: u64) {
        self.0.inc(by);
    }

    /// `done` steps are done.
    pub fn set(&self, done: u64) {
        self.0.set_position(done);
    }

    /// What is being done now.
    pub fn label(&self, label: impl Into<Cow<'static, str>>) {
        self.0.set_message(label);
    }

    /// Writes a line above the bar.
    pub fn say(&self, line: &str) {
        self.0.println(line);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
