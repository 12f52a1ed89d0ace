//! From the configuration of a cluster to its client.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::clock::Clock;
use crate::config::secret::SecretError;
use crate::config::{AuthConfig, BackendConfig, SecretRef};
use crate::elastic::{Auth, Client, Credentials, Options, SetupError};

/// Why there is no client of a configured cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A secret.
    #[error("cluster `{cluster}`: {source}")]
    Secret {
        /// Its name.
        cluster: String,
        /// What happened.
        source: SecretError,
    },
    /// A file.
    #[error("cluster `{cluster}`: cannot read `{}`: {reason}", path.display())]
    File {
        /// Its name.
        cluster: String,
        /// The file.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
    /// Anything about the client itself.
    #[error("cluster `{cluster}`: {source}")]
    Setup {
        /// Its name.
        cluster: String,
        /// What is wrong.
        source: SetupError,
    },
}

/// Largest file of certificates or keys that is read, bytes.
const LARGEST: u64 = 4 * 1024 * 1024;

/// What a client of `backend` is made from: its secrets resolved, its files read.
///
/// # Errors
/// When a secret or a file cannot be had.
pub fn options(backend: &BackendConfig) -> Result<Options, ClusterError> {
    let authorities = backend.ca_file.as_deref().map(|path| read(backend, path)).transpose()?;
    Ok(Options {
        auth: auth(backend)?,
        authorities,
        concurrency: backend.max_concurrent_requests as usize,
        connect_timeout: backend.connect_timeout.duration(),
        request_timeout: backend.request_timeout.duration(),
        ..Options::new(&backend.name, backend.url.clone())
    })
}

/// The client of `backend`. Connects when it is first asked.
///
/// # Errors
/// When secrets, files, addresses or certificates cannot be used.
pub fn client(backend: &BackendConfig, clock: Arc<dyn Clock>) -> Result<Client, ClusterError> {
    let setup = |source| ClusterError::Setup { cluster: backend.name.clone(), source };
    Client::new(options(backend)?, clock).map_err(setup)
}

fn auth(backend: &BackendConfig) -> Result<Auth, ClusterError> {
    let resolved = |secret: &SecretRef| {
        let found = secret.resolve().map(|secret| secret.expose().to_owned());
        found.map_err(|source| ClusterError::Secret { cluster: backend.name.clone(), source })
    };
    let Some(AuthConfig { api_key, basic, bearer, client_certificate, sigv4 }) = &backend.auth else {
        return Ok(Auth::None);
    };
    if let Some(secret) = api_key {
        return Ok(Auth::ApiKey(resolved(secret)?));
    }
    if let Some(basic) = basic {
        return Ok(Auth::Basic { username: basic.username.clone(), password: resolved(&basic.password)? });
    }
    if let Some(secret) = bearer {
        return Ok(Auth::Bearer(resolved(secret)?));
    }
    if let Some(files) = client_certificate {
        return Ok(Auth::Certificate {
            certificate: read(backend, &files.cert_file)?,
            key: read(backend, &files.key_file)?,
        });
    }
    let Some(sigv4) = sigv4 else { return Ok(Auth::None) };
    let or_env =
        |secret: &Option<SecretRef>, name: &str| resolved(secret.as_ref().unwrap_or(&SecretRef::env(name)));
    // A token belongs to the key beside it: with a key of the configuration, the environment's is
    // another's.
    let session_token = match (&sigv4.session_token, &sigv4.access_key_id) {
        (Some(secret), _) => Some(resolved(secret)?),
        (None, Some(_)) => None,
        (None, None) => resolved(&SecretRef::env("AWS_SESSION_TOKEN")).ok(),
    };
    Ok(Auth::SigV4 {
        region: sigv4.region.clone(),
        service: sigv4.service.clone(),
        credentials: Credentials {
            access_key: or_env(&sigv4.access_key_id, "AWS_ACCESS_KEY_ID")?,
            secret_key: or_env(&sigv4.secret_access_key, "AWS_SECRET_ACCESS_KEY")?,
            session_token,
        },
    })
}

fn read(backend: &BackendConfig, path: &Path) -> Result<Vec<u8>, ClusterError> {
    let failed =
        |reason: String| ClusterError::File { cluster: backend.name.clone(), path: path.to_owned(), reason };
    let size = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if size > LARGEST {
        return Err(failed(format!("it is larger than {LARGEST} bytes")));
    }
    std::fs::read(path).map_err(|error| failed(error.to_string()))
}
