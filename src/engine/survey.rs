//! Which windows late events have changed since they were evaluated.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::errand::Survey;
use super::plan::ARRIVAL;
use super::run::Engine;
use super::unwind::caught;
use crate::backend::{SearchRequest, TimeField};
use crate::base::intervals::{Interval, Intervals};
use crate::base::limits::PAGE_HITS;
use crate::base::window::iso_millis;
use crate::query::plan::{Bounds, FieldPattern, Filter, Node};

/// Most pages of late events that are told apart; of more, the whole stretch counts as changed.
const PAGES: usize = 10;

impl Engine {
    /// The time in which windows end that `survey`'s events belong to, of those in `indices`.
    ///
    /// # Errors
    /// In words, when the search fails.
    pub(super) async fn survey(&self, indices: Arc<[String]>, survey: Survey) -> Result<Intervals, String> {
        let instant =
            |ms: i64| DateTime::<Utc>::from_timestamp_millis(ms).map(|at| Arc::from(iso_millis(at)));
        let bounds = Bounds {
            gte: instant(survey.events.from),
            lt: instant(survey.events.until),
            ..Bounds::default()
        };
        let field = FieldPattern::Name(Arc::from("@timestamp"));
        let mut request = SearchRequest {
            indices,
            filter: Arc::new(Filter::new(Node::Range { field, bounds })),
            now: survey.arrived.to,
            window: Some(survey.arrived),
            time: TimeField { primary: Arc::from(ARRIVAL), fallback: None },
            event_clock: false,
            size: PAGE_HITS,
            after: None,
            descending: false,
        };
        let mut changed = Intervals::new();
        for _ in 0..PAGES {
            let search = caught(self.backend.search(request.clone()));
            let page = tokio::time::timeout(self.settings.timeout, search)
                .await
                .map_err(|_| "the look for late events took too long".to_owned())??
                .map_err(|error| format!("the look for late events failed: {error}"))?;
            for hit in &page.hits {
                let at = hit.sort.timestamp;
                changed.insert(Interval::new(at, at.saturating_add(survey.reach)));
            }
            if page.hits.len() < request.size {
                return Ok(changed);
            }
            request.after = page.hits.last().map(|hit| hit.sort.clone());
        }
        let until = survey.events.until.saturating_add(survey.reach);
        Ok(std::iter::once(Interval::new(survey.events.from, until)).collect())
    }
}
