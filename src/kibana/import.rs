//! Importing saved objects, and what Kibana says to it.

use serde_json::Value;

use super::objects::Form;
use crate::elastic::{Client, ElasticError, Request, Version, segment};

/// Between the parts of the upload; no object has it.
const BOUNDARY: &str = "tocsin-saved-objects-7d0f3c1a";

/// Which program it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// Kibana.
    Kibana(Version),
    /// `OpenSearch` Dashboards.
    Dashboards(Version),
}

impl Site {
    /// The richest form that it takes.
    pub fn form(self) -> Form {
        match self {
            Self::Kibana(version) if version.major >= 8 => Form::Lens,
            _ => Form::Common,
        }
    }
}

impl std::fmt::Display for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kibana(version) => write!(f, "Kibana {version}"),
            Self::Dashboards(version) => write!(f, "OpenSearch Dashboards {version}"),
        }
    }
}

/// What became of an import.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Imported {
    /// Objects that are there now.
    pub imported: u64,
    /// Objects that were refused: type, id and why.
    pub refused: Vec<(String, String, String)>,
}

/// A Kibana or an `OpenSearch` Dashboards.
#[derive(Debug, Clone)]
pub struct Kibana {
    client: Client,
    /// Kibana space; `default` has no path of its own.
    space: String,
}

impl Kibana {
    /// The one behind `client`; objects go into `space` of Kibana.
    pub fn new(client: Client, space: impl Into<String>) -> Self {
        Self { client, space: space.into() }
    }

    /// Which program answers.
    ///
    /// # Errors
    /// When it does not answer, or is something else.
    pub async fn site(&self) -> Result<Site, ElasticError> {
        let answer = self.client.send(&Self::dressed(Request::get("/api/status"))).await?;
        let status: Value = answer.json()?;
        let number = status.pointer("/version/number").and_then(Value::as_str).and_then(Version::parse);
        match number {
            // Dashboards counts anew from 1; no Kibana below 4 is left.
            Some(version) if version.major < 4 => Ok(Site::Dashboards(version)),
            Some(version) => Ok(Site::Kibana(version)),
            None => Err(answer.unexpected("neither Kibana nor OpenSearch Dashboards answers so")),
        }
    }

    /// Imports objects (NDJSON) over those of the same ids.
    ///
    /// # Errors
    /// When the request as a whole is refused.
    pub async fn import(&self, ndjson: &str) -> Result<Imported, ElasticError> {
        let space = match self.space.as_str() {
            "" | "default" => String::new(),
            space => format!("/s/{}", segment(space)),
        };
        let body = format!(
            "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"tocsin.ndjson\"\r\n\
             content-type: application/ndjson\r\n\r\n{ndjson}\r\n--{BOUNDARY}--\r\n"
        );
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        let request = Request::read(format!("{space}/api/saved_objects/_import"))
            .query("overwrite", "true")
            .body(kind, body.into_bytes());
        Ok(read(&self.client.json(&Self::dressed(request)).await?))
    }

    /// Each product wants a header of its own against forged requests, and does not mind the
    /// other's.
    fn dressed(request: Request) -> Request {
        request.header("kbn-xsrf", "tocsin").header("osd-xsrf", "tocsin")
    }
}

/// What Kibana answered.
fn read(answer: &Value) -> Imported {
    let text =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let refused = answer.get("errors").and_then(Value::as_array).into_iter().flatten().map(|error| {
        let cause = error.get("error").unwrap_or(error);
        let mut why = text(cause, "type");
        for reference in cause.get("references").and_then(Value::as_array).into_iter().flatten() {
            why.push_str(&format!(" {} `{}`", text(reference, "type"), text(reference, "id")));
        }
        let message = text(cause, "message");
        if !message.is_empty() {
            why = if why.is_empty() { message } else { format!("{why}: {message}") };
        }
        (text(error, "type"), text(error, "id"), why)
    });
    Imported {
        refused: refused.collect(),
        imported: answer.get("successCount").and_then(Value::as_u64).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn refused_objects_are_named_with_why() {
        let answer = json!({"success": false, "successCount": 3, "errors": [
            {"id": "a", "type": "lens", "error": {"type": "unsupported_type"}},
            {"id": "b", "type": "visualization", "error": {"type": "missing_references",
                "references": [{"type": "index-pattern", "id": "i"}]}},
        ]});
        let imported = read(&answer);
        assert_eq!(imported.imported, 3);
        assert_eq!(imported.refused[0], ("lens".into(), "a".into(), "unsupported_type".into()));
        assert_eq!(imported.refused[1].2, "missing_references index-pattern `i`");
        assert_eq!(Site::Kibana(Version::new(9, 2, 0)).form(), Form::Lens);
        assert_eq!(Site::Kibana(Version::new(7, 10, 2)).form(), Form::Common);
        assert_eq!(Site::Dashboards(Version::new(3, 1, 0)).form(), Form::Common);
    }
}
