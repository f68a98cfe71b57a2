//! What is packed, when a test says so, and what becomes of the rest.

use std::task::Waker;

use super::*;

/// The calls of a link, and its messages, which a test takes.
struct World {
    queue: mpsc::Sender<Waiting>,
    calls: Arc<Calls>,
    packs: Packs,
}

impl World {
    fn new() -> Self {
        let (queue, waiting) = mpsc::channel(WAITING);
        let calls = Arc::new(Calls(Mutex::new(State::Open(HashMap::new()))));
        let (came, next) = (Vec::new(), VecDeque::new());
        let packs = Packs { waiting, calls: Arc::clone(&calls), came, next, last_id: 0 };
        Self { queue, calls, packs }
    }

    fn call(&self, key_bytes: usize) -> (Ticket, oneshot::Receiver<Heard>) {
        let (reply, heard) = oneshot::channel();
        let read = proto::ReadRequest { key: vec![0; key_bytes].into(), ..Default::default() };
        let (kind, ticket) = (request::Kind::Read(read), Ticket::default());
        let waiting = Waiting { kind, ticket: ticket.clone(), reply: Reply(Some(reply)) };
        assert!(self.queue.try_send(waiting).is_ok(), "there is room");
        (ticket, heard)
    }

    /// The ids of the next message.
    fn pack(&mut self) -> Option<Vec<u64>> {
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(&mut self.packs).poll_next(&mut cx) {
            Poll::Ready(Some(pack)) => {
                let id =
                    |bytes| proto::Request::decode(bytes).map(|request: proto::Request| request.id);
                Some(pack.requests.into_iter().map(|bytes| id(bytes).expect("a request")).collect())
            }
            _ => None,
        }
    }

    fn waiting_for(&self) -> usize {
        match &*self.calls.lock() {
            State::Open(calls) => calls.len(),
            State::Broken(_) => 0,
        }
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
    let mut world = World::new();
    assert_eq!(world.pack(), None);
    let _heard: Vec<_> = (0..5).map(|_| world.call(10)).collect();
    assert_eq!(world.pack(), Some(vec![1, 2, 3, 4, 5]));
    // Three of a third each, and one that is longer by itself.
    let _more: Vec<_> =
        [PACK / 3, PACK / 3, PACK / 3, 2 * PACK, 1].map(|len| world.call(len)).into();
    assert_eq!(world.pack(), Some(vec![6, 7]));
    assert_eq!(world.pack(), Some(vec![8]));
    assert_eq!(world.pack(), Some(vec![9]));
    assert_eq!(world.pack(), Some(vec![10]));
    assert_eq!(world.pack(), None);
}

#[test]
fn what_was_given_up_before_it_was_packed_is_never_sent() {
    let mut world = World::new();
    let calls: Vec<_> = (0..3).map(|_| world.call(1)).collect();
    assert_eq!(calls[1].0.give_up(), None, "it is certain");
    assert_eq!(world.pack(), Some(vec![1, 2]));
    assert_eq!(calls[2].0.give_up(), Some(2), "too late");
    world.calls.forget(2);
    assert_eq!(world.waiting_for(), 1, "nothing is left of it");
    assert_eq!(calls[0].0.give_up(), Some(1));
}

#[test]
fn when_it_breaks_each_call_is_told_whether_it_was_sent() {
    let mut world = World::new();
    let mut sent: Vec<_> = (0..3).map(|_| world.call(1)).collect();
    world.pack();
    let mut waits = world.call(1);
    world.calls.end(&Lost::broken("cut"), 2);
    assert_eq!(
        sent.iter_mut().map(|(_, heard)| lost(heard)).collect::<Vec<_>>(),
        [
            Some(true),
            Some(true),
            // Behind what was taken.
            Some(false),
        ]
    );
    assert_eq!(world.pack(), None);
    assert_eq!(lost(&mut waits.1), Some(false), "it is told at once");
    let mut late = world.call(1);
    drop(world);
    assert_eq!(lost(&mut late.1), Some(false));
}

#[test]
fn answers_find_who_waits_and_nobody_else() {
    let mut world = World::new();
    let mut calls: Vec<_> = (0..2).map(|_| world.call(1)).collect();
    world.pack();
    let answer = |id| proto::Answer { id, kind: None };
    world.calls.answer(vec![answer(2), answer(7), answer(2), answer(0)]);
    assert!(matches!(calls[1].1.try_recv(), Ok(Ok(None))));
    assert!(calls[0].1.try_recv().is_err(), "it isn't answered yet");
    assert_eq!(world.waiting_for(), 1);
}

#[test]
fn who_gives_up_what_was_sent_leaves_nothing_behind() {
    let mut world = World::new();
    let (ticket, heard) = world.call(1);
    world.pack();
    assert_eq!(world.waiting_for(), 1);
    let (calls, ticket) = (&*world.calls, &ticket);
    drop(Waits { calls, ticket, heard, answered: false });
    assert_eq!(world.waiting_for(), 0);
}

/// Whatever broke the link, and whatever it left in doubt.
#[tokio::test]
async fn what_is_asked_of_a_broken_link_is_certainly_not_done() {
    let World { queue, calls, packs } = World::new();
    drop(packs);
    calls.end(&Lost::broken("cut"), u64::MAX);
    let link = Link { queue, calls, max_message_bytes: 1 << 20, hears: tokio::spawn(async {}) };
    let kind = request::Kind::Read(proto::ReadRequest::default());
    let lost = link.call(kind, Instant::now()).await.expect_err("it is broken");
    assert_eq!((&*lost.reason, lost.done), ("cut", Some(false)));
}
