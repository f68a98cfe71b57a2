//! [`Suite`]: openraft's own test suite, one function at a time.

use std::fmt::Debug;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;

use openraft::RaftTypeConfig;
use openraft::StorageError;
use openraft::testing::StoreBuilder;

use super::Backend;

/// One of openraft's functions on stores opened in fresh directories below the one given. It
/// panics if the store fails.
pub type SuiteFunction<B> =
    for<'a> fn(&'a B, &'a Path) -> Pin<Box<dyn Future<Output = Outcome<B>> + 'a>>;

type Outcome<B> = Result<(), StorageError<<<B as Backend>::C as RaftTypeConfig>::NodeId>>;

/// Gives openraft's functions by name, where the types allow it.
pub trait Suite<B: Backend + ?Sized> {
    /// The function of that name; `None` if the suite can't be compiled with these types.
    fn function(name: &str) -> Option<SuiteFunction<B>>;
}

/// For types that openraft's suite can't be compiled with: its checks are skipped.
#[derive(Debug, Clone, Copy)]
pub struct NoSuite;

impl<B: Backend> Suite<B> for NoSuite {
    fn function(_: &str) -> Option<SuiteFunction<B>> {
        None
    }
}

/// openraft's suite.
#[derive(Debug, Clone, Copy)]
pub struct OpenraftSuite;

/// Opens each store that the suite asks for in a directory of its own.
struct Opener<'a, B> {
    backend: &'a B,
    dir: &'a Path,
}

impl<B: Backend> StoreBuilder<B::C, B::Log, B::Machine, tempfile::TempDir> for Opener<'_, B> {
    #[expect(clippy::panic, reason = "the suite itself fails by panic; the runner catches it")]
    async fn build(
        &self,
    ) -> Result<
        (tempfile::TempDir, B::Log, B::Machine),
        StorageError<<B::C as RaftTypeConfig>::NodeId>,
    > {
        let dir = tempfile::tempdir_in(self.dir)
            .unwrap_or_else(|error| panic!("no directory in {}: {error}", self.dir.display()));
        match self.backend.open(dir.path()).await {
            Ok((log, machine)) => Ok((dir, log, machine)),
            Err(error) => panic!("open failed on an empty directory: {error}"),
        }
    }
}

type S<'a, B> = openraft::testing::Suite<
    <B as Backend>::C,
    <B as Backend>::Log,
    <B as Backend>::Machine,
    Opener<'a, B>,
    tempfile::TempDir,
>;

macro_rules! suite {
    ($($name:ident)*) => {
        /// Names and check ids: those that take one store, in openraft's order, and the one for two.
        pub(crate) const SUITE: &[(&str, &str)] = &[
            $((stringify!($name), concat!("suite/", stringify!($name))),)*
            ("transfer_snapshot", "suite/transfer_snapshot"),
        ];

        impl<B: Backend> Suite<B> for OpenraftSuite
        where
            <B::C as RaftTypeConfig>::D: Debug,
            <B::C as RaftTypeConfig>::R: Debug,
            <B::C as RaftTypeConfig>::NodeId: From<u64>,
        {
            fn function(name: &str) -> Option<SuiteFunction<B>> {
                match name {
                    $(stringify!($name) => Some(|backend, dir| Box::pin(async move {
                        let (guard, log, machine) = Opener { backend, dir }.build().await?;
                        let outcome = S::<B>::$name(log, machine).await;
                        drop(guard);
                        outcome
                    })),)*
                    "transfer_snapshot" => Some(|backend, dir| Box::pin(async move {
                        S::<B>::transfer_snapshot(&Opener { backend, dir }).await
                    })),
                    _ => None,
                }
            }
        }
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
    get_initial_state_membership_from_log_and_sm
    get_initial_state_with_state
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
