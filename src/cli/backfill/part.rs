//! A backfill's part among the runners of a cluster: it shows that it lives and holds the leases of
//! its rules while it works, so that nobody else writes their ledgers.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::cli::{CliError, Context};
use crate::engine::{Due, Engine};
use crate::schedule::lease::partition_of;
use crate::schedule::share::{RuleKey, Share};

/// A backfill among runners; nothing where the data folder is locked instead.
pub(super) struct Part<'c> {
    context: &'c Context,
    share: Option<Share>,
    keys: Vec<RuleKey>,
    met: Instant,
}

/// A rule as sharing sees it.
fn key(due: &Due, context: &Context) -> RuleKey {
    (due.rule.object_id(&context.config().alerts.space), due.rule.rule_id.clone())
}

impl<'c> Part<'c> {
    /// Takes over the rules of `dues`; waits for the leases of runners that are dead.
    ///
    /// # Errors
    /// When the cluster cannot be asked, or another runner is at work on some of the rules.
    pub(super) fn join(context: &'c Context, engine: &Engine, dues: &[Due]) -> Result<Self, CliError> {
        let lease = context.config().schedule.lease.duration().max(Duration::from_secs(1));
        let share = context.app().leases()?.map(|store| {
            let id = format!("backfill-{}-{}", std::process::id(), uuid::Uuid::new_v4());
            Share::new(store, id.into(), lease)
        });
        let mut keys: Vec<RuleKey> = dues.iter().map(|due| key(due, context)).collect();
        keys.sort();
        keys.dedup();
        let mut part = Self { context, share, keys, met: Instant::now() };
        let begun = Instant::now();
        loop {
            part.meet(engine, &HashSet::new())?;
            let Some(share) = &part.share else { return Ok(part) };
            let others = part.keys.iter().filter(|(uuid, _)| !share.runs(uuid)).count();
            if others == 0 {
                return Ok(part);
            }
            if begun.elapsed() > lease * 2 {
                let all = part.keys.len();
                part.leave();
                return Err(CliError::usage(format!("another runner has {others} of the {all} rules"))
                    .with_help("running services fill holes by themselves; stop them to backfill by hand"));
            }
            let every = share.every();
            context.block_on(async move { tokio::time::sleep(every).await })?;
        }
    }

    /// Shows life where it is time to, while the rules of `group` are at work.
    ///
    /// # Errors
    /// When the rules of `group` were lost to another runner.
    pub(super) fn keep(&mut self, engine: &Engine, group: &[Due]) -> Result<(), CliError> {
        let every = self.share.as_ref().map(Share::every);
        if every.is_some_and(|every| self.met.elapsed() >= every) {
            let busy = self.keys.iter().map(|(uuid, _)| partition_of(uuid)).collect();
            self.meet(engine, &busy)?;
        }
        let Some(share) = &self.share else { return Ok(()) };
        match group.iter().find(|due| !share.runs(&key(due, self.context).0)) {
            None => Ok(()),
            Some(due) => Err(CliError::failed(format!(
                "another runner took rule `{}` over: what is left is for it to fill",
                due.rule.rule_id
            ))),
        }
    }

    fn meet(&mut self, engine: &Engine, busy: &HashSet<u32>) -> Result<(), CliError> {
        let Some(share) = &mut self.share else { return Ok(()) };
        self.met = Instant::now();
        let busy = |partition| busy.contains(&partition);
        let ticked = share.tick(engine, &self.keys, &busy);
        self.context.block_on(ticked)?.map_err(CliError::failed)
    }

    /// Gives the rules back.
    pub(super) fn leave(&mut self) {
        let Some(mut share) = self.share.take() else { return };
        if let Ok(Err(error)) = self.context.block_on(share.leave()) {
            self.context.warn(format!("the rules stay with this backfill until its lease ends: {error}"));
        }
    }
}
