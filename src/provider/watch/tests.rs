use std::os::unix::fs::symlink;
use std::sync::mpsc::{Receiver, channel};

use super::*;

const SOON: Duration = Duration::from_secs(5);

/// Hints only: the slow look never comes.
const HINTED: Pace = Pace { hints: true, settle: Duration::from_millis(50), look_every: Duration::from_hours(1) };

fn watch(paths: impl IntoIterator<Item = PathBuf>) -> (Watcher, Receiver<()>) {
    watch_at(HINTED, paths)
}

fn watch_at(pace: Pace, paths: impl IntoIterator<Item = PathBuf>) -> (Watcher, Receiver<()>) {
    let (sender, changes) = channel();
    let on_change = move || {
        let _ = sender.send(());
    };
    (Watcher::start_at(pace, paths.into_iter().collect(), on_change).unwrap(), changes)
}

/// Asserts that a change was noticed, and swallows what else the same change causes.
fn noticed(changes: &Receiver<()>) {
    changes.recv_timeout(SOON).expect("a change is noticed");
    while changes.recv_timeout(HINTED.settle * 2).is_ok() {}
}

fn unnoticed(changes: &Receiver<()>) {
    changes.recv_timeout(HINTED.settle * 3).expect_err("nothing is noticed");
}

#[test]
fn notices_a_file_written_in_place_replaced_deleted_and_made_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("seawall.yaml");
    fs::write(&path, "one").unwrap();
    let (_watcher, changes) = watch([path.clone()]);
    unnoticed(&changes);

    fs::write(&path, "two").unwrap();
    noticed(&changes);
    for _ in 0..2 {
        let new = directory.path().join(".seawall.yaml.swp");
        fs::write(&new, "two").unwrap();
        fs::rename(&new, &path).unwrap();
        noticed(&changes);
    }
    fs::remove_file(&path).unwrap();
    noticed(&changes);
    fs::write(&path, "three").unwrap();
    noticed(&changes);
}

/// A policy that was read before its Deny rules were written would be a valid, more open one.
#[test]
fn waits_for_a_file_that_is_written_piece_by_piece() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("seawall.yaml");
    fs::write(&path, "").unwrap();
    let (sender, seen) = channel();
    let read = path.clone();
    let on_change = move || {
        let _ = sender.send(fs::read_to_string(&read).unwrap().len());
    };
    let pace = Pace { settle: Duration::from_millis(200), ..HINTED };
    let _watcher = Watcher::start_at(pace, BTreeSet::from([path.clone()]), on_change).unwrap();
    for pieces in 1..=40 {
        fs::write(&path, "piece".repeat(pieces)).unwrap();
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(seen.recv_timeout(SOON), Ok("piece".len() * 40));
}

#[test]
fn notices_a_change_without_any_hint() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("seawall.yaml");
    let pace = Pace { hints: false, look_every: Duration::from_millis(50), ..HINTED };
    let (_watcher, changes) = watch_at(pace, [path.clone()]);
    unnoticed(&changes);
    fs::write(&path, "one").unwrap();
    noticed(&changes);
}

#[test]
fn ignores_noise_in_the_same_directory_and_reading() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("seawall.yaml");
    fs::write(&path, "one").unwrap();
    let (_watcher, changes) = watch([path.clone()]);
    fs::write(directory.path().join("other"), "noise").unwrap();
    fs::read(&path).unwrap();
    unnoticed(&changes);
}

#[test]
fn one_call_for_a_burst_of_changes() {
    let directory = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..20).map(|number| directory.path().join(number.to_string())).collect();
    let (_watcher, changes) = watch(paths.clone());
    for path in &paths {
        fs::write(path, "new").unwrap();
    }
    changes.recv_timeout(SOON).unwrap();
    unnoticed(&changes);
}

