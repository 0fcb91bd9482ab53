//! Everything in a store at once, for backups: taken at one moment, put in its place at one moment.

use super::database::{Database, is_impossible, new_generation};
use super::rows::{State, change, integer, only};
use super::session::{Session, Value};
use super::writing::{self, CHUNK, NewRow};
use super::{Change, LastUse, Position, Revision, StoreError, body, pages};

const COUNT: &str = "SELECT COUNT(*) FROM seawall_objects WHERE body IS NOT NULL";
/// Never back: whoever waits for a revision must not take one of the former history for it.
const NEXT_AFTER_BOTH: &str = "UPDATE seawall_state
    SET revision = 1 + CASE WHEN revision < $1 THEN $1 ELSE revision END RETURNING revision";
const BEGIN_HISTORY: &str = "UPDATE seawall_state SET generation = $1, purged = $2";

/// All records and last uses of a store, as of one moment. Secrets in it are hashes or sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    pub position: Position,
    /// By registry, kind and name; none is deleted.
    pub records: Vec<Change>,
    pub uses: Vec<LastUse>,
}

/// What to do when the store has records already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    Keep,
    Replace,
}

impl Database {
    /// Everything there is.
    ///
    /// # Errors
    /// Also [`StoreError::Unusable`] when a record is damaged or of a newer version: a backup has all or is none.
    pub async fn contents(&self) -> Result<Contents, StoreError> {
        let mut session = self.pool.snapshot().await?;
        let position = State::read(&mut session).await?.position(0);
        let mut records = pages::records(&mut session, None, change).await?;
        let uses = pages::uses(&mut session).await?;
        session.commit().await?;
        records.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(Contents { position, records, uses })
    }

    /// Puts `contents` in the place of everything there is, in one transaction, as the beginning of a new history: every
    /// reader reads everything anew. Answers `None`, and changes nothing, when there is something that it shall keep.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] for contents that no store could have had.
    pub async fn replace_contents(
        &self,
        contents: &Contents,
        existing: Existing,
    ) -> Result<Option<Revision>, StoreError> {
        let rows: Vec<NewRow<'_>> = contents.records.iter().map(new_row).collect::<Result<_, _>>()?;
        let mut session = self.pool.writing().await?;
        // First of all, since other writers wait for it.
        let last = integer(contents.position.revision.0)?;
        let revision = Revision(only(&session.fetch(NEXT_AFTER_BOTH, &[last]).await?)?.natural(0)?);
        if existing == Existing::Keep && only(&session.fetch(COUNT, &[]).await?)?.natural(0)? > 0 {
            session.roll_back().await?;
            return Ok(None);
        }
        replace(&mut session, &rows, &contents.uses, revision).await?;
        self.commit(session).await?;
        Ok(Some(revision))
    }
}

fn new_row(record: &Change) -> Result<NewRow<'_>, StoreError> {
    let Change { key, object, written_at, .. } = record;
    let object = object.as_ref().filter(|object| object.kind() == key.kind);
    match object {
        Some(object) if !is_impossible(&key.registry) && !is_impossible(&key.name) => {
            Ok(NewRow { key, body: body::encode(key, object)?, written_at: *written_at })
        }
        _ => Err(StoreError::Unusable(format!("there can be no such record: {key:?}"))),
    }
}

async fn replace(
    session: &mut Session,
    rows: &[NewRow<'_>],
    uses: &[LastUse],
    revision: Revision,
) -> Result<(), StoreError> {
    session.run("DELETE FROM seawall_objects", &[]).await?;
    session.run("DELETE FROM seawall_last_uses", &[]).await?;
    session.run("DELETE FROM seawall_former_credentials", &[]).await?;
    session.run(BEGIN_HISTORY, &[Value::Text(&new_generation()), integer(revision.0)?]).await?;
    for some in rows.chunks(CHUNK) {
        writing::put(session, some, revision).await?;
    }
    writing::note_uses(session, uses).await
}
