//! A Unix socket in the file system: nobody else may ever connect to it, and it goes when its process ends.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// A socket that accepts connections, and its file.
pub(super) struct UnixSocket {
    pub(super) listener: UnixListener,
    pub(super) file: SocketFile,
}

/// The file of a socket. Removed when this goes, unless another process has taken the path by then.
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl UnixSocket {
    /// Listens at `path`; the socket's mode is 0600 from its first moment there.
    ///
    /// It is made in a new directory of mode 0700 beside `path` and then renamed: between `bind` and `chmod` the mode is
    /// whatever the process's umask leaves.
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        refuse_what_is_in_use(path)?;
        let folder = Folder::beside(path)?;
        let made = folder.0.join("s");
        let listener = UnixListener::bind(&made)?;
        listener.set_nonblocking(true)?;
        fs::set_permissions(&made, Permissions::from_mode(0o600))?;
        fs::rename(&made, path)?;
        Ok(Self { listener, file: SocketFile { path: path.to_owned(), identity: identity(path)? } })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            // What remains is replaced at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// An empty directory of ours, removed when this goes.
struct Folder(PathBuf);

impl Folder {
    fn beside(path: &Path) -> io::Result<Self> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Short: the path of a socket has at most 107 bytes.
        let folder = parent.join(format!(".{}", std::process::id()));
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What remains is removed when a process of this id starts again.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn refuse_what_is_in_use(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "something that is no socket is there"));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(io::Error::new(ErrorKind::AddrInUse, "another process is serving it")),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(error),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}
