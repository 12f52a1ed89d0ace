//! Deleting files that no reader needs any more, and what crashes left behind.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::open::Inner;

impl Inner {
    /// Deletes segments whose grace time is over, and files that neither the manifest nor a
    /// running writer knows. What cannot be deleted now is tried again another time.
    pub(crate) fn sweep(&self) -> Result<(), StoreError> {
        self.sweep_removed()?;
        for (path, _lock) in self.orphans()? {
            drop(std::fs::remove_file(path));
        }
        Ok(())
    }

    fn sweep_removed(&self) -> Result<(), StoreError> {
        self.set_aside()?;
        let grace = i64::try_from(self.options.grace.as_millis()).unwrap_or(i64::MAX);
        let before = self.now().saturating_sub(grace);
        let over: Vec<(i64, String)> = self.writer().run(|c| {
            let mut statement = c.prepare_cached("SELECT id, file FROM segment WHERE removed_at <= ?1")?;
            let rows = statement.query_map([before], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })?;
        for (id, file) in over {
            let gone = |path: &Path| match std::fs::remove_file(path) {
                Ok(()) => true,
                Err(e) => e.kind() == std::io::ErrorKind::NotFound,
            };
            if !gone(&self.segments().join(&file)) || !gone(&self.retired().join(&file)) {
                continue;
            }
            self.writer().run(|c| c.execute("DELETE FROM segment WHERE id = ?1", [id]))?;
        }
        Ok(())
    }

    /// Moves segments that were merged or retired out of the folder of segments, so that those who
    /// read it without us see each event once. Older snapshots find them where they are now.
    fn set_aside(&self) -> Result<(), StoreError> {
        let files: Vec<String> = self.writer().run(|c| {
            let mut statement = c.prepare_cached("SELECT file FROM segment WHERE removed_at IS NOT NULL")?;
            let rows = statement.query_map([], |row| row.get(0))?;
            rows.collect()
        })?;
        for file in files {
            let (from, to) = (self.segments().join(&file), self.retired().join(&file));
            if from.exists() && to.parent().is_some_and(|folder| std::fs::create_dir_all(folder).is_ok()) {
                // What cannot be moved now is moved another time.
                drop(std::fs::rename(from, to));
            }
        }
        Ok(())
    }

    /// Files in the segments' folders that the manifest does not name and no one is writing; locked,
    /// so that no one starts.
    pub(crate) fn orphans(&self) -> Result<Vec<(PathBuf, File)>, StoreError> {
        let mut unknown = Vec::new();
        let named = self.named()?;
        let segments = self.segments();
        for folder in list(&segments)? {
            if !folder.is_dir() {
                continue;
            }
            for path in list(&folder)? {
                let file = path.strip_prefix(&segments).unwrap_or(&path).to_string_lossy().into_owned();
                if !named.contains(&file) {
                    unknown.push((file, path));
                }
            }
        }
        if unknown.is_empty() {
            return Ok(Vec::new());
        }
        // A writer holds a lock on its file until the manifest names it, so a file that can be
        // locked now and still is not named belongs to no one.
        let locked: Vec<_> = unknown
            .into_iter()
            .filter_map(|(name, path)| {
                let file = File::open(&path).ok()?;
                file.try_lock().ok()?;
                Some((name, path, file))
            })
            .collect();
        let named = self.named()?;
        Ok(locked
            .into_iter()
            .filter(|(name, ..)| !named.contains(name))
            .map(|(_, path, file)| (path, file))
            .collect())
    }

    fn named(&self) -> Result<BTreeSet<String>, StoreError> {
        self.writer().run(|c| {
            let mut statement = c.prepare_cached("SELECT file FROM segment")?;
            let rows = statement.query_map([], |row| row.get(0))?;
            rows.collect()
        })
    }
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let failed = |e| StoreError::io("read", folder, e);
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(failed)).collect()
}
