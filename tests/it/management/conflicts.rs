//! The file and the store in one snapshot: what the file declares the API cannot change, and says where it stands.

use std::fs;

use crate::harness::http;
use crate::harness::operator::seawall;
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::session::Account;
use crate::harness::wait_until;

/// A token, a scope map and a network rule in the file; everything else is the API's.
fn start(upstream: &Registry, extra: &str) -> Seawall {
    let place = Place::new();
    let document = document(&place, upstream, extra);
    place.start(&document)
}

fn document(place: &Place, upstream: &Registry, extra: &str) -> String {
    let password = place.secret("declared", "the-password-of-the-file");
    place.document(&format!(
        "registries:
  myregistry:
    loginServer: \"{}\"
    upstream: {{url: \"{}\"}}
    networkRuleSet: {{defaultAction: Allow}}
    scopeMaps:
      declared-map: {{repositories: {{samples/app: [content/read]}}}}
    tokens:
      declared-token: {{scopeMap: declared-map, passwords: [{{name: password1, file: \"{}\"}}]}}
{extra}",
        place.login_server(),
        upstream.url(),
        password.display()
    ))
}

fn log_in(server: &Seawall, user: &str, password: &str) -> u16 {
    let basic = Account::new(user, password).basic();
    http::request(server.address(), "GET", "/v2/", &[("Authorization", &basic)], b"").unwrap().status
}

#[test]
fn what_the_file_declares_is_refused_with_its_place() {
    let upstream = Registry::start(Distribution::V2);
    let server = start(&upstream, "");
    let text = fs::read_to_string(server.place().path().join("seawall.yaml")).unwrap();
    let place_of = |words: &str| {
        let line = text.lines().position(|line| line.contains(words)).unwrap() + 1;
        format!("seawall.yaml:{line}:")
    };
    let commands = [
        ("token update -n declared-token -r myregistry --status disabled", "declared-token:"),
        ("token delete -n declared-token -r myregistry --yes", "declared-token:"),
        ("token credential generate -n declared-token -r myregistry", "declared-token:"),
        ("scope-map update -n declared-map -r myregistry --add-repository a/b content/read", "declared-map:"),
        ("scope-map delete -n declared-map -r myregistry --yes", "declared-map:"),
        ("update -n myregistry --default-action Deny", "defaultAction"),
    ];
    for (command, words) in commands {
        seawall(&server, command).refused(&place_of(words));
    }
    // What is system-defined is nobody's to change.
    seawall(&server, "scope-map delete -n _repositories_pull -r myregistry --yes").refused("_repositories_pull");
    // What the file leaves unset the API may set, beside it.
    seawall(&server, "update -n myregistry --anonymous-pull-enabled true").ok();
    seawall(&server, "token create -n another-token -r myregistry --scope-map declared-map").ok();
    let list = seawall(&server, "token list -r myregistry").ok().json();
    let names: Vec<&str> = list.as_array().unwrap().iter().map(|token| token["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["another-token", "declared-token"]);
}

/// The same token in both: the file wins, a warning says so, and taking it out of the file brings the other one back.
#[test]
fn the_file_wins_and_says_so() {
    let upstream = Registry::start(Distribution::V2);
    let mut server = start(&upstream, "");
    let made = seawall(&server, "token create -n shared-token -r myregistry --scope-map declared-map").ok().json();
    let password = made["credentials"]["passwords"][0]["value"].as_str().unwrap().to_owned();
    assert_eq!(log_in(&server, "shared-token", &password), 200);

    let file = server.place().secret("shared", "the-shared-password-of-the-file");
    let extra = format!(
        "      shared-token: {{scopeMap: declared-map, passwords: [{{name: password1, file: \"{}\"}}]}}\n",
        file.display()
    );
    let with = document(server.place(), &upstream, &extra);
    server.edit(&with);
    assert_eq!(log_in(&server, "shared-token", &password), 401);
    assert_eq!(log_in(&server, "shared-token", "the-shared-password-of-the-file"), 200);
    wait_until("the warning is in the log", || {
        let log = server.process().log();
        log.lines().any(|line| line.contains("shared-token") && line.contains("seawall.yaml:"))
    });

    let without = document(server.place(), &upstream, "");
    server.edit(&without);
    assert_eq!(log_in(&server, "shared-token", &password), 200);
}
