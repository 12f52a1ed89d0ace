use super::*;
use serde_json::json;

fn values() -> Value {
    json!({
        "source": {"ip": "1.2.3.4"}, "user": {"name": "<b>ann</b>"}, "@timestamp": "2026-11-01T00:00:00Z",
        "alerts_count": 2,
        "context": {
            "rule": {"name": "R \"1\"", "tags": ["a", "b"]},
            "alerts": [{"user": {"name": "ann"}}, {"user": {"name": "bob"}}]
        },
    })
}

fn render(text: &str, escape: Escape) -> Result<String, TemplateError> {
    Template::parse(text, escape)?.render(&values())
}

#[test]
fn the_three_dialects_say_the_same() {
    for text in ["{{ context.rule.name }} from {{ source.ip }}", "{{context.rule.name}} from {{{source.ip}}}"]
    {
        assert_eq!(render(text, Escape::Plain).unwrap(), "R \"1\" from 1.2.3.4", "{text}");
    }
    assert_eq!(
        render("100% of %source.ip by %ct.user at %@timestamp %fd.name[0].", Escape::Plain).unwrap(),
        "100% of 1.2.3.4 by <b>ann</b> at 2026-11-01T00:00:00Z <NA>."
    );
}

#[test]
fn sections_walk_alerts_as_in_kibana() {
    let text = "{{alerts_count}}:{{#context.alerts}} {{user.name}}{{/context.alerts}}{{^gone}} none{{/gone}}{{! c }}{{missing}}";
    assert_eq!(render(text, Escape::Plain).unwrap(), "2: ann bob none");
    assert_eq!(
        render("{{#context.rule.tags}}<{{.}}>{{/context.rule.tags}}", Escape::Plain).unwrap(),
        "<a><b>"
    );
    assert_eq!(render("{{context.rule.tags}}", Escape::Plain).unwrap(), "a,b");
}

#[test]
fn jinja_is_strict() {
    let error = render("ok\n{{ source.port }}", Escape::Plain).unwrap_err();
    assert!(error.message.contains("line 2"), "{error}");
    assert_eq!(render("{{ source.port | default('none') }}", Escape::Plain).unwrap(), "none");
    assert!(Template::parse("{{ source.", Escape::Plain).is_err());
    assert!(Template::parse("{{#a}}", Escape::Plain).is_err());
    assert!(Template::parse("{{#a}}{{/b}}", Escape::Plain).is_err());
}

#[test]
fn values_are_escaped_and_the_template_is_not() {
    assert_eq!(render("<i>{{ user.name }}</i>", Escape::Html).unwrap(), "<i>&lt;b&gt;ann&lt;/b&gt;</i>");
    assert_eq!(render("{\"a\": \"{{ context.rule.name }}\"}", Escape::Json).unwrap(), r#"{"a": "R \"1\""}"#);
    assert_eq!(render("{\"a\": \"{{{context.rule.name}}}\"}", Escape::Json).unwrap(), r#"{"a": "R \"1\""}"#);
}

#[test]
fn rendering_is_bounded() {
    let endless = "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}";
    assert!(render(endless, Escape::Plain).is_err());
    let deep = "{{#a}}".repeat(100);
    assert!(Template::parse(&deep, Escape::Plain).is_err());
    assert!(Template::parse(&"x".repeat(TEMPLATE_BYTES + 1), Escape::Plain).is_err());
}
