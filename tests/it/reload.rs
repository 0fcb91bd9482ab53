//! Changes while serving: every way a file can change, mistakes that change nothing, and requests that never see half a
//! policy (threat class S).

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::harness::http::{self, Response};
use crate::harness::nearby::{PASSWORD, registry, with_listeners, worker};
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::session::{Account, Session};
use crate::harness::sources::ask;
use crate::harness::wait_until;

const FAILED: &str = "seawall_policy_reloads_total{result=\"failed\"}";

/// The part below `registries:`; with a default action of Deny nobody is admitted.
fn registries(place: &Place, upstream: &Registry, default_action: &str) -> String {
    let rules = format!("networkRuleSet: {{ defaultAction: {default_action} }}");
    registry(place, "myregistry", &place.login_server(), &format!("url: \"{}\"", upstream.url()), &[&rules])
}

fn document(place: &Place, upstream: &Registry, default_action: &str) -> String {
    place.document(&format!("registries:\n{}", registries(place, upstream, default_action)))
}

fn start(upstream: &Registry) -> Seawall {
    let place = Place::new();
    let document = document(&place, upstream, "Allow");
    place.start(&document)
}

fn log_in(seawall: &Seawall, account: &Account) -> Response {
    http::request(seawall.address(), "GET", "/v2/", &[("Authorization", &account.basic())], b"").unwrap()
}

fn wait_for_status(seawall: &Seawall, what: &str, status: u16) {
    wait_until(what, || log_in(seawall, &worker()).status == status);
}

#[test]
fn a_file_written_in_place_or_renamed_over_or_signalled_is_applied() {
    let upstream = Registry::start(Distribution::V2);
    let seawall = start(&upstream);
    let path = seawall.place().path().join("seawall.yaml");
    for round in 0..2 {
        fs::write(&path, document(seawall.place(), &upstream, "Deny")).unwrap();
        wait_for_status(&seawall, "a file written in place is applied", 403);
        let draft = seawall.place().path().join(format!("draft-{round}"));
        fs::write(&draft, document(seawall.place(), &upstream, "Allow")).unwrap();
        fs::rename(draft, &path).unwrap();
        wait_for_status(&seawall, "a file renamed over the old one is applied", 200);
    }
}

#[test]
fn sighup_reloads_even_what_did_not_change() {
    let upstream = Registry::start(Distribution::V2);
    let mut seawall = start(&upstream);
    let before = seawall.metric("seawall_policy_version");
    seawall.process().signal("HUP");
    wait_until("the policy was read anew", || seawall.metric("seawall_policy_version") > before);
    assert!(seawall.metric("seawall_policy_reloads_total{result=\"ok\"}") >= 2.0);
    assert_eq!(log_in(&seawall, &worker()).status, 200);
}

/// What Kubernetes does: the file is a link into `..data`, which is itself a link that is swapped.
#[test]
fn a_config_map_swap_is_applied() {
    let upstream = Registry::start(Distribution::V2);
    let place = Place::new();
    let mount = place.path().join("mount");
    let fill = |place: &Place, version: &str, action: &str| {
        fs::create_dir_all(place.path().join("mount").join(version)).unwrap();
        let file = place.path().join("mount").join(version).join("seawall.yaml");
        fs::write(file, document(place, &upstream, action)).unwrap();
    };
    fs::create_dir_all(place.path().join("keys")).unwrap();
    fill(&place, "..1", "Allow");
    symlink("..1", mount.join("..data")).unwrap();
    symlink("..data/seawall.yaml", mount.join("seawall.yaml")).unwrap();
    let seawall = place.start_with("mount/seawall.yaml");
    assert_eq!(log_in(&seawall, &worker()).status, 200);
    for (version, action, status) in [("..2", "Deny", 403), ("..3", "Allow", 200)] {
        fill(seawall.place(), version, action);
        symlink(version, mount.join("..data_tmp")).unwrap();
        let old = fs::read_link(mount.join("..data")).unwrap();
        fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
        fs::remove_dir_all(mount.join(old)).unwrap();
        wait_for_status(&seawall, "the swapped link is followed", status);
    }
}

