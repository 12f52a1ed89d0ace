//! Whether a cron expression is one: five POSIX fields, six with seconds first, or one of the `@`
//! names.

/// Names of months, January first.
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
/// Names of weekdays, Sunday first.
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// Expressions with a name.
const NAMED: [&str; 7] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// Checks a cron expression.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn check(expression: &str) -> Result<(), String> {
    let expression = expression.trim();
    if expression.starts_with('@') {
        return if NAMED.contains(&expression.to_ascii_lowercase().as_str()) {
            Ok(())
        } else {
            Err(format!("`{expression}` is none of {}", NAMED.join(", ")))
        };
    }
    let fields: Vec<&str> = expression.split_ascii_whitespace().collect();
    let (second, [minute, hour, day, month, weekday]) = match fields.as_slice() {
        [minute, hour, day, month, weekday] => ("0", [minute, hour, day, month, weekday]),
        [second, minute, hour, day, month, weekday] => (*second, [minute, hour, day, month, weekday]),
        other => {
            return Err(format!(
                "a cron expression has five fields, or six with seconds first; this one has {}",
                other.len()
            ));
        }
    };
    field("second", second, 0, 59, &[], 0)?;
    field("minute", minute, 0, 59, &[], 0)?;
    field("hour", hour, 0, 23, &[], 0)?;
    field("day of month", day, 1, 31, &[], 0)?;
    field("month", month, 1, 12, &MONTHS, 1)?;
    field("day of week", weekday, 0, 7, &DAYS, 0)
}

/// Checks one field: a list of `*`, `a`, `a-b`, each with `/step` behind it.
fn field(what: &str, text: &str, least: u32, most: u32, names: &[&str], first: u32) -> Result<(), String> {
    let number = |text: &str| -> Result<u32, String> {
        let named = names.iter().position(|name| text.eq_ignore_ascii_case(name));
        let value = match named.and_then(|position| u32::try_from(position).ok()) {
            Some(position) => position + first,
            None => text.parse().map_err(|_| format!("`{text}` is no {what}"))?,
        };
        if (least..=most).contains(&value) {
            Ok(value)
        } else {
            Err(format!("the {what} goes from {least} to {most}, not to {value}"))
        }
    };
    for item in text.split(',') {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (item, None),
        };
        if let Some(step) = step
            && !step.parse::<u32>().is_ok_and(|step| step > 0 && step <= most)
        {
            return Err(format!("`/{step}` is no step of the {what}"));
        }
        if range == "*" {
            continue;
        }
        match range.split_once('-') {
            Some((from, to)) if number(from)? > number(to)? => {
                return Err(format!("the {what} `{range}` runs backwards"));
            }
            Some(_) => {}
            None => {
                number(range)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn reads_posix_fields() {
        for good in [
            "*/5 * * * *",
            "0 9 * * mon-fri",
            "0 0 1,15 jan-mar/2 7",
            "@daily",
            "@Hourly",
            "5-10/2 0 * * 0",
            "*/15 * * * * *",
            "30 0 9 * * mon-fri",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "* * * *",
            "60 * * * *",
            "* * 0 * *",
            "*/0 * * * *",
            "a * * * *",
            "5-1 * * * *",
            "@often",
            "60 * * * * *",
            "* * * * * * *",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
