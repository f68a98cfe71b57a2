//! `seshat verify`: whether a directory is as it was written.

use std::io::{self, Write};
use std::process::ExitCode;

use seshat_core::disk::inspect::{Advice, Fault, Findings, Verdict};

use crate::Failure;
use crate::arguments::VerifyOptions;
use crate::codes::{DAMAGED, TORN};
use crate::directory::Directory;
use crate::report::report;
use crate::words::{Bytes, Count, Lost};

pub(crate) fn run(options: &VerifyOptions, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let directory = Directory::open(&options.dir)?;
    let (directory, _lock) =
        directory.at_rest("what changes while it is read can't be told from what is damaged")?;
    let inspected = directory.read()?;
    let findings = inspected.findings();
    if options.json {
        writeln!(out, "{}", report(findings, false))?;
    } else {
        print(&options.dir.display().to_string(), findings, out)?;
    }
    Ok(ExitCode::from(match findings.verdict() {
        Verdict::Whole => 0,
        Verdict::Torn => TORN,
        Verdict::Damaged => DAMAGED,
    }))
}

fn print(dir: &str, findings: &Findings, out: &mut dyn Write) -> io::Result<()> {
    let records = findings.segments.iter().map(|segment| segment.frames).sum();
    let entries: u64 =
        findings.groups.iter().flat_map(|group| &group.terms).fold(0, |sum, term| {
            let (_, made) = term;
            sum + (made.end - made.start)
        });
    let read = format!(
        "{} in {}, {} among them; {}; {}",
        Count(records, "record"),
        Count(findings.segments.len() as u64, "segment"),
        Count(entries, "entry"),
        Count(
            findings.snapshots.iter().filter(|it| it.content.is_some()).count() as u64,
            "snapshot"
        ),
        Bytes(findings.bytes()),
    );
    let faults = Count(findings.faults.len() as u64, "fault");
    match findings.verdict() {
        Verdict::Whole | Verdict::Torn => writeln!(out, "{dir} is whole: {read}")?,
        Verdict::Damaged => writeln!(out, "{dir} is damaged, {faults}. What is whole: {read}")?,
    }
    if let Some(torn) = &findings.torn {
        writeln!(
            out,
            "the end is torn, as a power cut leaves it: {} behind byte {} of {} were never promised, and the \
             node goes on without them",
            Bytes(torn.bytes),
            torn.offset,
            torn.file
        )?;
    }
    let numbered = || (1..).zip(&findings.faults);
    numbered().try_for_each(|(number, fault)| print_fault(number, fault, out))?;
    for advice in [Advice::Replace, Advice::Newer, Advice::Read, Advice::GoOn] {
        let about = numbered().filter(|(_, fault)| fault.advice() == advice);
        let about: Vec<String> = about.map(|(number, _): (u64, _)| number.to_string()).collect();
        if !about.is_empty() {
            writeln!(out, "\nWhat to do about {}: {advice}.", about.join(", "))?;
        }
    }
    Ok(())
}

fn print_fault(number: u64, fault: &Fault, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "\n{number}. ")?;
    if let Some(file) = fault.file() {
        write!(out, "{file}")?;
        if let Some(offset) = fault.offset() {
            write!(out, ", byte {offset}")?;
        }
        write!(out, ": ")?;
    }
    writeln!(out, "{fault}")?;
    fault.lost().iter().try_for_each(|lost| writeln!(out, "   affected: {}", Lost(lost)))
}
