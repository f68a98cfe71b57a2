//! Family `machine`: applying entries: replies, what was applied last, membership, contents.

mod membership;

use crate::check::{Check, check};
use crate::checks::log::memberships;
use crate::failure::Failure;
use crate::lab::Lab;
use crate::model::{Item, Members, Payload, Step};
use crate::outcome::Verdict;
use crate::story;
use crate::subject::Subject;
use crate::words::{Command, Shape};

pub(crate) fn checks() -> Vec<Check> {
    [applying(), membership::checks()].into_iter().flatten().collect()
}

fn applying() -> Vec<Check> {
    vec![
        check!(
            "machine/fresh", Must, [19, 57], needs: [Machine],
            promise: "A fresh state machine has applied nothing and has no membership and no snapshot.",
            consequence: "A new node refuses to be initialized.",
            relies: [START_APPLIED, INITIALIZE],
            run: fresh,
        ),
        check!(
            "machine/replies/count", Must, [60], needs: [Machine],
            promise: "Applying gives one reply an entry: blank entries and memberships, too.",
            consequence: "A client gets another client's answer, or the node panics.",
            relies: [REPLIES],
            run: replies_count,
        ),
        check!(
            "machine/replies/order", Must, [22, 60], needs: [Machine, ExpectedReply],
            promise: "The n-th reply answers the n-th entry of the batch.",
            consequence: "A client gets another client's answer.",
            relies: [REPLIES],
            run: replies_order,
        ),
        check!(
            "machine/applied/every-kind", Must, [19, 21], needs: [Machine],
            promise: "Every entry moves the last applied log id: blank ones and memberships, too.",
            consequence: "Entries are applied twice after a restart, and snapshots are labelled too old.",
            relies: [START_APPLIED],
            run: applied_every_kind,
        ),
        check!(
            "machine/applied/last-of-batch", Must, [19, 21], needs: [Machine],
            promise: "After a batch the last applied log id is that of its last entry, term and leader included.",
            consequence: "Entries are applied twice after a restart.",
            relies: [START_APPLIED],
            run: applied_last_of_batch,
        ),
        check!(
            "machine/applied/ids", Must, [19, 21], needs: [Machine],
            promise: "Terms of any size come back exactly as last applied log id.",
            consequence: "A node starts again at another place than it stopped.",
            relies: [START_APPLIED],
            run: applied_ids,
        ),
        check!(
            "machine/applied/many", Must, [19, 21], needs: [Machine],
            promise: "The last applied log id is right after tens of thousands of entries.",
            consequence: "A node that has lived for a day starts again at another place than it stopped.",
            relies: [START_APPLIED],
            limit: 30,
            run: applied_many,
        ),
        check!(
            "machine/membership/any-place", Must, [19, 23, 24], needs: [Machine],
            promise: "The last membership of a batch is kept, with its own log id, wherever in the batch it stands.",
            consequence: "After a restart a node counts another quorum.",
            relies: [START_MEMBERSHIP],
            run: membership_any_place,
        ),
        check!(
            "machine/membership/every-form", Must, [19, 23], needs: [Machine],
            promise: "Joint configurations, learners and node data are kept as they are.",
            consequence: "After a restart a node counts another quorum, or can't reach its peers.",
            relies: [START_MEMBERSHIP],
            run: membership_every_form,
        ),
        check!(
            "machine/membership/stays", Must, [19, 23], needs: [Machine],
            promise: "Entries that are no membership leave the membership alone.",
            consequence: "After a restart a node doesn't know its cluster.",
            relies: [START_MEMBERSHIP],
            run: membership_stays,
        ),
        check!(
            "machine/batches/any-split", Must, [22, 45], needs: [Machine, Digest],
            promise: "The state depends on the entries and their order, not on how they are batched.",
            consequence: "Replicas that were busy at other times diverge.",
            relies: [APPLY],
            run: batches_any_split,
        ),
        check!(
            "machine/batches/large", Must, [21, 22, 60], needs: [Machine],
            promise: "A batch of thousands of entries is applied whole.",
            consequence: "A node that has fallen behind loses commands when it catches up.",
            relies: [APPLY, REPLIES],
            limit: 20,
            run: batches_large,
        ),
        check!(
            "machine/contents", Must, [22], needs: [Machine, ExpectedDigest],
            promise: "The state is what the commands make of it, whatever the commands.",
            consequence: "Data are lost or wrong on every replica.",
            relies: [APPLY],
            run: contents,
        ),
        check!(
            "machine/shapes", Must, [21, 22], needs: [Machine],
            promise: "Empty, binary, large, deleting and refused commands do what they say, and each moves the applied id.",
            consequence: "Data are lost or wrong, or one bad command stops every node.",
            relies: [APPLY, START_APPLIED],
            run: shapes,
        ),
        check!(
            "machine/deterministic", Must, [22], needs: [Machine, ShowReply],
            promise: "Two state machines that apply the same entries give the same replies.",
            consequence: "Replicas diverge.",
            relies: [APPLY],
            run: deterministic,
        ),
        check!(
            "machine/isolated", Must, [22, 51], needs: [Machine],
            promise: "State machines in different directories share nothing.",
            consequence: "Two nodes on one machine overwrite each other's state.",
            relies: [HOLD, APPLY],
            run: isolated,
        ),
    ]
}

