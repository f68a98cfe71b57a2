//! [`Held`]: a handle of the store that can be given back, and had again, in between a restart.

use std::ops::{Deref, DerefMut};

/// A handle. Empty only while its store is closed, which no check sees: whoever empties it fills
/// it again or fails, and a check that failed makes no further call.
pub(crate) struct Held<T>(Option<T>);

impl<T> Held<T> {
    pub(crate) fn new(handle: T) -> Self {
        Self(Some(handle))
    }

    /// Of a store that is closed.
    pub(crate) fn empty() -> Self {
        Self(None)
    }

    pub(crate) fn take(&mut self) -> Option<T> {
        self.0.take()
    }

    pub(crate) fn put(&mut self, handle: T) {
        self.0 = Some(handle);
    }
}

#[expect(clippy::expect_used, reason = "see `Held`; a panic would be this check's failure")]
impl<T> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("the store is open")
    }
}

#[expect(clippy::expect_used, reason = "see `Held`; a panic would be this check's failure")]
impl<T> DerefMut for Held<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("the store is open")
    }
}