/// Threat class S: whatever is wrong, the policy in force stays as it is, and the log says where to look.
#[test]
fn a_broken_file_never_changes_the_policy_and_says_where_it_is_broken() {
    let upstream = Registry::start(Distribution::V2);
    let mut seawall = start(&upstream);
    let good = document(seawall.place(), &upstream, "Allow");
    let path = seawall.place().path().join("seawall.yaml");
    let version = seawall.metric("seawall_policy_version");
    let line = |of: &str| good.lines().position(|line| line.contains(of)).unwrap() + 1;
    let secret = seawall.place().path().join("worker.secret").display().to_string();
    let cases: [(String, String); 8] = [
        // Rules that are silently ignored would open the registry: each is a mistake in one place only.
        (
            good.replace("defaultAction: Allow", "defaultAction: Deni"),
            format!("seawall.yaml:{}:", line("defaultAction")),
        ),
        (good.replace("networkRuleSet", "networkRuleset"), format!("seawall.yaml:{}:", line("networkRuleSet"))),
        (good.replace(&secret, "/nowhere/at/all"), format!("seawall.yaml:{}:", line("password1"))),
        (good.replace("{ defaultAction: Allow }", "{ ipRules: [ { value: 10.0.0.300 } ] }"), "10.0.0.300".to_owned()),
        (good.replace("scopeMap: everything", "scopeMap: nothing"), "nothing".to_owned()),
        (good.replace("version: 1\n", "version: 1\n\tx: {\n"), "seawall.yaml:1:10: not YAML".to_owned()),
        (String::new(), "seawall.yaml".to_owned()),
        (good[..good.len() - 60].to_owned(), "seawall.yaml:".to_owned()),
    ];
    for (broken, told) in cases {
        let (failed, logged) = (seawall.metric(FAILED), seawall.process().log().len());
        fs::write(&path, &broken).unwrap();
        wait_until("the mistake is counted", || seawall.metric(FAILED) > failed);
        wait_until("the mistake is told", || seawall.process().log()[logged..].contains(&told));
        assert!(seawall.process().log()[logged..].contains("the policy was not reloaded"), "{told}");
        assert!((seawall.metric("seawall_policy_version") - version).abs() < f64::EPSILON, "{broken}");
        assert_eq!(log_in(&seawall, &worker()).status, 200, "{broken}");
    }
    let failed = seawall.metric(FAILED);
    fs::remove_file(&path).unwrap();
    wait_until("a missing file is counted", || seawall.metric(FAILED) > failed);
    assert_eq!(log_in(&seawall, &worker()).status, 200);

    fs::write(&path, document(seawall.place(), &upstream, "Deny")).unwrap();
    wait_for_status(&seawall, "the mended file is applied", 403);
    seawall.process().expect_running();
}

/// A new secret needs no edit of the YAML; what the old one obtained ends with it (design, tokens and credentials).
#[test]
fn a_rotated_secret_file_replaces_the_password_and_ends_what_the_old_one_obtained() {
    let upstream = Registry::start(Distribution::V2);
    let seawall = start(&upstream);
    let session = Session::new(seawall.address(), worker());
    let access_token = session.access_token(&["repository:team/app:pull,push"]);
    let start_upload = || session.bearer(&access_token, "POST", "/v2/team/app/blobs/uploads/").status;
    assert_eq!(start_upload(), 202);

    seawall.place().secret("worker", "a-rotated-password");
    wait_for_status(&seawall, "the old password is refused", 401);
    assert_eq!(log_in(&seawall, &Account::new("worker", "a-rotated-password")).status, 200);
    assert_eq!(start_upload(), 401);

    seawall.place().secret("worker", PASSWORD);
    wait_for_status(&seawall, "the first password is back", 200);
}

