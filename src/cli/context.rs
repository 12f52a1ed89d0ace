//! What every command is given: settings after flags, environment and file, and where to write.

use std::fmt;
use std::io::{self, IsTerminal, LineWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::args::{BackendChoice, ColorChoice, Globals, WindowClock};
use super::error::CliError;
use super::output::{self, Format, RecordWriter};
use super::progress::Progress;
use super::signals::Signals;
use super::style::Style;
use super::table::Table;
use super::{Outcome, render};
use crate::app::App;
use crate::base::clock::{Clock, ManualClock, SystemClock};
use crate::base::datemath::{self, Rounding};
use crate::base::diagnostic::Diagnostic;
use crate::config::{Config, LoadRequest, Loaded};
use crate::telemetry;

type Sink = Box<dyn Write + Send>;

/// How long a thread for blocking work waits for more.
const THREADS_REST: std::time::Duration = std::time::Duration::from_mins(15);

/// What every command is given.
pub struct Context {
    loaded: Loaded,
    app: Arc<App>,
    backend: BackendChoice,
    format: Option<Format>,
    color: ColorChoice,
    utc: bool,
    verbosity: i16,
    window_clock: Option<WindowClock>,
    at: Option<DateTime<Utc>>,
    clock: Arc<dyn Clock>,
    out: Mutex<Sink>,
    terminal: bool,
    signals: OnceLock<Signals>,
    runtime: OnceLock<tokio::runtime::Runtime>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("loaded", &self.loaded)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

impl Context {
    /// Reads configuration file, environment and flags.
    ///
    /// # Errors
    /// What is wrong with any of them.
    pub fn build(globals: &Globals) -> Result<Self, CliError> {
        let request = LoadRequest { file: globals.config.clone(), data_dir: globals.data_dir.clone() };
        let loaded = crate::config::load(&request).map_err(|found| {
            CliError::Text(
                found
                    .into_iter()
                    .map(|(diagnostic, text)| super::error::Finding { diagnostic, text })
                    .collect(),
            )
        })?;
        let at = globals.at.as_deref().map(|text| resolve_at(text, SystemClock.now())).transpose()?;
        let clock: Arc<dyn Clock> = match at {
            Some(at) => Arc::new(ManualClock::new(at)),
            None => Arc::new(SystemClock),
        };
        let terminal = io::stdout().is_terminal();
        // Lines appear at once on a terminal; elsewhere writes are gathered.
        let out: Sink = if terminal {
            Box::new(LineWriter::new(io::stdout()))
        } else {
            Box::new(io::BufWriter::with_capacity(1 << 16, io::stdout()))
        };
        let mut loaded = loaded;
        let mut home = None;
        if let Some(BackendChoice::Url(url)) = &globals.backend {
            let keep = loaded.is_set("alerts.to");
            let failed = |diagnostic| CliError::Text(vec![super::error::Finding { diagnostic, text: None }]);
            home = Some(loaded.config.only_on(url, keep).map_err(failed)?);
        }
        let app = App::new(loaded.config.clone(), Arc::clone(&clock));
        Ok(Self {
            app: Arc::new(match home {
                Some(home) => app.at_home_on(home),
                None => app,
            }),
            loaded,
            backend: globals.backend.clone().unwrap_or(BackendChoice::Embedded),
            format: globals.format,
            color: globals.color,
            utc: globals.utc,
            verbosity: verbosity(globals)?,
            window_clock: globals.clock,
            at,
            clock,
            out: Mutex::new(out),
            terminal,
            signals: OnceLock::new(),
            runtime: OnceLock::new(),
        })
    }

    /// The effective configuration.
    pub fn config(&self) -> &Config {
        &self.loaded.config
    }

    /// The effective configuration with where each value came from.
    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// Store, state, rules: opened when they are first asked for, and once.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Folder of the embedded store and of local state.
    pub fn data_dir(&self) -> &Path {
        &self.loaded.config.data_dir
    }

    /// Where events are.
    pub fn backend(&self) -> &BackendChoice {
        &self.backend
    }

    /// How results are written: as asked, else `human` on a terminal and `ndjson` elsewhere.
    pub fn format(&self) -> Format {
        self.format.unwrap_or(if self.terminal { Format::Human } else { Format::Ndjson })
    }

    /// The format that was asked for, if one was.
    pub fn requested_format(&self) -> Option<Format> {
        self.format
    }

    /// Whether results are for people.
    pub fn human(&self) -> bool {
        self.format() == Format::Human
    }

    /// The instant that counts as now: `--at`, else the machine's time.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The clock behind [`Context::now`]; it stands still with `--at`.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// `--at`, when given.
    pub fn at(&self) -> Option<DateTime<Utc>> {
        self.at
    }

    /// `--clock`, when given; the default is the command's: `event` for the past (`--at`), `ingest`
    /// in the running service.
    pub fn window_clock(&self) -> Option<WindowClock> {
        self.window_clock
    }

    /// A time for people: local with offset, or UTC with `--utc`.
    pub fn time(&self, at: DateTime<Utc>) -> String {
        if self.utc {
            at.format("%Y-%m-%d %H:%M:%SZ").to_string()
        } else {
            at.with_timezone(&chrono::Local).format("%Y-%m-%d %H:%M:%S %:z").to_string()
        }
    }

    /// Resolves a time argument (`--from`, `--to`): RFC 3339 or date math on [`Context::now`].
    ///
    /// # Errors
    /// A finding with the place in `text`; `flag` names the argument.
    pub fn resolve_time(
        &self,
        flag: &str,
        text: &str,
        rounding: Rounding,
    ) -> Result<DateTime<Utc>, CliError> {
        datemath::resolve(text, self.now(), rounding)
            .map_err(|diagnostic| in_argument(flag, diagnostic, text))
    }

    /// Colours for stdout.
    pub fn style(&self) -> Style {
        Style::stdout(self.color)
    }

    /// Colours for stderr.
    pub fn stderr_style(&self) -> Style {
        Style::stderr(self.color)
    }

    /// Stdout. What is written through it reaches the reader when the guard is dropped.
    pub fn out(&self) -> OutGuard<'_> {
        OutGuard(self.out_buffered())
    }

    /// Stdout, without handing over at the end.
    pub(super) fn out_buffered(&self) -> MutexGuard<'_, Sink> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A writer of records in the machine format; `columns` are the dotted paths that
    /// `--format csv` shows.
    pub fn records<'c>(&'c self, columns: &'c [&'c str]) -> RecordWriter<'c> {
        RecordWriter::new(self, columns)
    }

    /// Writes a single document in the machine format; `columns` as for [`Context::records`].
    ///
    /// # Errors
    /// When stdout cannot be written, or the format is not one for documents.
    pub fn document(&self, document: &impl Serialize, columns: &[&str]) -> Result<(), CliError> {
        output::document(self, document, columns)
    }

    /// Draws a table to stdout, as wide as the terminal.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn table(&self, table: &Table) -> Result<(), CliError> {
        table.draw(&mut self.out(), self.style(), self.width())?;
        Ok(())
    }

    /// Columns of the terminal, or those that `COLUMNS` asks for; `None` when stdout is no
    /// terminal and nothing is asked.
    pub fn width(&self) -> Option<usize> {
        if !self.terminal {
            let asked = std::env::var_os("COLUMNS")?;
            return asked.to_str()?.parse().ok().filter(|columns| *columns > 0);
        }
        console::Term::stdout().size_checked().map(|(_, columns)| usize::from(columns))
    }

    /// A progress bar on stderr over `total` steps (`None`: unknown); silent unless stderr is a
    /// terminal, and with `-q`.
    pub fn progress(&self, label: &str, total: Option<u64>) -> Progress {
        if self.verbosity < 0 || !io::stderr().is_terminal() {
            return Progress::hidden();
        }
        Progress::new(label, total)
    }

    /// Like [`Context::progress`], over bytes.
    pub fn progress_bytes(&self, label: &str, total: Option<u64>) -> Progress {
        if self.verbosity < 0 || !io::stderr().is_terminal() {
            return Progress::hidden();
        }
        Progress::bytes(label, total)
    }

    /// Shows findings on stderr: file, line, caret, help. `text` is what they are about; without
    /// it, the files they name are read.
    pub fn diagnostics(&self, diagnostics: &[Diagnostic], text: Option<&str>) {
        let mut stderr = io::stderr().lock();
        for diagnostic in diagnostics {
            // Nobody is left to tell when stderr is gone.
            drop(render::diagnostic(&mut stderr, diagnostic, text, self.stderr_style()));
        }
    }

    /// Whether more is wanted than what everybody should see: `-v`.
    pub fn verbose(&self) -> bool {
        self.verbosity > 0
    }

    /// Says something on stderr, unless `-q`.
    pub fn say(&self, message: impl fmt::Display) {
        if self.verbosity >= 0 {
            drop(writeln!(io::stderr().lock(), "{message}"));
        }
    }

    /// Warns on stderr, unless `-qq`.
    pub fn warn(&self, message: impl fmt::Display) {
        if self.verbosity >= -1 {
            let label = self.stderr_style().yellow("warning:");
            drop(writeln!(io::stderr().lock(), "{label} {message}"));
        }
    }

    /// Shows what the configuration is to be warned about: always when a service starts, else with
    /// `-v`; `doctor` lists it too.
    pub(super) fn say_warnings(&self, service: bool) {
        if self.verbosity > 0 || (service && self.verbosity >= -1) {
            let mut stderr = io::stderr().lock();
            for (diagnostic, text) in &self.loaded.warnings {
                drop(render::diagnostic(&mut stderr, diagnostic, text.as_deref(), self.stderr_style()));
            }
        }
    }

    /// Starts listening for SIGINT, SIGTERM and SIGHUP. Until a command asks, SIGINT and SIGTERM
    /// end the process at once; a command that asks has to end by itself.
    ///
    /// # Errors
    /// When the system refuses handlers.
    pub fn signals(&self) -> Result<&Signals, CliError> {
        if self.signals.get().is_none() {
            let signals = Signals::listen()
                .map_err(|error| CliError::failed(format!("cannot listen for signals: {error}")))?;
            drop(self.signals.set(signals));
        }
        self.signals.get().ok_or_else(|| CliError::failed("cannot listen for signals"))
    }

    /// Runs a future to its end on the process's one runtime.
    ///
    /// # Errors
    /// When no runtime can be started.
    pub fn block_on<F: Future>(&self, future: F) -> Result<F::Output, CliError> {
        if self.runtime.get().is_none() {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                // A thread that ends leaves its part of the heap behind: a service that searches every
                // second would leave one a second.
                .thread_keep_alive(THREADS_REST)
                .build()
                .map_err(|error| CliError::failed(format!("cannot start the runtime: {error}")))?;
            drop(self.runtime.set(runtime));
        }
        match self.runtime.get() {
            Some(runtime) => Ok(runtime.block_on(future)),
            None => Err(CliError::failed("cannot start the runtime")),
        }
    }

    /// Settings of logging: the configured level for services, warnings for the rest, moved by
    /// `-v` and `-q`.
    pub(super) fn telemetry(&self, service: bool) -> telemetry::Settings {
        let log = &self.loaded.config.log;
        let configured = self.loaded.is_set("log.level");
        let base = if service || configured { log.level } else { crate::config::LogLevel::Warn };
        telemetry::Settings {
            level: base.moved(self.verbosity),
            format: log.format,
            color: self.stderr_style().enabled(),
        }
    }

    /// Refuses a command that cannot use a cluster yet.
    pub(super) fn require_embedded(&self, command: &str) -> Result<(), CliError> {
        match &self.backend {
            BackendChoice::Embedded => Ok(()),
            BackendChoice::Url(url) => Err(CliError::usage(format!(
                "`tocsin {command}` works on the embedded store only in this version, not on `{url}`"
            ))
            .with_help("leave out --backend and TOCSIN_BACKEND; `tocsin doctor` can check that the cluster is reachable")),
        }
    }

    /// Refuses to look into a data folder that is not there: a mistyped path would read as "nothing
    /// found".
    pub(super) fn require_data_dir(&self) -> Result<(), CliError> {
        if self.data_dir().is_dir() {
            return Ok(());
        }
        Err(CliError::failed(format!("there is no data folder `{}`", self.data_dir().display()))
            .with_help("`tocsin ingest` and `tocsin run` make one; --data-dir names another"))
    }

    /// Where rules are read when the command line names no path: `rules.paths` of the
    /// configuration. Empty: the rules shipped in the binary.
    pub fn rule_paths(&self) -> &[PathBuf] {
        &self.loaded.config.rules.paths
    }

    /// `outcome`, unless a signal asked to stop.
    pub fn finish(&self, outcome: Outcome) -> Outcome {
        match self.signals.get() {
            Some(signals) if signals.stopping() => Outcome::Interrupted,
            _ => outcome,
        }
    }
}

