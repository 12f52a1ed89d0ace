//! Many addresses and networks as sorted, separate ranges: eight bytes a range of IPv4 addresses,
//! 32 a range of others; asked by binary search.

use crate::ecs::value::ip;

/// The block of IPv6 in which IPv4 addresses lie.
const MAPPED: (u128, u128) = (0xffff_0000_0000, 0xffff_ffff_ffff);

/// A set of addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressSet {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

/// An [`AddressSet`] being collected.
#[derive(Debug, Default)]
pub struct AddressSetBuilder(AddressSet);

/// First and last address of `1.2.3.4`, `10.0.0.0/8` or `10.0.0.1-10.0.0.9`.
pub fn range_of(text: &str) -> Option<(u128, u128)> {
    if let Some(address) = ip::parse(text) {
        return Some((address, address));
    }
    if let Some(network) = ip::network(text) {
        return Some(network);
    }
    let (first, last) = text.split_once('-')?;
    let (first, last) = (ip::parse(first.trim())?, ip::parse(last.trim())?);
    (first <= last).then_some((first, last))
}

impl AddressSetBuilder {
    /// Adds the addresses from `first` to `last`, both included.
    pub fn insert(&mut self, first: u128, last: u128) {
        let low = |at: u128| u32::try_from(at & u128::from(u32::MAX)).unwrap_or(u32::MAX);
        if first < MAPPED.0 {
            self.0.v6.push((first, last.min(MAPPED.0 - 1)));
        }
        if last > MAPPED.1 {
            self.0.v6.push((first.max(MAPPED.1 + 1), last));
        }
        let (from, to) = (first.max(MAPPED.0), last.min(MAPPED.1));
        if from <= to {
            self.0.v4.push((low(from), low(to)));
        }
    }

    /// The set.
    pub fn finish(self) -> AddressSet {
        let mut set = self.0;
        merge(&mut set.v4, |end| end.checked_add(1));
        merge(&mut set.v6, |end| end.checked_add(1));
        set
    }
}

/// Sorts ranges and joins those that touch.
fn merge<T: Ord + Copy>(ranges: &mut Vec<(T, T)>, next: impl Fn(T) -> Option<T>) {
    ranges.sort_unstable();
    ranges.dedup_by(|range, before| {
        let touches = next(before.1).is_none_or(|after| range.0 <= after);
        if touches {
            before.1 = before.1.max(range.1);
        }
        touches
    });
    ranges.shrink_to_fit();
}

fn within<T: Ord + Copy>(ranges: &[(T, T)], at: T) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= at);
    after.checked_sub(1).and_then(|before| ranges.get(before)).is_some_and(|(_, last)| at <= *last)
}

impl AddressSet {
    /// Whether the address is in the set.
    pub fn contains(&self, address: u128) -> bool {
        match u32::try_from(address.wrapping_sub(MAPPED.0)) {
            Ok(v4) if address >= MAPPED.0 => within(&self.v4, v4),
            _ => within(&self.v6, address),
        }
    }

    /// First and last address of each range, ascending within IPv4 and within the others.
    pub fn iter(&self) -> impl Iterator<Item = (u128, u128)> {
        let mapped = |at: u32| MAPPED.0 | u128::from(at);
        self.v4.iter().map(move |(a, b)| (mapped(*a), mapped(*b))).chain(self.v6.iter().copied())
    }

    /// Number of separate ranges.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether no address is in the set.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Approximate size in memory, bytes.
    pub fn size(&self) -> usize {
        self.v4.capacity() * 8 + self.v6.capacity() * 32
    }
}
