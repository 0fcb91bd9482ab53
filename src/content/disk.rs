//! Blobs that are too large for the memory, as files of a directory that is ours alone.
//!
//! A file is there while something points to it: what is forgotten or pushed out is removed by the thread of its disk, so that no
//! request waits for that. Nothing outlives the process: the next one begins with an empty directory.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use bytes::Bytes;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::burden::{Burden, Waiting};
use super::entry::{Body, Head, Kept, Key, Seen};
use super::house::{OURS, keep_house};
use super::stock::Stock;
use crate::oci::Verification;
use crate::policy::content_cache::DiskCache;

/// Blobs that are written at the same time.
const MOST_WRITERS: usize = 16;
/// Pieces of a blob that wait to be written, if those of all blobs together are not too many bytes before. Then the disk is too
/// slow, and the blob is not kept.
const WAITING_PIECES: usize = 256;
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
    burden: Arc<Burden>,
}

/// Where the files are. With the last file of it the thread ends that removes them.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    /// Bytes of files that are there, whether or not anybody finds them any more.
    there: Arc<AtomicU64>,
    gone: Sender<Gone>,
}

/// A file that is to be removed.
#[derive(Debug)]
pub(super) struct Gone {
    path: PathBuf,
    length: u64,
    there: Arc<AtomicU64>,
}

impl Gone {
    /// Waits for the disk.
    pub(super) fn remove(self) -> io::Result<()> {
        let removed = fs::remove_file(self.path);
        self.there.fetch_sub(self.length, Ordering::AcqRel);
        removed
    }
}

/// A blob.
#[derive(Debug)]
pub struct Stored {
    path: PathBuf,
    length: u64,
    folder: Arc<Folder>,
}

impl Stored {
    fn new(path: PathBuf, length: u64, folder: &Arc<Folder>) -> Self {
        folder.there.fetch_add(length, Ordering::AcqRel);
        Self { path, length, folder: Arc::clone(folder) }
    }

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
        let (path, there) = (std::mem::take(&mut self.path), Arc::clone(&self.folder.there));
        let _ = self.folder.gone.send(Gone { path, length: self.length, there });
    }
}

impl Disk {
    /// A disk that is ready soon, if its directory can be used.
    pub(super) fn new(registry: &Arc<str>, settings: &DiskCache, burden: &Arc<Burden>) -> Self {
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
            folder: Arc::new(Folder { path: path.clone(), there: Arc::default(), gone }),
            writing: Mutex::default(),
            writers: AtomicUsize::new(0),
            filling: AtomicU64::new(0),
            numbers: AtomicU64::new(0),
            has_failed: AtomicBool::new(false),
            burden: Arc::clone(burden),
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

    pub(super) const fn burden(&self) -> &Arc<Burden> {
        &self.burden
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
        Some(Writer { pieces, burden: Arc::clone(&self.burden) })
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
    pieces: SyncSender<Waiting>,
    burden: Arc<Burden>,
}

impl Writer {
    /// Whether it was taken. If not, the blob is not kept: the client, whose piece it is, never waits for the disk.
    pub(super) fn take(&self, piece: Bytes) -> bool {
        self.burden.hold(piece).is_some_and(|waiting| self.pieces.try_send(waiting).is_ok())
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
        let size = disk.settings.size;
        let fits = writers < MOST_WRITERS && filling + length <= size / FILLING;
        // What was pushed out and is still being read takes its place until then.
        let there = disk.folder.there.load(Ordering::Acquire);
        (fits && there + filling + length <= size).then_some(turn)
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
    fn run(mut self, pieces: &Receiver<Waiting>) {
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
    fn write(&mut self, pieces: &Receiver<Waiting>) -> io::Result<bool> {
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
            let stored = Stored::new(whole, length, &disk.folder);
            let kept = Kept::new(head, Body::Disk(Arc::new(stored)), seen);
            disk.put(turn.key.clone(), Arc::new(kept));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{OnDisk, wait_for};
    use super::*;

    /// Nobody writes here: the pieces are a client's, who does not wait for the disk.
    #[test]
    fn a_disk_that_is_too_slow_holds_neither_clients_nor_memory() {
        let burden = Arc::new(Burden::default());
        let writers: Vec<_> = (0..MOST_WRITERS)
            .map(|_| {
                let (pieces, coming) = sync_channel(WAITING_PIECES);
                (Writer { pieces, burden: Arc::clone(&burden) }, coming)
            })
            .collect();
        let piece = Bytes::from(vec![0; 64 * 1024]);
        let mut taken = 0;
        for (writer, _) in &writers {
            let own = (0..1_000).take_while(|_| writer.take(piece.clone())).count();
            assert!(own <= WAITING_PIECES, "{own}");
            taken += own * piece.len();
        }
        assert_eq!(taken, 16 * 1024 * 1024, "all of them together");
        drop(writers);
        let (pieces, _coming) = sync_channel(WAITING_PIECES);
        assert!(Writer { pieces, burden }.take(piece), "what was given up waits no more");
    }

    #[test]
    fn what_is_still_read_takes_its_place() {
        const MIB: usize = 1024 * 1024;
        let world = OnDisk::new(4 * MIB as u64, Burden::default());
        let body = |number: u8| vec![number; MIB];
        // One of them pushes another one out, since all four do not fit.
        let mut read: Vec<_> = (0..4).map(|number| world.keep(&body(number)).1).collect();
        wait_for(|| (world.files().len() == 4).then_some(()));
        for _ in 0..20 {
            let key = world.pass(&body(4));
            thread::sleep(std::time::Duration::from_millis(10));
            assert!(world.find(&key).is_none() && world.files().len() == 4, "{:?}", world.files());
        }
        read.clear();
        world.keep(&body(4));
        wait_for(|| (world.files().len() == 3).then_some(()));
    }
}
