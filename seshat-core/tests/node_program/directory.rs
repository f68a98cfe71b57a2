//! A node with a `data_dir` is itself again, however it ended; what is wrong with one is said, with an exit
//! code for each case.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use prost::Message;
use rstest::rstest;
use seshat_core::proto::v1;
use twox_hash::XxHash3_64;

use crate::cluster::{self, Cluster, IDS, port};
use crate::memory::SNAPSHOTS;
use crate::program::{Ended, Program, run};
use crate::writer::Writer;

/// Starts nodes that were killed: none of them needs a ceremony.
async fn come_back(cluster: &mut Cluster, ids: &[u64]) {
    for id in ids {
        cluster.run(*id);
    }
    for id in ids {
        let node = cluster.running.get_mut(id).unwrap();
        node.says(&format!("node {id} takes part again\n")).await;
        assert!(!node.said().contains("waits"), "{}", node.said());
    }
}

/// How often all three are killed.
const KILLS: u64 = 2;

/// A client writes on and on while all three are killed at once, and again: what it was told is written is
/// there, and of what it was told nothing, any part.
#[rstest]
#[case::from_the_log("")]
#[case::from_snapshots(SNAPSHOTS)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_three_are_killed_and_nothing_is_lost(#[case] settings: &'static str) {
    let mut cluster = Cluster::start_on_disk(settings).await;
    let mut writer = Writer::start(cluster.client());
    for _ in 0..KILLS {
        writer.more(40).await;
        cluster.running.values_mut().for_each(Program::kill);
        for id in IDS {
            assert_eq!(cluster.take(id).ended().await.code, None);
        }
        come_back(&mut cluster, &IDS).await;
    }
    writer.more(20).await;
    let written = writer.finish(&cluster).await;
    assert!(written.failed.is_empty(), "{:?}", written.failed);
    let statuses = cluster.settled().await;
    // On a busy machine they die one after the other: the write that was under way at the leader isn't
    // answered, nor the next, which goes to a follower that is to die yet. So each node costs one at most, each
    // time, and each leader that an election has ended; who tells nothing of what was never sent costs hundreds.
    let unknown = written.unknown.len() as u64;
    let most = KILLS * IDS.len() as u64 + statuses[0].term;
    assert!(unknown <= most, "more than was under way, {most}: {:?}", written.unknown);
    let count = written.acknowledged.len() as u64;
    // What nobody has seen yet may still come to pass.
    let keys = count + written.done..=count + unknown;
    assert!(statuses.iter().all(|it| keys.contains(&it.keys)), "{keys:?}: {statuses:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_killed_comes_back_as_itself() {
    let mut cluster = Cluster::start_on_disk("").await;
    let mut writer = Writer::start(cluster.client());
    writer.more(50).await;
    let first = cluster.leader().await;
    cluster.kill(first).await;
    writer.more(50).await;
    assert_ne!(cluster.leader().await, first);
    come_back(&mut cluster, &[first]).await;
    cluster.settled().await;
    // Its vote is needed now.
    let second = cluster.leader().await;
    let node = cluster.take(second);
    node.signal("TERM").await;
    assert_eq!(node.ended().await.code, Some(0));
    writer.more(50).await;
    come_back(&mut cluster, &[second]).await;
    let written = writer.finish(&cluster).await;
    assert!(written.failed.is_empty(), "{:?}", written.failed);
    cluster.settled().await;
}

