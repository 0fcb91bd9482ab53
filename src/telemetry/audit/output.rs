//! Where lines of the audit log end up.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::Clock;

/// Takes whole lines, in order.
pub(super) trait Output: Send {
    /// Writes all of `lines`, or fails.
    fn write(&mut self, lines: &[u8]) -> io::Result<()>;
}

pub(super) struct Stdout;

impl Output for Stdout {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(lines)?;
        stdout.flush()
    }
}

/// A file that others may move away: at most once a second, before a write, it is compared with what its path names.
pub(super) struct File {
    path: PathBuf,
    current: fs::File,
    clock: Arc<dyn Clock>,
    looked: i64,
}

impl File {
    pub(super) fn open(path: PathBuf, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let current = append(&path)?;
        let looked = clock.now().as_second();
        Ok(Self { path, current, clock, looked })
    }

    fn was_moved(&self) -> io::Result<bool> {
        let ours = self.current.metadata()?;
        Ok(match fs::metadata(&self.path) {
            Ok(named) => (named.dev(), named.ino()) != (ours.dev(), ours.ino()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(error),
        })
    }
}

impl Output for File {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let now = self.clock.now().as_second();
        if now != self.looked {
            self.looked = now;
            // A file that cannot be opened anew, or looked at, is still there under its other name: better than nowhere.
            match self.was_moved().and_then(|moved| if moved { append(&self.path).map(Some) } else { Ok(None) }) {
                Ok(Some(file)) => self.current = file,
                Ok(None) => {}
                Err(error) => tracing::warn!(path = %self.path.display(), %error, "cannot reopen the audit log"),
            }
        }
        self.current.write_all(lines)
    }
}

/// Readable by its owner only: it says who pulls what from where.
fn append(path: &PathBuf) -> io::Result<fs::File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}
