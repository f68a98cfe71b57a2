//! Refusing: bytes that are no whole snapshot, or another one than the meta says.

use super::install::bytes_of;
use super::{expect_current, verify_data};
use crate::check::{Check, check};
use crate::driver::seen::Meta;
use crate::failure::Failure;
use crate::lab::Lab;
use crate::model::{Item, Members, Step};
use crate::outcome::Verdict;
use crate::story;
use crate::subject::Subject;
use crate::words::{Capabilities, Keeps};

pub(crate) fn checks() -> Vec<Check> {
    vec![
        check!(
            "snapshot/refuse/truncated", May, [29, 51, 55], needs: [Machine, SnapshotBytes],
            promise: "A snapshot that is cut short is refused, and the old state stands.",
            consequence: "A transfer that broke off replaces a follower's state by half of another.",
            reason: "Every chunk is acknowledged, so only a fault of disk or network cuts a snapshot short.",
            was: Must until 1,
            run: truncated,
        ),
        check!(
            "snapshot/refuse/not-whole", Must, [29, 51, 55], needs: [Machine, SnapshotBytes, SnapshotChecksum],
            promise: "A snapshot that carries a checksum is refused where it is cut short or never was one, and the old state stands.",
            consequence: "A transfer that broke off replaces a follower's state by half of another.",
            relies: [RECEIVE, INSTALLED],
            since: 2,
            run: not_whole,
        ),
        check!(
            "snapshot/refuse/damaged", Must, [29, 51], needs: [Machine, SnapshotBytes, SnapshotChecksum],
            promise: "A snapshot with a changed byte is refused, and the old state stands.",
            consequence: "A flipped bit on one disk or wire becomes the state of a replica.",
            relies: [RECEIVE, INSTALLED],
            run: damaged,
        ),
        check!(
            "snapshot/refuse/garbage", May, [29, 51], needs: [Machine, SnapshotBytes],
            promise: "Bytes that never were a snapshot are refused, and the old state stands.",
            consequence: "A node that speaks another format wipes a follower's state.",
            reason: "A node sends what its own store has built.",
            was: Must until 1,
            run: garbage,
        ),
        check!(
            "snapshot/refuse/contradicting", Should, [33, 34, 35], needs: [Machine, SnapshotBytes, SnapshotDescribesItself],
            promise: "A snapshot whose data say another last entry or membership than its meta is refused.",
            consequence: "A follower applies entries twice, or never.",
            reason: "Data and meta come from the same store, by the same transfer.",
            was: Must until 1,
            run: contradicting,
        ),
    ]
}

/// A node with a state and a snapshot, and another node's snapshot that is ahead of it.
struct Scene<'l> {
    subject: Subject<'l>,
    meta: Meta,
    bytes: Vec<u8>,
}

/// `None`, and nothing is learnt, where snapshots have no bytes: none of them can be spoilt.
async fn scene(lab: &Lab) -> Result<Option<Scene<'_>>, Failure> {
    let mut subject = Subject::with(lab, story::applied_of(12, 8)).await?;
    subject.perform(Step::Build).await?;
    let known = subject.model.truth.clone();
    let truth: Vec<Item> = known.into_iter().chain(story::entries(9, 2, 8, 40)).collect();
    let (meta, bytes) = bytes_of(lab, &truth).await?;
    if bytes.is_empty() {
        lab.inconclusive("snapshots have no bytes that could be spoilt");
        return Ok(None);
    }
    Ok(Some(Scene { subject, meta, bytes }))
}

/// Installing must fail.
async fn refuse(subject: &mut Subject<'_>, (meta, bytes): (&Meta, &[u8]), what: &str) -> Verdict {
    let lab = subject.lab;
    lab.record.step(format!("install {what}"));
    let data = subject.receive_bytes(bytes).await?;
    let installing = subject.machine.install(meta, data);
    let outcome = lab.answer(&format!("install_snapshot of {what}"), installing).await?;
    lab.assert(outcome.is_err(), || {
        Failure::broken(format!("install_snapshot accepted {what}"), "an error", "success")
    })
}

/// Installing must fail, and the store goes on with the old state.
async fn refuse_and_go_on(
    subject: &mut Subject<'_>,
    snapshot: (&Meta, &[u8]),
    what: &str,
) -> Verdict {
    refuse(subject, snapshot, what).await?;
    stands(subject.verify().await, what)
}

/// Installing must fail, and the old state stands when the node starts again: openraft has stopped.
async fn refuse_and_restart(
    subject: &mut Subject<'_>,
    snapshot: (&Meta, &[u8]),
    what: &str,
) -> Verdict {
    refuse(subject, snapshot, what).await?;
    let Capabilities { log_survives_restart, machine_keeps, .. } =
        subject.lab.driver.capabilities();
    if !log_survives_restart || machine_keeps == Keeps::Nothing {
        return Ok(());
    }
    stands(subject.perform(Step::Restart).await, what)?;
    stands(subject.verify().await, what)
}

