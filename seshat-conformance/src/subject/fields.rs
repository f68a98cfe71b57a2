//! [`Fields`]: values that belong together, compared all at once: a wrong one hides no other.

use std::fmt::Debug;

use crate::driver::seen::Meta;
use crate::failure::Failure;
use crate::lab::Lab;

/// Those of the values compared so far that are wrong.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    wrong: Vec<Wrong>,
}

#[derive(Debug)]
struct Wrong {
    name: &'static str,
    got: String,
    expected: String,
}

impl Fields {
    /// Compares one more.
    pub(crate) fn and<T: PartialEq + Debug>(
        mut self,
        name: &'static str,
        got: &T,
        expected: &T,
    ) -> Self {
        if got != expected {
            let (got, expected) = (format!("{got:?}"), format!("{expected:?}"));
            self.wrong.push(Wrong { name, got, expected });
        }
        self
    }

    /// All that a snapshot says of itself.
    pub(crate) fn of_meta(got: &Meta, expected: &Meta) -> Self {
        Self::default()
            .and("last_log_id", &got.last, &expected.last)
            .and("last_membership", &got.membership, &expected.membership)
            .and("snapshot_id", &got.id, &expected.id)
    }

    /// `what`, and each value that is wrong, by its name.
    fn failure(&self, what: &str) -> Failure {
        let all = |text: &dyn Fn(&Wrong) -> String, gap: &str| {
            self.wrong.iter().map(text).collect::<Vec<_>>().join(gap)
        };
        let names = all(&|wrong| wrong.name.to_owned(), ", ");
        let expected = all(&|wrong| format!("{} {}", wrong.name, wrong.expected), "; ");
        let got = all(&|wrong| format!("{} {}", wrong.name, wrong.got), "; ");
        Failure::broken(format!("{what}: wrong are {names}"), expected, got)
    }
}

impl Lab {
    /// Counts an assertion that all of them are as expected.
    ///
    /// # Errors
    /// Some aren't: each is named.
    pub(crate) fn fields(&self, what: &str, fields: Fields) -> Result<(), Failure> {
        self.assert(fields.wrong.is_empty(), || fields.failure(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wrong_field_is_named_and_shown() {
        let fields = Fields::default().and("a", &1, &2).and("b", &3, &3).and("c", &None, &Some(4));
        let failure = fields.failure("it is wrong");
        assert_eq!(failure.what, "it is wrong: wrong are a, c");
        assert_eq!(failure.expected, "a 2; c Some(4)");
        assert_eq!(failure.got, "a 1; c None");
    }
}
