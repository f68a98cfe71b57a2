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

pub(crate) fn checks() -> Vec<Check> {
    vec![
        check!(
            "snapshot/refuse/truncated", Must, [29, 51, 55], needs: [Machine, SnapshotBytes],
            promise: "A snapshot that is cut short is refused, and the old state stands.",
            consequence: "A transfer that broke off replaces a follower's state by half of another.",
            run: truncated,
        ),
        check!(
            "snapshot/refuse/damaged", Must, [29, 51], needs: [Machine, SnapshotBytes, SnapshotChecksum],
            promise: "A snapshot with a changed byte is refused, and the old state stands.",
            consequence: "A flipped bit on one disk or wire becomes the state of a replica.",
            run: damaged,
        ),
        check!(
            "snapshot/refuse/garbage", Must, [29, 51], needs: [Machine, SnapshotBytes],
            promise: "Bytes that never were a snapshot are refused, and the old state stands.",
            consequence: "A node that speaks another format wipes a follower's state.",
            run: garbage,
        ),
        check!(
            "snapshot/refuse/contradicting", Must, [33, 34, 35], needs: [Machine, SnapshotBytes, SnapshotDescribesItself],
            promise: "A snapshot whose data say another last entry or membership than its meta is refused.",
            consequence: "A follower applies entries twice, or never.",
            run: contradicting,
        ),
    ]
}

/// A node with a state and a snapshot, and another node's snapshot that is ahead of it.
async fn scene(lab: &Lab) -> Result<(Subject<'_>, Meta, Vec<u8>, Vec<Item>), Failure> {
    let mut subject = Subject::with(lab, story::applied_of(12, 8)).await?;
    subject.perform(Step::Build).await?;
    let known = subject.model.truth.clone();
    let truth: Vec<Item> = known.into_iter().chain(story::entries(9, 2, 8, 40)).collect();
    let (meta, bytes) = bytes_of(lab, &truth).await?;
    Ok((subject, meta, bytes, truth))
}

/// Installing must fail, or else do no harm: the state is the old one, or, if `or_whole`, all of
/// the new one.
async fn refuse(
    lab: &Lab,
    subject: &mut Subject<'_>,
    (meta, bytes): (&Meta, &[u8]),
    what: &str,
) -> Verdict {
    lab.record.step(format!("install {what}"));
    let data = subject.receive_bytes(bytes).await?;
    let installing = subject.machine.install(meta, data);
    let outcome = lab.answer(&format!("install_snapshot of {what}"), installing).await?;
    lab.assert(outcome.is_err(), || {
        Failure::broken(format!("install_snapshot accepted {what}"), "an error", "success")
    })?;
    subject.verify().await.map_err(|mut failure| {
        failure.what = format!("after install_snapshot refused {what}: {}", failure.what);
        failure
    })
}

async fn truncated(lab: &Lab) -> Verdict {
    let (mut subject, meta, bytes, _) = scene(lab).await?;
    let len = bytes.len();
    for part in
        [0, 1, 4, len / 4, len / 2, len * 3 / 4, len.saturating_sub(9), len.saturating_sub(1)]
    {
        let cut = bytes.get(..part).unwrap_or(&bytes);
        let what = format!("the first {part} of {len} bytes of a snapshot");
        refuse(lab, &mut subject, (&meta, cut), &what).await?;
    }
    usable(lab, &mut subject).await
}

async fn damaged(lab: &Lab) -> Verdict {
    let (mut subject, meta, bytes, _) = scene(lab).await?;
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
        refuse(lab, &mut subject, (&meta, &changed), &what).await?;
    }
    usable(lab, &mut subject).await
}

async fn garbage(lab: &Lab) -> Verdict {
    let (mut subject, meta, bytes, _) = scene(lab).await?;
    let noise: Vec<u8> = (0..bytes.len()).map(|n| (n * 193 + 71) as u8).collect();
    for (what, bytes) in
        [("zeros", vec![0; bytes.len()]), ("noise", noise), ("0xFF", vec![0xff; 64])]
    {
        refuse(lab, &mut subject, (&meta, &bytes), &format!("{} bytes of {what}", bytes.len()))
            .await?;
    }
    usable(lab, &mut subject).await
}

async fn contradicting(lab: &Lab) -> Verdict {
    let (mut subject, meta, bytes, _) = scene(lab).await?;
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
        refuse(lab, &mut subject, (&meta, &bytes), what).await?;
    }
    usable(lab, &mut subject).await
}

/// The old state goes on, and the snapshot is still there.
async fn usable(lab: &Lab, subject: &mut Subject<'_>) -> Verdict {
    let snapshot = expect_current(subject).await?;
    verify_data(lab, &subject.model, snapshot).await?;
    subject.run([Step::Commit(11), Step::Apply(4), Step::Build]).await?;
    subject.verify().await?;
    subject.perform(Step::Install(story::entries(9, 2, 12, 20))).await?;
    subject.verify_applied().await
}
