//! Receiving and installing: exactly as openraft's chunk receiver does it, over whatever was
//! there.

use super::{expect_current, verify_data};
use crate::check::{Check, check};
use crate::driver::seen::Meta;
use crate::failure::Failure;
use crate::lab::Lab;
use crate::model::{Item, Members, Payload, Step};
use crate::outcome::Verdict;
use crate::story;
use crate::subject::{Origin, Subject};
use crate::words::{Command, Piece, Shape, pieces};

pub(crate) fn checks() -> Vec<Check> {
    vec![
        check!(
            "snapshot/install/fresh", Must, [19, 29, 30, 55], needs: [Machine],
            promise: "A snapshot installed on a fresh node gives state, applied id, membership and current snapshot.",
            consequence: "A new follower can't be caught up, or diverges.",
            relies: [INSTALL, INSTALLED],
            run: fresh,
        ),
        check!(
            "snapshot/install/replaces", Must, [29], needs: [Machine, Digest],
            promise: "Installing replaces the state: nothing of the old one is left.",
            consequence: "Keys that were deleted live on at followers that were caught up.",
            relies: [INSTALLED, APPLY],
            run: replaces,
        ),
        check!(
            "snapshot/install/current", Must, [30, 31, 32, 49], needs: [Machine],
            promise: "The installed snapshot is the current one, under the id it came with, data included.",
            consequence: "A node that became leader sends followers a state it has replaced.",
            relies: [CURRENT, START_SNAPSHOT],
            run: install_current,
        ),
        check!(
            "snapshot/install/membership", Must, [19, 35], needs: [Machine],
            promise: "Installing takes over the snapshot's membership, of whatever form.",
            consequence: "A follower that was caught up counts another quorum.",
            relies: [INSTALL, START_MEMBERSHIP],
            run: membership,
        ),
        check!(
            "snapshot/install/again", Must, [29, 30], needs: [Machine],
            promise: "A node can be caught up by snapshots again and again.",
            consequence: "A follower that falls behind a second time is lost.",
            relies: [INSTALLED],
            run: again,
        ),
        check!(
            "snapshot/install/then-apply", Must, [22, 29], needs: [Machine],
            promise: "After an install, entries are applied on top of it as anywhere else.",
            consequence: "A follower that was caught up diverges with the next command.",
            relies: [INSTALLED, APPLY],
            run: then_apply,
        ),
        check!(
            "snapshot/install/same-replies", Must, [22, 29, 44], needs: [Machine, ShowReply],
            promise: "A node that was caught up by a snapshot answers what follows as the others do.",
            consequence: "Replicas diverge in what no digest shows: counters, sessions, expiries.",
            relies: [INSTALLED, APPLY],
            run: same_replies,
        ),
        check!(
            "snapshot/install/then-build", Must, [30, 44], needs: [Machine],
            promise: "After an install, a new snapshot holds the installed state and what came after.",
            consequence: "A follower of a follower diverges.",
            relies: [BUILT, CURRENT],
            run: then_build,
        ),
        check!(
            "snapshot/receive/chunks", Must, [28, 64], needs: [Machine, SnapshotBytes],
            promise: "A snapshot arrives in chunks of any size, and its handle stands at the end when it is installed.",
            consequence: "Installing reads nothing, or half: a follower loses its state.",
            relies: [WRITE_CHUNK, INSTALLED],
            run: chunks,
        ),
        check!(
            "snapshot/receive/resent", Must, [28, 64], needs: [Machine, SnapshotBytes],
            promise: "A chunk that is sent again, or a transfer that begins anew, overwrites what was there.",
            consequence: "A lost answer on the network makes garbage of a follower's snapshot.",
            relies: [WRITE_CHUNK],
            run: resent,
        ),
        check!(
            "snapshot/receive/blank", Must, [28], needs: [Machine, SnapshotBytes],
            promise: "Each receiving begins with a blank handle, though an earlier one was given up.",
            consequence: "A transfer that is begun anew mixes two snapshots.",
            relies: [RECEIVE],
            run: blank,
        ),
        check!(
            "snapshot/receive/no-effect", Must, [28, 29], needs: [Machine, SnapshotBytes],
            promise: "Receiving changes nothing before the snapshot is installed.",
            consequence: "A transfer that breaks off destroys the follower's state.",
            relies: [RECEIVE],
            run: no_effect,
        ),
    ]
}

/// A log that wasn't committed, and the state of it, for snapshots to come upon.
fn before(applied: u64) -> Vec<Step> {
    story::applied_of(applied.max(1) + 2, applied)
}

/// What another leader's node has applied after the first `from` entries.
fn news(from: u64, to: u64) -> Vec<Item> {
    story::entries(9, 2, from, to)
}

