//! S4 with seawall's own commands: a task of one registry builds on a base image of another, with buildah.

use std::fs;

use serde_json::{Value, json};

use super::company::Company;
use crate::harness::client::Outcome;
use crate::harness::image::{Layout, digest};

/// S4-10, with a context of this machine.
const STEPS: &str = "version: v1.1.0\nsteps:\n- build: -t $Registry/hello-world:$ID REPOSITORY#main -f Dockerfile-app \
                     --build-arg REGISTRY_NAME=BASE\n- push: [\"$Registry/hello-world:$ID\"]\n";
const DOCKERFILE: &str = "ARG REGISTRY_NAME\nFROM ${REGISTRY_NAME}/baseimages/node:15-alpine\nCOPY app /\n";

/// A company with a base image, the repository of an application, and the file of a task.
fn prepared() -> (Company, Layout) {
    let company = Company::start();
    let base = Layout::image("base");
    company.fill(&company.base, &base, "baseimages/node", "15-alpine");
    let repository = company.home.path().join("app.git");
    fs::create_dir(&repository).unwrap();
    fs::write(repository.join("Dockerfile-app"), DOCKERFILE).unwrap();
    fs::write(repository.join("app"), "hello").unwrap();
    let path = repository.display().to_string();
    let author = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
    company.home.run("git", &["init", "--quiet", "--initial-branch=main", &path]).expect_success();
    company.home.run("git", &["-C", &path, "add", "."]).expect_success();
    let commit = [&author[..], &["-C", &path, "commit", "--quiet", "-m", "app"]].concat();
    company.home.run("git", &commit).expect_success();
    write_steps(&company, STEPS);
    (company, base)
}

fn write_steps(company: &Company, steps: &str) {
    let repository = company.home.path().join("app.git");
    let steps = steps.replace("REPOSITORY", &repository.display().to_string()).replace("BASE", &company.base);
    fs::write(company.home.path().join("helloworldtask.yaml"), steps).unwrap();
}

/// S4-13, S4-18.
fn create(company: &Company, identity: &[&str]) -> Value {
    let start = ["task", "create", "--registry", "myregistry", "--name", "helloworldtask", "--context", "/dev/null"];
    let words = [&start[..], &["--file", "helloworldtask.yaml", "--assign-identity"], identity].concat();
    let created = company.seawall(&words).expect_success();
    serde_json::from_str(&created.stdout).unwrap()
}

/// S4-22, S4-23.
fn add_credential(company: &Company, identity: &str) -> Outcome {
    let start = ["task", "credential", "add", "--name", "helloworldtask", "--registry", "myregistry"];
    company.seawall(&[&start[..], &["--login-server", &company.base, "--use-identity", identity]].concat())
}

/// S4-24.
fn run(company: &Company) -> Outcome {
    company.seawall(&["task", "run", "--name", "helloworldtask", "--registry", "myregistry"])
}

/// The lines that these words are in follow one another.
fn expect_in_order(log: &str, words: &[&str]) {
    let mut rest = log;
    for word in words {
        let at = rest.find(word).unwrap_or_else(|| panic!("no `{word}` after what comes before it in:\n{log}"));
        rest = &rest[at + word.len()..];
    }
}

/// S4-25, S4-26.
fn expect_log(company: &Company, base: &Layout, log: &str) {
    let id = log.lines().next().unwrap().strip_prefix("Queued a run with ID: ").unwrap().to_owned();
    let tag = format!("{}/hello-world:{id}", company.own);
    let pushed = company.upstreams[1].manifest("hello-world", &id).expect(200);
    let (own, base_server) = (&company.own, &company.base);
    let expected = [
        "Waiting for an agent...".to_owned(),
        "as the home volume".to_owned(),
        "Setting up Docker configuration...".to_owned(),
        format!("Logging in to registry: {own}"),
        format!("Successfully logged into {own}"),
        format!("Logging in to registry: {base_server}"),
        format!("Successfully logged into {base_server}"),
        "Executing step ID: acb_step_0. Timeout(sec): 600, Working directory: ''".to_owned(),
        "Scanning for dependencies...".to_owned(),
        "Successfully scanned dependencies".to_owned(),
        format!("FROM {base_server}/baseimages/node:15-alpine"),
        format!("Successfully tagged {tag}"),
        "Executing step ID: acb_step_1".to_owned(),
        format!("Pushing image: {tag}, attempt 1"),
        format!("Successfully pushed image: {tag}"),
        "Step ID: acb_step_0 marked as successful (elapsed time in seconds: ".to_owned(),
        "Step ID: acb_step_1 marked as successful (elapsed time in seconds: ".to_owned(),
        "The following dependencies were found:".to_owned(),
        format!("registry: {own}\n    repository: hello-world\n    tag: {id}\n    digest: {}", digest(&pushed.body)),
        format!(
            "runtime-dependency:\n    registry: {base_server}\n    repository: baseimages/node\n    tag: 15-alpine\n    digest: {}",
            base.root().digest
        ),
        "git:\n    git-head-revision: ".to_owned(),
        format!("Run ID: {id} was successful after "),
    ];
    expect_in_order(log, &expected.iter().map(String::as_str).collect::<Vec<_>>());
}

