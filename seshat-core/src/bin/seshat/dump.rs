//! `seshat dump`: the entries of a log.

use std::io::{self, Write};
use std::ops::Range;
use std::process::ExitCode;

use seshat_core::disk::inspect::Item;
use seshat_core::operation::{Batch, Operation};
use seshat_core::types::{Entry, EntryPayload};

use crate::arguments::DumpOptions;
use crate::codes::{DAMAGED, FAILED, WRONG_USAGE};
use crate::directory::Directory;
use crate::json::Json;
use crate::report::membership;
use crate::words::{Indexes, Members};
use crate::{Failure, chain};

pub(crate) fn run(options: &DumpOptions, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let DumpOptions { from, to, group, .. } = *options;
    if from > to {
        let words = format!("--from {from} is behind --to {to}: no index is both");
        return Err(Failure::new(WRONG_USAGE, words));
    }
    let inspected = Directory::open(&options.dir)?.read_in_use()?;
    let groups = &inspected.findings().groups;
    if !groups.iter().any(|it| it.group == group) {
        let there: Vec<String> = groups.iter().map(|it| it.group.to_string()).collect();
        let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
        let words = format!("the log has no group {group}; it has: {there}");
        return Err(Failure::new(FAILED, words));
    }
    let mut is_whole = true;
    for item in inspected.entries(group, from..to.saturating_add(1)) {
        is_whole &= matches!(item, Item::Entry(_, true));
        if options.text { text(&item, out)? } else { writeln!(out, "{}", json(&item))? }
    }
    Ok(ExitCode::from(if is_whole { 0 } else { DAMAGED }))
}

fn json(item: &Item) -> Json {
    let range = |range: &Range<u64>| {
        Json::Object(vec![("from", range.start.into()), ("to", range.end.saturating_sub(1).into())])
    };
    let (entry, certain) = match item {
        Item::Entry(entry, certain) => (entry, *certain),
        Item::Missing(missing) => return Json::Object(vec![("missing", range(missing))]),
        Item::Unreadable(missing, error) => {
            let why = chain(error).into();
            return Json::Object(vec![("missing", range(missing)), ("why", why)]);
        }
    };
    let leader = entry.log_id.leader_id;
    let mut fields = vec![
        ("index", entry.log_id.index.into()),
        ("term", leader.term.into()),
        ("node", leader.node_id.into()),
    ];
    match &entry.payload {
        EntryPayload::Blank => fields.push(("blank", true.into())),
        EntryPayload::Normal(batch) => {
            fields.push(("operations", Json::list(batch.operations().iter().map(operation))));
            fields.extend(batch.raises().map(|format| ("format", format.into())));
        }
        EntryPayload::Membership(it) => fields.push(("membership", membership(it))),
    }
    if !certain {
        fields.push(("certain", false.into()));
    }
    Json::Object(fields)
}

fn operation(operation: &Operation) -> Json {
    match operation {
        Operation::Set(set) => {
            let mut fields =
                vec![("set", Json::bytes(set.key())), ("value", Json::bytes(set.value()))];
            if set.get() {
                fields.push(("get", true.into()));
            }
            Json::Object(fields)
        }
        Operation::Del(del) => {
            Json::Object(vec![("del", Json::list(del.keys().iter().map(Json::bytes)))])
        }
    }
}

fn text(item: &Item, out: &mut dyn Write) -> io::Result<()> {
    match item {
        Item::Entry(entry, certain) => {
            let Entry { log_id, payload } = entry;
            let doubt = if *certain { "" } else { "  (may have been taken back)" };
            write!(out, "{:>10}  term {:<4}  ", log_id.index, log_id.leader_id.term)?;
            match payload {
                EntryPayload::Blank => write!(out, "blank")?,
                EntryPayload::Normal(batch) => text_of(batch, out)?,
                EntryPayload::Membership(it) => write!(out, "members: {}", Members(it))?,
            }
            writeln!(out, "{doubt}")
        }
        Item::Missing(missing) => writeln!(out, "missing: {}", Indexes(missing)),
        Item::Unreadable(missing, error) => {
            writeln!(out, "missing: {}: {}", Indexes(missing), chain(error))
        }
    }
}

fn text_of(batch: &Batch, out: &mut dyn Write) -> io::Result<()> {
    if let Some(format) = batch.raises() {
        return write!(out, "format {format}");
    }
    for (number, operation) in batch.operations().iter().enumerate() {
        write!(out, "{}", if number > 0 { "; " } else { "" })?;
        match operation {
            Operation::Set(set) => {
                let get = if set.get() { " get" } else { "" };
                write!(out, "set {} {}{get}", Quoted(set.key()), Quoted(set.value()))?;
            }
            Operation::Del(del) => {
                write!(out, "del")?;
                del.keys().iter().try_for_each(|key| write!(out, " {}", Quoted(key)))?;
            }
        }
    }
    Ok(())
}

/// As Rust writes it: text in quotes, other bytes with a `b` before them.
struct Quoted<'a>(&'a [u8]);

impl std::fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match std::str::from_utf8(self.0) {
            Ok(text) => write!(f, "{text:?}"),
            Err(_) => write!(f, "b\"{}\"", self.0.escape_ascii()),
        }
    }
}
