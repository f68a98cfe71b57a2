//! Family `disk`: writes that fail are reported, bytes that changed are refused.

mod damage;
mod failing;
mod marker;
mod refuse;

use crate::check::Check;

pub(crate) fn checks() -> Vec<Check> {
    let all = [refuse::checks(), damage::checks(), marker::checks(), failing::checks()];
    all.into_iter().flatten().collect()
}
