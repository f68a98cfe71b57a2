//! Family `cluster`: three nodes on the store under test, with a client history that must be
//! linearizable, no acknowledged write lost, and equal states at the end.

mod agree;
mod client;
mod nodes;

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use self::agree::agree;
use self::client::{History, finish, load};
use self::nodes::Cluster;
use crate::check::{Check, check};
use crate::failure::Failure;
use crate::lab::Lab;
use crate::outcome::Verdict;

pub(crate) fn checks() -> Vec<Check> {
    vec![
        check!(
            "cluster/replicates", Must, [3, 11, 21, 22, 42], needs: [],
            promise: "Three nodes elect a leader, replicate what clients write, and agree.",
            consequence: "There is no cluster.",
            relies: [APPEND, REPLICATE, APPLY, REPLIES],
            limit: 30,
            run: replicates,
        ),
        check!(
            "cluster/leader-killed", Must, [7, 11, 15, 51, 62], needs: [LogSurvivesRestart, MachineSurvivesRestart],
            promise: "When the leader is killed the others go on, and it catches up when it is back.",
            consequence: "A failed node costs acknowledged writes, or never comes back.",
            relies: [START_VOTE, START_LOG, START_REAPPLY],
            limit: 30,
            run: leader_killed,
        ),
        check!(
            "cluster/partitioned", Must, [11, 15, 47], needs: [],
            promise: "A leader that is cut off is replaced, and what it wrote alone is overwritten when it is back.",
            consequence: "Replicas commit different commands.",
            relies: [TRUNCATE, SKIP_KNOWN],
            limit: 30,
            run: partitioned,
        ),
        check!(
            "cluster/caught-up-by-snapshot", Must, [17, 28, 29, 30, 64], needs: [LogSurvivesRestart, MachineSurvivesRestart],
            promise: "A node that was away for longer than the log reaches back is caught up by a snapshot.",
            consequence: "A node that was away for long never comes back, or diverges.",
            relies: [CURRENT, RECEIVE, INSTALLED, PURGE_BEYOND],
            limit: 30,
            run: caught_up_by_snapshot,
        ),
        check!(
            "cluster/membership-changes", Must, [19, 23, 35], needs: [],
            promise: "A node is added and another removed while clients write.",
            consequence: "A cluster can't be repaired or grown.",
            relies: [START_MEMBERSHIP, INSTALL],
            limit: 30,
            run: membership_changes,
        ),
        check!(
            "cluster/at-random", Must, [3, 7, 11, 15, 17, 21, 29, 51, 62], needs: [LogSurvivesRestart, MachineSurvivesRestart],
            promise: "Whatever happens to nodes and links, no acknowledged write is lost and all nodes agree.",
            consequence: "A cluster loses data on a bad day.",
            relies: [START_VOTE, START_LOG, START_APPLIED, APPEND, TRUNCATE, INSTALLED],
            limit: 60,
            run: at_random,
        ),
    ]
}

/// Clients write until all is written; nothing else happens.
async fn written(
    cluster: &Cluster<'_>,
    history: &History,
    clients: usize,
    writes: usize,
) -> Verdict {
    finish(load(cluster, history, clients, writes).await).await?;
    cluster.all_run()
}

async fn replicates(lab: &Lab) -> Verdict {
    let cluster = Cluster::of_three(lab).await?;
    let history = History::default();
    written(&cluster, &history, 4, lab.budget.pick(20, 50, 1_000)).await?;
    agree(cluster, &history).await
}

async fn leader_killed(lab: &Lab) -> Verdict {
    let mut cluster = Cluster::of_three(lab).await?;
    let history = History::default();
    for _ in 0..lab.budget.pick(1, 2, 10) {
        written(&cluster, &history, 2, 10).await?;
        let leader = cluster.leader().await?;
        let writing = load(&cluster, &history, 2, 10).await;
        cluster.kill(leader).await?;
        finish(writing).await?;
        cluster.leader().await?;
        written(&cluster, &history, 2, 10).await?;
        cluster.start(leader).await?;
        cluster.settle().await?;
    }
    agree(cluster, &history).await
}

async fn partitioned(lab: &Lab) -> Verdict {
    let cluster = Cluster::of_three(lab).await?;
    let history = History::default();
    for _ in 0..lab.budget.pick(1, 2, 10) {
        written(&cluster, &history, 2, 10).await?;
        let old = cluster.leader().await?;
        cluster.isolate(old);
        // What the old leader writes now reaches nobody.
        let alone = load(&cluster, &history, 3, 2).await;
        let replaced = || cluster.leader_now().filter(|leader| *leader != old);
        cluster.until("a leader that was cut off was not replaced", replaced).await?;
        finish(alone).await?;
        written(&cluster, &history, 2, 10).await?;
        cluster.heal();
        cluster.settle().await?;
    }
    agree(cluster, &history).await
}

