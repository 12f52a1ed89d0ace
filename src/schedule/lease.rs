//! Which runner has which rules, decided without a clock that runners share.
//!
//! Rules fall into [`PARTITIONS`] partitions by a hash of their object id. Each runner shows that it
//! lives by a counter that it raises; another that sees the counter stand still for a lease time,
//! on its own clock, takes it for dead. A partition belongs to the live runner that rendezvous
//! hashing names, so that a runner that joins or leaves moves only its own share. Who holds a
//! partition is written with a token that only rises: what is written under an older token is
//! refused, so a runner that slept through its lease does no harm when it wakes.
//!
//! Pure: what is read goes in, what is to be written comes out.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::store::state::{Lease, Member};

/// How many partitions rules fall into: enough that few runners share them evenly.
pub const PARTITIONS: u32 = 64;

/// The partition of a rule.
pub fn partition_of(uuid: &str) -> u32 {
    u32::try_from(hash(&[uuid.as_bytes()]) % u64::from(PARTITIONS)).unwrap_or(0)
}

fn hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
        hasher.update([0]);
    }
    hasher.finalize().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Which of `members` a partition belongs to: the one with the greatest weight.
fn belongs_to<'m>(partition: u32, members: impl Iterator<Item = &'m Arc<str>>) -> Option<&'m Arc<str>> {
    members.max_by_key(|id| (hash(&[&partition.to_le_bytes(), id.as_bytes()]), Arc::clone(id)))
}

/// What a runner is to write about a partition. It is written only if nobody wrote meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// Take it: it is the runner's, and nobody who lives holds it.
    Take(Lease),
    /// It is written as this runner's already (the answer to its taking was lost): run it.
    Adopt(Lease),
    /// Give it up: it belongs to another, and none of its rules runs here.
    Release(Lease),
}

/// One runner's view of all of them.
#[derive(Debug, Clone)]
pub struct Roster {
    id: Arc<str>,
    /// Milliseconds.
    lease: i64,
    beat: u64,
    /// When the counter of each other runner was last seen to change, on this runner's own clock.
    seen: BTreeMap<Arc<str>, (u64, i64)>,
    /// When the last sign of life that was written began.
    confirmed: Option<i64>,
    /// Partitions held, with their tokens.
    held: BTreeMap<u32, i64>,
    /// Which partitions belong to which runner, given who lives.
    shares: (Vec<Arc<str>>, Vec<Arc<str>>),
}

impl Roster {
    /// A runner with this id, and the lease time in ms.
    pub fn new(id: Arc<str>, lease: i64) -> Self {
        Self {
            id,
            lease,
            beat: 0,
            seen: BTreeMap::new(),
            confirmed: None,
            held: BTreeMap::new(),
            shares: Default::default(),
        }
    }

    /// Its id.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The sign of life to write next.
    pub fn beat(&mut self) -> Member {
        self.beat += 1;
        Member { id: Arc::clone(&self.id), beat: self.beat }
    }

    /// The sign of life that was begun at `began` (this runner's clock, ms, which never goes back)
    /// has been written.
    pub fn confirm(&mut self, began: i64) {
        self.confirmed = Some(began);
    }

    /// Takes note of all signs of life, as read at `now`.
    pub fn observe(&mut self, members: &[Member], now: i64) {
        self.seen.retain(|id, _| members.iter().any(|member| member.id == *id));
        for member in members.iter().filter(|member| member.id != self.id) {
            let seen = self.seen.entry(Arc::clone(&member.id)).or_insert((member.beat, now));
            if seen.0 != member.beat {
                *seen = (member.beat, now);
            }
        }
    }

    /// Whether this runner may run at `now`: others may take it for dead otherwise.
    pub fn alive(&self, now: i64) -> bool {
        self.confirmed.is_some_and(|confirmed| now - confirmed < self.lease)
    }

    fn lives(&self, id: &str, now: i64) -> bool {
        id == &*self.id || self.seen.get(id).is_some_and(|(_, at)| now - at < self.lease)
    }

    /// Runners whose counters stand still: their signs of life may be removed.
    pub fn dead(&self, now: i64) -> Vec<Arc<str>> {
        // Twice the time, so that nobody removes what another still reads.
        self.seen
            .iter()
            .filter(|(_, (_, at))| now - at >= 2 * self.lease)
            .map(|(id, _)| Arc::clone(id))
            .collect()
    }

    /// What to write, given who holds what; `busy` says whether a rule of a partition runs here.
    pub fn moves(&mut self, leases: &[Lease], now: i64, busy: &dyn Fn(u32) -> bool) -> Vec<Move> {
        if !self.alive(now) {
            return Vec::new();
        }
        self.divide(now);
        let mut moves = Vec::new();
        for partition in 0..PARTITIONS {
            let mine = self.is_mine(partition);
            let lease = leases.iter().find(|lease| lease.partition == partition);
            let holder = lease.and_then(|lease| lease.holder.as_ref());
            match (lease, holder) {
                (Some(lease), Some(holder)) if *holder == self.id => {
                    if !mine && !busy(partition) {
                        moves.push(Move::Release(Lease { holder: None, ..lease.clone() }));
                    } else if mine && self.held.get(&partition) != Some(&lease.token) {
                        moves.push(Move::Adopt(lease.clone()));
                    }
                }
                (_, Some(holder)) if self.lives(holder, now) => {}
                (lease, _) if mine => {
                    let token = lease.map_or(0, |lease| lease.token) + 1;
                    moves.push(Move::Take(Lease { partition, holder: Some(Arc::clone(&self.id)), token }));
                }
                _ => {}
            }
        }
        moves
    }

