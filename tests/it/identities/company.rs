//! Two registries of one company, and somebody at a machine with the `seawall` commands and buildah (S4-7).

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::client::{Home, Outcome};
use crate::harness::http::{self, Response};
use crate::harness::image::Layout;
use crate::harness::provider::{AUDIENCE, Provider};
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::session::Account;

/// Of both admin accounts.
const PASSWORD: &str = "the password of whoever fills the registries";
const GROUP: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/seawall";
const ACR_PULL: &str = "7f951dda-4ed3-4680-a7ca-43fe172d538d";

pub(crate) struct Company {
    _provider: Option<Provider>,
    pub(crate) upstreams: [Registry; 2],
    pub(crate) seawall: Seawall,
    /// The person's: its own storage, and no login.
    pub(crate) home: Home,
    /// Two names of one address: each chooses a registry.
    pub(crate) base: String,
    pub(crate) own: String,
}

impl Company {
    pub(crate) fn start() -> Self {
        Self::with(None)
    }

    /// `ci-bot` of the provider may pull from the base registry and push to the own one.
    pub(crate) fn with(provider: Option<Provider>) -> Self {
        let upstreams = [(); 2].map(|()| Registry::start(Distribution::V2));
        let place = Place::new();
        let (own, base) = (place.login_server(), format!("localhost:{}", place.public().port()));
        let password = place.secret("admin", PASSWORD).display().to_string();
        let (identities, [may_pull, may_push]) = match &provider {
            None => (String::new(), ["", ""]),
            Some(provider) => (
                format!(
                    "identityProviders:\n  corp: {{ issuer: \"{}\", audiences: [\"{AUDIENCE}\"] }}\nidentities:\n  ci: {{ type: \
                     UserAssigned, matches: [ {{ provider: corp, claims: {{ client_id: ci-bot }} }} ] }}\n",
                    provider.issuer()
                ),
                ["{ identity: ci, role: AcrPull }", "{ identity: ci, role: AcrPush }"],
            ),
        };
        let registry = |name: &str, server: &str, upstream: &Registry, assigned: &str| {
            format!(
                "  {name}:\n    loginServer: \"{server}\"\n    upstream: {{ url: \"{}\" }}\n    adminUserEnabled: true\n    admin: \
                 {{ passwords: [ {{ name: password, file: \"{password}\" }} ] }}\n    roleAssignments: [ {assigned} ]\n",
                upstream.url()
            )
        };
        let document = place.document(&format!(
            "{identities}registries:\n{}{}",
            registry("mybaseregistry", &base, &upstreams[0], may_pull),
            registry("myregistry", &own, &upstreams[1], may_push)
        ));
        let home = Home::new();
        Self { _provider: provider, upstreams, seawall: place.start(&document), home, base, own }
    }

    pub(crate) fn base_admin() -> Account {
        Account::new("mybaseregistry", PASSWORD)
    }

    /// A `seawall` command of the person.
    pub(crate) fn seawall(&self, words: &[&str]) -> Outcome {
        let config = format!("SEAWALL_CONFIG={}", self.seawall.place().path().join("seawall.yaml").display());
        self.home.run("env", &[&[config.as_str(), env!("CARGO_BIN_EXE_seawall")], words].concat())
    }

    /// Docker's configuration from now on knows the admin accounts of these registries.
    pub(crate) fn log_in(&self, names: &[(&str, &str)]) {
        let entries = names.iter().map(|(name, server)| {
            ((*server).to_owned(), json!({ "auth": STANDARD.encode(format!("{name}:{PASSWORD}")) }))
        });
        let config = json!({ "auths": entries.collect::<serde_json::Map<_, _>>() });
        fs::write(self.home.path().join("docker/config.json"), config.to_string()).unwrap();
    }

    /// Puts an image or an index into a registry, as its admin.
    pub(crate) fn fill(&self, server: &str, layout: &Layout, repository: &str, tag: &str) {
        let name = if server == self.base { "mybaseregistry" } else { "myregistry" };
        let directory = self.home.path().join("filled");
        layout.write(&directory, "latest");
        let (source, target) =
            (format!("oci:{}:latest", directory.display()), format!("docker://{server}/{repository}:{tag}"));
        let account = format!("{name}:{PASSWORD}");
        let copy = ["copy", "--all", "--dest-tls-verify=false", "--dest-creds", &account, &source, &target];
        self.home.run("skopeo", &copy).expect_success();
        fs::remove_dir_all(directory).unwrap();
    }

    /// A call of the management API as its owner.
    pub(crate) fn arm(&self, method: &str, path: &str, body: &Value) -> Response {
        let credential = fs::read_to_string(self.seawall.place().credential_file()).unwrap();
        let authorization = format!("Bearer {}", credential.trim_end());
        let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let path = format!("{path}?api-version=2025-11-01");
        http::request(self.seawall.place().management(), method, &path, &headers, &body).unwrap()
    }

    /// S4-12: a user-assigned identity; its resource.
    pub(crate) fn identity(&self, name: &str) -> Value {
        let path = format!("{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}");
        self.arm("PUT", &path, &json!({ "properties": {} })).expect(201).json()
    }

    /// Whether there is an identity of this name.
    pub(crate) fn has_identity(&self, name: &str) -> bool {
        let path = format!("{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}");
        self.arm("GET", &path, &Value::Null).status == 200
    }

    /// S4-16: the principal may pull from a registry.
    pub(crate) fn may_pull(&self, principal: &str, registry: &str) {
        let registry = format!("{GROUP}/providers/Microsoft.ContainerRegistry/registries/{registry}");
        let role = format!("{registry}/providers/Microsoft.Authorization/roleDefinitions/{ACR_PULL}");
        let path = format!(
            "{registry}/providers/Microsoft.Authorization/roleAssignments/5e8f0d3a-3f0c-4b51-9f11-7f4d2a6b9c10"
        );
        let body = json!({ "properties": { "roleDefinitionId": role, "principalId": principal } });
        self.arm("PUT", &path, &body).expect(201);
    }
}
