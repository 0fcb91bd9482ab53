//! A gate that answers by itself, and a pingora server around it, for the tests of this room and of the process's life.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::proxy::{ProxyHttp, Session};
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::sync::watch;

use super::*;
use crate::clock::Timestamp;
use crate::crypto;
use crate::proxy::source::Header;

/// Answers `/who`, `/body` (with what it received), `/slow` (half at once, half when released) and `/kept` (with what was kept of
/// the request when it was plain), and closes after `/refused` without reading a body; and without pingora `/plain/BYTES`, over
/// HTTP/2 `/plain`, and `/endless`, which does not say how long it is.
#[derive(Clone)]
pub(crate) struct EchoGate {
    released: watch::Receiver<bool>,
}

impl EchoGate {
    pub(crate) fn new() -> (Self, watch::Sender<bool>) {
        let (release, released) = watch::channel(false);
        (Self { released }, release)
    }

    async fn slowly(&self, session: &mut Session) -> pingora::Result<()> {
        let mut header = ResponseHeader::build(200, None)?;
        if !session.is_http2() {
            // With a content length pingora keeps the beginning in its write buffer.
            header.insert_header("transfer-encoding", "chunked")?;
        }
        session.write_response_header(Box::new(header), false).await?;
        session.write_response_body(Some(Bytes::from_static(b"begin")), false).await?;
        let _ = self.released.clone().wait_for(|released| *released).await;
        session.write_response_body(Some(Bytes::from_static(b"ended")), true).await
    }
}

#[async_trait]
impl ProxyHttp for EchoGate {
    type CTX = ();

    fn new_ctx(&self) {}

    fn init_downstream_modules(&self, _: &mut pingora::modules::http::HttpModules) {}

    async fn early_request_filter(&self, session: &mut Session, (): &mut ()) -> pingora::Result<()> {
        Connection::of(session).unwrap().head_received();
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, (): &mut ()) -> pingora::Result<bool> {
        let answer = match session.req_header().uri.path() {
            "/who" => who(Connection::of(session).unwrap()),
            "/body" => {
                let mut received = String::new();
                while let Some(bytes) = session.read_request_body().await? {
                    received.push_str(&String::from_utf8_lossy(&bytes));
                }
                received
            }
            "/refused" => {
                session.set_keepalive(None);
                Connection::of(session).unwrap().linger();
                "refused".to_owned()
            }
            path if path.starts_with("/kept") => left::<String>().map_or("nothing".to_owned(), |kept| *kept),
            _ => return self.slowly(session).await.map(|()| true),
        };
        let mut header = ResponseHeader::build(200, None)?;
        header.insert_header("content-length", answer.len().to_string())?;
        session.write_response_header(Box::new(header), false).await?;
        session.write_response_body(Some(Bytes::from(answer)), true).await?;
        Ok(true)
    }

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Error::e_explain(ErrorType::InternalError, "no upstream in this test")
    }
}

impl AnswersPlain for EchoGate {
    async fn answer(&self, request: &mut PlainRequest<'_>) -> Option<Left> {
        let target = String::from_utf8(request.target().to_vec()).unwrap();
        let (body, length) = match (target.strip_prefix("/plain/"), &*target) {
            (Some(bytes), _) => {
                let bytes = bytes.parse().unwrap();
                (vec![b'x'; bytes], Some((header::CONTENT_LENGTH, HeaderValue::from(bytes))))
            }
            (None, "/endless") => (b"endless".to_vec(), None),
            (None, "/kept") => {
                return Some(Left::with(Box::new(format!("kept of {}", request.head().method))));
            }
            (None, _) => return Some(Left::with(Box::new(()))),
        };
        request.connection().head_received();
        request.set_write_timeout(Duration::from_millis(500));
        request.begin_answer(StatusCode::OK, length.into_iter());
        let is_head = request.head().method == Method::HEAD;
        let written = request.sent_head(is_head).await.is_ok();
        let written = written && (is_head || request.write_piece(&body, true).await.is_ok());
        if !written {
            request.close_after();
        }
        None
    }

    async fn answer_stream(&self, stream: &mut ServerSession) -> Option<Left> {
        let path = stream.req_header().uri.path().to_owned();
        if path != "/plain" {
            return Some(Left::with(Box::new(format!("kept of {path}"))));
        }
        Connection::of(stream).unwrap().head_received();
        let head = ResponseHeader::build(200, None).unwrap();
        stream.write_response_header(Box::new(head)).await.unwrap();
        stream.write_response_body(Bytes::from_static(b"plain"), true).await.unwrap();
        None
    }
}

