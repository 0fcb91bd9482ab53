//! Tasks as they are kept and shown, and the files that say what they do.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::document::{self, Action};
use super::shelf::{Identity, Shelf, Task};
use super::words::Variables;
use crate::clock::Timestamp;

const ID: &str =
    "/subscriptions/S/resourceGroups/G/providers/Microsoft.ManagedIdentity/userAssignedIdentities/myACRTasksId";

fn identity(name: &str) -> Identity {
    Identity {
        name: name.into(),
        client_id: Some(format!("client of {name}")),
        principal_id: format!("principal of {name}"),
        tenant_id: Some("tenant".into()),
    }
}

fn task() -> Task {
    Task {
        name: "helloworldtask".into(),
        registry: "myregistry".into(),
        registry_id: "/subscriptions/S/resourceGroups/G/providers/Microsoft.ContainerRegistry/registries/myregistry"
            .into(),
        login_server: "myregistry.example.com".into(),
        resource_group: "G".into(),
        location: "local".into(),
        creation_date: Timestamp::UNIX_EPOCH,
        context: "/dev/null".into(),
        file: "helloworldtask.yaml".into(),
        contents: Some("version: v1.1.0\n".into()),
        values: BTreeMap::new(),
        arguments: BTreeMap::new(),
        timeout: 3_600,
        assigned: BTreeMap::new(),
        own: Some(identity("myregistry-helloworldtask")),
        has_system_identity: false,
        credentials: BTreeMap::new(),
    }
}

/// S4-14.
#[test]
fn a_user_assigned_identity_is_shown_to_the_letter() {
    let task = Task { assigned: BTreeMap::from([(ID.to_owned(), identity("myACRTasksId"))]), ..task() };
    let expected = json!({
        "principalId": null,
        "tenantId": null,
        "type": "UserAssigned",
        "userAssignedIdentities": { ID: { "clientId": "client of myACRTasksId", "principalId": "principal of myACRTasksId" } }
    });
    assert_eq!(task.shown()["identity"], expected);
    assert_eq!(task.identity_of("CLIENT of myACRTasksId").unwrap().name, "myACRTasksId");
    assert!(task.identity_of("[system]").is_none(), "its own identity was not asked for");
}

/// S4-19.
#[test]
fn a_system_assigned_identity_is_shown_to_the_letter() {
    let task = Task { has_system_identity: true, ..task() };
    let expected = json!({
        "principalId": "principal of myregistry-helloworldtask",
        "tenantId": "tenant",
        "type": "SystemAssigned",
        "userAssignedIdentities": null
    });
    assert_eq!(task.shown()["identity"], expected);
    assert_eq!(task.identity_of("[system]").unwrap().name, "myregistry-helloworldtask");
    assert_eq!(super::tests::task().shown()["identity"], Value::Null);
}

#[test]
fn tasks_are_kept_and_runs_are_counted() {
    let directory = TempDir::new().unwrap();
    let shelf = Shelf::at(directory.path().join("tasks"));
    assert!(shelf.list("myregistry").unwrap().is_empty());
    let mut kept = task();
    kept.credentials.insert("mybaseregistry.example.com".into(), "[system]".into());
    shelf.put(&kept).unwrap();
    assert_eq!(shelf.get("MyRegistry", "helloworldtask").unwrap().shown(), kept.shown());
    assert_eq!(shelf.list("myregistry").unwrap().len(), 1);
    let (first, second) = (shelf.next_run().unwrap(), shelf.next_run().unwrap());
    assert_eq!((first.get(..2), &first[2..], &second[2..]), (second.get(..2), "1", "2"));
    shelf.remove(&kept).unwrap();
    assert!(shelf.find("myregistry", "helloworldtask").unwrap().is_none());
}

fn read(text: &str) -> Result<Vec<document::Step>, String> {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("task.yaml");
    fs::write(&path, text).unwrap();
    let variables = Variables { registry: "r.example.com".into(), id: "cf10".into(), ..Variables::default() };
    document::read(&path, &variables).map_err(|problems| {
        let lines = problems
            .sorted()
            .into_iter()
            .map(|problem| format!("{}:{} {}", problem.origin.line, problem.origin.column, problem.what));
        lines.collect::<Vec<_>>().join("\n")
    })
}

/// S4-10.
#[test]
fn the_file_of_the_seeds() {
    let text = "version: v1.1.0\nsteps:\n# Build target image\n- build: -t $Registry/hello-world:$ID \
                https://github.com/Azure-Samples/acr-build-helloworld-node.git#main -f Dockerfile-app --build-arg \
                REGISTRY_NAME=mybaseregistry.azurecr.io\n- push: [\"$Registry/hello-world:$ID\"]\n";
    let steps = read(text).unwrap();
    let ids: Vec<&str> = steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids, ["acb_step_0", "acb_step_1"]);
    assert!(steps.iter().all(|step| step.timeout == Duration::from_mins(10)));
    assert!(matches!(&steps[0].action, Action::Build(build) if build.tags == ["r.example.com/hello-world:cf10"]));
    assert_eq!(steps[1].action, Action::Push(vec!["r.example.com/hello-world:cf10".into()]));
}

#[test]
fn what_is_not_understood_is_refused_with_its_place() {
    let table = [
        ("version: v1.1.0\nsteps:\n- build: -t a:b .\n  privileged: true\n", "4:3 unknown key \"privileged\""),
        ("version: v9\nsteps:\n- cmd: a\n", "1:10 the version is not v1.1.0"),
        ("version: v1.1.0\nsteps: []\n", "1:10 there are no steps"),
        ("version: v1.1.0\nsteps:\n- cmd: a\n  push: [b]\n", "3:3 a step has one of build, push and cmd"),
        ("version: v1.1.0\nsteps:\n- cmd: \"$Nothing\"\n", "3:8 there is no variable `$Nothing`"),
        ("version: v1.1.0\nsteps:\n- push: [\"--all\"]\n", "3:9 push is a list of images"),
        ("version: v1.1.0\nsteps:\n- cmd: a\n  timeout: 0\n", "4:12 a timeout is 1 to 86400 seconds"),
        ("version: v1.1.0\nsteps:\n- {id: x, cmd: a}\n- {id: x, cmd: b}\n", "4:3 a step before has the id \"x\" too"),
        ("version: v1.1.0\nsteps:\n- cmd: a\n  env: [A=b, HOME]\n", "4:14 env is a list of NAME=VALUE"),
        ("version: v1.1.0\nenv: [\"*\"]\nsteps:\n- cmd: a\n", "2:7 env is a list of NAME=VALUE"),
        ("version: v1.1.0\nsteps:\n- cmd: a\n  workingDirectory: ../..\n", "3:3 workingDirectory is not below"),
    ];
    for (text, expected) in table {
        let problems = read(text).unwrap_err();
        assert!(problems.starts_with(expected), "{text}\n{problems}");
    }
}
