//! SIGINT, SIGTERM and SIGHUP as values.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What the process was asked to do. The first SIGINT or SIGTERM asks to drain, a second one ends
/// the process at once; SIGHUP asks to reload.
#[derive(Debug, Clone)]
pub struct Signals {
    stop: CancellationToken,
    interrupted: Arc<AtomicBool>,
    reload: watch::Receiver<u64>,
}

impl Signals {
    /// Cancelled when the process shall drain and end.
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Whether the process shall drain and end.
    pub fn stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Whether it was SIGINT (Ctrl-C) that asked to stop, and not SIGTERM.
    pub fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Changes with every SIGHUP.
    pub fn reload(&self) -> watch::Receiver<u64> {
        self.reload.clone()
    }

    /// Starts the thread that listens.
    ///
    /// # Errors
    /// When the system refuses handlers or the thread.
    pub(super) fn listen() -> io::Result<Self> {
        let (reload_sender, reload) = watch::channel(0);
        let stop = CancellationToken::new();
        let interrupted = Arc::new(AtomicBool::new(false));
        let signals = Self { stop: stop.clone(), interrupted: Arc::clone(&interrupted), reload };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (ready_sender, ready) = std::sync::mpsc::channel();
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async move {
                let mut source = match Source::open() {
                    Ok(source) => source,
                    Err(error) => return drop(ready_sender.send(Err(error))),
                };
                drop(ready_sender.send(Ok(())));
                loop {
                    match source.next().await {
                        Signal::Reload => reload_sender.send_modify(|count| *count += 1),
                        Signal::Stop { .. } if stop.is_cancelled() => end(),
                        Signal::Stop { interrupt } => {
                            interrupted.store(interrupt, Ordering::Relaxed);
                            stop.cancel();
                        }
                    }
                }
            });
        })?;
        ready.recv().map_err(io::Error::other)??;
        Ok(signals)
    }
}

#[expect(clippy::exit, reason = "a second signal ends the process at once")]
fn end() -> ! {
    std::process::exit(i32::from(super::Outcome::Interrupted.code()))
}

enum Signal {
    Stop { interrupt: bool },
    Reload,
}

#[cfg(unix)]
struct Source {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Source {
    fn open() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Stop { interrupt: true },
            _ = self.terminate.recv() => Signal::Stop { interrupt: false },
            _ = self.hang_up.recv() => Signal::Reload,
        }
    }
}

#[cfg(not(unix))]
struct Source;

#[cfg(not(unix))]
impl Source {
    fn open() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Signal {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Signal::Stop { interrupt: true },
            Err(_) => std::future::pending().await,
        }
    }
}
