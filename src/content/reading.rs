//! A blob on its way from the disk to a client.
//!
//! The first piece is there before anybody is told that there is one: until then the upstream can take over.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::burden::{Begun, Burden, Unread, end};
use super::disk::Stored;
use super::entry::Key;
use super::stock::Stock;

/// What is read at a time, in bytes. For each reader there are two of them in memory: one that is being written, and the next.
const PIECE: u64 = 128 * 1024;

/// A file, from which the next piece is read while the last one is being written.
#[derive(Debug)]
pub struct Reading {
    stock: Arc<Stock>,
    key: Key,
    burden: Arc<Burden>,
    file: Arc<File>,
    /// Where the next piece begins, and where the file ends, in bytes.
    place: u64,
    length: u64,
    /// The next piece, if there was a turn for it at once.
    next: Option<Begun<Bytes>>,
}

impl Stock {
    /// The first piece of what is kept by `key` on the disk, and the rest; `None`: the upstream has to be asked. What cannot be
    /// read is forgotten.
    pub async fn read(self: &Arc<Self>, key: &Key, stored: &Arc<Stored>) -> Option<(Bytes, Reading)> {
        let burden = Arc::clone(self.disk.as_ref()?.burden());
        match Reading::begin((self, key), stored, burden).await {
            Ok(begun) => Some(begun),
            Err(Unread::Busy) => {
                tracing::debug!(registry = &*self.registry, "the disk of the content cache has too much to read");
                None
            }
            Err(Unread::Failed(error)) => {
                self.unreadable(key, &error);
                None
            }
        }
    }

    fn unreadable(&self, key: &Key, error: &io::Error) {
        self.forget(key);
        let (registry, repository, digest) = (&*self.registry, key.repository.as_str(), key.digest.as_str());
        tracing::warn!(registry, repository, digest, %error, "a file of the content cache cannot be read");
    }
}

impl Reading {
    async fn begin(
        (stock, key): (&Arc<Stock>, &Key),
        stored: &Arc<Stored>,
        burden: Arc<Burden>,
    ) -> Result<(Bytes, Self), Unread> {
        let (opening, length) = (Arc::clone(stored), stored.length());
        let job = move || {
            let file = opening.open()?;
            let first = read(&file, 0, length)?;
            Ok((file, first))
        };
        let begun = burden.begin(burden.first, job).await?;
        let (file, first) = end(begun, burden.first).await?;
        let (stock, key, place) = (Arc::clone(stock), key.clone(), first.len() as u64);
        let mut reading = Self { stock, key, burden, file: Arc::new(file), place, length, next: None };
        reading.read_on();
        Ok((first, reading))
    }

    /// Whether there is no piece any more.
    pub const fn is_over(&self) -> bool {
        self.place == self.length
    }

    /// The next piece, of 128 KiB at most.
    ///
    /// # Errors
    /// When it cannot be read, and is forgotten, or when there was no turn for it in time. The log is told.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Unread> {
        if self.is_over() {
            return Ok(None);
        }
        let piece = self.piece().await.inspect_err(|error| match error {
            Unread::Busy => {
                tracing::warn!(registry = &*self.stock.registry, "the disk of the content cache is too slow");
            }
            Unread::Failed(error) => self.stock.unreadable(&self.key, error),
        })?;
        self.place += piece.len() as u64;
        self.read_on();
        Ok(Some(piece))
    }

    async fn piece(&mut self) -> Result<Bytes, Unread> {
        let begun = match self.next.take() {
            Some(begun) => begun,
            None => self.burden.begin(self.burden.later, self.job()).await?,
        };
        end(begun, self.burden.later).await
    }

    fn read_on(&mut self) {
        if !self.is_over() {
            self.next = self.burden.begin_if_free(self.job());
        }
    }

    fn job(&self) -> impl FnOnce() -> io::Result<Bytes> + Send + use<> {
        let (file, place, length) = (Arc::clone(&self.file), self.place, self.length);
        move || read(&file, place, length)
    }
}

