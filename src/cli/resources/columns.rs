//! The tables of the resources: the columns of `az`, to the letter.

use serde_json::Value;

use crate::cli::format::Row;
use crate::clock::Timestamp;

/// What is left of a longer description.
const DESCRIPTION: usize = 57;

/// Of registries.
pub(super) fn registries(value: &Value) -> Vec<Row> {
    rows(value, |registry| {
        row([
            ("NAME", text(registry, "/name")),
            ("RESOURCE GROUP", text(registry, "/resourceGroup")),
            ("LOCATION", text(registry, "/location")),
            ("SKU", text(registry, "/sku/name")),
            ("LOGIN SERVER", text(registry, "/loginServer")),
            ("CREATION DATE", date(registry, "/creationDate")),
            ("ADMIN ENABLED", text(registry, "/adminUserEnabled")),
        ])
    })
}

/// Of what is used of a registry.
pub(super) fn usages(value: &Value) -> Vec<Row> {
    rows(value.get("value").unwrap_or(value), |usage| {
        row([
            ("NAME", text(usage, "/name")),
            ("LIMIT", text(usage, "/limit")),
            ("CURRENT VALUE", text(usage, "/currentValue")),
            ("UNIT", text(usage, "/unit")),
        ])
    })
}

/// Of data endpoints; of the login server where there are none.
pub(super) fn endpoints(value: &Value) -> Vec<Row> {
    if list(value, "/dataEndpoints").is_empty() {
        return vec![row([("LOGIN SERVER", text(value, "/loginServer"))])];
    }
    rows(value.get("dataEndpoints").unwrap_or(value), |one| {
        row([("REGION", text(one, "/region")), ("ENDPOINT", text(one, "/endpoint"))])
    })
}

/// Of the admin account's passwords.
pub(super) fn admin(value: &Value) -> Vec<Row> {
    rows(value, |account| {
        row([
            ("USERNAME", text(account, "/username")),
            ("PASSWORD", text(account, "/passwords/0/value")),
            ("PASSWORD2", text(account, "/passwords/1/value")),
        ])
    })
}

/// Of scope maps.
pub(super) fn scope_maps(value: &Value) -> Vec<Row> {
    rows(value, |scope_map| {
        let mut description = text(scope_map, "/description");
        if let Some((end, _)) = description.char_indices().nth(DESCRIPTION) {
            description.truncate(end);
            description.push_str("...");
        }
        row([
            ("NAME", text(scope_map, "/name")),
            ("TYPE", text(scope_map, "/scopeMapType")),
            ("CREATION DATE", date(scope_map, "/creationDate")),
            ("DESCRIPTION", description),
        ])
    })
}

/// Of tokens.
pub(super) fn tokens(value: &Value) -> Vec<Row> {
    rows(value, |token| {
        let scope_map = text(token, "/scopeMapId");
        let passwords = list(token, "/credentials/passwords");
        let expiry_of = |name: &str| {
            let password = passwords.iter().find(|password| text(password, "/name") == name);
            password.map(expiry).unwrap_or_default()
        };
        row([
            ("NAME", text(token, "/name")),
            ("SCOPE MAP", scope_map.rsplit('/').next().unwrap_or_default().to_owned()),
            ("PASSWORD1 EXPIRY", expiry_of("password1")),
            ("PASSWORD2 EXPIRY", expiry_of("password2")),
            ("STATUS", capitalized(&text(token, "/status"))),
            ("PROVISIONING STATE", text(token, "/provisioningState")),
            ("CREATION DATE", date(token, "/creationDate")),
        ])
    })
}

/// Of a token's new passwords.
pub(super) fn credentials(value: &Value) -> Vec<Row> {
    rows(value, |credentials| {
        let mut row = row([("USERNAME", text(credentials, "/username"))]);
        for password in ["/passwords", "/additionalPasswords"].into_iter().flat_map(|one| list(credentials, one)) {
            let name = text(password, "/name").to_uppercase();
            row.push((name.clone(), text(password, "/value")));
            row.push((format!("{name} EXPIRY"), expiry(password)));
        }
        row
    })
}

/// Of manifests, in the words of `az`.
pub(super) fn manifests(value: &Value) -> Vec<Row> {
    rows(value, |manifest| {
        row([
            ("MediaType", text(manifest, "/mediaType")),
            ("ArtifactType", text(manifest, "/artifactType")),
            ("SubjectDigest", text(manifest, "/subject/digest")),
        ])
    })
}

