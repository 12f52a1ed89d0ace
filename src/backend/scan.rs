//! All events of a request in time order, without holding more than a page of documents.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;

use super::aggregate::{Each, ScanEnd, ScanRequest};
use super::search::{Found, Searcher, keyed};
use super::source::Source;
use super::{Backend, BackendError, SearchRequest};

/// The rows of one batch that match, in time order.
struct Run {
    found: std::vec::IntoIter<(i64, i64, u32)>,
}

impl Searcher {
    /// Hands every event of `source` to `each`, oldest first.
    pub(super) fn scan(
        &self,
        source: &Source,
        request: &ScanRequest,
        each: &mut Each<'_>,
    ) -> Result<ScanEnd, BackendError> {
        let search = request.scope.search(0);
        let prepared = self.prepared(source, &[&search]);
        let mut runs: Vec<Run> = Vec::with_capacity(source.batches.len());
        self.visit(source, &search, &prepared, |_, position, _, selection, judge| {
            let rows = judge()?;
            let mut found: Vec<(i64, i64, u32)> = rows
                .iter()
                .map(|row| {
                    let (primary, timestamp) = selection.place(*row);
                    (primary, timestamp, *row)
                })
                .collect();
            found.sort_unstable();
            while runs.len() < position as usize {
                runs.push(Run { found: Vec::new().into_iter() });
            }
            runs.push(Run { found: found.into_iter() });
            Ok(())
        })?;
        let mut heap = BinaryHeap::new();
        for (batch, run) in (0u32..).zip(&mut runs) {
            heap.extend(
                run.found.next().map(|(primary, timestamp, row)| Reverse((primary, timestamp, batch, row))),
            );
        }
        let mut end = ScanEnd { indices: source.indices, ..ScanEnd::default() };
        let mut page: Vec<Found> = Vec::new();
        while let Some(Reverse((primary, timestamp, batch, row))) = heap.pop() {
            // A page ends where time moves on: what is equally old is ordered within one page.
            let moved =
                page.last().is_some_and(|last| (last.primary, last.timestamp) != (primary, timestamp));
            if moved
                && page.len() >= request.page.max(1)
                && self.hand_over(source, &mut page, &mut end, each)?.is_break()
            {
                return Ok(end);
            }
            page.push(Found { primary, timestamp, batch, row });
            let next = runs.get_mut(batch as usize).and_then(|run| run.found.next());
            heap.extend(next.map(|(primary, timestamp, row)| Reverse((primary, timestamp, batch, row))));
        }
        if !page.is_empty() {
            // The last page: there is nothing left to stop.
            let _flow = self.hand_over(source, &mut page, &mut end, each)?;
        }
        Ok(end)
    }

    fn hand_over(
        &self,
        source: &Source,
        page: &mut Vec<Found>,
        end: &mut ScanEnd,
        each: &mut Each<'_>,
    ) -> Result<ControlFlow<()>, BackendError> {
        let draft = keyed(source, std::mem::take(page), usize::MAX)?;
        let hits = self.fill(source, vec![draft])?.pop().map(|page| page.hits).unwrap_or_default();
        end.events += hits.len() as u64;
        let flow = each(hits);
        end.stopped = flow.is_break();
        Ok(flow)
    }
}

/// A scan by pages of hits, for backends without a better way.
pub(super) async fn by_pages<B: Backend + ?Sized>(
    backend: &B,
    request: ScanRequest,
    each: &mut Each<'_>,
) -> Result<ScanEnd, BackendError> {
    let mut search = request.scope.search(request.page.max(1));
    let mut end = ScanEnd::default();
    loop {
        let page = backend.search(SearchRequest::clone(&search)).await?;
        end.indices = page.indices;
        let full = page.hits.len() >= search.size;
        search.after = page.hits.last().map(|hit| hit.sort.clone());
        if page.hits.is_empty() {
            return Ok(end);
        }
        end.events += page.hits.len() as u64;
        if each(page.hits).is_break() {
            end.stopped = true;
            return Ok(end);
        }
        if !full {
            return Ok(end);
        }
    }
}
