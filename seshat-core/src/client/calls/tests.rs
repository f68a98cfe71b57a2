//! What is packed, when a test says so, and what becomes of the rest.

use std::thread;

use super::*;

fn begin(calls: &Calls, key_bytes: usize) -> (u64, oneshot::Receiver<Heard>) {
    let read = proto::ReadRequest { key: vec![0; key_bytes].into(), ..Default::default() };
    calls.begin(request::Kind::Read(read)).expect("it is open")
}

/// The ids of the next message.
fn pack(calls: &Calls) -> Option<Vec<u64>> {
    match calls.poll_pack(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(requests)) => Some(requests.iter().map(|request| request.id).collect()),
        Poll::Ready(None) | Poll::Pending => None,
    }
}

/// What a call may leave behind.
fn left(calls: &Calls) -> usize {
    match &*calls.lock() {
        State::Open(open) => open.replies.len() + open.waiting.len(),
        State::Broken(_) => 0,
    }
}

fn lost(heard: &mut oneshot::Receiver<Heard>) -> Option<bool> {
    match heard.try_recv() {
        Ok(Err(lost)) => lost.done,
        other => panic!("not lost: {other:?}"),
    }
}

#[test]
fn what_waits_goes_together_in_its_order_up_to_a_bound() {
    let calls = Calls::default();
    assert_eq!(pack(&calls), None);
    let _heard: Vec<_> = (0..5).map(|_| begin(&calls, 10)).collect();
    assert_eq!(pack(&calls), Some(vec![1, 2, 3, 4, 5]));
    // Three of a third each, and one that is longer by itself.
    let _more: Vec<_> =
        [PACK / 3, PACK / 3, PACK / 3, 2 * PACK, 1].map(|len| begin(&calls, len)).into();
    assert_eq!(pack(&calls), Some(vec![6, 7]));
    assert_eq!(pack(&calls), Some(vec![8]));
    assert_eq!(pack(&calls), Some(vec![9]));
    assert_eq!(pack(&calls), Some(vec![10]));
    assert_eq!(pack(&calls), None);
}

#[test]
fn what_is_given_up_before_it_is_packed_is_never_sent() {
    let calls = Calls::default();
    let _heard: Vec<_> = (0..3).map(|_| begin(&calls, 1)).collect();
    assert!(!calls.give_up(2), "it is certain");
    assert_eq!(pack(&calls), Some(vec![1, 3]));
    assert!(calls.give_up(3), "too late");
    assert_eq!(left(&calls), 1, "nothing is left of it");
    assert!(calls.give_up(1));
    assert_eq!(left(&calls), 0);
}

#[test]
fn when_it_breaks_each_call_is_told_whether_it_was_sent() {
    let calls = Calls::default();
    let mut sent: Vec<_> = (0..3).map(|_| begin(&calls, 1)).collect();
    pack(&calls);
    let mut waits = begin(&calls, 1);
    calls.end(&Lost::broken("cut"), 2);
    let ends = sent.iter_mut().map(|(_, heard)| lost(heard)).collect::<Vec<_>>();
    // The last is behind what was taken.
    assert_eq!(ends, [Some(true), Some(true), Some(false)]);
    assert_eq!(lost(&mut waits.1), Some(false), "it is told at once");
    assert!(matches!(calls.poll_pack(&mut Context::from_waker(Waker::noop())), Poll::Ready(None)));

    calls.end(&Lost::unsent("later"), 0);
    let refused = calls.begin(request::Kind::Read(proto::ReadRequest::default())).unwrap_err();
    assert_eq!((&*refused.reason, refused.done), ("cut", Some(false)));
}

/// Whatever the node says that it took.
#[test]
fn what_was_never_packed_is_certainly_not_done() {
    let calls = Calls::default();
    let (mut sent, mut waits) = (begin(&calls, PACK), begin(&calls, PACK));
    assert_eq!(pack(&calls), Some(vec![1]));
    calls.end(&Lost::broken("cut"), u64::MAX);
    assert_eq!((lost(&mut sent.1), lost(&mut waits.1)), (Some(true), Some(false)));
}

#[test]
fn when_nobody_packs_any_more_what_waits_is_told_and_what_was_sent_may_be_answered() {
    let calls = Calls::default();
    let mut sent = begin(&calls, 1);
    pack(&calls);
    let mut waits = begin(&calls, 1);
    calls.abandon();
    assert_eq!(lost(&mut waits.1), Some(false));
    assert!(!calls.are_open());
    let refused = calls.begin(request::Kind::Read(proto::ReadRequest::default())).unwrap_err();
    assert_eq!(refused.done, Some(false));
    calls.answer(vec![proto::Answer { id: 1, kind: None }]);
    assert!(matches!(sent.1.try_recv(), Ok(Ok(None))));
}

/// Calls that come while the stream goes: none is left between, where nobody would tell it.
#[test]
fn whoever_comes_while_it_breaks_is_told() {
    for round in 0..100 {
        let calls = Calls::default();
        thread::scope(|threads| {
            let come = || {
                let begin = |_| calls.begin(request::Kind::Read(Default::default())).ok();
                (0..200).map_while(begin).map(|(_, heard)| heard).collect::<Vec<_>>()
            };
            let come = [threads.spawn(come), threads.spawn(come)];
            while left(&calls) < 4 {
                thread::yield_now();
            }
            pack(&calls);
            calls.abandon();
            calls.end(&Lost::broken("cut"), u64::MAX);
            for mut heard in come.into_iter().flat_map(|thread| thread.join().expect("it ends")) {
                assert!(heard.try_recv().is_ok(), "round {round}: nobody told it");
            }
        });
    }
}

#[test]
fn answers_find_who_waits_and_nobody_else() {
    let calls = Calls::default();
    let mut sent: Vec<_> = (0..2).map(|_| begin(&calls, 1)).collect();
    pack(&calls);
    let mut waits = begin(&calls, 1);
    let answer = |id| proto::Answer { id, kind: None };
    calls.answer(vec![answer(2), answer(7), answer(2), answer(0), answer(3)]);
    assert!(matches!(sent[1].1.try_recv(), Ok(Ok(None))));
    assert!(sent[0].1.try_recv().is_err(), "it isn't answered yet");
    assert!(waits.1.try_recv().is_err(), "it wasn't asked yet");
    assert_eq!(left(&calls), 3);
}
