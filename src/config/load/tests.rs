use super::*;
use crate::config::{LogFormat, SecretRef};

fn from(text: &str, environment: &[(&str, &str)]) -> Result<Loaded, Vec<Diagnostic>> {
    let environment = environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let file = Some((PathBuf::from("/etc/x/tocsin.toml"), text.to_owned()));
    layer(file, environment, &LoadRequest::default(), Vec::new())
        .map_err(|found| found.into_iter().map(|(diagnostic, _)| diagnostic).collect())
}

/// The example of the documentation.
const WHOLE: &str = r#"
data_dir = "./tocsin-data"
[store]
retention = { age = "30d", size = "50GiB" }
[[backend]]
name = "prod"
url = ["https://es1:9200", "https://es2:9200"]
patterns = ["logs-*", "filebeat-*"]
auth = { api_key = { env = "ES_API_KEY" } }
ca_file = "ca.pem"
max_concurrent_requests = 8
[rules]
paths = ["rules/", "vendor/elastic/"]
reload = true
[[rules.override]]
match = { tag = "Domain: Cloud" }
enabled = true
[alerts]
to = ["local", "prod"]
index = "tocsin-alerts-{space}"
space = "default"
retention = "90d"
[schedule]
max_concurrent_executions = 4
execution_timeout = "5m"
[limits]
memory = "1GiB"
max_signals = 1000
[server]
bind = "127.0.0.1:8787"
[log]
level = "info"
format = "human"
[[connector]]
name = "soc"
type = "slack"
webhook_url = { env = "SLACK_URL" }
[[route]]
when = { severity = ["high", "critical"] }
to = ["soc"]
"#;

#[test]
fn the_whole_shape_is_accepted() {
    let loaded = from(WHOLE, &[]).unwrap();
    assert_eq!(loaded.config.data_dir, PathBuf::from("/etc/x/./tocsin-data"));
    assert_eq!(loaded.config.rules.paths[0], PathBuf::from("/etc/x/rules/"));
    assert_eq!(loaded.config.backend[0].url.len(), 2);
    assert_eq!(loaded.config.rules.overrides[0].enabled, Some(true));
    assert_eq!(loaded.origins["limits.max_signals"], Origin::File(28));
    assert!(loaded.warnings.is_empty(), "every key of the shape has an effect: {:?}", loaded.warnings);
}

#[test]
fn every_mistake_is_found_at_its_place() {
    let text = "data_dirs = \"x\"\n[schedule]\nmax_concurrent_executions = 0\nexecution_timeout = \"5 bananas\"\n[log]\nlevel = \"inof\"\n[rules]\npaths = \"rules/\"\n[[backend]]\nurl = [\"es1\"]\n";
    let found = from(text, &[]).unwrap_err();
    let lines: Vec<(&str, Option<usize>, Option<usize>)> =
        found.iter().map(|d| (d.code.as_str(), d.line, d.column)).collect();
    assert!(lines.contains(&("CONF003", Some(1), Some(1))), "{lines:?}");
    assert!(lines.contains(&("CONF004", Some(3), Some(29))), "{lines:?}");
    assert!(lines.contains(&("CONF004", Some(4), Some(21))), "{lines:?}");
    assert!(lines.contains(&("CONF004", Some(6), Some(9))), "{lines:?}");
    assert!(lines.contains(&("CONF004", Some(8), Some(9))), "{lines:?}");
    assert!(lines.contains(&("CONF004", Some(10), Some(7))), "{lines:?}");
    assert!(found.iter().any(|d| d.code == "CONF005" && d.message.contains("`name`")), "{found:?}");
    assert!(found.iter().any(|d| d.help.as_deref() == Some("did you mean `data_dir`?")), "{found:?}");
    assert!(found.iter().any(|d| d.message.contains("did you mean `info`?")), "{found:?}");
    assert!(found.iter().all(|d| d.path.as_deref() == Some(Path::new("/etc/x/tocsin.toml"))));
}

#[test]
fn what_is_not_toml_has_a_place() {
    let found = from("a = \n", &[]).unwrap_err();
    assert_eq!((found[0].code.as_str(), found[0].line), ("CONF002", Some(1)), "{found:?}");
}

#[test]
fn the_environment_beats_the_file() {
    let environment = [
        ("TOCSIN_LOG__FORMAT", "json"),
        ("TOCSIN_RULES__PATHS", "a, b"),
        ("TOCSIN_LIMITS__MAX_SIGNALS", "7"),
        ("TOCSIN_SHARED", "/elsewhere"),
    ];
    let loaded = from("[log]\nformat = \"human\"\n[limits]\nmax_signals = 3\n", &environment).unwrap();
    assert_eq!(loaded.config.log.format, LogFormat::Json);
    assert_eq!(loaded.config.rules.paths, [PathBuf::from("a"), PathBuf::from("b")]);
    assert_eq!(loaded.config.limits.max_signals, 7);
    assert_eq!(loaded.origins["limits.max_signals"], Origin::Env("TOCSIN_LIMITS__MAX_SIGNALS".into()));
    let found =
        from("", &[("TOCSIN_SERVER__BINT", "x"), ("TOCSIN_LIMITS__MAX_SIGNALS", "many")]).unwrap_err();
    assert_eq!(found[0].help.as_deref(), Some("did you mean `TOCSIN_SERVER__BIND`?"));
    assert!(found[1].message.contains("TOCSIN_LIMITS__MAX_SIGNALS"));
}

