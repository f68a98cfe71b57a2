//! Family `disk`: writes that fail are reported, bytes that changed are refused.

mod damage;
mod refuse;

use crate::backend::Backend;
use crate::check::Check;

pub(crate) fn checks<B: Backend>() -> Vec<Check<B>> {
    [refuse::checks(), damage::checks()].into_iter().flatten().collect()
}
