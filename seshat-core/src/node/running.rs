//! Whether openraft's core runs.
//!
//! A core that panicked doesn't say so: what it reported last stays, a leadership too, as running, and
//! the channel closes, as it does when the core's runtime is gone.

use tokio::sync::watch;

use crate::error::Stopped;
use crate::types::RaftMetrics;

/// What the core reports of itself, which counts as seen from now on; or why it stopped.
pub(super) fn running(
    reports: &mut watch::Receiver<RaftMetrics>,
) -> Result<watch::Ref<'_, RaftMetrics>, Stopped> {
    let silent = reports.has_changed().is_err();
    let now = reports.borrow_and_update();
    now.running_state.clone().map_err(Stopped::from)?;
    if silent { Err(Stopped::Panicked) } else { Ok(now) }
}
