//! `tocsin serve`: endpoints, their authentication, systemd's socket, the heartbeat.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A child that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn command(dir: &Path) -> Command {
    std::fs::create_dir_all(dir.join("rules")).unwrap();
    let rule = "[rule]\nrule_id = \"r\"\nname = \"R\"\ndescription = \"d\"\ntype = \"query\"\nlanguage = \"kuery\"\n\
                risk_score = 1\nseverity = \"low\"\nindex = [\"logs-*\"]\ninterval = \"1s\"\nfrom = \"now-1m\"\nquery = 'a:b'\n";
    std::fs::write(dir.join("rules/r.toml"), rule).unwrap();
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("tocsin"));
    command.current_dir(dir).args(["--data-dir", "data", "--format", "ndjson", "serve", "--rules", "rules"]);
    command.env("TOCSIN_SERVER__BIND", "127.0.0.1:0").env("TOCSIN_LOG__FORMAT", "json");
    command
}

/// Starts the service; returns it with the address it listens on.
fn start(mut command: Command) -> (Running, String) {
    let mut child = Running(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(child.0.stderr.take().unwrap()).lines();
    let address = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| {
            let line: serde_json::Value = serde_json::from_str(&line).ok()?;
            line.get("address")?.as_str().map(str::to_owned)
        })
        .expect("it says where it listens");
    // Nobody reading would stop it when the pipe is full.
    std::thread::spawn(move || lines.for_each(drop));
    (child, address)
}

/// Status and body of a request.
fn get(address: &str, path: &str, token: Option<&str>) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let header = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

fn until(mut what: impl FnMut() -> bool) {
    for _ in 0..600 {
        if what() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("it did not come to pass within half a minute");
}

#[test]
fn health_metrics_watchdog_and_heartbeat() {
    let dir = tempfile::tempdir().unwrap();
    let systemd = UnixDatagram::bind(dir.path().join("notify")).unwrap();
    systemd.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let watcher = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = command(dir.path());
    command
        .env("NOTIFY_SOCKET", dir.path().join("notify"))
        .env("BEAT", format!("http://{}/alive", watcher.local_addr().unwrap()))
        .env("TOKEN", "secret");
    let config =
        "[server]\ntoken = { env = \"TOKEN\" }\n[heartbeat]\nurl = { env = \"BEAT\" }\nevery = \"1s\"\n";
    std::fs::write(dir.path().join("tocsin.toml"), config).unwrap();
    let (_service, address) = start(command);

    until(|| get(&address, "/readyz", None).0 == 200);
    assert_eq!(get(&address, "/healthz", None), (200, "ok\n".to_owned()));
    // Numbers are for those who have the token.
    assert_eq!(get(&address, "/metrics", None).0, 401);
    assert_eq!(get(&address, "/metrics", Some("wrong")).0, 401);
    until(|| {
        let (status, text) = get(&address, "/metrics", Some("secret"));
        assert_eq!(status, 200);
        assert!(text.ends_with("# EOF\n"), "{text}");
        text.contains("tocsin_rules 1\n")
            && text.contains("tocsin_schedule_lag_seconds_count ")
            && text.contains("tocsin_executions_total{status=\"no data source\"}")
    });
    let mut message = [0; 100];
    let length = systemd.recv(&mut message).unwrap();
    assert_eq!(&message[..length], b"READY=1\nWATCHDOG=1");
    let (mut beat, _) = watcher.accept().unwrap();
    let mut line = [0; 10];
    beat.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"GET /alive");
}

#[test]
fn nothing_listens_beyond_loopback_without_a_token() {
    let dir = tempfile::tempdir().unwrap();
    let output = command(dir.path()).env("TOCSIN_SERVER__BIND", "0.0.0.0:0").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("0.0.0.0:0") && said.contains("server.token"), "{said}");
}
