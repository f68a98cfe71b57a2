//! Files and streams into the messages they hold, none of which is looked into.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::encoding::{WireType, decode_varint};

use super::{Damage, Export, ImportError};

/// Which message a frame holds. Displays as the name of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `eraftpb.HardState`
    HardState,
    /// `eraftpb.ConfState`
    ConfState,
    /// `eraftpb.Snapshot`
    Snapshot,
    /// `eraftpb.Entry`
    Entry,
    /// `eraftpb.Message`
    Message,
}

impl Kind {
    /// In the order of their numbers in a stream, from 1 on.
    const ALL: [Self; 5] =
        [Self::HardState, Self::ConfState, Self::Snapshot, Self::Entry, Self::Message];

    fn file(self) -> &'static str {
        match self {
            Self::HardState => "hard_state",
            Self::ConfState => "conf_state",
            Self::Snapshot => "snapshot",
            Self::Entry => "entries",
            Self::Message => "messages",
        }
    }

    fn numbered(field: u64) -> Option<Self> {
        let place = usize::try_from(field.checked_sub(1)?).ok()?;
        Self::ALL.get(place).copied()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file())
    }
}

/// What bytes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum File {
    /// A stream.
    Stream,
    /// The file of that name in a directory.
    Named(Kind),
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream => f.write_str("stream"),
            Self::Named(kind) => kind.fmt(f),
        }
    }
}

/// Where a frame begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// In which file.
    pub file: File,
    /// Bytes before it.
    pub offset: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, byte {}", self.file, self.offset)
    }
}

/// One message, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) place: Place,
    pub(super) kind: Kind,
    pub(super) bytes: Bytes,
}

impl Export {
    /// Reads a directory, or a file that holds a stream.
    ///
    /// # Errors
    /// It can't be read, a directory holds a file that it shouldn't, or the frames are damaged.
    pub fn read(path: &Path) -> Result<Self, ImportError> {
        let failed = |source| ImportError::Read { path: path.to_owned(), source };
        if !fs::metadata(path).map_err(failed)?.is_dir() {
            return Self::from_stream(fs::read(path).map_err(failed)?.into());
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(path).map_err(failed)? {
            let file = entry.map_err(failed)?.path();
            let name = file.file_name().and_then(|name| name.to_str());
            let kind = Kind::ALL.into_iter().find(|kind| name == Some(kind.file()));
            let kind = kind.ok_or_else(|| ImportError::UnknownFile { path: file.clone() })?;
            found.push((kind, read_file(file)?));
        }
        // Directories have no order; what is said about one shouldn't depend on it.
        found.sort_by_key(|(kind, _)| Kind::ALL.iter().position(|one| one == kind));
        Self::from_files(found)
    }

    /// Takes a stream apart.
    ///
    /// # Errors
    /// [`ImportError::Damaged`].
    pub fn from_stream(bytes: Bytes) -> Result<Self, ImportError> {
        let mut frames = Frames::of(File::Stream, &bytes);
        let mut all = Vec::new();
        while let Some(place) = frames.next() {
            let kind = frames.kind().and_then(|kind| Ok((kind, frames.message()?)));
            let (kind, bytes) = kind.map_err(|damage| ImportError::damaged(place, damage))?;
            all.push(Frame { place, kind, bytes });
        }
        Ok(Self { frames: all })
    }

    /// Takes the files of a directory apart. Bytes of one kind may come in several parts; each
    /// counts its own offsets.
    ///
    /// # Errors
    /// [`ImportError::Damaged`].
    pub fn from_files(files: impl IntoIterator<Item = (Kind, Bytes)>) -> Result<Self, ImportError> {
        let mut all = Vec::new();
        for (kind, bytes) in files {
            let mut frames = Frames::of(File::Named(kind), &bytes);
            while let Some(place) = frames.next() {
                let bytes = frames.message();
                let bytes = bytes.map_err(|damage| ImportError::damaged(place, damage))?;
                all.push(Frame { place, kind, bytes });
            }
        }
        Ok(Self { frames: all })
    }
}

fn read_file(path: PathBuf) -> Result<Bytes, ImportError> {
    match fs::read(&path) {
        Ok(bytes) => Ok(bytes.into()),
        Err(source) => Err(ImportError::Read { path, source }),
    }
}

struct Frames<'a> {
    file: File,
    whole: &'a Bytes,
    rest: &'a [u8],
}

impl<'a> Frames<'a> {
    fn of(file: File, whole: &'a Bytes) -> Self {
        Self { file, whole, rest: whole }
    }

    /// Where the next one begins, if there is one.
    fn next(&self) -> Option<Place> {
        let offset = (self.whole.len() - self.rest.len()) as u64;
        (!self.rest.is_empty()).then_some(Place { file: self.file, offset })
    }

    fn varint(&mut self) -> Result<u64, Damage> {
        decode_varint(&mut self.rest).map_err(Damage::Number)
    }

    fn kind(&mut self) -> Result<Kind, Damage> {
        let key = self.varint()?;
        let delimited = key & 7 == WireType::LengthDelimited as u64;
        let kind = delimited.then(|| Kind::numbered(key >> 3)).flatten();
        kind.ok_or(Damage::UnknownKind { got: key })
    }

    fn message(&mut self) -> Result<Bytes, Damage> {
        let needed = self.varint()?;
        let split = usize::try_from(needed).ok().and_then(|len| self.rest.split_at_checked(len));
        let left = self.rest.len() as u64;
        let (message, rest) = split.ok_or(Damage::Cut { needed, left })?;
        self.rest = rest;
        Ok(self.whole.slice_ref(message))
    }
}

impl ImportError {
    pub(super) fn damaged(place: Place, damage: impl Into<Damage>) -> Self {
        Self::Damaged { place, damage: Box::new(damage.into()) }
    }
}
