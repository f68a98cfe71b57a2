//! What can be wrong with a stream of commands, and where.
//!
//! Every error names its place, what was expected and what was got, and renders as one line of
//! printable ASCII whatever bytes the stream holds.

use std::fmt;
use std::io;

use bytes::Bytes;

/// A fault of the stream, or of reading it.
#[derive(Debug, thiserror::Error)]
#[error("{at}: {kind}")]
pub struct ReadError {
    /// The faulty line; or the byte at which RESP stops making sense; or the start of a RESP
    /// command that makes no sense as a whole.
    pub at: Place,
    /// What is wrong there.
    pub kind: ErrorKind,
}

/// A place in a stream of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line, counted from 1, blank ones included.
    Line(u64),
    /// A byte of a RESP stream.
    Command {
        /// The command that holds the byte, counted from 1.
        number: u64,
        /// Bytes of the stream before this one.
        offset: u64,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(f, "line {number}"),
            Self::Command { number, offset } => write!(f, "command {number} at byte {offset}"),
        }
    }
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum ErrorKind {
    /// The input itself fails.
    #[error("cannot read: {0}")]
    Io(io::Error),

    /// A quote is open where the line ends.
    #[error("unbalanced quotes")]
    UnbalancedQuotes,
    /// Where a quote closes the word ends.
    #[error("expected a space or the end of the line after a closing quote, got {}", Byte(*got))]
    TextAfterQuote {
        /// What follows it.
        got: u8,
    },
    /// redis-cli drops the rest of such a line without a word.
    #[error("a zero byte, which a line cannot hold (expected \"\\x00\" within double quotes)")]
    ZeroByte,
    /// See [`Limits::string`](super::Limits::string).
    #[error("the line is longer than the limit of {limit} bytes")]
    LineTooLong {
        /// Bytes allowed.
        limit: usize,
    },

    /// Something else stands there.
    #[error("expected {expected}, got {}", Got(*got))]
    Unexpected {
        /// What should.
        expected: Expected,
        /// `None` at the end of the stream.
        got: Option<u8>,
    },
    /// No length is that long.
    #[error("expected a length, got a number over {}", u64::MAX)]
    LengthOverflow,
    /// See [`Limits::string`](super::Limits::string).
    #[error("a bulk string of {got} bytes is over the limit of {limit}")]
    StringTooLong {
        /// Bytes that it says it has.
        got: u64,
        /// Bytes allowed.
        limit: usize,
    },
    /// See [`Limits::command`](super::Limits::command).
    #[error("the command is longer than the limit of {limit} bytes")]
    CommandTooLong {
        /// Bytes allowed.
        limit: usize,
    },

    /// See [`Limits::words`](super::Limits::words).
    #[error("the command has more than {limit} strings, its name included")]
    TooManyWords {
        /// Strings allowed.
        limit: usize,
    },
    /// Any but SET and DEL.
    #[error("unknown command {} (expected SET or DEL)", Quoted(name))]
    UnknownCommand {
        /// Its name.
        name: Bytes,
    },
    /// No key, or no value.
    #[error("SET takes 2 arguments, got {got}")]
    SetTooFew {
        /// Arguments that there are.
        got: usize,
    },
    /// Behind the value stands an option that isn't known here.
    #[error("SET takes 2 arguments, got {got} (options such as EX are not supported)")]
    SetTooMany {
        /// Arguments that there are.
        got: usize,
    },
    /// As a Redis server has it.
    #[error("SET takes NX or XX, got both")]
    SetBoth,
    /// DEL needs something to delete.
    #[error("DEL takes at least 1 argument, got 0")]
    DelWithoutKey,
}

/// What a RESP stream of commands holds at a place where something else stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// That byte.
    Byte(u8),
    /// A digit.
    Digit,
    /// A number goes on or its line ends.
    DigitOrReturn,
    /// The rest of a bulk string.
    MoreBytes(usize),
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte(byte) => Byte(*byte).fmt(f),
            Self::Digit => f.write_str("a digit"),
            Self::DigitOrReturn => write!(f, "a digit or {}", Byte(b'\r')),
            Self::MoreBytes(1) => f.write_str("1 more byte of a bulk string"),
            Self::MoreBytes(count) => write!(f, "{count} more bytes of a bulk string"),
        }
    }
}

struct Byte(u8);

impl fmt::Display for Byte {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0.escape_ascii())
    }
}

struct Got(Option<u8>);

impl fmt::Display for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(byte) => Byte(byte).fmt(f),
            None => f.write_str("the end of the stream"),
        }
    }
}

struct Quoted<'a>(&'a [u8]);

impl Quoted<'_> {
    /// Past any command of Redis, short enough for a line of a terminal.
    const SHOWN: usize = 48;
}

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_at_checked(Self::SHOWN) {
            Some((shown, rest)) if !rest.is_empty() => {
                write!(f, "\"{}\"... of {} bytes", shown.escape_ascii(), self.0.len())
            }
            _ => write!(f, "\"{}\"", self.0.escape_ascii()),
        }
    }
}
