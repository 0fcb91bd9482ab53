//! `seawall repository` and `seawall manifest` with the name and password of a token, in front of real registries (S3-61 …
//! S3-82, S4-28, B.8).

use serde_json::{Value, json};

use crate::harness::caller::Caller;
use crate::harness::client::Client;
use crate::harness::daemons::Docker;
use crate::harness::image::{Layout, MANIFEST};
use crate::harness::operator::{Said, run, seawall};
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::Seawall;
use crate::harness::session::Account;
use crate::management::support::bare;

const HELLO: &str = "samples/hello-world";
const IMAGE: &str = "--image samples/hello-world";

/// Each registry with a seawall in front of it; `v1` and `cf10` are of one image in it, `v2` of another.
fn in_front_of_each(test: impl Fn(&Contents)) {
    for distribution in Distribution::at_hand() {
        let upstream = Registry::start(distribution);
        let server = bare(&upstream);
        let contents = Contents { server, upstream };
        let pusher = contents.caller("pusher", "content/read content/write");
        let first = pusher.push_image(HELLO, "v1", "first");
        pusher.put_manifest(&format!("/v2/{HELLO}/manifests/cf10"), &first).expect(201);
        pusher.push_image(HELLO, "v2", "second");
        test(&contents);
    }
}

struct Contents {
    server: Seawall,
    upstream: Registry,
}

impl Contents {
    /// A new token with these actions on the repository.
    fn token(&self, name: &str, actions: &str) -> Account {
        let create = format!(
            "token create -n {name} -r myregistry --repository {HELLO} {actions} --query credentials.passwords[0].value -o tsv"
        );
        Account::new(name, seawall(&self.server, &create).ok().text())
    }

    fn caller(&self, name: &str, actions: &str) -> Caller {
        let authorization = Some(self.token(name, actions).basic());
        Caller { address: self.server.address(), authorization }
    }

    /// Runs `seawall`, for `account`.
    fn run(&self, words: &str, account: &Account) -> Said {
        let who = ["--username", &account.user, "--password", &account.password];
        run(&self.server, &words.split_whitespace().chain(who).collect::<Vec<_>>())
    }

    /// What the registry itself says of a tag or digest: its status, and the digest.
    fn upstream(&self, reference: &str) -> (u16, String) {
        let answer = self.upstream.manifest(HELLO, reference);
        (answer.status, answer.header("Docker-Content-Digest").unwrap_or_default().to_owned())
    }
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect()
}

/// S3-62, S3-63: by Docker's login and by ours.
#[test]
fn content_read_or_content_write_is_enough_to_log_in() {
    in_front_of_each(|contents| {
        let server = contents.server.place().login_server();
        let mut docker = Docker::new();
        for (name, action) in [("Reader", "content/read"), ("Writer", "content/write")] {
            let account = contents.token(name, action);
            docker.log_in(&server, &account).expect_success();
            docker.docker(&["logout", &server]).expect_success();
            let config = contents.server.place().path().join("seawall.yaml").display().to_string();
            let who = ["--username", &account.user, "--password", &account.password, "--config", &config];
            let ours = [&["login", "--name", "myregistry"], &who[..]].concat();
            let said = docker.home().run(env!("CARGO_BIN_EXE_seawall"), &ours).expect_success();
            assert!(said.stdout.contains("Login Succeeded"), "{said:?}");
        }
    });
}