    /// Partitions that this runner holds although another has them by now, or that belong to
    /// another: no execution of their rules may begin here.
    pub fn yields(&mut self, leases: &[Lease], now: i64) {
        self.divide(now);
        let mut held = std::mem::take(&mut self.held);
        held.retain(|partition, token| {
            let written = leases.iter().find(|lease| lease.partition == *partition);
            let ours = |lease: &Lease| lease.holder.as_ref() == Some(&self.id) && lease.token == *token;
            written.is_some_and(ours) && self.is_mine(*partition)
        });
        self.held = held;
    }

    /// Divides the partitions among those who live at `now`.
    fn divide(&mut self, now: i64) {
        let others = self.seen.keys().filter(|id| self.lives(id, now));
        let live: Vec<Arc<str>> = others.chain([&self.id]).cloned().collect();
        if self.shares.0 != live {
            let shares = (0..PARTITIONS).filter_map(|p| belongs_to(p, live.iter()).cloned()).collect();
            self.shares = (live, shares);
        }
    }

    fn is_mine(&self, partition: u32) -> bool {
        usize::try_from(partition).ok().and_then(|p| self.shares.1.get(p)) == Some(&self.id)
    }

    /// A partition was taken, and its rules' state was read under this token.
    pub fn holds(&mut self, lease: &Lease) {
        self.held.insert(lease.partition, lease.token);
    }

    /// The token under which rules of a partition run here at `now`; `None`: they do not.
    pub fn token(&self, partition: u32, now: i64) -> Option<i64> {
        if self.alive(now) { self.held.get(&partition).copied() } else { None }
    }

    /// The partitions held.
    pub fn held(&self) -> impl Iterator<Item = u32> + '_ {
        self.held.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ids(count: usize) -> Vec<Arc<str>> {
        (0..count).map(|n| Arc::from(format!("runner-{n}"))).collect()
    }

    #[test]
    fn partitions_are_spread_and_a_runner_that_leaves_moves_only_its_own() {
        let three = ids(3);
        let before: Vec<_> = (0..PARTITIONS).map(|p| belongs_to(p, three.iter()).unwrap().clone()).collect();
        for id in &three {
            let share = before.iter().filter(|owner| *owner == id).count();
            assert!((10..34).contains(&share), "{id} has {share} of {PARTITIONS}");
        }
        let two = &three[..2];
        for (partition, owner) in (0..PARTITIONS).zip(&before) {
            let after = belongs_to(partition, two.iter()).unwrap();
            assert!(after == owner || *owner == three[2], "partition {partition} moved without need");
        }
    }

    /// Runners against one board, with steps in any order: pauses, lost answers, joining, leaving.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        Tick(usize),
        /// The runner's writes of this tick reach the board, but it does not hear of them.
        Deaf(usize),
        Pass(i64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (0usize..3).prop_map(Step::Tick),
            1 => (0usize..3).prop_map(Step::Deaf),
            4 => (1i64..15).prop_map(Step::Pass),
        ];
        prop::collection::vec(step, 0..200)
    }

    const LEASE: i64 = 30;

    struct Board {
        members: Vec<Member>,
        leases: Vec<Lease>,
        highest: BTreeMap<u32, i64>,
    }

    fn tick(runner: &mut Roster, board: &mut Board, now: i64, hears: bool) {
        let member = runner.beat();
        board.members.retain(|other| other.id != member.id);
        board.members.push(member);
        if hears {
            runner.confirm(now);
        }
        runner.observe(&board.members, now);
        runner.yields(&board.leases, now);
        for change in runner.moves(&board.leases.clone(), now, &|_| false) {
            let (lease, adopt) = match change {
                Move::Take(lease) | Move::Release(lease) => (lease, false),
                Move::Adopt(lease) => (lease, true),
            };
            if !adopt {
                board.leases.retain(|old| old.partition != lease.partition);
                board.leases.push(lease.clone());
            }
            let highest = board.highest.entry(lease.partition).or_default();
            assert!(lease.token >= *highest, "tokens only rise");
            *highest = lease.token;
            if hears && lease.holder.is_some() {
                runner.holds(&lease);
            }
        }
    }

    proptest! {
        #[test]
        fn no_two_runners_hold_one_token_and_in_the_end_every_partition_is_held_once(steps in steps()) {
            let mut runners: Vec<Roster> = ids(3).into_iter().map(|id| Roster::new(id, LEASE)).collect();
            let mut board = Board { members: Vec::new(), leases: Vec::new(), highest: BTreeMap::new() };
            let mut now = 0;
            for step in steps {
                match step {
                    Step::Tick(n) => tick(&mut runners[n], &mut board, now, true),
                    Step::Deaf(n) => tick(&mut runners[n], &mut board, now, false),
                    Step::Pass(ms) => now += ms,
                }
                for partition in 0..PARTITIONS {
                    let tokens: Vec<i64> = runners.iter().filter_map(|r| r.token(partition, now)).collect();
                    let distinct: std::collections::BTreeSet<_> = tokens.iter().collect();
                    prop_assert_eq!(distinct.len(), tokens.len(), "two runners with one token");
                }
            }
            // Two live on; within two lease times everything is theirs.
            let end = now + 2 * LEASE;
            while now <= end {
                for runner in &mut runners[..2] {
                    tick(runner, &mut board, now, true);
                }
                now += LEASE / 3;
            }
            for partition in 0..PARTITIONS {
                let holders = runners.iter().filter(|r| r.token(partition, now).is_some()).count();
                prop_assert_eq!(holders, 1, "partition {}", partition);
            }
        }
    }
}