/// Stdout for the time of a statement; flushed when dropped.
pub struct OutGuard<'c>(MutexGuard<'c, Sink>);

impl Write for OutGuard<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Drop for OutGuard<'_> {
    fn drop(&mut self) {
        // What could not be written stays in the buffer, and the last flush reports it.
        drop(self.0.flush());
    }
}

fn resolve_at(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, CliError> {
    datemath::resolve(text, now, Rounding::Down).map_err(|diagnostic| in_argument("--at", diagnostic, text))
}

fn in_argument(flag: &str, mut diagnostic: Diagnostic, text: &str) -> CliError {
    diagnostic.message = format!("{flag}: {}", diagnostic.message);
    if diagnostic.help.is_none() {
        diagnostic.help =
            Some("RFC 3339 (`2026-11-01T12:00:00Z`) or date math (`now-60m`, `now/d`)".to_owned());
    }
    CliError::text(diagnostic, text)
}

fn verbosity(globals: &Globals) -> Result<i16, CliError> {
    let verbose = if globals.verbose > 0 { globals.verbose } else { count("TOCSIN_VERBOSE")? };
    let quiet = if globals.quiet > 0 { globals.quiet } else { count("TOCSIN_QUIET")? };
    Ok(i16::from(verbose) - i16::from(quiet))
}

/// How often a counted flag is given by the environment.
fn count(name: &str) -> Result<u8, CliError> {
    match std::env::var_os(name) {
        None => Ok(0),
        Some(value) => match value.to_str() {
            Some("" | "false" | "no" | "off") => Ok(0),
            Some("true" | "yes" | "on") => Ok(1),
            Some(text) => text.parse().map_err(|_| {
                CliError::usage(format!("{name}: `{text}` is no number")).with_help("use 0, 1 or 2")
            }),
            None => Err(CliError::usage(format!("{name} is not UTF-8"))),
        },
    }
}
