//! One run: virtual time, runners, and the faults that befall them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize as _;
use tocsin::base::clock::Clock;
use tocsin::base::intervals::Interval;
use tocsin::engine::{Engine, Settings};
use tocsin::schedule::blackout::Blackouts;
use tocsin::schedule::owed::Policy;
use tocsin::schedule::service::{Event, Rules, Service};
use tocsin::schedule::share::Share;
use tocsin::store::state::RuleState;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backend::{Arrivals, KindsOf, REFRESH};
use super::cluster::Cluster;
use super::corpus::{self, Alert, Corpus, DAY, HOUR, LENGTH, Random, START, at, rule_count};
use super::faults::{self, Fault, RUNNERS};
use super::wire;

/// How long a runner that shows no life keeps its rules: long, so that two weeks are few steps.
const LEASE: Duration = Duration::from_hours(1);

/// A bug put in on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    None,
    /// Coverage is entered although the alerts were not written.
    CoverageWithoutAlerts,
    /// The store takes what is written under a stale token.
    TokensIgnored,
    /// What was missed is not made up for.
    MissedSlotsForgotten,
    /// Nobody looks for what arrives late.
    LateEventsForgotten,
    /// The store says that it has written and has not.
    WritesForgotten,
    /// A search gives fewer hits than there are and does not say so.
    PagesLost,
}

/// How a run ended.
pub(super) struct Outcome {
    pub faults: u64,
    pub executions: u64,
    pub alerts: usize,
    pub wrong: Vec<String>,
    story: Vec<String>,
    log: BTreeMap<String, Vec<String>>,
}

impl Outcome {
    pub(super) fn story(&self) -> String {
        format!(
            "{} faults, {} executions, {} alerts\n  {}",
            self.faults,
            self.executions,
            self.alerts,
            self.story.join("\n  ")
        )
    }

    /// The executions of the rules that something is wrong with.
    pub(super) fn executions_of_the_wrong(&self) -> String {
        let named = |rule: &str| self.wrong.iter().any(|wrong| wrong.contains(rule));
        let wrong = self.log.iter().filter(|(rule, _)| named(rule));
        wrong.map(|(rule, log)| format!("{rule}\n  {}\n", log.join("\n  "))).collect()
    }
}

/// What all runners share.
pub(super) struct Common {
    pub corpus: Arc<Corpus>,
    pub arrivals: Arrivals,
    pub kinds: KindsOf,
    pub bug: Bug,
    cluster: Mutex<Cluster>,
    began: Instant,
    random: Mutex<Random>,
    storm: AtomicI64,
    refusals: AtomicI64,
    slow: AtomicI64,
    lost: AtomicU32,
    doubled: AtomicU32,
    partial: AtomicU32,
    unreached: AtomicU32,
    broken: AtomicU32,
    fired: AtomicU64,
}

impl Common {
    /// True time, ms.
    pub(super) fn now(&self) -> i64 {
        START + self.began.elapsed().as_millis() as i64
    }

    pub(super) fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap()
    }

    /// True in so many of a hundred cases.
    pub(super) fn draw(&self, percent: i64) -> bool {
        self.random.lock().unwrap().chance(percent)
    }

    pub(super) fn below(&self, limit: i64) -> i64 {
        self.random.lock().unwrap().below(limit)
    }

    fn during(&self, until: &AtomicI64) -> bool {
        let on = self.now() < until.load(Ordering::Relaxed);
        self.fired.fetch_add(u64::from(on), Ordering::Relaxed);
        on
    }

    fn take(&self, count: &AtomicU32) -> bool {
        let taken = count.load(Ordering::Relaxed) > 0;
        if taken {
            count.fetch_sub(1, Ordering::Relaxed);
            self.fired.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    pub(super) fn storms(&self) -> bool {
        self.during(&self.storm)
    }

    pub(super) fn refuses_writes(&self) -> bool {
        self.during(&self.refusals)
    }

    pub(super) fn take_lost(&self) -> bool {
        self.take(&self.lost)
    }

    pub(super) fn take_doubled(&self) -> bool {
        self.take(&self.doubled)
    }

    pub(super) fn take_partial(&self) -> bool {
        self.take(&self.partial)
    }

    pub(super) fn take_unreached(&self) -> bool {
        self.take(&self.unreached)
    }

    pub(super) fn take_broken(&self) -> bool {
        self.take(&self.broken)
    }
}

/// Whether a runner may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    Still,
    Dead,
}

/// One incarnation of a runner's way to the world.
#[derive(Clone)]
pub(super) struct Port {
    pub world: Arc<Common>,
    gate: Arc<watch::Sender<Gate>>,
    /// Writes until it dies in the middle of one.
    dies_after: Arc<AtomicI64>,
}

