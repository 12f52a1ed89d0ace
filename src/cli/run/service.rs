//! `tocsin run` as a service.

use std::collections::HashSet;
use std::sync::Arc;

use super::super::executions::{COLUMNS, remarks};
use super::super::{CliError, Context, Outcome};
use super::RunArgs;
use super::life::Life;
use crate::app::Swept;
use crate::engine::Trigger;
use crate::schedule::lock::ServiceLock;
use crate::schedule::service::{Event, NAP, Rules, Service};
use crate::schedule::share::Share;
use crate::store::state::{ExecutionRecord, Status};

/// Shortest lease: less would be taken for dead by a slow answer.
const LEAST: std::time::Duration = std::time::Duration::from_secs(3);

pub(super) fn run(args: &RunArgs, context: &Context, serve: bool) -> Result<Outcome, CliError> {
    let _lock = ServiceLock::take(context.data_dir()).map_err(|error| {
        CliError::usage(error.to_string()).with_help("stop it, or give this one another --data-dir")
    })?;
    let signals = context.signals()?.clone();
    let state = context.app().state().map_err(CliError::failed)?;
    let worker = super::super::notify::worker(context)?;
    let loader = Arc::clone(context.app());
    let set = super::load(args, context)?;
    super::say_findings(&set, context);
    super::check_names(&set, &args.only)?;
    let paths = &args.rules;
    let rules = Rules {
        paths: context.app().rule_sources(paths).paths(),
        load: {
            let (loader, paths) = (Arc::clone(&loader), args.rules.clone());
            Arc::new(move || loader.rules(&paths))
        },
        select: {
            let (args, config, state) = (args.clone(), context.config().clone(), Arc::clone(&state));
            Arc::new(move |set| {
                let overrides = state.enabled_overrides().unwrap_or_else(|error| {
                    tracing::error!(%error, "cannot read which rules are switched on or off here");
                    std::collections::HashMap::default()
                });
                super::select(set, &args.only, args.include_disabled, &config, &overrides)
            })
        },
    };
    let selected = (rules.select)(&set);
    let running = selected.iter().filter(|rule| set.plan(&rule.rule_id).is_some()).count();
    context.say(format!(
        "{running} rule{} on schedule; events and alerts in {}",
        if running == 1 { "" } else { "s" },
        context.data_dir().display()
    ));
    if selected.len() > running {
        context
            .say(format!("{} rules are of a kind that this version does not run", selected.len() - running));
    }
    let life = Life::new(context)?;
    let share = context.app().leases()?.map(|store| {
        let id = format!("{}-{}", std::process::id(), uuid::Uuid::new_v4());
        tracing::info!(runner = id, "this runner shares the rules with others on the cluster");
        Share::new(store, id.into(), context.config().schedule.lease.duration().max(LEAST))
    });
    let mut voice = Voice { context, life: &life, no_source: HashSet::new(), broken: None };
    let config = context.config();
    let service = Service {
        engine: Arc::new(super::engine(context, Trigger::Scheduled)?),
        watch: config.rules.reload && !rules.paths.is_empty(),
        rules,
        clock: context.clock(),
        concurrency: config.schedule.max_concurrent_executions,
        // One scan serves all rules of the embedded store; on a cluster each search is a request.
        together: if share.is_some() { 1 } else { usize::MAX },
        share,
        nap: NAP,
        policy: context.app().policy(),
        blackouts: context
            .app()
            .blackouts()
            .map_err(|error| CliError::usage(format!("`schedule.blackout`: {error}")))?,
        tell: Box::new(|event| voice.tell(event)),
        sweep: Some(sweep(context)),
    };
    let forwarders = context.app().forwarders()?;
    let forwarding = super::forward::for_ever(forwarders, context.clock());
    let work = async {
        let running = service.run(set, signals.stop(), signals.reload());
        // Before the first rule runs: who asks for an endpoint that cannot be had should know.
        let serving = if serve { Some(life.serve(signals.stop()).await?) } else { None };
        let heart = life.beat(signals.stop());
        tokio::pin!(running, forwarding, heart);
        let mut forwards = true;
        loop {
            tokio::select! {
                () = &mut running => break,
                () = &mut forwarding, if forwards => forwards = false,
                () = &mut heart => {}
            }
        }
        drop(serving);
        life.stopped();
        Ok::<(), CliError>(())
    };
    context.block_on(super::super::notify::beside(worker, &signals, work))??;
    // What the last executions wrote.
    super::forward::once(context)?;
    if let Some(error) = voice.broken {
        return Err(error);
    }
    // SIGTERM is how a service is stopped; only Ctrl-C interrupts it.
    Ok(if signals.interrupted() { Outcome::Interrupted } else { Outcome::Fine })
}

