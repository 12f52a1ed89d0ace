//! What goes wrong, and when, drawn from a seed.

use super::corpus::{DAY, HOUR, Random};

/// Runners of a run.
pub(super) const RUNNERS: usize = 3;

/// One thing that goes wrong. Times are ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A runner dies at once, wherever it is, and is started again after a while.
    Crash { runner: usize, down: i64 },
    /// A runner dies at its `after`th next write, in the middle of it.
    CrashAtWrite { runner: usize, after: u32, down: i64 },
    /// A runner is stopped in good order, and started again.
    Restart { runner: usize, down: i64 },
    /// A runner stands still, and goes on as if nothing had been.
    Pause { runner: usize, still: i64 },
    /// A runner's clock is set, and set right again after a while.
    Clock { runner: usize, by: i64, wrong: i64 },
    /// The backend refuses everything.
    Storm { lasts: i64 },
    /// The store refuses every write.
    Refusals { lasts: i64 },
    /// So many writes reach the store, but their answers are lost.
    LostReplies(u32),
    /// So many writes arrive twice.
    Doubled(u32),
    /// So many writes reach the store in part.
    Partial(u32),
    /// So many requests to the store never reach it.
    Unreached(u32),
    /// So many searches break off.
    Broken(u32),
    /// Searches take long.
    Slow { lasts: i64 },
    /// A rule's file changes.
    Edit { rule: usize },
    /// Nobody runs.
    Outage { lasts: i64 },
}

/// The faults of a seed in a run of so many days, in time order: ms after the start, and what.
/// The last days are without any, so that what is owed can be done.
pub(super) fn draw(seed: u64, rules: usize, days: i64) -> Vec<(i64, Fault)> {
    let mut random = Random::new(seed ^ 0xfa17);
    let (from, until) = (DAY / 2, (days - 3) * DAY);
    let mut faults: Vec<(i64, Fault)> = (0..(200 + random.below(40)) * (days - 3) / 11)
        .map(|_| {
            let at = from + random.below(until - from);
            let runner = random.below(RUNNERS as i64) as usize;
            let count = 1 + random.below(4) as u32;
            let fault = match random.below(29) {
                0..=2 => Fault::Crash { runner, down: random.below(6 * HOUR) },
                3..=6 => Fault::CrashAtWrite {
                    runner,
                    after: random.below(6) as u32,
                    down: random.below(3 * HOUR),
                },
                7 => Fault::Restart { runner, down: random.below(HOUR) },
                8..=10 => Fault::Pause { runner, still: random.below(5 * HOUR) },
                11..=12 => Fault::Clock {
                    runner,
                    by: random.below(8 * HOUR) - 4 * HOUR,
                    wrong: random.below(6 * HOUR),
                },
                13..=14 => Fault::Storm { lasts: random.below(4 * HOUR) },
                15 => Fault::Refusals { lasts: random.below(2 * HOUR) },
                16..=17 => Fault::LostReplies(count),
                18..=19 => Fault::Doubled(count),
                20..=21 => Fault::Partial(count),
                22..=23 => Fault::Broken(count),
                24 => Fault::Slow { lasts: random.below(2 * HOUR) },
                25 => Fault::Unreached(count),
                _ => Fault::Edit { rule: random.below(rules as i64) as usize },
            };
            (at, fault)
        })
        .collect();
    if seed.is_multiple_of(3) {
        faults
            .push((from + random.below(until - from), Fault::Outage { lasts: DAY / 2 + random.below(DAY) }));
    }
    faults.sort_by_key(|(at, _)| *at);
    faults
}
