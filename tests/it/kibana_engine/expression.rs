//! The few JavaScript expressions by which cases look at alerts.

use serde_json::Value;

/// Evaluates an expression over the alerts in `hits`.
pub(super) fn evaluate(expression: &str, hits: &[Value]) -> Result<Value, String> {
    if let Some(rest) = expression.strip_prefix("omit(") {
        let (inner, names) = rest.split_once(", [").ok_or("`omit` without names")?;
        let mut value = evaluate(inner, hits)?;
        for name in names.split('"').skip(1).step_by(2) {
            value.as_object_mut().ok_or("`omit` of no object")?.shift_remove(name);
        }
        return Ok(value);
    }
    if let Some(rest) = expression.strip_prefix("orderBy(") {
        let end = rest.rfind("), ").map_or(rest.len(), |at| at + 1);
        let (_, after) = rest.split_once(", asc)").ok_or("`orderBy` without order")?;
        return evaluate(&format!("{}{after}", &rest[..end]), hits);
    }
    let (_, mut rest) =
        expression.split_once(".hits.hits").ok_or_else(|| format!("unknown: {expression}"))?;
    let mut value = Value::Array(hits.to_vec());
    while !rest.is_empty() {
        (value, rest) = step(value, rest)?;
    }
    Ok(value)
}

fn step(value: Value, rest: &str) -> Result<(Value, &str), String> {
    let items = || value.as_array().cloned().ok_or_else(|| format!("no array before {rest}"));
    if let Some(rest) = rest.strip_prefix('[') {
        let (number, rest) = rest.split_once(']').ok_or("no `]`")?;
        let number: usize = number.parse().map_err(|_| format!("no number: {number}"))?;
        return Ok((items()?.get(number).cloned().unwrap_or_default(), rest));
    }
    if let Some(rest) = rest.strip_prefix(".length") {
        return Ok((items()?.len().into(), rest));
    }
    if let Some(rest) = rest.strip_prefix(".sort()") {
        let mut items = items()?;
        items.sort_by_key(Value::to_string);
        return Ok((items.into(), rest));
    }
    if let Some(rest) = rest.strip_prefix(".flat()") {
        let flat = items()?.into_iter().flat_map(|item| match item {
            Value::Array(inner) => inner,
            other => vec![other],
        });
        return Ok((flat.collect(), rest));
    }
    if let Some(rest) = rest.strip_prefix(".map($ => $.") {
        let (path, rest) = rest.split_once(')').ok_or("no `)`")?;
        return Ok((items()?.iter().map(|item| at(item, path)).collect(), rest));
    }
    for (name, all) in [(".find(", false), (".filter(", true)] {
        if let Some(inner) = rest.strip_prefix(name) {
            let end = closing(inner).ok_or("no `)`")?;
            let (condition, rest) = (&inner[..end], &inner[end + 1..]);
            let found = items()?.into_iter().filter(|item| holds(condition, item));
            let found: Vec<Value> = found.collect();
            let value = if all { found.into() } else { found.into_iter().next().unwrap_or_default() };
            return Ok((value, rest));
        }
    }
    let path = rest.strip_prefix('.').ok_or_else(|| format!("unknown: {rest}"))?;
    let end = path.find(".length").or_else(|| path.find(".map(")).unwrap_or(path.len());
    Ok((at(&value, &path[..end]), &path[end..]))
}

/// The value at a path; `@timestamp` and others with a dot in their key come first.
fn at(value: &Value, path: &str) -> Value {
    let mut path = path;
    let mut value = value;
    if let Some(rest) = path.strip_prefix("_source") {
        value = value.get("_source").unwrap_or(&Value::Null);
        path = rest.trim_start_matches('.');
    }
    if path.is_empty() {
        return value.clone();
    }
    tocsin::alert::lookup::lookup(value, path).cloned().unwrap_or_default()
}

/// Where the bracket that is open before `text` closes.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1;
    text.char_indices().find_map(|(at, character)| {
        depth += match character {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        (depth == 0).then_some(at)
    })
}

/// The conditions that occur: a depth, and a category besides.
fn holds(condition: &str, item: &Value) -> bool {
    let signal = at(item, "_source.signal");
    let depth = condition.split("depth === ").nth(1).and_then(|rest| rest.chars().next()?.to_digit(10));
    let category = condition.split("category\") === \"").nth(1).and_then(|rest| rest.split('"').next());
    depth.is_none_or(|depth| signal["depth"] == depth)
        && category.is_none_or(|category| signal["original_event"]["category"] == category)
}
