//! Whose mistake it is where a store gives something else than its author expects, after the first
//! command: the plug-in's, if the answers contradict each other or what they are about. All else
//! is left to the checks. Only what no faulty store is likely to bring about is held against a
//! plug-in.

use std::fmt;

use super::Unfit;
use crate::subject::text;
use crate::words::{Command, Shape};

/// What a fresh node gave after one command, or none, and what was expected.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) after: Option<Command>,
    /// Of an entry with the command, where all else is the same.
    pub(super) print: Vec<u8>,
    pub(super) expected: Option<Vec<u8>>,
    pub(super) got: Option<Vec<u8>>,
}

/// A [`Seen`] that has both.
struct Pair<'a> {
    after: Option<Command>,
    print: &'a [u8],
    expected: &'a [u8],
    got: &'a [u8],
}

impl Pair<'_> {
    fn agrees(&self) -> bool {
        self.expected == self.got
    }
}

/// Looks at the contents after nothing and after each command.
pub(super) fn digests(seen: &[Seen]) -> Result<(), Unfit> {
    let pairs = pairs(seen);
    contradicts_itself("expected_digest", &pairs)?;
    if in_other_words(&pairs) {
        return Err(other_words("expected_digest", "digest", &pairs));
    }
    ignores_shapes("expected_digest", &pairs)?;
    says_nothing(seen)
}

/// Looks at the replies to each command.
pub(super) fn replies(seen: &[Seen]) -> Result<(), Unfit> {
    let pairs = pairs(seen);
    contradicts_itself("expected_reply", &pairs)?;
    // A store may be wrong about all replies alike: by one, say.
    let otherwise_alike = |pair: &Pair<'_>| skeleton(pair.expected) == skeleton(pair.got);
    if in_other_words(&pairs) && !pairs.iter().any(otherwise_alike) {
        return Err(other_words("expected_reply", "show_reply", &pairs));
    }
    ignores_shapes("expected_reply", &pairs)
}

fn pairs(seen: &[Seen]) -> Vec<Pair<'_>> {
    let pairs = seen.iter().filter_map(|seen| {
        let (expected, got) = (seen.expected.as_deref()?, seen.got.as_deref()?);
        Some(Pair { after: seen.after, print: &seen.print, expected, got })
    });
    pairs.collect()
}

/// The plain command, and those of its number and another shape.
fn shapes<'a, 'b>(pairs: &'b [Pair<'a>]) -> Option<(&'b Pair<'a>, Vec<&'b Pair<'a>>)> {
    let command = |pair: &Pair<'_>| pair.after.unwrap_or(Command::plain(0));
    let odd: Vec<_> = pairs.iter().filter(|pair| command(pair).shape != Shape::Plain).collect();
    let n = command(odd.first()?).n;
    let plain = pairs.iter().find(|pair| pair.after == Some(Command::plain(n)))?;
    Some((plain, odd))
}

/// Two commands are the same, and other things are expected of them.
fn contradicts_itself(method: &'static str, pairs: &[Pair<'_>]) -> Result<(), Unfit> {
    let Some((plain, odd)) = shapes(pairs) else { return Ok(()) };
    let found = odd.iter().find(|odd| odd.print == plain.print && odd.expected != plain.expected);
    let Some(odd) = found else { return Ok(()) };
    let what = format!(
        "gives the same command for {} and {}, of which `Backend::{method}` expects other things, \
         {} and {}: look at `Command::shape` as well as at `Command::n`, or give `None` for a shape \
         that there is no command for",
        Name(plain.after),
        Name(odd.after),
        shown(Some(plain.expected)),
        shown(Some(odd.expected)),
    );
    Err(Unfit::new("command", what))
}

/// Nowhere the same, and yet alike where the other is alike: two languages.
fn in_other_words(pairs: &[Pair<'_>]) -> bool {
    let alike =
        |one: &Pair<'_>, two: &Pair<'_>| (one.expected == two.expected) == (one.got == two.got);
    pairs.len() > 1
        && !pairs.iter().any(Pair::agrees)
        && pairs.iter().all(|one| pairs.iter().all(|two| alike(one, two)))
}

fn other_words(method: &'static str, given: &str, pairs: &[Pair<'_>]) -> Unfit {
    let examples = pairs.iter().take(2).map(|pair| {
        let [expected, got] = [pair.expected, pair.got].map(|answer| shown(Some(answer)));
        format!("{}, {expected} is expected and {got} given", Moment(pair.after))
    });
    let examples: Vec<_> = examples.collect();
    let what = format!(
        "never says what `Backend::{given}` gives, though both tell the same states apart: {}: \
         make them speak the same language, unless it is the store that is wrong every time",
        examples.join("; ")
    );
    Unfit::new(method, what)
}

/// Right about the plain command, and says the same of all others, which the store takes for what
/// they are.
fn ignores_shapes(method: &'static str, pairs: &[Pair<'_>]) -> Result<(), Unfit> {
    let Some((plain, odd)) = shapes(pairs) else { return Ok(()) };
    let taken_for_plain = |odd: &&Pair<'_>| {
        odd.expected == plain.expected && !odd.agrees() && odd.print != plain.print
    };
    let Some(first) = odd.first().filter(|_| plain.agrees() && odd.iter().all(taken_for_plain))
    else {
        return Ok(());
    };
    let what = format!(
        "expects the same of {} and {}, {}, which are different commands, and so of every shape; \
         the store gives {} for the latter: look at `Command::shape` as well as at `Command::n`",
        Name(plain.after),
        Name(first.after),
        shown(Some(plain.expected)),
        shown(Some(first.got)),
    );
    Err(Unfit::new(method, what))
}

/// The same contents, whatever was applied, and nobody expects otherwise.
fn says_nothing(seen: &[Seen]) -> Result<(), Unfit> {
    let [first, others @ ..] = seen else { return Ok(()) };
    let same = |other: &Seen| other.got == first.got && other.expected == first.expected;
    let constant = others.len() > 1 && first.got.is_some() && others.iter().all(same);
    if !constant {
        return Ok(());
    }
    let what = format!(
        "gives the same, {}, after nothing, after {} and after every other command: put the \
         contents in, and no log id, since no check can see by it what is lost",
        shown(first.got.as_deref()),
        Name(others.first().and_then(|seen| seen.after)),
    );
    Err(Unfit::new("digest", what))
}

/// What is left of a text without its numbers.
fn skeleton(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|byte| !byte.is_ascii_digit()).collect()
}

/// An answer for a person.
pub(super) fn shown(answer: Option<&[u8]>) -> String {
    answer.map_or_else(|| "`None`".to_owned(), |answer| format!("`{}`", text(answer)))
}

/// When an answer was given.
pub(super) struct Moment(pub(super) Option<Command>);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("on a fresh node"),
            Some(command) => write!(f, "after {command}, the first command"),
        }
    }
}

/// A command, as a history names it.
struct Name(Option<Command>);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("nothing"),
            Some(command) => write!(f, "{command}"),
        }
    }
}
