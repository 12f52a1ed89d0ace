//! Real counterparts, from their packages: `aiosmtpd`, `moto`, Alertmanager, rsyslog. CI installs
//! them; elsewhere what is missing is said, and a failure with `TOCSIN_REQUIRE_SHARED=1`.

use std::process::{Child, Command, Stdio};

use super::*;

/// A server process; it is ended when dropped.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Whether a program answers; else the test is left out, or fails where nothing may be.
fn there(what: &str, probe: &mut Command) -> bool {
    let found =
        probe.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !found {
        assert!(std::env::var_os("TOCSIN_REQUIRE_SHARED").is_none(), "{what} is required but not installed");
        eprintln!("skipped: {what} is not installed");
    }
    found
}

fn python_has(module: &str) -> bool {
    there(module, Command::new("python3").args(["-c", &format!("import {module}")]))
}

fn start(command: &mut Command, port: u16) -> Daemon {
    let daemon = Daemon(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let end = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "{command:?} does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    daemon
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_takes_mail_with_log_in_and_refuses_a_wrong_one() {
    if !python_has("aiosmtpd") {
        return;
    }
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let script = format!(
        "import asyncio\nfrom aiosmtpd.controller import Controller\nfrom aiosmtpd.smtp import AuthResult\nclass H:\n  async def handle_DATA(self, server, session, envelope):\n    with open({out:?}, 'ab') as f:\n      f.write(b'TO ' + ','.join(envelope.rcpt_tos).encode() + b'\\n' + envelope.content + b'\\n')\n    return '250 kept'\n  async def handle_RCPT(self, server, session, envelope, address, options):\n    if address.startswith('full'): return '552 mailbox full'\n    envelope.rcpt_tos.append(address)\n    return '250 ok'\ndef auth(server, session, envelope, mechanism, data):\n  return AuthResult(success=(data.login, data.password) == (b'soc', b'right'))\nc = Controller(H(), hostname='127.0.0.1', port={port}, auth_required=True, auth_require_tls=False, authenticator=auth)\nc.start()\nasyncio.new_event_loop().run_forever()\n",
        out = dir.path().join("mails").display().to_string(),
    );
    let _daemon = start(Command::new("python3").args(["-c", &script]), port);
    let connector = |password: &str, name: &str, to: &str| {
        format!(
            "[[connector]]\nname = \"{name}\"\ntype = \"email\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nusername = \"soc\"\npassword = \"{password}\"\nfrom = \"tocsin <tocsin@example.com>\"\nto = {to}\n[[route]]\nto = [\"{name}\"]\n"
        )
    };
    let text = connector("right", "good", "[\"soc@example.com\", \"full@example.com\"]")
        + &connector("wrong", "bad", "[\"soc@example.com\"]")
        + &connector("right", "full", "[\"full@example.com\"]");
    let house = House::open(dir.path(), &text);
    house.alert(vec![plain("a1")]);
    house
        .until("a log-in refused", |house| {
            house
                .deliveries()
                .iter()
                .any(|d| d.connector == "bad" && d.state == DeliveryState::Waiting && d.note.is_some())
        })
        .await;
    house.until("a full mailbox stated", |house| house.count(DeliveryState::Dead) == 1).await;
    house.until_delivered(1).await;
    let of = |name: &str| house.deliveries().into_iter().find(|d| d.connector == name).unwrap();
    assert!(of("good").note.unwrap().contains("not to full@example.com"));
    assert!(of("full").note.unwrap().contains("552"));
    house.close().await;
    let mails = std::fs::read_to_string(dir.path().join("mails")).unwrap();
    for part in
        ["TO soc@example.com", "Subject: [high] Root login", "text/html", "203.0.113.9", "Message-ID: <"]
    {
        assert!(mails.contains(part), "{part} is missing in\n{mails}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sns_sqs_and_eventbridge_take_signed_messages() {
    if !python_has("moto.server") {
        return;
    }
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let _daemon = start(
        Command::new("python3").args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]),
        port,
    );
    // Resources are made, and messages read, by AWS's own library.
    let boto = |code: &str| {
        let script = format!(
            "import boto3,json\nk=dict(region_name='eu-west-1',endpoint_url='http://127.0.0.1:{port}',aws_access_key_id='a',aws_secret_access_key='s')\nsns=boto3.client('sns',**k);sqs=boto3.client('sqs',**k)\n{code}"
        );
        let output = Command::new("python3").args(["-c", &script]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let made: Value = serde_json::from_str(&boto(
        "t=sns.create_topic(Name='alarms')['TopicArn']\nf=sqs.create_queue(QueueName='f.fifo',Attributes={'FifoQueue':'true'})['QueueUrl']\nq=sqs.create_queue(QueueName='q')['QueueUrl']\na=sqs.get_queue_attributes(QueueUrl=q,AttributeNames=['QueueArn'])['Attributes']['QueueArn']\nsns.subscribe(TopicArn=t,Protocol='sqs',Endpoint=a)\nprint(json.dumps([t,f,q]))",
    ))
    .unwrap();
    let keys = "region = \"eu-west-1\"\naccess_key_id = \"a\"\nsecret_access_key = \"s\"";
    let text = format!(
        "[[connector]]\nname = \"topic\"\ntype = \"sns\"\ntopic_arn = {}\nurl = \"http://127.0.0.1:{port}\"\n{keys}\n\
         [[connector]]\nname = \"queue\"\ntype = \"sqs\"\nqueue_url = {}\n{keys}\n\
         [[connector]]\nname = \"bus\"\ntype = \"eventbridge\"\nurl = \"http://127.0.0.1:{port}\"\n{keys}\n\
         [[connector]]\nname = \"gone\"\ntype = \"sqs\"\nqueue_url = \"http://127.0.0.1:{port}/1/none\"\n{keys}\n\
         [[route]]\nto = [\"topic\", \"queue\", \"bus\", \"gone\"]\n",
        made[0], made[1]
    );
    let house = House::open(dir.path(), &text);
    house.alert(vec![plain("a1")]);
    house.until_delivered(3).await;
    house
        .until("the missing queue is stated", |house| {
            house.deliveries().iter().any(|d| d.connector == "gone" && d.note.is_some())
        })
        .await;
    house.close().await;
    let read = |queue: &Value| -> Value {
        serde_json::from_str(&boto(&format!(
            "print(sqs.receive_message(QueueUrl={queue},MessageAttributeNames=['All'],WaitTimeSeconds=2)['Messages'][0]['Body'])"
        )))
        .unwrap()
    };
    let told = read(&made[2]);
    assert_eq!(told["Subject"], "[high] Root login");
    assert!(
        told["Message"].as_str().unwrap().contains("where from: 203.0.113.9"),
        "the event is in the message"
    );
    assert_eq!(told["MessageAttributes"]["severity"]["Value"], "high");
    let carried = read(&made[1]);
    assert_eq!((&carried["alert"], &carried["alerts"][0]["user"]["name"]), (&json!("a1"), &json!("root")));
}

#[tokio::test(flavor = "multi_thread")]
async fn alertmanager_fires_and_resolves() {
    if !there("prometheus-alertmanager", Command::new("prometheus-alertmanager").arg("--version")) {
        return;
    }
    let (dir, port, gossip) = (tempfile::tempdir().unwrap(), free_port(), free_port());
    std::fs::write(dir.path().join("am.yml"), "route:\n  receiver: none\nreceivers:\n- name: none\n")
        .unwrap();
    let _daemon = start(
        Command::new("prometheus-alertmanager").current_dir(dir.path()).args([
            "--config.file=am.yml",
            "--storage.path=am",
            &format!("--web.listen-address=127.0.0.1:{port}"),
            &format!("--cluster.listen-address=127.0.0.1:{gossip}"),
        ]),
        port,
    );
    let text = format!(
        "[[connector]]\nname = \"am\"\ntype = \"alertmanager\"\nurl = \"http://127.0.0.1:{port}\"\n[[route]]\nto = [\"am\"]\n"
    );
    let house = House::open(dir.path(), &text);
    house.alert(vec![plain("a1"), plain("a2")]);
    house.until_delivered(2).await;
    let firing = || async move {
        let body = reqwest::get(format!("http://127.0.0.1:{port}/api/v2/alerts?active=true")).await.unwrap();
        let alerts: Vec<Value> = body.json().await.unwrap();
        let mut ids: Vec<String> =
            alerts.iter().map(|alert| alert["labels"]["alert_id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    assert_eq!(firing().await, ["a1", "a2"]);
    house
        .state
        .set_workflow_status(vec!["a1".into()], tocsin::store::state::WorkflowStatus::Closed, Utc::now())
        .unwrap();
    house.until_delivered(3).await;
    assert_eq!(firing().await, ["a2"]);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rsyslog_reads_what_it_is_sent() {
    if !there("rsyslogd", Command::new("rsyslogd").arg("-v")) {
        return;
    }
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let out = dir.path().join("out");
    let conf = format!(
        "module(load=\"imtcp\")\ntemplate(name=\"parts\" type=\"string\" string=\"%app-name%|%msgid%|%syslogseverity%|%syslogfacility-text%|%structured-data%|%msg%\\n\")\ninput(type=\"imtcp\" port=\"{port}\" address=\"127.0.0.1\")\naction(type=\"omfile\" file=\"{}\" template=\"parts\" asyncWriting=\"off\" flushOnTXEnd=\"on\")\n",
        out.display()
    );
    std::fs::write(dir.path().join("rsyslog.conf"), conf).unwrap();
    let pid = dir.path().join("pid");
    let _daemon = start(
        Command::new("rsyslogd")
            .args(["-n", "-iNONE", "-f"])
            .arg(dir.path().join("rsyslog.conf"))
            .env("PIDFILE", pid),
        port,
    );
    let text = format!(
        "[[connector]]\nname = \"log\"\ntype = \"syslog\"\naddress = \"127.0.0.1:{port}\"\nfacility = \"local3\"\n[[route]]\nto = [\"log\"]\n"
    );
    let house = House::open(dir.path(), &text);
    house.alert((0..20).map(|n| plain(&format!("a{n:02}"))).collect());
    house.until_delivered(20).await;
    let lines = || std::fs::read_to_string(&out).unwrap_or_default();
    house.until("rsyslog wrote all", |_| lines().lines().count() >= 20).await;
    house.close().await;
    let lines = lines();
    let first: Vec<&str> = lines.lines().next().unwrap().split('|').collect();
    assert_eq!(first[..4], ["tocsin", "ALERT", "3", "local3"]);
    assert!(
        first[4].contains("rule=\"Root login\"") && first[5].contains("where from=203.0.113.9"),
        "{first:?}"
    );
    assert_eq!(lines.lines().filter(|line| line.contains("alert=\"a07\"")).count(), 1);
}
