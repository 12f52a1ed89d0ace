//! `kill -9` while 5,000 notifications are delivered: each arrives, each key is handled once.
#![cfg(unix)]

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;

const NOTIFICATIONS: usize = 5_000;

fn deliver(dir: &Path) -> Child {
    Command::new(assert_cmd::cargo::cargo_bin("tocsin"))
        .args(["--config", "tocsin.toml", "--data-dir", "data", "-q", "notify", "deliver"])
        .current_dir(dir)
        .env("HOME", dir)
        .stdout(Stdio::null())
        .stderr(Stdio::from(std::fs::File::create(dir.join("stderr")).unwrap()))
        .spawn()
        .unwrap()
}

#[test]
fn a_kill_in_the_middle_loses_nothing_and_repeats_under_the_same_key() {
    let dir = tempfile::tempdir().unwrap();
    // A target that handles a key once, as `Idempotency-Key` promises.
    let seen = Arc::new(std::sync::Mutex::new(HashMap::<String, usize>::new()));
    let (handled, slow) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
    let (keys, counter, slowly) = (Arc::clone(&seen), Arc::clone(&handled), Arc::clone(&slow));
    let server = Server::start(move |asked, _| {
        if slowly.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let key = asked.header("idempotency-key").unwrap().to_owned();
        let mut keys = keys.lock().unwrap();
        let times = keys.entry(key).or_default();
        *times += 1;
        if *times == 1 {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        Reply::json(200, &json!({}))
    });
    let text = format!("{}\n[notify]\ndrain = \"5m\"\nretry_for = \"1d\"\n", webhook(&server.url));
    let house = House::idle(dir.path(), &text);
    house.alert((0..NOTIFICATIONS).map(|n| plain(&format!("a{n:04}"))).collect());
    drop(house);
    for at in [500, 1_500, 3_000] {
        let mut child = deliver(dir.path());
        let end = Instant::now() + PATIENCE;
        while handled.load(Ordering::Relaxed) < at {
            assert!(Instant::now() < end, "{}", std::fs::read_to_string(dir.path().join("stderr")).unwrap());
            std::thread::sleep(Duration::from_millis(1));
        }
        // SIGKILL: nothing is tidied up.
        child.kill().unwrap();
        child.wait().unwrap();
    }
    slow.store(false, Ordering::Relaxed);
    assert!(deliver(dir.path()).wait().unwrap().success());
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), NOTIFICATIONS, "each received at least once, under a key of its own");
    assert_eq!(handled.load(Ordering::Relaxed), NOTIFICATIONS, "each key handled once");
    let repeated: usize = seen.values().map(|times| times - 1).sum();
    assert!(repeated < 3 * 400, "what was in flight is repeated, not everything: {repeated}");
    let state = StateDb::open(&dir.path().join("data")).unwrap();
    let counts = state.delivery_counts().unwrap();
    assert_eq!((counts.len(), counts[0].count), (1, NOTIFICATIONS as u64));
}
