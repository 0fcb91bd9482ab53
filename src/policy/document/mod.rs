//! What an operator writes under `registries`, `identities` and `identityProviders`: the policy as described, before it is
//! compiled.
//!
//! These types are the single source of the YAML's shape: the reader, the JSON Schema and the reference page all come
//! from them. Names are ARM's (`Microsoft.ContainerRegistry`). Texts keep their positions, so that `compile` can
//! name file, line and column of whatever it refuses.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::content_cache::ContentCacheDocument;
use super::identity::{IdentityKind, ProviderAlgorithm};
use super::limits::RateLimitsDocument;
use super::locks::LockRuleDocument;
use super::origin::At;
use super::trusted::{TrustedInstanceDocuments, TrustedServiceDocuments};

mod network;
mod redirects;

pub use network::{
    ConnectionStatus, EndpointMatchDocument, EndpointProtocol, ExportPolicyDocument, ExportStatus, IpRuleDocument,
    NetworkAction, NetworkConditionDocument, NetworkRuleBypassOptions, NetworkRuleSetDocument,
    PrivateEndpointConnectionDocument, PublicNetworkAccess, ShadowRuleSetDocument, VirtualNetworkAction,
    VirtualNetworkMatchDocument, VirtualNetworkRuleDocument,
};

pub use redirects::RedirectsDocument;

/// All that one policy is made of, wherever it was written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyDocument {
    #[serde(default)]
    pub identity_providers: IdentityProviderDocuments,
    #[serde(default)]
    pub identities: IdentityDocuments,
    #[serde(default)]
    pub role_assignments: InstallationAssignmentDocuments,
    #[serde(default)]
    pub trusted_services: TrustedServiceDocuments,
    #[serde(default)]
    pub registries: RegistryDocuments,
}