/// Installs, purges as openraft does, and looks at the state machine before and after.
pub(super) async fn install(subject: &mut Subject<'_>, items: Vec<Item>) -> Verdict {
    let last = items.last().map(|item| item.id);
    subject.perform(Step::Install(items)).await?;
    subject.verify_applied().await?;
    subject.verify_current_snapshot().await?;
    if let Some(last) = last {
        subject.perform(Step::Purge(last)).await?;
    }
    subject.verify_machine_half().await
}

async fn fresh(lab: &Lab) -> Verdict {
    for count in [1, 2, 9, 60] {
        let mut subject = Subject::fresh(lab).await?;
        install(&mut subject, news(0, count)).await?;
    }
    Ok(())
}

async fn replaces(lab: &Lab) -> Verdict {
    for applied in [1, 6, 40] {
        let mut subject = Subject::with_machine(lab, before(applied)).await?;
        // The other node has deleted and overwritten much of it.
        let commands = (0..60).map(|n| Command { n, shape: Shape::Delete });
        let commands = commands.filter(|c| lab.driver.has(c));
        let items = (applied + 8..).zip(commands.map(Payload::Command));
        let items = items.map(|(n, payload)| story::item(story::id(9, 2, n), payload));
        let news: Vec<Item> = news(applied, applied + 8).into_iter().chain(items).collect();
        install(&mut subject, news).await?;
    }
    Ok(())
}

async fn install_current(lab: &Lab) -> Verdict {
    for built in [false, true] {
        let mut subject = Subject::with_machine(lab, before(5)).await?;
        if built {
            subject.perform(Step::Build).await?;
        }
        install(&mut subject, news(5, 30)).await?;
        let snapshot = expect_current(&mut subject).await?;
        verify_data(lab, &subject.model, snapshot).await?;
        subject.verify_current_snapshot().await?;
    }
    Ok(())
}

async fn membership(lab: &Lab) -> Verdict {
    for members in crate::checks::log::memberships() {
        let mut subject = Subject::with_machine(lab, before(3)).await?;
        let mut items = news(3, 6);
        items.push(story::item(story::id(9, 2, 6), Payload::Members(members)));
        items.extend(news(7, 9));
        install(&mut subject, items).await?;
    }
    // The membership of the state is the snapshot's, also if the snapshot's is older.
    let mut subject = Subject::with_machine(lab, before(8)).await?;
    install(&mut subject, news(8, 12)).await?;
    let joint = Payload::Members(Members::joint(&[&[1], &[1, 2]], &[5]));
    let items = vec![story::item(story::id(9, 2, 12), joint)];
    install(&mut subject, items).await
}

async fn again(lab: &Lab) -> Verdict {
    let mut subject = Subject::with_machine(lab, before(4)).await?;
    let mut from = 4;
    for count in [3, 1, 20, 7] {
        install(&mut subject, news(from, from + count)).await?;
        from += count;
        let snapshot = expect_current(&mut subject).await?;
        verify_data(lab, &subject.model, snapshot).await?;
    }
    Ok(())
}

async fn then_apply(lab: &Lab) -> Verdict {
    for applied in [0, 5] {
        let mut subject = Subject::with_machine(lab, before(applied)).await?;
        install(&mut subject, news(applied, 20)).await?;
        subject.run([story::leader(9, 2), Step::Append(story::entries(9, 2, 20, 50))]).await?;
        subject.perform(Step::Commit(49)).await?;
        for count in [1, 1, 8, 20] {
            subject.perform(Step::Apply(count)).await?;
            subject.verify_applied().await?;
        }
        subject.verify_machine_half().await?;
    }
    Ok(())
}

async fn same_replies(lab: &Lab) -> Verdict {
    let (truth, suffix) = (news(0, 30), news(30, 70));
    let mut origin = Origin::new(lab).await?;
    origin.apply(&truth).await?;
    let snapshot = origin.snapshot().await?;
    let behind =
        [story::leader(9, 2), Step::Append(news(0, 12)), Step::Commit(11), Step::Apply(12)];
    let mut subject = Subject::with_machine(lab, behind).await?;
    lab.record.step("install the snapshot of another node; apply the same on both");
    subject.receive(snapshot).await?;
    for item in &suffix {
        let entry = || lab.entries(std::slice::from_ref(item));
        let expected = lab.call("apply (on another node)", origin.machine.apply(entry()?)).await?;
        let got = lab.call("apply", subject.machine.apply(entry()?)).await?;
        let what =
            format!("the reply at {} differs from that of a node which has applied all", item.id);
        lab.equal(&what, &got.texts(), &expected.texts())?;
    }
    Ok(())
}

async fn then_build(lab: &Lab) -> Verdict {
    let mut subject = Subject::with_machine(lab, before(5)).await?;
    install(&mut subject, news(5, 20)).await?;
    subject.run([story::leader(9, 2), Step::Append(story::entries(9, 2, 20, 30))]).await?;
    subject.perform(Step::Commit(29)).await?;
    for count in [0, 4, 6] {
        if count > 0 {
            subject.perform(Step::Apply(count)).await?;
        }
        subject.perform(Step::Build).await?;
        subject.verify_current_snapshot().await?;
        let snapshot = expect_current(&mut subject).await?;
        verify_data(lab, &subject.model, snapshot).await?;
    }
    Ok(())
}