/// A lost directory is refused as a lost memory is; and a node that is killed before it has caught up is as
/// bound when it starts again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_directory_is_lost_is_removed_and_added_however_often_it_is_killed() {
    let mut cluster = Cluster::start_on_disk("").await;
    let client = cluster.client();
    client.set("key", "value").await.unwrap();
    let id = 3;
    cluster.kill(id).await;
    let data_dir = cluster.data_dir(id);
    fs::remove_dir_all(&data_dir).unwrap();
    // A read may be repeated.
    assert!(client.get("key").await.unwrap().is_some());

    cluster.run(id);
    let ended = cluster.take(id).ended().await;
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    let expected = format!(
        "seshat: data_dir {} is empty: node {id} is a member of cluster \"seshat\" (node ",
        data_dir.display()
    );
    assert!(ended.err.contains(&expected), "{ended:#?}");

    client.remove(id).await.unwrap();
    cluster.run(id).says("waits to be added").await;
    for _ in 0..2 {
        cluster.kill(id).await;
        let words = format!("node {id} takes part again, and votes when it has caught up");
        cluster.run(id).says(&words).await;
    }
    client.add(id, cluster.address(id)).await.unwrap();
    cluster.settled().await;
    cluster.kill(id).await;
    come_back(&mut cluster, &[id]).await;
    let statuses = cluster.settled().await;
    assert!(statuses.iter().all(|it| it.keys == 1), "{statuses:#?}");
}

/// One node alone, in a folder of its own.
struct Alone {
    folder: tempfile::TempDir,
}

impl Alone {
    /// It has written something, and ended in peace.
    async fn ended() -> Self {
        let alone = Self { folder: tempfile::tempdir().unwrap() };
        let mut node = Program::start(["serve", "--config", &alone.config(1, "seshat")]);
        node.says("forms the cluster").await;
        node.signal("TERM").await;
        let ended = node.ended().await;
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        alone
    }

    fn data_dir(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    fn config(&self, id: u64, cluster: &str) -> String {
        let text = format!(
            "node_id = {id}\nsingle_node = true\ncluster_name = {cluster:?}\ndata_dir = {:?}\n\
             members = [{{ id = {id}, address = \"127.0.0.1:{}\" }}]\n",
            self.data_dir(),
            port()
        );
        cluster::file(self.folder.path(), "node.toml", &text)
    }

    /// What it says that is refused; nothing in the directory is changed.
    async fn refused(&self, id: u64, cluster: &str) -> (Option<i32>, String) {
        let before = files(&self.data_dir());
        let Ended { code, err, .. } = run(["serve", "--config", &self.config(id, cluster)]).await;
        assert_eq!(files(&self.data_dir()), before, "what is refused is not changed");
        let (_, said) = err.split_once("seshat: ").unwrap_or_else(|| panic!("{err}"));
        (code, said.replace(self.data_dir().to_str().unwrap(), "DIR"))
    }
}

/// But for the lock, in which whoever tried has left its number.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            let below = self::files(&path);
            files
                .extend(below.into_iter().map(|(below, bytes)| (format!("{name}/{below}"), bytes)));
        } else if name != "LOCK" {
            files.insert(name, fs::read(&path).unwrap());
        }
    }
    files
}

#[tokio::test]
async fn a_directory_of_another_is_refused_by_name() {
    let alone = Alone::ended().await;
    let (code, said) = alone.refused(2, "seshat").await;
    assert_eq!(code, Some(6), "{said}");
    insta::assert_snapshot!(said, @"data_dir DIR is not this node's: the directory belongs to node 1, this is node 2. Mend node_id, cluster_name or data_dir");
    let (code, said) = alone.refused(1, "library").await;
    assert_eq!(code, Some(6), "{said}");
    insta::assert_snapshot!(said, @"data_dir DIR is not this node's: the directory belongs to cluster \"seshat\", this node is of \"library\". Mend node_id, cluster_name or data_dir");
}

#[tokio::test]
async fn a_directory_of_a_newer_version_is_refused_by_name() {
    let alone = Alone::ended().await;
    let file = alone.data_dir().join("IDENTITY");
    let bytes = fs::read(&file).unwrap();
    let (head, body) = bytes.split_at(24);
    let identity = v1::Identity { format_version: 2, ..v1::Identity::decode(body).unwrap() };
    let body = identity.encode_to_vec();
    let sum = XxHash3_64::oneshot(&body).to_le_bytes();
    fs::write(&file, [&head[..16], &sum, &body].concat()).unwrap();
    let (code, said) = alone.refused(1, "seshat").await;
    assert_eq!(code, Some(6), "{said}");
    insta::assert_snapshot!(said, @"data_dir DIR is of a newer version: IDENTITY has format 2, this build reads 1 to 1: a newer one wrote it, so run that");
}