/// Of what refers to a manifest.
pub(super) fn referrers(value: &Value) -> Vec<Row> {
    rows(value.get("manifests").unwrap_or(value), |manifest| {
        row([
            ("Digest", text(manifest, "/digest")),
            ("ArtifactType", text(manifest, "/artifactType")),
            ("MediaType", text(manifest, "/mediaType")),
            ("Size", text(manifest, "/size")),
        ])
    })
}

/// Of network rules: the IP rules, then the virtual networks by what they match.
pub(super) fn network_rules(value: &Value) -> Vec<Row> {
    let of = |rule: &Value, addresses: String| {
        row([("ACTION", text(rule, "/action")), ("IP ADDRESS OR RANGE", addresses), ("NAME", text(rule, "/name"))])
    };
    let mut table = rows(value.get("ipRules").unwrap_or(value), |rule| of(rule, text(rule, "/ipAddressOrRange")));
    if let Some(networks) = value.get("virtualNetworkRules") {
        table.extend(rows(networks, |rule| of(rule, matched(rule))));
    }
    table
}

/// What `match` says, in a few words.
fn matched(value: &Value) -> String {
    let matches = value.get("match").and_then(Value::as_object);
    let words =
        matches.into_iter().flatten().map(|(key, _)| format!("{key} {}", text(value, &format!("/match/{key}"))));
    words.collect::<Vec<_>>().join(" ")
}

/// Of private endpoint connections: what `az` prints without a table of its own, and what one wants to know.
pub(super) fn endpoint_connections(value: &Value) -> Vec<Row> {
    rows(value, |connection| {
        row([
            ("NAME", text(connection, "/name")),
            ("PROVISIONING STATE", text(connection, "/provisioningState")),
            ("RESOURCE GROUP", text(connection, "/resourceGroup")),
            ("STATUS", text(connection, "/privateLinkServiceConnectionState/status")),
            ("ENDPOINT", matched(connection)),
            ("DESCRIPTION", text(connection, "/privateLinkServiceConnectionState/description")),
        ])
    })
}

/// Of trusted services.
pub(super) fn trusted_services(value: &Value) -> Vec<Row> {
    rows(value, |one| {
        row([
            ("SERVICE", text(one, "/service")),
            ("IDENTITY", text(one, "/identity")),
            ("PRINCIPAL ID", text(one, "/principalId")),
        ])
    })
}

/// Of identities.
pub(super) fn identities(value: &Value) -> Vec<Row> {
    rows(value, |identity| {
        row([
            ("NAME", text(identity, "/name")),
            ("IDENTITY TYPE", text(identity, "/identityType")),
            ("STATUS", text(identity, "/status")),
            ("PRINCIPAL ID", text(identity, "/principalId")),
            ("CLIENT ID", text(identity, "/clientId")),
        ])
    })
}

/// Of service principals.
pub(super) fn service_principals(value: &Value) -> Vec<Row> {
    rows(value, |one| {
        row([
            ("DISPLAY NAME", text(one, "/displayName")),
            ("APP ID", text(one, "/appId")),
            ("ID", text(one, "/id")),
            ("STATUS", text(one, "/status")),
            ("PASSWORD1 EXPIRY", secret_expiry(one, "password1")),
            ("PASSWORD2 EXPIRY", secret_expiry(one, "password2")),
        ])
    })
}

fn secret_expiry(service_principal: &Value, name: &str) -> String {
    let mut secrets = list(service_principal, "/passwordCredentials").iter();
    secrets.find(|secret| text(secret, "/keyId") == name).map(secret_end).unwrap_or_default()
}

fn secret_end(secret: &Value) -> String {
    let end = date(secret, "/endDateTime");
    if end.is_empty() { "Never".to_owned() } else { end }
}

/// Of the secrets of a service principal.
pub(super) fn secrets(value: &Value) -> Vec<Row> {
    rows(value, |secret| {
        row([
            ("KEY ID", text(secret, "/keyId")),
            ("START DATE", date(secret, "/startDateTime")),
            ("END DATE", secret_end(secret)),
            ("LAST USED", date(secret, "/lastUsedTime")),
        ])
    })
}

/// Of role assignments: `az`'s, to the letter, and what it has no word for.
pub(super) fn role_assignments(value: &Value) -> Vec<Row> {
    rows(value, |assignment| {
        let name = text(assignment, "/principalName");
        let principal = if name.is_empty() { text(assignment, "/principalId") } else { name };
        let scope_map = text(assignment, "/scopeMapId").rsplit('/').next().unwrap_or_default().to_owned();
        let role = text(assignment, "/roleDefinitionName");
        let role = if role.is_empty() { format!("scope map {scope_map}") } else { role };
        let repositories = list(assignment, "/repositories").iter().filter_map(Value::as_str);
        row([
            ("Principal", principal),
            ("Role", role),
            ("Scope", text(assignment, "/scope")),
            ("Repositories", repositories.collect::<Vec<_>>().join(" ")),
        ])
    })
}