/// S3-64, S3-80 to S3-82, S4-28.
#[test]
fn metadata_read_lists_and_shows_and_changes_nothing() {
    in_front_of_each(|contents| {
        let reader = contents.token("MyToken", "metadata/read");
        let show_tags = format!("repository show-tags --name myregistry --repository {HELLO}");
        let tags = contents.run(&show_tags, &reader).ok().json();
        assert_eq!(strings(&tags), ["cf10", "v1", "v2"]);
        assert_eq!(contents.run(&format!("{show_tags} --output tsv"), &reader).ok().stdout, "cf10\nv1\nv2\n");
        assert_eq!(contents.run(&format!("{show_tags} --top 1 -o tsv"), &reader).ok().stdout, "cf10\n");
        let newest = contents.run(&format!("{show_tags} --top 1 --orderby time_desc -o tsv"), &reader).ok();
        assert_eq!(newest.text(), "v2");
        let shown =
            contents.run(&format!("repository show --name myregistry --repository {HELLO}"), &reader).ok().json();
        assert_eq!((&shown["tagCount"], &shown["manifestCount"]), (&json!(3), &json!(2)), "{shown}");
        let (_, first) = contents.upstream("v1");
        let shown = contents.run(&format!("repository show -n myregistry {IMAGE}:v1"), &reader).ok().json();
        assert_eq!((&shown["name"], &shown["digest"]), (&json!("v1"), &json!(first)), "{shown}");

        let listed = contents.run(&format!("manifest list-metadata --registry myregistry --name {HELLO}"), &reader);
        let listed = listed.ok().json();
        let of_first = listed.as_array().unwrap().iter().find(|one| one["digest"] == *first).unwrap();
        assert_eq!(strings(&of_first["tags"]), ["cf10", "v1"], "{listed}");
        let full = format!("{}/{HELLO}@{first}", contents.server.place().login_server());
        let shown = contents.run(&format!("manifest show-metadata {full}"), &reader).ok().json();
        assert_eq!((&shown["architecture"], &shown["mediaType"]), (&json!("amd64"), &json!(MANIFEST)), "{shown}");

        for denied in [
            format!("manifest show {full}"),
            format!("repository untag -n myregistry {IMAGE}:v1"),
            format!("repository update -n myregistry {IMAGE}:v1 --write-enabled false"),
            format!("repository delete -n myregistry {IMAGE}:v1 --yes"),
            format!("repository delete -n myregistry --repository {HELLO} --yes"),
            "repository list -n myregistry".to_owned(),
        ] {
            contents.run(&denied, &reader).refused("authentication required");
        }
        assert_eq!(contents.upstream("v1"), (200, first));
        // What is not there, for whoever may look.
        let gone = contents.run(&format!("repository show -n myregistry {IMAGE}:v9"), &reader);
        assert_eq!(gone.code, Some(3), "{gone}");
    });
}

/// S3-65, E-7, B.8-2, B.8-3.
#[test]
fn metadata_write_untags_and_locks() {
    in_front_of_each(|contents| {
        let writer = contents.token("MyToken", "metadata/read metadata/write");
        let deleter = contents.token("deleter", "content/delete metadata/read");
        let (_, first) = contents.upstream("v1");
        contents.run(&format!("repository untag -n myregistry {IMAGE}:v1"), &writer).ok();
        assert_eq!(contents.upstream("v1").0, 404);
        assert_eq!(contents.upstream("cf10"), (200, first.clone()), "the manifest stays, with its other tag");

        // With nothing but metadata/write, too.
        let only = contents.token("untagger", "metadata/write");
        contents.run(&format!("repository untag -n myregistry {IMAGE}:cf10"), &only).ok();
        assert_eq!(contents.upstream("cf10").0, 404);
        assert_eq!(contents.upstream(&first).0, 200);

        let lock = format!("repository update -n myregistry {IMAGE}@{first} --write-enabled false");
        let locked = contents.run(&lock, &writer).ok().json();
        assert_eq!(locked["changeableAttributes"]["writeEnabled"], json!(false), "{locked}");
        let delete = format!("repository delete -n myregistry {IMAGE}@{first} --yes");
        contents.run(&delete, &deleter).refused("The operation is disallowed on this registry, repository or image.");
        assert_eq!(contents.upstream(&first).0, 200);
        // For a while it is not.
        let update = format!("repository update -n myregistry {IMAGE}@{first}");
        contents.run(&format!("{update} --unlock-for 30m --reason ticket-7"), &writer).ok();
        contents.run(&format!("{update} --lock-again"), &writer).ok();
        contents.run(&delete, &deleter).refused("disallowed");
        contents.run(&format!("{update} --unlock-for 30m --reason ticket-7"), &writer).ok();
        contents.run(&delete, &deleter).ok();
        assert_eq!(contents.upstream(&first).0, 404);

        // A tag that is hidden is in no list.
        contents.run(&format!("repository update -n myregistry {IMAGE}:v2 --list-enabled false"), &writer).ok();
        let tags = contents.run(&format!("repository show-tags -n myregistry --repository {HELLO}"), &writer).ok();
        assert_eq!(tags.json(), json!([]));
        contents.run(&format!("repository show -n myregistry {IMAGE}:v2"), &writer).ok();
    });
}

