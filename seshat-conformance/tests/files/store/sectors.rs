//! Records in sectors of 512 bytes, which a disk writes whole or not at all: so a write that a
//! power cut tore is told from damage.
//!
//! Guarantees: what was put is taken. A sector that was never written, or not to its end, or in
//! another life of the file, ends the records; one whose bytes have changed is an error. No flipped
//! bit makes a sector look unwritten: its seal, the last four bytes, has two bits that are always
//! set.

use std::io;

use super::damaged;
use super::wire::sum;
use crate::faults::{Fault, Ways};

pub const SECTOR: usize = 512;
/// Which life of the file it is, and how many bytes of the record are left.
const HEAD: usize = 12;
const SEAL: usize = 4;
const BODY: usize = SECTOR - HEAD - SEAL;

/// The sectors of a record, in a file's n-th life.
pub fn put(life: u64, record: &[u8]) -> Vec<u8> {
    let mut sectors = Vec::new();
    let mut rest = record;
    loop {
        let (body, later) = rest.split_at(rest.len().min(BODY));
        let mut sector = life.to_le_bytes().to_vec();
        sector.extend((rest.len() as u32).to_le_bytes());
        sector.extend(body);
        sector.resize(SECTOR - SEAL, 0);
        sector.extend(seal(&sector));
        sectors.extend(sector);
        rest = later;
        if rest.is_empty() {
            return sectors;
        }
    }
}

fn seal(sector: &[u8]) -> [u8; SEAL] {
    (sum(sector) as u32 | 0x8000_0001).to_le_bytes()
}

/// What a file holds.
#[derive(Debug, Default)]
pub struct Found {
    /// Where each record begins, and what it is.
    pub records: Vec<(u64, Vec<u8>)>,
    /// Where the last whole one ends.
    pub end: u64,
    /// False if more was begun there.
    pub whole: bool,
}

/// The records in a file's bytes.
pub fn take(life: u64, bytes: &[u8], ways: Ways) -> io::Result<Found> {
    let mut found = Found { whole: true, ..Found::default() };
    let (mut record, mut left) = (Vec::new(), 0);
    for (sector, place) in bytes.chunks(SECTOR).zip((0..).step_by(SECTOR)) {
        let error = || damaged(format_args!("the sector at {place}"));
        found.whole = false;
        let Some((sealed, its_seal)) = sector.split_last_chunk().filter(|_| sector.len() == SECTOR)
        else {
            break;
        };
        if *its_seal == [0; SEAL] {
            found.whole = left == 0;
            break;
        }
        if *its_seal != seal(sealed) && !ways.is(Fault::SumNotChecked) {
            if ways.is(Fault::DamageEndsLog) {
                break;
            }
            return Err(error());
        }
        let (its_life, rest) = sealed.split_first_chunk().ok_or_else(error)?;
        let (its_left, body) = rest.split_first_chunk().ok_or_else(error)?;
        if u64::from_le_bytes(*its_life) != life && !ways.is(Fault::OldRecordsVerify) {
            found.whole = left == 0;
            break;
        }
        let its_left = u32::from_le_bytes(*its_left) as usize;
        if left > 0 && its_left != left {
            return Err(error());
        }
        record.extend(body.iter().take(its_left));
        left = its_left.saturating_sub(BODY);
        if left == 0 {
            let begin = std::mem::replace(&mut found.end, place + SECTOR as u64);
            found.records.push((begin, std::mem::take(&mut record)));
            found.whole = true;
        }
    }
    Ok(found)
}
