//! The command that does again what was done.

use super::{Report, Rerun};
use crate::options::Options;

/// A variable of the environment that stands for an option of the command line.
pub(crate) fn variable(option: &str) -> String {
    format!("SESHAT_CONFORMANCE_{}", option.to_uppercase().replace('-', "_"))
}

impl Report {
    /// The one command that runs a check again, on the same random choices.
    pub fn again(&self, id: &str) -> String {
        let Self { seed, budget, .. } = self;
        match &self.rerun {
            Rerun::Program(program) => {
                let budget = budget.pick(" --quick", "", " --long");
                format!("{program} run {id} --seed {seed}{budget}{}", self.flags())
            }
            Rerun::Test(test) => {
                let budget = match budget.pick("quick", "", "long") {
                    "" => String::new(),
                    budget => format!("{}={budget} ", variable("budget")),
                };
                let (seed, others) = (format!("{}={seed} ", variable("seed")), self.variables());
                format!("{seed}{budget}{others}{}", cargo_test(test, &format!("--exact {id}")))
            }
            Rerun::Replay(command) => command.clone(),
            Rerun::Library => {
                let others = self.unusual().into_iter().map(|(option, value)| match option {
                    "edition" => format!("edition: Edition({value}), "),
                    "patience" => format!("patience: Duration::from_secs_f64({value}_f64), "),
                    option => format!("{}: {value}, ", option.replace('-', "_")),
                });
                let others: String = others.collect();
                format!(
                    "run_one(backend, &Options {{ seed: {seed}, budget: Budget::{budget:?}, \
                     {others}..Options::default() }}, \"{id}\")"
                )
            }
        }
    }

    /// Options beside seed and budget that weren't the usual ones.
    fn unusual(&self) -> Vec<(&'static str, String)> {
        let usual = Options::default();
        let mut unusual = Vec::new();
        if self.edition != usual.edition {
            unusual.push(("edition", self.edition.to_string()));
        }
        if self.patience != usual.patience {
            unusual.push(("patience", self.patience.as_secs_f64().to_string()));
        }
        if self.limit_scale != usual.limit_scale {
            unusual.push(("limit-scale", self.limit_scale.to_string()));
        }
        unusual
    }

    /// These for the command line.
    pub(crate) fn flags(&self) -> String {
        let flags = self.unusual().into_iter();
        flags.map(|(option, value)| format!(" --{option} {value}")).collect()
    }

    /// These for the environment.
    pub(crate) fn variables(&self) -> String {
        let variables = self.unusual().into_iter();
        variables.map(|(option, value)| format!("{}={value} ", variable(option))).collect()
    }
}

/// How cargo was called isn't known here: with `--release`, or with features.
pub(crate) fn cargo_test(test: &str, arguments: &str) -> String {
    format!("cargo test --test {test} -- {arguments}  # with the same flags for cargo")
}
