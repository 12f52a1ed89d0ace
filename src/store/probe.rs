//! Is an event stored already? Bloom filters first, then the ids themselves.

use std::cell::OnceCell;
use std::sync::Arc;

use parquet::bloom_filter::Sbbf;

use super::batch::ReadError;
use super::manifest::Manifest;
use super::open::Inner;
use super::rows::Bounds;
use super::segment::read::SegmentFile;

/// The row groups of one index in which an event may lie.
#[derive(Default)]
pub(crate) struct Probe {
    groups: Vec<ProbeGroup>,
}

struct ProbeGroup {
    file: SegmentFile,
    group: usize,
    bounds: Bounds,
    bloom: OnceCell<Arc<Option<Sbbf>>>,
}

impl Probe {
    /// All row groups of `index` that `manifest` has and that were added after version `after`; only those of
    /// one day when `day` is given.
    pub(crate) fn new(inner: &Inner, manifest: &Manifest, index: &str, day: Option<i64>, after: i64) -> Self {
        let Some(index) = manifest.indices.get(index) else { return Self::default() };
        let groups = index
            .segments
            .iter()
            .filter(|segment| segment.added > after && day.is_none_or(|day| segment.day == day))
            .flat_map(|segment| {
                let file = inner.file(segment);
                segment.groups.iter().enumerate().map(move |(group, bounds)| ProbeGroup {
                    file: file.clone(),
                    group,
                    bounds: *bounds,
                    bloom: OnceCell::new(),
                })
            })
            .collect();
        Self { groups }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Whether one of them has an event of this time and id.
    pub(crate) fn contains(&self, timestamp: i64, id: &str) -> Result<bool, ReadError> {
        for group in &self.groups {
            let (first, last) = group.bounds.timestamp;
            if timestamp < first || timestamp > last {
                continue;
            }
            let bloom = match group.bloom.get() {
                Some(bloom) => bloom,
                None => group.bloom.get_or_init_with(|| group.file.bloom(group.group))?,
            };
            if bloom.as_ref().as_ref().is_some_and(|bloom| !bloom.check(&id)) {
                continue;
            }
            if group.file.ids(group.group)?.contains(id) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// `OnceCell::get_or_try_init`, which is not stable.
trait TryInit<T> {
    fn get_or_init_with<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E>;
}

impl<T> TryInit<T> for OnceCell<T> {
    fn get_or_init_with<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        let value = make()?;
        Ok(self.get_or_init(|| value))
    }
}
