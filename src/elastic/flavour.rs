//! Products and versions, and everything in which they differ.

use std::fmt;

use serde_json::Value;

/// Who makes the cluster's software.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// Elasticsearch.
    Elasticsearch,
    /// OpenSearch.
    OpenSearch,
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Elasticsearch => "Elasticsearch",
            Self::OpenSearch => "OpenSearch",
        })
    }
}

/// A version of either product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number.
    pub patch: u32,
}

impl Version {
    /// A version by its numbers.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// `8.19.2`, `9.0.0-SNAPSHOT`.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.split(['-', '+']).next()?;
        let mut numbers = plain.split('.').map(str::parse::<u32>);
        let mut next = || numbers.next().map_or(Some(0), Result::ok);
        Some(Self { major: next()?, minor: next()?, patch: next()? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// How a point in time is opened and closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PointInTime {
    /// Last part of the path below the indices that opens one.
    pub open: &'static str,
    /// Key of the id in the answer.
    pub id_key: &'static str,
    /// Path that closes one.
    pub close: &'static str,
    /// Key of the id in the request that closes one; an array where `many`.
    pub close_key: &'static str,
    /// Whether several are closed by one request.
    pub many: bool,
}

/// What a cluster is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flavour {
    /// The product.
    pub product: Product,
    /// Its version.
    pub version: Version,
    /// Name of the cluster.
    pub cluster: String,
    /// Managed without nodes that can be asked (Elastic's or AWS's serverless).
    pub serverless: bool,
    /// Built without X-Pack.
    pub plain: bool,
}

/// Oldest versions that are spoken to.
const OLDEST_ELASTICSEARCH: Version = Version::new(7, 10, 0);
const OLDEST_OPENSEARCH: Version = Version::new(1, 0, 0);

impl Flavour {
    /// From the answer to `GET /`; `None`: neither product answers so.
    pub fn read(info: &Value) -> Option<Self> {
        let version = info.get("version")?;
        let text = |key: &str| version.get(key).and_then(Value::as_str);
        let product = match text("distribution") {
            Some("opensearch") => Product::OpenSearch,
            Some(_) => return None,
            None => Product::Elasticsearch,
        };
        Some(Self {
            product,
            version: Version::parse(text("number")?)?,
            cluster: info.get("cluster_name").and_then(Value::as_str).unwrap_or("unnamed").to_owned(),
            serverless: text("build_flavor") == Some("serverless"),
            plain: text("build_flavor") == Some("oss"),
        })
    }

    /// An OpenSearch Serverless collection, which does not answer `GET /`.
    pub fn serverless_collection() -> Self {
        Self {
            product: Product::OpenSearch,
            version: Version::new(2, 0, 0),
            cluster: "serverless".to_owned(),
            serverless: true,
            plain: false,
        }
    }

    /// Whether this version is spoken to.
    pub fn supported(&self) -> bool {
        match self.product {
            Product::Elasticsearch => self.serverless || self.version >= OLDEST_ELASTICSEARCH,
            // One that pretends to be Elasticsearch 7.10 is an OpenSearch all the same.
            Product::OpenSearch => self.version >= OLDEST_OPENSEARCH,
        }
    }

    /// How it keeps a point in time; `None` where it has none. A product may still lack the module
    /// and answer that it knows no such path.
    pub fn point_in_time(&self) -> Option<PointInTime> {
        match self.product {
            Product::Elasticsearch if self.plain => None,
            Product::Elasticsearch => {
                Some(PointInTime { open: "_pit", id_key: "id", close: "/_pit", close_key: "id", many: false })
            }
            Product::OpenSearch if self.serverless || self.version < Version::new(2, 4, 0) => None,
            Product::OpenSearch => Some(PointInTime {
                open: "_search/point_in_time",
                id_key: "pit_id",
                close: "/_search/point_in_time",
                close_key: "pit_id",
                many: true,
            }),
        }
    }

    /// Whether a search may define fields of its own (`runtime_mappings`); in Elasticsearch since
    /// 7.11, never in OpenSearch.
    pub fn runtime_mappings(&self) -> bool {
        self.product == Product::Elasticsearch && self.version >= Version::new(7, 11, 0)
    }

    /// Whether a search reads the `fields` option; since 7.10.
    pub fn fields_option(&self) -> bool {
        true
    }

    /// Whether it reads KQL itself (`{"kql": …}`), lists of values in parentheses included.
    pub fn kql_query(&self) -> bool {
        self.product == Product::Elasticsearch && self.version >= Version::new(9, 1, 0)
    }
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, cluster {}", self.product, self.version, self.cluster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn products_are_told_apart() {
        let elastic =
            json!({"cluster_name": "c", "version": {"number": "8.19.2", "build_flavor": "default"}});
        let flavour = Flavour::read(&elastic).unwrap();
        assert_eq!(flavour.to_string(), "Elasticsearch 8.19.2, cluster c");
        assert!(flavour.supported() && flavour.runtime_mappings());
        let open =
            json!({"cluster_name": "c", "version": {"number": "2.19.3", "distribution": "opensearch"}});
        let flavour = Flavour::read(&open).unwrap();
        assert_eq!(flavour.to_string(), "OpenSearch 2.19.3, cluster c");
        assert!(flavour.supported() && !flavour.runtime_mappings());
        assert_eq!(flavour.point_in_time().unwrap().open, "_search/point_in_time");
        assert_eq!(Flavour::read(&json!({"ok": true})), None);
        let other = json!({"version": {"number": "1.0", "distribution": "another"}});
        assert_eq!(Flavour::read(&other), None);
    }

    #[test]
    fn versions_read_and_compare() {
        assert_eq!(Version::parse("9.1.0-SNAPSHOT"), Some(Version::new(9, 1, 0)));
        assert_eq!(Version::parse("7"), Some(Version::new(7, 0, 0)));
        assert_eq!(Version::parse("x.1"), None);
        assert!(Version::new(7, 10, 2) < Version::new(8, 0, 0));
        let old = json!({"version": {"number": "7.9.3"}});
        assert!(!Flavour::read(&old).unwrap().supported());
        let plain = json!({"version": {"number": "7.10.2", "build_flavor": "oss"}});
        assert_eq!(Flavour::read(&plain).unwrap().point_in_time(), None);
    }
}
