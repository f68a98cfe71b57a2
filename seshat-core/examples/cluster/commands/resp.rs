//! A stream of RESP arrays of bulk strings, the one that `redis-cli --pipe` takes.
//!
//! As strict as a Redis server: lines end in `\r\n`, numbers have no sign and no leading zero,
//! nothing stands between commands. Stricter in that it takes no inline commands among the
//! arrays, and no empty ones. An error names the first byte that does not fit.

use std::io::BufRead;

use bytes::Bytes;

use super::error::Expected;
use super::{ErrorKind, Limits, Located, Place, ReadError, with_buffer};

/// Where a RESP stream has been read to.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// The command that is being read, counted from 1.
    number: u64,
    offset: u64,
}

impl Stream {
    /// The strings of the next command, `None` at the end of `input`.
    pub(super) fn next<R: BufRead>(
        &mut self,
        input: &mut R,
        limits: Limits,
    ) -> Result<Option<Located<Vec<Bytes>>>, ReadError> {
        self.number += 1;
        let stream = self;
        let mut cursor = Cursor { stream, input };
        let at = cursor.place();
        if cursor.peek()?.is_none() {
            return Ok(None);
        }
        let count = cursor.header(b'*')?;
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
        Ok(Some(Located { at, value }))
    }
}

/// Reads on and counts what it reads.
struct Cursor<'a, R> {
    stream: &'a mut Stream,
    input: &'a mut R,
}

impl<R: BufRead> Cursor<'_, R> {
    fn place(&self) -> Place {
        Place::Command { number: self.stream.number, offset: self.stream.offset }
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
        self.stream.offset += count as u64;
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
        self.expect(b'\n')
    }

    /// A line of `mark` and a number.
    fn header(&mut self, mark: u8) -> Result<u64, ReadError> {
        self.expect(mark)?;
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
            let count = self.buffer(|buffer| {
                let arrived = buffer.get(..missing).unwrap_or(buffer);
                string.extend_from_slice(arrived);
                arrived.len()
            })?;
            if count == 0 {
                return Err(self.unexpected(Expected::MoreBytes(missing), None));
            }
            self.advance(count);
        }
        self.line_end()?;
        Ok(Some(string.into()))
    }
}
