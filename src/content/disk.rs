//! Blobs that are too large for the memory, as files of a directory that is ours alone.
//!
//! A file is there while something points to it: what is forgotten or pushed out is removed by the thread of its disk, so that no
//! request waits for that. Nothing outlives the process: the next one begins with an empty directory.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::entry::{Body, Head, Kept, Key, Seen};
use super::stock::Stock;
use crate::oci::Verification;
use crate::policy::content_cache::DiskCache;

/// The directory in the operator's, so that nothing of anybody else is ever touched.
const OURS: &str = "seawall-content";
/// What file systems make themselves at the root of a disk.
const OF_THE_DISK: &str = "lost+found";
/// Blobs that are written at the same time.
const MOST_WRITERS: usize = 16;
/// Pieces of a blob that wait to be written. Then the disk is too slow, and the blob is not kept.
const WAITING_PIECES: usize = 256;
/// How often it is tried to get the directory from who had it before, and when that is told.
const TRIES: u32 = 300;
const PAUSE: Duration = Duration::from_millis(200);
/// The part of the disk that blobs on their way in may take.
const FILLING: u64 = 4;
/// The unit in which files are weighed, in bytes.
const UNIT: u64 = 1024;

/// The files of one registry.
pub(super) struct Disk {
    registry: Arc<str>,
    settings: DiskCache,
    kept: Cache<Key, Arc<Kept>>,
    /// Whether the directory is ours and empty.
    ready: Arc<AtomicBool>,
    folder: Arc<Folder>,
    writing: Mutex<HashSet<Key>>,
    writers: AtomicUsize,
    /// Bytes of blobs that are on their way in.
    filling: AtomicU64,
    numbers: AtomicU64,
    has_failed: AtomicBool,
}

/// Where the files are. With the last file of it the thread ends that removes them.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    gone: Sender<PathBuf>,
}

/// A blob.
#[derive(Debug)]
pub struct Stored {
    path: PathBuf,
    length: u64,
    folder: Arc<Folder>,
}

impl Stored {
    /// In bytes.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Opens it. Waits for the disk.
    ///
    /// # Errors
    /// When it cannot be read, or has another length than it had.
    pub fn open(&self) -> io::Result<File> {
        let file = File::open(&self.path)?;
        if file.metadata()?.len() == self.length {
            Ok(file)
        } else {
            Err(io::Error::other("a file of the content cache has another length than it had"))
        }
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        // Without the thread the next start removes it.
        let _ = self.folder.gone.send(std::mem::take(&mut self.path));
    }
}

impl Disk {
    /// A disk that is ready soon, if its directory can be used.
    pub(super) fn new(registry: &Arc<str>, settings: &DiskCache) -> Self {
        let (gone, going) = mpsc::channel();
        let path = settings.directory.join(OURS).join(&**registry);
        let ready = Arc::new(AtomicBool::new(false));
        let units = |bytes: u64| bytes.div_ceil(UNIT);
        let weigher = move |_: &Key, kept: &Arc<Kept>| u32::try_from(units(kept.body.length())).unwrap_or(u32::MAX);
        let disk = Self {
            registry: Arc::clone(registry),
            settings: settings.clone(),
            kept: Cache::builder()
                .max_capacity(units(settings.size - settings.size / FILLING))
                .weigher(weigher)
                .eviction_policy(EvictionPolicy::lru())
                .build(),
            ready: Arc::clone(&ready),
            folder: Arc::new(Folder { path: path.clone(), gone }),
            writing: Mutex::default(),
            writers: AtomicUsize::new(0),
            filling: AtomicU64::new(0),
            numbers: AtomicU64::new(0),
            has_failed: AtomicBool::new(false),
        };
        let (directory, name) = (settings.directory.clone(), Arc::clone(registry));
        let work = move || keep_house(&directory, &path, &name, &ready, &going);
        if let Err(error) = thread::Builder::new().name("content-disk".to_owned()).spawn(work) {
            tracing::warn!(registry = &**registry, %error, "the content cache has no thread for its disk");
        }
        disk
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Kept>> {
        self.kept.get(key)
    }

    pub(super) fn forget(&self, key: &Key) {
        self.kept.invalidate(key);
    }

    pub(super) fn put(&self, key: Key, kept: Arc<Kept>) {
        self.kept.insert(key, kept);
        // Now, and not when it is convenient: the size is a promise.
        self.kept.run_pending_tasks();
    }

    /// In bytes.
    pub(super) fn size(&self) -> u64 {
        self.kept.run_pending_tasks();
        self.kept.weighted_size() * UNIT
    }

    /// Begins to write a blob; `None`: it is not kept.
    pub(super) fn writer(
        &self,
        stock: &Arc<Stock>,
        (key, head, seen): (Key, Head, Seen),
        (length, verification): (u64, Verification),
    ) -> Option<Writer> {
        if length > self.settings.largest_blob || !self.ready.load(Ordering::Acquire) {
            return None;
        }
        let turn = Turn::take(stock, key, length)?;
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (pieces, coming) = sync_channel(WAITING_PIECES);
        let path = self.folder.path.join(format!("{number}.part"));
        let work = Work { turn, head, seen, path, length, verification };
        let thread = thread::Builder::new().name("content-write".to_owned()).spawn(move || work.run(&coming));
        thread.map_err(|error| self.failed(&error)).ok()?;
        Some(Writer { pieces })
    }

    /// Tells of it once: the requests themselves are not affected.
    fn failed(&self, error: &io::Error) {
        if !self.has_failed.swap(true, Ordering::Relaxed) {
            tracing::warn!(registry = &*self.registry, %error, "the content cache cannot write to its disk");
        }
    }
}

/// To whom the pieces of a blob are given.
#[derive(Debug)]
pub(super) struct Writer {
    pieces: SyncSender<Bytes>,
}

impl Writer {
    /// Whether it was taken. If not, the blob is not kept.
    pub(super) fn take(&self, piece: Bytes) -> bool {
        self.pieces.try_send(piece).is_ok()
    }
}

/// That a blob may be written: by nobody else, beside not too many others.
struct Turn {
    stock: Arc<Stock>,
    key: Key,
    length: u64,
}

impl Turn {
    fn take(stock: &Arc<Stock>, key: Key, length: u64) -> Option<Self> {
        let disk = stock.disk.as_ref()?;
        if !disk.writing.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone()) {
            return None;
        }
        let turn = Self { stock: Arc::clone(stock), key, length };
        let writers = disk.writers.fetch_add(1, Ordering::AcqRel);
        let filling = disk.filling.fetch_add(length, Ordering::AcqRel);
        let fits = writers < MOST_WRITERS && filling + length <= disk.settings.size / FILLING;
        fits.then_some(turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(disk) = &self.stock.disk else { return };
        disk.writing.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
        disk.writers.fetch_sub(1, Ordering::AcqRel);
        disk.filling.fetch_sub(self.length, Ordering::AcqRel);
    }
}

/// What the thread of one blob does.
struct Work {
    turn: Turn,
    head: Head,
    seen: Seen,
    path: PathBuf,
    length: u64,
    verification: Verification,
}

impl Work {
    fn run(mut self, pieces: &Receiver<Bytes>) {
        let written = self.write(pieces);
        let Some(disk) = &self.turn.stock.disk else { return };
        match written {
            Ok(true) => return self.keep(),
            Ok(false) => {}
            Err(error) => disk.failed(&error),
        }
        let _ = fs::remove_file(&self.path);
    }

