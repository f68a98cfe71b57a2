//! What power cuts leave.

use super::mix;
use super::world::{World, apply};

/// All choices are tried if they are no more than that.
const ALL: usize = 512;

impl World {
    /// What power cuts may leave: all of it if that is little, otherwise extremes and samples. Second:
    /// whether it was all.
    pub(crate) fn cuts(&self) -> (Vec<Self>, bool) {
        let units = self.units();
        let count = units.iter().try_fold(1_usize, |count, (_, versions)| {
            count.checked_mul(versions + 1).filter(|count| *count <= ALL)
        });
        let choices: Vec<Vec<usize>> = match count {
            Some(count) => (0..count)
                .map(|mut number| {
                    let digit = |(_, versions): &(_, usize)| {
                        let digit = number % (versions + 1);
                        number /= versions + 1;
                        digit
                    };
                    units.iter().map(digit).collect()
                })
                .collect(),
            None => {
                let full = |unit: usize| units[unit].1;
                let pick = |keep: &dyn Fn(usize) -> bool| -> Vec<usize> {
                    (0..units.len()).map(|unit| if keep(unit) { full(unit) } else { 0 }).collect()
                };
                let mut some = vec![pick(&|_| false), pick(&|_| true)];
                for one in 0..units.len() {
                    some.push(pick(&|unit| unit == one));
                    some.push(pick(&|unit| unit != one));
                    some.push(pick(&|unit| unit < one));
                }
                some.extend((0..64_u64).map(|seed| {
                    (0..units.len())
                        .map(|unit| mix(seed << 32 | unit as u64) as usize % (full(unit) + 1))
                        .collect()
                }));
                some
            }
        };
        let cut = |choice: Vec<usize>| self.cut_to(&units, &choice);
        (choices.into_iter().map(cut).collect(), count.is_some())
    }

    /// What one power cut leaves: any of what it may, by `seed`.
    #[allow(dead_code, reason = "for those who have a cluster on it")]
    pub(crate) fn cut_by(&self, seed: u64) -> Self {
        let units = self.units();
        let pick = |(unit, (_, versions)): (usize, &(_, usize))| {
            mix(mix(seed) ^ unit as u64) as usize % (versions + 1)
        };
        let choice: Vec<usize> = units.iter().enumerate().map(pick).collect();
        self.cut_to(&units, &choice)
    }

    /// What a power cut may leave in one of several versions: sectors, and renames. Each has so many beside
    /// the durable one.
    fn units(&self) -> Vec<(Option<(usize, usize)>, usize)> {
        let sectors = self.inodes.iter().enumerate().flat_map(|(inode, file)| {
            file.pending.iter().map(move |(sector, versions)| (inode, *sector, versions.len()))
        });
        let mut units: Vec<(Option<(usize, usize)>, usize)> =
            sectors.map(|(inode, sector, versions)| (Some((inode, sector)), versions)).collect();
        units.extend(self.namings.iter().map(|_| (None, 1)));
        units
    }

    fn cut_to(&self, units: &[(Option<(usize, usize)>, usize)], choice: &[usize]) -> Self {
        let mut after = self.killed();
        let mut namings = self.namings.iter();
        after.names = self.durable_names.clone();
        for ((unit, _), version) in units.iter().zip(choice) {
            match unit {
                Some((inode, sector)) => {
                    let Some(version) = version.checked_sub(1) else { continue };
                    let bytes = &self.inodes[*inode].pending[sector][version];
                    after.inodes[*inode].durable.overwrite(sector * self.sector, bytes);
                }
                None => {
                    let naming = namings.next().unwrap();
                    if *version > 0 {
                        apply(&mut after.names, naming);
                    }
                }
            }
        }
        after.durable_names = after.names.clone();
        after.namings.clear();
        for inode in &mut after.inodes {
            inode.pending.clear();
            inode.cached = inode.durable.clone();
        }
        after
    }
}
