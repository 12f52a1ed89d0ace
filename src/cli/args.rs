//! The tree of commands and the flags all of them take.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use super::output::Format;
use super::{
    alerts, backfill, compile, completions, config, coverage, demo, doctor, executions, export, ingest,
    kibana, notify, rules, run, search, setup, silence, store, test, version,
};

/// Detection rules in Elastic's formats, run where your events are.
///
/// tocsin reads events (CloudTrail to begin with), keeps them in a local store, runs detection
/// rules over them on their schedules and writes alerts in Kibana's schema.
#[derive(Debug, Parser)]
#[command(
    name = "tocsin",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    max_term_width = 110,
    after_help = AFTER_HELP
)]
pub struct Cli {
    /// Flags every command takes.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  tocsin demo                                          see it work, on sample data
  tocsin ingest ./cloudtrail/                          read a folder of CloudTrail files
  tocsin search 'event.action:StopLogging'             look for events
  tocsin run --once --at 2026-11-01T12:00:00Z          run every rule once, as if it were then
  tocsin alerts list --status open                     what was found
  tocsin alerts show ID                                one alert in full, with its guide

Exit codes: 0 fine · 1 findings · 2 usage, configuration or I/O · 130 interrupted";

/// Flags every command takes. A flag beats its environment variable, which beats the file.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// Configuration file [default: ./tocsin.toml, then the user's configuration folder, then
    /// /etc/tocsin/tocsin.toml]
    #[arg(long, global = true, value_name = "FILE", env = "TOCSIN_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where events are: `embedded`, or the URL of an Elasticsearch or OpenSearch
    #[arg(long, global = true, value_name = "embedded|URL", env = "TOCSIN_BACKEND", value_parser = backend)]
    pub backend: Option<BackendChoice>,
    /// Folder of the embedded store and of local state [default: ./tocsin-data]
    #[arg(long, global = true, value_name = "DIR", env = "TOCSIN_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// How results are written [default: human on a terminal, else ndjson]
    #[arg(long, global = true, value_enum, value_name = "FORMAT", env = "TOCSIN_FORMAT")]
    pub format: Option<Format>,
    /// Say more on stderr; twice: still more [env: `TOCSIN_VERBOSE`]
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Say less on stderr; twice: nothing but errors [env: `TOCSIN_QUIET`]
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub quiet: u8,
    /// Colour in human output
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        env = "TOCSIN_COLOR",
        default_value_t = ColorChoice::Auto
    )]
    pub color: ColorChoice,
    /// Times for people in UTC instead of local time
    #[arg(
        long,
        global = true,
        env = "TOCSIN_UTC",
        value_parser = clap::builder::FalseyValueParser::new(),
        action = clap::ArgAction::SetTrue
    )]
    pub utc: bool,
    /// Which time of an event places it in a window of the past
    #[arg(long, global = true, value_enum, value_name = "CLOCK", env = "TOCSIN_CLOCK")]
    pub clock: Option<WindowClock>,
    /// The time that counts as now: RFC 3339 or date math (`now-1h`, `2026-11-01||+1d`)
    #[arg(long, global = true, value_name = "TIME")]
    pub at: Option<String>,
}

/// When output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Which time of an event places it in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WindowClock {
    /// The event's own time; events that arrived after the window count by it too.
    Event,
    /// When the event arrived, as in the running service.
    Ingest,
}

/// Where events are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackendChoice {
    /// The store in the data folder.
    Embedded,
    /// An Elasticsearch or OpenSearch.
    Url(String),
}

fn backend(text: &str) -> Result<BackendChoice, String> {
    if text == "embedded" {
        return Ok(BackendChoice::Embedded);
    }
    match reqwest::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
            Ok(BackendChoice::Url(text.to_owned()))
        }
        _ => Err("expected `embedded` or a URL such as `https://es1:9200`".to_owned()),
    }
}