    /// Whether all of it is there.
    fn write(&mut self, pieces: &Receiver<Bytes>) -> io::Result<bool> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path)?;
        let mut rest = self.length;
        while rest > 0 {
            // The other end is gone with the request.
            let Ok(piece) = pieces.recv() else { return Ok(false) };
            let Some(left) = rest.checked_sub(piece.len() as u64) else { return Ok(false) };
            file.write_all(&piece)?;
            self.verification.take(&piece);
            rest = left;
        }
        Ok(true)
    }

    fn keep(self) {
        let Self { turn, head, seen, path, length, verification } = self;
        let Some(disk) = &turn.stock.disk else { return };
        let whole = path.with_extension("blob");
        if !verification.holds() {
            turn.stock.reject(&turn.key);
            let _ = fs::remove_file(&path);
        } else if let Err(error) = fs::rename(&path, &whole) {
            disk.failed(&error);
            let _ = fs::remove_file(&path);
        } else {
            let stored = Stored { path: whole, length, folder: Arc::clone(&disk.folder) };
            let kept = Kept::new(head, Body::Disk(Arc::new(stored)), seen);
            disk.put(turn.key.clone(), Arc::new(kept));
        }
    }
}

/// Makes the directory ours, and removes what is forgotten until nothing can be any more.
fn keep_house(directory: &Path, path: &Path, registry: &str, ready: &AtomicBool, going: &Receiver<PathBuf>) {
    let lock = match make_ours(directory, path, registry, going) {
        Ok(lock) => lock,
        Err(error) => {
            let directory = directory.display();
            tracing::warn!(registry, %directory, %error, "the content cache keeps nothing on its disk");
            return;
        }
    };
    ready.store(true, Ordering::Release);
    while let Ok(gone) = going.recv() {
        if let Err(error) = fs::remove_file(&gone) {
            tracing::debug!(registry, %error, "a file of the content cache could not be removed");
        }
    }
    let _ = fs::remove_dir_all(path);
    drop(lock);
}

/// An empty directory for one registry, and the lock that keeps other processes out of it.
fn make_ours(directory: &Path, path: &Path, registry: &str, going: &Receiver<PathBuf>) -> io::Result<File> {
    let make = |path: &Path| DirBuilder::new().recursive(true).mode(0o700).create(path);
    make(directory)?;
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        if name != OURS && name != OF_THE_DISK {
            let what = format!("it holds `{}`, which is not seawall's: give it a directory of its own", name.display());
            return Err(io::Error::other(what));
        }
    }
    let ours = directory.join(OURS);
    make(&ours)?;
    let found = fs::symlink_metadata(&ours)?;
    if !found.is_dir() || found.mode() & 0o077 != 0 {
        return Err(io::Error::other(format!("`{OURS}` in it is not a directory for seawall's own user only")));
    }
    let mut file = OpenOptions::new();
    file.create(true).truncate(false).write(true).mode(0o600);
    let lock = file.open(ours.join(format!("{registry}.lock")))?;
    let mut tries = 0;
    loop {
        match lock.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) => tries += 1,
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if tries == TRIES {
            tracing::warn!(registry, "the content cache waits for its directory, which somebody else uses");
        }
        // Requests that began before a reload may still read there. Nothing comes this way before there is anything to remove.
        if going.recv_timeout(PAUSE) == Err(RecvTimeoutError::Disconnected) {
            return Err(io::Error::other("its directory was not free for as long as it was needed"));
        }
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => make(path)?,
    }
    Ok(lock)
}
