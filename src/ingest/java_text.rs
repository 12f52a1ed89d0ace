//! The text Elastic's pipeline makes of nested CloudTrail parts: Java's `Map.toString()`.
//!
//! `{groupName=admins, tags=[{key=a, value=b}]}`: no quotes, and the members of a map in the order
//! of a `java.util.HashMap`. Rules match this text with wildcards, so the order is part of the
//! result. Where it comes from, step by step:
//!
//! 1. Reading JSON fills a map of 16 buckets that doubles past three quarters full.
//! 2. Storing it in the document copies it, in its order, into a `new HashMap(size)`.
//! 3. Empty values (null, `""`, and maps and lists of nothing else) are removed, inside out; a map
//!    does not shrink by that.
//! 4. Storing it again copies what is left into a `new HashMap(size)`.
//!
//! A key lies in bucket `(h ^ h >>> 16) & (buckets - 1)`, `h` being `String.hashCode`; keys of one
//! bucket keep the order they came in, also when the table doubles.

use super::tape::{Kind, Value};

/// Which values of a tape are left when empty ones are removed.
#[derive(Debug, Default)]
pub struct Pruned {
    /// By position below `first`: number of values directly inside that are kept; scalars 1 when
    /// kept themselves.
    live: Vec<u32>,
    first: usize,
}

impl Pruned {
    /// Judges `value` and everything inside it.
    pub fn judge(&mut self, value: Value<'_>) {
        self.first = value.index();
        let end = value.end_index();
        self.live.clear();
        self.live.resize(end.saturating_sub(self.first), 0);
        for index in (self.first..end).rev() {
            let node = value.at(index);
            let kept = match node.kind() {
                Kind::Null => false,
                Kind::Boolean | Kind::Number => true,
                Kind::String => !node.raw().is_empty(),
                Kind::Array | Kind::Object => self.count(index) > 0,
            };
            if !kept {
                continue;
            }
            if !matches!(node.kind(), Kind::Array | Kind::Object)
                && let Some(own) = self.live.get_mut(index - self.first)
            {
                *own = 1;
            }
            if let Some(parent) = node.parent_index().and_then(|p| p.checked_sub(self.first))
                && let Some(inside) = self.live.get_mut(parent)
            {
                *inside += 1;
            }
        }
    }

    fn count(&self, index: usize) -> u32 {
        index.checked_sub(self.first).and_then(|i| self.live.get(i)).copied().unwrap_or(0)
    }

    /// Whether `value` is kept.
    pub fn keeps(&self, value: Value<'_>) -> bool {
        self.count(value.index()) > 0
    }
}

/// `String.hashCode`, spread as `HashMap` does.
fn spread_hash(key: &str) -> u32 {
    let mut hash = 0u32;
    if key.is_ascii() {
        for byte in key.bytes() {
            hash = hash.wrapping_mul(31).wrapping_add(u32::from(byte));
        }
    } else {
        for unit in key.encode_utf16() {
            hash = hash.wrapping_mul(31).wrapping_add(u32::from(unit));
        }
    }
    hash ^ (hash >> 16)
}

/// A key on its way through the tables.
#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u32,
    /// Position of the member on the tape.
    index: usize,
}

/// Bucket length at which `HashMap` stops chaining.
const TREEIFY_LENGTH: usize = 8;
/// Tables smaller than this double instead of turning a long bucket into a tree.
const TREEIFY_BUCKETS: u32 = 64;

/// Puts `slots` in the order of a table that started with `buckets` buckets and received them one
/// by one.
///
/// A bucket of more than eight keys in a table of 64 buckets or more is a red-black tree in the
/// JDK, whose order can differ from insertion order; that takes nine keys colliding in six bits and
/// is not reproduced.
fn table_order(slots: &mut [Slot], mut buckets: u32) {
    let mut length = 0usize;
    for (position, slot) in slots.iter().enumerate() {
        // `putVal`: a ninth key in one bucket of a small table doubles it at once, before the size
        // is looked at.
        if position >= TREEIFY_LENGTH && buckets < TREEIFY_BUCKETS {
            let bucket = slot.hash & (buckets - 1);
            let chained =
                slots.iter().take(position).filter(|other| other.hash & (buckets - 1) == bucket).count();
            if chained >= TREEIFY_LENGTH {
                buckets = buckets.saturating_mul(2);
            }
        }
        length += 1;
        // Three quarters, rounded down as the JDK's threshold is.
        if length > buckets as usize * 3 / 4 {
            buckets = buckets.saturating_mul(2);
        }
    }
    slots.sort_by_key(|slot| slot.hash & (buckets - 1));
}

/// `HashMap.tableSizeFor`: the power of two that is not below `size`.
fn table_size(size: usize) -> u32 {
    u32::try_from(size.max(1).next_power_of_two()).unwrap_or(1 << 30)
}

/// Renders values as Java does; keeps its buffers from value to value.
#[derive(Debug, Default)]
pub struct JavaText {
    slots: Vec<Slot>,
}

impl JavaText {
    /// Appends the text of `value` without what `pruned` removes.
    pub fn render(&mut self, value: Value<'_>, pruned: &Pruned, out: &mut String) {
        match value.kind() {
            Kind::Object => {
                out.push('{');
                let start = self.slots.len();
                self.order(value, start, pruned);
                let end = self.slots.len();
                for position in start..end {
                    let Some(slot) = self.slots.get(position).copied() else { break };
                    if position > start {
                        out.push_str(", ");
                    }
                    let member = value.at(slot.index);
                    out.push_str(&member.key());
                    out.push('=');
                    self.render(member, pruned, out);
                }
                self.slots.truncate(start);
                out.push('}');
            }
            Kind::Array => {
                out.push('[');
                let mut first = true;
                for item in value.children().filter(|item| pruned.keeps(*item)) {
                    if !first {
                        out.push_str(", ");
                    }
                    first = false;
                    self.render(item, pruned, out);
                }
                out.push(']');
            }
            Kind::String => out.push_str(&value.as_str().unwrap_or_default()),
            Kind::Number => push_number(out, value.raw()),
            Kind::Boolean | Kind::Null => out.push_str(value.raw()),
        }
    }

