//! [`Machine`]: keys and values, with what was applied to them last.

use std::collections::BTreeMap;
use std::io::{self, Cursor, ErrorKind};

use fjall::{Readable, SingleWriterWriteTx};
use openraft::storage::RaftStateMachine;
use openraft::{EntryPayload, ErrorSubject, ErrorVerb, OptionalSend, RaftSnapshotBuilder};
use serde::{Deserialize, Serialize};

use crate::database::{Database, Error, Failed, Single};
use crate::types::{
    Change, Entry, LogId, Reply, Snapshot, SnapshotMeta, StorageError, StoredMembership,
    TypeConfig, decode, encode,
};

pub struct Machine(pub Database);

/// What the state is the state after.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Applied {
    last: Option<LogId>,
    membership: StoredMembership,
}

/// All that a snapshot holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    applied: Applied,
    keys: BTreeMap<Vec<u8>, Vec<u8>>,
}

type Kept = (SnapshotMeta, Vec<u8>);

impl Machine {
    pub fn keys(&self) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Error> {
        keys(&self.0, &self.0.view())
    }

    fn applied(&self, view: &impl Readable) -> Result<Applied, Error> {
        Ok(self.0.get(view, Single::Applied)?.unwrap_or_default())
    }

    fn apply_one(
        &self,
        transaction: &mut SingleWriterWriteTx<'_>,
        applied: &mut Applied,
        entry: Entry,
    ) -> Result<Reply, Error> {
        applied.last = Some(entry.log_id);
        match entry.payload {
            EntryPayload::Blank => Ok(Reply::default()),
            EntryPayload::Membership(members) => {
                applied.membership = StoredMembership::new(applied.last, members);
                Ok(Reply::default())
            }
            EntryPayload::Normal(Change { key, value }) => {
                let before = transaction.get(&self.0.state, &key)?;
                match value {
                    Some(value) => transaction.insert(&self.0.state, key, value),
                    None => transaction.remove(&self.0.state, key),
                }
                Ok(Reply(before.map(|before| before.to_vec())))
            }
        }
    }

    fn install(&self, meta: &SnapshotMeta, bytes: Vec<u8>) -> Result<(), Error> {
        let State { applied, keys } = restore(meta, &bytes)?;
        let Self(db) = self;
        db.durably(|transaction| {
            let old = transaction.iter(&db.state).map(|pair| pair.key());
            for key in old.collect::<Result<Vec<_>, _>>()? {
                transaction.remove(&db.state, key);
            }
            for (key, value) in keys {
                transaction.insert(&db.state, key, value);
            }
            db.put(transaction, Single::Applied, &applied)?;
            db.put(transaction, Single::Snapshot, &(meta, bytes))
        })
    }
}

fn keys(db: &Database, view: &impl Readable) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Error> {
    let pairs = view.iter(&db.state).map(|pair| {
        let (key, value) = pair.into_inner()?;
        Ok((key.to_vec(), value.to_vec()))
    });
    pairs.collect()
}

/// The state in a snapshot's bytes, if they are whole and what the meta says.
fn restore(meta: &SnapshotMeta, bytes: &[u8]) -> io::Result<State> {
    let damaged = || io::Error::new(ErrorKind::InvalidData, "wrong checksum");
    let (crc, encoded) = bytes.split_first_chunk::<4>().ok_or_else(damaged)?;
    if crc32fast::hash(encoded) != u32::from_le_bytes(*crc) {
        return Err(damaged());
    }
    let state: State = decode(encoded)?;
    let Applied { last, membership } = &state.applied;
    if (last, membership) != (&meta.last_log_id, &meta.last_membership) {
        return Err(io::Error::other("the snapshot is not what its meta says"));
    }
    Ok(state)
}

fn handle((meta, bytes): Kept) -> Snapshot {
    Snapshot { meta, snapshot: Box::new(Cursor::new(bytes)) }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        let applied = self.applied(&self.0.view());
        let applied = applied.when(ErrorVerb::Read, ErrorSubject::StateMachine)?;
        Ok((applied.last, applied.membership))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Reply>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let replies = self.0.durably(|transaction| {
            let mut applied = self.applied(transaction)?;
            let entries = entries.into_iter();
            let replies = entries.map(|entry| self.apply_one(transaction, &mut applied, entry));
            let replies = replies.collect::<Result<_, _>>()?;
            self.0.put(transaction, Single::Applied, &applied)?;
            Ok(replies)
        });
        replies.when(ErrorVerb::Write, ErrorSubject::StateMachine)
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder { view: self.0.view(), db: self.0.clone() }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError> {
        let installed = self.install(meta, snapshot.into_inner());
        installed.when(ErrorVerb::Write, ErrorSubject::Snapshot(Some(meta.signature())))
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        let kept = self.0.get::<Kept>(&self.0.view(), Single::Snapshot);
        Ok(kept.when(ErrorVerb::Read, ErrorSubject::Snapshot(None))?.map(handle))
    }
}

/// Looks at the state as it was.
pub struct Builder {
    view: fjall::Snapshot,
    db: Database,
}

impl Builder {
    fn build(&self) -> Result<Kept, Error> {
        let applied: Applied = self.db.get(&self.view, Single::Applied)?.unwrap_or_default();
        let state = State { applied, keys: keys(&self.db, &self.view)? };
        let encoded = encode(&state)?;
        let crc = crc32fast::hash(&encoded);
        let Applied { last, membership } = state.applied;
        let id = last.map_or(String::new(), |id| id.to_string());
        let meta = SnapshotMeta {
            last_log_id: last,
            last_membership: membership,
            snapshot_id: format!("{id}-{crc}"),
        };
        let built = (meta, [&crc.to_le_bytes(), encoded.as_slice()].concat());
        self.db.durably(|transaction| {
            // A newer one may have been installed in the meantime.
            let current: Option<Kept> = self.db.get(transaction, Single::Snapshot)?;
            match current.is_none_or(|(meta, _)| meta.last_log_id <= last) {
                true => self.db.put(transaction, Single::Snapshot, &built),
                false => Ok(()),
            }
        })?;
        Ok(built)
    }
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        let built = self.build().when(ErrorVerb::Write, ErrorSubject::Snapshot(None));
        built.map(handle)
    }
}
