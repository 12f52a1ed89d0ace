//! AWS Signature Version 4, as OpenSearch Service and the services of notifications ask for it.

use std::fmt;

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// An AWS identity. Printing it never shows the secret.
#[derive(Clone)]
pub struct Credentials {
    /// Access key id.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: String,
    /// Session token of temporary credentials.
    pub session_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// Where a signature is valid.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'s> {
    /// Its region.
    pub region: &'s str,
    /// Its service.
    pub service: &'s str,
}

/// The parts of a request that are signed.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'p> {
    /// Its method, upper case.
    pub method: &'p str,
    /// As it is sent, without query string.
    pub path: &'p str,
    /// As it is sent, without `?`.
    pub query: &'p str,
    /// Host with its port, where that is not the scheme's own.
    pub host: &'p str,
    /// The body as it is sent.
    pub body: &'p [u8],
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The headers that sign a request to a service: name and value.
pub fn headers(
    parts: &Parts<'_>,
    scope: Scope<'_>,
    credentials: &Credentials,
    at: DateTime<Utc>,
) -> Vec<(&'static str, String)> {
    let mut signed = vec![
        ("host", parts.host.to_owned()),
        // Serverless collections insist on it; domains do not mind.
        ("x-amz-content-sha256", hex(&Sha256::digest(parts.body))),
        ("x-amz-date", instant(at)),
    ];
    if let Some(token) = &credentials.session_token {
        signed.push(("x-amz-security-token", token.clone()));
    }
    let authorization = authorization(parts, &signed, scope, credentials, at);
    signed.retain(|(name, _)| *name != "host");
    signed.push(("authorization", authorization));
    signed
}

/// The value of `Authorization`; `signed` holds the headers to sign, lower case, sorted by name.
fn authorization(
    parts: &Parts<'_>,
    signed: &[(&str, String)],
    scope: Scope<'_>,
    credentials: &Credentials,
    at: DateTime<Utc>,
) -> String {
    let names: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let mut canonical = format!("{}\n{}\n{}\n", parts.method, path(parts.path), query(parts.query));
    for (name, value) in signed {
        canonical.push_str(&format!("{name}:{}\n", value.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    canonical.push_str(&format!("\n{names}\n{}", hex(&Sha256::digest(parts.body))));
    let day = at.format("%Y%m%d").to_string();
    let within = format!("{day}/{}/{}/aws4_request", scope.region, scope.service);
    let text =
        format!("{ALGORITHM}\n{}\n{within}\n{}", instant(at), hex(&Sha256::digest(canonical.as_bytes())));
    let mut key = format!("AWS4{}", credentials.secret_key).into_bytes();
    for part in [day.as_str(), scope.region, scope.service, "aws4_request"] {
        key = mac(&key, part);
    }
    let signature = hex(&mac(&key, &text));
    format!(
        "{ALGORITHM} Credential={}/{within}, SignedHeaders={names}, Signature={signature}",
        credentials.access_key
    )
}

fn instant(at: DateTime<Utc>) -> String {
    at.format("%Y%m%dT%H%M%SZ").to_string()
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    // A key of any length is taken, so there is no error to meet.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Each segment of the path as it is sent, encoded once more (all services but S3).
fn path(sent: &str) -> String {
    let encoded: Vec<String> = sent.split('/').map(super::segment).collect();
    let joined = encoded.join("/");
    if joined.is_empty() { "/".to_owned() } else { joined }
}

/// Parameters sorted by name and value; they are encoded already.
fn query(sent: &str) -> String {
    let mut pairs: Vec<(&str, &str)> = sent
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect();
    pairs.sort_unstable();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Identity, scope and time of AWS's published examples.
    fn signature(method: &str, path: &str, query: &str) -> String {
        let credentials = Credentials {
            access_key: "AKIDEXAMPLE".into(),
            secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            session_token: None,
        };
        let at = DateTime::parse_from_rfc3339("2015-08-30T12:36:00Z").unwrap().to_utc();
        let parts = Parts { method, path, query, host: "example.amazonaws.com", body: b"" };
        let signed = [("host", parts.host.to_owned()), ("x-amz-date", instant(at))];
        let scope = Scope { region: "us-east-1", service: "service" };
        let header = authorization(&parts, &signed, scope, &credentials, at);
        assert!(header.starts_with(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature="
        ));
        header.rsplit('=').next().unwrap().to_owned()
    }

    #[test]
    fn signatures_are_those_that_aws_published() {
        for (method, path, query, expected) in [
            ("GET", "/", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            ("POST", "/", "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
            (
                "GET",
                "/",
                "Param2=value2&Param1=value1",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            ("GET", "/\u{1234}", "", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
        ] {
            assert_eq!(signature(method, path, query), expected, "{method} {path} {query}");
        }
    }

    #[test]
    fn temporary_credentials_sign_their_token_and_hide_their_secret() {
        let credentials = Credentials {
            access_key: "AKIDEXAMPLE".into(),
            secret_key: "hidden".into(),
            session_token: Some("token".into()),
        };
        assert!(!format!("{credentials:?}").contains("hidden"));
        let parts = Parts { method: "POST", path: "/a%2Cb/_search", query: "", host: "h", body: b"{}" };
        let scope = Scope { region: "eu-west-1", service: "aoss" };
        let headers = headers(&parts, scope, &credentials, DateTime::UNIX_EPOCH);
        let names: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["x-amz-content-sha256", "x-amz-date", "x-amz-security-token", "authorization"]);
        assert!(
            headers[3].1.contains("SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token")
        );
        assert_eq!(path("/a%2Cb/_search"), "/a%252Cb/_search");
    }
}
