//! Flipped bytes in segments: the check finds each of them, and what is read is what was stored or
//! an error, never something else.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;
use tocsin::store::{Store, StoreOptions, TimeBounds};

use crate::store::{event, quiet};

fn export(store: &Store) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let snapshot = store.snapshot().map_err(|e| e.to_string())?;
    snapshot
        .export_ndjson(&snapshot.indices(), TimeBounds::default(), &mut out)
        .map_err(|e| e.to_string())?;
    Ok(out)
}

#[test]
fn a_flipped_byte_is_found_wherever_it_is() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    let mut bulk = store.bulk();
    for n in 0..3_000 {
        bulk.push(&event(n, &format!("2026-11-20T{:02}:{:02}:00Z", n / 60 % 24, n % 60))).unwrap();
    }
    bulk.finish().unwrap();
    let whole = export(&store).unwrap();
    let found = store.check(|_, _| ()).unwrap();
    assert!(found.problems.is_empty() && found.without_sums == 0, "{found:?}");
    let folder = dir.path().join("events/segments/logs-test-default");
    let files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("one segment: {files:?}") };
    let bytes = fs::read(file).unwrap();
    // Every byte of head and footer would take minutes; a step that no alignment divides.
    let places = (0..bytes.len()).step_by(1_009).chain([bytes.len() - 1, bytes.len() - 9]);
    let mut unread = 0;
    for at in places {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(file, &damaged).unwrap();
        // A store of its own, which remembers nothing.
        let store = Store::open(dir.path(), StoreOptions { cache_bytes: 0, ..quiet() }).unwrap();
        let problems = store.check(|_, _| ()).unwrap().problems;
        assert_eq!(problems.len(), 1, "byte {at}");
        assert!(problems[0].reason.contains("damaged"), "byte {at}: {}", problems[0].reason);
        match export(&store) {
            Ok(events) => {
                assert!(events == whole, "byte {at}");
                unread += 1;
            }
            Err(error) => assert!(error.contains(&*file.to_string_lossy()), "byte {at}: {error}"),
        }
    }
    assert!(unread * 8 < bytes.len() / 1_009 * 7, "most of a segment is read: {unread}");
    fs::write(file, &bytes[..bytes.len() - 40_000.min(bytes.len() / 2)]).unwrap();
    assert_eq!(store.look_for_files().unwrap().len(), 1);
    fs::remove_file(file).unwrap();
    assert_eq!(store.look_for_files().unwrap()[0].path, *file);
}
