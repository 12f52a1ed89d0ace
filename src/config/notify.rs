//! What `[notify]`, `[[connector]]`, `[[route]]` and `[[maintenance]]` say.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::TimeSpan;

/// What all notifications have in common.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotifyConfig {
    /// Beginnings of URLs that connectors may speak to; empty: any.
    #[serde(default)]
    pub allow_urls: Vec<String>,
    /// Address of Kibana, for links to alerts.
    #[serde(default)]
    pub kibana_url: Option<String>,
    /// Whether the actions that Kibana's rules bring are kept to.
    pub rule_actions: bool,
    /// How long a notification is tried before it is given up.
    pub retry_for: TimeSpan,
    /// How long shutdown waits for notifications that are due.
    pub drain: TimeSpan,
}

/// Where notifications go.
#[derive(Clone, Serialize, Deserialize)]
pub struct ConnectorConfig {
    /// Its name here.
    pub name: String,
    /// What it is (`slack`, `webhook` …).
    #[serde(rename = "type")]
    pub connector_type: String,
    /// Notifications under way at once.
    #[serde(default)]
    pub concurrency: Option<u32>,
    /// Most notifications in a length of time.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// How long one attempt may take.
    #[serde(default)]
    pub timeout: Option<TimeSpan>,
    /// How long a notification is tried, instead of `notify.retry_for`.
    #[serde(default)]
    pub retry_for: Option<TimeSpan>,
    /// Text of its notifications.
    #[serde(default)]
    pub template: Option<String>,
    /// Title of its notifications.
    #[serde(default)]
    pub title: Option<String>,
    /// What its type needs; the table of keys has checked it.
    #[serde(flatten)]
    pub settings: serde_json::Map<String, serde_json::Value>,
}

impl fmt::Debug for ConnectorConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Settings may hold secrets.
        f.debug_struct("ConnectorConfig")
            .field("name", &self.name)
            .field("connector_type", &self.connector_type)
            .finish_non_exhaustive()
    }
}

/// Which alerts go to which connector, and how.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// Its name; the default is its place in the file.
    #[serde(default)]
    pub name: Option<String>,
    /// Which alerts.
    #[serde(default)]
    pub when: WhenConfig,
    /// Names of connectors.
    pub to: Vec<String>,
    /// What is told: names of kinds of notification.
    #[serde(default)]
    pub on: Option<Vec<String>>,
    /// Alerts are collected.
    #[serde(default)]
    pub digest: Option<DigestConfig>,
    /// Most alerts told one by one in a length of time; the others become a digest.
    #[serde(default)]
    pub throttle: Option<Rate>,
    /// Digest and throttle are kept apart for each value of these fields.
    #[serde(default)]
    pub group_by: Vec<String>,
    /// When alerts are held back.
    #[serde(default)]
    pub quiet: Option<HoursConfig>,
    /// No later route is looked at for an alert that this one takes.
    #[serde(default)]
    pub last: bool,
}

/// Which alerts: those that satisfy everything that is named.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhenConfig {
    /// One of these severities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub severity: Vec<String>,
    /// Rule id or name, `*` stands for anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rule: Vec<String>,
    /// The rule has one of these tags, `*` stands for anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tag: Vec<String>,
    /// Fields of the alert with the values they may have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub field: BTreeMap<String, OneOrMany>,
    /// KQL that the alert satisfies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The time of day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<HoursConfig>,
}

/// A text or several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl OneOrMany {
    /// All of them.
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

/// A part of the day, on some days.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoursConfig {
    /// `22:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// `07:00`; earlier than `from`: of the next day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// `mon` … `sun`; empty: every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<String>,
    /// IANA name; UTC when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
}

/// When a digest leaves.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DigestConfig {
    /// Every so often.
    #[serde(default)]
    pub every: Option<TimeSpan>,
    /// At the times of a cron expression.
    #[serde(default)]
    pub cron: Option<String>,
    /// IANA name for `cron`; UTC when absent.
    #[serde(default)]
    pub timezone: Option<String>,
}

/// A time in which some alerts are not told.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceConfig {
    /// Its name.
    pub name: String,
    /// Which alerts.
    #[serde(default)]
    pub when: WhenConfig,
    /// From when on, RFC 3339.
    #[serde(default)]
    pub starts: Option<String>,
    /// Until when, RFC 3339.
    #[serde(default)]
    pub ends: Option<String>,
    /// When it begins, cron, instead of `starts`.
    #[serde(default)]
    pub cron: Option<String>,
    /// How long it lasts, with `cron`.
    #[serde(default)]
    pub duration: Option<TimeSpan>,
    /// IANA name for `cron`; UTC when absent.
    #[serde(default)]
    pub timezone: Option<String>,
}

/// So many in a length of time: `10/5m`, `1/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many, at least one.
    pub most: u32,
    /// In how long.
    pub within: TimeSpan,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no rate: write `10/5m` or `1/s`");
        let (most, within) = text.split_once('/').ok_or_else(wrong)?;
        let most = most.trim().parse::<u32>().ok().filter(|most| *most > 0).ok_or_else(wrong)?;
        let within = within.trim();
        let spelled = if within.starts_with(|c: char| c.is_ascii_digit()) {
            within.to_owned()
        } else {
            format!("1{within}")
        };
        let within: TimeSpan = spelled.parse().map_err(|_| wrong())?;
        if within.duration() < Duration::from_millis(1) {
            return Err(wrong());
        }
        Ok(Self { most, within })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.most, self.within)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_read_and_print() {
        for (text, most, seconds, shown) in [("10/5m", 10, 300, "10/5m"), ("1/s", 1, 1, "1/1s")] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.most, rate.within.duration().as_secs()), (most, seconds));
            assert_eq!(rate.to_string(), shown);
        }
        for text in ["", "10", "0/m", "x/m", "1/", "1/0s", "1/fortnight"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
