//! Versions in the order of semantic versioning; what is no version sorts after, as text.

use std::cmp::Ordering;

/// A version, compared as the `version` field type compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Numbers, the pre-release part, and whether it is a version at all.
    numbers: Option<Vec<u64>>,
    pre_release: Option<Box<str>>,
    text: Box<str>,
}

impl Version {
    /// Reads `text`; never fails.
    pub fn new(text: &str) -> Self {
        let core = text.split_once('+').map_or(text, |(core, _build)| core);
        let (main, pre_release) = match core.split_once('-') {
            Some((main, pre)) => (main, Some(pre)),
            None => (core, None),
        };
        let number = |part: &str| {
            let plain = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            (plain && (part == "0" || !part.starts_with('0'))).then(|| part.parse().ok()).flatten()
        };
        let numbers: Option<Vec<u64>> = main.split('.').map(number).collect();
        Self { numbers, pre_release: pre_release.map(Into::into), text: text.into() }
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = match (&self.numbers, &other.numbers) {
            (Some(a), Some(b)) => (a, b),
            (Some(_), None) => return Ordering::Less,
            (None, Some(_)) => return Ordering::Greater,
            (None, None) => return self.text.cmp(&other.text),
        };
        let pre = match (&self.pre_release, &other.pre_release) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) => identifiers(a, b),
        };
        a.cmp(b).then(pre).then_with(|| self.text.cmp(&other.text))
    }
}

/// Orders pre-release parts: numbers by value and before words, words as text.
fn identifiers(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.split('.'), b.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(x), Some(y)) => match (x.parse::<u64>(), y.parse::<u64>()) {
                (Ok(x), Ok(y)) => x.cmp(&y),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => x.cmp(y),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn versions_are_ordered() {
        let order = [
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0",
            "1.2.3",
            "1.11.0",
            "not-a-version",
        ];
        for pair in order.windows(2) {
            assert!(Version::new(pair[0]) < Version::new(pair[1]), "{pair:?}");
        }
    }
}