impl PolicyDocument {
    /// Its keys, which may stand in included files.
    pub const KEYS: [&'static str; 5] =
        ["identityProviders", "identities", Self::LIST, "trustedServices", "registries"];
    /// The one of them that has a list; the others have their things by name.
    pub const LIST: &'static str = "roleAssignments";
}

/// All identity providers, by name.
pub type IdentityProviderDocuments = BTreeMap<At<String>, IdentityProviderDocument>;
/// All identities, by name.
pub type IdentityDocuments = BTreeMap<At<String>, IdentityDocument>;
/// What identities may do on all registries.
pub type InstallationAssignmentDocuments = Vec<At<InstallationAssignmentDocument>>;
/// All registries, by name.
pub type RegistryDocuments = BTreeMap<At<String>, RegistryDocument>;

/// One registry: where clients find it, what stands behind it, and who may do what.
///
/// Tokens, scope maps and switches that are left out may be made and set through the API. What is written here may not.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegistryDocument {
    /// Host name, with the port that clients use unless it is 443. Chooses this registry by the Host header.
    pub login_server: At<String>,
    /// The URL that clients use, when TLS ends before seawall, such as `https://registry.example.com`.
    #[serde(default)]
    pub external_url: Option<At<String>>,
    pub upstream: UpstreamDocument,
    /// The admin account: one user, named like the registry, with full rights. Off unless set.
    #[serde(default)]
    pub admin_user_enabled: Option<At<bool>>,
    #[serde(default)]
    pub admin: Option<AdminDocument>,
    /// Lets anybody whom the network rules admit pull, from every repository or from `anonymousPullRepositories`. Off
    /// unless set.
    #[serde(default)]
    pub anonymous_pull_enabled: Option<At<bool>>,
    /// The repositories (`team/app`, `team/*` or `*`) that anybody may pull while `anonymousPullEnabled`. Default: all.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub anonymous_pull_repositories: Option<At<Vec<At<String>>>>,
    /// `Enabled` unless set.
    #[serde(default)]
    pub public_network_access: Option<At<PublicNetworkAccess>>,
    /// `IPv4AndIPv6` unless set: the listeners' addresses say which of them there are.
    #[serde(default)]
    pub endpoint_protocol: Option<At<EndpointProtocol>>,
    /// `enabled` unless set.
    #[serde(default)]
    pub export_policy: Option<ExportPolicyDocument>,
    #[serde(default)]
    pub network_rule_set: NetworkRuleSetDocument,
    /// Whether `trustedServices` may pass the rules for public networks. `AzureServices` unless set.
    #[serde(default)]
    pub network_rule_bypass_options: Option<At<NetworkRuleBypassOptions>>,
    /// Whether that holds for trusted services of the kind `tasks` too. `true` unless set.
    #[serde(default)]
    pub network_rule_bypass_allowed_for_tasks: Option<At<bool>>,
    /// The identities that are trusted as services: the rules for public networks do not count for them, and everything else
    /// does. At most 200.
    #[serde(default)]
    #[schemars(length(max = 200))]
    pub trusted_services: Option<TrustedInstanceDocuments>,
    /// Sends clients to one of `dataEndpoints` for their downloads of blobs. Off unless set.
    #[serde(default)]
    pub data_endpoint_enabled: Option<At<bool>>,
    /// Hosts from which clients fetch blobs while `dataEndpointEnabled`, one for each region. They are names of this same
    /// seawall, or of replicas of it.
    #[serde(default)]
    pub data_endpoints: Vec<At<DataEndpointDocument>>,
    /// The private endpoints that are known, at most 200. Only those with the status `Approved` are admitted, whatever the
    /// public rules say.
    #[serde(default)]
    #[schemars(length(max = 200))]
    pub private_endpoint_connections: Vec<At<PrivateEndpointConnectionDocument>>,
    /// Adds the two system-defined scope maps that ACR has had since 2024.
    #[serde(default)]
    pub newer_system_scope_maps: bool,
    /// Named sets of repository permissions, shared by tokens.
    #[serde(default)]
    pub scope_maps: BTreeMap<At<String>, ScopeMapDocument>,
    /// Named non-human identities, each with a scope map and passwords. Names have 1 to 64 letters, digits, `.`, `_`, `-`
    /// and `@`.
    #[serde(default)]
    pub tokens: BTreeMap<At<String>, TokenDocument>,
    /// What identities may do here.
    #[serde(default)]
    pub role_assignments: Vec<At<RoleAssignmentDocument>>,
    /// How many requests a minute are answered. Counted by each process for itself.
    #[serde(default)]
    pub rate_limits: RateLimitsDocument,
    /// What is kept of manifests and blobs that were read, for whoever may read them; or `off`. On unless set.
    #[serde(default)]
    pub content_cache: Option<At<ContentCacheDocument>>,
    /// What may no longer be changed, deleted, read or listed, whoever asks. The API can lock more, and unlocks none of it.
    #[serde(default)]
    pub locks: Vec<At<LockRuleDocument>>,
}

/// One host of a registry for downloads.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DataEndpointDocument {
    /// Such as `westeurope`. `region` of the process chooses among them.
    pub region: At<String>,
    /// Host name, with the port that clients use unless it is 443. No other registry or data endpoint has the same.
    pub host: At<String>,
}

/// The registry behind this one.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpstreamDocument {
    /// `http://host:port` or `https://host[:port]`, without a path.
    pub url: At<String>,
    /// A PEM file with the certificate authorities to trust for this upstream, instead of the system's.
    #[serde(default)]
    pub ca: Option<At<String>>,
    /// The name to ask for and to verify in the upstream's certificate, when it differs from the URL's host.
    #[serde(default)]
    pub server_name: Option<At<String>>,
    /// How seawall identifies itself to the upstream. Not at all, unless set.
    #[serde(default)]
    pub credential: Option<At<UpstreamCredentialDocument>>,
    #[serde(default)]
    pub timeouts: TimeoutsDocument,
    /// What is done when it redirects to its storage. They are refused, unless set.
    #[serde(default)]
    pub redirects: Option<At<RedirectsDocument>>,
}

