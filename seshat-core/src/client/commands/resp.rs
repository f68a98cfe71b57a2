//! One command as a RESP array of bulk strings, as `redis-cli --pipe` sends it.
//!
//! As strict as a Redis server: lines end in `\r\n`, numbers have no leading zero, and only a count of strings
//! has a sign: one that is negative, or 0, is of no command. An error names the first byte that does not fit.

use std::io::BufRead;

use bytes::Bytes;

use super::error::Expected;
use super::{ErrorKind, Limits, Located, Place, Position, ReadError, with_buffer};

/// The strings of the next array: none if it is empty, or null.
pub(super) fn next<R: BufRead>(
    input: &mut R,
    position: &mut Position,
    limits: Limits,
) -> Result<Located<Vec<Bytes>>, ReadError> {
    let mut cursor = Cursor { position, input };
    let at = cursor.place();
    let count = cursor.count()?;
    if count > limits.words as u64 {
        let limit = limits.words;
        let kind = ErrorKind::TooManyWords { limit };
        return Err(ReadError { at, kind });
    }
    let mut value = Vec::new();
    let mut room = limits.command;
    for _ in 0..count {
        let string = cursor.bulk_string(limits.string, room)?.ok_or_else(|| {
            let limit = limits.command;
            let kind = ErrorKind::CommandTooLong { limit };
            ReadError { at, kind }
        })?;
        room -= string.len();
        value.push(string);
    }
    Ok(Located { at, value })
}

/// Reads on and counts what it reads.
struct Cursor<'a, R> {
    position: &'a mut Position,
    input: &'a mut R,
}

impl<R: BufRead> Cursor<'_, R> {
    fn place(&self) -> Place {
        let Position { commands, offset, .. } = *self.position;
        Place::Command { number: commands + 1, offset }
    }

    fn fault(&self, kind: ErrorKind) -> ReadError {
        let at = self.place();
        ReadError { at, kind }
    }

    fn unexpected(&self, expected: Expected, got: Option<u8>) -> ReadError {
        self.fault(ErrorKind::Unexpected { expected, got })
    }

    fn buffer<T>(&mut self, use_it: impl FnOnce(&[u8]) -> T) -> Result<T, ReadError> {
        with_buffer(self.input, use_it).map_err(|error| self.fault(ErrorKind::Io(error)))
    }

    fn peek(&mut self) -> Result<Option<u8>, ReadError> {
        self.buffer(|buffer| buffer.first().copied())
    }

    fn advance(&mut self, count: usize) {
        self.input.consume(count);
        self.position.offset += count as u64;
    }

    fn expect(&mut self, byte: u8) -> Result<(), ReadError> {
        match self.peek()? {
            Some(got) if got == byte => {
                self.advance(1);
                Ok(())
            }
            got => Err(self.unexpected(Expected::Byte(byte), got)),
        }
    }

    fn line_end(&mut self) -> Result<(), ReadError> {
        self.expect(b'\r')?;
        self.expect(b'\n')?;
        self.position.lines += 1;
        Ok(())
    }

    /// How many strings follow: none for a number below 0.
    fn count(&mut self) -> Result<u64, ReadError> {
        self.expect(b'*')?;
        if self.peek()? != Some(b'-') {
            return self.number();
        }
        self.advance(1);
        if self.peek()? == Some(b'0') {
            return Err(self.unexpected(Expected::Digit, Some(b'0')));
        }
        self.number().map(|_| 0)
    }

    /// A line of `mark` and a number.
    fn header(&mut self, mark: u8) -> Result<u64, ReadError> {
        self.expect(mark)?;
        self.number()
    }

    /// A number, and the end of its line.
    fn number(&mut self) -> Result<u64, ReadError> {
        let mut number = self.digit(Expected::Digit)?;
        // string2ll of Redis takes no zero before other digits.
        while number != 0 && self.peek()? != Some(b'\r') {
            let digit = self.digit(Expected::DigitOrReturn)?;
            number = number
                .checked_mul(10)
                .and_then(|tens| tens.checked_add(digit))
                .ok_or_else(|| self.fault(ErrorKind::LengthOverflow))?;
        }
        self.line_end()?;
        Ok(number)
    }

    fn digit(&mut self, expected: Expected) -> Result<u64, ReadError> {
        match self.peek()? {
            Some(digit @ b'0'..=b'9') => {
                self.advance(1);
                Ok(u64::from(digit - b'0'))
            }
            got => Err(self.unexpected(expected, got)),
        }
    }

    /// One bulk string, `None` if it has more than `room` bytes.
    fn bulk_string(&mut self, limit: usize, room: usize) -> Result<Option<Bytes>, ReadError> {
        let at = self.place();
        let got = self.header(b'$')?;
        let Some(length) = usize::try_from(got).ok().filter(|length| *length <= limit) else {
            let kind = ErrorKind::StringTooLong { got, limit };
            return Err(ReadError { at, kind });
        };
        if length > room {
            return Ok(None);
        }
        let mut string = Vec::new();
        while string.len() < length {
            let missing = length - string.len();
            let (count, lines) = self.buffer(|buffer| {
                let arrived = buffer.get(..missing).unwrap_or(buffer);
                string.extend_from_slice(arrived);
                (arrived.len(), arrived.iter().filter(|byte| **byte == b'\n').count())
            })?;
            self.position.lines += lines as u64;
            if count == 0 {
                return Err(self.unexpected(Expected::MoreBytes(missing), None));
            }
            self.advance(count);
        }
        self.line_end()?;
        Ok(Some(string.into()))
    }
}
