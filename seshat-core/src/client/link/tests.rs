//! Who waits for an answer, and what it leaves behind.

use super::*;

fn kind() -> request::Kind {
    request::Kind::Read(proto::ReadRequest::default())
}

#[tokio::test]
async fn who_gives_up_what_was_sent_leaves_nothing_behind() {
    let calls = Calls::default();
    let (id, heard) = calls.begin(kind()).expect("it is open");
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(calls.poll_pack(&mut cx).is_ready());
    assert_eq!(calls.count(), 1);
    drop(Waits { calls: &calls, id, heard, over: false });
    assert_eq!(calls.count(), 0);
}

/// Whatever broke the link, and whatever it left in doubt.
#[tokio::test]
async fn what_is_asked_of_a_broken_link_is_certainly_not_done() {
    let calls = Arc::<Calls>::default();
    calls.end(&Lost::broken("cut"), u64::MAX);
    let link = Link { calls, max_message_bytes: 1 << 20, hears: tokio::spawn(async {}) };
    let lost = link.call(kind(), Instant::now()).await.expect_err("it is broken");
    assert_eq!((&*lost.reason, lost.done), ("cut", Some(false)));
}