/// S4-17: nothing of the run is left, and the task may push to its own registry only.
fn expect_no_push_to_the_base_registry(company: &Company) {
    let steps = STEPS.replace("$Registry", "BASE");
    write_steps(company, &steps);
    let start = ["task", "create", "-r", "myregistry", "-n", "other", "-c", "/dev/null", "-f", "helloworldtask.yaml"];
    company.seawall(&[&start[..], &["--assign-identity"]].concat()).expect_success();
    let shown = company.seawall(&[
        "task",
        "show",
        "-r",
        "myregistry",
        "-n",
        "other",
        "--query",
        "identity.principalId",
        "-o",
        "tsv",
    ]);
    let principal = shown.expect_success().stdout.trim().to_owned();
    let role = "8b9c6d1e-0000-4000-8000-000000000001";
    let registry = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/seawall/providers/Microsoft.ContainerRegistry/registries/mybaseregistry";
    let body = json!({ "properties": {
        "roleDefinitionId": format!("{registry}/providers/Microsoft.Authorization/roleDefinitions/7f951dda-4ed3-4680-a7ca-43fe172d538d"),
        "principalId": principal
    } });
    company
        .arm("PUT", &format!("{registry}/providers/Microsoft.Authorization/roleAssignments/{role}"), &body)
        .expect(201);
    let add = ["task", "credential", "add", "-n", "other", "-r", "myregistry", "--use-identity", "[system]"];
    company.seawall(&[&add[..], &["--login-server", &company.base]].concat()).expect_success();
    let refused = company.seawall(&["task", "run", "-n", "other", "-r", "myregistry"]);
    let refused = refused.expect_failure("step acb_step_1 failed");
    expect_in_order(&refused.stdout, &["Step ID: acb_step_1 marked as failed", "failed after "]);
    assert_eq!(company.upstreams[0].manifest("hello-world", "latest").status, 404);
}

/// S4-1 to S4-27 with `--assign-identity $resourceID`.
#[test]
fn a_user_assigned_identity_builds_across_registries() {
    let (company, base) = prepared();
    let identity = company.identity("myACRTasksId");
    let text = |pointer: &str| identity.pointer(pointer).unwrap().as_str().unwrap();
    let (id, principal, client) = (text("/id"), text("/properties/principalId"), text("/properties/clientId"));
    let task = create(&company, &[id]);
    let expected = json!({
        "principalId": null, "tenantId": null, "type": "UserAssigned",
        "userAssignedIdentities": { id: { "clientId": client, "principalId": principal } }
    });
    assert_eq!(task["identity"], expected, "S4-14");
    add_credential(&company, "[system]").expect_failure("has no identity [system]");
    add_credential(&company, client).expect_success();
    // S4-27: without a role there is no login, and no step.
    let refused = run(&company).expect_failure("has no login at");
    assert!(!refused.stdout.contains("Executing step"), "{refused}");
    company.may_pull(principal, "mybaseregistry");
    let log = run(&company).expect_success();
    expect_log(&company, &base, &log.stdout);
    let left = fs::read_dir(company.home.path().join("tmp")).unwrap().flatten();
    let left: Vec<_> = left.filter(|one| one.file_name().to_string_lossy().starts_with("seawall")).collect();
    assert!(left.is_empty(), "{left:?}");
    company.seawall(&["task", "delete", "-r", "myregistry", "-n", "helloworldtask", "--yes"]).expect_success();
    assert!(company.has_identity("myACRTasksId"), "it is independent of the task");
    assert!(!company.has_identity("myregistry-helloworldtask"), "it goes with the task");
}

