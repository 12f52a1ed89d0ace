//! Episodes: from the data points of periods to OK, alarm and insufficient data.
//!
//! Pure: the state is a value, a data point comes with its time, and what changed is returned.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Most periods that an evaluation looks at.
pub const MOST_PERIODS: u32 = 100;

/// What a period said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    /// The condition held.
    Breaching,
    /// It did not.
    Fine,
    /// Nothing can be said: there was no data.
    Missing,
}

/// How a period without data counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingData {
    /// Not at all; when all periods lack data, so does the episode.
    #[default]
    Missing,
    /// The state stays as it is while missing data could decide it.
    Ignore,
    /// As breaching.
    Breaching,
    /// As fine.
    NotBreaching,
}

/// How a rule's episodes are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lifecycle {
    /// Of so many periods …
    #[serde(default = "one")]
    pub evaluation_periods: u32,
    /// … so many must breach.
    #[serde(default = "one")]
    pub datapoints_to_alarm: u32,
    /// How a period without data counts.
    #[serde(default)]
    pub missing_data: MissingData,
    /// Whether the alerts of an episode are closed when it recovers.
    #[serde(default)]
    pub auto_close: bool,
}

fn one() -> u32 {
    1
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            evaluation_periods: 1,
            datapoints_to_alarm: 1,
            missing_data: MissingData::Missing,
            auto_close: false,
        }
    }
}

impl Lifecycle {
    /// What is wrong with it, when something is.
    pub fn wrong(&self) -> Option<String> {
        let (of, most) = (self.evaluation_periods, MOST_PERIODS);
        if !(1..=most).contains(&of) {
            return Some(format!("`evaluation_periods` is {of}: it lies between 1 and {most}"));
        }
        let wanted = self.datapoints_to_alarm;
        (!(1..=of).contains(&wanted)).then(|| {
            format!("`datapoints_to_alarm` is {wanted}: it lies between 1 and `evaluation_periods` ({of})")
        })
    }
}

/// The state of an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Nothing is wrong.
    #[default]
    Ok,
    /// The condition held often enough.
    Alarm,
    /// There is no data to tell.
    InsufficientData,
}

/// A change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: State,
    /// The state from now on.
    pub to: State,
    /// Since when the state before had lasted, ms since the epoch.
    pub since: i64,
}

/// What is remembered between periods.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Episode {
    /// The state.
    pub state: State,
    /// Since when, ms since the epoch.
    pub since: i64,
    /// The last period that was judged, ms since the epoch.
    #[serde(default)]
    pub last: Option<i64>,
    /// The last periods, the newest last.
    #[serde(default)]
    pub recent: VecDeque<Point>,
    /// The alert that opened the running alarm.
    #[serde(default)]
    pub alert: Option<String>,
}

impl Episode {
    /// Judges the period that ended at `at` (ms). A period that was judged before changes nothing,
    /// whatever it says now.
    pub fn observe(&mut self, at: i64, point: Point, lifecycle: &Lifecycle) -> Option<Transition> {
        if self.last.is_some_and(|last| at <= last) {
            return None;
        }
        self.last = Some(at);
        self.recent.push_back(point);
        let most = usize::try_from(lifecycle.evaluation_periods.clamp(1, MOST_PERIODS)).unwrap_or(1);
        while self.recent.len() > most {
            self.recent.pop_front();
        }
        let to = self.judge(lifecycle);
        if to == self.state {
            return None;
        }
        let transition = Transition { from: self.state, to, since: self.since };
        self.state = to;
        self.since = at;
        Some(transition)
    }

    fn judge(&self, lifecycle: &Lifecycle) -> State {
        let count = |wanted: Point| self.recent.iter().filter(|point| **point == wanted).count();
        let (mut breaching, fine, mut missing) =
            (count(Point::Breaching), count(Point::Fine), count(Point::Missing));
        match lifecycle.missing_data {
            MissingData::Breaching => {
                breaching += missing;
                missing = 0;
            }
            MissingData::NotBreaching => missing = 0,
            MissingData::Missing | MissingData::Ignore => {}
        }
        let wanted = usize::try_from(lifecycle.datapoints_to_alarm.max(1)).unwrap_or(usize::MAX);
        if breaching >= wanted {
            return State::Alarm;
        }
        if missing == 0 {
            return State::Ok;
        }
        match lifecycle.missing_data {
            MissingData::Missing if missing == self.recent.len() => State::InsufficientData,
            // What is there decides; with nothing but breaches among it, nothing is decided yet.
            MissingData::Missing if fine > 0 => State::Ok,
            MissingData::Ignore if breaching + missing < wanted => State::Ok,
            _ => self.state,
        }
    }