/// The piece at `place` of a file that has `length` bytes.
fn read(file: &File, place: u64, length: u64) -> io::Result<Bytes> {
    let size = length.saturating_sub(place).min(PIECE);
    let mut piece = BytesMut::zeroed(usize::try_from(size).map_err(io::Error::other)?);
    file.read_exact_at(&mut piece, place)?;
    Ok(piece.freeze())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::super::testing::{OnDisk, stored};
    use super::*;

    const SIZE: u64 = 16 * 1024 * 1024;
    const SHORT: Duration = Duration::from_millis(100);
    const LONG: Duration = Duration::from_mins(1);

    fn body(length: usize) -> Vec<u8> {
        (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect()
    }

    fn cut(path: &Path, length: u64) {
        OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
    }

    #[tokio::test]
    async fn it_comes_in_small_pieces() {
        for length in [9, 128 * 1024, 128 * 1024 + 1, 600_000] {
            let (world, body) = (OnDisk::usual(), body(length));
            let (key, kept) = world.keep(&body);
            let (first, mut reading) = world.stock.read(&key, stored(&kept)).await.unwrap();
            let mut pieces = vec![first];
            while let Some(piece) = reading.next().await.unwrap() {
                pieces.push(piece);
            }
            assert!(pieces.iter().all(|piece| (1..=128 * 1024).contains(&piece.len())), "{length}");
            assert!(pieces.concat() == body && reading.is_over(), "{length}");
        }
    }

    /// Nobody has been told anything yet: the upstream is asked, now and the next time.
    #[tokio::test]
    async fn without_its_first_piece_it_is_forgotten() {
        let world = OnDisk::usual();
        // Opens, has the right length, and cannot be read: a directory.
        let sample = world.place.path().join("sample");
        fs::create_dir_all(sample.join("x")).unwrap();
        let (key, kept) = world.keep(&body(usize::try_from(fs::metadata(&sample).unwrap().len()).unwrap()));
        let file = world.files().remove(0);
        fs::remove_file(&file).unwrap();
        fs::create_dir_all(file.join("x")).unwrap();
        assert!(stored(&kept).open().is_ok(), "the error is to come with the first piece");
        assert!(world.stock.read(&key, stored(&kept)).await.is_none());
        assert!(world.find(&key).is_none());
    }

    #[tokio::test]
    async fn what_breaks_in_the_middle_is_forgotten() {
        let world = OnDisk::usual();
        let (key, kept) = world.keep(&body(1_000_000));
        let (_, mut reading) = world.stock.read(&key, stored(&kept)).await.unwrap();
        cut(&world.files()[0], 300_000);
        let error = loop {
            match reading.next().await {
                Ok(piece) => assert!(piece.is_some(), "it ended as if it were whole"),
                Err(error) => break error,
            }
        };
        assert!(matches!(&error, Unread::Failed(error) if error.kind() == io::ErrorKind::UnexpectedEof), "{error}");
        assert!(world.find(&key).is_none());
    }

    /// Whoever waits to open it may go on once this is dropped.
    struct Pipe(PathBuf);

    impl Drop for Pipe {
        fn drop(&mut self) {
            drop(OpenOptions::new().read(true).write(true).open(&self.0).unwrap());
        }
    }

    /// A disk that hangs has all turns before long: then nothing more is lost to it.
    #[tokio::test]
    async fn a_disk_that_hangs_is_not_waited_for() {
        let world = OnDisk::new(SIZE, Burden::new(1, SHORT, SHORT));
        let (key, kept) = world.keep(&body(1_000));
        let pipe = world.files().remove(0);
        let (other_key, other) = world.keep(&body(1_001));
        fs::remove_file(&pipe).unwrap();
        // Opening it waits for somebody who writes.
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let pipe = Pipe(pipe);
        assert!(world.stock.read(&key, stored(&kept)).await.is_none());
        assert!(world.find(&key).is_none(), "nobody waits for it again");
        assert!(world.stock.read(&other_key, stored(&other)).await.is_none());
        assert!(world.find(&other_key).is_some(), "nothing is known against it");
        drop(pipe);
        while world.stock.read(&other_key, stored(&other)).await.is_none() {}
    }

    #[tokio::test]
    async fn a_later_piece_is_not_waited_for_either() {
        let world = OnDisk::new(SIZE, Burden::new(1, LONG, SHORT));
        let (key, kept) = world.keep(&body(1_000_000));
        let (_, mut reading) = world.stock.read(&key, stored(&kept)).await.unwrap();
        let (go, hanging) = mpsc::channel::<()>();
        let _hanging = reading.burden.begin(LONG, move || hanging.recv().map_err(io::Error::other)).await.unwrap();
        // It was begun before.
        assert!(reading.next().await.unwrap().is_some());
        assert!(matches!(reading.next().await, Err(Unread::Busy)));
        assert!(world.find(&key).is_some(), "nothing is known against it");
        go.send(()).unwrap();
    }
}
