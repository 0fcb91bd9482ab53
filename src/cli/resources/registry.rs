//! `seawall show|list|update|show-usage`.

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::Operation;
use super::arguments::{Common, NamedRegistry, Switch};
use super::failure::Failure;
use super::session::Session;
use super::{columns, flat};
use crate::cli::format::Outcome;

/// `show`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Show {
    #[command(flatten)]
    registry: NamedRegistry,
    #[command(flatten)]
    common: Common,
}

impl Operation for Show {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let registry = session.get(&session.registry(&self.registry.name)).await?;
        Ok(Outcome::table(flat::registry(registry), columns::registries))
    }
}

/// `list`.
#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    common: Common,
}

impl Operation for List {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let registries = session.list(&session.registries()).await?;
        Ok(Outcome::table(registries.into_iter().map(flat::registry).collect(), columns::registries))
    }
}

/// `show-usage`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ShowUsage {
    #[command(flatten)]
    registry: NamedRegistry,
    #[command(flatten)]
    common: Common,
}

impl Operation for ShowUsage {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let usages = session.get(&format!("{}/listUsages", session.registry(&self.registry.name))).await?;
        Ok(Outcome::table(usages, columns::usages))
    }
}

/// `show-endpoints`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ShowEndpoints {
    #[command(flatten)]
    registry: NamedRegistry,
    #[command(flatten)]
    common: Common,
}

impl Operation for ShowEndpoints {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let name = &self.registry.name;
        let registry = flat::registry(session.get(&session.registry(name)).await?);
        if registry.get("dataEndpointEnabled") != Some(&Value::Bool(true)) {
            session.warn(&format!(
                "Blobs come from the login server. Where the file declares data endpoints, \
                 \"seawall update -n {name} --data-endpoint-enabled\" sends clients to them."
            ));
        }
        let of = |property: &str| registry.get(property).cloned().unwrap_or_default();
        let endpoints = Some(of("dataEndpoints")).filter(Value::is_array).unwrap_or_else(|| json!([]));
        let told = json!({ "dataEndpoints": endpoints, "loginServer": of("loginServer") });
        Ok(Outcome::table(told, columns::endpoints))
    }
}

/// `update`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Update {
    #[command(flatten)]
    registry: NamedRegistry,
    /// Whether the admin account may log in. Its name is the registry's.
    #[arg(long, value_enum, ignore_case = true, num_args = 0..=1, default_missing_value = "true")]
    admin_enabled: Option<Switch>,
    /// Whether clients may pull without logging in.
    #[arg(long, value_enum, ignore_case = true, num_args = 0..=1, default_missing_value = "true")]
    anonymous_pull_enabled: Option<Switch>,
    /// The repositories that clients may pull so: team/app, team/* or *. They replace those there are.
    #[arg(long, num_args = 1.., value_name = "PATTERN")]
    anonymous_pull_repository: Option<Vec<String>>,
    /// What happens to an address that no network rule matches.
    #[arg(long, value_enum, ignore_case = true)]
    default_action: Option<RuleAction>,
    /// Whether the registry can be reached without a private endpoint. `false` sets the default action to Deny, too.
    #[arg(long, value_enum, ignore_case = true, num_args = 0..=1, default_missing_value = "true")]
    public_network_enabled: Option<Switch>,
    /// Whether trusted services pass the rules for public networks.
    #[arg(long, value_enum, ignore_case = true, num_args = 0..=1, default_missing_value = "true")]
    allow_trusted_services: Option<Switch>,
    /// Whether that holds for trusted services of the kind tasks too.
    #[arg(long, value_enum, ignore_case = true, num_args = 0..=1, default_missing_value = "true")]
    allow_tasks_bypass: Option<Switch>,
    /// Whether clients are sent to the data endpoints for layers. The file has to declare them.
    #[arg(long, value_enum, ignore_case = true, num_args = 0..=1, default_missing_value = "true")]
    data_endpoint_enabled: Option<Switch>,
    /// Which public addresses are admitted at all.
    #[arg(long, value_enum, ignore_case = true)]
    endpoint_protocol: Option<Protocol>,
    /// Whether trusted services may import from the registry. `false` needs --public-network-enabled false.
    #[arg(long, value_enum, ignore_case = true, num_args = 0..=1, default_missing_value = "true")]
    allow_exports: Option<Switch>,
    /// A word that is kept for clients of ACR, and limits nothing.
    #[arg(long, value_enum, ignore_case = true)]
    sku: Option<Sku>,
    /// Labels, KEY=VALUE. They replace those there are; '' removes all.
    #[arg(long, num_args = 1.., value_name = "KEY=VALUE")]
    tags: Option<Vec<String>>,
    #[command(flatten)]
    common: Common,
}

