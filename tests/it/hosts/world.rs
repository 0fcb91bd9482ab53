//! Hosts on four kinds of networks, and one registry that they all call by the same address.

use crate::harness::client::{Home, Outcome};
use crate::harness::hosts::{Host, SERVICE};
use crate::harness::image::Layout;
use crate::harness::nearby::{PASSWORD, listener, registry, with_listeners};
use crate::harness::ports;
use crate::harness::process::Process;
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};

/// The VPC endpoint behind which `vpc` is.
pub(super) const ENDPOINT: &str = "vpce-0a1b2c3d4e5f60718";
/// The image that is there.
const IMAGE: &str = "team/app:v1";

pub(super) struct World {
    pub(super) seawall: Seawall,
    upstream: Registry,
    listeners: String,
    login_server: String,
    home: Home,
    /// A company's own network, with a public address.
    pub(super) office: Host,
    /// Anybody.
    pub(super) stranger: Host,
    /// A subnet that the site sees as such, without addresses being translated (a service endpoint).
    pub(super) subnet: Host,
    /// A private network, behind a cloud's load balancer.
    pub(super) vpc: Host,
    _balancer: Process,
    _edge: Host,
}

impl World {
    /// With these lines of the registry, each `key: value`. To be called at a site.
    pub(super) fn start(rules: &[&str]) -> Self {
        let upstream = Registry::start(Distribution::V2);
        let place = Place::new();
        let (port, behind) = (place.public().port(), ports::free().port());
        let login_server = format!("{SERVICE}:{port}");
        let listeners = [
            listener("public", format!("0.0.0.0:{port}").parse().unwrap(), ""),
            listener(
                "aws",
                format!("10.99.0.1:{behind}").parse().unwrap(),
                "source: {mode: proxyProtocol, trusted: [10.99.0.2], privateEndpoint: aws}",
            ),
        ];
        let listeners = listeners.join(", ");
        let [office, stranger, subnet] = ["203.0.113.2", "198.51.100.2", "10.88.0.2"].map(Host::at);
        let edge = Host::at("10.99.0.2");
        let vpc = Host::behind("10.77.0.2", &edge);
        let balancer = edge.balance(port, behind, ENDPOINT, place.path());
        let document = document(&place, &upstream, &listeners, &login_server, rules);
        let seawall = place.start(&document);
        let home = Home::new();
        let layout = home.path().join("image");
        Layout::image("hosts").write(&layout, "latest");
        let world = Self {
            seawall,
            upstream,
            listeners,
            login_server,
            home,
            office,
            stranger,
            subnet,
            vpc,
            _balancer: balancer,
            _edge: edge,
        };
        let (source, target) =
            (format!("oci:{}:latest", layout.display()), format!("docker://{}/{IMAGE}", upstream_address(&world)));
        world.home.run("skopeo", &["copy", "--dest-tls-verify=false", &source, &target]).expect_success();
        world
    }

    /// Puts other rules into force.
    pub(super) fn edit(&self, rules: &[&str]) {
        let place = self.seawall.place();
        self.seawall.edit(&document(place, &self.upstream, &self.listeners, &self.login_server, rules));
    }

    /// Copies the image from the registry to `host`, by the token that may do everything.
    pub(super) fn pull(&self, host: &Host) -> Outcome {
        let (source, target) = (format!("docker://{}/{IMAGE}", self.login_server), "dir:pulled");
        let credential = format!("worker:{PASSWORD}");
        let words = ["copy", "--src-tls-verify=false", "--src-creds", &credential, &source, target];
        host.run(&self.home, "skopeo", &words)
    }

    /// The status of a log-in from `host`, and what is said with it.
    pub(super) fn log_in(&self, host: &Host) -> (u16, String) {
        let url = format!("http://{}/v2/", self.login_server);
        let credential = format!("worker:{PASSWORD}");
        let words = ["-s", "-u", &credential, "-w", "\n%{http_code}", &url];
        let said = host.run(&self.home, "curl", &words).expect_success().stdout;
        let (text, status) = said.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), text.to_owned())
    }
}

fn upstream_address(world: &World) -> String {
    world.upstream.url().trim_start_matches("http://").to_owned()
}

fn document(place: &Place, upstream: &Registry, listeners: &str, login_server: &str, rules: &[&str]) -> String {
    let url = format!("url: \"{}\"", upstream.url());
    let document =
        place.document(&format!("registries:\n{}", registry(place, "myregistry", login_server, &url, rules)));
    with_listeners(&document, listeners)
}
