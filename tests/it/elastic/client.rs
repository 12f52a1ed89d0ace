//! Log-in, fail-over, retries, bounds.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tocsin::base::clock::SystemClock;
use tocsin::elastic::{Auth, Client, Credentials, ElasticError, Method, Options, Request, RetryPolicy};

use super::server::{Asked, Reply, Server};

/// Quick pauses, so that a test does not wait.
fn quick() -> RetryPolicy {
    RetryPolicy {
        spread: true,
        rounds: 3,
        patience: Duration::from_secs(2),
        first_pause: Duration::from_millis(10),
        longest_pause: Duration::from_millis(20),
    }
}

fn options(hosts: &[&str]) -> Options {
    let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
    Options { retry: quick(), ..Options::new("prod", hosts) }
}

fn client(options: Options) -> Client {
    Client::new(options, Arc::new(SystemClock)).unwrap()
}

fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn send(client: &Client, request: Request) -> Result<Value, ElasticError> {
    block(client.json(&request))
}

fn info() -> Value {
    json!({"cluster_name": "c", "version": {"number": "8.19.2", "build_flavor": "default"}})
}

#[test]
fn every_way_to_log_in_is_sent() {
    let server = Server::start(|_, _| Reply::json(200, &json!({})));
    let credentials = Credentials {
        access_key: "AKID".into(),
        secret_key: "s".into(),
        session_token: Some("token".into()),
    };
    for (auth, header) in [
        (Auth::None, None),
        (Auth::ApiKey("a2V5".into()), Some("ApiKey a2V5")),
        (Auth::Bearer("t".into()), Some("Bearer t")),
        (Auth::Basic { username: "u".into(), password: "p:w".into() }, Some("Basic dTpwOnc=")),
        (
            Auth::SigV4 { region: "eu-west-1".into(), service: "es".into(), credentials },
            Some("AWS4-HMAC-SHA256 Credential=AKID/"),
        ),
    ] {
        let client = client(Options { auth, ..options(&[&server.url]) });
        assert!(!format!("{client:?}").contains("p:w"), "secrets are not printed");
        send(&client, Request::get("/")).unwrap();
        let asked = server.asked().pop().unwrap();
        let sent = asked.header("authorization");
        match header {
            None => assert_eq!(sent, None),
            Some(header) => assert!(sent.is_some_and(|sent| sent.starts_with(header)), "{sent:?}"),
        }
    }
    let signed = server.asked().pop().unwrap();
    assert_eq!(signed.header("x-amz-security-token"), Some("token"));
}

#[test]
fn a_node_that_is_away_is_passed_over() {
    let server = Server::start(|_, _| Reply::json(200, &info()));
    let gone = {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", closed.local_addr().unwrap())
    };
    let client = client(options(&[&gone, &server.url]));
    for _ in 0..3 {
        assert_eq!(block(client.flavour()).unwrap().to_string(), "Elasticsearch 8.19.2, cluster c");
        send(&client, Request::write(Method::Post, "/x/_doc").json(&json!({}))).unwrap();
    }
    assert_eq!(server.asked().iter().filter(|asked| asked.path() == "/").count(), 1, "asked once");
    let alone = client_of(&gone);
    let error = send(&alone, Request::get("/")).unwrap_err();
    assert!(matches!(error, ElasticError::Unreachable { .. }) && error.passing(), "{error}");
}

fn client_of(url: &str) -> Client {
    client(options(&[url]))
}

#[test]
fn what_may_have_been_taken_is_not_sent_twice() {
    for reply in
        [Reply::Drop, Reply::json(502, &json!({"error": "bad gateway"})), Reply::BreakOff("{".into())]
    {
        let scripted = reply.clone();
        let server = Server::start(move |_, before| match before {
            0 => scripted.clone(),
            _ => Reply::json(201, &json!({"result": "created"})),
        });
        let client = client_of(&server.url);
        let write = || Request::write(Method::Post, "/a/_doc").json(&json!({"x": 1}));
        assert!(send(&client, write()).is_err(), "{reply:?}");
        assert_eq!(server.asked().len(), 1, "{reply:?}: a write was sent again");

        let scripted = reply.clone();
        let server = Server::start(move |_, before| match before {
            0 => scripted.clone(),
            _ => Reply::json(201, &json!({"result": "created"})),
        });
        let client = client_of(&server.url);
        assert_eq!(send(&client, write().repeatable()).unwrap()["result"], "created", "{reply:?}");
        assert_eq!(server.asked().len(), 2);
    }
}

