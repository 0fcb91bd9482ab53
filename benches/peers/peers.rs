//! The other proxies: the real nginx and the real HAProxy, each with two workers and kept connections to the upstream.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::harness::process::{Process, Stop};
use crate::harness::proxies::system;
use crate::harness::{ports, wait_until};

/// A running server and where it listens.
pub(crate) struct Peer {
    // The process first: it must have ended when its folder is removed.
    process: Process,
    directory: TempDir,
    pub(crate) address: SocketAddr,
}

impl Peer {
    fn start(name: &'static str, command: impl FnOnce(&Path, SocketAddr) -> Command) -> Self {
        let directory = TempDir::new().unwrap();
        let address = ports::free();
        let mut command = command(directory.path(), address);
        let mut process = Process::start(name, &mut command, directory.path(), Stop::Terminate);
        wait_until("a peer takes connections", || {
            process.expect_running();
            TcpStream::connect(address).is_ok()
        });
        Self { process, directory, address }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where an nginx with a log writes it.
    pub(crate) fn log(&self) -> PathBuf {
        self.directory.path().join("access.log")
    }
}

/// What distinguishes one nginx from another.
#[derive(Default)]
pub(crate) struct Nginx {
    workers: u32,
    log: bool,
    listen: &'static str,
    http: String,
    server: String,
}

impl Nginx {
    /// `server` is the inside of the only server.
    pub(crate) fn of(workers: u32, server: &str) -> Self {
        Self { workers, server: server.to_owned(), ..Self::default() }
    }

    /// Hands everything on to `upstream`.
    pub(crate) fn proxy(upstream: SocketAddr) -> Self {
        let mut nginx = Self::of(2, &format!("location / {{ {} }}", pass("registry")));
        nginx.add_upstream("registry", upstream);
        nginx
    }

    /// Asks `judge` before each request that it hands on.
    pub(crate) fn asking(upstream: SocketAddr, judge: SocketAddr) -> Self {
        let server = format!(
            "location / {{ auth_request /judge; {} }}\n\
             location = /judge {{ internal; {} proxy_pass_request_body off; proxy_set_header Content-Length \"\"; }}",
            pass("registry"),
            pass("judge")
        );
        let mut nginx = Self::of(2, &server);
        nginx.add_upstream("registry", upstream);
        nginx.add_upstream("judge", judge);
        nginx
    }

    /// The same as nginx's documentation of auth_request has it: each question over a connection of its own.
    pub(crate) fn asking_anew(upstream: SocketAddr, judge: SocketAddr) -> Self {
        let server = format!(
            "location / {{ auth_request /judge; {} }}\n\
             location = /judge {{ internal; proxy_pass http://{judge}; proxy_pass_request_body off; \
             proxy_set_header Content-Length \"\"; proxy_set_header X-Original-URI $request_uri; }}",
            pass("registry")
        );
        let mut nginx = Self::of(2, &server);
        nginx.add_upstream("registry", upstream);
        nginx
    }

    fn add_upstream(&mut self, name: &str, address: SocketAddr) {
        let kept = "keepalive 128; keepalive_requests 1000000000; keepalive_timeout 1h;";
        writeln!(self.http, "upstream {name} {{ server {address}; {kept} }}").unwrap();
    }

    /// With more lines around the server.
    pub(crate) fn http(mut self, lines: &str) -> Self {
        self.http.push_str(lines);
        self
    }

    /// With the log that it has by default, a line for each request.
    pub(crate) fn logged(mut self) -> Self {
        self.log = true;
        self
    }

    /// With room for 1 MiB of an answer instead of 32 KiB.
    pub(crate) fn large_buffers(self) -> Self {
        self.http("proxy_buffers 4 256k; proxy_buffer_size 16k; proxy_busy_buffers_size 512k;\n")
    }

