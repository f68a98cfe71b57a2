//! What views leave behind in the machine.

use openraft::storage::RaftStateMachine;

use super::*;
use crate::operation::{Batch, Limits, Operation};
use crate::types::{EntryPayload, LeaderId};

fn set(index: u64) -> Entry {
    let operation = Operation::set(index.to_be_bytes().to_vec(), "v", &Limits::default());
    let payload = EntryPayload::Normal(Batch::from(operation.unwrap()));
    Entry { log_id: LogId::new(LeaderId::new(1, 1), index), payload }
}

/// One view after the other, with no write but while one is held: `apply` never finds time to fold.
#[tokio::test]
async fn pages_and_digests_on_end_leave_no_layers_behind() {
    let mut store = MachineStore::default();
    let reader = store.reader();
    for index in 0..60 {
        let held = reader.freeze();
        store.apply([set(index)]).await.unwrap();
        drop(held);
        match index % 2 {
            0 => drop(reader.scan(Scan::default()).await.unwrap()),
            _ => drop(reader.shared_digest().await.unwrap()),
        }
        let layers = reader.shared.read().keys.layers();
        assert!(layers <= 2, "{layers} after {index} writes");
    }
    let page = reader.scan(Scan::default()).await.unwrap();
    assert_eq!(page.records.len(), 60);
}