/// A ConfigMap volume: `seawall.yaml -> ..data/seawall.yaml`, `..data -> ..1/`; the kubelet makes `..2`, swaps `..data` by
/// rename and removes `..1`.
#[test]
fn notices_the_swap_of_a_config_map() {
    let volume = tempfile::tempdir().unwrap();
    let at = |name: &str| volume.path().join(name);
    let fill = |version: &str| {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("seawall.yaml"), "same length").unwrap();
    };
    fill("..1");
    symlink("..1", at("..data")).unwrap();
    symlink("..data/seawall.yaml", at("seawall.yaml")).unwrap();
    let (_watcher, changes) = watch([at("seawall.yaml")]);

    for version in 2..5 {
        fill(&format!("..{version}"));
        unnoticed(&changes);
        symlink(format!("..{version}"), at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        fs::remove_dir_all(at(&format!("..{}", version - 1))).unwrap();
        noticed(&changes);
    }
}

#[test]
fn notices_the_swap_of_a_symlink_further_up_and_what_is_behind_it() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    for version in ["v1", "v2"] {
        fs::create_dir_all(at(version).join("etc")).unwrap();
        fs::write(at(version).join("etc/tls.crt"), version).unwrap();
    }
    symlink(at("v1"), at("current")).unwrap();
    let (_watcher, changes) = watch([at("current/etc/tls.crt")]);
    symlink(at("v2"), at("next")).unwrap();
    fs::rename(at("next"), at("current")).unwrap();
    noticed(&changes);
    fs::write(at("v2/etc/tls.crt"), "renewed").unwrap();
    noticed(&changes);
}

#[test]
fn notices_a_file_in_a_directory_that_is_made_later_or_made_again() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("secrets");
    let path = directory.join("password");
    let (_watcher, changes) = watch([path.clone()]);
    for content in ["one", "two"] {
        fs::create_dir(&directory).unwrap();
        fs::write(&path, content).unwrap();
        noticed(&changes);
        fs::remove_dir_all(&directory).unwrap();
        noticed(&changes);
    }
}

#[test]
fn a_path_that_is_added_counts_as_changed_and_one_that_is_dropped_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (directory.path().join("old"), directory.path().join("new"));
    fs::write(&old, "old").unwrap();
    fs::write(&new, "new").unwrap();
    let (watcher, changes) = watch([old.clone()]);
    watcher.set_paths([new.clone()]);
    noticed(&changes);
    fs::write(&old, "changed").unwrap();
    unnoticed(&changes);
    fs::write(&new, "changed").unwrap();
    noticed(&changes);
    watcher.set_paths([new]);
    unnoticed(&changes);
}

#[test]
fn ends_its_thread_when_dropped() {
    let (watcher, changes) = watch([PathBuf::from("/nonexistent/seawall.yaml")]);
    drop(watcher);
    // The callback, and with it the sender, is dropped with the thread.
    assert_eq!(changes.recv_timeout(SOON), Err(RecvTimeoutError::Disconnected));
}

#[test]
fn finds_the_directories_that_matter() {
    let root = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(root.path()).unwrap();
    fs::create_dir(root.join("real")).unwrap();
    fs::write(root.join("real/file"), "").unwrap();
    symlink("real", root.join("relative")).unwrap();
    symlink(root.join("relative"), root.join("absolute")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    for (path, expected) in [
        ("real/file", &["real"][..]),
        ("real/absent", &["real"]),
        ("real/absent/deeper", &["real"]),
        ("relative/file", &["", "real"]),
        ("absolute/../real/file", &["", "real"]),
        ("absolute/file", &["", "real"]),
        ("loop/file", &[""]),
    ] {
        let expected: BTreeSet<_> = expected.iter().map(|name| components_under(&root, name)).collect();
        let found: BTreeSet<_> =
            directories(&root.join(path)).iter().map(|dir| fs::canonicalize(dir).unwrap()).collect();
        assert_eq!(found, expected, "{path}");
    }
    assert_eq!(directories(Path::new("seawall.yaml")), BTreeSet::from([PathBuf::from(".")]));
}

fn components_under(root: &Path, name: &str) -> PathBuf {
    if name.is_empty() { root.to_owned() } else { root.join(name) }
}
