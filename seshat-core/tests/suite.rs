//! openraft's own storage suite on [`MemStorage`]'s halves, each function its own test.

use openraft::StorageError;
use openraft::testing::{StoreBuilder, Suite};
use seshat_core::log::LogStore;
use seshat_core::machine::MachineStore;
use seshat_core::types::{NodeId, TypeConfig};

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, MachineStore, ()> for Builder {
    async fn build(&self) -> Result<((), LogStore, MachineStore), StorageError<NodeId>> {
        Ok(((), LogStore::default(), MachineStore::default()))
    }
}

type OurSuite = Suite<TypeConfig, LogStore, MachineStore, Builder, ()>;

macro_rules! suite {
    ($($name:ident)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                OurSuite::$name(LogStore::default(), MachineStore::default()).await.unwrap();
            }
        )*
    };
}

suite! {
    last_membership_in_log_initial
    last_membership_in_log
    last_membership_in_log_multi_step
    get_membership_initial
    get_membership_from_log_and_empty_sm
    get_membership_from_empty_log_and_sm
    get_membership_from_log_le_sm_last_applied
    get_membership_from_log_gt_sm_last_applied_1
    get_membership_from_log_gt_sm_last_applied_2
    get_initial_state_without_init
    get_initial_state_with_state
    get_initial_state_membership_from_log_and_sm
    get_initial_state_last_log_gt_sm
    get_initial_state_last_log_lt_sm
    get_initial_state_log_ids
    get_initial_state_re_apply_committed
    save_vote
    get_log_entries
    limited_get_log_entries
    try_get_log_entry
    initial_logs
    get_log_state
    get_log_id
    last_id_in_log
    last_applied_state
    purge_logs_upto_0
    purge_logs_upto_5
    purge_logs_upto_20
    delete_logs_since_11
    delete_logs_since_0
    append_to_log
    snapshot_meta
    apply_single
    apply_multiple
}

#[tokio::test]
async fn transfer_snapshot() {
    OurSuite::transfer_snapshot(&Builder).await.unwrap();
}