/// What a network rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(super) enum RuleAction {
    Allow,
    Deny,
}

impl RuleAction {
    /// ARM's word.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::Deny => "Deny",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum Sku {
    Basic,
    Standard,
    Premium,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Protocol {
    #[value(name = "IPv4")]
    V4,
    #[value(name = "IPv4AndIPv6")]
    Both,
}

impl Protocol {
    /// ARM's word.
    const fn word(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::Both => "IPv4AndIPv6",
        }
    }
}

impl Update {
    /// The body of the request: only what was given.
    fn changes(&self) -> Map<String, Value> {
        let mut properties = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                properties.insert(name.to_owned(), value);
            }
        };
        let switch = |switch: Option<Switch>| switch.map(|switch| switch.is_on().into());
        let choice = |switch: Option<Switch>, on: &'static str, off: &'static str| {
            switch.map(|switch| Value::from(if switch.is_on() { on } else { off }))
        };
        set("adminUserEnabled", switch(self.admin_enabled));
        set("anonymousPullEnabled", switch(self.anonymous_pull_enabled));
        set("anonymousPullRepositories", self.anonymous_pull_repository.clone().map(Value::from));
        set("dataEndpointEnabled", switch(self.data_endpoint_enabled));
        set("endpointProtocol", self.endpoint_protocol.map(|protocol| protocol.word().into()));
        let export = choice(self.allow_exports, "enabled", "disabled");
        set("policies", export.map(|status| json!({ "exportPolicy": { "status": status } })));
        set("publicNetworkAccess", choice(self.public_network_enabled, "Enabled", "Disabled"));
        set("networkRuleBypassOptions", choice(self.allow_trusted_services, "AzureServices", "None"));
        set("networkRuleBypassAllowedForTasks", switch(self.allow_tasks_bypass));
        // As in `az`: without public access nothing is let in by default when it comes back.
        let closed = (self.public_network_enabled == Some(Switch::False)).then_some(RuleAction::Deny);
        let action = self.default_action.or(closed);
        set("networkRuleSet", action.map(|action| json!({ "defaultAction": action.word() })));
        let mut body = Map::new();
        if !properties.is_empty() {
            body.insert("properties".to_owned(), properties.into());
        }
        if let Some(sku) = self.sku {
            body.insert("sku".to_owned(), json!({ "name": format!("{sku:?}") }));
        }
        if let Some(tags) = &self.tags {
            body.insert("tags".to_owned(), tags_of(tags));
        }
        body
    }
}

pub(super) fn tags_of(written: &[String]) -> Value {
    let pairs = written.iter().filter(|tag| !tag.is_empty());
    let pairs = pairs.map(|tag| tag.split_once('=').unwrap_or((tag, "")));
    Value::Object(pairs.map(|(key, value)| (key.to_owned(), value.into())).collect())
}

impl Operation for Update {
    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, session: &Session) -> Result<Outcome, Failure> {
        let changes = self.changes();
        if changes.is_empty() {
            return Err(Failure::new("No registry properties to update."));
        }
        if self.public_network_enabled == Some(Switch::False) {
            session.warn("Disabling the public endpoint overrides all firewall configurations.");
        }
        let registry = session.patch(&session.registry(&self.registry.name), &changes.into()).await?;
        Ok(Outcome::table(flat::registry(registry), columns::registries))
    }
}
