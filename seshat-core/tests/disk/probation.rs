//! On whose word a node takes part is there again, and holds nothing open.

use rstest::rstest;
use seshat_core::codec::Leadership;
use seshat_core::disk::DiskStorage;
use seshat_core::storage::{Probation, Storage};
use seshat_core::types::{LeaderId, LogId, Vote};

use crate::run::{Op, Run, options};
use crate::sim::{Sim, World};

fn probation(term: u64) -> Probation {
    let committed = LogId::new(LeaderId::new(term, 2), 7);
    Probation { leadership: Leadership { vote: Vote::new_committed(term, 2), committed } }
}

fn kept(world: World) -> Option<Probation> {
    DiskStorage::open_on(Sim::on(world), options()).unwrap().probations().kept()
}

/// The power fails, or the process is killed, at every moment of keeping one, and of what follows until
/// segments turn and go: it isn't there, or it is, and never again gone once `keep` has returned.
#[rstest]
#[case::power(true)]
#[case::kill(false)]
#[tokio::test]
async fn a_probation_that_was_kept_stays(#[case] power: bool) {
    let sim = Sim::new(512);
    let storage = DiskStorage::open_on(sim.clone(), options()).unwrap();
    assert_eq!(storage.probations().kept(), None);
    sim.record();
    storage.probations().keep(probation(3)).unwrap();
    let keeping = sim.recorded();
    drop(storage);
    let mut run = Run::on(sim.clone());
    run.run(&[Op::Vote, Op::Append(3, 2000), Op::Append(3, 2000), Op::Build, Op::Purge(0)]).await;
    drop(run);
    let (last, before) = keeping.split_last().unwrap();
    let left = |world: &World| if power { world.cuts().0 } else { vec![world.killed()] };
    let mut found: Vec<Option<Probation>> = before.iter().flat_map(left).map(kept).collect();
    found.retain(|kept| *kept != Some(probation(3)));
    assert!(found.iter().all(Option::is_none), "{found:?}");
    let after = left(last).into_iter().chain(left(&sim.world()));
    for world in after {
        assert_eq!(kept(world), Some(probation(3)), "it was kept, and is gone");
    }
}

#[tokio::test]
async fn it_holds_nothing_open_and_tells_when_nothing_is() {
    let dir = tempfile::tempdir().unwrap();
    let open = || DiskStorage::open(dir.path(), seshat_core::disk::DiskOptions::new("cluster", 1));
    let storage = open().unwrap();
    let (probations, released) = (storage.probations(), storage.released());
    probations.keep(probation(3)).unwrap();
    let (log, machine, reader) = storage.into_parts();
    drop(log);
    let waits = tokio::time::timeout(std::time::Duration::from_millis(50), released.clone().wait());
    assert!(waits.await.is_err(), "the machine holds it");
    let gone = std::thread::spawn(move || drop(machine));
    released.wait().await;
    let storage = open().expect("released");
    gone.join().unwrap();
    assert_eq!(probations.kept(), None, "those of a storage that is closed");
    assert!(probations.keep(probation(4)).is_err());
    assert_eq!(storage.probations().kept(), Some(probation(3)));
    drop(reader);
}