/// Forgets what is older than the configuration keeps.
fn sweep(context: &Context) -> Arc<dyn Fn() + Send + Sync> {
    let (app, clock) = (Arc::clone(context.app()), context.clock());
    Arc::new(move || match app.sweep(clock.now()) {
        Ok(swept) if swept != Swept::default() => {
            tracing::info!(
                swept.events,
                swept.alerts,
                swept.executions,
                "deleted what is older than is kept"
            );
        }
        Ok(_) => {}
        Err(error) => tracing::error!(%error, "cannot delete what is older than is kept"),
    })
}

/// Tells what the service does: records for machines, lines for people.
struct Voice<'c> {
    context: &'c Context,
    life: &'c Life,
    /// Rules of which it was said that they have no data source.
    no_source: HashSet<String>,
    /// Why stdout cannot be written any more.
    broken: Option<CliError>,
}

impl Voice<'_> {
    fn tell(&mut self, event: Event) {
        match event {
            Event::Pulse { rules, running, behind } => {
                let now = self.context.now().timestamp_millis();
                self.life.pulse(now, rules, running, behind);
            }
            Event::Executed(ended) => {
                self.life.executed(&ended);
                let records: Vec<ExecutionRecord> = ended.into_iter().map(|(record, _)| record).collect();
                if let Err(error) = self.executed(&records) {
                    // Alerts go on being written: stdout is not what the service is for.
                    tracing::error!(%error, "cannot write to stdout");
                    self.broken.get_or_insert(error);
                }
            }
            Event::Reloaded(changes) => self.context.say(format!(
                "rules reloaded: {} added, {} changed, {} removed",
                changes.added.len(),
                changes.changed.len(),
                changes.removed.len()
            )),
            Event::ReloadRefused(errors) => {
                self.context.diagnostics(&errors, None);
                self.context.warn("the changed rule files have errors: the rules from before stay in force");
            }
            Event::BadSchedule(rule, error) => {
                self.context.warn(format!("`{}` does not run: {error}", rule.name));
            }
        }
    }

    fn executed(&mut self, records: &[ExecutionRecord]) -> Result<(), CliError> {
        if !self.context.human() {
            let mut writer = self.context.records(COLUMNS);
            for record in records {
                writer.write(record)?;
            }
            return writer.flush();
        }
        for record in records {
            let said = match record.status {
                Status::NoDataSource => !self.no_source.insert(record.rule_id.clone()),
                Status::Succeeded => record.alerts == 0,
                _ => false,
            };
            if said {
                tracing::debug!(rule = record.rule_id, status = %record.status, "executed");
                continue;
            }
            let remarks = remarks(record);
            let remarks = if remarks.is_empty() { remarks } else { format!(" ({remarks})") };
            let time = self.context.time(self.context.now());
            self.context.say(super::super::style::visible(&format!(
                "{time}  {}: {}, {} alerts of {} candidates{remarks}",
                record.rule_name, record.status, record.alerts, record.candidates
            )));
        }
        Ok(())
    }
}