async fn caught_up_by_snapshot(lab: &Lab) -> Verdict {
    let mut cluster = Cluster::of_three(lab).await?;
    let history = History::default();
    written(&cluster, &history, 2, 10).await?;
    cluster.settle().await?;
    let leader = cluster.leader().await?;
    let away = (1..=3).find(|n| *n != leader).unwrap_or(1);
    cluster.kill(away).await?;
    written(&cluster, &history, 4, 25).await?;
    purge(&cluster).await?;
    cluster.start(away).await?;
    cluster.settle().await?;
    let node = cluster.node(away)?;
    let installed = || node.metrics().snapshot;
    cluster.until("the node was not caught up by a snapshot", installed).await?;
    written(&cluster, &history, 2, 10).await?;
    agree(cluster, &history).await
}

/// The leader makes a snapshot and purges its log up to it.
async fn purge(cluster: &Cluster<'_>) -> Verdict {
    let lab = cluster.lab;
    let leader = cluster.node(cluster.leader().await?)?;
    let applied = leader.metrics().applied;
    lab.record.step(format!("the leader builds a snapshot up to {applied:?} and purges its log"));
    lab.call("trigger().snapshot()", leader.build()).await?;
    let built = || leader.metrics().snapshot.filter(|index| Some(*index) >= applied);
    let upto = cluster.until("no snapshot was built", built).await?;
    lab.call("trigger().purge_log()", leader.purge(upto)).await?;
    let purged = || leader.metrics().purged.filter(|index| *index >= upto);
    cluster.until("the log was not purged", purged).await?;
    Ok(())
}

async fn membership_changes(lab: &Lab) -> Verdict {
    let mut cluster = Cluster::of_three(lab).await?;
    let history = History::default();
    written(&cluster, &history, 2, 10).await?;
    cluster.start(4).await?;
    let leader = cluster.leader().await?;
    let node = cluster.node(leader)?;
    let writing = load(&cluster, &history, 2, 20).await;
    lab.record.step("add node 4 as a learner, then as a voter; remove a follower");
    let added = tokio::time::timeout(nodes::patience(lab), node.add_learner(4));
    change("add_learner", added.await)?;
    let gone = (1..=3).find(|n| *n != leader).unwrap_or(1);
    let voters: Vec<u64> = [1, 2, 3, 4].into_iter().filter(|n| *n != gone).collect();
    let changed = node.change_voters(&voters);
    change("change_membership", tokio::time::timeout(nodes::patience(lab), changed).await)?;
    finish(writing).await?;
    cluster.kill(gone).await?;
    written(&cluster, &history, 2, 10).await?;
    agree(cluster, &history).await
}

fn change<T, E: std::fmt::Display>(
    name: &str,
    outcome: Result<Result<T, E>, tokio::time::error::Elapsed>,
) -> Verdict {
    match outcome {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Failure::error(name, error)),
        Err(_) => Err(Failure::broken(format!("{name} did not end"), "an end", "nothing")),
    }
}

async fn at_random(lab: &Lab) -> Verdict {
    let mut rng = SmallRng::seed_from_u64(lab.seed);
    let mut cluster = Cluster::of_three(lab).await?;
    let history = History::default();
    let mut down: Option<u64> = None;
    for _ in 0..lab.budget.pick(4, 10, 200) {
        if lab.enough() {
            break;
        }
        let writing = load(&cluster, &history, 2, 6).await;
        let n = rng.random_range(1..=3);
        match (rng.random_range(0..5), down) {
            (0 | 1, None) => {
                cluster.kill(n).await?;
                down = Some(n);
            }
            (2, None) => {
                cluster.isolate(n);
                tokio::time::sleep(Duration::from_millis(rng.random_range(50..400))).await;
                cluster.heal();
            }
            (3, None) => {
                finish(writing).await?;
                purge(&cluster).await?;
                continue;
            }
            (_, Some(n)) => {
                cluster.start(n).await?;
                down = None;
            }
            _ => {}
        }
        finish(writing).await?;
        cluster.leader().await?;
    }
    cluster.heal();
    if let Some(n) = down {
        cluster.start(n).await?;
    }
    cluster.settle().await?;
    written(&cluster, &history, 2, 5).await?;
    agree(cluster, &history).await
}
