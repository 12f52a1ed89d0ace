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
    let found = if events.is_dir() {
        match app.store() {
            Ok(store) => {
                findings.extend(files(&store));
                counted(&store, &events)
            }
            Err(error) => {
                Finding::failed(CHECK, error.to_string(), "see the message; what is stored stays as it is")
                    .about(events.display().to_string())
            }
        }
    } else {
        Finding::skipped(CHECK, "no events yet: `tocsin ingest PATH` reads some")
            .about(events.display().to_string())
    };
    findings.push(found);
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

/// Segments whose files are not where the manifest has them: what is in them is not found.
fn files(store: &Store) -> Vec<Finding> {
    const ADVICE: &str =
        "restore the file from a backup, or ingest its events again; until then searches fail";
    match store.look_for_files() {
        Ok(problems) => problems
            .into_iter()
            .map(|found| Finding::failed(CHECK, found.reason, ADVICE).about(found.path.display().to_string()))
            .collect(),
        Err(error) => vec![Finding::failed(CHECK, error.to_string(), "run `tocsin store check`")],
    }
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