async fn fresh(lab: &Lab) -> Verdict {
    let mut subject = Subject::fresh(lab).await?;
    subject.verify_applied().await?;
    subject.verify_current_snapshot().await
}

/// A log of the first membership, which is applied, and of these payloads, which are committed.
fn log_with(payloads: impl IntoIterator<Item = Payload>) -> Vec<Step> {
    let payloads = std::iter::once(members(&[1, 2, 3])).chain(payloads);
    let items = (0..).zip(payloads).map(|(n, payload)| story::item(story::id(2, 3, n), payload));
    let items: Vec<Item> = items.collect();
    let last = items.len() as u64 - 1;
    vec![story::leader(2, 3), Step::Append(items), Step::Commit(last), Step::Apply(1)]
}

fn command(n: u64) -> Payload {
    Payload::Command(Command::plain(n))
}

fn members(ids: &[u64]) -> Payload {
    Payload::Members(Members::new(ids, &[]))
}

async fn replies_count(lab: &Lab) -> Verdict {
    let batches: [&[Payload]; 7] = [
        &[Payload::Blank],
        &[members(&[1, 2])],
        &[command(1)],
        &[Payload::Blank, command(1), members(&[1]), command(2), Payload::Blank],
        &[command(1), Payload::Blank, Payload::Blank],
        &[members(&[1]), members(&[1, 2]), command(4)],
        &[Payload::Blank, Payload::Blank, members(&[3])],
    ];
    for batch in batches {
        let mut subject = Subject::with(lab, log_with(batch.iter().cloned())).await?;
        subject.perform(Step::Apply(batch.len())).await?;
    }
    Ok(())
}

async fn replies_order(lab: &Lab) -> Verdict {
    let mut subject = Subject::with(lab, story::log_of(120)).await?;
    subject.perform(Step::Commit(119)).await?;
    for count in [1, 2, 3, 10, 1, 40, 63] {
        subject.perform(Step::Apply(count)).await?;
    }
    Ok(())
}

async fn applied_every_kind(lab: &Lab) -> Verdict {
    let payloads = [
        members(&[1, 2, 3]),
        Payload::Blank,
        command(1),
        members(&[1, 2]),
        Payload::Blank,
        command(2),
    ];
    let mut subject = Subject::with(lab, log_with(payloads)).await?;
    for _ in 0..6 {
        subject.perform(Step::Apply(1)).await?;
        subject.verify_applied().await?;
    }
    // Each kind as the only one behind the first entry.
    for only in [Payload::Blank, command(1), members(&[7])] {
        let mut subject = Subject::with(lab, log_with([only])).await?;
        subject.perform(Step::Apply(1)).await?;
        subject.verify_applied().await?;
    }
    Ok(())
}

