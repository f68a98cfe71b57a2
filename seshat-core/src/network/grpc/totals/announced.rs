//! [`Announced`]: how long the messages of a body are, by what goes before each.
//!
//! Pure. gRPC over HTTP/2, "Length-Prefixed-Message": a byte that says whether it is compressed, and four
//! of its length.

const PREFIX: usize = 5;

/// Where in a body one is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Announced {
    /// What there is of a prefix, and how many bytes that is.
    prefix: u64,
    have: usize,
    /// What is still to pass of a message.
    left: usize,
}

/// What the next bytes of a body are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// So many may pass: those of a message that was [begun](Announced::begin), or some of a prefix,
    /// of which nothing follows yet.
    Pass(usize),
    /// A message of that length begins.
    Message(u32),
}

impl Announced {
    pub(super) fn next(&self, bytes: &[u8]) -> Next {
        let lacks = PREFIX - self.have;
        if self.left > 0 {
            Next::Pass(self.left.min(bytes.len()))
        } else if bytes.len() < lacks {
            Next::Pass(bytes.len())
        } else {
            // The last four of the five.
            Next::Message(read(self.prefix, bytes.get(..lacks).unwrap_or(bytes)) as u32)
        }
    }

    /// The message of that length, which [`next`](Self::next) found, may pass, with the rest of its prefix.
    pub(super) fn begin(&mut self, len: u32) {
        *self = Self { left: PREFIX - self.have + len as usize, ..Self::default() };
    }

    /// These bytes pass.
    pub(super) fn pass(&mut self, bytes: &[u8]) {
        if self.left > 0 {
            self.left -= bytes.len().min(self.left);
        } else {
            self.prefix = read(self.prefix, bytes);
            self.have = (self.have + bytes.len()).min(PREFIX);
        }
    }
}

fn read(prefix: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(prefix, |prefix, byte| (prefix << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However a body is cut into frames, it is told of each message before its prefix is whole.
        #[test]
        fn messages_are_told_however_they_are_cut(
            lengths in prop::collection::vec(prop_oneof![0..9_usize, 250..300_usize], 0..9),
            cuts in prop::collection::vec(1..40_usize, 1..20),
        ) {
            let message = |len: &usize| {
                [&[0][..], &(*len as u32).to_be_bytes(), &vec![0xaa; *len]].concat()
            };
            let body: Vec<u8> = lengths.iter().flat_map(message).collect();
            let (mut announced, mut told, mut passed) = (Announced::default(), Vec::new(), 0);
            let mut cuts = cuts.iter().cycle();
            while passed < body.len() {
                let end = (passed + cuts.next().unwrap()).min(body.len());
                while passed < end {
                    match announced.next(&body[passed..end]) {
                        Next::Pass(n) => {
                            prop_assert!(n > 0);
                            announced.pass(&body[passed..passed + n]);
                            passed += n;
                        }
                        Next::Message(len) => {
                            let begins: usize = told.iter().map(|len| PREFIX + len).sum();
                            prop_assert!(passed < begins + PREFIX, "its prefix is whole");
                            told.push(len as usize);
                            announced.begin(len);
                        }
                    }
                }
            }
            prop_assert_eq!(told, lengths);
            prop_assert_eq!(announced, Announced::default());
        }
    }
}