    /// Over TLS 1.3 without resumption; HTTP/2 is offered too.
    pub(crate) fn tls(mut self, [certificate, key]: &[PathBuf; 2]) -> Self {
        self.listen = "ssl http2";
        writeln!(
            self.http,
            "ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.3; ssl_session_cache off; \
             ssl_session_tickets off;",
            certificate.display(),
            key.display()
        )
        .unwrap();
        self
    }

    pub(crate) fn start(&self) -> Peer {
        Peer::start("nginx", |directory, address| {
            let path = directory.display();
            let log = if self.log { format!("{path}/access.log") } else { "off".to_owned() };
            let text = format!(
                "daemon off;\nuser root;\nworker_processes {workers};\npid {path}/nginx.pid;\nerror_log stderr warn;\n\
                 events {{ worker_connections 8192; }}\nhttp {{\naccess_log {log};\nsendfile on;\n\
                 keepalive_requests 1000000000;\nkeepalive_timeout 75s;\nclient_body_temp_path {path}/body;\n\
                 proxy_temp_path {path}/proxy;\nfastcgi_temp_path {path}/fastcgi;\nuwsgi_temp_path {path}/uwsgi;\n\
                 scgi_temp_path {path}/scgi;\n{http}\nserver {{\nlisten {address} {listen} backlog=4096;\n{server}\n}}\n}}\n",
                workers = self.workers,
                http = self.http,
                listen = self.listen,
                server = self.server
            );
            let file = directory.join("nginx.conf");
            fs::write(&file, text).unwrap();
            let mut command = Command::new(system("nginx"));
            command.arg("-e").arg("stderr").arg("-p").arg(directory).arg("-c").arg(file);
            command
        })
    }
}

/// As one sets up nginx in front of a registry: streams both ways, and no file in between.
fn pass(upstream: &str) -> String {
    format!(
        "proxy_pass http://{upstream}; proxy_http_version 1.1; proxy_set_header Connection \"\"; \
         proxy_set_header Host $http_host; proxy_request_buffering off; proxy_max_temp_file_size 0; \
         client_max_body_size 0;"
    )
}

/// HAProxy; `rules` are those of its only frontend.
pub(crate) fn haproxy(upstream: SocketAddr, rules: &str) -> Peer {
    haproxy_that(upstream, rules, None)
}

/// The same over TLS, by this certificate and key.
pub(crate) fn haproxy_tls(upstream: SocketAddr, files: &[PathBuf; 2]) -> Peer {
    haproxy_that(upstream, "", Some(files))
}

fn haproxy_that(upstream: SocketAddr, rules: &str, files: Option<&[PathBuf; 2]>) -> Peer {
    Peer::start("haproxy", |directory, address| {
        let mut tls = String::new();
        if let Some(files) = files {
            let both = files.each_ref().map(|file| fs::read_to_string(file).unwrap()).concat();
            let file = directory.join("server.pem");
            fs::write(&file, both).unwrap();
            tls = format!("ssl crt {}", file.display());
        }
        let text = format!(
            "global\n  nbthread 2\n  maxconn 8192\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 75s\n  \
             timeout server 75s\n  timeout http-keep-alive 75s\nfrontend clients\n  bind {address} {tls} backlog 4096\n{rules}  \
             default_backend registry\nbackend registry\n  http-reuse always\n  server one {upstream} pool-max-conn 256\n"
        );
        let file = directory.join("haproxy.cfg");
        fs::write(&file, text).unwrap();
        let mut command = Command::new(system("haproxy"));
        command.arg("-db").arg("-f").arg(file);
        command
    })
}

/// Rules that admit only tokens with an ES256 signature of this key, a PEM file.
pub(crate) fn only_es256(public_key: &Path) -> String {
    format!(
        "  http-request set-var(txn.token) http_auth_bearer\n  \
           http-request set-var(txn.alg) var(txn.token),jwt_header_query('$.alg')\n  \
           http-request deny deny_status 401 unless {{ var(txn.alg) -m str ES256 }}\n  \
           http-request deny deny_status 403 unless {{ var(txn.token),jwt_verify(txn.alg,\"{}\") -m int 1 }}\n",
        public_key.display()
    )
}
