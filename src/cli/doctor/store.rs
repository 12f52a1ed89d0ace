//! Whether the event store and the state database open, and what is in them.

use std::path::Path;

use super::{Context, Finding};
use crate::store::{Store, TimeBounds, state};

const CHECK: &str = "store";

/// Opens what is there, and makes nothing.
pub(super) fn check(context: &Context) -> Vec<Finding> {
    let app = context.app();
    let folder = context.data_dir();
    let events = folder.join("events");
    let mut findings = Vec::new();
    findings.push(if events.is_dir() {
        match app.store() {
            Ok(store) => counted(&store, &events),
            Err(error) => {
                Finding::failed(CHECK, error.to_string(), "see the message; what is stored stays as it is")
                    .about(events.display().to_string())
            }
        }
    } else {
        Finding::skipped(CHECK, "no events yet: `tocsin ingest PATH` reads some")
            .about(events.display().to_string())
    });
    let database = folder.join(state::FILE);
    findings.push(
        if database.is_file() {
            match app.state() {
                Ok(_) => Finding::ok(CHECK, "state database opens"),
                Err(error) => Finding::failed(
                    CHECK,
                    error.to_string(),
                    "see the message; what is stored stays as it is",
                ),
            }
        } else {
            Finding::skipped(CHECK, "no rule has run yet")
        }
        .about(database.display().to_string()),
    );
    findings
}

fn counted(store: &Store, events: &Path) -> Finding {
    let subject = events.display().to_string();
    match store.snapshot() {
        Ok(snapshot) => {
            let indices = snapshot.indices();
            let rows: usize =
                snapshot.batches(&indices, TimeBounds::default()).iter().map(|batch| batch.rows()).sum();
            Finding::ok(CHECK, format!("opens: {rows} events in {} indices", indices.len())).about(subject)
        }
        Err(error) => Finding::failed(CHECK, error.to_string(), "run `tocsin store check`").about(subject),
    }
}
