//! What a schema may not do to bytes that were written under an earlier one.

use std::collections::BTreeMap;
use std::fmt;

use super::schema::{Field, Schema};

/// A rule that was broken, where, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Break {
    pub(crate) rule: &'static str,
    /// `message seshat.v1.LogId, field 1 term`.
    pub(crate) place: String,
    pub(crate) what: String,
    pub(crate) advice: &'static str,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, place, what, advice } = self;
        write!(f, "{rule}: {place} {what}. {advice}")
    }
}

type Fields = BTreeMap<i32, Field>;

/// Every rule that `now` breaks with what is `recorded`.
pub(crate) fn breaks(recorded: &Schema, now: &Schema) -> Vec<Break> {
    let mut found = Vec::new();
    for (name, fields) in &recorded.types {
        let Some(today) = now.types.get(name) else {
            found.push(Break {
                rule: "type-kept",
                place: name.clone(),
                what: "is gone, or in another package".to_owned(),
                advice: "Put it back under its name; if nothing writes it any more, say so in its \
                         comment",
            });
            continue;
        };
        for (number, field) in fields {
            let reserved = now.is_reserved(name, *number);
            let broken = match today.get(number) {
                None => removed(name, *number, field, today, reserved),
                Some(other) => changed(name, *number, field, other),
            };
            let place = format!("{name}, {} {number} {}", noun(name), field.name);
            found.extend(broken.map(|(rule, what, advice)| Break { rule, place, what, advice }));
        }
    }
    found
}

fn noun(name: &str) -> &'static str {
    if name.starts_with("enum ") { "value" } else { "field" }
}

type Found = Option<(&'static str, String, &'static str)>;

fn removed(name: &str, number: i32, field: &Field, today: &Fields, reserved: bool) -> Found {
    if name.starts_with("enum ") && number == 0 {
        return Some((
            "enum-zero-kept",
            "is gone".to_owned(),
            "Put it back: a reader takes an absent field for the value 0",
        ));
    }
    if let Some((to, _)) = today.iter().find(|(_, other)| other.name == field.name) {
        return Some((
            "number-kept",
            format!("has the number {to} now"),
            "Give it its number back: bytes name fields by number alone",
        ));
    }
    (!reserved).then(|| {
        (
            "removed-reserved",
            "is gone, and its number is free to be used again".to_owned(),
            "Add `reserved` with its number and its name, so that old bytes never take another \
             meaning",
        )
    })
}

fn changed(name: &str, number: i32, was: &Field, is: &Field) -> Found {
    if was.name != is.name && name.starts_with("enum ") && number == 0 {
        return Some((
            "enum-zero-kept",
            format!("is {} now", is.name),
            "Put it back: a reader takes an absent field for the value 0",
        ));
    }
    if was.name != is.name {
        return Some((
            "number-not-reused",
            format!("is {} now", is.name),
            "Give the new one a number of its own, and `reserved` the old one; if it is the same \
             under a better name, keep the old name: it is on record",
        ));
    }
    if was.kind != is.kind {
        return Some((
            "type-of-field-kept",
            format!("was of type {}, is of type {}", was.kind, is.kind),
            "Put the type back, and add a field with a number of its own for the other type",
        ));
    }
    if was.oneof != is.oneof {
        let named = |oneof: &Option<String>| match oneof {
            Some(oneof) => format!("in oneof {oneof}"),
            None => "in no oneof".to_owned(),
        };
        return Some((
            "oneof-kept",
            format!("was {}, is {}", named(&was.oneof), named(&is.oneof)),
            "Put it back: setting one member of a oneof clears the others, for readers of either \
             version",
        ));
    }
    (was.cardinality != is.cardinality).then(|| {
        let named = |cardinality: &str| match cardinality {
            "" => "singular".to_owned(),
            other => other.to_owned(),
        };
        (
            "cardinality-kept",
            format!("was {}, is {}", named(&was.cardinality), named(&is.cardinality)),
            "Put it back: absent, zero and several are told apart differently",
        )
    })
}
