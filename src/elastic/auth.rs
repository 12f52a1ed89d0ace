//! Ways to log in.

use std::fmt;

use super::sigv4::Credentials;

/// How a client says who it is. Printing it never shows a secret.
#[derive(Clone, Default)]
pub enum Auth {
    /// It does not.
    #[default]
    None,
    /// An Elasticsearch API key in its base64 form.
    ApiKey(String),
    /// User and password.
    Basic {
        /// User.
        username: String,
        /// Password.
        password: String,
    },
    /// A bearer token.
    Bearer(String),
    /// A client certificate and its private key, PEM.
    Certificate {
        /// The certificate, with those between it and the authority.
        certificate: Vec<u8>,
        /// The key.
        key: Vec<u8>,
    },
    /// AWS signatures, for OpenSearch Service.
    SigV4 {
        /// Region of the domain.
        region: String,
        /// `es` for domains, `aoss` for serverless collections.
        service: String,
        /// Whose signature.
        credentials: Credentials,
    },
}

impl Auth {
    /// Its name, for people.
    pub fn way(&self) -> &'static str {
        match self {
            Self::None => "no authentication",
            Self::ApiKey(_) => "API key",
            Self::Basic { .. } => "user and password",
            Self::Bearer(_) => "bearer token",
            Self::Certificate { .. } => "client certificate",
            Self::SigV4 { .. } => "AWS signature",
        }
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Auth({}, redacted)", self.way())
    }
}
