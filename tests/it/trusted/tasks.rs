//! S2-27 to S2-38 with seawall's own commands: a task pushes to a registry that nobody else reaches.

use std::fs;

use serde_json::Value;

use crate::identities::company::Company;

const REGISTRY: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/seawall/providers/Microsoft.ContainerRegistry/registries/myregistry";

fn run(company: &Company) -> crate::harness::client::Outcome {
    company.seawall(&["task", "run", "--name", "helloworld", "--registry", "myregistry"])
}

#[test]
fn a_task_passes_while_trusted_services_are_allowed() {
    let company = Company::start();
    let context = company.home.path().join("context");
    fs::create_dir(&context).unwrap();
    fs::write(context.join("Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n").unwrap();
    let steps =
        "version: v1.1.0\nsteps:\n- build: -t $Registry/hello-world:v1 .\n- push: [\"$Registry/hello-world:v1\"]\n";
    fs::write(context.join("task.yaml"), steps).unwrap();
    let path = context.display().to_string();
    // S2-28, S2-33.
    let create = ["task", "create", "-r", "myregistry", "-n", "helloworld", "-f", "task.yaml", "-c", &path];
    let created = company.seawall(&[&create[..], &["--assign-identity", "--auth-mode", "None"]].concat());
    let created: Value = serde_json::from_str(&created.expect_success().stdout).unwrap();
    let principal = created["identity"]["principalId"].as_str().unwrap();
    // S2-29, S2-34.
    let assign = ["role", "assignment", "create", "--assignee", principal, "--role", "AcrPush", "--scope", REGISTRY];
    company.seawall(&assign).expect_success();
    // S2-35.
    let add = ["task", "credential", "add", "-n", "helloworld", "-r", "myregistry", "--use-identity", "[system]"];
    company.seawall(&[&add[..], &["--login-server", &company.own]].concat()).expect_success();
    // S2-36: without trust nobody passes.
    company.seawall(&["update", "-n", "myregistry", "--public-network-enabled", "false"]).expect_success();
    run(&company).expect_failure("");
    // S2-30, and the instance that is trusted (S2-13).
    let instance = ["-r", "myregistry", "--service", "tasks", "--identity", "myregistry-helloworld"];
    company.seawall(&[&["trusted-service", "add"], &instance[..]].concat()).expect_success();
    let listed =
        company.seawall(&["trusted-service", "list", "-r", "myregistry", "-o", "tsv", "--query", "[].principalId"]);
    assert_eq!(listed.expect_success().stdout.trim(), principal);
    // S2-37.
    run(&company).expect_success();
    company.upstreams[1].manifest("hello-world", "v1").expect(200);
    // S2-38, S2-23, S2-24.
    company.seawall(&["update", "-n", "myregistry", "--allow-trusted-services", "false"]).expect_success();
    run(&company).expect_failure("");
    company.seawall(&["update", "-n", "myregistry", "--allow-trusted-services", "true"]).expect_success();
    run(&company).expect_success();
    company.seawall(&["update", "-n", "myregistry", "--allow-tasks-bypass", "false"]).expect_success();
    run(&company).expect_failure("");
    company.seawall(&["update", "-n", "myregistry", "--allow-tasks-bypass", "true"]).expect_success();
    company.seawall(&[&["trusted-service", "remove"], &instance[..]].concat()).expect_success();
    run(&company).expect_failure("");
    let wrong = ["trusted-service", "add", "-r", "myregistry", "--identity", "myregistry-helloworld", "--service"];
    company.seawall(&[&wrong[..], &["appService"]].concat()).expect_failure("there is no service 'appService'");
    let user_assigned = company.identity("uami");
    let name = user_assigned["name"].as_str().unwrap();
    let wrong = ["trusted-service", "add", "-r", "myregistry", "--service", "tasks", "--identity", name];
    company.seawall(&wrong).expect_failure("takes a systemAssigned identity only");
}
