//! [`Check`]: what is known of it, and the function that tries it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::lab::Lab;
pub use crate::outcome::{Outcome, Verdict};
pub use crate::spec::{Edition, Level, Need, Past, Spec};

/// A check's body, under way.
pub type Running<'a> = Pin<Box<dyn Future<Output = Verdict> + 'a>>;

/// A check's body.
pub type Run = Box<dyn for<'a> Fn(&'a mut Lab) -> Running<'a> + Send + Sync>;

/// A check of a back end.
pub struct Check {
    /// What is known of it.
    pub spec: Spec,
    /// What it does.
    pub run: Run,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("spec", &self.spec).finish_non_exhaustive()
    }
}

/// Declares a check: its data, then the function. A Must says who `relies:` on it, all others the
/// `reason:` why nobody does.
macro_rules! check {
    (
        $id:literal, $level:ident, [$($requirement:literal),* $(,)?],
        needs: [$($need:ident),* $(,)?],
        promise: $promise:literal,
        consequence: $consequence:literal,
        $(relies: [$($place:ident),+ $(,)?],)?
        $(reason: $reason:literal,)?
        $(was: $past:ident until $until:literal,)?
        $(since: $since:literal,)?
        $(limit: $limit:literal,)?
        run: $run:expr $(,)?
    ) => {
        $crate::check::Check {
            spec: $crate::spec::Spec {
                id: $id,
                level: $crate::spec::Level::$level,
                past: $crate::check::one(&[$($crate::spec::Past {
                    level: $crate::spec::Level::$past,
                    until: $crate::spec::Edition($until),
                })?]),
                requirements: &[$($requirement),*],
                promise: $promise,
                consequence: $consequence,
                relies: &[$($($crate::requirement::place::$place),+)?],
                reason: concat!("", $($reason)?),
                needs: &[$($crate::spec::Need::$need),*],
                limit: $crate::spec::limit(&[$($limit)?]),
                since: $crate::check::one(&[$($crate::spec::Edition($since))?])
                    .unwrap_or($crate::spec::Edition(1)),
            },
            run: Box::new(|lab| Box::pin($run(lab))),
        }
    };
}
pub(crate) use check;

/// What a declaration may leave out.
pub(crate) fn one<T: Copy>(given: &[T]) -> Option<T> {
    given.first().copied()
}
