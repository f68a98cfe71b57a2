//! Writes a file of Redis commands to standard output, for the `cluster` example to read.
//!
//! ```text
//! cargo run --release --example dataset -- COUNT [--resp] [--keys N]
//! cargo run --release --example dataset -- --fixture [--resp]
//! ```
//!
//! The first form writes `COUNT` commands, about nine `SET` to one `DEL`, with keys of 16 bytes
//! of which at most `N` are distinct (100,000 unless told otherwise) and values of 128 printable
//! bytes. The second writes `fixtures/commands/small.txt`, with `--resp` `small.resp`: hand-made
//! lines first, then what the first form writes.
//!
//! Commands are one a line as redis-cli takes them, with `--resp` the stream that
//! `redis-cli --pipe` takes. The same arguments give the same bytes on every machine, and both
//! formats hold the same commands. A reader that closes the pipe early is no error.

use std::env;
use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

const USAGE: &str = "\
usage: dataset COUNT [--resp] [--keys N]
       dataset --fixture [--resp]
  COUNT      commands to write
  --resp     write RESP instead of one command a line
  --keys N   distinct keys, 1 to 1000000000000 (default 100000)
  --fixture  write fixtures/commands/small.txt, or small.resp
";

const SEED: u64 = 0x5e5b_a7da_7a5e_7000;
const VALUE_LENGTH: usize = 128;
const DEFAULT_KEYS: u64 = 100_000;
/// As many as 12 digits tell apart.
const MOST_KEYS: u64 = 1_000_000_000_000;

/// With the hand-made ones, 1,000 commands.
const FIXTURE_COUNT: u64 = 972;
/// Few, so that many a command meets a key that an earlier one wrote.
const FIXTURE_KEYS: u64 = 200;

fn main() -> ExitCode {
    let written = match Request::parse(env::args_os().skip(1)) {
        Some(request) => request.write(BufWriter::new(io::stdout().lock())),
        None => {
            // Nothing is left to tell anyone if standard error fails.
            let _ = io::stderr().write_all(USAGE.as_bytes());
            return ExitCode::from(2);
        }
    };
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr(), "dataset: cannot write: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    format: Format,
    fixture: bool,
    count: u64,
    keys: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Inline,
    Resp,
}

impl Request {
    fn parse(arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let mut arguments = arguments.map(OsString::into_string);
        let (mut format, mut fixture) = (Format::Inline, false);
        let (mut count, mut keys) = (None, None);
        while let Some(argument) = arguments.next() {
            match argument.ok()?.as_str() {
                "--resp" => format = Format::Resp,
                "--fixture" => fixture = true,
                "--keys" if keys.is_none() => keys = Some(number(&arguments.next()?.ok()?)?),
                text if count.is_none() => count = Some(number(text)?),
                _ => return None,
            }
        }
        let (count, keys) = match (fixture, count, keys) {
            (true, None, None) => (FIXTURE_COUNT, FIXTURE_KEYS),
            (false, Some(count), keys) => (count, keys.unwrap_or(DEFAULT_KEYS)),
            _ => return None,
        };
        (1..=MOST_KEYS).contains(&keys).then_some(Self { format, fixture, count, keys })
    }

    fn write(&self, mut out: impl Write) -> io::Result<()> {
        if self.fixture {
            for (line, words) in HAND_MADE {
                match self.format {
                    Format::Inline => out.write_all(line)?,
                    Format::Resp if words.is_empty() => {}
                    Format::Resp => Format::Resp.write(&mut out, words)?,
                }
            }
        }
        let mut random = SplitMix64(SEED);
        for _ in 0..self.count {
            let deletes = random.below(10) == 0;
            let key = format!("key:{:012}", random.below(self.keys));
            if deletes {
                self.format.write(&mut out, &[b"DEL", key.as_bytes()])?;
            } else {
                let value = random.printable();
                self.format.write(&mut out, &[b"SET", key.as_bytes(), &value])?;
            }
        }
        out.flush()
    }
}

/// Digits only, where `parse` would take a sign too.
fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

impl Format {
    /// Writes one command. Inline, its words must need no quotes.
    fn write(self, out: &mut impl Write, words: &[&[u8]]) -> io::Result<()> {
        match self {
            Self::Inline => {
                for (index, word) in words.iter().enumerate() {
                    if index > 0 {
                        out.write_all(b" ")?;
                    }
                    out.write_all(word)?;
                }
                out.write_all(b"\n")
            }
            Self::Resp => {
                write!(out, "*{}\r\n", words.len())?;
                for word in words {
                    write!(out, "${}\r\n", word.len())?;
                    out.write_all(word)?;
                    out.write_all(b"\r\n")?;
                }
                Ok(())
            }
        }
    }
}

/// Steele, Lea and Flood's generator: a few lines, and the same numbers everywhere.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number under `bound`, its bias beneath notice for the bounds used here.
    fn below(&mut self, bound: u64) -> u64 {
        // The high half of the product is under `bound`.
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    fn printable(&mut self) -> [u8; VALUE_LENGTH] {
        // None of them means anything to redis-cli, so that a line needs no quotes.
        const ALPHABET: [u8; 64] =
            *b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut value = [0; VALUE_LENGTH];
        for chunk in value.chunks_mut(10) {
            let mut bits = self.next();
            for byte in chunk {
                *byte = ALPHABET.get((bits & 63) as usize).copied().unwrap_or_default();
                bits >>= 6;
            }
        }
        value
    }
}

