//! One run: virtual time, runners, and the faults that befall them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tocsin::base::clock::Clock;
use tocsin::base::intervals::Interval;
use tocsin::engine::{Engine, Settings};
use tocsin::schedule::blackout::Blackouts;
use tocsin::schedule::owed::Policy;
use tocsin::schedule::service::{Event, Rules, Service};
use tocsin::schedule::share::Share;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backend::{Arrivals, KindsOf, REFRESH};
use super::cluster::{Cluster, Shared};
use super::corpus::{self, Corpus, DAY, HOUR, LENGTH, Random, START, at, original_time, rule_count};
use super::faults::{self, Fault, RUNNERS};

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
}

/// What all runners share.
pub(super) struct Common {
    pub corpus: Arc<Corpus>,
    pub arrivals: Arrivals,
    pub kinds: KindsOf,
    pub bug: Bug,
    cluster: Shared,
    began: Instant,
    random: Mutex<Random>,
    storm: AtomicI64,
    refusals: AtomicI64,
    slow: AtomicI64,
    lost: AtomicU32,
    doubled: AtomicU32,
    partial: AtomicU32,
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

    fn below(&self, limit: i64) -> i64 {
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
struct RunnerClock {
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
            cluster: Shared::default(),
            began: Instant::now(),
            random: Mutex::new(Random::new(seed)),
            storm: AtomicI64::new(0),
            refusals: AtomicI64::new(0),
            slow: AtomicI64::new(0),
            lost: AtomicU32::new(0),
            doubled: AtomicU32::new(0),
            partial: AtomicU32::new(0),
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
            alerts: cluster.alerts.len(),
            wrong: check(common, &cluster, days),
            story: world.story.take(),
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
        let clock: Arc<dyn Clock> =
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
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    reload: watch::Receiver<u64>,
    versions: Arc<Mutex<Vec<u32>>>,
    together: usize,
) {
    let bug = port.world.bug;
    let port = Arc::new(port);
    let engine = loop {
        let settings = Settings::default();
        let opened =
            Engine::open(port.clone(), port.clone(), port.clone(), Arc::clone(&clock), settings).await;
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
        share: Some(Share::new(port, id, LEASE)),
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
    let mut found: BTreeMap<&str, BTreeMap<String, i64>> = BTreeMap::new();
    for alert in cluster.alerts.values() {
        let source: serde_json::Value = serde_json::from_str(&alert.document).unwrap();
        let of_rule = found.entry(&alert.rule_id).or_default();
        of_rule.insert(alert.id.to_string(), original_time(&source));
    }
    for compiled in &corpus.rules.0.compiled {
        let id = &*compiled.rule.rule_id;
        let (expected, got) = (&corpus.expected[id], found.remove(id).unwrap_or_default());
        let lacking = |all: &BTreeMap<String, i64>, from: &BTreeMap<String, i64>| -> Vec<i64> {
            all.iter().filter(|(id, at)| inside(**at) && !from.contains_key(*id)).map(|(_, at)| *at).collect()
        };
        let (missing, extra) = (lacking(expected, &got), lacking(&got, expected));
        for (what, times) in [("missing", missing), ("too many", extra)] {
            if let Some(first) = times.iter().min() {
                wrong.push(format!("{id}: {} alerts {what}, the first at {}", times.len(), at(*first)));
            }
        }
        let uuid = compiled.rule.object_id("default");
        let Some(state) = cluster.states.get(&*uuid) else {
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
