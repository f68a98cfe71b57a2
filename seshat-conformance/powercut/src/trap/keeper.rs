//! The keeper: a thread that answers the calls of those that are filtered.

use std::fs;
use std::sync::mpsc;
use std::thread;

use super::handle::handle;
use super::sys::{self, Family, Listener};
use crate::error::Unsupported;

/// Makes sure that calls of this thread stop, and of all that it starts from now on. A keeper ends
/// with the last thread that it serves.
pub(crate) fn ensure() -> Result<Family, Unsupported> {
    if let Some(family) = sys::family() {
        return Ok(family);
    }
    // The keeper is there first: it must not be filtered itself.
    let (give, take) = mpsc::channel();
    let serve = move || take.recv().iter().for_each(serve);
    let keeper = thread::Builder::new().name(NAME.to_owned());
    keeper.spawn(serve).map_err(Unsupported::Thread)?;
    let sent = give.send(sys::listen()?);
    let family = sent.ok().and_then(|()| sys::family()).ok_or(Unsupported::NoEffect)?;
    tracing::debug!("calls of this thread are watched from now on");
    Ok(family)
}

const NAME: &str = "powercut-keeper";

/// The names of this process's threads that no keeper serves, other than keepers.
pub(crate) fn bystanders() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let threads: Vec<_> = tasks.filter_map(|task| status(&task.path().join("status"))).collect();
    // Around a container there may be filters on every thread: ours is one more.
    let fewest = threads.iter().map(|(_, filters)| *filters).min();
    let without = threads.into_iter().filter(|(_, filters)| Some(*filters) == fewest);
    without.map(|(name, _)| name).filter(|name| name != NAME).collect()
}

/// A thread's name and the number of filters on it.
fn status(path: &std::path::Path) -> Option<(String, u32)> {
    let status = fs::read_to_string(path).ok()?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    let filters = field("Seccomp_filters:")?.trim().parse().ok()?;
    Some((field("Name:")?.trim().to_owned(), filters))
}

fn serve(listener: &Listener) {
    while let Some(notice) = listener.next() {
        let answer = handle(&notice);
        notice.answer(answer);
    }
}