impl Port {
    /// Waits while the runner stands still; for ever when it is dead.
    pub(super) async fn pass(&self) {
        let mut gate = self.gate.subscribe();
        loop {
            let now = *gate.borrow_and_update();
            match now {
                Gate::Open => return,
                Gate::Dead => std::future::pending().await,
                Gate::Still => drop(gate.changed().await),
            }
        }
    }

    pub(super) async fn latency(&self) {
        let slow = self.world.now() < self.world.slow.load(Ordering::Relaxed);
        let most = if slow { 400_000 } else { 900 };
        let ms = self.world.below(most) as u64;
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    /// A cluster takes less time to write than to search, unless it is slow.
    pub(super) async fn latency_of_writes(&self) {
        let slow = self.world.now() < self.world.slow.load(Ordering::Relaxed);
        let ms = self.world.below(if slow { 50_000 } else { 90 }) as u64;
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    /// Half of a write is done.
    pub(super) async fn write_begun(&self) {
        let left = self.dies_after.fetch_sub(1, Ordering::Relaxed);
        if left == 0 {
            self.gate.send_replace(Gate::Dead);
        }
        self.pass().await;
    }
}

/// The clock of one runner.
pub(super) struct RunnerClock {
    world: Arc<Common>,
    wrong: Arc<AtomicI64>,
}

impl Clock for RunnerClock {
    fn now(&self) -> DateTime<Utc> {
        at(self.world.now() + self.wrong.load(Ordering::Relaxed))
    }
}

/// A runner and how to get at it.
struct Runner {
    wrong: Arc<AtomicI64>,
    port: Option<Port>,
    stop: CancellationToken,
    task: Option<tokio::task::JoinHandle<()>>,
    reload: watch::Sender<u64>,
}

pub(super) struct World {
    common: Arc<Common>,
    versions: Arc<Mutex<Vec<u32>>>,
    runners: RefCell<Vec<Runner>>,
    incarnation: AtomicU64,
    together: usize,
    story: RefCell<Vec<String>>,
}

fn policy(bug: Bug) -> Policy {
    let late_every = if bug == Bug::LateEventsForgotten { 1_000 * LENGTH } else { 3 * HOUR };
    let catch_up = if bug == Bug::MissedSlotsForgotten { 0 } else { 7 * 24 * HOUR };
    Policy { settle: 15 * 60_000, measured: false, lag: 2 * REFRESH, catch_up, late: 24 * HOUR, late_every }
}

impl World {
    /// Runs a seed for so many days of virtual time.
    pub(super) async fn run(corpus: Arc<Corpus>, seed: u64, bug: Bug, days: i64) -> Outcome {
        let common = Arc::new(Common {
            arrivals: Arrivals::draw(&corpus, seed),
            corpus,
            kinds: KindsOf::default(),
            bug,
            cluster: Mutex::default(),
            began: Instant::now(),
            random: Mutex::new(Random::new(seed)),
            storm: AtomicI64::new(0),
            refusals: AtomicI64::new(0),
            slow: AtomicI64::new(0),
            lost: AtomicU32::new(0),
            doubled: AtomicU32::new(0),
            partial: AtomicU32::new(0),
            unreached: AtomicU32::new(0),
            broken: AtomicU32::new(0),
            fired: AtomicU64::new(0),
        });
        let runner = |_| Runner {
            wrong: Arc::new(AtomicI64::new(0)),
            port: None,
            stop: CancellationToken::new(),
            task: None,
            reload: watch::channel(0).0,
        };
        let world = Rc::new(Self {
            common,
            versions: Arc::new(Mutex::new(vec![0; rule_count()])),
            runners: RefCell::new((0..RUNNERS).map(runner).collect()),
            incarnation: AtomicU64::new(0),
            together: if seed.is_multiple_of(2) { usize::MAX } else { 1 },
            story: RefCell::default(),
        });
        for n in 0..RUNNERS {
            world.start(n);
        }
        let faults = faults::draw(seed, rule_count(), days);
        let drawn = faults.len() as u64;
        for (after, fault) in faults {
            world.until(after).await;
            world.say(&format!("{fault:?}"));
            world.befall(fault);
        }
        world.until(days * DAY).await;
        for n in 0..RUNNERS {
            world.runners.borrow()[n].stop.cancel();
        }
        let common = &world.common;
        let cluster = common.cluster();
        Outcome {
            faults: drawn,
            executions: cluster.executions,
            alerts: cluster.documents(&wire::names().alerts.name).count(),
            wrong: check(common, &cluster, days),
            story: world.story.take(),
            log: cluster.log.clone(),
        }
    }

    async fn until(&self, after: i64) {
        tokio::time::sleep_until(self.common.began + Duration::from_millis(after as u64)).await;
    }

    fn say(&self, what: &str) {
        self.story.borrow_mut().push(format!("{}  {what}", at(self.common.now()).format("%m-%d %H:%M")));
    }

    /// Starts a runner anew, unless it runs.
    fn start(self: &Rc<Self>, n: usize) {
        if self.runners.borrow()[n].task.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let id: Arc<str> = format!("runner-{n}-{}", self.incarnation.fetch_add(1, Ordering::Relaxed)).into();
        let gate = Arc::new(watch::channel(Gate::Open).0);
        let port =
            Port { world: Arc::clone(&self.common), gate, dies_after: Arc::new(AtomicI64::new(i64::MAX)) };
        let mut runners = self.runners.borrow_mut();
        let runner = &mut runners[n];
        runner.stop = CancellationToken::new();
        runner.wrong.store(0, Ordering::Relaxed);
        runner.port = Some(port.clone());
        let clock =
            Arc::new(RunnerClock { world: Arc::clone(&self.common), wrong: Arc::clone(&runner.wrong) });
        let (stop, reload) = (runner.stop.clone(), runner.reload.subscribe());
        let (versions, together) = (Arc::clone(&self.versions), self.together);
        runner.task =
            Some(tokio::task::spawn_local(serve(port, id, clock, stop, reload, versions, together)));
    }

    /// Ends a runner at once and starts it again after `down`.
    fn crash(self: &Rc<Self>, n: usize, down: i64) {
        {
            let mut runners = self.runners.borrow_mut();
            let runner = &mut runners[n];
            if let Some(port) = &runner.port {
                port.gate.send_replace(Gate::Dead);
            }
            if let Some(task) = runner.task.take() {
                task.abort();
            }
        }
        self.later(down, move |world| world.start(n));
    }

    fn later(self: &Rc<Self>, after: i64, then: impl FnOnce(&Rc<Self>) + 'static) {
        let world = Rc::clone(self);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(Duration::from_millis(after as u64)).await;
            then(&world);
        });
    }

