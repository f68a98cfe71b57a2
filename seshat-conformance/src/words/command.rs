//! [`Command`]: what the kit asks a back end's author to make, by number and shape.

use std::fmt;

/// Describes a command. The author turns it into one of the application's own.
///
/// The same number comes in several shapes: `c7`, `c7.empty`, `c7.large:300` and `c7.delete` are
/// four commands, and each may be applied before or after the others. So whatever is worked out
/// from a list of commands ([`expected_reply`](crate::Backend::expected_reply),
/// [`expected_digest`](crate::Backend::expected_digest)) follows both fields. The short way is to
/// turn each into the application's own by [`command`](crate::Backend::command), and to apply that
/// to a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Command {
    /// Its number, which may be beyond 2^63. Plain commands of different numbers differ; it alone
    /// doesn't tell what to do.
    pub n: u64,
    /// What is odd about it.
    pub shape: Shape,
}

/// What is odd about a command. There may be more in later versions: answer `None` to others.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shape {
    /// Nothing: an everyday command.
    Plain,
    /// Its contents are empty: an empty value, an empty string, an empty list.
    Empty,
    /// Its contents are this many bytes long.
    Large(usize),
    /// Its contents hold NUL, 0xFF, line ends and quotes.
    Binary,
    /// It removes what the plain command of the same number made.
    Delete,
    /// The application answers it with a refusal: a wrong type, a condition that doesn't hold. For
    /// openraft it is a command like any other.
    Refused,
}

impl Command {
    /// An everyday command.
    pub const fn plain(n: u64) -> Self {
        Self { n, shape: Shape::Plain }
    }
}

/// `c7`, `c7.empty`, `c7.large:1024`, `c7.binary`, `c7.delete`: what histories are written in.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.n)?;
        match self.shape {
            Shape::Plain => Ok(()),
            Shape::Empty => f.write_str(".empty"),
            Shape::Large(bytes) => write!(f, ".large:{bytes}"),
            Shape::Binary => f.write_str(".binary"),
            Shape::Delete => f.write_str(".delete"),
            Shape::Refused => f.write_str(".refused"),
        }
    }
}

impl Command {
    /// Reads what [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('c')?;
        let (n, shape) = text.split_once('.').unwrap_or((text, ""));
        let shape = match shape.split_once(':').unwrap_or((shape, "")) {
            ("", "") => Shape::Plain,
            ("empty", "") => Shape::Empty,
            ("binary", "") => Shape::Binary,
            ("delete", "") => Shape::Delete,
            ("refused", "") => Shape::Refused,
            ("large", bytes) => Shape::Large(bytes.parse().ok()?),
            _ => return None,
        };
        Some(Self { n: n.parse().ok()?, shape })
    }
}
