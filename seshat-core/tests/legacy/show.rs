//! Messages in the words in which the recorder put them.

use bytes::Bytes;
use prost::Message as _;
use seshat_core::legacy::bincode::{read_image, read_operation};
use seshat_core::legacy::eraftpb::{
    ConfChange, ConfChangeSingle, ConfChangeV2, ConfState, Entry, HardState, Message, Snapshot,
    SnapshotMetadata,
};
use seshat_core::operation::Operation;

/// What our decoders make of bytes of that kind.
pub(crate) fn read(kind: &str, bytes: &Bytes) -> Result<String, String> {
    let text = |error: prost::DecodeError| error.to_string();
    let bytes = bytes.clone();
    match kind {
        "Entry" => Entry::decode(bytes).map(|read| entry(&read)).map_err(text),
        "HardState" => HardState::decode(bytes).map(|read| hard_state(&read)).map_err(text),
        "ConfState" => ConfState::decode(bytes).map(|read| conf_state(&read)).map_err(text),
        "ConfChange" => ConfChange::decode(bytes).map(|read| conf_change(&read)).map_err(text),
        "ConfChangeSingle" => {
            ConfChangeSingle::decode(bytes).map(|read| single(&read)).map_err(text)
        }
        "ConfChangeV2" => {
            ConfChangeV2::decode(bytes).map(|read| conf_change_v2(&read)).map_err(text)
        }
        "SnapshotMetadata" => {
            SnapshotMetadata::decode(bytes).map(|read| metadata(&read)).map_err(text)
        }
        "Snapshot" => Snapshot::decode(bytes).map(|read| snapshot(&read)).map_err(text),
        "Message" => Message::decode(bytes).map(|read| message(&read)).map_err(text),
        "Operation" => {
            read_operation(&bytes).map(|read| operation(&read)).map_err(|error| error.to_string())
        }
        "Image" => read_image(&bytes)
            .map(|read| {
                let pairs = read.data.iter().map(|(k, v)| format!("{}={}", hex(k), hex(v)));
                let last = read.last_applied.map_or("none".to_owned(), |last| last.to_string());
                let data = pairs.collect::<Vec<_>>().join(", ");
                format!("Image{{data:[{data}], last_applied:{last}}}")
            })
            .map_err(|error| error.to_string()),
        kind => panic!("no kind {kind}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn join<T>(all: &[T], show: impl Fn(&T) -> String) -> String {
    all.iter().map(show).collect::<Vec<_>>().join(", ")
}

fn operation(read: &Operation) -> String {
    match read {
        Operation::Set(set) => format!("Set{{key:{}, value:{}}}", hex(set.key()), hex(set.value())),
        Operation::Del(del) => {
            let keys: Vec<&[u8]> = del.keys().iter().collect();
            format!("Del{{keys:[{}]}}", join(&keys, |key| hex(key)))
        }
    }
}

fn entry(read: &Entry) -> String {
    let Entry { entry_type, term, index, data, sync_log, context } = read;
    let (data, context) = (hex(data), hex(context));
    format!(
        "Entry{{entry_type:{entry_type}, term:{term}, index:{index}, data:{data}, \
         sync_log:{sync_log}, context:{context}}}"
    )
}

fn hard_state(read: &HardState) -> String {
    let HardState { term, vote, commit } = read;
    format!("HardState{{term:{term}, vote:{vote}, commit:{commit}}}")
}

fn conf_state(read: &ConfState) -> String {
    let ConfState { voters, learners, voters_outgoing, learners_next, auto_leave } = read;
    format!(
        "ConfState{{voters:{voters:?}, learners:{learners:?}, voters_outgoing:{voters_outgoing:?}, \
         learners_next:{learners_next:?}, auto_leave:{auto_leave}}}"
    )
}

fn conf_change(read: &ConfChange) -> String {
    let ConfChange { id, change_type, node_id, context } = read;
    let context = hex(context);
    format!(
        "ConfChange{{id:{id}, change_type:{change_type}, node_id:{node_id}, context:{context}}}"
    )
}

fn single(read: &ConfChangeSingle) -> String {
    let ConfChangeSingle { change_type, node_id } = read;
    format!("ConfChangeSingle{{change_type:{change_type}, node_id:{node_id}}}")
}

fn conf_change_v2(read: &ConfChangeV2) -> String {
    let ConfChangeV2 { transition, changes, context } = read;
    let (changes, context) = (join(changes, single), hex(context));
    format!("ConfChangeV2{{transition:{transition}, changes:[{changes}], context:{context}}}")
}

fn metadata(read: &SnapshotMetadata) -> String {
    let SnapshotMetadata { conf_state: state, index, term } = read;
    let state = conf_state(&state.clone().unwrap_or_default());
    format!("SnapshotMetadata{{conf_state:{state}, index:{index}, term:{term}}}")
}

fn snapshot(read: &Snapshot) -> String {
    let Snapshot { data, metadata: about } = read;
    let (data, about) = (hex(data), metadata(&about.clone().unwrap_or_default()));
    format!("Snapshot{{data:{data}, metadata:{about}}}")
}

fn message(read: &Message) -> String {
    let Message { msg_type, to, from, term, log_term, index, commit, commit_term, .. } = read;
    let Message { request_snapshot, reject, reject_hint, deprecated_priority, priority, .. } = read;
    let entries = join(&read.entries, entry);
    let snapshot = snapshot(&read.snapshot.clone().unwrap_or_default());
    let context = hex(&read.context);
    format!(
        "Message{{msg_type:{msg_type}, to:{to}, from:{from}, term:{term}, log_term:{log_term}, \
         index:{index}, entries:[{entries}], commit:{commit}, commit_term:{commit_term}, \
         snapshot:{snapshot}, request_snapshot:{request_snapshot}, reject:{reject}, \
         reject_hint:{reject_hint}, context:{context}, \
         deprecated_priority:{deprecated_priority}, priority:{priority}}}"
    )
}
