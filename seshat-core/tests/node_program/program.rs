//! The program, running.

use std::ffi::OsStr;
use std::process::Stdio;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::DEADLINE;

/// A process, killed when it is dropped.
pub(crate) struct Program {
    child: Child,
    out: watch::Receiver<String>,
    err: watch::Receiver<String>,
}

/// What a process left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Program {
    pub(crate) fn start<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seshat"));
        command.args(arguments).env_remove("RUST_LOG").kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = follow(child.stdout.take().unwrap());
        let err = follow(child.stderr.take().unwrap());
        Self { child, out, err }
    }

    /// The process's number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// What it wrote to standard output so far.
    pub(crate) fn said(&self) -> String {
        self.out.borrow().clone()
    }

    /// What it wrote to standard error so far.
    pub(crate) fn logged(&self) -> String {
        self.err.borrow().clone()
    }

    /// Waits until it has said that.
    pub(crate) async fn says(&mut self, text: &str) {
        let said = timeout(DEADLINE, self.out.wait_for(|out| out.contains(text))).await;
        let heard = matches!(said, Ok(Ok(_)));
        drop(said);
        assert!(heard, "never said {text:?}: {}{}", *self.out.borrow(), *self.err.borrow());
    }

    /// Waits until it has logged that.
    pub(crate) async fn logs(&mut self, text: &str) {
        let logged = timeout(DEADLINE, self.err.wait_for(|err| err.contains(text))).await;
        let heard = matches!(logged, Ok(Ok(_)));
        drop(logged);
        assert!(heard, "never logged {text:?}: {}", *self.err.borrow());
    }

    pub(crate) fn kill(&mut self) {
        self.child.start_kill().unwrap();
    }

    /// Sends a signal by its name.
    pub(crate) async fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status().await.unwrap();
        assert!(sent.success(), "{sent}");
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) -> Ended {
        let status = timeout(DEADLINE, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| {
            panic!("it doesn't end: {}{}", *self.out.borrow(), *self.err.borrow())
        });
        // Both pipes are closed now.
        while self.out.changed().await.is_ok() {}
        while self.err.changed().await.is_ok() {}
        let (out, err) = (self.out.borrow().clone(), self.err.borrow().clone());
        Ended { code: status.unwrap().code(), out, err }
    }
}

/// All that comes, as it comes.
fn follow(mut from: impl AsyncRead + Unpin + Send + 'static) -> watch::Receiver<String> {
    let (text, followed) = watch::channel(String::new());
    tokio::spawn(async move {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut bytes).await {
            text.send_modify(|text| text.push_str(&String::from_utf8_lossy(&bytes[..count])));
        }
    });
    followed
}

pub(crate) async fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Ended {
    Program::start(arguments).ended().await
}
