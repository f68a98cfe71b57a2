use crate::{backend::Backend, check::Check};
pub(crate) fn checks<B: Backend>() -> Vec<Check<B>> {
    vec![]
}
