//! A store's own wire format, recorded into the crate of its author, so that the next change of
//! it is seen before it is released.
//!
//! ```text
//! #[test]
//! fn the_wire_format_is_as_recorded() {
//!     seshat_conformance::record_wire!(MyBackend::default());
//! }
//! ```
//!
//! The macro uses the caller's own `insta`: add it to `[dev-dependencies]`, `cargo insta test`,
//! look at `cargo insta review`, and commit `snapshots/*__wire__*.snap`. An entry that then shows
//! up as changed is one that stores of the last release can't read.

use std::collections::BTreeSet;

use crate::backend::Backend;
use crate::driver;
use crate::model::{Id, Item, Members, Payload};
use crate::words::{Command, Shape};

/// The greatest term and index: openraft adds one to them.
const MAX: u64 = u64::MAX - 1;

/// Records each kind of entry, plain and at its extremes, by insta: see the
/// [module](crate::record).
#[macro_export]
macro_rules! record_wire {
    ($backend:expr) => {
        ::insta::with_settings!({ omit_expression => true }, {
            for (name, text) in $crate::record::wire(&$backend) {
                ::insta::assert_snapshot!(format!("wire__{name}"), text);
            }
        });
    };
}

/// Names and texts of what [`record_wire!`](crate::record_wire) records: the entry in the words
/// of a history, then the bytes of [`Backend::fingerprint`], sixteen a line, with what is
/// printable beside them.
///
/// Commands that the back end doesn't have are left out.
pub fn wire<B: Backend>(backend: &B) -> Vec<(String, String)> {
    let recorded = entries().into_iter().filter_map(|(name, item)| {
        let bytes = backend.fingerprint(&driver::entry(backend, &item)?);
        Some((name.to_owned(), format!("# {} {}\n{}", item.id, item.payload, dump(&bytes))))
    });
    recorded.collect()
}

/// Names are for ever: they name files in other people's crates.
fn entries() -> Vec<(&'static str, Item)> {
    let id = Id { term: 3, node: 1, index: 300 };
    let command = |shape| Payload::Command(Command { n: 7, shape });
    let members = |configs: &[&[u64]], nodes: &[u64]| {
        let set = |ids: &[u64]| ids.iter().copied().collect::<BTreeSet<u64>>();
        let configs = configs.iter().map(|config| set(config)).collect();
        Payload::Members(Members { configs, nodes: set(nodes) })
    };
    let (first, last) = (Id { term: 0, node: 0, index: 0 }, Id { term: MAX, node: 1, index: MAX });
    vec![
        ("blank", Item { id, payload: Payload::Blank }),
        ("blank_max", Item { id: last, payload: Payload::Blank }),
        ("members_first", Item { id: first, payload: members(&[&[1]], &[1]) }),
        ("members", Item { id, payload: members(&[&[1, 2, 3]], &[1, 2, 3]) }),
        ("members_joint", Item { id, payload: members(&[&[1, 2, 3], &[2, 3, 4]], &[1, 2, 3, 4]) }),
        ("members_learners", Item { id, payload: members(&[&[1]], &[1, 2, 3]) }),
        ("command", Item { id, payload: command(Shape::Plain) }),
        ("command_max", Item { id: last, payload: command(Shape::Plain) }),
        ("command_empty", Item { id, payload: command(Shape::Empty) }),
        ("command_binary", Item { id, payload: command(Shape::Binary) }),
        ("command_delete", Item { id, payload: command(Shape::Delete) }),
        ("command_large", Item { id, payload: command(Shape::Large(300)) }),
    ]
}

fn dump(bytes: &[u8]) -> String {
    let lines = bytes.chunks(16).map(|chunk| {
        let hex: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' };
        format!("{:<48}# {}", hex.join(" "), chunk.iter().map(shown).collect::<String>())
    });
    lines.collect::<Vec<_>>().join("\n")
}
