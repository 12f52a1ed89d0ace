//! A file with a JSON document a line, and stdout.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde::Deserialize;

use super::read;
use super::webhook::document;
use crate::config::ByteSize;
use crate::notify::connector::{Connector, Receipt, SendError};
use crate::notify::lane::LaneSettings;
use crate::notify::message::Message;

/// Size at which a file is renamed when the configuration does not say, bytes.
const ROTATE: u64 = 100 * 1024 * 1024;
/// Renamed files kept when the configuration does not say.
const KEEP: u32 = 5;

#[derive(Deserialize)]
struct Own {
    path: PathBuf,
    #[serde(default)]
    rotate_size: Option<ByteSize>,
    #[serde(default)]
    keep: Option<u32>,
}

/// Writes a line and syncs it: what is acknowledged is on disk.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    rotate: u64,
    keep: u32,
    /// One line at a time.
    turn: Arc<Mutex<()>>,
}

impl File {
    pub(super) fn new(settings: &LaneSettings) -> Result<Self, String> {
        let own: Own = read(settings)?;
        Ok(Self {
            path: own.path,
            rotate: own.rotate_size.map_or(ROTATE, ByteSize::bytes),
            keep: own.keep.unwrap_or(KEEP),
            turn: Arc::default(),
        })
    }
}

fn append(path: &Path, line: &str, rotate: u64, keep: u32) -> std::io::Result<()> {
    if std::fs::metadata(path).is_ok_and(|file| file.len() > 0 && file.len() + line.len() as u64 > rotate) {
        let numbered = |number: u32| {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..keep).rev() {
            if numbered(number).exists() {
                std::fs::rename(numbered(number), numbered(number + 1))?;
            }
        }
        if keep == 0 { std::fs::remove_file(path)? } else { std::fs::rename(path, numbered(1))? }
    }
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(line.as_bytes())?;
    file.sync_data()
}

#[async_trait]
impl Connector for File {
    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let line = format!("{}\n", document(message));
        let (path, rotate, keep, turn) = (self.path.clone(), self.rotate, self.keep, Arc::clone(&self.turn));
        let written = tokio::task::spawn_blocking(move || {
            let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            append(&path, &line, rotate, keep)
        });
        match written.await {
            Ok(Ok(())) => Ok(Receipt::default()),
            Ok(Err(error)) => {
                Err(SendError::unavailable(format!("cannot write `{}`: {error}", self.path.display())))
            }
            Err(error) => Err(SendError::unavailable(error.to_string())),
        }
    }

    async fn check(&self) -> Result<String, SendError> {
        let path = self.path.clone();
        let opened =
            tokio::task::spawn_blocking(move || OpenOptions::new().append(true).create(true).open(path))
                .await;
        match opened {
            Ok(Ok(_)) => Ok(format!("`{}` can be written", self.path.display())),
            Ok(Err(error)) => {
                Err(SendError::unavailable(format!("cannot write `{}`: {error}", self.path.display())))
            }
            Err(error) => Err(SendError::unavailable(error.to_string())),
        }
    }

    fn concurrency(&self) -> u32 {
        1
    }
}

/// Writes a line to stdout.
#[derive(Debug)]
pub(super) struct Stdout;

#[async_trait]
impl Connector for Stdout {
    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let line = format!("{}\n", document(message));
        let written = tokio::task::spawn_blocking(move || {
            let mut out = std::io::stdout().lock();
            out.write_all(line.as_bytes())?;
            out.flush()
        });
        match written.await {
            Ok(Ok(())) => Ok(Receipt::default()),
            Ok(Err(error)) => Err(SendError::unavailable(format!("cannot write to stdout: {error}"))),
            Err(error) => Err(SendError::unavailable(error.to_string())),
        }
    }

    async fn check(&self) -> Result<String, SendError> {
        Ok("stdout".to_owned())
    }

    fn concurrency(&self) -> u32 {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_rotated_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alerts.ndjson");
        for number in 0..5 {
            append(&path, &format!("line {number}\n"), 10, 2).unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read("alerts.ndjson"), "line 4\n");
        assert_eq!(
            (read("alerts.ndjson.1"), read("alerts.ndjson.2")),
            ("line 3\n".into(), "line 2\n".into())
        );
        assert!(!dir.path().join("alerts.ndjson.3").exists());
    }
}
