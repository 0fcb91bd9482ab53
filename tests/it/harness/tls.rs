//! Certificates made here, callers over TLS, and a real registry that speaks TLS.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use tempfile::TempDir;

use super::http::Connection;
use super::process::{Process, Stop};
use super::{ports, wait_until};

/// A certificate authority of a test's own.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Not the name of what it signs: OpenSSL would take that for signed by itself.
        params.distinguished_name.push(DnType::CommonName, "the authority of a test");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Its own certificate, PEM.
    pub(crate) fn pem(&self) -> &str {
        &self.certificate
    }

    /// Writes a certificate for these names or addresses, and its key, over `NAME.crt` and `NAME.key`.
    pub(crate) fn issue(&self, directory: &Path, name: &str, names: &[&str]) -> [PathBuf; 2] {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        let files = [format!("{name}.crt"), format!("{name}.key")].map(|name| directory.join(name));
        fs::write(&files[0], certificate.pem()).unwrap();
        fs::write(&files[1], key.serialize_pem()).unwrap();
        files
    }

    /// The settings of a client that trusts this authority and no other.
    pub(crate) fn client(&self, protocols: &[&str], versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        config.resumption = Resumption::disabled();
        config
    }
}

/// For a listener: its certificates, the first of which is the default.
pub(crate) fn listener_tls(certificates: &[&[PathBuf; 2]]) -> String {
    let one = |[certificate, key]: &[PathBuf; 2]| {
        format!("{{certificate: \"{}\", key: \"{}\"}}", certificate.display(), key.display())
    };
    let all: Vec<String> = certificates.iter().map(|files| one(files)).collect();
    format!("tls: {{certificates: [{}]}}", all.join(", "))
}

pub(crate) type Encrypted = StreamOwned<ClientConnection, TcpStream>;

/// A connection over TLS on which the handshake is done; or why it was refused.
pub(crate) fn handshake(stream: TcpStream, config: ClientConfig, name: &str) -> Result<Encrypted, std::io::Error> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(client, stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// An ordinary HTTP/1.1 connection over TLS.
pub(crate) fn connect(to: SocketAddr, authority: &Authority, name: &str) -> Connection<Encrypted> {
    let config = authority.client(&["http/1.1"], rustls::ALL_VERSIONS);
    Connection::over(handshake(TcpStream::connect(to).unwrap(), config, name).unwrap())
}

/// The certificate that was shown.
pub(crate) fn shown(stream: &Encrypted) -> CertificateDer<'static> {
    stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
}

/// The certificate in a file.
pub(crate) fn written(file: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(&fs::read(file).unwrap()).unwrap()
}

/// A real registry that speaks TLS only.
pub(crate) struct TlsRegistry {
    // The process first: it must have ended when its folder is removed.
    _process: Process,
    _directory: TempDir,
    pub(crate) address: SocketAddr,
}

impl TlsRegistry {
    /// With a certificate of `authority` for these names.
    pub(crate) fn start(authority: &Authority, names: &[&str]) -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path();
        let address = ports::free();
        let [certificate, key] = authority.issue(path, "registry", names);
        let configuration = format!(
            "version: 0.1\nlog: {{level: info, formatter: text}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}, maintenance: {{uploadpurging: {{enabled: false}}}}}}\n\
             http: {{addr: \"{address}\", secret: notasecret, tls: {{certificate: {}, key: {}}}}}\n",
            path.join("data").display(),
            certificate.display(),
            key.display()
        );
        let file = path.join("registry.yaml");
        fs::write(&file, configuration).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&file);
        let mut process = Process::start("registry", &mut command, path, Stop::Kill);
        wait_until("the registry takes connections", || {
            process.expect_running();
            TcpStream::connect(address).is_ok()
        });
        Self { _process: process, _directory: directory, address }
    }
}
