//! Tables: naive, ours and the limit beside each other, and whether the aim was reached.

/// What a row's ratio has to be.
#[derive(Clone, Copy)]
pub(crate) enum Aim {
    /// Nothing.
    None,
    /// The naive number is at least that many times ours.
    TimesFaster(f64),
    /// Ours is at most that many times the limit.
    WithinLimit(f64),
    /// The limit is at least that share of ours: so much of what can be done is done.
    ShareOfLimit(f64),
    /// Ours is less than that.
    Below(f64),
}

/// One line of a table; smaller numbers are better.
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) naive: Option<f64>,
    pub(crate) ours: f64,
    pub(crate) limit: Option<f64>,
    pub(crate) aim: Aim,
}

impl Row {
    /// What was aimed for, and whether it was reached.
    fn verdict(&self) -> (String, &'static str) {
        let yes = |reached| if reached { "yes" } else { "NO" };
        match self.aim {
            Aim::None => (String::new(), ""),
            Aim::TimesFaster(times) => {
                let reached = self.naive.is_some_and(|naive| naive >= times * self.ours);
                (format!(">= {times}x naive"), yes(reached))
            }
            Aim::WithinLimit(times) => {
                let reached = self.limit.is_some_and(|limit| self.ours <= times * limit);
                (format!("<= {times}x limit"), yes(reached))
            }
            Aim::ShareOfLimit(share) => {
                let reached = self.limit.is_some_and(|limit| limit >= share * self.ours);
                (format!(">= {share}x of limit"), yes(reached))
            }
            Aim::Below(bound) => (format!("< {bound}"), yes(self.ours < bound)),
        }
    }
}

/// Prints the rows as a markdown table.
pub(crate) fn print(title: &str, rows: &[Row]) {
    println!("\n{title}\n");
    println!("| what | naive | ours | limit | naive / ours | ours / limit | aim | reached |");
    println!("|---|--:|--:|--:|--:|--:|---|---|");
    for row in rows {
        let (aim, reached) = row.verdict();
        println!(
            "| {} | {} | {} | {} | {} | {} | {aim} | {reached} |",
            row.what,
            number(row.naive),
            number(Some(row.ours)),
            number(row.limit),
            ratio(row.naive.map(|naive| naive / row.ours)),
            ratio(row.limit.map(|limit| row.ours / limit)),
        );
    }
}

fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}x"))
}

/// Three digits that count.
fn number(number: Option<f64>) -> String {
    match number {
        None => "-".to_owned(),
        Some(number) if number < 0.1 => format!("{number:.4}"),
        Some(number) if number < 10.0 => format!("{number:.2}"),
        Some(number) if number < 100.0 => format!("{number:.1}"),
        Some(number) => format!("{number:.0}"),
    }
}

/// What the numbers are taken on.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown cpu");
    let load = read("/proc/loadavg");
    let load = load.split_whitespace().next().unwrap_or("?");
    let profile = if cfg!(debug_assertions) { "DEBUG" } else { "bench (optimized)" };
    format!("{model}, {cores} cores, {}, load {load}; profile {profile}", std::env::consts::OS)
}

/// Prints that, and how much is measured.
pub(crate) fn print_machine(scale: &super::measure::Scale) {
    println!("{}; {} keys, medians of {} rounds", machine(), scale.keys, scale.rounds);
    if scale.keys < 1_000_000 {
        println!("A glance: what is this small fits the caches, so aims mean little.");
    }
}