/// Of roles: `az`'s, to the letter.
pub(super) fn role_definitions(value: &Value) -> Vec<Row> {
    rows(value, |role| {
        row([
            ("Name", text(role, "/roleName")),
            ("Type", text(role, "/roleType")),
            ("Description", text(role, "/description")),
        ])
    })
}

/// Of the server's keys.
pub(super) fn keys(value: &Value) -> Vec<Row> {
    rows(value, |key| {
        let mut row = row([
            ("ID", text(key, "/id")),
            ("PURPOSE", text(key, "/purpose")),
            ("ALGORITHM", text(key, "/algorithm")),
            ("STATE", text(key, "/state")),
            ("CREATION DATE", date(key, "/creationDate")),
            ("ACTIVE FROM", date(key, "/activeFrom")),
            ("RETIRES AT", date(key, "/retiresAt")),
        ]);
        // A new credential is shown once, by whatever output.
        if key.get("value").is_some() {
            row.push(("VALUE".to_owned(), text(key, "/value")));
        }
        row
    })
}

/// Of an explanation: what was considered, then the decision.
pub(super) fn explanation(value: &Value) -> Vec<Row> {
    let explanation = value.get("explanation").unwrap_or(value);
    let mut table: Vec<_> = list(explanation, "/steps")
        .iter()
        .map(|step| ["/stage", "/effect", "/rule", "/place", "/says"].map(|cell| text(step, cell)))
        .collect();
    let allowed = explanation.get("allowed").and_then(Value::as_bool);
    let (effect, reason) = match allowed {
        Some(true) => ("allows", text(explanation, "/reason")),
        Some(false) => ("denies", text(explanation, "/reason")),
        None => ("unknown", text(value, "/unexplained")),
    };
    if let Some(rule) = value.pointer("/record/rule").and_then(Value::as_str) {
        let time = date(value, "/record/time");
        table.push(["recorded".to_owned(), recorded(value), text(value, "/record/reason"), time, rule.to_owned()]);
    }
    table.push(["decision".to_owned(), effect.to_owned(), text(explanation, "/code"), String::new(), reason]);
    let names = ["STAGE", "EFFECT", "RULE", "PLACE", "SAYS"];
    table.into_iter().map(|cells| names.into_iter().map(str::to_owned).zip(cells).collect()).collect()
}

/// What the audit log calls `permit` and `deny`, in the word of the steps.
fn recorded(value: &Value) -> String {
    match text(value, "/record/decision").as_str() {
        "permit" => "allows".to_owned(),
        "deny" => "denies".to_owned(),
        other => other.to_owned(),
    }
}

/// Of the decisions that another policy changes.
pub(super) fn changes(value: &Value) -> Vec<Row> {
    rows(value.get("changes").unwrap_or(value), |change| {
        row([
            ("RECORDS", text(change, "/records")),
            ("FROM", text(change, "/from")),
            ("TO", text(change, "/to")),
            ("REGISTRY", text(change, "/registry")),
            ("PRINCIPAL", text(change, "/principal")),
            ("SOURCE", text(change, "/source")),
            ("OPERATION", text(change, "/operation")),
            ("REPOSITORY", text(change, "/repository")),
            ("PLACE", text(change, "/place")),
            ("REASON", text(change, "/reason")),
        ])
    })
}

fn rows(value: &Value, row: impl Fn(&Value) -> Row) -> Vec<Row> {
    match value {
        Value::Array(elements) => elements.iter().map(row).collect(),
        one => vec![row(one)],
    }
}

fn row<const N: usize>(cells: [(&str, String); N]) -> Row {
    cells.into_iter().map(|(name, cell)| (name.to_owned(), cell)).collect()
}

/// What is at `pointer`, as `az` writes it; empty when there is nothing.
fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(one)) => capitalized(&one.to_string()),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Null | Value::Array(_) | Value::Object(_)) | None => String::new(),
    }
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// To the second, in UTC.
fn date(value: &Value, pointer: &str) -> String {
    let written = text(value, pointer);
    match written.parse::<Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        Err(_) => written,
    }
}

fn expiry(password: &Value) -> String {
    let expiry = date(password, "/expiry");
    if expiry.is_empty() { "Never".to_owned() } else { expiry }
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