    fn befall(self: &Rc<Self>, fault: Fault) {
        let common = &self.common;
        let until = |lasts: i64| common.now() + lasts;
        match fault {
            Fault::Crash { runner, down } => self.crash(runner, down),
            Fault::CrashAtWrite { runner, after, down } => {
                if let Some(port) = &self.runners.borrow()[runner].port {
                    port.dies_after.store(i64::from(after), Ordering::Relaxed);
                }
                // Whatever it is doing by then, it is started anew.
                self.later(down + HOUR, move |world| world.crash(runner, 1_000));
            }
            Fault::Restart { runner, down } => {
                self.runners.borrow()[runner].stop.cancel();
                self.later(down + 10 * 60_000, move |world| world.crash(runner, 1_000));
            }
            Fault::Pause { runner, still } => {
                let gate = self.runners.borrow()[runner].port.as_ref().map(|port| Arc::clone(&port.gate));
                let Some(gate) = gate else { return };
                let open = |from: Gate, to: Gate, gate: &watch::Sender<Gate>| {
                    gate.send_if_modified(|now| {
                        let changes = *now == from;
                        if changes {
                            *now = to;
                        }
                        changes
                    });
                };
                open(Gate::Open, Gate::Still, &gate);
                self.later(still, move |_| open(Gate::Still, Gate::Open, &gate));
            }
            Fault::Clock { runner, by, wrong } => {
                let clock = Arc::clone(&self.runners.borrow()[runner].wrong);
                clock.store(by, Ordering::Relaxed);
                self.later(wrong, move |_| clock.store(0, Ordering::Relaxed));
            }
            Fault::Storm { lasts } => common.storm.store(until(lasts), Ordering::Relaxed),
            Fault::Refusals { lasts } => common.refusals.store(until(lasts), Ordering::Relaxed),
            Fault::Slow { lasts } => common.slow.store(until(lasts), Ordering::Relaxed),
            Fault::LostReplies(count) => common.lost.store(count, Ordering::Relaxed),
            Fault::Doubled(count) => common.doubled.store(count, Ordering::Relaxed),
            Fault::Partial(count) => common.partial.store(count, Ordering::Relaxed),
            Fault::Unreached(count) => common.unreached.store(count, Ordering::Relaxed),
            Fault::Broken(count) => common.broken.store(count, Ordering::Relaxed),
            Fault::Edit { rule } => {
                self.versions.lock().unwrap()[rule] += 1;
                for runner in self.runners.borrow().iter() {
                    runner.reload.send_modify(|count| *count += 1);
                }
            }
            Fault::Outage { lasts } => (0..RUNNERS).for_each(|n| self.crash(n, lasts)),
        }
    }
}

