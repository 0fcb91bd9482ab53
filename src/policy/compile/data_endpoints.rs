//! The data endpoints of a registry, and that every host of all registries leads to one place.

use std::collections::HashMap;
use std::sync::Arc;

use crate::policy::address::LoginServer;
use crate::policy::data_endpoint::DataEndpoint;
use crate::policy::document::{DataEndpointDocument, RegistryDocument};
use crate::policy::layers::Declared;
use crate::policy::names;
use crate::policy::origin::{At, Origin};
use crate::policy::problem::{Problem, Problems};

use super::{check_name, report};

/// The data endpoints that a file declares.
pub(super) fn compile(document: &RegistryDocument, problems: &mut Problems) -> Arc<[DataEndpoint]> {
    let written = &document.data_endpoints;
    if let Some(enabled) = document.data_endpoint_enabled.as_ref().filter(|on| on.value && written.is_empty()) {
        let what = "`dataEndpointEnabled` is true, but there are no `dataEndpoints`";
        let hint = "add `dataEndpoints: [ { region: westeurope, host: myregistry.westeurope.data.example.com } ]`";
        problems.push(Problem::new(&enabled.origin, what).hint(hint));
    }
    alike(written, problems);
    written.iter().filter_map(|one| endpoint(one, problems)).collect()
}

/// Two data endpoints in one region would be one that is never chosen.
fn alike(written: &[At<DataEndpointDocument>], problems: &mut Problems) {
    let mut seen: HashMap<String, &Origin> = HashMap::new();
    for region in written.iter().map(|one| &one.value.region) {
        if let Some(first) = seen.insert(region.to_ascii_lowercase(), &region.origin) {
            let what = format!("two data endpoints are in region `{}`", names::shortened(region));
            problems.push(Problem::new(&region.origin, what).hint(format!("the other is at {first}")));
        }
    }
}

fn endpoint(written: &At<DataEndpointDocument>, problems: &mut Problems) -> Option<DataEndpoint> {
    let DataEndpointDocument { region, host } = &written.value;
    let region = check_name(region, names::REGION, problems);
    let parsed = report(host, LoginServer::parse(host), "myregistry.westeurope.data.example.com", problems);
    Some(DataEndpoint { region: region?, host: parsed?, origin: host.origin.clone() })
}

/// A Host header must lead to one registry, and there to its login server or to one data endpoint.
pub(super) fn shared_hosts(registries: &[Arc<Declared>], problems: &mut Problems) {
    let mut seen: HashMap<Box<str>, (&'static str, &Declared, &Origin)> = HashMap::new();
    let servers = registries.iter().map(|one| ("login server", &**one, &one.login_server, &one.origin));
    let endpoints = registries.iter().flat_map(|registry| {
        registry.data_endpoints.iter().map(|one| ("data endpoint", &**registry, &one.host, &one.origin))
    });
    for (kind, registry, host, origin) in servers.chain(endpoints) {
        for header in host.host_headers() {
            if let Some((whose, first, place)) = seen.insert(header, (kind, registry, origin)) {
                let as_its = if whose == kind { String::new() } else { format!(" as its {whose}") };
                let what = format!("{kind} `{host}` already belongs to registry `{}`{as_its}", first.name);
                problems.push(Problem::new(origin, what).hint(format!("the other is at {place}")));
                break;
            }
        }
    }
}
