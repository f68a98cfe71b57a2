//! [`Condition`]: what SET may be told beside key and value, by a client and in a log.

/// When SET binds its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Condition {
    /// If the key doesn't exist (`NX`).
    Absent,
    /// If the key exists (`XX`).
    Present,
}

impl Condition {
    /// Whether it holds for a key that exists, or for one that doesn't.
    pub fn holds(self, exists: bool) -> bool {
        exists == (self == Self::Present)
    }
}

/// What SET may be told beside key and value: `[NX | XX] [GET]`. By default nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct SetOptions {
    /// When the key is bound; `None`: always.
    pub condition: Option<Condition>,
    /// Whether the value before is answered (`GET`), of which every replica makes a copy.
    pub get: bool,
}
