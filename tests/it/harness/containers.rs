//! skopeo, podman and buildah: three clients without a daemon, over the same library.

use std::fs;
use std::marker::PhantomData;

use super::client::{Client, Home, Outcome, relative_layout};
use super::image::{self, Layout};
use super::session::Account;

const DENIED: &str = "requested access to the resource is denied";
const WRONG_PASSWORD: &str = "invalid username/password";

/// skopeo: its storage is a folder with an OCI layout.
pub(crate) struct Skopeo {
    home: Home,
}

impl Skopeo {
    fn local(&self, reference: &str) -> String {
        format!("oci:{}:latest", self.home.layout(reference).display())
    }
}

impl Client for Skopeo {
    const REFUSED: &'static str = DENIED;
    const WRONG_PASSWORD: &'static str = WRONG_PASSWORD;

    fn new() -> Self {
        let home = Home::new();
        fs::create_dir_all(home.path().join("layouts")).unwrap();
        Self { home }
    }

    fn log_in(&mut self, server: &str, account: &Account) -> Outcome {
        let Account { user, password } = account;
        self.home.run("skopeo", &["login", "--tls-verify=false", "-u", user, "-p", password, server])
    }

    fn load(&self, layout: &Layout, reference: &str) -> String {
        layout.write(&self.home.layout(reference), "latest");
        layout.root().digest.clone()
    }

    fn push(&self, _: &Layout, reference: &str) -> Outcome {
        let remote = format!("docker://{reference}");
        self.home.run("skopeo", &["copy", "--all", "--dest-tls-verify=false", &self.local(reference), &remote])
    }

    fn pull(&self, reference: &str) -> Outcome {
        let remote = format!("docker://{reference}");
        self.home.run("skopeo", &["copy", "--all", "--src-tls-verify=false", &remote, &self.local(reference)])
    }

    fn identity(&self, reference: &str) -> Option<String> {
        let index = fs::read(self.home.layout(reference).join("index.json")).ok()?;
        let index: serde_json::Value = serde_json::from_slice(&index).ok()?;
        Some(index["manifests"][0]["digest"].as_str()?.to_owned())
    }

    fn forget(&self, reference: &str) {
        fs::remove_dir_all(self.home.layout(reference)).unwrap();
    }
}

/// podman and buildah share storage and most options.
struct Containers {
    home: Home,
    program: &'static str,
}

impl Containers {
    fn new(program: &'static str) -> Self {
        Self { home: Home::new(), program }
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        self.home.run(self.program, arguments)
    }

    /// An index cannot be read from a layout: it is made anew of the images it lists.
    fn load(&self, layout: &Layout, reference: &str) -> String {
        if layout.images().is_empty() {
            return self.load_image(layout, reference);
        }
        let mut own = String::new();
        self.run(&["manifest", "create", reference]).expect_success();
        for (architecture, image) in layout.images() {
            let name = format!("{reference}-{architecture}");
            let id = self.load_image(image, &name);
            let source = format!("containers-storage:{name}");
            let add = ["manifest", "add", "--arch", architecture, "--os", "linux", reference, &source];
            self.run(&add).expect_success();
            if *architecture == image::architecture() {
                own = id;
            }
        }
        own
    }

    fn load_image(&self, layout: &Layout, reference: &str) -> String {
        layout.write(&self.home.layout(reference), "latest");
        let source = format!("oci:{}:latest", relative_layout(reference));
        let pulled = self.run(&["pull", "-q", &source]).expect_success();
        let id = pulled.stdout.trim().to_owned();
        self.run(&["tag", &id, reference]).expect_success();
        id
    }

    fn push(&self, layout: &Layout, reference: &str) -> Outcome {
        if layout.images().is_empty() {
            return self.run(&["push", "--tls-verify=false", reference]);
        }
        let remote = format!("docker://{reference}");
        self.run(&["manifest", "push", "--all", "--tls-verify=false", reference, &remote])
    }

    fn pull(&self, reference: &str) -> Outcome {
        self.run(&["pull", "--tls-verify=false", reference])
    }

    fn log_in(&self, server: &str, account: &Account) -> Outcome {
        let Account { user, password } = account;
        self.run(&["login", "--tls-verify=false", "-u", user, "-p", password, server])
    }

    fn forget(&self) {
        self.run(&["rmi", "--all", "--force"]).expect_success();
    }
}

/// What podman and buildah differ in.
pub(crate) trait Program {
    const NAME: &'static str;
    /// Prints the id of the image whose name follows.
    const INSPECT: &'static [&'static str];
}

/// Names podman.
pub(crate) struct IsPodman;

impl Program for IsPodman {
    const NAME: &'static str = "podman";
    const INSPECT: &'static [&'static str] = &["image", "inspect", "--format", "{{.Id}}"];
}

/// Names buildah.
pub(crate) struct IsBuildah;

impl Program for IsBuildah {
    const NAME: &'static str = "buildah";
    const INSPECT: &'static [&'static str] = &["inspect", "--type", "image", "--format", "{{.FromImageID}}"];
}

/// podman, with the vfs storage driver.
pub(crate) type Podman = WithStorage<IsPodman>;

/// buildah, with the vfs storage driver.
pub(crate) type Buildah = WithStorage<IsBuildah>;

/// A client that keeps its images in containers/storage.
pub(crate) struct WithStorage<P>(Containers, PhantomData<P>);

impl Buildah {
    /// Builds what `containerfile` says; pulls its base image anew.
    pub(crate) fn build(&self, containerfile: &str, reference: &str) -> Outcome {
        fs::write(self.0.home.path().join("Containerfile"), containerfile).unwrap();
        let pulling = ["bud", "--isolation", "chroot", "--tls-verify=false", "--pull-always"];
        self.0.run(&[&pulling[..], &["-f", "Containerfile", "-t", reference, "."]].concat())
    }
}

impl<P: Program> Client for WithStorage<P> {
    const REFUSED: &'static str = DENIED;
    const WRONG_PASSWORD: &'static str = WRONG_PASSWORD;

    fn new() -> Self {
        Self(Containers::new(P::NAME), PhantomData)
    }

    fn log_in(&mut self, server: &str, account: &Account) -> Outcome {
        self.0.log_in(server, account)
    }

    fn load(&self, layout: &Layout, reference: &str) -> String {
        self.0.load(layout, reference)
    }

    fn push(&self, layout: &Layout, reference: &str) -> Outcome {
        self.0.push(layout, reference)
    }

    fn pull(&self, reference: &str) -> Outcome {
        self.0.pull(reference)
    }

    fn identity(&self, reference: &str) -> Option<String> {
        let found = self.0.run(&[P::INSPECT, &[reference]].concat());
        found.succeeded.then(|| found.stdout.trim().to_owned())
    }

    fn forget(&self, _: &str) {
        self.0.forget();
    }
}
