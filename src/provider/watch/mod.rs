//! Noticing that files changed, however they change: written in place, replaced by a rename (editors, `mv`), deleted and
//! made again, or swapped by a symlink several steps up (a Kubernetes ConfigMap or Secret).
//!
//! Directories are watched, not files, because a watch on a file is lost with the file. What the kernel reports is only a
//! hint to look: a change is a difference in what the paths lead to (file, time, length), so noise in the same directory
//! wakes nobody. Every ten seconds it looks without a hint, for file systems and moments that give none.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fs, io, thread};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

/// How it goes about it; tests go faster.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Whether to ask the kernel for hints.
    hints: bool,
    /// Changes come in bursts (an editor, a ConfigMap of many files): wait this long after the first hint before looking.
    settle: Duration,
    /// How often to look without a hint.
    look_every: Duration,
}

const PACE: Pace = Pace { hints: true, settle: Duration::from_millis(200), look_every: Duration::from_secs(10) };

/// How often to look again at what goes on changing, before it is read as it is.
const MOST_LOOKS: usize = 50;

/// More symlinks on one path than this are a loop, as for the kernel.
const MAX_LINKS: usize = 40;

/// Watches a set of files until it is dropped.
#[derive(Debug)]
pub struct Watcher {
    shared: Arc<Shared>,
    wake: SyncSender<()>,
}

#[derive(Debug, Default)]
struct Shared {
    paths: Mutex<BTreeSet<PathBuf>>,
    stopped: AtomicBool,
}

impl Watcher {
    /// Watches `paths`, which need not exist, and calls `on_change` on a thread of its own after any of them changed.
    ///
    /// Start it before reading the files, so that no change falls between. `on_change` may be called for a file that is
    /// half written or once more than needed; it is never called at the same time twice.
    pub fn start(
        paths: impl IntoIterator<Item = PathBuf>,
        on_change: impl FnMut() + Send + 'static,
    ) -> io::Result<Self> {
        Self::start_at(PACE, paths.into_iter().collect(), on_change)
    }

    fn start_at(pace: Pace, paths: BTreeSet<PathBuf>, on_change: impl FnMut() + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared { paths: Mutex::new(paths), ..Shared::default() });
        // One hint is as good as many: what does not fit is dropped.
        let (wake, hints) = sync_channel(1);
        let mut watching = Watching::new(pace, &wake, shared.paths());
        let watched = Arc::clone(&shared);
        thread::Builder::new()
            .name("file watch".to_owned())
            .spawn(move || watching.run(&watched, &hints, on_change))?;
        Ok(Self { shared, wake })
    }

    /// Watches `paths` instead. Paths that were not watched before count as changed, because nobody knows what happened
    /// to them since they were read; so `on_change` may itself call this with what it has just read.
    pub fn set_paths(&self, paths: impl IntoIterator<Item = PathBuf>) {
        *self.shared.paths.lock().unwrap_or_else(PoisonError::into_inner) = paths.into_iter().collect();
        let _ = self.wake.try_send(());
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        let _ = self.wake.try_send(());
    }
}

impl Shared {
    fn paths(&self) -> BTreeSet<PathBuf> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

/// The state of the watching thread.
struct Watching {
    pace: Pace,
    /// `None` where the system gives no hints (too many watches): then the slow look is all there is.
    kernel: Option<RecommendedWatcher>,
    directories: BTreeMap<PathBuf, Inode>,
    seen: Fingerprints,
}

/// What each path led to at one look.
type Fingerprints = BTreeMap<PathBuf, Option<Fingerprint>>;

impl Watching {
    fn new(pace: Pace, wake: &SyncSender<()>, paths: BTreeSet<PathBuf>) -> Self {
        let kernel = if pace.hints { kernel_hints(wake.clone()) } else { None };
        let mut watching = Self { pace, kernel, directories: BTreeMap::new(), seen: BTreeMap::new() };
        watching.watch_directories(&paths);
        watching.seen = fingerprints(paths);
        watching
    }

