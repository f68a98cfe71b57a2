//! Rounds that a test begins and ends by hand.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;
use tokio::sync::oneshot;

use super::Rounds;

/// When a read came, when the round began that answered it, and that round's end.
type Read = Pin<Box<dyn Future<Output = u64>>>;

/// Rounds are numbered in the order in which they begin.
struct World {
    rounds: Rounds<u64>,
    begun: std::rc::Rc<std::cell::RefCell<Vec<Option<oneshot::Sender<()>>>>>,
    /// With the number of rounds that had begun when each came.
    reads: Vec<(u64, Option<Read>)>,
}

impl World {
    fn new() -> Self {
        Self { rounds: Rounds::default(), begun: Default::default(), reads: Vec::new() }
    }

    fn begun(&self) -> u64 {
        self.begun.borrow().len() as u64
    }

    fn come(&mut self) {
        let (rounds, begun) = (self.rounds.clone(), self.begun.clone());
        let read = async move {
            let round = async || {
                let (end, ended) = oneshot::channel();
                begun.borrow_mut().push(Some(end));
                let number = begun.borrow().len() as u64;
                ended.await.unwrap();
                number
            };
            rounds.join(round).await.unwrap()
        };
        self.reads.push((self.begun(), Some(Box::pin(read))));
        self.poll(self.reads.len() - 1);
    }

    /// The round that answered the read, if one has.
    fn poll(&mut self, read: usize) -> Option<u64> {
        let (came, slot) = &mut self.reads[read];
        let polled = slot.as_mut()?.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(number) = polled else { return None };
        *slot = None;
        assert!(number > *came, "round {number} answers who came when {came} had begun");
        Some(number)
    }

    fn poll_all(&mut self) -> Vec<Option<u64>> {
        (0..self.reads.len()).map(|read| self.poll(read)).collect()
    }

    fn give_up(&mut self, read: usize) {
        self.reads[read].1 = None;
    }

    /// Ends the round under way, if one is.
    fn end(&mut self) {
        if let Some(end) = self.begun.borrow_mut().last_mut().and_then(Option::take) {
            // Nobody leads it any more, maybe.
            let _ = end.send(());
        }
    }
}

#[test]
fn who_comes_during_a_round_shares_the_next() {
    let mut world = World::new();
    world.come();
    for _ in 0..1000 {
        world.come();
    }
    assert_eq!(world.begun(), 1);
    world.end();
    assert_eq!(world.poll(0), Some(1));
    assert_eq!(world.poll_all(), vec![None; 1001]);
    assert_eq!(world.begun(), 2);
    world.end();
    let answers = world.poll_all();
    assert!(answers[1..].iter().all(|round| *round == Some(2)), "{answers:?}");
    world.come();
    assert_eq!(world.begun(), 3, "nobody leads any more");
}

#[test]
fn a_leader_that_is_dropped_leaves_nobody_hanging() {
    let mut world = World::new();
    (0..4).for_each(|_| world.come());
    world.give_up(0);
    world.poll_all();
    assert_eq!(world.begun(), 2, "another leads");
    world.come();
    // It led, and others waited for it.
    world.give_up(1);
    // It is told to lead, and dropped before it hears of it.
    world.give_up(2);
    world.poll_all();
    assert_eq!(world.begun(), 3);
    world.end();
    assert_eq!(world.poll_all(), [None, None, None, Some(3), Some(3)]);
}

proptest! {
    /// Whatever comes, is polled, ends and is given up in whatever order: a round answers only who came
    /// before it ([`World::poll`]), one is under way at a time, and everybody is answered who stays.
    #[test]
    fn nobody_is_answered_too_early_or_never(
        steps in prop::collection::vec((0..4_u8, any::<prop::sample::Index>()), 1..200),
    ) {
        let mut world = World::new();
        for (step, which) in steps {
            let some = (!world.reads.is_empty()).then(|| which.index(world.reads.len()));
            match (step, some) {
                (1, _) => world.end(),
                (2, Some(read)) => drop(world.poll(read)),
                (3, Some(read)) => world.give_up(read),
                _ => world.come(),
            }
        }
        // One round for who leads, one for those who wait, and one that takes the place of one given up.
        for _ in 0..3 {
            world.end();
            world.poll_all();
            world.poll_all();
        }
        world.end();
        world.poll_all();
        prop_assert!(world.reads.iter().all(|(_, read)| read.is_none()));
    }
}