fn who(connection: &Connection) -> String {
    let source = match connection.announced() {
        None => "none".to_owned(),
        Some(Header::Local) => "local".to_owned(),
        Some(Header::Proxied { source, tlvs, .. }) => format!("{source}+{}", tlvs.len()),
    };
    let name = connection.server_name().unwrap_or("none");
    let network = match connection.network() {
        Network::Public => String::new(),
        Network::PrivateEndpoint(mark) => format!(" by {mark}"),
    };
    format!("{} {} {source} {name}{network}", connection.listener().name, connection.peer().ip())
}

/// A plain listener on a free port, with refusals written down.
pub(crate) fn listener(source: SourceMode) -> (Listener, Arc<Mutex<Vec<Refusal>>>) {
    let refusals = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&refusals);
    let listener = Listener {
        name: "public".into(),
        address: ([127, 0, 0, 1], 0).into(),
        tls: None,
        h2c: false,
        source,
        network: Network::Public,
        head_timeout: Duration::from_secs(20),
        on_refusal: Arc::new(move |refusal| list.lock().unwrap().push(refusal)),
    };
    (listener, refusals)
}

/// A server with [`EchoGate`], ready to run, and the way to release its slow answers.
pub(crate) fn server(listeners: Vec<Listener>, serving: &Serving) -> (Server, Vec<SocketAddr>, watch::Sender<bool>) {
    // pingora's runtimes without work stealing remember their threads by an id that the next thread gets when one ends, so only
    // the first of them in a process works: several servers in one test process need the other kind.
    let configuration = ServerConf { work_stealing: true, ..server_configuration() };
    let mut server = Server::new_with_opt_and_conf(None, configuration);
    let bound: Vec<_> = listeners.into_iter().map(|listener| Bound::bind(listener).unwrap()).collect();
    let addresses = bound.iter().map(Bound::address).collect();
    let (gate, release) = EchoGate::new();
    server.add_services(services(&Arc::clone(&server.configuration), &gate, bound, serving).unwrap());
    (server, addresses, release)
}

/// Writes a self-signed certificate for `names` to `NAME.crt` and `NAME.key`.
pub(crate) fn write_certificate(directory: &Path, name: &str, names: &[&str]) -> CertificateFiles {
    let made =
        rcgen::generate_simple_self_signed(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap();
    let files = CertificateFiles {
        certificate: directory.join(format!("{name}.crt")),
        key: directory.join(format!("{name}.key")),
    };
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    files
}

pub(crate) fn certificates(files: Vec<CertificateFiles>) -> Arc<Certificates> {
    Arc::new(Certificates::load(files, Timestamp::UNIX_EPOCH).unwrap().0)
}

/// A client that reads and writes bytes and waits at most ten seconds for anything.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

pub(crate) const WHO: &str = "GET /who HTTP/1.1\r\nHost: test\r\n\r\n";
pub(crate) const SLOW: &str = "GET /slow HTTP/1.1\r\nHost: test\r\n\r\n";

/// Sends `request` and reads one response: its body.
pub(crate) fn ask<S: Read + Write>(stream: &mut S, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    read_response(stream)
}

pub(crate) fn read_response<S: Read>(stream: &mut S) -> String {
    let head = read_until(stream, "\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let length = head.to_ascii_lowercase().split_once("content-length: ").unwrap().1.to_owned();
    let mut body = vec![0; length.split_once("\r\n").unwrap().0.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

/// Reads up to and including `end`, one byte at a time.
pub(crate) fn read_until<S: Read>(stream: &mut S, end: &str) -> String {
    let mut read = String::new();
    let mut byte = [0];
    while !read.ends_with(end) {
        stream.read_exact(&mut byte).unwrap_or_else(|error| panic!("{error} after {read:?}"));
        read.push(char::from(byte[0]));
    }
    read
}

/// Whether the other side has closed the connection without sending anything more.
pub(crate) fn is_closed<S: Read>(stream: &mut S) -> bool {
    match stream.read(&mut [0; 1]) {
        Ok(0) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        Ok(_) => false,
    }
}

/// A TLS client that trusts anybody and offers `protocols` by ALPN.
pub(crate) fn client_config(protocols: &[&str]) -> rustls::ClientConfig {
    client_config_of(crypto::provider(), protocols)
}

/// The same with this cryptography.
pub(crate) fn client_config_of(provider: rustls::crypto::CryptoProvider, protocols: &[&str]) -> rustls::ClientConfig {
    let provider = Arc::new(provider);
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustAnybody(provider)))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

#[derive(Debug)]
struct TrustAnybody(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for TrustAnybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