    fn run(&mut self, shared: &Shared, hints: &Receiver<()>, mut on_change: impl FnMut()) {
        loop {
            match hints.recv_timeout(self.pace.look_every) {
                Ok(()) if !shared.stopped() => {
                    thread::sleep(self.pace.settle);
                    // A hint that comes from now on is about something that this look may not see.
                    let _ = hints.try_recv();
                }
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if shared.stopped() {
                return;
            }
            if self.look(&shared.paths()) {
                on_change();
            }
        }
    }

    /// Looks at `paths` and tells whether any of them is new or leads to something else than last time.
    fn look(&mut self, paths: &BTreeSet<PathBuf>) -> bool {
        // Watches first: a change after them gives a new hint.
        self.watch_directories(paths);
        let now = fingerprints(paths.clone());
        let changed = now.iter().any(|(path, fingerprint)| self.seen.get(path) != Some(fingerprint));
        self.seen = if changed { self.settled(paths, now) } else { now };
        changed
    }

    /// Waits until nothing changes any more: a file that is being written in place is a valid, shorter one until its end.
    fn settled(&self, paths: &BTreeSet<PathBuf>, mut last: Fingerprints) -> Fingerprints {
        for _ in 0..MOST_LOOKS {
            thread::sleep(self.pace.settle);
            let now = fingerprints(paths.clone());
            if now == last {
                break;
            }
            last = now;
        }
        last
    }

    /// Makes the kernel's watches fit `paths`. A directory that was replaced has lost its watch and gets a new one.
    fn watch_directories(&mut self, paths: &BTreeSet<PathBuf>) {
        let Some(kernel) = &mut self.kernel else { return };
        let wanted: BTreeMap<PathBuf, Inode> = paths
            .iter()
            .flat_map(|path| directories(path))
            .filter_map(|directory| Some((Inode::of(&fs::metadata(&directory).ok()?), directory)))
            .map(|(inode, directory)| (directory, inode))
            .collect();
        self.directories.retain(|directory, inode| {
            let keep = wanted.get(directory) == Some(inode);
            if !keep {
                let _ = kernel.unwatch(directory);
            }
            keep
        });
        for (directory, inode) in wanted {
            if self.directories.contains_key(&directory) {
                continue;
            }
            match kernel.watch(&directory, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.directories.insert(directory, inode);
                }
                Err(error) => tracing::warn!(%error, ?directory, "changes in this directory are noticed late"),
            }
        }
    }
}

fn kernel_hints(wake: SyncSender<()>) -> Option<RecommendedWatcher> {
    notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading the files is no change.
        if !event.is_ok_and(|event| event.kind.is_access()) {
            let _ = wake.try_send(());
        }
    })
    .inspect_err(|error| tracing::warn!(%error, "file changes are noticed late"))
    .ok()
}

#[derive(Debug, PartialEq, Eq)]
struct Inode {
    device: u64,
    number: u64,
}

impl Inode {
    fn of(metadata: &fs::Metadata) -> Self {
        Self { device: metadata.dev(), number: metadata.ino() }
    }
}

/// What a path leads to. Two different contents have the same fingerprint only if one was written over the other, with the
/// same length and within one tick of the file system's clock.
#[derive(Debug, PartialEq, Eq)]
struct Fingerprint {
    inode: Inode,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

fn fingerprints(paths: BTreeSet<PathBuf>) -> Fingerprints {
    paths.into_iter().map(|path| (fingerprint(&path), path)).map(|(fingerprint, path)| (path, fingerprint)).collect()
}

fn fingerprint(path: &Path) -> Option<Fingerprint> {
    let metadata = fs::metadata(path).ok()?;
    Some(Fingerprint {
        inode: Inode::of(&metadata),
        length: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

/// The directories in which a change can make `path` lead elsewhere: the one that holds its last component and, for every
/// symlink on the way, the one that holds the link. Of those that do not exist, the nearest one above that does.
fn directories(path: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut links = 0;
    // What is still to walk, the next component last.
    let mut rest: Vec<OsString> = components(path);
    let mut here = PathBuf::from(if path.is_absolute() { "/" } else { "." });
    while let Some(component) = rest.pop() {
        let step = here.join(&component);
        let last = rest.is_empty();
        match fs::read_link(&step) {
            Ok(target) => {
                found.insert(here.clone());
                links += 1;
                if links > MAX_LINKS {
                    break;
                }
                if target.is_absolute() {
                    here = PathBuf::from("/");
                }
                rest.extend(components(&target));
            }
            Err(_) if last || !step.is_dir() => {
                found.insert(here.clone());
                break;
            }
            Err(_) => here = step,
        }
    }
    found
}

/// The parts of `path` after the root, the first one last.
fn components(path: &Path) -> Vec<OsString> {
    path.components()
        .rev()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| part.as_os_str().to_owned())
        .collect()
}

#[cfg(test)]
mod tests;
