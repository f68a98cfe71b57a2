//! A node that runs as a process of its own, and what it is asked.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::{DEADLINE, node};

/// Which build a process is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    Old,
    New,
    /// The new one, told to let the cluster write what the old one reads.
    Holding,
}

/// What a node answered: words, or words that begin with why not.
pub(crate) type Answer = Result<String, String>;

type Asked = Arc<Mutex<HashMap<u64, oneshot::Sender<Answer>>>>;

/// Killed when it is dropped.
pub(crate) struct Process {
    pub(crate) id: u64,
    pub(crate) address: String,
    child: tokio::sync::Mutex<Child>,
    stdin: tokio::sync::Mutex<ChildStdin>,
    asked: Asked,
    number: AtomicU64,
    admission: tokio::sync::Mutex<Option<oneshot::Receiver<Answer>>>,
    log: watch::Receiver<String>,
}

/// How a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) leads: bool,
    pub(crate) format: u64,
    pub(crate) applied: u64,
    pub(crate) keys: u64,
    pub(crate) digest: String,
}

impl Process {
    pub(crate) fn start(id: u64, address: &str, config: &str, build: Build) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", node::NAME, "--nocapture"]).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env_remove("SESHAT_NEXT").env(node::LISTEN, address);
        let hold = if build == Build::Holding { "max_format = 3\n" } else { "" };
        command.env(node::CONFIG, format!("{hold}{config}"));
        if build != Build::Old {
            command.env("SESHAT_NEXT", "1");
        }
        let mut child = command.spawn().unwrap();
        let (admitted, admission) = oneshot::channel();
        let asked = Asked::new(Mutex::new(HashMap::from([(0, admitted)])));
        tokio::spawn(distribute(child.stdout.take().unwrap(), Arc::clone(&asked)));
        Self {
            id,
            address: address.to_owned(),
            stdin: child.stdin.take().unwrap().into(),
            log: follow(child.stderr.take().unwrap()),
            child: child.into(),
            asked,
            number: AtomicU64::new(1),
            admission: Some(admission).into(),
        }
    }

    pub(crate) async fn ask(&self, words: &str) -> Answer {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.asked.lock().unwrap().insert(number, answer);
        let line = format!("{number} {words}\n");
        if self.stdin.lock().await.write_all(line.as_bytes()).await.is_err() {
            return Err("unknown: it has ended".to_owned());
        }
        match timeout(DEADLINE, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err("unknown: it has ended".to_owned()),
            Err(_) => panic!("node {} doesn't answer {words:?}", self.id),
        }
    }

    /// How it was admitted. Asked once.
    pub(crate) async fn admission(&self) -> Answer {
        let admission = self.admission.lock().await.take().expect("asked once");
        let ended = timeout(DEADLINE, admission).await;
        ended.unwrap_or_else(|_| panic!("node {} isn't admitted", self.id)).expect("it ends before")
    }

    pub(crate) async fn status(&self) -> Status {
        self.try_status().await.expect("it runs")
    }

    pub(crate) async fn try_status(&self) -> Option<Status> {
        let answer = self.ask("status").await.ok()?;
        let [leads, format, applied, keys, digest] =
            answer.split(' ').collect::<Vec<_>>().try_into().unwrap();
        Some(Status {
            leads: leads.parse().unwrap(),
            format: format.parse().unwrap(),
            applied: applied.parse().unwrap(),
            keys: keys.parse().unwrap(),
            digest: digest.to_owned(),
        })
    }

    /// Waits until it has logged that.
    pub(crate) async fn says(&self, words: &str) {
        let mut log = self.log.clone();
        let said = timeout(DEADLINE, log.wait_for(|log| log.contains(words))).await;
        let heard = matches!(said, Ok(Ok(_)));
        drop(said);
        assert!(heard, "node {} never said {words:?}: {}", self.id, *self.log.borrow());
    }

    /// Has it shut down, which hands over what it leads.
    pub(crate) async fn stop(&self) {
        // It may end before it answers.
        let _ = self.ask("stop").await;
        let ended = timeout(DEADLINE, async { self.child.lock().await.wait().await }).await;
        assert!(ended.unwrap().unwrap().success(), "node {}: {}", self.id, *self.log.borrow());
    }
}

/// Gives each answer to who asked for it.
async fn distribute(from: impl AsyncRead + Unpin, asked: Asked) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        // All else is the test harness's.
        let Some((number, outcome, words)) = parse(&line) else { continue };
        let Some(answer) = asked.lock().unwrap().remove(&number) else { continue };
        // Nobody may wait for it any more.
        let _ = answer.send(if outcome == "ok" { Ok(words) } else { Err(words) });
    }
    asked.lock().unwrap().clear();
}

fn parse(line: &str) -> Option<(u64, &str, String)> {
    let mut parts = line.split(node::MARK).nth(1)?.splitn(3, ' ');
    let (number, outcome) = (parts.next()?.parse().ok()?, parts.next()?);
    Some((number, outcome, parts.next().unwrap_or_default().to_owned()))
}

/// All that is logged, as it comes.
fn follow(from: impl AsyncRead + Unpin + Send + 'static) -> watch::Receiver<String> {
    let (log, followed) = watch::channel(String::new());
    tokio::spawn(async move {
        let mut lines = BufReader::new(from).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            log.send_modify(|log| {
                log.push_str(&line);
                log.push('\n');
            });
        }
    });
    followed
}
