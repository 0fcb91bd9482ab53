//! containerd and Docker: clients with a daemon, started for one test with folders and sockets of its own. Both need root.

use std::cell::RefCell;
use std::fs;

use super::client::{Client, Home, Outcome};
use super::image::{self, Layout};
use super::process::{Process, Stop};
use super::session::Account;
use super::wait_until;

/// containerd's `ctr`, which has no login: the account goes with each call.
pub(crate) struct Containerd {
    _daemon: Process,
    home: Home,
    account: RefCell<Option<Account>>,
}

impl Containerd {
    fn ctr(&self, arguments: &[&str]) -> Outcome {
        let socket = self.home.path().join("containerd.sock").display().to_string();
        self.home.run("ctr", &[&["--address", &socket], arguments].concat())
    }

    /// A call to the registry.
    fn transfer(&self, action: &str, options: &[&str], reference: &str) -> Outcome {
        let account = self.account.borrow();
        let user = account.as_ref().map(|account| format!("{}:{}", account.user, account.password));
        let mut arguments = vec!["images", action, "--plain-http"];
        if let Some(user) = &user {
            arguments.extend(["--user", user]);
        }
        arguments.extend(options);
        arguments.push(reference);
        self.ctr(&arguments)
    }
}

impl Client for Containerd {
    const REFUSED: &'static str = "insufficient_scope: authorization failed";
    const WRONG_PASSWORD: &'static str = "401 Unauthorized";

    fn new() -> Self {
        let home = Home::new();
        let path = home.path().display().to_string();
        let configuration = format!(
            "version = 2\n\
             root = \"{path}/root\"\n\
             state = \"{path}/state\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = \"{path}/containerd.sock\"\n\
             [ttrpc]\naddress = \"{path}/containerd.sock.ttrpc\"\n"
        );
        fs::write(home.path().join("containerd.toml"), configuration).unwrap();
        let mut command = home.command("containerd");
        command.args(["--config", "containerd.toml"]);
        let mut daemon = Process::start("containerd", &mut command, home.path(), Stop::Terminate);
        wait_until("containerd listens", || {
            daemon.expect_running();
            home.path().join("containerd.sock").exists()
        });
        let containerd = Self { _daemon: daemon, home, account: RefCell::new(None) };
        wait_until("containerd answers", || containerd.ctr(&["version"]).succeeded);
        containerd
    }

    fn log_in(&mut self, _: &str, account: &Account) -> Outcome {
        *self.account.borrow_mut() = Some(account.clone());
        Outcome::nothing_to_do()
    }

    fn load(&self, layout: &Layout, reference: &str) -> String {
        let archive = self.home.path().join("image.tar");
        layout.write_archive(&archive, reference);
        let archive = archive.display().to_string();
        self.ctr(&["images", "import", "--all-platforms", "--no-unpack", &archive]).expect_success();
        self.identity(reference).unwrap()
    }

    fn push(&self, _: &Layout, reference: &str) -> Outcome {
        self.transfer("push", &[], reference)
    }

    fn pull(&self, reference: &str) -> Outcome {
        self.transfer("pull", &["--all-platforms", "--snapshotter", "native"], reference)
    }

    fn identity(&self, reference: &str) -> Option<String> {
        let list = self.ctr(&["images", "list", &format!("name=={reference}")]).expect_success().stdout;
        let digest = list.split_whitespace().find(|word| word.starts_with("sha256:"))?;
        Some(digest.to_owned())
    }

    fn forget(&self, reference: &str) {
        self.ctr(&["images", "remove", "--sync", reference]).expect_success();
    }
}

/// A Docker engine without networking, and its command line.
pub(crate) struct Docker {
    _daemon: Process,
    home: Home,
}

impl Docker {
    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    pub(crate) fn docker(&self, arguments: &[&str]) -> Outcome {
        self.home.run("docker", arguments)
    }

    /// Docker reads archives of its own kind only: skopeo makes one.
    fn load_image(&self, layout: &Layout, reference: &str) -> String {
        let folder = self.home.layout(reference);
        layout.write(&folder, "latest");
        let archive = folder.join("docker.tar").display().to_string();
        let source = format!("oci:{}:latest", folder.display());
        self.home.run("skopeo", &["copy", &source, &format!("docker-archive:{archive}:{reference}")]).expect_success();
        self.docker(&["load", "--input", &archive]).expect_success();
        self.identity(reference).unwrap()
    }
}

impl Client for Docker {
    const REFUSED: &'static str = "requested access to the resource is denied";
    const WRONG_PASSWORD: &'static str = "unauthorized";

    fn new() -> Self {
        let home = Home::new();
        fs::write(home.path().join("daemon.json"), r#"{"storage-driver": "vfs"}"#).unwrap();
        let path = home.path().display().to_string();
        let mut command = home.command("dockerd");
        command.args(["--config-file", "daemon.json", "--bridge=none", "--iptables=false", "--ip6tables=false"]);
        command.args(["--ip-forward=false", "--ip-masq=false"]);
        command.arg(format!("--data-root={path}/data")).arg(format!("--exec-root={path}/exec"));
        command.arg(format!("--pidfile={path}/docker.pid")).arg(format!("--host=unix://{path}/docker.sock"));
        let mut daemon = Process::start("dockerd", &mut command, home.path(), Stop::Terminate);
        wait_until("dockerd listens", || {
            daemon.expect_running();
            home.path().join("docker.sock").exists()
        });
        let docker = Self { _daemon: daemon, home };
        wait_until("dockerd answers", || docker.docker(&["version"]).succeeded);
        docker
    }

    fn log_in(&mut self, server: &str, account: &Account) -> Outcome {
        let Account { user, password } = account;
        self.docker(&["login", "--username", user, "--password", password, server])
    }

    fn load(&self, layout: &Layout, reference: &str) -> String {
        if layout.images().is_empty() {
            return self.load_image(layout, reference);
        }
        let mut own = String::new();
        for (architecture, image) in layout.images() {
            let id = self.load_image(image, &format!("{reference}-{architecture}"));
            if *architecture == image::architecture() {
                own = id;
            }
        }
        own
    }

    /// An index is made by `docker manifest` of images that were pushed before.
    fn push(&self, layout: &Layout, reference: &str) -> Outcome {
        if layout.images().is_empty() {
            return self.docker(&["push", reference]);
        }
        let mut create =
            vec!["manifest".to_owned(), "create".to_owned(), "--insecure".to_owned(), reference.to_owned()];
        for (architecture, _) in layout.images() {
            let image = format!("{reference}-{architecture}");
            let pushed = self.docker(&["push", &image]);
            if !pushed.succeeded {
                return pushed;
            }
            create.push(image);
        }
        let create: Vec<&str> = create.iter().map(String::as_str).collect();
        self.docker(&create).expect_success();
        self.docker(&["manifest", "push", "--insecure", reference])
    }

    fn pull(&self, reference: &str) -> Outcome {
        self.docker(&["pull", reference])
    }

    fn identity(&self, reference: &str) -> Option<String> {
        let found = self.docker(&["image", "inspect", "--format", "{{.Id}}", reference]);
        found.succeeded.then(|| found.stdout.trim().to_owned())
    }

    fn forget(&self, _: &str) {
        let images = self.docker(&["images", "--quiet", "--no-trunc"]).expect_success().stdout;
        let images: Vec<&str> = images.lines().collect();
        self.docker(&[&["rmi", "--force"], images.as_slice()].concat()).expect_success();
    }
}
