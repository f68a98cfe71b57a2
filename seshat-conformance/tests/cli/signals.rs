//! What becomes of a run, and of its children, when the process is told to end.

pub(crate) use on::*;

#[cfg(unix)]
mod on {
    use std::path::Path;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use crate::store::PID;
    use crate::{HARNESS, code, store, text};

    fn signal(pid: u32, signal: &str) -> bool {
        let kill =
            Command::new("kill").args([signal, &pid.to_string()]).stderr(Stdio::null()).status();
        kill.unwrap().success()
    }

    fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(found) = found() {
                return found;
            }
            assert!(Instant::now() < deadline, "{what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn pid_in(path: &Path) -> Option<u32> {
        std::fs::read_to_string(path).ok()?.parse().ok()
    }

    fn hanging(dir: &Path) -> (std::process::Child, u32) {
        let pid = dir.join("pid");
        let parent = store(
            "hang",
            &[
                "suite/get_membership_initial",
                "suite/save_vote",
                "suite/apply_single",
                "--jobs",
                "1",
            ],
        )
        .env(PID, &pid)
        .env("TMPDIR", dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
        let child = wait_for("the child saves a vote", || pid_in(&pid));
        (parent, child)
    }

    pub(crate) fn ctrl_c_ends_the_run_with_a_partial_report() {
        for (name, exit) in [("-INT", 130), ("-TERM", 143)] {
            let dir = tempfile::tempdir().unwrap();
            let (parent, child) = hanging(dir.path());
            let asked = Instant::now();
            assert!(signal(parent.id(), name));
            let output = parent.wait_with_output().unwrap();
            assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
            assert_eq!(code(&output), exit, "{output:?}");
            let report = text(&output.stdout);
            assert!(report.contains("INTERRUPTED  1 passed"), "{report}");
            assert!(report.contains("2 checks did not run"), "{report}");
            assert!(!signal(child, "-0"), "an orphan");
            let left = std::fs::read_dir(dir.path()).unwrap().count();
            assert_eq!(left, 1, "more than the pid file is left");
        }
    }

    pub(crate) fn ctrl_c_ends_a_test_target_and_leaves_nothing() {
        for (name, exit) in [("-INT", 130), ("-TERM", 143)] {
            let dir = tempfile::tempdir().unwrap();
            let pid = dir.path().join("pid");
            let target = store("hang", &["suite/"])
                .env(HARNESS, "1")
                .env(PID, &pid)
                .env("TMPDIR", dir.path())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            wait_for("a child saves a vote", || pid_in(&pid));
            let asked = Instant::now();
            assert!(signal(target.id(), name));
            let output = target.wait_with_output().unwrap();
            assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
            assert_eq!(code(&output), exit, "{output:?}");
            let left = std::fs::read_dir(dir.path()).unwrap().count();
            assert_eq!(left, 1, "more than the pid file is left");
        }
    }

    pub(crate) fn a_parent_that_is_killed_leaves_no_orphan() {
        let dir = tempfile::tempdir().unwrap();
        let (mut parent, child) = hanging(dir.path());
        parent.kill().unwrap();
        parent.wait().unwrap();
        wait_for("the child ends", || (!signal(child, "-0")).then_some(()));
    }
}

#[cfg(not(unix))]
mod on {
    pub(crate) fn ctrl_c_ends_the_run_with_a_partial_report() {}

    pub(crate) fn ctrl_c_ends_a_test_target_and_leaves_nothing() {}

    pub(crate) fn a_parent_that_is_killed_leaves_no_orphan() {}
}