#[test]
fn a_busy_cluster_is_asked_again_when_it_says() {
    let server = Server::start(|_, before| match before {
        0 => Reply::json(429, &json!({"error": "busy"})).with("retry-after", "1"),
        1..4 => Reply::json(429, &json!({"error": "busy"})),
        _ => Reply::json(200, &json!({"took": 1})),
    });
    let started = std::time::Instant::now();
    assert_eq!(send(&client_of(&server.url), Request::read("/_search").json(&json!({}))).unwrap()["took"], 1);
    assert!(started.elapsed() >= Duration::from_secs(1), "it asked for a second");
    assert_eq!(server.asked().len(), 5);

    let server = Server::start(|_, _| {
        Reply::json(429, &json!({"error": {"type": "circuit_breaking_exception", "reason": "too much"}}))
    });
    let error = send(&client_of(&server.url), Request::read("/_search")).unwrap_err();
    assert_eq!(error.to_string(), "cluster `prod` is too busy: too much (HTTP 429)");
    assert!(error.passing());
}

#[test]
fn errors_are_the_clusters_own() {
    let script = |asked: &Asked, _| match asked.path() {
        "/_security" => Reply::Answer(401, vec![], "Unauthorized".into()),
        "/secret/_search" => Reply::json(
            403,
            &json!({"error": {"type": "security_exception",
            "reason": "action [indices:data/read/search] is unauthorized for user [u] on indices [secret]"}}),
        ),
        "/proxy" => Reply::html(200, "<html><head><title>Log in</title></head></html>"),
        "/gateway" => Reply::html(504, "<html><title>504 Gateway Time-out</title></html>"),
        "/moved" => {
            Reply::Answer(302, vec![("location".into(), "http://127.0.0.1:1/".into())], String::new())
        }
        _ => Reply::json(
            404,
            &json!({"error": {"type": "index_not_found_exception",
            "reason": "no such index [x]", "index": "x"}}),
        ),
    };
    let server = Server::start(script);
    let client = client_of(&server.url);
    let shown = |path: &str| send(&client, Request::get(path)).unwrap_err().to_string();
    assert_eq!(
        shown("/_security"),
        "cluster `prod` does not accept the credentials: Unauthorized (HTTP 401)"
    );
    assert!(shown("/secret/_search").contains("unauthorized for user [u] on indices [secret] (HTTP 403)"));
    assert!(shown("/proxy").ends_with("answers with HTML (HTTP 200), not as a cluster does: `Log in`"));
    assert!(shown("/gateway").contains("`504 Gateway Time-out`"));
    assert!(shown("/moved").contains("HTTP 302"), "{}", shown("/moved"));
    assert_eq!(
        shown("/x/_search"),
        "cluster `prod`: no such index [x] (index_not_found_exception, HTTP 404)"
    );
    assert!(block(client.send(&Request::get("/x/_search").accept(404))).unwrap().status == 404);
}

#[test]
fn answers_are_bounded_and_bodies_compressed() {
    let server = Server::start(|asked, _| {
        let body = if asked.path() == "/large" { "\"".repeat(4_096) } else { asked.body.clone() };
        Reply::Answer(200, vec![], body)
    });
    let client = client(Options { largest_answer: 2_048, ..options(&[&server.url]) });
    let error = send(&client, Request::get("/large")).unwrap_err();
    assert!(matches!(error, ElasticError::TooLarge { .. }), "{error}");
    let long = json!({"query": "x".repeat(1_900)});
    assert_eq!(send(&client, Request::read("/_search").json(&long)).unwrap(), long);
    assert_eq!(server.asked().pop().unwrap().header("content-encoding"), Some("gzip"));
    assert!(client.traffic().bytes_sent < 200, "compressed");
}

#[test]
fn no_more_requests_are_in_flight_than_the_budget_has() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NOW: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let server = Server::start(|_, _| {
        MOST.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(20));
        NOW.fetch_sub(1, Ordering::SeqCst);
        Reply::json(200, &json!({}))
    });
    let client = client(Options { concurrency: 3, ..options(&[&server.url]) });
    block(async {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..12 {
            let client = client.clone();
            tasks.spawn(async move { client.json(&Request::get("/x")).await });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap().unwrap();
        }
    });
    assert_eq!(MOST.load(Ordering::SeqCst), 3);
}

#[test]
fn addresses_and_certificates_are_checked_before_anything_is_sent() {
    let failed = |options| Client::new(options, Arc::new(SystemClock)).unwrap_err().to_string();
    assert_eq!(failed(options(&[])), "cluster `prod` has no address");
    assert!(failed(options(&["ftp://x"])).contains("write `http://HOST:PORT`"));
    assert!(failed(options(&["http://u:p@x"])).contains("credentials belong in `auth`"));
    let wrong = Options { authorities: Some(b"no certificate".to_vec()), ..options(&["https://x"]) };
    assert!(failed(wrong).starts_with("cannot use `ca_file`"));
}
