//! Reads a file of Redis commands: the input half of the `cluster` example.
//!
//! [`Reader`] yields the [`Command`]s of a stream in the order in which they stand there, each
//! with its [`Place`]. The first byte of the stream says which of two formats it has:
//!
//! - `*`: the stream that `redis-cli --pipe` takes, RESP arrays of bulk strings.
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

use std::io::{self, BufRead};
use std::iter::FusedIterator;

use bytes::Bytes;

// The paths are spelled out because a bare `mod` looks elsewhere when a test includes this file
// by `#[path]`.
#[path = "commands/error.rs"]
mod error;
#[path = "commands/inline.rs"]
mod inline;
#[path = "commands/resp.rs"]
mod resp;

pub(crate) use error::{ErrorKind, Place, ReadError};

/// A command that the reader knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// `SET key value`, without options.
    Set {
        /// The key to write.
        key: Bytes,
        /// Its new value.
        value: Bytes,
    },
    /// `DEL key [key ...]`.
    Del {
        /// The keys to remove, at least one, as often as the command names them.
        keys: Vec<Bytes>,
    },
}

/// Something read, and where it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Located<T> {
    /// Where `value` began.
    pub(crate) at: Place,
    /// What was read.
    pub(crate) value: T,
}

/// What a [`Reader`] holds in memory at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of a line without its `\n`, or of one RESP bulk string.
    pub(crate) string: usize,
    /// Bytes of all the bulk strings of a RESP command.
    pub(crate) command: usize,
    /// Strings of a command, its name included.
    pub(crate) words: usize,
}

impl Limits {
    /// What a Redis server takes unless told otherwise: `proto-max-bulk-len`,
    /// `client-query-buffer-limit`, and the length that an array had at most until Redis 7.
    pub(crate) const REDIS: Self = Self { string: 512 << 20, command: 1 << 30, words: 1 << 20 };
}

/// The commands of a stream. Ends at the stream's end or after the first error.
#[derive(Debug)]
pub(crate) struct Reader<R: BufRead> {
    input: R,
    limits: Limits,
    format: Format,
}

#[derive(Debug)]
enum Format {
    Undetected,
    Inline(inline::Lines),
    Resp(resp::Stream),
    Ended,
}

impl<R: BufRead> Reader<R> {
    /// Reads `input` within [`Limits::REDIS`].
    pub(crate) fn new(input: R) -> Self {
        Self::with_limits(input, Limits::REDIS)
    }

    /// Reads `input` within `limits`.
    pub(crate) fn with_limits(input: R, limits: Limits) -> Self {
        Self { input, limits, format: Format::Undetected }
    }

    fn read(&mut self) -> Result<Option<Located<Command>>, ReadError> {
        if matches!(self.format, Format::Undetected) {
            self.format = self.detect()?;
        }
        let words = match &mut self.format {
            Format::Inline(lines) => lines.next(&mut self.input, self.limits)?,
            Format::Resp(stream) => stream.next(&mut self.input, self.limits)?,
            Format::Undetected | Format::Ended => None,
        };
        words
            .map(|Located { at, value }| match Command::from_words(value) {
                Ok(value) => Ok(Located { at, value }),
                Err(kind) => Err(ReadError { at, kind }),
            })
            .transpose()
    }

    fn detect(&mut self) -> Result<Format, ReadError> {
        match with_buffer(&mut self.input, |buffer| buffer.first().copied()) {
            Ok(Some(b'*')) => Ok(Format::Resp(resp::Stream::default())),
            Ok(Some(_)) => Ok(Format::Inline(inline::Lines::default())),
            Ok(None) => Ok(Format::Ended),
            Err(error) => Err(ReadError { at: Place::Line(1), kind: ErrorKind::Io(error) }),
        }
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Located<Command>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read();
        if !matches!(read, Ok(Some(_))) {
            self.format = Format::Ended;
        }
        read.transpose()
    }
}

impl<R: BufRead> FusedIterator for Reader<R> {}

impl Command {
    fn from_words(words: Vec<Bytes>) -> Result<Self, ErrorKind> {
        let mut words = words.into_iter();
        let Some(name) = words.next() else {
            return Err(ErrorKind::NoName);
        };
        let got = words.len();
        if name.eq_ignore_ascii_case(b"SET") {
            match (words.next(), words.next()) {
                (Some(key), Some(value)) if got == 2 => Ok(Self::Set { key, value }),
                (Some(_), Some(_)) => Err(ErrorKind::SetTooMany { got }),
                _ => Err(ErrorKind::SetTooFew { got }),
            }
        } else if name.eq_ignore_ascii_case(b"DEL") {
            match got {
                0 => Err(ErrorKind::DelWithoutKey),
                _ => Ok(Self::Del { keys: words.collect() }),
            }
        } else {
            Err(ErrorKind::UnknownCommand { name })
        }
    }
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