/// How seawall identifies itself to the upstream. The client's own credential never goes there.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpstreamCredentialDocument {
    /// Default `none`.
    #[serde(rename = "type", default)]
    pub kind: Option<At<UpstreamCredentialKind>>,
    /// With `basic` and `token`: the user name, such as that of a robot account.
    #[serde(default)]
    pub username: Option<At<String>>,
    /// With `basic` and `token`: where the password is.
    #[serde(default)]
    pub password: Option<At<SecretDocument>>,
    /// With `token`: origins such as `https://auth.example.com`, besides the upstream's own, at which a token service
    /// may get the password.
    #[serde(default)]
    pub realms: Vec<At<String>>,
    /// With `minted`, required: the `service` of the upstream's configuration, which is the tokens' audience.
    #[serde(default)]
    pub service: Option<At<String>>,
    /// With `minted`: the `issuer` of the upstream's configuration. Default: `signing.issuer`.
    #[serde(default)]
    pub issuer: Option<At<String>>,
    /// With `minted`: the user name in the upstream's log. Default `seawall`.
    #[serde(default)]
    pub account: Option<At<String>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum UpstreamCredentialKind {
    /// The upstream asks for none: it must be reachable through seawall only.
    #[default]
    None,
    /// A user name and a password with every request.
    Basic,
    /// Access tokens that the upstream's token service issues, for a user name and password or for nobody.
    Token,
    /// Access tokens that seawall signs and the upstream verifies: Distribution with `auth: { token: … }`.
    Minted,
}

/// A secret that stands elsewhere: exactly one of `file` and `env`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretDocument {
    /// A file that holds it; a final line break is not part of it. Relative to this file.
    #[serde(default)]
    pub file: Option<At<String>>,
    /// An environment variable that holds it.
    #[serde(default)]
    pub env: Option<At<String>>,
}

/// Times after which a transfer that makes no progress is given up. There is no limit on a transfer's whole length.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TimeoutsDocument {
    /// To open a connection, TLS included. Default 10s.
    #[serde(default)]
    pub connect: Option<At<String>>,
    /// Without a byte from the upstream while a download runs. Default 60s.
    #[serde(default)]
    pub read: Option<At<String>>,
    /// For the upstream's answer after the last byte of an upload. Default 15m.
    #[serde(default)]
    pub upload_answer: Option<At<String>>,
    /// Without the upstream taking a byte while an upload runs. Default 60s.
    #[serde(default)]
    pub write: Option<At<String>>,
    /// How long an unused connection is kept. Default 30s: keep it below the upstream's own limit.
    #[serde(default)]
    pub idle: Option<At<String>>,
}

/// The admin account's passwords, only where this file declares them.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdminDocument {
    /// At most two, named `password` and `password2`.
    #[serde(default)]
    pub passwords: Vec<At<PasswordDocument>>,
}

/// One password: exactly one of `file`, `env` or `hash` says where it is. A clear-text password is never accepted.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PasswordDocument {
    /// `password1` or `password2` for tokens and service principals, `password` or `password2` for the admin account; any other under
    /// `additionalPasswords`.
    pub name: At<String>,
    /// A file that holds the password; a final line break is not part of it.
    #[serde(default)]
    pub file: Option<At<String>>,
    /// An environment variable that holds the password.
    #[serde(default)]
    pub env: Option<At<String>>,
    /// A hash made by `seawall hash-password`, or a bcrypt hash as htpasswd makes them.
    #[serde(default)]
    pub hash: Option<At<String>>,
    /// RFC 3339; the password is refused from then on. Never, unless set.
    #[serde(default)]
    pub expiry: Option<At<String>>,
}

