//! The real HAProxy and the real nginx in front of seawall, as `config/behind-haproxy.yaml` and `behind-nginx.yaml` say.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::process::{Process, Stop};
use super::{ports, wait_until};

/// A running proxy.
pub(crate) struct Proxy {
    // The process first: it must have ended when its folder is removed.
    _process: Process,
    _directory: TempDir,
    pub(crate) address: SocketAddr,
}

impl Proxy {
    /// HAProxy, which hands TCP connections on and says who is calling in a PROXY header of this version (1 or 2).
    pub(crate) fn haproxy(to: SocketAddr, version: u8) -> Self {
        Self::haproxy_that(to, if version == 1 { "send-proxy" } else { "send-proxy-v2" })
    }

    /// The same in version 2, with extensions: a unique id of each connection, and a checksum.
    pub(crate) fn haproxy_with_unique_ids(to: SocketAddr) -> Self {
        Self::haproxy_that(to, "send-proxy-v2 proxy-v2-options unique-id,crc32c")
    }

    fn haproxy_that(to: SocketAddr, send: &str) -> Self {
        Self::start("haproxy", |directory, address| {
            let file = directory.join("haproxy.cfg");
            let text = format!(
                "global\n  maxconn 64\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 30s\n  \
                 timeout server 30s\nlisten registry\n  bind {address}\n  unique-id-format %ci:%cp\n    server seawall {to} {send}\n"
            );
            fs::write(&file, text).unwrap();
            let mut command = Command::new(system("haproxy"));
            command.arg("-db").arg("-f").arg(file);
            command
        })
    }

    /// nginx, which ends HTTP connections and says who is calling in `X-Forwarded-For`.
    pub(crate) fn nginx(to: SocketAddr) -> Self {
        Self::start("nginx", |directory, address| {
            let file = directory.join("nginx.conf");
            let path = directory.display();
            let text = format!(
                "daemon off;\nmaster_process off;\npid {path}/nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n  \
                 access_log off;\n  client_body_temp_path {path}/body;\n  proxy_temp_path {path}/proxy;\n  \
                 fastcgi_temp_path {path}/fastcgi;\n  uwsgi_temp_path {path}/uwsgi;\n  scgi_temp_path {path}/scgi;\n  \
                 server {{\n    listen {address};\n    location / {{\n      proxy_pass http://{to};\n      \
                 proxy_set_header Host $http_host;\n      \
                 proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n      proxy_http_version 1.1;\n      \
                 proxy_request_buffering off;\n      client_max_body_size 0;\n    }}\n  }}\n}}\n"
            );
            fs::write(&file, text).unwrap();
            let mut command = Command::new(system("nginx"));
            command.arg("-e").arg("stderr").arg("-p").arg(directory).arg("-c").arg(file);
            command
        })
    }

    /// nginx as a storage: it serves the files below `root`.
    pub(crate) fn nginx_files(root: &Path) -> Self {
        Self::start("nginx", |directory, address| {
            let file = directory.join("nginx.conf");
            let path = directory.display();
            let text = format!(
                "daemon off;\nmaster_process off;\npid {path}/nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n  \
                 access_log off;\n  client_body_temp_path {path}/body;\n  proxy_temp_path {path}/proxy;\n  \
                 fastcgi_temp_path {path}/fastcgi;\n  uwsgi_temp_path {path}/uwsgi;\n  scgi_temp_path {path}/scgi;\n  \
                 server {{\n    listen {address};\n    root {};\n  }}\n}}\n",
                root.display()
            );
            fs::write(&file, text).unwrap();
            let mut command = Command::new(system("nginx"));
            command.arg("-e").arg("stderr").arg("-p").arg(directory).arg("-c").arg(file);
            command
        })
    }

    fn start(name: &'static str, command: impl FnOnce(&Path, SocketAddr) -> Command) -> Self {
        let directory = TempDir::new().unwrap();
        let address = ports::free();
        let mut process = Process::start(name, &mut command(directory.path(), address), directory.path(), Stop::Kill);
        wait_until("the proxy takes connections", || {
            process.expect_running();
            TcpStream::connect(address).is_ok()
        });
        Self { _process: process, _directory: directory, address }
    }
}

/// Debian keeps these where users have no path to.
pub(crate) fn system(program: &str) -> String {
    let installed = format!("/usr/sbin/{program}");
    if Path::new(&installed).exists() { installed } else { program.to_owned() }
}