/// A runner, as `tocsin run` wires it.
async fn serve(
    port: Port,
    id: Arc<str>,
    clock: Arc<RunnerClock>,
    stop: CancellationToken,
    reload: watch::Receiver<u64>,
    versions: Arc<Mutex<Vec<u32>>>,
    together: usize,
) {
    let bug = port.world.bug;
    let (state, alerts) = wire::stores(&port, Arc::clone(&clock));
    let clock: Arc<dyn Clock> = clock;
    let port = Arc::new(port);
    let engine = loop {
        let settings = Settings::default();
        let opened =
            Engine::open(port.clone(), state.clone(), alerts.clone(), Arc::clone(&clock), settings).await;
        match opened {
            Ok(engine) => break Arc::new(engine),
            Err(_) => tokio::time::sleep(Duration::from_mins(1)).await,
        }
    };
    let load = move || corpus::rules(&versions.lock().unwrap());
    let set = load();
    let service = Service {
        engine,
        rules: Rules {
            paths: Vec::new(),
            load: Arc::new(load),
            select: Arc::new(|set| set.compiled.iter().map(|compiled| Arc::clone(&compiled.rule)).collect()),
        },
        clock,
        concurrency: 3,
        together,
        policy: policy(bug),
        blackouts: Blackouts::default(),
        share: Some(Share::new(state, id, LEASE)),
        nap: Duration::from_mins(20),
        watch: false,
        tell: Box::new(|_: Event| {}),
        sweep: None,
    };
    service.run(set, stop, reload).await;
}

/// What is wrong in the end, of the time from the first day to two days before the end: before,
/// rules have not begun, and after, what is late is still to come.
fn check(common: &Common, cluster: &Cluster, days: i64) -> Vec<String> {
    let compared = Interval::new(START + DAY, START + (days - 2) * DAY);
    let inside = |ms: i64| (compared.from..compared.until).contains(&ms);
    let mut wrong = cluster.violations.clone();
    let corpus = &common.corpus;
    let mut found: BTreeMap<String, BTreeMap<String, Alert>> = BTreeMap::new();
    for (id, source) in cluster.documents(&wire::names().alerts.name) {
        let rule = source["kibana.alert.rule.rule_id"].as_str().unwrap();
        // Of sequences and groups the alerts of their events are building blocks: they go with them.
        let block = source.get("kibana.alert.building_block_type").is_some();
        if !block {
            let alert = Alert::of(source, &corpus.events);
            found.entry(rule.to_owned()).or_default().insert(id.to_owned(), alert);
        }
    }
    let states: BTreeMap<&str, RuleState> = cluster
        .documents(&wire::names().state)
        .filter(|(_, source)| source["type"] == "rule")
        .map(|(_, source)| {
            let state = RuleState::deserialize(&source["payload"]).unwrap();
            (source["rule"].as_str().unwrap(), state)
        })
        .collect();
    for compiled in &corpus.rules.0.compiled {
        let id = &*compiled.rule.rule_id;
        let (expected, got) = (&corpus.expected[id], found.remove(id).unwrap_or_default());
        type Alerts = BTreeMap<String, Alert>;
        let lacking = |all: &Alerts, from: &Alerts| -> Vec<i64> {
            let lacking = all.iter().filter(|(id, alert)| inside(alert.at) && !from.contains_key(*id));
            lacking.map(|(_, alert)| alert.at).collect()
        };
        let differs = |(alert, one): (&String, &Alert)| {
            let other = got.get(alert)?;
            // A threshold's alert names the first event that was there in time.
            (inside(one.at) && other.suppressed != one.suppressed)
                .then(|| format!("{id}: {other:?} instead of {one:?}"))
        };
        wrong.extend(expected.iter().find_map(differs));
        let (missing, extra) = (lacking(expected, &got), lacking(&got, expected));
        for (what, times) in [("missing", missing), ("too many", extra)] {
            if let Some(first) = times.iter().min() {
                wrong.push(format!("{id}: {} alerts {what}, the first at {}", times.len(), at(*first)));
            }
        }
        let uuid = compiled.rule.object_id("default");
        let Some(state) = states.get(&*uuid) else {
            wrong.push(format!("{id} never ran"));
            continue;
        };
        let holes = state.ledger.holes_within(compared);
        if let Some(hole) = holes.first() {
            wrong.push(format!(
                "{id}: {} holes, the first from {} to {}",
                holes.len(),
                at(hole.from),
                at(hole.until)
            ));
        }
    }
    wrong
}
