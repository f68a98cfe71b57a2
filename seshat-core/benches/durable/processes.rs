//! Three nodes in three processes over gRPC, in directories on one disk and in memory.

use std::path::Path;

use crate::common::data::VALUE_LEN;
use crate::common::measure::{Scale, median};
use crate::load::{Load, Outcome};
use crate::process::Processes;
use crate::{middle, seconds, temporary};

const CLIENTS: [usize; 3] = [1, 64, 256];

pub(crate) async fn print(scale: Scale) {
    println!(
        "\nThree processes over gRPC: operations per second, p50/p99 in us, CPU us per operation\n"
    );
    println!(
        "| clients | memory | durable | / memory | p50 more, us | two raw syncs, us | CPU / memory |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|");
    for clients in CLIENTS {
        let mut rounds: [Vec<Outcome>; 3] = Default::default();
        for _ in 0..scale.rounds {
            rounds[0].push(load(None, clients, scale).await);
            let dir = temporary();
            rounds[1].push(load(Some(dir.path()), clients, scale).await);
            rounds[2].push(Load::new("two-syncs", 3, 1).in_child(scale));
        }
        let of = |number: fn(&Outcome, &Outcome) -> f64| {
            let pairs = rounds[1].iter().zip(&rounds[0]);
            median(pairs.map(|(durable, memory)| number(durable, memory)).collect())
        };
        let to_memory = of(|durable, memory| durable.per_second / memory.per_second);
        let more = of(|durable, memory| durable.p50_us - memory.p50_us);
        let cpu = of(|durable, memory| durable.cpu_us / memory.cpu_us);
        let [memory, durable, syncs] = rounds.map(middle);
        println!(
            "| {clients} | {} | {} | {to_memory:.2}x | {more:.0} | {:.0} | {cpu:.2}x |",
            memory.describe(),
            durable.describe(),
            syncs.p50_us,
        );
    }
}

async fn load(kept: Option<&Path>, clients: usize, scale: Scale) -> Outcome {
    let nodes = Processes::cluster(kept).await;
    let outcome = nodes.load(clients, VALUE_LEN, seconds(scale)).await;
    nodes.end().await;
    outcome
}
