//! Targets that behave badly, and what each connector sends.

use super::*;

/// Sends one alert and returns what was recorded about its delivery.
async fn one(text: &str, state: DeliveryState) -> Delivery {
    let dir = tempfile::tempdir().unwrap();
    let house = House::open(dir.path(), text);
    house.alert(vec![plain("a")]);
    house
        .until("an attempt", |house| {
            house
                .deliveries()
                .iter()
                .any(|d| d.state == state && (d.note.is_some() || state == DeliveryState::Delivered))
        })
        .await;
    let found = house.deliveries().remove(0);
    house.close().await;
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_to_another_host_is_refused_and_to_the_same_is_followed() {
    let other = taking();
    let elsewhere = other.url.clone();
    let away = Server::start(move |_, _| {
        Reply::Answer(307, vec![("location".into(), elsewhere.clone())], String::new())
    });
    let note = one(&webhook(&away.url), DeliveryState::Waiting).await.note.unwrap();
    assert!(note.contains("redirect to another host is refused"), "{note}");
    assert!(other.asked().is_empty(), "nothing went there");
    let near = Server::start(|asked, _| match asked.path() {
        "/moved" => Reply::json(200, &json!({})),
        _ => Reply::Answer(307, vec![("location".into(), "/moved".into())], String::new()),
    });
    one(&webhook(&near.url), DeliveryState::Delivered).await;
    assert_eq!(body(&near.asked()[1])["alert"], "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_allowed_addresses_are_spoken_to() {
    let (dir, server) = (tempfile::tempdir().unwrap(), taking());
    let text = format!("{}\n[notify]\nallow_urls = [\"https://hooks.example/\"]\n", webhook(&server.url));
    let problems = App::new(config(dir.path(), &text), Arc::new(SystemClock)).notifications().unwrap_err();
    assert_eq!((problems.len(), problems[0].path.as_str()), (1, "connector[0].url"));
    // A secret address is only known when it is used.
    std::fs::write(dir.path().join("url"), &server.url).unwrap();
    let hidden = text.replace(&format!("\"{}\"", server.url), "{ file = \"url\" }");
    let house = House::open(dir.path(), &hidden);
    house.alert(vec![plain("a")]);
    house.until("refused", |house| house.deliveries()[0].note.is_some()).await;
    assert!(house.deliveries()[0].note.as_deref().unwrap().contains("allow_urls"));
    assert!(server.asked().is_empty());
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_signed_and_has_its_own_body() {
    let server = taking();
    let text = webhook(&server.url).replace(
        "[[route]]",
        "method = \"PUT\"\nhmac_secret = \"k\"\nheaders = { X-Team = \"soc\" }\nbody = '{\"rule\": \"{{ rule.name }}\", \"n\": {{ alerts_count }}}'\n[[route]]",
    );
    one(&text, DeliveryState::Delivered).await;
    let asked = &server.asked()[0];
    assert_eq!((asked.method.as_str(), asked.header("x-team")), ("PUT", Some("soc")));
    assert_eq!(body(asked), json!({"rule": "Root login", "n": 1}));
    // The signature, computed by another program.
    let signed = format!("{}.{}", asked.header("x-tocsin-timestamp").unwrap(), asked.body);
    let output = std::process::Command::new("python3")
        .args([
            "-c",
            "import hmac,sys; print('sha256=' + hmac.new(b'k', sys.argv[1].encode(), 'sha256').hexdigest())",
            &signed,
        ])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), asked.header("x-tocsin-signature").unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_in_a_successful_answer_is_a_failure() {
    let slack = Server::start(|_, _| Reply::json(200, &json!({"ok": false, "error": "channel_not_found"})));
    let text = format!(
        "[[connector]]\nname = \"s\"\ntype = \"slack\"\ntoken = \"t\"\nchannel = \"#soc\"\nurl = \"{}/api/\"\n[[route]]\nto = [\"s\"]\n",
        slack.url
    );
    let note = one(&text, DeliveryState::Waiting).await.note.unwrap();
    assert!(note.contains("channel_not_found"), "{note}");
    let pager =
        Server::start(|_, _| Reply::json(200, &json!({"status": "invalid event", "errors": ["severity"]})));
    let text = format!(
        "[[connector]]\nname = \"p\"\ntype = \"pagerduty\"\nrouting_key = \"k\"\nurl = \"{}\"\n[[route]]\nto = [\"p\"]\n",
        pager.url
    );
    let note = one(&text, DeliveryState::Dead).await.note.unwrap();
    assert!(note.contains("invalid event"), "{note}");
    let otlp =
        Server::start(|_, _| Reply::json(200, &json!({"partialSuccess": {"rejectedLogRecords": "1"}})));
    let text = format!(
        "[[connector]]\nname = \"o\"\ntype = \"otlp\"\nurl = \"{}\"\n[[route]]\nto = [\"o\"]\n",
        otlp.url
    );
    one(&text, DeliveryState::Dead).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slack_gets_plain_text_rather_than_nothing() {
    let server = Server::start(|asked, _| match body(asked).get("blocks") {
        Some(_) => Reply::Answer(400, Vec::new(), "invalid_blocks".into()),
        None => Reply::Answer(200, Vec::new(), "ok".into()),
    });
    let text = format!(
        "[[connector]]\nname = \"s\"\ntype = \"slack\"\nwebhook_url = \"{}\"\n[[route]]\nto = [\"s\"]\n",
        server.url
    );
    let delivered = one(&text, DeliveryState::Delivered).await;
    assert!(delivered.note.unwrap().contains("sent as plain text"));
    assert!(body(&server.asked()[1])["text"].as_str().unwrap().contains("203.0.113.9"));
}

/// An HTTPS server with a certificate that nobody signed, and the certificate.
fn self_signed(dir: &Path) -> (u16, std::process::Child) {
    use std::process::{Command, Stdio};
    let made = Command::new("openssl")
        .current_dir(dir)
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem",
            "-days", "2",
        ])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(made.success());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let script = format!(
        "import http.server,ssl\nclass H(http.server.BaseHTTPRequestHandler):\n  def do_POST(self):\n    self.rfile.read(int(self.headers['content-length']));self.send_response(200);self.send_header('content-length','0');self.end_headers();open('told','a').write('x')\n  def log_message(self,*a): pass\ns=http.server.HTTPServer(('127.0.0.1',{port}),H)\nc=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER);c.load_cert_chain('cert.pem','key.pem')\ns.socket=c.wrap_socket(s.socket,server_side=True)\ns.serve_forever()\n"
    );
    let server =
        Command::new("python3").current_dir(dir).args(["-c", &script]).stderr(Stdio::null()).spawn().unwrap();
    let end = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "the server does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    (port, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nobody_signed_is_refused_unless_it_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (port, mut server) = self_signed(dir.path());
    let url = format!("https://127.0.0.1:{port}/");
    let note = one(&webhook(&url), DeliveryState::Waiting).await.note.unwrap();
    assert!(note.to_lowercase().contains("certificate"), "{note}");
    assert!(!dir.path().join("told").exists(), "nothing was sent");
    let trusting = webhook(&url)
        .replace("[[route]]", &format!("ca_file = \"{}\"\n[[route]]", dir.path().join("cert.pem").display()));
    one(&trusting, DeliveryState::Delivered).await;
    assert!(dir.path().join("told").exists());
    drop(server.kill());
    drop(server.wait());
}

#[tokio::test(flavor = "multi_thread")]
async fn syslog_over_tls_verifies_too() {
    let dir = tempfile::tempdir().unwrap();
    let (port, mut server) = self_signed(dir.path());
    let text = format!(
        "[[connector]]\nname = \"s\"\ntype = \"syslog\"\naddress = \"127.0.0.1:{port}\"\ntransport = \"tls\"\n[[route]]\nto = [\"s\"]\n"
    );
    let note = one(&text, DeliveryState::Waiting).await.note.unwrap();
    assert!(note.to_lowercase().contains("certificate"), "{note}");
    drop(server.kill());
    drop(server.wait());
}
