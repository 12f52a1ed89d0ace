//! Encrypted connections: own authority, client certificates, and what does not verify.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use tocsin::backend::cluster::ClusterBackend;
use tocsin::base::clock::SystemClock;
use tocsin::elastic::{Auth, Client, ElasticError, Options, Request, RetryPolicy};
use tocsin::store::state::Status;

use crate::cluster::faults::Service;

/// An authority that signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// A certificate and its key.
struct Signed {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn sign(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> Signed {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Signed { certificate, key }
    }

    fn pem(&self) -> Vec<u8> {
        self.certificate.pem().into_bytes()
    }
}

/// A cluster behind TLS that answers every request with its name; it lives as long as the process.
fn serve(server: &Signed, clients: Option<&Authority>) -> String {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = match clients {
        None => builder.unwrap().with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.certificate.der().clone()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.unwrap().with_client_cert_verifier(verifier)
        }
    };
    let certificate = CertificateDer::from(server.certificate.der().to_vec());
    let key = PrivateKeyDer::try_from(server.key.serialize_der()).unwrap();
    let config = Arc::new(builder.with_single_cert(vec![certificate], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            std::thread::spawn(move || answer(StreamOwned::new(connection, socket)));
        }
    });
    format!("https://127.0.0.1:{port}")
}

fn answer(stream: impl Read + Write) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
    }
    let body = r#"{"cluster_name":"c","version":{"number":"8.19.2","build_flavor":"default"}}"#;
    let stream = reader.get_mut();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    stream.flush()
}

fn options(url: &str) -> Options {
    let retry = RetryPolicy {
        spread: true,
        rounds: 1,
        patience: Duration::from_millis(500),
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(2),
    };
    Options { retry, ..Options::new("prod", vec![url.to_owned()]) }
}

fn asked(options: Options) -> Result<String, ElasticError> {
    let client = Client::new(options, Arc::new(SystemClock)).unwrap();
    crate::nodes::block(client.json(&Request::get("/"))).map(|answer| answer["cluster_name"].to_string())
}

#[test]
fn an_authority_of_ones_own_is_trusted_when_it_is_named_and_not_otherwise() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let url = serve(&ours.sign("127.0.0.1", ExtendedKeyUsagePurpose::ServerAuth), None);
    let with = |authority: &Authority| Options { authorities: Some(authority.pem()), ..options(&url) };
    assert_eq!(asked(with(&ours)).unwrap(), "\"c\"");
    for refused in [options(&url), with(&theirs)] {
        let error = asked(refused).unwrap_err();
        let shown = format!("{error}; {}", error.help());
        assert!(shown.contains("certificate") && shown.contains("ca_file"), "{shown}");
    }
}

#[test]
fn a_certificate_of_another_host_is_refused() {
    let ours = Authority::new();
    let url = serve(&ours.sign("search.example", ExtendedKeyUsagePurpose::ServerAuth), None);
    let error = asked(Options { authorities: Some(ours.pem()), ..options(&url) }).unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[test]
fn a_client_certificate_logs_in() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let url = serve(&ours.sign("127.0.0.1", ExtendedKeyUsagePurpose::ServerAuth), Some(&ours));
    let with = |signed: &Signed| Options {
        authorities: Some(ours.pem()),
        auth: Auth::Certificate {
            certificate: signed.certificate.pem().into_bytes(),
            key: signed.key.serialize_pem().into_bytes(),
        },
        ..options(&url)
    };
    let user = ours.sign("tocsin", ExtendedKeyUsagePurpose::ClientAuth);
    assert_eq!(asked(with(&user)).unwrap(), "\"c\"");
    let stranger = theirs.sign("tocsin", ExtendedKeyUsagePurpose::ClientAuth);
    asked(with(&stranger)).unwrap_err();
    asked(Options { authorities: Some(ours.pem()), ..options(&url) }).unwrap_err();
}

#[test]
fn an_execution_on_a_cluster_that_does_not_verify_fails_and_says_why() {
    let ours = Authority::new();
    let url = serve(&ours.sign("127.0.0.1", ExtendedKeyUsagePurpose::ServerAuth), None);
    let client = Client::new(options(&url), Arc::new(SystemClock)).unwrap();
    let service = Service::new(ClusterBackend::new(client));
    let records = service.cycle();
    assert_eq!(records[0].status, Status::Failed);
    let error = records[0].error.as_deref().unwrap();
    assert!(error.contains("certificate") && error.contains("ca_file"), "{error}");
}