async fn applied_last_of_batch(lab: &Lab) -> Verdict {
    for kinds in
        [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0], [1, 1, 0], [1, 0, 0]]
    {
        let payloads = kinds.map(|kind| match kind {
            0 => Payload::Blank,
            1 => command(9),
            _ => members(&[1, 4]),
        });
        let mut subject = Subject::with(lab, log_with(payloads)).await?;
        subject.perform(Step::Apply(3)).await?;
        subject.verify_applied().await?;
    }
    // Terms and leaders change inside the batch.
    let mut subject = Subject::with(lab, story::applied_of(12, 12)).await?;
    subject.verify_applied().await
}

async fn applied_ids(lab: &Lab) -> Verdict {
    let mut subject = Subject::with(lab, story::leaders()).await?;
    for index in 0..subject.model.log.next_index() {
        subject.run([Step::Commit(index), Step::Apply(1)]).await?;
        subject.verify_applied().await?;
        let built = subject.build().await?.meta.last;
        subject.follow(&Step::Build)?;
        let last = crate::subject::log_id(lab, subject.model.applied_id());
        lab.equal("a snapshot says it ends elsewhere", &built, &last)?;
    }
    Ok(())
}

async fn applied_many(lab: &Lab) -> Verdict {
    const COUNT: u64 = 66_000;
    // Blank ones cost little; a command now and then shows that the state is still fed.
    let payload = |index| if index % 512 == 1 { command(index) } else { Payload::Blank };
    let mut subject = Subject::with(lab, log_with((1..COUNT).map(payload))).await?;
    for count in [32_767, 1, 1, 32_766, 1, 1] {
        subject.perform(Step::Apply(count)).await?;
        subject.verify_applied().await?;
    }
    let built = subject.build().await?.meta.last;
    let last = crate::subject::log_id(lab, subject.model.applied_id());
    lab.equal("a snapshot says it ends elsewhere", &built, &last)
}

async fn membership_any_place(lab: &Lab) -> Verdict {
    let (one, two) = (members(&[1, 2, 3]), members(&[4, 5]));
    let batches: [Vec<Payload>; 8] = [
        vec![one.clone(), Payload::Blank, command(1)],
        vec![command(1), one.clone()],
        vec![command(1), one.clone(), command(2)],
        vec![one.clone(), two.clone(), command(1)],
        vec![two.clone(), command(1), one.clone(), Payload::Blank],
        vec![one.clone(), two.clone()],
        vec![Payload::Blank, one.clone(), command(3), command(4), two.clone(), command(5)],
        vec![one, command(7), command(8), command(9), Payload::Blank],
    ];
    for batch in batches {
        let count = batch.len();
        let mut subject = Subject::with(lab, log_with(batch)).await?;
        subject.perform(Step::Apply(count)).await?;
        subject.verify_applied().await?;
    }
    Ok(())
}

async fn membership_every_form(lab: &Lab) -> Verdict {
    let forms = memberships();
    let count = forms.len();
    let mut subject = Subject::with(lab, log_with(forms.into_iter().map(Payload::Members))).await?;
    for _ in 0..count {
        subject.perform(Step::Apply(1)).await?;
        subject.verify_applied().await?;
    }
    Ok(())
}

async fn membership_stays(lab: &Lab) -> Verdict {
    let payloads = std::iter::once(members(&[1, 2])).chain((1..20).map(command));
    let mut subject = Subject::with(lab, log_with(payloads)).await?;
    for count in [1, 1, 4, 1, 12] {
        subject.perform(Step::Apply(count)).await?;
        subject.verify_applied().await?;
    }
    Ok(())
}

async fn batches_any_split(lab: &Lab) -> Verdict {
    const COUNT: u64 = 60;
    for split in
        [vec![60], vec![1, 59], vec![59, 1], vec![20, 20, 20], vec![1; 60], vec![7, 13, 2, 30, 8]]
    {
        let mut subject = Subject::with(lab, story::log_of(COUNT)).await?;
        subject.perform(Step::Commit(COUNT - 1)).await?;
        subject.run(split.into_iter().map(Step::Apply)).await?;
        subject.verify_applied().await?;
    }
    Ok(())
}

