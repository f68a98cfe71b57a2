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
    is_recent(&fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default())?;
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

/// Linux 5.0 to 5.4 have notifications and can't let a call go on: once filtered, a thread there
/// could do nothing any more. So the version is asked, not tried.
fn is_recent(release: &str) -> Result<(), Unsupported> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) < (5, 5) => {
            Err(Unsupported::Old { release: release.trim().to_owned() })
        }
        _ => Ok(()),
    }
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

#[cfg(test)]
mod tests {
    use super::is_recent;

    #[test]
    fn a_kernel_that_cannot_let_a_call_go_on_is_refused() {
        for release in ["4.18.0-553.el8.x86_64", "5.4.0-190-generic", "3.10.0\n"] {
            let refused = is_recent(release).expect_err(release);
            assert!(refused.to_string().contains(release.trim()), "{refused}");
        }
        for release in ["5.5.0", "5.15.0-1-amd64", "6.1", "10.0.1-rc1", "unknown", ""] {
            is_recent(release).expect(release);
        }
    }
}
