//! A machine of a trusted service, at an address that no rule names (S2-12, S2-33 to S2-38).

use std::fs;

use serde_json::Value;

use super::REFUSED;
use super::world::World;
use crate::harness::hosts::at_a_site;
use crate::harness::provider::{AUDIENCE, NULL_GUID, Provider};

const CLOSED: &str = "publicNetworkAccess: Disabled";
const TRUSTED: &str = "trustedServices: [ { service: tasks, identity: build } ]";
const ROLE: &str = "roleAssignments: [ { identity: build, role: AcrPull } ]";

/// S2-16, S2-17, S2-36 to S2-38: with its role, without, and with the switch off; nobody else, and nothing else.
#[test]
fn a_trusted_service_passes_with_its_role_while_trust_is_on() {
    at_a_site(|| {
        let provider = Provider::start();
        let identities = format!(
            "identityProviders:\n  corp: {{ issuer: \"{}\", audiences: [\"{AUDIENCE}\"] }}\nidentities:\n  build: {{ type: \
             SystemAssigned, matches: [ {{ provider: corp, claims: {{ client_id: ci-bot }} }} ] }}\n",
            provider.issuer()
        );
        let world = World::with(&identities, &[CLOSED, TRUSTED, ROLE]);
        let token = provider.token("ci-bot");
        let (status, refresh_token) = world.exchange(&world.cloud, &token);
        assert_eq!(status, 200);
        let credential = format!("{NULL_GUID}:{refresh_token}");
        let pull = |host| world.pull_as(host, &credential);
        pull(&world.cloud).expect_success();
        // It is the identity that passes, wherever it is; a password passes nowhere, and neither does a stranger.
        pull(&world.office).expect_success();
        for host in [&world.cloud, &world.office, &world.stranger, &world.subnet] {
            let (status, text) = world.log_in(host);
            assert_eq!((status, text.contains(host.address)), (403, true), "{text}");
        }
        assert_eq!(world.exchange(&world.cloud, &provider.token("stranger")).0, 403);
        // A private endpoint that nobody approved is no place for it either.
        let (status, text) = world.log_in(&world.vpc);
        assert_eq!(status, 403, "{text}");
        assert_eq!(world.exchange(&world.vpc, &token).0, 403);

        world.edit(&[CLOSED, TRUSTED]);
        pull(&world.cloud).expect_failure("");
        assert_eq!(world.exchange(&world.cloud, &token).0, 403);
        world.edit(&[CLOSED, TRUSTED, ROLE, "networkRuleBypassOptions: None"]);
        pull(&world.cloud).expect_failure(REFUSED);
        assert_eq!(world.exchange(&world.cloud, &token).0, 403);
        // S2-6: a virtual network ends the bypass, also for sources that the network has nothing to do with.
        let subnet = "networkRuleSet: { defaultAction: Deny, virtualNetworkRules: [ { name: build, match: { sourceNetwork: \
                      10.88.0.0/24 } } ] }";
        world.edit(&[subnet, TRUSTED, ROLE]);
        pull(&world.cloud).expect_failure(REFUSED);
        pull(&world.subnet).expect_success();
        world.edit(&[CLOSED, TRUSTED, ROLE]);
        pull(&world.cloud).expect_success();
    });
}

/// S2-33 to S2-38 by the commands that they name, on that machine.
#[test]
fn a_task_runs_on_a_machine_that_no_rule_names() {
    at_a_site(|| {
        let world = World::start(&[]);
        let command = |words: &[&str]| world.seawall(&world.cloud, words);
        let context = world.folder("context");
        fs::write(context.join("Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n").unwrap();
        let steps = "version: v1.1.0\nsteps:\n- build: -t $Registry/hello-world:v1 .\n- push: \
                     [\"$Registry/hello-world:v1\"]\n";
        fs::write(context.join("task.yaml"), steps).unwrap();
        let (path, file) = (context.display().to_string(), context.join("task.yaml").display().to_string());
        let create = ["task", "create", "-r", "myregistry", "-n", "hello", "-f", &file, "-c", &path];
        let created = command(&[&create[..], &["--assign-identity", "--auth-mode", "None"]].concat()).expect_success();
        let created: Value = serde_json::from_str(&created.stdout).unwrap();
        let principal = created["identity"]["principalId"].as_str().unwrap();
        let scope = created["id"].as_str().unwrap().split("/tasks/").next().unwrap();
        command(&["role", "assignment", "create", "--assignee", principal, "--role", "AcrPush", "--scope", scope])
            .expect_success();
        let add = ["task", "credential", "add", "-n", "hello", "-r", "myregistry", "--use-identity", "[system]"];
        command(&[&add[..], &["--login-server", &world.login_server]].concat()).expect_success();
        command(&["update", "-n", "myregistry", "--public-network-enabled", "false"]).expect_success();
        command(&[
            "trusted-service",
            "add",
            "-r",
            "myregistry",
            "--service",
            "tasks",
            "--identity",
            "myregistry-hello",
        ])
        .expect_success();
        let run = || command(&["task", "run", "--name", "hello", "--registry", "myregistry"]);
        run().expect_success();
        assert_eq!(world.manifest("hello-world", "v1"), 200);
        command(&["update", "-n", "myregistry", "--allow-trusted-services", "false"]).expect_success();
        run().expect_failure("");
        command(&["update", "-n", "myregistry", "--allow-trusted-services", "true"]).expect_success();
        run().expect_success();
    });
}