/// A named set of repository permissions.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScopeMapDocument {
    /// At most 256 characters.
    #[serde(default)]
    pub description: Option<At<String>>,
    /// Repository (`team/app`, `team/*` or `*`) to actions (`content/read`, `content/write`, `content/delete`,
    /// `metadata/read`, `metadata/write`). Wildcards add up.
    #[serde(default)]
    pub repositories: BTreeMap<At<String>, Vec<At<String>>>,
    /// From where it counts. Default: from wherever the network rules admit.
    #[serde(default)]
    pub networks: Option<NetworkConditionDocument>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenStatus {
    #[default]
    Enabled,
    /// Neither its passwords nor what they obtained are accepted.
    Disabled,
}

/// A named non-human identity.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenDocument {
    /// The name of one of `scopeMaps`, or of a system-defined one such as `_repositories_pull`.
    pub scope_map: At<String>,
    /// Further scope maps, whose permissions add up.
    #[serde(default)]
    pub additional_scope_maps: Vec<At<String>>,
    #[serde(default)]
    pub status: TokenStatus,
    /// At most two, named `password1` and `password2`.
    #[serde(default)]
    pub passwords: Vec<At<PasswordDocument>>,
    /// Any number, with names of their own: 1 to 50 letters, digits, `.`, `_` and `-`.
    #[serde(default)]
    pub additional_passwords: Vec<At<PasswordDocument>>,
    /// From where it counts. Default: from wherever the network rules admit.
    #[serde(default)]
    pub networks: Option<NetworkConditionDocument>,
}

/// An `OpenID` Connect provider, a Kubernetes cluster, or whatever else signs JWTs about its subjects.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdentityProviderDocument {
    /// The `iss` claim of its tokens, to the letter: an `https://` URL.
    pub issuer: At<String>,
    /// A token is accepted when its `aud` claim has one of these.
    #[schemars(length(min = 1))]
    pub audiences: At<Vec<At<String>>>,
    /// How it may sign. Default: `RS256` and `ES256`.
    #[serde(default)]
    pub algorithms: Option<At<Vec<At<ProviderAlgorithm>>>>,
    /// Where its keys are. Default: where `/.well-known/openid-configuration` below the issuer says.
    #[serde(default)]
    pub jwks: Option<At<JwksDocument>>,
    /// A PEM file with the certificate authorities to trust for it, instead of the system's.
    #[serde(default)]
    pub ca: Option<At<String>>,
    /// By how much its clock may differ. Default 60s, at most 5m.
    #[serde(default)]
    pub clock_skew: Option<At<String>>,
    /// The claim that names the subject. Default `sub`.
    #[serde(default)]
    pub subject_claim: Option<At<String>>,
    /// The claim that names the subject in the audit log, such as `email`. Default: the subject itself.
    #[serde(default)]
    pub name_claim: Option<At<String>>,
    /// How people sign in there with `seawall login`. Without, only machines have its tokens.
    #[serde(default)]
    pub sign_in: Option<At<SignInDocument>>,
    /// What this provider is asked for when it verifies the secret of a service principal whose `verifiedBy` names it.
    /// Default: `audience` and `resource` of `signIn`, and no scope.
    #[serde(default)]
    pub client_credentials: Option<ClientCredentialsDocument>,
}

/// A request for an access token that is good here (RFC 6749, section 4.4).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientCredentialsDocument {
    /// Default: none.
    #[serde(default)]
    pub scopes: Vec<At<String>>,
    /// Sent as `audience`, for providers that want it.
    #[serde(default)]
    pub audience: Option<At<String>>,
    /// Sent as `resource` (RFC 8707), for providers that choose the audience by it.
    #[serde(default)]
    pub resource: Option<At<String>>,
}