/// S3-61, S3-77, B.8-6: an image goes with all its tags.
#[test]
fn content_delete_deletes_an_image_with_its_tags() {
    in_front_of_each(|contents| {
        let deleter = contents.token("MyToken", "content/delete metadata/read");
        let (_, first) = contents.upstream("v1");
        let said = contents.run(&format!("repository delete --name myregistry {IMAGE}:v1 --yes"), &deleter).ok();
        let told = format!(
            "This operation will delete the manifest '{first}' and all the following images: '{HELLO}:cf10', '{HELLO}:v1'"
        );
        assert!(said.stderr.contains(&told), "{said}");
        for gone in ["v1", "cf10", &first] {
            assert_eq!(contents.upstream(gone).0, 404, "{gone}");
        }
        let tags = contents.run(&format!("repository show-tags -n myregistry --repository {HELLO}"), &deleter).ok();
        assert_eq!(tags.json(), json!(["v2"]));
        let (_, second) = contents.upstream("v2");
        let full = format!("{}/{HELLO}:v2", contents.server.place().login_server());
        contents.run(&format!("manifest delete {full}"), &deleter).refused("--yes");
        contents.run(&format!("manifest delete {full} --yes"), &deleter).ok();
        assert_eq!(contents.upstream(&second).0, 404);
    });
}

/// S3-61, S3-79: by content/delete alone, although the command asks for more (B.1-11).
#[test]
fn content_delete_deletes_a_repository() {
    in_front_of_each(|contents| {
        let deleter = contents.token("MyToken", "content/delete");
        let all = ["v1", "v2"].map(|tag| contents.upstream(tag).1);
        let delete = format!("repository delete --name myregistry --repository {HELLO}");
        contents.run(&delete, &deleter).refused("--yes");
        let answer = contents.run(&format!("{delete} --yes"), &deleter).ok().json();
        let mut expected: Vec<&str> = all.iter().map(String::as_str).collect();
        expected.sort_unstable();
        let mut manifests = strings(&answer["manifestsDeleted"]);
        manifests.sort_unstable();
        let mut tags = strings(&answer["tagsDeleted"]);
        tags.sort_unstable();
        assert_eq!((manifests, tags), (expected, vec!["cf10", "v1", "v2"]), "{answer}");
        for digest in &all {
            assert_eq!(contents.upstream(digest).0, 404);
        }
        let again = contents.run(&format!("{delete} --yes"), &deleter);
        assert_eq!(again.code, Some(3), "there is none any more: {again:?}");
    });
}

/// S3-17, S3-48: the admin account may, tokens may not, not even with `*`.
#[test]
fn the_catalogue_is_for_those_who_may_list_it() {
    in_front_of_each(|contents| {
        seawall(&contents.server, "update -n myregistry --admin-enabled true").ok();
        let shown = seawall(&contents.server, "credential show -n myregistry").ok().json();
        let admin = Account::new("myregistry", shown["passwords"][0]["value"].as_str().unwrap());
        contents.caller("other", "content/read");
        assert_eq!(contents.run("repository list -n myregistry", &admin).ok().json(), json!([HELLO]));
        let create = "token create -n everything -r myregistry --scope-map _repositories_admin --query \
                      credentials.passwords[0].value -o tsv";
        let root = Account::new("everything", seawall(&contents.server, create).ok().text());
        contents.run("repository list -n myregistry", &root).refused("tokens may not list repositories");
        let tags = contents.run(&format!("repository show-tags -n myregistry --repository {HELLO}"), &root).ok();
        assert_eq!(tags.json(), json!(["cf10", "v1", "v2"]));
    });
}

#[test]
fn what_refers_to_a_manifest_is_listed() {
    in_front_of_each(|contents| {
        let pusher = contents.caller("signer", "content/read content/write");
        let account = contents.token("MyToken", "content/read metadata/read");
        let subject = Layout::image("signed");
        let signature = Layout::artifact(subject.root(), "application/vnd.example.signature");
        let signed_signature = Layout::artifact(signature.root(), "application/vnd.example.time");
        for (layout, reference) in [
            (&subject, "signed"),
            (&signature, signature.root().digest.as_str()),
            (&signed_signature, &signed_signature.root().digest),
        ] {
            layout.blobs().for_each(|(_, blob)| drop(pusher.push_blob(HELLO, blob)));
            pusher.put_manifest(&format!("/v2/{HELLO}/manifests/{reference}"), layout.root_bytes()).expect(201);
        }
        let list = format!("manifest list-referrers -r myregistry -n {HELLO}:signed --query manifests[].digest");
        assert_eq!(contents.run(&list, &account).ok().json(), json!([signature.root().digest]));
        let recursive = contents.run(&format!("{list} --recursive"), &account).ok().json();
        assert_eq!(recursive, json!([signature.root().digest, signed_signature.root().digest]));
        let other = contents.run(&format!("{list} --artifact-type application/vnd.example.other"), &account).ok();
        assert_eq!(other.json(), json!([]));
        let raw = contents.run(&format!("manifest show -r myregistry -n {HELLO}:signed --raw"), &account).ok();
        assert_eq!(raw.stdout.as_bytes(), subject.root_bytes());
    });
}
