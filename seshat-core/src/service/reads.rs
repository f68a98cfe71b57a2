//! What clients read: a key, many keys, pages of keys, each of one state.

use std::time::Duration;

use super::Service;
use super::answer::Not;
use crate::config::memory::{PAGE_BYTES, VALUES_BYTES};
use crate::machine::Scan;
use crate::node::{Behind, ReadLevel};
use crate::proto::client as proto;

/// Keys in one request.
const MOST_KEYS: usize = 1024;
/// Bytes of values in the answer, unless one value may have more.
const MOST_VALUES: usize = VALUES_BYTES as usize;
/// Keys in one page, and the bytes of them and their values.
const PAGE: (usize, usize) = (10_000, PAGE_BYTES as usize);

fn level(level: i32, local: bool) -> Result<ReadLevel, Not> {
    match proto::ReadLevel::try_from(level) {
        Ok(proto::ReadLevel::Unspecified) if local => Ok(ReadLevel::Local),
        Ok(proto::ReadLevel::Unspecified | proto::ReadLevel::Linearizable) => {
            Ok(ReadLevel::Linearizable)
        }
        Ok(proto::ReadLevel::Leader) => Ok(ReadLevel::Leader),
        Ok(proto::ReadLevel::Local) => Ok(ReadLevel::Local),
        Err(_) => Err(Not::ever("reads of a level that this node doesn't know")),
    }
}

fn to_wire(Behind { applied, committed, heard }: Behind) -> proto::Behind {
    let ms = |heard: Duration| u64::try_from(heard.as_millis()).unwrap_or(u64::MAX);
    proto::Behind { applied, committed, heard_ms: heard.map(ms) }
}

impl Service {
    /// How far what is read next is behind, where that is what the client asked for.
    async fn behind(&self, level: ReadLevel) -> Option<proto::Behind> {
        match level {
            ReadLevel::Local => Some(to_wire(self.node.behind().await)),
            ReadLevel::Linearizable | ReadLevel::Leader => None,
        }
    }

    /// Reads once the state may answer, and it is the call's `turn`: what waits for that is no answer yet.
    pub(super) async fn read<T>(
        &self,
        request: proto::ReadRequest,
        turn: impl Future<Output = T>,
    ) -> Result<(proto::Value, T), Not> {
        let level = level(request.level, request.local)?;
        let behind = self.behind(level).await;
        self.node.await_level(level).await?;
        let turn = turn.await;
        Ok((proto::Value { value: self.node.read(&request.key).await?, behind }, turn))
    }

    /// As [`read`](Self::read).
    pub(super) async fn get_many<T>(
        &self,
        request: proto::GetManyRequest,
        turn: impl Future<Output = T>,
    ) -> Result<(proto::Values, T), Not> {
        let (level, got) = (level(request.level, false)?, request.keys.len());
        if got > MOST_KEYS {
            let words = format!("GET of {got} keys: at most {MOST_KEYS} are read at once");
            return Err(Not::ever(words));
        }
        let behind = self.behind(level).await;
        let most = MOST_VALUES.max(self.node.limits().max_value_bytes);
        self.node.await_level(level).await?;
        let turn = turn.await;
        let values = self.node.get_many(&request.keys, most, ReadLevel::Local).await?;
        let value = |value| proto::Value { value, behind: None };
        Ok((proto::Values { values: values.into_iter().map(value).collect(), behind }, turn))
    }

    /// As [`read`](Self::read).
    pub(super) async fn scan<T>(
        &self,
        request: proto::ScanRequest,
        turn: impl Future<Output = T>,
    ) -> Result<(proto::Page, T), Not> {
        let level = level(request.level, false)?;
        let (max_keys, max_bytes) = PAGE;
        let scan = Scan {
            prefix: request.prefix,
            after: request.after,
            max_keys: match request.max_keys as usize {
                0 => max_keys,
                keys => keys.min(max_keys),
            },
            max_bytes,
            values: !request.keys_only,
        };
        let behind = self.behind(level).await;
        self.node.await_level(level).await?;
        let turn = turn.await;
        let page = self.node.scan(scan, ReadLevel::Local).await?;
        let record = |(key, value)| proto::Record { key, value };
        let records = page.records.into_iter().map(record).collect();
        Ok((proto::Page { records, more: page.more, behind }, turn))
    }
}
