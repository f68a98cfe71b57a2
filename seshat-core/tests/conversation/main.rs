//! A node and a peer that lies: nothing that it is told, or answered, stops it, nor costs it what it has
//! committed, and afterwards it is led, and leads, as ever.
//!
//! The node is one of three, real, on real sockets. The other two are one liar. It sees what the node
//! has, so that what it says is close to what could be true: plausible requests with nothing, one field
//! or several changed, one at a time or several at once, repeated, in between proposals and elections
//! of the node's own. The conversation follows from a seed, which a failure prints, with the end of what
//! was said; `SESHAT_CONVERSATION_SEED` runs another. With `SESHAT_LONG` set, each has a million steps,
//! best in a debug build, in which openraft asserts what it assumes:
//!
//! ```text
//! SESHAT_LONG=1 cargo test -p seshat-core --test conversation case_1
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stderr, reason = "names the seed")]

mod liar;
#[path = "../grpc/raw.rs"]
#[allow(dead_code, reason = "what a recorder has, too")]
mod raw;
mod speech;
mod world;

use std::collections::VecDeque;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rstest::rstest;
use speech::Speech;
use world::World;

/// A panic in a task of openraft's ends that, and shows nowhere else.
static PANICS: AtomicUsize = AtomicUsize::new(0);

fn note_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, Ordering::Relaxed);
            print(panic);
        }));
    });
}

/// What is printed of a conversation that fails.
const TAIL: usize = 30;

/// The end of a conversation, and its seed. Printed by a test that panics.
struct Record {
    seed: u64,
    said: VecDeque<String>,
}

impl Record {
    fn note(&mut self, step: usize, what: &impl std::fmt::Debug) {
        if self.said.len() == TAIL {
            self.said.pop_front();
        }
        self.said.push_back(format!("{step}: {what:?}"));
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.said.iter().for_each(|said| eprintln!("{said}"));
            eprintln!("SESHAT_CONVERSATION_SEED={}", self.seed);
        }
    }
}

/// `steps` of one conversation, a new node after each `lifetime`.
async fn converse(seed: u64, steps: usize, lifetime: usize) {
    let mut record = Record { seed, said: VecDeque::new() };
    let mut random = SmallRng::seed_from_u64(seed);
    let mut done = 0;
    note_panics();
    while done < steps {
        let mut world = World::begin(random.random()).await;
        let mut speech = Speech::new(done / lifetime % 2 == 1);
        for step in done..(done + lifetime).min(steps) {
            let known = world.look().await;
            assert_eq!(PANICS.load(Ordering::Relaxed), 0, "a task panicked");
            let said = speech.next(&mut random, &known);
            record.note(step, &said);
            world.say(said).await;
        }
        done += lifetime;
        record.note(done, &"an honest leader");
        world.end().await;
    }
}

#[rstest]
#[case(1)]
#[case(2)]
#[case(3)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_lie_stops_a_node(#[case] seed: u64) {
    let long = std::env::var_os("SESHAT_LONG").is_some();
    let (steps, lifetime) = if long { (1_000_000, 2_000) } else { (1_000, 250) };
    let seed = match std::env::var("SESHAT_CONVERSATION_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => seed,
    };
    converse(seed, steps, lifetime).await;
}
