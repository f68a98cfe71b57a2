//! Family `snapshot`: building, keeping, receiving and installing.

mod build;
pub(crate) mod identity;
mod install;
pub(crate) mod overtaken;
mod refuse;
mod shorter;

pub(crate) use self::build::newest;
pub(crate) use self::install::bytes_of;
pub(crate) use crate::subject::verify_data;

use crate::check::Check;
use crate::driver::store::Snapshot;
use crate::failure::Failure;
use crate::subject::Subject;

pub(crate) fn checks() -> Vec<Check> {
    let all = [
        build::checks(),
        identity::checks(),
        overtaken::checks(),
        install::checks(),
        shorter::checks(),
        refuse::checks(),
    ];
    all.into_iter().flatten().collect()
}

/// The current snapshot.
pub(crate) async fn current(subject: &mut Subject<'_>) -> Result<Option<Snapshot>, Failure> {
    let current = subject.machine.current();
    subject.lab.call("get_current_snapshot", current).await
}

/// The current snapshot, which must be there.
pub(crate) async fn expect_current(subject: &mut Subject<'_>) -> Result<Snapshot, Failure> {
    current(subject).await?.ok_or_else(|| {
        let what = "get_current_snapshot gives none after a snapshot was built or installed";
        Failure::broken(what, "the current snapshot", "None")
    })
}