/// A snapshot of a node that has applied these entries, as bytes.
pub(crate) async fn bytes_of(lab: &Lab, truth: &[Item]) -> Result<(Meta, Vec<u8>), Failure> {
    let mut origin = Origin::new(lab).await?;
    origin.apply(truth).await?;
    let mut snapshot = origin.snapshot().await?;
    let bytes = lab.snapshot_bytes(&mut *snapshot.data).await?.unwrap_or_default();
    Ok((snapshot.meta, bytes))
}

async fn chunks(lab: &Lab) -> Verdict {
    let truth = news(0, 40);
    let (meta, bytes) = bytes_of(lab, &truth).await?;
    for chunk in [1, 7, 64, 4_096, bytes.len().max(1), bytes.len() + 1] {
        let how = format!("in chunks of {chunk} bytes");
        arrive(lab, &truth, &meta, &pieces(&bytes, chunk), &how).await?;
    }
    Ok(())
}

/// A snapshot that arrives in `pieces` is installed and is the one that was sent.
async fn arrive(
    lab: &Lab,
    truth: &[Item],
    meta: &Meta,
    pieces: &[Piece<'_>],
    how: &str,
) -> Verdict {
    let mut subject = Subject::with_machine(lab, before(0)).await?;
    let step = Step::Install(truth.to_vec());
    lab.record.step(format!("{step} ({how})"));
    let beginning = subject.machine.receive();
    let blank = lab.call("begin_receiving_snapshot", beginning).await?;
    let writing = blank.write(pieces);
    let data = lab.call("writing a snapshot's chunks", writing).await?;
    let installing = subject.machine.install(meta, data);
    lab.call("install_snapshot", installing).await?;
    subject.follow(&step)?;
    subject.meta = Some(meta.clone());
    subject.verify_applied().await?;
    subject.verify_current_snapshot().await?;
    let snapshot = expect_current(&mut subject).await?;
    verify_data(lab, &subject.model, snapshot).await
}

/// The answer to a chunk was lost, so it is sent again; or the transfer begins anew.
async fn resent(lab: &Lab) -> Verdict {
    let truth = news(0, 40);
    let (meta, bytes) = bytes_of(lab, &truth).await?;
    let whole = pieces(&bytes, bytes.len().div_ceil(5));
    for place in 0..whole.len() {
        let (sent, rest) = whole.split_at(place);
        let again = sent.last().into_iter().chain(rest);
        let pieces: Vec<Piece<'_>> = sent.iter().chain(again).copied().collect();
        let how = format!("chunk {place} of {} twice", whole.len());
        arrive(lab, &truth, &meta, &pieces, &how).await?;
        let anew: Vec<Piece<'_>> = sent.iter().chain(&whole).copied().collect();
        arrive(lab, &truth, &meta, &anew, &format!("begun anew after chunk {place}")).await?;
    }
    Ok(())
}

async fn blank(lab: &Lab) -> Verdict {
    let (long, short) = (news(0, 60), news(0, 4));
    let (_, given_up) = bytes_of(lab, &long).await?;
    let (meta, bytes) = bytes_of(lab, &short).await?;
    let mut subject = Subject::fresh(lab).await?;
    for part in [given_up.len() / 2, given_up.len()] {
        lab.record.step(format!("receive {part} bytes of another snapshot, then give up"));
        drop(subject.receive_bytes(given_up.get(..part).unwrap_or(&given_up)).await?);
    }
    let step = Step::Install(short);
    lab.record.step(step.to_string());
    let data = subject.receive_bytes(&bytes).await?;
    lab.call("install_snapshot", subject.machine.install(&meta, data)).await?;
    subject.follow(&step)?;
    subject.meta = Some(meta);
    subject.verify_applied().await?;
    let snapshot = expect_current(&mut subject).await?;
    verify_data(lab, &subject.model, snapshot).await?;
    // And again, after the handle was put to use.
    install(&mut subject, news(4, 12)).await
}

async fn no_effect(lab: &Lab) -> Verdict {
    let (_, bytes) = bytes_of(lab, &news(0, 60)).await?;
    let mut subject = Subject::with_machine(lab, before(8)).await?;
    subject.perform(Step::Build).await?;
    for part in [0, 1, bytes.len() / 2, bytes.len()] {
        lab.record.step(format!("receive {part} bytes of a snapshot, then give up"));
        let data = subject.receive_bytes(bytes.get(..part).unwrap_or(&bytes)).await?;
        subject.verify_machine_half().await?;
        drop(data);
        subject.verify_machine_half().await?;
    }
    let snapshot = expect_current(&mut subject).await?;
    verify_data(lab, &subject.model, snapshot).await
}
