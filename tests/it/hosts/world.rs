//! Hosts on four kinds of networks, and one registry that they all call by the same address.

use crate::harness::client::{Home, Outcome};
use crate::harness::hosts::{Host, SERVICE};
use crate::harness::image::Layout;
use crate::harness::nearby::{PASSWORD, listener, registry, with_listeners};
use crate::harness::ports;
use crate::harness::process::Process;
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::tls::{Authority, listener_tls};

/// The VPC endpoint behind which `vpc` is.
pub(super) const ENDPOINT: &str = "vpce-0a1b2c3d4e5f60718";
/// The image that is there.
const IMAGE: &str = "team/app:v1";

pub(super) struct World {
    pub(super) seawall: Seawall,
    upstream: Registry,
    listeners: String,
    /// What clients call, at every host.
    pub(super) login_server: String,
    /// What stands before `registries`.
    identities: String,
    home: Home,
    /// `SSL_CERT_FILE=` and the authority of the server's certificate.
    trust: String,
    /// A company's own network, with a public address.
    pub(super) office: Host,
    /// Anybody.
    pub(super) stranger: Host,
    /// A subnet that the site sees as such, without addresses being translated (a service endpoint).
    pub(super) subnet: Host,
    /// A machine of some service, at an address that nobody could know beforehand.
    pub(super) cloud: Host,
    /// A private network, behind a cloud's load balancer.
    pub(super) vpc: Host,
    _balancer: Process,
    _edge: Host,
}

impl World {
    /// With these lines of the registry, each `key: value`. To be called at a site.
    pub(super) fn start(rules: &[&str]) -> Self {
        Self::with("", rules)
    }

    /// The same, with `identities` before the registries.
    pub(super) fn with(identities: &str, rules: &[&str]) -> Self {
        let upstream = Registry::start(Distribution::V2);
        let place = Place::new();
        let (port, behind) = (place.public().port(), ports::free().port());
        let login_server = format!("{SERVICE}:{port}");
        let authority = Authority::new();
        let tls = listener_tls(&[&authority.issue(place.path(), "server", &[SERVICE])]);
        std::fs::write(place.path().join("ca.pem"), authority.pem()).unwrap();
        let trust = format!("SSL_CERT_FILE={}", place.path().join("ca.pem").display());
        let listeners = [
            listener("public", format!("0.0.0.0:{port}").parse().unwrap(), &tls),
            listener(
                "aws",
                format!("10.99.0.1:{behind}").parse().unwrap(),
                &format!("source: {{mode: proxyProtocol, trusted: [10.99.0.2], privateEndpoint: aws}}, {tls}"),
            ),
        ];
        let listeners = listeners.join(", ");
        let [office, stranger, subnet, cloud] = ["203.0.113.2", "198.51.100.2", "10.88.0.2", "192.0.2.2"].map(Host::at);
        let edge = Host::at("10.99.0.2");
        let vpc = Host::behind("10.77.0.2", &edge);
        let balancer = edge.balance(port, behind, ENDPOINT, place.path());
        let document = document(&place, &upstream, (&listeners, &login_server, identities), rules);
        let seawall = place.start(&document);
        let home = Home::new();
        let layout = home.path().join("image");
        Layout::image("hosts").write(&layout, "latest");
        let world = Self {
            seawall,
            upstream,
            listeners,
            login_server,
            identities: identities.to_owned(),
            home,
            trust,
            office,
            stranger,
            subnet,
            cloud,
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
        let whole = (self.listeners.as_str(), self.login_server.as_str(), self.identities.as_str());
        self.seawall.edit(&document(self.seawall.place(), &self.upstream, whole, rules));
    }

    /// Copies the image from the registry to `host`, by the token that may do everything.
    pub(super) fn pull(&self, host: &Host) -> Outcome {
        self.pull_as(host, &format!("worker:{PASSWORD}"))
    }

    /// The same by another user name and password.
    pub(super) fn pull_as(&self, host: &Host, credential: &str) -> Outcome {
        let (source, target) = (format!("docker://{}/{IMAGE}", self.login_server), "dir:pulled");
        self.run(host, "skopeo", &["copy", "--src-creds", credential, &source, target])
    }

    /// The status of an exchange of an identity provider's token at `host`, and the refresh token.
    pub(super) fn exchange(&self, host: &Host, token: &str) -> (u16, String) {
        let url = format!("https://{}/oauth2/exchange", self.login_server);
        let form = format!("grant_type=access_token&service={}&access_token={token}", self.login_server);
        let said = self.run(host, "curl", &["-s", "-w", "\n%{http_code}", "-d", &form, &url]).expect_success();
        let (text, status) = said.stdout.rsplit_once('\n').unwrap();
        let answer: serde_json::Value = serde_json::from_str(text).unwrap();
        (status.parse().unwrap(), answer["refresh_token"].as_str().unwrap_or_default().to_owned())
    }

    /// A `seawall` command on `host`, which has the folder of the server, and so the socket of its management API.
    pub(super) fn seawall(&self, host: &Host, words: &[&str]) -> Outcome {
        let config = format!("SEAWALL_CONFIG={}", self.seawall.place().path().join("seawall.yaml").display());
        self.run(host, "env", &[&[config.as_str(), env!("CARGO_BIN_EXE_seawall")], words].concat())
    }

    /// Runs a client on `host`, which trusts the server's authority.
    fn run(&self, host: &Host, program: &str, words: &[&str]) -> Outcome {
        host.run(&self.home, "env", &[&[self.trust.as_str(), program], words].concat())
    }

    /// A folder in the home of whoever uses the hosts.
    pub(super) fn folder(&self, name: &str) -> std::path::PathBuf {
        let folder = self.home.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        folder
    }

    /// What the registry behind has.
    pub(super) fn manifest(&self, repository: &str, tag: &str) -> u16 {
        self.upstream.manifest(repository, tag).status
    }

    /// The status of a log-in from `host`, and what is said with it.
    pub(super) fn log_in(&self, host: &Host) -> (u16, String) {
        let url = format!("https://{}/v2/", self.login_server);
        let credential = format!("worker:{PASSWORD}");
        let words = ["-s", "-u", &credential, "-w", "\n%{http_code}", &url];
        let said = self.run(host, "curl", &words).expect_success().stdout;
        let (text, status) = said.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), text.to_owned())
    }
}

fn upstream_address(world: &World) -> String {
    world.upstream.url().trim_start_matches("http://").to_owned()
}

fn document(
    place: &Place,
    upstream: &Registry,
    (listeners, login_server, identities): (&str, &str, &str),
    rules: &[&str],
) -> String {
    let url = format!("url: \"{}\"", upstream.url());
    let registry = registry(place, "myregistry", login_server, &url, rules);
    let document = with_listeners(&place.document(&format!("{identities}registries:\n{registry}")), listeners);
    let by_socket = format!("management: {{address: \"unix:{}/management.sock\"", place.path().display());
    document.replace(&format!("management: {{address: \"{}\"", place.management()), &by_socket)
}
