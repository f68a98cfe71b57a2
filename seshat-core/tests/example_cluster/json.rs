//! Just enough of JSON to read what the example prints.

use std::collections::BTreeMap;

/// The scalars of one JSON value by their paths, as they are written; strings without quotes.
#[derive(Debug, Default)]
pub(crate) struct Json(BTreeMap<String, String>);

impl Json {
    #[track_caller]
    pub(crate) fn parse(text: &str) -> Self {
        let mut json = Self::default();
        let rest = json.value(String::new(), text.trim());
        assert_eq!(rest, "", "something follows the value: {text}");
        json
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> &str {
        self.0.get(path).unwrap_or_else(|| panic!("no {path}: {self:#?}"))
    }

    /// Takes the value that `text` begins with, returns what follows it.
    fn value<'a>(&mut self, path: String, text: &'a str) -> &'a str {
        let end = match text.as_bytes().first() {
            Some(b'{') => return self.items(&path, text, '}'),
            Some(b'[') => return self.items(&path, text, ']'),
            Some(b'"') => string_end(text),
            _ => text.find([',', '}', ']']).unwrap_or(text.len()),
        };
        let (scalar, rest) = text.split_at(end);
        let literal = scalar.starts_with('"') || ["true", "false", "null"].contains(&scalar);
        assert!(literal || scalar.parse::<f64>().is_ok(), "not a value: {text}");
        self.0.insert(path, scalar.trim_matches('"').to_owned());
        rest
    }

    fn items<'a>(&mut self, path: &str, text: &'a str, close: char) -> &'a str {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
        let mut rest = &text[1..];
        let mut index = 0;
        while let Some(item) = rest.strip_prefix(if index > 0 { "," } else { "" })
            && !rest.starts_with(close)
        {
            rest = if close == '}' {
                assert!(item.starts_with('"'), "not a name: {item}");
                let (name, value) = item.split_at(string_end(item));
                let value = value.strip_prefix(':').expect("a colon");
                self.value(format!("{prefix}{}", name.trim_matches('"')), value)
            } else {
                self.value(format!("{prefix}{index}"), item)
            };
            index += 1;
        }
        rest.strip_prefix(close).unwrap_or_else(|| panic!("no {close}: {rest}"))
    }
}

/// Where the string that `text` begins with ends.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    end.expect("a closing quote").0 + 1
}