/// What `seawall login` is told. There is no secret in it: everybody whom the network rules admit may read it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignInDocument {
    /// The id of a public client of the provider, for which device authorization (RFC 8628) is on.
    pub client_id: At<String>,
    /// What is asked for. Default: `openid` and `offline_access`, which lets a login be renewed without a question.
    #[serde(default)]
    pub scopes: Option<At<Vec<At<String>>>>,
    /// Sent as `audience`, for providers that want it.
    #[serde(default)]
    pub audience: Option<At<String>>,
    /// Sent as `resource` (RFC 8707), for providers that choose the audience by it.
    #[serde(default)]
    pub resource: Option<At<String>>,
}

/// A JWK set: exactly one of `url` and `file`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JwksDocument {
    /// An `https://` URL.
    #[serde(default)]
    pub url: Option<At<String>>,
    /// Relative to this file.
    #[serde(default)]
    pub file: Option<At<String>>,
}

/// Somebody to whom roles are assigned.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdentityDocument {
    #[serde(rename = "type")]
    pub kind: At<IdentityKind>,
    /// A GUID. A service principal's user name, and required for it.
    #[serde(default)]
    pub client_id: Option<At<String>>,
    /// A GUID; ARM's id.
    #[serde(default)]
    pub principal_id: Option<At<String>>,
    /// A GUID; for your own information.
    #[serde(default)]
    pub tenant_id: Option<At<String>>,
    /// Whom a provider describes so is this identity. One rule is enough.
    #[serde(default)]
    pub matches: Vec<ClaimRuleDocument>,
    #[serde(default)]
    pub status: TokenStatus,
    /// A service principal's secrets: at most two, named `password1` and `password2`.
    #[serde(default)]
    pub secrets: Vec<At<PasswordDocument>>,
    /// One of `identityProviders`, at which a service principal's secret is verified, in place of `secrets`. A rule of
    /// `matches` has to say what that provider's token says of it.
    #[serde(default)]
    pub verified_by: Option<At<String>>,
    /// From where it counts. Default: from wherever the network rules admit.
    #[serde(default)]
    pub networks: Option<NetworkConditionDocument>,
}

/// What a provider must say.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimRuleDocument {
    /// One of `identityProviders`.
    pub provider: At<String>,
    /// Claim (`sub`, or a JSON pointer such as `/kubernetes.io/namespace`) to its text, in which `*` stands for any run of
    /// characters. All of them must hold; of a claim that is a list, one element.
    #[schemars(extend("minProperties" = 1))]
    pub claims: At<BTreeMap<At<String>, At<String>>>,
}

/// What an identity may do on a registry: exactly one of `role` and `scopeMap`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleAssignmentDocument {
    /// One of `identities`.
    pub identity: At<String>,
    /// A role of ACR, such as `AcrPull`, `AcrPush`, `AcrDelete`, `Reader`, `Contributor` or `Owner`.
    #[serde(default)]
    pub role: Option<At<String>>,
    /// One of `scopeMaps`, or a system-defined one.
    #[serde(default)]
    pub scope_map: Option<At<String>>,
    /// The condition: only these repositories (`team/app`, `team/*` or `*`), and not the catalogue. Default: all.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub repositories: Option<At<Vec<At<String>>>>,
    /// From where it counts. Default: from wherever the network rules admit.
    #[serde(default)]
    pub networks: Option<NetworkConditionDocument>,
}

/// What an identity may do on every registry, those that come later too. `Owner`, `Contributor` and `Reader` are so of the
/// whole installation.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InstallationAssignmentDocument {
    /// One of `identities`.
    pub identity: At<String>,
    /// A role of ACR, such as `AcrPull`, `AcrPush`, `AcrDelete`, `Reader`, `Contributor` or `Owner`.
    pub role: At<String>,
    /// The condition: only these repositories (`team/app`, `team/*` or `*`), and not the catalogue. Default: all.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub repositories: Option<At<Vec<At<String>>>>,
    /// From where it counts. Default: from wherever the network rules admit.
    #[serde(default)]
    pub networks: Option<NetworkConditionDocument>,
}