async fn batches_large(lab: &Lab) -> Verdict {
    let counts: &[u64] = lab.budget.pick(
        &[65, 129, 257, 1_025, 3_000],
        &[63, 64, 65, 100, 101, 127, 128, 129, 255, 257, 513, 1_001, 1_025, 4_097],
        &[65, 257, 1_025, 10_001, 100_000],
    );
    for &count in counts {
        let mut subject = Subject::with(lab, story::applied_of(count, count)).await?;
        subject.verify_applied().await?;
    }
    Ok(())
}

async fn contents(lab: &Lab) -> Verdict {
    let mut subject = Subject::with(lab, story::log_of(100)).await?;
    subject.perform(Step::Commit(99)).await?;
    for _ in 0..100 {
        subject.perform(Step::Apply(1)).await?;
        subject.verify_applied().await?;
    }
    Ok(())
}

/// Commands of every shape that the application has, each upon what an earlier one made.
pub(crate) fn shaped(lab: &Lab) -> Vec<Payload> {
    let shapes = [
        Shape::Plain,
        Shape::Empty,
        Shape::Binary,
        Shape::Large(1),
        Shape::Large(300),
        Shape::Large(70_000),
        Shape::Delete,
        Shape::Refused,
        Shape::Plain,
        Shape::Large((1 << 20) + 1),
        Shape::Binary,
        Shape::Empty,
    ];
    let commands = (0..2).flat_map(|n| shapes.map(|shape| Command { n, shape }));
    commands.filter(|c| lab.driver.has(c)).map(Payload::Command).collect()
}

async fn shapes(lab: &Lab) -> Verdict {
    let payloads = shaped(lab);
    let count = payloads.len();
    let mut subject = Subject::with(lab, log_with(payloads.clone())).await?;
    for _ in 0..count {
        subject.perform(Step::Apply(1)).await?;
        subject.verify_applied().await?;
    }
    let mut subject = Subject::with(lab, log_with(payloads)).await?;
    subject.perform(Step::Apply(count)).await?;
    subject.verify_applied().await
}

async fn deterministic(lab: &Lab) -> Verdict {
    let steps = || story::applied_of(40, 1);
    let mut one = Subject::with(lab, steps()).await?;
    let mut two = Subject::with(lab, steps()).await?;
    let items = one.model.log.range(1, 40);
    let whole = lab.call("apply", one.machine.apply(lab.entries(&items)?)).await?;
    let mut single = Vec::new();
    for item in &items {
        let entry = lab.entries(std::slice::from_ref(item))?;
        single.extend(lab.call("apply", two.machine.apply(entry)).await?.texts());
    }
    let whole = whole.texts();
    lab.assert(whole == single, || {
        let differs = whole.iter().zip(&single).position(|(a, b)| a != b).unwrap_or(single.len());
        let what = format!("reply {differs} differs between one batch and single entries");
        let text = |replies: &[Option<String>]| format!("{:?}", replies.get(differs));
        Failure::broken(what, text(&single), text(&whole))
    })
}

async fn isolated(lab: &Lab) -> Verdict {
    let mut one = alone(lab).await.map_err(Failure::beforehand)?;
    let mut other = Subject::open(lab, lab.directory()?, crate::model::Model::new()).await?;
    other.verify_applied().await?;
    other.run(log_with((30..40).map(command))).await?;
    other.run([Step::Apply(10)]).await?;
    one.verify().await?;
    other.verify().await
}

/// A state machine beside which there is no other, and which is right.
async fn alone(lab: &Lab) -> Result<Subject<'_>, Failure> {
    let mut fresh = Subject::fresh(lab).await?;
    fresh.verify_machine_half().await?;
    fresh.run(log_with((30..40).map(command))).await?;
    fresh.run([Step::Apply(10)]).await?;
    fresh.verify_machine_half().await?;
    let mut one = Subject::with(lab, story::applied_of(9, 5)).await?;
    one.verify_machine_half().await?;
    Ok(one)
}