fn stands(outcome: Verdict, what: &str) -> Verdict {
    outcome.map_err(|mut failure| {
        failure.what = format!("after install_snapshot refused {what}: {}", failure.what);
        failure
    })
}

/// Snapshots that end early.
fn cut(bytes: &[u8]) -> Vec<(&[u8], String)> {
    let len = bytes.len();
    let mut ends =
        vec![0, 1, 4, len / 4, len / 2, len * 3 / 4, len.saturating_sub(9), len.saturating_sub(1)];
    ends.sort_unstable();
    ends.dedup();
    let parts = ends.into_iter().filter(|end| *end < len).filter_map(|end| bytes.get(..end));
    parts
        .map(|part| (part, format!("the first {} of {len} bytes of a snapshot", part.len())))
        .collect()
}

/// Bytes that never were a snapshot.
fn never(len: usize) -> [(Vec<u8>, String); 3] {
    let noise: Vec<u8> = (0..len).map(|n| (n * 193 + 71) as u8).collect();
    let all = [("zeros", vec![0; len]), ("noise", noise), ("0xFF", vec![0xff; 64])];
    all.map(|(kind, bytes)| {
        let what = format!("{} bytes of {kind}", bytes.len());
        (bytes, what)
    })
}

async fn truncated(lab: &Lab) -> Verdict {
    let Some(Scene { mut subject, meta, bytes }) = scene(lab).await? else { return Ok(()) };
    for (part, what) in cut(&bytes) {
        refuse_and_go_on(&mut subject, (&meta, part), &what).await?;
    }
    usable(&mut subject).await
}

async fn garbage(lab: &Lab) -> Verdict {
    let Some(Scene { mut subject, meta, bytes }) = scene(lab).await? else { return Ok(()) };
    for (bytes, what) in never(bytes.len()) {
        refuse_and_go_on(&mut subject, (&meta, &bytes), &what).await?;
    }
    usable(&mut subject).await
}

async fn not_whole(lab: &Lab) -> Verdict {
    let Some(Scene { mut subject, meta, bytes }) = scene(lab).await? else { return Ok(()) };
    for (part, what) in cut(&bytes) {
        refuse_and_restart(&mut subject, (&meta, part), &what).await?;
    }
    for (bytes, what) in never(bytes.len()) {
        refuse_and_restart(&mut subject, (&meta, &bytes), &what).await?;
    }
    Ok(())
}

async fn damaged(lab: &Lab) -> Verdict {
    let Some(Scene { mut subject, meta, bytes }) = scene(lab).await? else { return Ok(()) };
    let places = lab.budget.pick(24, 64, 4_096).min(bytes.len());
    for n in 0..places {
        if lab.enough() {
            break;
        }
        let place = n * bytes.len() / places;
        let mut changed = bytes.clone();
        if let Some(byte) = changed.get_mut(place) {
            *byte ^= 1 << (n % 8);
        }
        let what = format!("a snapshot whose byte {place} was changed");
        refuse_and_restart(&mut subject, (&meta, &changed), &what).await?;
    }
    Ok(())
}

async fn contradicting(lab: &Lab) -> Verdict {
    let Some(Scene { mut subject, meta, bytes }) = scene(lab).await? else { return Ok(()) };
    let at = |id| Some(lab.driver.id(id));
    let later = Meta { last: at(story::id(9, 2, 60)), ..meta.clone() };
    let other_term = Meta { last: at(story::id(11, 2, 39)), ..meta.clone() };
    let stranger = Members::new(&[7, 8], &[]);
    let other_members =
        Meta { membership: lab.driver.membership(Some((story::id(9, 2, 20), &stranger))), ..meta };
    for (what, meta) in [
        ("a meta that says a later entry than the data", later),
        ("a meta that says another term than the data", other_term),
        ("a meta that says another membership than the data", other_members),
    ] {
        refuse_and_go_on(&mut subject, (&meta, &bytes), what).await?;
    }
    usable(&mut subject).await
}

/// The old state goes on, and the snapshot is still there.
async fn usable(subject: &mut Subject<'_>) -> Verdict {
    let snapshot = expect_current(subject).await?;
    verify_data(subject.lab, &subject.model, snapshot).await?;
    subject.run([Step::Commit(11), Step::Apply(4), Step::Build]).await?;
    subject.verify().await?;
    subject.perform(Step::Install(story::entries(9, 2, 12, 20))).await?;
    subject.verify_applied().await
}
