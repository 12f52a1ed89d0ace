//! Queries on exact values: terms, patterns, ranges.

use std::sync::Arc;

use serde_json::Value;

use super::dates;
use super::parse::{
    DslError, Options, field_pattern, foreign, member, name, on_field, refuse, scalar, single, wildcards,
};
use crate::query::plan::regexp::translate;
use crate::query::plan::values::ValueSet;
use crate::query::plan::{Bounds, Case, Node, Pattern, Piece};

fn case(options: Options<'_>) -> Case {
    if options.flag("case_insensitive") { Case::Insensitive } else { Case::Field }
}

pub(super) fn term(body: &Value) -> Result<Node, DslError> {
    let leaf = on_field(body, &["value"], &["case_insensitive"])?;
    Ok(Node::Is {
        field: Some(name(leaf.field)),
        value: Arc::from(leaf.value),
        phrase: true,
        case: case(leaf.options),
    })
}

pub(super) fn prefix(body: &Value) -> Result<Node, DslError> {
    let leaf = on_field(body, &["value"], &["case_insensitive"])?;
    let pattern = Pattern(vec![Piece::Literal(Arc::from(leaf.value)), Piece::Any]);
    Ok(Node::Wildcard { field: Some(name(leaf.field)), pattern, case: case(leaf.options) })
}

pub(super) fn wildcard(body: &Value) -> Result<Node, DslError> {
    let leaf = on_field(body, &["value", "wildcard"], &["case_insensitive"])?;
    let pattern = wildcards(&leaf.value, true);
    Ok(Node::Wildcard { field: Some(name(leaf.field)), pattern, case: case(leaf.options) })
}

pub(super) fn regexp(body: &Value) -> Result<Node, DslError> {
    let leaf =
        on_field(body, &["value"], &["case_insensitive", "flags", "flags_value", "max_determinized_states"])?;
    // With some operators switched off their characters are plain ones.
    let partial = leaf.options.differs("flags", &["ALL"]) || leaf.options.get("flags_value").is_some();
    if partial && leaf.value.contains(['~', '&', '<', '@', '#', '"']) {
        return Ok(foreign("a regular expression with `flags`", "regexp", body));
    }
    match translate(&leaf.value) {
        Ok(_) => Ok(Node::Regexp {
            field: Some(name(leaf.field)),
            pattern: Arc::from(leaf.value),
            case: case(leaf.options),
        }),
        Err(error) if error.only_cluster => Ok(foreign(&error.message, "regexp", body)),
        Err(error) => Err(DslError::new(format!("not a regular expression: {error}")).below(leaf.field)),
    }
}

pub(super) fn terms(body: &Value) -> Result<Node, DslError> {
    let (field, values) = single(body)?;
    match values {
        Value::Array(values) => one_of(field, values).map_err(|error| error.below(field)),
        Value::Object(_) => Ok(foreign("terms of another document", "terms", body)),
        _ => refuse("an array of values is expected").map_err(|error: DslError| error.below(field)),
    }
}

pub(super) fn ids(body: &Value) -> Result<Node, DslError> {
    match member(body, "values")? {
        Value::Array(values) => one_of(crate::ecs::document::ID, values),
        one => one_of(crate::ecs::document::ID, std::slice::from_ref(one)),
    }
}

fn one_of(field: &str, values: &[Value]) -> Result<Node, DslError> {
    let texts = values.iter().map(scalar).collect::<Result<Vec<String>, _>>()?;
    if let [only] = texts.as_slice() {
        let value = Arc::from(only.as_str());
        return Ok(Node::Is { field: Some(name(field)), value, phrase: true, case: Case::Field });
    }
    let set = ValueSet::of(texts).map_err(|error| DslError::new(error.to_string()))?;
    Ok(Node::OneOf { field: name(field), values: Arc::new(set) })
}

pub(super) fn range(body: &Value) -> Result<Node, DslError> {
    let (field, value) = single(body)?;
    bounds(field, value).map_err(|error| error.below(field))
}

/// The bounds, in the words of today or (`from`, `to`, `include_lower`, `include_upper`) of old.
fn bounds(field: &str, value: &Value) -> Result<Node, DslError> {
    let known =
        ["gt", "gte", "lt", "lte", "from", "to", "include_lower", "include_upper", "format", "time_zone"];
    let options = Options::of(value, &known)?;
    let format = options.text("format");
    let end = |key: &str, up: bool| -> Result<Option<Arc<str>>, DslError> {
        let Some(value) = options.get(key) else { return Ok(None) };
        let text = scalar(value).map_err(|error| error.below(key))?;
        match format {
            Some(format) => dates::canonical(&text, format, up).map_err(|error| error.below(key)).map(Some),
            None => Ok(Some(Arc::from(text))),
        }
    };
    let mut bounds = Bounds {
        gt: end("gt", true)?,
        gte: end("gte", false)?,
        lt: end("lt", false)?,
        lte: end("lte", true)?,
        zone: options.text("time_zone").map(Arc::from),
    };
    let excluded = |key: &str| options.get(key) == Some(&Value::Bool(false));
    if excluded("include_lower") {
        bounds.gt = bounds.gt.or(end("from", true)?);
    } else {
        bounds.gte = bounds.gte.or(end("from", false)?);
    }
    if excluded("include_upper") {
        bounds.lt = bounds.lt.or(end("to", false)?);
    } else {
        bounds.lte = bounds.lte.or(end("to", true)?);
    }
    if (bounds.gt.is_some() && bounds.gte.is_some()) || (bounds.lt.is_some() && bounds.lte.is_some()) {
        return refuse("there are two bounds on one side");
    }
    if bounds.gt.is_none() && bounds.gte.is_none() && bounds.lt.is_none() && bounds.lte.is_none() {
        return Ok(Node::Exists { field: field_pattern(field) });
    }
    Ok(Node::Range { field: field_pattern(field), bounds })
}
