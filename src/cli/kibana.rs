//! `tocsin kibana`: views of alerts for Kibana and OpenSearch Dashboards.

use std::io::Write as _;
use std::sync::Arc;

use serde_json::json;

use super::{CliError, Context, Outcome};
use crate::app::clusters;
use crate::elastic::{Client, Options};
use crate::kibana::{self, Form, Kibana};

/// Give Kibana or OpenSearch Dashboards views of alerts and executions
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tocsin kibana setup --url http://kibana:5601         data views, saved searches, dashboards
  tocsin kibana objects > tocsin.ndjson                the same, to import by hand")]
pub struct KibanaArgs {
    #[command(subcommand)]
    command: KibanaCommand,
}

#[derive(Debug, clap::Subcommand)]
enum KibanaCommand {
    /// Print the saved objects as NDJSON
    Objects {
        /// Which form: `common` is for Kibana 7.10 to 9 and OpenSearch Dashboards, `lens` for
        /// Kibana 8 and 9
        #[arg(long, value_enum, default_value_t = FormArg::Common)]
        form: FormArg,
    },
    /// Import the saved objects; those of an earlier import are replaced
    Setup {
        /// Address of Kibana or OpenSearch Dashboards. The login is that of the cluster that alerts
        /// go to
        #[arg(long, env = "TOCSIN_KIBANA_URL", value_name = "URL")]
        url: String,
        /// Kibana space [default: `alerts.space`]
        #[arg(long, value_name = "SPACE")]
        space: Option<String>,
        /// Which form [default: the richest that the site takes]
        #[arg(long, value_enum)]
        form: Option<FormArg>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FormArg {
    Common,
    Lens,
}

impl From<FormArg> for Form {
    fn from(form: FormArg) -> Self {
        match form {
            FormArg::Common => Self::Common,
            FormArg::Lens => Self::Lens,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// When the site cannot be reached or takes nothing.
pub fn run(args: KibanaArgs, context: &Context) -> Result<Outcome, CliError> {
    match args.command {
        KibanaCommand::Objects { form } => {
            let text = kibana::ndjson(&context.app().names()?, form.into());
            context.out().write_all(text.as_bytes())?;
            Ok(Outcome::Fine)
        }
        KibanaCommand::Setup { url, space, form } => setup(&url, space, form, context),
    }
}

fn setup(
    url: &str,
    space: Option<String>,
    form: Option<FormArg>,
    context: &Context,
) -> Result<Outcome, CliError> {
    let app = context.app();
    let backend = app
        .alert_clusters()
        .first()
        .and_then(|name| context.config().backend.iter().find(|backend| backend.name == *name));
    let mut options = match backend {
        Some(backend) => clusters::options(backend).map_err(CliError::failed)?,
        None => Options::new("kibana", Vec::new()),
    };
    "kibana".clone_into(&mut options.name);
    options.hosts = vec![url.to_owned()];
    let client = Client::new(options, Arc::clone(&context.clock())).map_err(CliError::failed)?;
    let kibana = Kibana::new(client, space.unwrap_or_else(|| context.config().alerts.space.clone()));
    let site = context.block_on(kibana.site())?.map_err(CliError::failed)?;
    let form = form.map_or_else(|| site.form(), Form::from);
    let text = kibana::ndjson(&app.names()?, form);
    let imported = context.block_on(kibana.import(&text))?.map_err(CliError::failed)?;
    if context.human() {
        context.say(format!("{site}: {} objects imported", imported.imported));
    } else {
        let refused: Vec<_> = imported
            .refused
            .iter()
            .map(|(kind, id, why)| json!({"type": kind, "id": id, "reason": why}))
            .collect();
        let document = json!({"site": site.to_string(), "imported": imported.imported, "refused": refused});
        context.document(&document, &["site", "imported"])?;
    }
    for (kind, id, why) in &imported.refused {
        context.warn(format!("{kind} `{id}` was refused: {why}"));
    }
    Ok(if imported.refused.is_empty() { Outcome::Fine } else { Outcome::Findings })
}