#[test]
fn an_included_file_and_a_new_file_of_an_included_directory_are_applied() {
    let upstream = Registry::start(Distribution::V2);
    let place = Place::new();
    let parts = place.path().join("registries");
    fs::create_dir_all(&parts).unwrap();
    let part = |place: &Place, action: &str| format!("registries:\n{}", registries(place, &upstream, action));
    fs::write(parts.join("one.yaml"), part(&place, "Allow")).unwrap();
    let root = place.document("include: [registries/]\n");
    let seawall = place.start(&root);
    assert_eq!(log_in(&seawall, &worker()).status, 200);
    fs::write(parts.join("one.yaml"), part(seawall.place(), "Deny")).unwrap();
    wait_for_status(&seawall, "the included file is applied", 403);

    let url = format!("url: \"{}\"", upstream.url());
    let second = registry(seawall.place(), "second", "second.test", &url, &[]);
    fs::write(parts.join("two.yaml"), format!("registries:\n{second}")).unwrap();
    let status = || {
        let headers = [("Host", "second.test"), ("Authorization", &worker().basic())];
        ask("127.0.0.1", seawall.address(), "GET", "/v2/", &headers, b"").unwrap().status
    };
    wait_until("the new file is applied", || status() == 200);
    fs::remove_file(parts.join("two.yaml")).unwrap();
    wait_until("the removed file is applied", || status() == 421);
}

#[test]
fn a_change_of_the_process_part_is_reported_while_the_policy_is_applied() {
    let upstream = Registry::start(Distribution::V2);
    let mut seawall = start(&upstream);
    let other = "{name: other, address: \"127.0.0.1:1\"}";
    seawall.edit(&with_listeners(&document(seawall.place(), &upstream, "Deny"), other));
    wait_for_status(&seawall, "the policy of the same file is applied", 403);
    let log = seawall.process().log();
    assert!(log.contains("the process configuration changed: restart to apply it"), "{log}");

    // A comment or another order is no change.
    let told = log.matches("restart to apply it").count();
    seawall.edit(&format!("# a remark\n\n{}", document(seawall.place(), &upstream, "Allow")));
    assert_eq!(seawall.process().log().matches("restart to apply it").count(), told);
}

#[test]
fn a_broken_file_at_start_refuses_to_start_and_names_every_problem() {
    let upstream = Registry::start(Distribution::V2);
    let place = Place::new();
    let good = document(&place, &upstream, "Allow");
    let broken =
        good.replace("defaultAction: Allow", "defaultAction: Maybe").replace("scopeMap: everything", "scopeMap: no");
    let (code, said) = place.start_in_vain(&broken);
    assert_eq!(code, Some(1), "{said}");
    for of in ["defaultAction", "scopeMap: no"] {
        let line = broken.lines().position(|line| line.contains(of)).unwrap() + 1;
        assert!(said.contains(&format!("seawall.yaml:{line}:")), "{of}: {said}");
    }
    assert!(said.contains("not started"), "{said}");
    fs::remove_file(place.path().join("worker.secret")).unwrap();
    let (code, said) = place.start_in_vain(&good);
    assert_eq!(code, Some(1), "threat class S: a secret that cannot be read is no password at all: {said}");
    assert!(said.contains("worker.secret"), "{said}");
    assert!(
        !Path::new(&place.path().join("audit.jsonl")).exists()
            || fs::read(place.path().join("audit.jsonl")).unwrap().is_empty()
    );
}

/// How often the policy changes in the test below.
const RELOADS: usize = 1_000;

/// Two registries and two tokens: with one policy the first token may write at the first registry only, with the other the
/// second token at the second only.
fn swapping(place: &Place, upstream: &Registry, first: bool) -> String {
    let password = place.secret("worker", PASSWORD);
    let one = |name: &str, host: &str, may_write: bool| {
        let (writer, reader) = if may_write {
            ("_repositories_push", "_repositories_pull")
        } else {
            ("_repositories_pull", "_repositories_push")
        };
        let token = |token: &str, map: &str| {
            format!(
                "      {token}: {{ scopeMap: {map}, passwords: [ {{ name: password1, file: \"{}\" }} ] }}\n",
                password.display()
            )
        };
        format!(
            "  {name}:\n    loginServer: {host}\n    upstream: {{ url: \"{}\" }}\n    tokens:\n{}{}",
            upstream.url(),
            token("alice", writer),
            token("robert", reader)
        )
    };
    let registries = one("alpha", "alpha.test", first) + &one("beta1", "beta.test", !first);
    place.document(&format!("registries:\n{registries}"))
}

