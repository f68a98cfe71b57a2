//! Reads a stream of Redis commands, as a Redis server would: what `redis-cli` and people make of them.
//!
//! [`Reader`] yields the [`Command`]s of a stream in the order in which they stand there, each
//! with its [`Place`]. The first byte of each says which of two formats it has:
//!
//! - `*`: as `redis-cli --pipe` sends it, a RESP array of bulk strings. An array that is empty, or null, is
//!   skipped.
//! - Anything else: one command a line, quoted as redis-cli takes it from its standard input.
//!   Lines end in `\n` or `\r\n`, blank ones are skipped, and there are no comments.
//!
//! What it guarantees:
//!
//! - A stream yields every command up to its first fault, then one [`ReadError`] that says what
//!   is wrong and where, then nothing more. A stream cut in the middle of a command is a fault.
//! - Memory is bounded by [`Limits`], not by the stream, and is taken for bytes that have
//!   arrived, never for a length that a stream declares.
//! - No input makes it panic.

mod error;
mod inline;
mod resp;

use std::io::{self, BufRead};
use std::iter::FusedIterator;

use bytes::Bytes;

pub use self::error::{ErrorKind, Expected, Place, ReadError};
use crate::condition::{Condition, SetOptions};

/// A command that the reader knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `SET key value [NX | XX] [GET]`.
    Set {
        /// The key to write.
        key: Bytes,
        /// Its new value.
        value: Bytes,
        /// What else it says, in any case and order.
        options: SetOptions,
    },
    /// `DEL key [key ...]`.
    Del {
        /// The keys to remove, at least one, as often as the command names them.
        keys: Vec<Bytes>,
    },
}

/// Something read, and where it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// Where `value` began.
    pub at: Place,
    /// What was read.
    pub value: T,
}

/// What a [`Reader`] holds in memory at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a line without its `\n`, or of one RESP bulk string.
    pub string: usize,
    /// Bytes of all the bulk strings of a RESP command.
    pub command: usize,
    /// Strings of a command, its name included.
    pub words: usize,
}

impl Limits {
    /// What a Redis server takes unless told otherwise: `proto-max-bulk-len`,
    /// `client-query-buffer-limit`, and the length that an array had at most until Redis 7.
    pub const REDIS: Self = Self { string: 512 << 20, command: 1 << 30, words: 1 << 20 };
}

/// How far a stream has been read.
#[derive(Debug, Default)]
struct Position {
    /// Commands before this place.
    commands: u64,
    /// Ends of lines before it, those in strings included.
    lines: u64,
    /// Bytes before it.
    offset: u64,
}

/// The commands of a stream. Ends at the stream's end or after the first error.
#[derive(Debug)]
pub struct Reader<R: BufRead> {
    input: R,
    limits: Limits,
    position: Position,
    /// Kept from line to line for its allocation.
    line: Vec<u8>,
    /// Whether the last command was an array.
    resp: bool,
    ended: bool,
}

impl<R: BufRead> Reader<R> {
    /// Reads `input` within [`Limits::REDIS`].
    pub fn new(input: R) -> Self {
        Self::with_limits(input, Limits::REDIS)
    }

    /// Reads `input` within `limits`.
    pub fn with_limits(input: R, limits: Limits) -> Self {
        let (position, line) = (Position::default(), Vec::new());
        Self { input, limits, position, line, resp: false, ended: false }
    }

    /// Bytes of the stream that have been read.
    pub fn offset(&self) -> u64 {
        self.position.offset
    }

    fn read(&mut self) -> Result<Option<Located<Command>>, ReadError> {
        loop {
            let (input, position) = (&mut self.input, &mut self.position);
            let first = with_buffer(input, |buffer| buffer.first().copied());
            let at = |resp, position: &Position| match resp {
                true => Place::Command { number: position.commands + 1, offset: position.offset },
                false => Place::Line(position.lines + 1),
            };
            let words = match first {
                Ok(None) => return Ok(None),
                Ok(Some(b'*')) => {
                    self.resp = true;
                    resp::next(input, position, self.limits)?
                }
                Ok(Some(_)) => {
                    self.resp = false;
                    inline::next(input, position, &mut self.line, self.limits)?
                }
                Err(error) => {
                    let at = at(self.resp, position);
                    return Err(ReadError { at, kind: ErrorKind::Io(error) });
                }
            };
            let Located { at, value } = words;
            if let Some(command) = Command::from_words(value) {
                let value = command.map_err(|kind| ReadError { at, kind })?;
                position.commands += 1;
                return Ok(Some(Located { at, value }));
            }
        }
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Located<Command>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let read = self.read();
        self.ended = !matches!(read, Ok(Some(_)));
        read.transpose()
    }
}

impl<R: BufRead> FusedIterator for Reader<R> {}

impl Command {
    /// `None` without a word.
    fn from_words(words: Vec<Bytes>) -> Option<Result<Self, ErrorKind>> {
        let mut words = words.into_iter();
        let name = words.next()?;
        let got = words.len();
        Some(if name.eq_ignore_ascii_case(b"SET") {
            match (words.next(), words.next()) {
                (Some(key), Some(value)) => options(words.as_slice())
                    .map(|options| Self::Set { key, value, options })
                    .map_err(|both| match both {
                        true => ErrorKind::SetBoth,
                        false => ErrorKind::SetTooMany { got },
                    }),
                _ => Err(ErrorKind::SetTooFew { got }),
            }
        } else if name.eq_ignore_ascii_case(b"DEL") {
            match got {
                0 => Err(ErrorKind::DelWithoutKey),
                _ => Ok(Self::Del { keys: words.collect() }),
            }
        } else {
            Err(ErrorKind::UnknownCommand { name })
        })
    }
}

/// What stands behind a value; or whether they are two that exclude each other, rather than one that isn't
/// known.
fn options(words: &[Bytes]) -> Result<SetOptions, bool> {
    let mut options = SetOptions::default();
    for word in words {
        let condition = match word {
            _ if word.eq_ignore_ascii_case(b"NX") => Condition::Absent,
            _ if word.eq_ignore_ascii_case(b"XX") => Condition::Present,
            _ if word.eq_ignore_ascii_case(b"GET") => {
                options.get = true;
                continue;
            }
            _ => return Err(false),
        };
        if options.condition.is_some_and(|before| before != condition) {
            return Err(true);
        }
        options.condition = Some(condition);
    }
    Ok(options)
}

/// Hands `use_it` the bytes that have arrived, none only at the end of `input`.
fn with_buffer<R: BufRead, T>(input: &mut R, use_it: impl FnOnce(&[u8]) -> T) -> io::Result<T> {
    loop {
        match input.fill_buf() {
            Ok(buffer) => return Ok(use_it(buffer)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