    /// Appends the kept members of `map` to the slots, in their final order.
    fn order(&mut self, map: Value<'_>, start: usize, pruned: &Pruned) {
        for member in map.children() {
            let slot = Slot { hash: spread_hash(&member.key()), index: member.index() };
            // A key that occurs twice keeps its first place and its last value.
            let twin = self
                .slots
                .get_mut(start..)
                .unwrap_or_default()
                .iter_mut()
                .find(|other| other.hash == slot.hash && map.at(other.index).key() == member.key());
            match twin {
                Some(twin) => twin.index = slot.index,
                None => self.slots.push(slot),
            }
        }
        let slots = self.slots.get_mut(start..).unwrap_or_default();
        let all = slots.len();
        if all > 1 {
            table_order(slots, 16);
            table_order(slots, table_size(all));
        }
        let mut kept = start;
        for position in start..self.slots.len() {
            let Some(slot) = self.slots.get(position).copied() else { break };
            if pruned.keeps(map.at(slot.index)) {
                if let Some(target) = self.slots.get_mut(kept) {
                    *target = slot;
                }
                kept += 1;
            }
        }
        self.slots.truncate(kept);
        let slots = self.slots.get_mut(start..).unwrap_or_default();
        let left = slots.len();
        if left > 1 {
            table_order(slots, table_size(left));
        }
    }
}

/// Appends a JSON number as Java prints the number it becomes: integers as they are, others like
/// `Double.toString`.
fn push_number(out: &mut String, raw: &str) {
    if !raw.bytes().any(|b| matches!(b, b'.' | b'e' | b'E')) {
        out.push_str(if raw == "-0" { "0" } else { raw });
        return;
    }
    let Ok(number) = raw.parse::<f64>() else {
        out.push_str(raw);
        return;
    };
    if number.is_infinite() {
        out.push_str(if number > 0.0 { "Infinity" } else { "-Infinity" });
        return;
    }
    let size = number.abs();
    if size == 0.0 || (1e-3..1e7).contains(&size) {
        let text = number.to_string();
        out.push_str(&text);
        if !text.contains('.') {
            out.push_str(".0");
        }
        return;
    }
    // Rust's shortest digits: `1.688560107857e9`, `1e-5`.
    let text = format!("{number:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    out.push_str(digits);
    if !digits.contains('.') {
        out.push_str(".0");
    }
    out.push('E');
    out.push_str(exponent);
}

#[cfg(test)]
mod tests {
    use super::super::tape::Tape;
    use super::*;

    fn render(json: &str) -> String {
        let mut tape = Tape::new();
        tape.parse(json.as_bytes()).unwrap();
        let root = tape.root(json);
        let mut pruned = Pruned::default();
        pruned.judge(root);
        let mut out = String::new();
        JavaText::default().render(root, &pruned, &mut out);
        out
    }

    #[derive(serde::Deserialize)]
    struct Golden<'a> {
        #[serde(borrow)]
        json: &'a serde_json::value::RawValue,
        text: String,
    }

    /// Cases from a real JDK: `tests/fixtures/java_text/Golden.java` writes them, and says how.
    #[test]
    fn golden() {
        let mut wrong = Vec::new();
        let mut nested = 0;
        for line in include_str!("../../tests/fixtures/java_text/golden.ndjson").lines() {
            let case: Golden<'_> = serde_json::from_str(line).unwrap();
            nested += usize::from(case.text.matches('{').count() > 1);
            let ours = render(case.json.get());
            if ours != case.text {
                wrong.push(format!("{}\n  want {}\n  have {ours}", case.json, case.text));
            }
        }
        assert!(nested >= 20, "{nested} nested cases");
        assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    }

    #[test]
    fn hash_is_javas() {
        // `"hello".hashCode()` is 99162322 in every JDK.
        assert_eq!(spread_hash("hello"), 0x05E9_18D2 ^ 0x05E9);
        assert_eq!(spread_hash("Aa"), spread_hash("BB"));
    }

    #[test]
    fn numbers() {
        for (json, java) in [
            ("1", "1"),
            ("-0", "0"),
            ("-0.0", "-0.0"),
            ("1.0", "1.0"),
            ("1e2", "100.0"),
            ("0.001", "0.001"),
            ("0.0001", "1.0E-4"),
            ("1688560107.857", "1.688560107857E9"),
            ("12345678901234567890", "12345678901234567890"),
            ("1e400", "Infinity"),
            ("9999999.5", "9999999.5"),
            ("10000000.0", "1.0E7"),
        ] {
            assert_eq!(render(&format!("[{json}]")), format!("[{java}]"));
        }
    }

    #[test]
    fn empty_values_go() {
        assert_eq!(
            render(r#"{"a":"","b":null,"c":{"d":[]},"e":[{},{"f":""},1],"g":false}"#),
            "{e=[1], g=false}"
        );
    }

    #[test]
    fn last_value_of_a_repeated_key() {
        assert_eq!(render(r#"{"a":1,"b":2,"a":3}"#), "{a=3, b=2}");
    }
}