/// What to do. Each command's own file says what it takes.
#[derive(Debug, Subcommand)]
pub enum Command {
    #[expect(missing_docs, reason = "the command's arguments carry its help")]
    Demo(demo::DemoArgs),
    #[expect(missing_docs, reason = "the command's arguments carry its help")]
    Ingest(ingest::IngestArgs),
    #[expect(missing_docs, reason = "the command's arguments carry its help")]
    Search(search::SearchArgs),
    #[expect(missing_docs, reason = "the command's arguments carry its help")]
    Compile(compile::CompileArgs),
    #[expect(missing_docs, reason = "the command's arguments carry its help")]
    Rules(rules::RulesArgs),
    #[expect(missing_docs, reason = "the command's arguments carry its help")]
    Test(test::TestArgs),
    #[expect(missing_docs, reason = "the command's arguments carry its help")]
    Run(run::RunArgs),
    #[expect(missing_docs, reason = "the command's arguments carry its help")]
    Serve(run::ServeArgs),
    #[expect(missing_docs, reason = "the command's arguments carry its help")]
    Alerts(alerts::AlertsArgs),
    #[expect(missing_docs, reason = "the command's arguments carry its help")]
    Notify(notify::NotifyArgs),
    #[expect(missing_docs, reason = "the command's arguments carry its help")]
    Silence(silence::SilenceArgs),
    #[expect(missing_docs, reason = "the command's arguments carry its help")]
    Executions(executions::ExecutionsArgs),
    #[expect(missing_docs, reason = "the command's arguments carry its help")]
    Coverage(coverage::CoverageArgs),
    #[expect(missing_docs, reason = "the command's arguments carry its help")]
    Backfill(backfill::BackfillArgs),
    #[expect(missing_docs, reason = "the command's arguments carry its help")]
    Store(store::StoreArgs),
    #[expect(missing_docs, reason = "the command's arguments carry its help")]
    Setup(setup::SetupArgs),
    #[expect(missing_docs, reason = "the command's arguments carry its help")]
    Kibana(kibana::KibanaArgs),
    #[expect(missing_docs, reason = "the command's arguments carry its help")]
    Export(export::ExportArgs),
    #[expect(missing_docs, reason = "the command's arguments carry its help")]
    Config(config::ConfigArgs),
    #[expect(missing_docs, reason = "the command's arguments carry its help")]
    Doctor(doctor::DoctorArgs),
    #[expect(missing_docs, reason = "the command's arguments carry its help")]
    Completions(completions::CompletionsArgs),
    #[expect(missing_docs, reason = "the command's arguments carry its help")]
    Version(version::VersionArgs),
}

impl Command {
    /// Its name on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Demo(_) => "demo",
            Self::Ingest(_) => "ingest",
            Self::Search(_) => "search",
            Self::Compile(_) => "compile",
            Self::Rules(_) => "rules",
            Self::Test(_) => "test",
            Self::Run(_) => "run",
            Self::Serve(_) => "serve",
            Self::Alerts(_) => "alerts",
            Self::Notify(_) => "notify",
            Self::Silence(_) => "silence",
            Self::Executions(_) => "executions",
            Self::Coverage(_) => "coverage",
            Self::Backfill(_) => "backfill",
            Self::Store(_) => "store",
            Self::Setup(_) => "setup",
            Self::Kibana(_) => "kibana",
            Self::Export(_) => "export",
            Self::Config(_) => "config",
            Self::Doctor(_) => "doctor",
            Self::Completions(_) => "completions",
            Self::Version(_) => "version",
        }
    }

    /// Whether it works on stored events, so that `--backend URL` would have to mean something.
    pub fn needs_events(&self) -> bool {
        matches!(self, Self::Ingest(_) | Self::Store(_))
    }

    /// Whether it stays up, so that its log is worth more than warnings.
    pub fn is_service(&self) -> bool {
        matches!(self, Self::Run(_) | Self::Serve(_))
    }
}
