//! What files hold: bytes that many worlds share, and that are digested once.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use twox_hash::XxHash3_64;

/// Bytes that worlds share, and that are digested once.
#[derive(Clone, Debug, Default)]
pub(super) struct Blob(Arc<(Vec<u8>, OnceLock<u64>)>);

impl Blob {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new((bytes, OnceLock::new())))
    }

    pub(super) fn edit(&mut self, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.0.0.clone();
        edit(&mut bytes);
        *self = Self::new(bytes);
    }

    pub(super) fn overwrite(&mut self, at: usize, bytes: &[u8]) {
        self.edit(|file| overwrite(file, at, bytes));
    }

    pub(super) fn digest(&self) -> u64 {
        *self.0.1.get_or_init(|| digest(self))
    }
}

impl Deref for Blob {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0.0
    }
}

pub(super) fn digest(bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(bytes.len() as u64, bytes)
}

fn overwrite(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if file.len() == at {
        return file.extend_from_slice(bytes);
    }
    if file.len() < at + bytes.len() {
        file.resize(at + bytes.len(), 0);
    }
    file[at..at + bytes.len()].copy_from_slice(bytes);
}
