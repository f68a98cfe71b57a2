//! One command a line, split into words as redis-cli splits it (`sdssplitargs`).
//!
//! - Words are separated by white space. A bare word ends at a space, `\t`, `\r` or `\n` only:
//!   redis-cli keeps a `\v` or `\f` within it, yet skips both before a word.
//! - `"..."` takes `\xHH`, `\n`, `\r`, `\t`, `\b`, `\a`; a backslash before any other byte stands
//!   for that byte. `'...'` takes `\'` only.
//! - A quote may open within a word, and where it closes the word ends: white space or the end
//!   of the line must follow.
//!
//! A line that redis-cli refuses is an error. So is one with a zero byte, where redis-cli takes
//! the line to end.

use std::io::{BufRead, Read};

use bytes::Bytes;

use super::{ErrorKind, Limits, Located, Place, Position, ReadError};

/// The words of the next line, of which there is at least a byte: none if it is blank. `line` is kept for its
/// allocation.
pub(super) fn next<R: BufRead>(
    input: &mut R,
    position: &mut Position,
    line: &mut Vec<u8>,
    limits: Limits,
) -> Result<Located<Vec<Bytes>>, ReadError> {
    let at = Place::Line(position.lines + 1);
    let fault = |kind| ReadError { at, kind };
    // One more than the limit: a full line's `\n`, or the byte that proves it too long.
    let most = (limits.string as u64).saturating_add(1);
    line.clear();
    let got = Read::take(input, most)
        .read_until(b'\n', line)
        .map_err(|error| fault(ErrorKind::Io(error)))?;
    position.offset += got as u64;
    let line = match line.strip_suffix(b"\n") {
        Some(line) => {
            position.lines += 1;
            line
        }
        None => line,
    };
    if line.len() > limits.string {
        let limit = limits.string;
        return Err(fault(ErrorKind::LineTooLong { limit }));
    }
    let value = split(line, limits.words).map_err(fault)?;
    Ok(Located { at, value })
}

fn split(line: &[u8], limit: usize) -> Result<Vec<Bytes>, ErrorKind> {
    if line.contains(&0) {
        return Err(ErrorKind::ZeroByte);
    }
    let mut words = Vec::new();
    let mut rest = skip_space(line);
    while !rest.is_empty() {
        if words.len() == limit {
            return Err(ErrorKind::TooManyWords { limit });
        }
        let (word, after) = split_word(rest)?;
        words.push(word);
        rest = skip_space(after);
    }
    Ok(words)
}

fn split_word(line: &[u8]) -> Result<(Bytes, &[u8]), ErrorKind> {
    let (bare, rest) =
        split_before(line, |byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'"' | b'\''));
    let mut word = bare.to_vec();
    let rest = match rest {
        [b'"', quoted @ ..] => double_quoted(quoted, &mut word)?,
        [b'\'', quoted @ ..] => single_quoted(quoted, &mut word)?,
        _ => rest,
    };
    Ok((word.into(), rest))
}

fn double_quoted<'a>(mut line: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], ErrorKind> {
    loop {
        let (plain, rest) = split_before(line, |byte| matches!(byte, b'"' | b'\\'));
        word.extend_from_slice(plain);
        line = match rest {
            [b'\\', escaped @ ..] => {
                let (byte, after) = unescape(escaped).ok_or(ErrorKind::UnbalancedQuotes)?;
                word.push(byte);
                after
            }
            [_, after @ ..] => return after_quote(after),
            [] => return Err(ErrorKind::UnbalancedQuotes),
        };
    }
}

fn single_quoted<'a>(mut line: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], ErrorKind> {
    loop {
        let (plain, rest) = split_before(line, |byte| matches!(byte, b'\'' | b'\\'));
        word.extend_from_slice(plain);
        line = match rest {
            [b'\\', b'\'', after @ ..] => {
                word.push(b'\'');
                after
            }
            [b'\\', after @ ..] => {
                word.push(b'\\');
                after
            }
            [_, after @ ..] => return after_quote(after),
            [] => return Err(ErrorKind::UnbalancedQuotes),
        };
    }
}

/// The byte that an escape stands for, given what follows its backslash.
fn unescape(escaped: &[u8]) -> Option<(u8, &[u8])> {
    if let [b'x', high, low, after @ ..] = escaped
        && let (Some(high), Some(low)) = (hex(*high), hex(*low))
    {
        return Some((high << 4 | low, after));
    }
    let (letter, after) = escaped.split_first()?;
    let byte = match letter {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => *other,
    };
    Some((byte, after))
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn after_quote(line: &[u8]) -> Result<&[u8], ErrorKind> {
    match line.first() {
        Some(&got) if !is_space(got) => Err(ErrorKind::TextAfterQuote { got }),
        _ => Ok(line),
    }
}

fn skip_space(line: &[u8]) -> &[u8] {
    split_before(line, |byte| !is_space(byte)).1
}

/// `isspace` of C; std's `is_ascii_whitespace` leaves out `\v`.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn split_before(line: &[u8], stop: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let at = line.iter().position(|byte| stop(*byte));
    at.and_then(|at| line.split_at_checked(at)).unwrap_or((line, &[]))
}
