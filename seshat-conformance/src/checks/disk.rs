//! Family `disk`: writes that fail are reported, bytes that changed are refused.

mod damage;
mod marker;
mod refuse;

use crate::check::Check;

pub(crate) fn checks() -> Vec<Check> {
    [refuse::checks(), damage::checks(), marker::checks()].into_iter().flatten().collect()
}