/// 1,000 reloads while pulls run: no failed request, and every decision is that of one policy.
#[test]
fn a_thousand_reloads_fail_no_request_and_mix_no_policies() {
    let upstream = Registry::start(Distribution::V2);
    let place = Place::new();
    let documents = [true, false].map(|first| swapping(&place, &upstream, first));
    let mut seawall = place.start(&documents[0]);
    let over = AtomicBool::new(false);
    // What each answer looked like to its caller, by request id.
    let seen = Mutex::new(BTreeMap::new());
    let address = seawall.address();
    let ask_for_ever = |host: &'static str, user: &'static str| {
        let basic = Account::new(user, PASSWORD).basic();
        let headers = [("Host", host), ("Authorization", basic.as_str())];
        while !over.load(Ordering::Relaxed) {
            let answer = ask("127.0.0.1", address, "GET", "/v2/team/app/manifests/none", &headers, b"")
                .expect("a pull was cut off");
            // The repository is empty, and both policies let both tokens read.
            assert_eq!(answer.status, 404, "{}", answer.text());
            let answer = ask("127.0.0.1", address, "POST", "/v2/team/app/blobs/uploads/", &headers, b"");
            let answer = answer.expect("a request was cut off");
            assert!(matches!(answer.status, 202 | 401), "{}: {}", answer.status, answer.text());
            let id = answer.expect_header("X-Ms-Correlation-Request-Id").to_owned();
            seen.lock().unwrap().insert(id, (host, user, answer.status == 202));
        }
    };
    let path = seawall.place().path().join("seawall.yaml");
    let draft = seawall.place().path().join("draft");
    thread::scope(|scope| {
        for (host, user) in
            [("alpha.test", "alice"), ("alpha.test", "robert"), ("beta.test", "alice"), ("beta.test", "robert")]
        {
            scope.spawn(move || ask_for_ever(host, user));
        }
        for round in 0..RELOADS {
            let before = seawall.metric("seawall_policy_version");
            fs::write(&draft, &documents[(round + 1) % 2]).unwrap();
            fs::rename(&draft, &path).unwrap();
            seawall.process().signal("HUP");
            wait_until_soon("the policy is in force", || seawall.metric("seawall_policy_version") > before);
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(seawall.metric("seawall_policy_version") > 1_000.0);
    assert!(seawall.metric(FAILED).abs() < f64::EPSILON, "{}", seawall.process().log());
    check(&seawall, &seen.into_inner().unwrap());
}

fn wait_until_soon(what: &str, ready: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if ready() {
            return;
        }
        thread::sleep(std::time::Duration::from_millis(1));
    }
    panic!("waited in vain: {what}");
}

/// Every answer's record names the one policy that decided it, and all decisions of one version are those of one policy.
fn check(seawall: &Seawall, seen: &BTreeMap<String, (&str, &str, bool)>) {
    wait_until("every answer has its record", || {
        let records = seawall.audit();
        records.iter().filter(|record| record["operation"] == "upload").count() >= seen.len()
    });
    let mut first_in_force: BTreeMap<u64, bool> = BTreeMap::new();
    let (mut permits, mut refusals) = (0, 0);
    for record in seawall.audit().iter().filter(|record| record["operation"] == "upload") {
        let (host, user, permitted) = seen[record["requestId"].as_str().unwrap()];
        assert_eq!(record["decision"] == "permit", permitted, "{record}");
        assert_eq!(record["principal"]["name"], user, "{record}");
        // Alice writes at alpha under the first policy and at beta under the second, Robert the other way round.
        let first = (host == "alpha.test") == ((user == "alice") == permitted);
        let version = record["policyVersion"].as_u64().unwrap();
        assert_eq!(
            *first_in_force.entry(version).or_insert(first),
            first,
            "version {version} decided both ways: {record}"
        );
        if permitted { permits += 1 } else { refusals += 1 }
    }
    println!("{RELOADS} reloads, {permits} permitted and {refusals} refused by {} versions", first_in_force.len());
    assert!(permits > 100 && refusals > 100 && first_in_force.len() > 100, "too little was asked to show anything");
    assert!(first_in_force.values().any(|first| *first) && first_in_force.values().any(|first| !first));
}