    /// Whether nothing of it has to be remembered.
    pub fn is_over(&self) -> bool {
        self.state == State::Ok && self.recent.iter().all(|point| *point != Point::Breaching)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The states after each of the points (`X` breaching, `0` fine, `-` missing).
    fn states(points: &str, m: u32, n: u32, missing_data: MissingData) -> String {
        let lifecycle =
            Lifecycle { evaluation_periods: n, datapoints_to_alarm: m, missing_data, auto_close: false };
        let mut episode = Episode::default();
        let mut out = String::new();
        for (at, c) in points.chars().enumerate() {
            let point = match c {
                'X' => Point::Breaching,
                '0' => Point::Fine,
                _ => Point::Missing,
            };
            episode.observe(i64::try_from(at).unwrap(), point, &lifecycle);
            out.push(match episode.state {
                State::Ok => 'o',
                State::Alarm => 'A',
                State::InsufficientData => '?',
            });
        }
        out
    }

    #[test]
    fn one_of_one_follows_each_period() {
        assert_eq!(states("0X0X-0", 1, 1, MissingData::Missing), "oAoA?o");
        assert_eq!(states("0X0X-0", 1, 1, MissingData::Ignore), "oAoAAo");
        assert_eq!(states("0X0X-0", 1, 1, MissingData::Breaching), "oAoAAo");
        assert_eq!(states("0X0X-0", 1, 1, MissingData::NotBreaching), "oAoAoo");
    }

    #[test]
    fn two_of_three_wait_for_the_second() {
        assert_eq!(states("X0X00", 2, 3, MissingData::Missing), "ooAoo");
        assert_eq!(states("X--X", 2, 3, MissingData::Missing), "oooo");
        assert_eq!(states("X-X--0", 2, 3, MissingData::Missing), "ooAAAo");
        assert_eq!(states("XX---", 2, 3, MissingData::Missing), "oAAA?");
        assert_eq!(states("XX---", 2, 3, MissingData::Ignore), "oAAAA");
        assert_eq!(states("XX---", 2, 3, MissingData::NotBreaching), "oAAoo");
        assert_eq!(states("0---", 2, 3, MissingData::Breaching), "ooAA");
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let wrong = |n, m| {
            Lifecycle { evaluation_periods: n, datapoints_to_alarm: m, ..Lifecycle::default() }.wrong()
        };
        assert!(wrong(1, 1).is_none() && wrong(100, 3).is_none());
        assert!(
            wrong(0, 1).is_some()
                && wrong(3, 4).is_some()
                && wrong(101, 1).is_some()
                && wrong(3, 0).is_some()
        );
    }

    fn points() -> impl Strategy<Value = Vec<Point>> {
        let point = prop_oneof![Just(Point::Breaching), Just(Point::Fine), Just(Point::Missing)];
        prop::collection::vec(point, 1..40)
    }

    proptest! {
        #[test]
        fn the_states_mean_what_they_say(points in points(), n in 1u32..6, m in 1u32..6, mode in 0usize..4) {
            let modes = [MissingData::Missing, MissingData::Ignore, MissingData::Breaching, MissingData::NotBreaching];
            let lifecycle = Lifecycle {
                evaluation_periods: n, datapoints_to_alarm: m.min(n), missing_data: modes[mode], auto_close: false,
            };
            let mut episode = Episode::default();
            let mut state = State::Ok;
            for (at, point) in points.iter().enumerate() {
                let at = i64::try_from(at).unwrap();
                let before = episode.clone();
                let transition = episode.observe(at, *point, &lifecycle);
                // Judging a period again changes nothing.
                let judged = episode.clone();
                prop_assert_eq!(episode.observe(at, Point::Breaching, &lifecycle), None);
                prop_assert_eq!(&episode, &judged);
                // Transitions tell the whole story.
                if let Some(transition) = transition {
                    prop_assert_eq!(transition.from, state);
                    prop_assert_ne!(transition.to, state);
                    state = transition.to;
                    prop_assert_eq!(episode.since, at);
                } else {
                    prop_assert_eq!(before.state, episode.state);
                }
                prop_assert_eq!(state, episode.state);
                let window: Vec<Point> =
                    points[..=usize::try_from(at).unwrap()].iter().rev().take(n as usize).copied().collect();
                let count = |wanted: Point| window.iter().filter(|p| **p == wanted).count();
                let enough = m.min(n) as usize;
                if count(Point::Breaching) >= enough {
                    prop_assert_eq!(state, State::Alarm);
                }
                if window.iter().all(|p| *p == Point::Fine) {
                    prop_assert_eq!(state, State::Ok);
                }
                let all_missing = count(Point::Missing) == window.len();
                match lifecycle.missing_data {
                    MissingData::Missing if all_missing => prop_assert_eq!(state, State::InsufficientData),
                    MissingData::Missing => {}
                    // Only one of the four modes ever says that data is insufficient.
                    _ => prop_assert_ne!(state, State::InsufficientData),
                }
            }
        }
    }
}
