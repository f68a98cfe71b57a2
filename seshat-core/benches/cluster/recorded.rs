//! What it costs to count and to time what a node does.

use std::path::PathBuf;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use seshat_core::metrics::{ALL, Kind};

use super::common::measure::{Scale, median};
use super::load::{Load, Outcome};
use super::middle;

const CLIENTS: [usize; 3] = [1, 64, 256];

/// Keeps what this process records, as the program does.
pub(crate) fn install() {
    let mut builder = PrometheusBuilder::new();
    for metric in ALL {
        if let Kind::Histogram(buckets) = metric.kind {
            let matcher = Matcher::Full(metric.name.to_owned());
            builder = builder.set_buckets_for_metric(matcher, buckets).unwrap();
        }
    }
    let handle = builder.install_recorder().unwrap();
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(5));
            handle.run_upkeep();
        }
    });
}

pub(crate) fn print(scale: Scale) {
    let this = std::env::current_exe().unwrap();
    let other = std::env::args().skip_while(|arg| arg != "--beside").nth(1).map(PathBuf::from);
    let built = if cfg!(feature = "metrics") { "with the feature" } else { "without the feature" };
    println!(
        "\nMetrics, three nodes, built {built}: operations per second, p50/p99 in us, CPU us\n"
    );
    let mut programs = vec![("no recorder", &this, "ours"), ("recorded", &this, "recorded")];
    programs.extend(other.as_ref().map(|other| ("without the feature", other, "ours")));
    // The last is what the others are compared with: itself, where nothing else was given.
    programs.push(if other.is_some() { programs[2] } else { programs[0] });
    for clients in CLIENTS {
        let mut rounds: Vec<Vec<Outcome>> = vec![Vec::new(); programs.len()];
        for _ in 0..3 * scale.rounds {
            for ((_, program, kind), outcomes) in programs.iter().zip(&mut rounds) {
                outcomes.push(Load::new(kind, 3, clients).in_program(program, scale));
            }
        }
        let base = rounds.pop().unwrap();
        println!("{clients} clients, compared with: {}", middle(base.clone()).describe());
        for ((what, ..), outcomes) in programs.iter().zip(rounds) {
            let ratio = |of: fn(&Outcome) -> f64| {
                median(outcomes.iter().zip(&base).map(|(is, base)| of(is) / of(base)).collect())
            };
            let (rate, cpu) = (ratio(|is| is.per_second), ratio(|is| is.cpu_us));
            let is = middle(outcomes.clone()).describe();
            println!("  {what}: {is}; {rate:.2}x the operations, {cpu:.2}x the CPU of each");
        }
    }
}