/// S4-18 to S4-23.
#[test]
fn a_system_assigned_identity_builds_across_registries() {
    let (company, base) = prepared();
    let task = create(&company, &[]);
    let principal = task["identity"]["principalId"].as_str().unwrap();
    assert_eq!(
        (&task["identity"]["type"], &task["identity"]["userAssignedIdentities"]),
        (&json!("SystemAssigned"), &Value::Null)
    );
    let words = ["task", "show", "--name", "helloworldtask", "--registry", "myregistry"];
    let shown = company.seawall(&[&words[..], &["--query", "identity.principalId", "--output", "tsv"]].concat());
    assert_eq!(shown.expect_success().stdout.trim(), principal, "S4-19");
    add_credential(&company, "[system]").expect_success();
    company.may_pull(principal, "mybaseregistry");
    let log = run(&company).expect_success();
    expect_log(&company, &base, &log.stdout);
    expect_no_push_to_the_base_registry(&company);
}

/// A command runs what its image says, in the files of the task; a step that fails ends the run, unless that is wanted.
#[test]
fn commands_run_in_containers_and_a_failed_step_is_named() {
    let company = Company::start();
    let context = company.home.path().join("context");
    fs::create_dir(&context).unwrap();
    fs::copy("/bin/busybox", context.join("busybox")).unwrap();
    let file = "FROM scratch\nCOPY busybox /bin/sh\nENTRYPOINT [\"/bin/sh\", \"-c\"]\nCMD [\"echo usual\"]\n";
    fs::write(context.join("Dockerfile"), file).unwrap();
    let steps = "version: v1.1.0\nsteps:\n- build: -t $Registry/tool:$ID .\n- cmd: $Registry/tool:$ID\n- cmd: $Registry/tool:$ID \
                 'echo {{.Values.word}} $$NAME > said'\n  env: [NAME=me]\n- {id: may-fail, cmd: \"$Registry/tool:$ID 'exit 3'\", \
                 ignoreErrors: true}\n- {id: slow, timeout: 2, cmd: \"$Registry/tool:$ID 'while :; do :; done'\"}\n- push: [never:v1]\n";
    fs::write(context.join("task.yaml"), steps).unwrap();
    let path = context.display().to_string();
    let words =
        ["task", "create", "-r", "myregistry", "-n", "tool", "-f", "task.yaml", "--set", "word=hello", "-c", &path];
    company.seawall(&words).expect_success();
    let run =
        ["BUILDAH_ISOLATION=chroot", env!("CARGO_BIN_EXE_seawall"), "task", "run", "-r", "myregistry", "-n", "tool"];
    let config = format!("SEAWALL_CONFIG={}", company.seawall.place().path().join("seawall.yaml").display());
    let outcome = company.home.run("env", &[&[config.as_str()], &run[..]].concat());
    let outcome = outcome.expect_failure("step slow failed: it took longer than 2 s");
    let log =
        ["usual\n", "Step ID: may-fail failed, which is ignored", "Step ID: slow marked as failed", "failed after "];
    expect_in_order(&outcome.stdout, &log);
    assert!(!outcome.stdout.contains("Pushing image"), "{outcome}");
    assert_eq!(fs::read_to_string(context.join("said")).unwrap(), "hello me\n");
}

#[test]
fn mistakes_are_found_before_the_first_step() {
    let company = Company::start();
    let file = company.home.path().join("helloworldtask.yaml");
    fs::write(&file, "version: v1.1.0\nsteps:\n- build: -t $Registry/a:$ID .\n  privileged: true\n").unwrap();
    let words = ["task", "create", "-r", "myregistry", "-n", "wrong", "-c", "/dev/null", "-f", "helloworldtask.yaml"];
    company.seawall(&words).expect_failure("helloworldtask.yaml:4:3: unknown key");
    assert!(!company.has_identity("myregistry-wrong"));
    fs::write(&file, "version: v1.1.0\nsteps:\n- build: -t $Registry/a:{{.Values.tag}} .\n").unwrap();
    company.seawall(&words).expect_success();
    let run = ["task", "run", "-r", "myregistry", "-n", "wrong"];
    company.seawall(&run).expect_failure("tag has no value: give it with --set tag=VALUE");
    company.seawall(&[&run[..], &["--set", "tag=v1"]].concat()).expect_failure("is not there");
    company.seawall(&["task", "run", "-r", "myregistry", "-n", "nothing"]).expect_failure("there is no task 'nothing'");
}