#[tokio::test]
async fn a_directory_that_is_in_use_is_refused_by_name() {
    let alone = Alone::ended().await;
    let config = alone.config(1, "seshat");
    let mut node = Program::start(["serve", "--config", &config]);
    node.says("takes part again").await;
    let elsewhere = format!("127.0.0.1:{}", port());
    let ended = run(["serve", "--config", &config, "--listen", &elsewhere]).await;
    assert_eq!(ended.code, Some(5), "{ended:#?}");
    let (at, pid) = (alone.data_dir(), node.id());
    let expected = format!(
        "seshat: data_dir {} is in use: LOCK is locked: process {pid} has the log open. End that, or give \
         node 1 another directory",
        at.display()
    );
    assert!(ended.err.contains(&expected), "{ended:#?}");
}

/// A byte of the log has changed: the six lines that an operator needs.
#[tokio::test]
async fn a_directory_that_is_damaged_is_refused_with_what_to_do() {
    let alone = Alone::ended().await;
    let file = alone.data_dir().join("wal/000000000001.seg");
    let mut bytes = fs::read(&file).unwrap();
    // Within the first entry's frame, behind the checkpoint.
    let checkpoint = u32::from_le_bytes(bytes[4100..4104].try_into().unwrap()) as usize;
    let at = 4096 + 48 + checkpoint.next_multiple_of(8) + 50;
    bytes[at] ^= 1;
    fs::write(&file, bytes).unwrap();
    let (code, said) = alone.refused(1, "seshat").await;
    assert_eq!(code, Some(7), "{said}");
    let address = said.rsplit_once("127.0.0.1:").unwrap().1.trim_end().to_owned();
    // How often it was written that all is durable depends on the pauses between.
    let (before, rest) = said.split_once("though frame ").unwrap();
    let said = format!("{before}though frame N{}", rest.trim_start_matches(char::is_numeric));
    insta::assert_snapshot!(said.replace(&address, "PORT"), @"
    data_dir DIR is damaged: wal/000000000001.seg at byte 4144: frame 2 has a body that doesn't verify, though frame N says that it was durable; entry 0 is affected
    Nothing in it was changed. Node 1 may have promised what it can't keep any more, so it must not go on:
    1. remove it from its cluster: seshat client --to ADDRESS remove 1
    2. move its directory away: mv DIR DIR.damaged
    3. start it again, and it waits to be added
    4. add it, and it is sent all that it lacks: seshat client --to ADDRESS add 1 127.0.0.1:PORT
    ");
}

/// A file in its place, say: it is no refusal of the storage's.
#[tokio::test]
async fn what_the_system_refuses_is_said() {
    let alone = Alone { folder: tempfile::tempdir().unwrap() };
    fs::write(alone.data_dir(), "a file").unwrap();
    let ended = run(["serve", "--config", &alone.config(1, "seshat")]).await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let expected = format!("seshat: data_dir {} can't be opened: ", alone.data_dir().display());
    assert!(ended.err.contains(&expected), "{ended:#?}");
}

#[tokio::test]
async fn a_node_without_a_directory_warns_that_it_keeps_nothing() {
    let mut cluster = Cluster::new("");
    cluster.run(1).says("listens at").await;
    let node = cluster.take(1);
    node.signal("TERM").await;
    let ended = node.ended().await;
    let warned = ended.err.lines().find(|line| line.contains("WARN")).expect(&ended.err);
    assert!(warned.contains("no data_dir: all is kept in memory"), "{warned}");
}