#[test]
fn secrets_are_references_and_literals_warn() {
    let text = "[[backend]]\nname = \"p\"\nurl = [\"http://h:9200\"]\nauth = { basic = { username = \"u\", password = \"hunter2\" } }\n";
    let loaded = from(text, &[]).unwrap();
    assert!(!format!("{loaded:?}").contains("hunter2"));
    let warning = &loaded.warnings[0].0;
    assert_eq!((warning.code.as_str(), warning.line), ("CONF010", Some(4)));
    let basic = loaded.config.backend[0].auth.as_ref().unwrap().basic.as_ref().unwrap();
    assert_eq!(basic.password, SecretRef::Literal("hunter2".into()));
    let two = "[[backend]]\nname = \"p\"\nurl = [\"http://h:9200\"]\nauth = { bearer = { env = \"A\" }, api_key = { env = \"B\" } }\n";
    assert_eq!(from(two, &[]).unwrap_err()[0].code, "CONF006");
}

/// A value that each kind accepts.
fn sample(kind: Kind) -> Value {
    use serde_json::json;
    match kind {
        Kind::Text | Kind::Path | Kind::Secret => json!("x"),
        Kind::Flag => json!(true),
        Kind::Number(low, _) => json!(low),
        Kind::Duration => json!("5m"),
        Kind::Size => json!("1GiB"),
        Kind::Choice(words) => json!(words[0]),
        Kind::Texts | Kind::Paths => json!(["x"]),
        Kind::Urls => json!(["http://h"]),
        Kind::Endpoint => json!("http://h"),
        Kind::Rate => json!("1/1m"),
        Kind::Headers | Kind::Fields => json!({"x": "y"}),
        Kind::Open => json!({"x": 1}),
    }
}

/// Paths of all leaves of the typed configuration, list positions left out.
fn leaves(prefix: &str, value: &Value, found: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(table)
            if !table.is_empty()
                && key_of(prefix)
                    .is_none_or(|key| !matches!(key.kind, Kind::Open | Kind::Headers | Kind::Fields)) =>
        {
            for (name, value) in table {
                leaves(&join(prefix, name), value, found);
            }
        }
        Value::Array(items) if items.first().is_some_and(Value::is_object) => {
            leaves(&format!("{prefix}[]"), &items[0], found);
        }
        _ => drop(found.insert(prefix.to_owned())),
    }
}

#[test]
fn the_table_of_keys_and_the_types_say_the_same() {
    let mut tree = Value::Object(Map::new());
    for key in KEYS {
        let path = key.path;
        match path.split_once("[].") {
            None => insert(&mut tree, path, sample(key.kind)),
            Some((list, rest)) => {
                let pointer = format!("/{}", list.replace('.', "/"));
                if tree.pointer(&pointer).is_none() {
                    insert(&mut tree, list, serde_json::json!([{}]));
                }
                insert(tree.pointer_mut(&format!("{pointer}/0")).unwrap(), rest, sample(key.kind));
            }
        }
    }
    let config = typed(&tree).expect("every key of the table is one of the types");
    let mut typed = std::collections::BTreeSet::new();
    leaves("", &serde_json::to_value(config).unwrap(), &mut typed);
    let table: std::collections::BTreeSet<String> = KEYS.iter().map(|key| key.path.to_owned()).collect();
    assert_eq!(typed, table);
    assert!(defaults().is_ok());
}

#[test]
fn secrets_are_not_in_what_is_shown() {
    let show = |text: &str| {
        let file = Some((PathBuf::from("tocsin.toml"), text.to_owned()));
        let found = layer(file, Vec::new(), &LoadRequest::default(), Vec::new()).unwrap_err();
        found[0].1.clone().unwrap()
    };
    let shown = show("[[backend]]\nname = 1\nurl = [\"http://h\"]\nauth = { bearer = \"hunterä2\" }\n");
    assert!(shown.contains("bearer = ***********") && shown.contains("name = 1"), "{shown}");
    assert!(
        !show("[[connector]]\nname = 1\ntype = \"slack\"\nwebhook_url = \"https://hunter2\"\n")
            .contains("hunter2")
    );
    assert!(!show("password = \"hunter2\" x\n").contains("hunter2"));
}

#[test]
fn a_connector_has_what_its_type_has() {
    let text = "[[connector]]\nname = \"m\"\ntype = \"email\"\nhost = \"h\"\nchannel = \"#soc\"\n[[connector]]\nname = \"w\"\ntype = \"webhok\"\n[[route]]\nto = [\"m\"]\nwhen = { field = { cloud.account.id = \"1\" }, severety = [\"low\"] }\nthrottle = \"often\"\n";
    let found = from(text, &[]).unwrap_err();
    let lines: Vec<(&str, Option<usize>)> = found.iter().map(|d| (d.code.as_str(), d.line)).collect();
    assert!(lines.contains(&("CONF003", Some(5))), "channel: {lines:?}");
    assert!(found.iter().any(|d| d.code == "CONF005" && d.message.contains("`from`")), "{found:?}");
    assert!(found.iter().any(|d| d.message.contains("did you mean `webhook`?")), "{found:?}");
    assert!(
        found.iter().any(|d| d.line == Some(11) && d.help.as_deref() == Some("did you mean `severity`?")),
        "{found:?}"
    );
    assert!(lines.contains(&("CONF004", Some(12))), "{lines:?}");
    let good =
        from("[[route]]\nto = [\"m\"]\nwhen = { field = { cloud.account.id = \"1\" } }\n", &[]).unwrap();
    assert!(good.config.route[0].when.field.contains_key("cloud.account.id"));
    let place = good.finding("route[0].when.field", "odd");
    assert_eq!((place.line, place.column), (Some(3), Some(18)));
}
