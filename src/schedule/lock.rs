//! One service a data folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// Name of the lock's file in the data folder.
pub const FILE: &str = "service.lock";

/// Why the data folder could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another service has it.
    #[error("another tocsin service{} works on the data folder `{}`", pid(.holder.as_deref()), folder.display())]
    Held {
        /// The folder.
        folder: PathBuf,
        /// Its process id, when it could be read.
        holder: Option<String>,
    },
    /// The file cannot be made or locked.
    #[error("cannot lock `{}`: {reason}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
}

fn pid(holder: Option<&str>) -> String {
    holder.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

/// Holds a data folder for one service. The operating system frees it when the process ends,
/// however it ends.
#[derive(Debug)]
pub struct ServiceLock {
    /// Open as long as the lock is held.
    _file: File,
}

impl ServiceLock {
    /// Takes the folder `dir`.
    ///
    /// # Errors
    /// When another service has it, or the lock cannot be made.
    pub fn take(dir: &Path) -> Result<Self, LockError> {
        let path = dir.join(FILE);
        let failed = |error: std::io::Error| LockError::Io { path: path.clone(), reason: error.to_string() };
        std::fs::create_dir_all(dir).map_err(failed)?;
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = options.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Who holds it is only told when it can be read.
                let holder = file.read_to_string(&mut text).ok().map(|_| text.trim().to_owned());
                let holder = holder.filter(|pid| !pid.is_empty());
                return Err(LockError::Held { folder: dir.to_path_buf(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let write = |file: &mut File| -> std::io::Result<()> {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())?;
            file.sync_data()
        };
        write(&mut file).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_service() {
        let dir = tempfile::tempdir().unwrap();
        let first = ServiceLock::take(dir.path()).unwrap();
        let error = ServiceLock::take(dir.path()).unwrap_err();
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        drop(first);
        ServiceLock::take(dir.path()).unwrap();
    }
}
