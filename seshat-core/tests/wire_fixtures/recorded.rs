//! What is in the folder: fixtures as they were recorded, and the list of their digests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use twox_hash::XxHash3_128;

/// The list of digests, beside the versions.
pub(crate) const DIGESTS: &str = "digests";

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/wire")
}

/// A snapshot's contents, without what insta says about it.
fn contents(path: &Path) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let body = text.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n"));
    let (_, body) = body.ok_or_else(|| format!("{}: no snapshot of insta's", path.display()))?;
    Ok(body.trim_end().to_owned())
}

/// A fixture as it was recorded: its kind and what it is of, bytes in hexadecimal, comments from `#` to the end of the line,
/// and the value on lines that begin with `=`.
#[derive(Debug)]
pub(crate) struct Recorded {
    /// What kind of message.
    pub(crate) kind: String,
    pub(crate) bytes: Bytes,
    pub(crate) value: String,
}

impl Recorded {
    pub(crate) fn load(name: &str) -> Result<Self, String> {
        let text = contents(&root().join(name).with_extension("snap"))?;
        Self::parse(&text).map_err(|error| format!("{name}: {error}"))
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (value, bytes): (Vec<&str>, Vec<&str>) =
            text.lines().partition(|line| line.starts_with('='));
        let value: Vec<&str> = value.iter().map(|line| line[1..].trim_start()).collect();
        let head = bytes.first().and_then(|line| line.strip_prefix("# ")?.split_once(": "));
        let (kind, _) = head.ok_or("the first line must be `# Message: what of it`")?;
        Ok(Self { kind: kind.to_owned(), bytes: from_hex(&bytes)?, value: value.join("\n") })
    }

    /// Of kind, bytes and value; comments are free, so that a better name for a field is no new format.
    pub(crate) fn digest(&self) -> String {
        let mut hasher = XxHash3_128::new();
        hasher.write(self.kind.as_bytes());
        hasher.write(&(self.bytes.len() as u64).to_le_bytes());
        hasher.write(&self.bytes);
        hasher.write(self.value.as_bytes());
        format!("{:032x}", hasher.finish_128())
    }
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

fn from_hex(lines: &[&str]) -> Result<Bytes, String> {
    lines
        .iter()
        .map(|line| line.split('#').next().unwrap_or_default())
        .flat_map(str::split_whitespace)
        .map(|byte| match byte.len() {
            2 => u8::from_str_radix(byte, 16).map_err(|_| format!("{byte:?} is no byte")),
            _ => Err(format!("{byte:?} is no byte")),
        })
        .collect()
}

/// The lines of the list of digests, oldest first.
pub(crate) fn digest_lines() -> Vec<String> {
    let text = contents(&root().join(DIGESTS).with_extension("snap")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// The digest of each fixture that was ever recorded, by name.
pub(crate) fn digests() -> BTreeMap<String, String> {
    let pairs = digest_lines().into_iter().map(|line| {
        let (digest, name) = line.split_once(' ').expect("a digest and a name");
        (name.to_owned(), digest.to_owned())
    });
    pairs.collect()
}

/// Every fixture's name, of every version.
pub(crate) fn names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for version in folders(&root()) {
        for group in folders(&version) {
            let files = fs::read_dir(&group).unwrap().map(|file| file.unwrap().path());
            let files = files.filter(|file| file.extension().is_some_and(|end| end == "snap"));
            names.extend(files.map(|file| {
                let name = file.strip_prefix(root()).unwrap().with_extension("");
                name.iter().map(|part| part.to_str().unwrap()).collect::<Vec<_>>().join("/")
            }));
        }
    }
    names
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let inside = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    inside.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
}
