//! Whether the rules load.

use super::{Context, Finding};

const CHECK: &str = "rules";

/// Loads the configured rules as the service would.
pub(super) fn check(context: &Context) -> Vec<Finding> {
    let paths = context.rule_paths();
    let set = context.app().rules(&[]);
    let broken = set.diagnostics.iter().filter(|found| found.is_error()).count();
    let subject = match paths {
        [] => "shipped".to_owned(),
        paths => paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "),
    };
    let enabled = set.compiled.iter().filter(|rule| context.config().rules.enabled(&rule.rule)).count();
    let idle = set.rules.len() - set.compiled.len();
    let seen = format!(
        "{} loaded, {enabled} enabled, {idle} of types that are not run in this version",
        set.rules.len()
    );
    let finding = if broken > 0 {
        let first = set
            .diagnostics
            .iter()
            .find(|found| found.is_error())
            .map_or_else(String::new, ToString::to_string);
        Finding::failed(
            CHECK,
            format!("{seen}; {broken} errors, the first: {first}"),
            "see `tocsin rules check PATH`",
        )
    } else if enabled == 0 {
        Finding::warning(CHECK, seen, "nothing would run: name rules in `rules.paths`, or enable some")
    } else {
        Finding::ok(CHECK, seen)
    };
    vec![finding.about(subject)]
}
