//! Family `log`: what is appended is there, what is truncated or purged isn't, and every reader
//! agrees.

pub(crate) mod append;
mod purge;
mod range;
mod truncate;

use crate::check::Check;

pub(crate) use self::append::memberships;

pub(crate) fn checks() -> Vec<Check> {
    [range::checks(), append::checks(), truncate::checks(), purge::checks()]
        .into_iter()
        .flatten()
        .collect()
}