/// A line with its end, and the words that redis-cli takes it for.
type Line = (&'static [u8], &'static [&'static [u8]]);

const HAND_MADE: [Line; 31] = [
    (b"SET plain value\n", &[b"SET", b"plain", b"value"]),
    (b"set lower-case \"a name in any case\"\n", &[b"set", b"lower-case", b"a name in any case"]),
    (b"SeT mixed-case 1\n", &[b"SeT", b"mixed-case", b"1"]),
    (b"\n", &[]),
    (b" \t \n", &[]),
    (b"  SET\t  spaced \t out  \n", &[b"SET", b"spaced", b"out"]),
    (b"SET ends-in-crlf value\r\n", &[b"SET", b"ends-in-crlf", b"value"]),
    (b"\r\n", &[]),
    (b"SET empty \"\"\n", &[b"SET", b"empty", b""]),
    (b"SET empty-too ''\n", &[b"SET", b"empty-too", b""]),
    (b"SET \"\\x00\" \"a key of a zero byte\"\n", &[b"SET", b"\x00", b"a key of a zero byte"]),
    (b"SET escapes \"\\n\\r\\t\\b\\a\\\\\\\"\"\n", &[b"SET", b"escapes", b"\n\r\t\x08\x07\\\""]),
    (
        b"SET binary \"\\x00\\x01\\x7f\\x80\\xfe\\xFF\"\n",
        &[b"SET", b"binary", b"\x00\x01\x7f\x80\xfe\xff"],
    ),
    (
        b"SET \"binary\\x00key\" '\\x00 stays as it is'\n",
        &[b"SET", b"binary\x00key", b"\\x00 stays as it is"],
    ),
    (b"SET no-escapes \"\\q\\xg0\\x4\"\n", &[b"SET", b"no-escapes", b"qxg0x4"]),
    (b"SET single 'it\\'s \"quoted\" \\n'\n", &[b"SET", b"single", b"it's \"quoted\" \\n"]),
    (b"SET double \"it's 'quoted'\"\n", &[b"SET", b"double", b"it's 'quoted'"]),
    (
        b"SET opens-within:\"a word\" prefix'ed too'\n",
        &[b"SET", b"opens-within:a word", b"prefixed too"],
    ),
    (b"SET back\\slash \\x41\\n\n", &[b"SET", b"back\\slash", b"\\x41\\n"]),
    (
        b"SET utf-8 \"gr\xc3\xbc\xc3\x9fe, \xe4\xb8\x96\xe7\x95\x8c\"\n",
        &[b"SET", b"utf-8", b"gr\xc3\xbc\xc3\x9fe, \xe4\xb8\x96\xe7\x95\x8c"],
    ),
    (b"SET not-utf-8 \xff\xfe\n", &[b"SET", b"not-utf-8", b"\xff\xfe"]),
    (
        b"SET looks-like-resp \"*1\\r\\n$4\\r\\nPING\\r\\n\"\n",
        &[b"SET", b"looks-like-resp", b"*1\r\n$4\r\nPING\r\n"],
    ),
    (b"SET # \"no comment, a key\"\n", &[b"SET", b"#", b"no comment, a key"]),
    (b"SET DEL SET\n", &[b"SET", b"DEL", b"SET"]),
    (b"SET plain overwritten\n", &[b"SET", b"plain", b"overwritten"]),
    (b"DEL single\n", &[b"DEL", b"single"]),
    (b"del never-written\n", &[b"del", b"never-written"]),
    (
        b"DEL double empty \"\\x00\" \"binary\\x00key\"\n",
        &[b"DEL", b"double", b"empty", b"\x00", b"binary\x00key"],
    ),
    (b"DEL escapes escapes never-written\n", &[b"DEL", b"escapes", b"escapes", b"never-written"]),
    (b"Del 'opens-within:a word' \"utf-8\"\n", &[b"Del", b"opens-within:a word", b"utf-8"]),
    (b"SET escapes again\n", &[b"SET", b"escapes", b"again"]),
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn parse(arguments: &str) -> Option<Request> {
        Request::parse(arguments.split_whitespace().map(OsString::from))
    }

    fn written(arguments: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let request = parse(arguments).expect("a right usage");
        request.write(&mut out).expect("a Vec takes all");
        out
    }

    #[test]
    fn the_fixtures_are_what_this_writes() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/commands");
        for (arguments, name) in [("--fixture", "small.txt"), ("--fixture --resp", "small.resp")] {
            let checked_in = fs::read(fixtures.join(name)).expect("the fixture is readable");
            assert!(
                written(arguments) == checked_in,
                "{name} is not what `dataset -- {arguments}` writes"
            );
        }
    }

    #[test]
    fn splitmix64_gives_the_published_numbers() {
        let mut random = SplitMix64(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn commands_are_as_long_and_as_many_as_asked_for() {
        let text = String::from_utf8(written("10000 --keys 7")).expect("printable");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 10_000);
        let sets = lines.iter().filter(|line| line.starts_with("SET key:")).count();
        assert!((8_800..9_200).contains(&sets), "{sets} SET");
        let mut keys: Vec<&str> = lines.iter().filter_map(|line| line.get(4..20)).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 7);
        assert!(lines.iter().all(|line| matches!(line.len(), 20 | 149)));
    }

    #[test]
    fn wrong_usage_is_refused() {
        assert_eq!(parse("5").map(|request| request.keys), Some(DEFAULT_KEYS));
        for arguments in [
            "",
            "x",
            "-1",
            "+1",
            "1 2",
            "1 --keys",
            "1 --keys 0",
            "1 --keys 1000000000001",
            "1 --fixture",
            "--fixture --keys 5",
            "--help",
            "1 --keys 1 --keys 2",
        ] {
            assert_eq!(parse(arguments), None, "{arguments:?}");
        }
    }
}
