//! [`Schema`]: what of a descriptor the wire depends on, as lines of text that can be read back.

use std::collections::BTreeMap;
use std::fmt;

use protox::prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
use protox::prost_reflect::prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet,
};

/// `message` or `enum`, and the full name.
pub(crate) type Name = String;

/// A field of a message, or a value of an enum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// `repeated`, `optional`, or nothing: absent is then the same as zero.
    pub(crate) cardinality: String,
    /// A scalar, or the full name of a message or enum; `value` in an enum.
    pub(crate) kind: String,
    /// The oneof that it belongs to.
    pub(crate) oneof: Option<String>,
}

/// The fields of every message and the values of every enum, by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Schema {
    pub(crate) types: BTreeMap<Name, BTreeMap<i32, Field>>,
    /// Numbers that may not be used, first and last. Not part of the text: what was there once
    /// stays in the text itself.
    pub(crate) reserved: BTreeMap<Name, Vec<(i32, i32)>>,
}

impl Schema {
    pub(crate) fn of(descriptors: &FileDescriptorSet) -> Self {
        let mut schema = Self::default();
        for file in &descriptors.file {
            file.message_type.iter().for_each(|m| schema.add_message(file.package(), m));
            file.enum_type.iter().for_each(|e| schema.add_enum(file.package(), e));
        }
        schema
    }

    fn add_message(&mut self, outer: &str, message: &DescriptorProto) {
        let path = format!("{outer}.{}", message.name());
        let fields = message.field.iter().map(|field| (field.number(), field_of(message, field)));
        self.types.insert(format!("message {path}"), fields.collect());
        // A message's range ends before its end, an enum's with it.
        let reserved = message.reserved_range.iter().map(|range| (range.start(), range.end() - 1));
        self.reserved.insert(format!("message {path}"), reserved.collect());
        message.nested_type.iter().for_each(|inner| self.add_message(&path, inner));
        message.enum_type.iter().for_each(|inner| self.add_enum(&path, inner));
    }

    fn add_enum(&mut self, outer: &str, descriptor: &EnumDescriptorProto) {
        let name = format!("enum {outer}.{}", descriptor.name());
        let values = descriptor.value.iter().map(|value| {
            let (name, kind) = (value.name().to_owned(), "value".to_owned());
            (value.number(), Field { name, cardinality: String::new(), kind, oneof: None })
        });
        let reserved = descriptor.reserved_range.iter().map(|range| (range.start(), range.end()));
        self.reserved.insert(name.clone(), reserved.collect());
        self.types.insert(name, values.collect());
    }

    pub(crate) fn is_reserved(&self, name: &str, number: i32) -> bool {
        let ranges = self.reserved.get(name).into_iter().flatten();
        ranges.into_iter().any(|(first, last)| (*first..=*last).contains(&number))
    }

    /// Everything that was ever in either; where they differ, as it is here.
    pub(crate) fn and(&self, newer: &Self) -> Self {
        let mut all = self.clone();
        for (name, fields) in &newer.types {
            let known = all.types.entry(name.clone()).or_default();
            for (number, field) in fields {
                known.entry(*number).or_insert_with(|| field.clone());
            }
        }
        all
    }

    /// Reads what [`Display`](fmt::Display) writes.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut schema = Self::default();
        let mut current = None;
        for line in text.lines() {
            if !line.starts_with(' ') {
                current = Some(schema.types.entry(line.to_owned()).or_default());
                continue;
            }
            let field = current.as_mut().zip(parse_field(line));
            let (fields, (number, field)) = field.ok_or_else(|| format!("no field: {line:?}"))?;
            fields.insert(number, field);
        }
        Ok(schema)
    }
}

fn field_of(message: &DescriptorProto, field: &FieldDescriptorProto) -> Field {
    let optional = field.proto3_optional();
    let cardinality = match field.label() {
        Label::Repeated => "repeated",
        _ if optional => "optional",
        _ => "",
    };
    let kind = match field.r#type() {
        Type::Message | Type::Enum | Type::Group => {
            field.type_name().trim_start_matches('.').to_owned()
        }
        scalar => scalar.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    };
    // `optional` is a oneof of its own behind the scenes.
    let oneof = field.oneof_index.filter(|_| !optional);
    let oneof = oneof.map(|index| message.oneof_decl[index as usize].name().to_owned());
    Field { name: field.name().to_owned(), cardinality: cardinality.to_owned(), kind, oneof }
}

/// `3 blank seshat.v1.Blank in payload`, `1 keys repeated bytes`.
fn parse_field(line: &str) -> Option<(i32, Field)> {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    let oneof = match words[..] {
        [.., "in", oneof] => Some(oneof.to_owned()),
        _ => None,
    };
    words.truncate(words.len() - 2 * usize::from(oneof.is_some()));
    let (number, name, cardinality, kind) = match words[..] {
        [number, name, kind] => (number, name, "", kind),
        [number, name, cardinality, kind] => (number, name, cardinality, kind),
        _ => return None,
    };
    let [name, cardinality, kind] = [name, cardinality, kind].map(str::to_owned);
    Some((number.parse().ok()?, Field { name, cardinality, kind, oneof }))
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if !self.cardinality.is_empty() {
            write!(f, " {}", self.cardinality)?;
        }
        write!(f, " {}", self.kind)?;
        self.oneof.as_ref().map_or(Ok(()), |oneof| write!(f, " in {oneof}"))
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, fields) in &self.types {
            writeln!(f, "{name}")?;
            for (number, field) in fields {
                writeln!(f, "  {number} {field}")?;
            }
        }
        Ok(())
    }
}
