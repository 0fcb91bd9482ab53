//! A store as a text file: one JSON object per line, for any database and for human eyes.
//!
//! The first line says what it is and how much follows; the last one is a digest of all before it, so that a file which
//! was cut or changed by accident is not taken for a whole one. Sealed secrets stay sealed: without the encryption key of
//! its store a backup cannot be put to use.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{self, BufRead, Read, Write};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::contents::Contents;
use super::{Change, Kind, LastUse, Object, ObjectKey, Position, Revision};
use crate::clock::Timestamp;
use crate::policy::credential::CredentialId;

const FORMAT: &str = "seawall-backup";
/// Raised whenever an older seawall would misunderstand what a newer one writes.
const VERSION: u64 = 1;

/// Why a file cannot be restored.
#[derive(Debug, Error)]
pub enum BackupError {
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("it is no backup of seawall")]
    NotOurs,
    #[error("it is of version {0}, and this seawall knows none after {VERSION}")]
    Newer(u64),
    #[error("it ends too early: it was cut, or never finished")]
    Cut,
    #[error("its digest is another one: it was changed")]
    Changed,
    #[error("line {line}: {reason}")]
    Line { line: usize, reason: String },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    format: String,
    version: u64,
    created_at: Timestamp,
    generation: String,
    revision: Revision,
    records: usize,
    uses: usize,
}

/// Enough of a header to tell whether the rest can be read.
#[derive(Deserialize)]
struct AnyHeader {
    format: String,
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Line {
    Record(RecordLine),
    Use(UseLine),
    Sha256(String),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordLine {
    registry: String,
    kind: Kind,
    name: String,
    revision: Revision,
    written_at: Timestamp,
    object: serde_json::Value,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct UseLine {
    credential: CredentialId,
    at: Timestamp,
    address: IpAddr,
}

/// Writes `contents` to `file`, which is complete when this returns; syncing it is the caller's.
///
/// # Errors
/// Those of `file`.
pub fn write(contents: &Contents, now: Timestamp, file: impl Write) -> io::Result<()> {
    let mut writer = LineWriter { file, digest: Sha256::new() };
    let Contents { position, records, uses } = contents;
    writer.line(&Header {
        format: FORMAT.to_owned(),
        version: VERSION,
        created_at: now,
        generation: position.generation.clone(),
        revision: position.revision,
        records: records.len(),
        uses: uses.len(),
    })?;
    for record in records {
        writer.line(&Line::Record(record_line(record)?))?;
    }
    for LastUse { credential, at, address } in uses {
        writer.line(&Line::Use(UseLine { credential: *credential, at: *at, address: *address }))?;
    }
    let digest = hex(&writer.digest);
    writer.line(&Line::Sha256(digest))?;
    writer.file.flush()
}

/// What [`write()`] wrote.
///
/// # Errors
/// Whatever is not whole.
pub fn read(mut file: impl BufRead) -> Result<Contents, BackupError> {
    let mut text = String::new();
    let mut digest = Sha256::new();
    let header = read_header(&mut file, &mut text)?;
    digest.update(&text);
    let mut contents = Contents {
        position: Position { generation: header.generation, revision: header.revision, connection: 0 },
        records: Vec::new(),
        uses: Vec::new(),
    };
    let mut keys = HashSet::new();
    for number in 2.. {
        text.clear();
        if file.read_line(&mut text)? == 0 || !text.ends_with('\n') {
            return Err(BackupError::Cut);
        }
        let malformed = |reason: String| BackupError::Line { line: number, reason };
        match serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))? {
            Line::Record(line) => {
                let record = change(line).map_err(|error| malformed(error.to_string()))?;
                if !keys.insert(record.key.clone()) {
                    return Err(malformed("a record that was there before".to_owned()));
                }
                contents.records.push(record);
            }
            Line::Use(UseLine { credential, at, address }) => contents.uses.push(LastUse { credential, at, address }),
            Line::Sha256(expected) => {
                let whole = contents.records.len() == header.records && contents.uses.len() == header.uses;
                let is_last = file.fill_buf()?.is_empty();
                let unchanged = whole && is_last && hex(&digest) == expected;
                return if unchanged { Ok(contents) } else { Err(BackupError::Changed) };
            }
        }
        digest.update(&text);
    }
    Err(BackupError::Cut)
}

fn read_header(file: &mut impl BufRead, text: &mut String) -> Result<Header, BackupError> {
    // A file of another kind may have no line break for gigabytes.
    match file.take(4096).read_line(text) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(BackupError::NotOurs),
        other => other?,
    };
    let any: AnyHeader = serde_json::from_str(text).map_err(|_| BackupError::NotOurs)?;
    if any.format != FORMAT {
        return Err(BackupError::NotOurs);
    }
    if any.version > VERSION {
        return Err(BackupError::Newer(any.version));
    }
    serde_json::from_str(text).map_err(|error| BackupError::Line { line: 1, reason: error.to_string() })
}

fn record_line(record: &Change) -> io::Result<RecordLine> {
    let Change { key, object, revision, written_at } = record;
    let object = object.as_ref().map(Object::to_json).transpose()?.unwrap_or_default();
    let ObjectKey { registry, kind, name } = key.clone();
    Ok(RecordLine { registry, kind, name, revision: *revision, written_at: *written_at, object })
}

fn change(line: RecordLine) -> serde_json::Result<Change> {
    let RecordLine { registry, kind, name, revision, written_at, object } = line;
    let object = Some(Object::from_json(kind, object)?);
    Ok(Change { key: ObjectKey { registry, kind, name }, object, revision, written_at })
}

/// As `sha256sum` writes it.
fn hex(digest: &Sha256) -> String {
    digest.clone().finalize().iter().fold(String::new(), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Writes lines, and digests them.
struct LineWriter<W> {
    file: W,
    digest: Sha256,
}

impl<W: Write> LineWriter<W> {
    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.digest.update(&text);
        self.file.write_all(&text)
    }
}
