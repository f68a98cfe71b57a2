//! [`Spec`]: all that is known of a check before it runs. Data.
//!
//! Guarantees: an id names the same promise for ever; a check that is changed so that a store
//! which passed may fail gets a new id in a new edition, and a level changes with an edition.
//! `docs/editions.md` tells what each changed.

use std::fmt;
use std::time::Duration;

use crate::requirement::Place;

/// A set of checks, and of what each weighs, that a caller can pin. Checks of a later edition only
/// warn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edition(pub u16);

impl Edition {
    /// The newest.
    pub const LATEST: Self = Self(3);
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How much a check's failure weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// openraft relies on it: a cluster on such a store loses data, stops, or diverges.
    Must,
    /// openraft's documents ask for it, or every operator would; a cluster survives without.
    Should,
    /// Advice.
    May,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Must => "must",
            Self::Should => "should",
            Self::May => "may",
        })
    }
}

/// What a check can't run without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Need {
    /// The log store is the author's own.
    Log,
    /// The state machine is the author's own.
    Machine,
    /// Entries, vote and purge marker outlive a restart.
    LogSurvivesRestart,
    /// A snapshot outlives a restart, or everything applied does.
    MachineSurvivesRestart,
    /// Everything applied outlives a restart.
    AppliedSurvivesRestart,
    /// The current snapshot outlives a restart, and the state is rebuilt from it.
    SnapshotSurvivesRestart,
    /// A copy of the directory is an image of the store.
    Files,
    /// Snapshots carry a checksum.
    SnapshotChecksum,
    /// A snapshot's data say what they cover.
    SnapshotDescribesItself,
    /// [`Backend::digest`](crate::Backend::digest).
    Digest,
    /// [`Backend::show_reply`](crate::Backend::show_reply).
    ShowReply,
    /// [`Backend::show_reply`](crate::Backend::show_reply) and [`Backend::expected_reply`](crate::Backend::expected_reply).
    ExpectedReply,
    /// [`Backend::digest`](crate::Backend::digest) and [`Backend::expected_digest`](crate::Backend::expected_digest).
    ExpectedDigest,
    /// A snapshot's bytes can be read and written.
    SnapshotBytes,
    /// The `cut_power` hook, or files that are watched.
    CutPower,
    /// The `refuse_writes` hook, or files that are watched.
    RefuseWrites,
    /// Files whose calls are watched, whatever hooks there are.
    WatchedFiles,
    /// The `damage_last_record` hook, or files that are watched.
    DamageLastRecord,
    /// The `damage_record` hook, or files that are watched.
    DamageRecord,
    /// The `damage_snapshot` hook, or files that are watched.
    DamageSnapshot,
    /// The `damage_vote` hook, or files that are watched.
    DamageVote,
    /// The `damage_marker` hook, or files that are watched.
    DamageMarker,
    /// openraft's suite can be compiled with the types.
    Suite,
    /// The kit was built with its feature `storage-v2`: it holds a callback in its own hands.
    Callback,
    /// The store is on Seshat's own types.
    SeshatTypes,
}

impl Need {
    /// Whether a store in files meets it without a hook, where its calls can be watched.
    pub fn is_met_by_watching(self) -> bool {
        matches!(
            self,
            Self::CutPower
                | Self::RefuseWrites
                | Self::WatchedFiles
                | Self::DamageLastRecord
                | Self::DamageRecord
                | Self::DamageSnapshot
                | Self::DamageVote
                | Self::DamageMarker
        )
    }

    /// Why a check that needs it is skipped where it is missing.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Log => "the log store is the kit's reference, not under test",
            Self::Machine => "the state machine is the kit's reference, not under test",
            Self::LogSurvivesRestart => "declared: the log does not survive a restart",
            Self::MachineSurvivesRestart => {
                "declared: nothing of the state machine survives a restart"
            }
            Self::AppliedSurvivesRestart => {
                "declared: what is applied does not survive a restart by itself"
            }
            Self::SnapshotSurvivesRestart => {
                "declared: the state is not rebuilt from the last snapshot"
            }
            Self::Files => "not declared: a copy of the directory is an image of the store",
            Self::SnapshotChecksum => "not declared: snapshots carry a checksum",
            Self::SnapshotDescribesItself => {
                "not declared: a snapshot's data say which entry was applied last"
            }
            Self::Digest => "the back end gives no `digest`",
            Self::ShowReply => "the back end gives no `show_reply`",
            Self::ExpectedReply => "the back end gives no `expected_reply`",
            Self::ExpectedDigest => "the back end gives no `expected_digest`",
            Self::SnapshotBytes => "snapshot data is opaque: its bytes can't be reached",
            Self::CutPower => "neither files that can be watched nor a hook `cut_power`",
            Self::RefuseWrites => "neither files that can be watched nor a hook `refuse_writes`",
            Self::WatchedFiles => "not declared: all state lives in files that can be watched",
            Self::DamageLastRecord => {
                "neither files that can be watched nor a hook `damage_last_record`"
            }
            Self::DamageRecord => "neither files that can be watched nor a hook `damage_record`",
            Self::DamageSnapshot => {
                "neither files that can be watched nor a hook `damage_snapshot`"
            }
            Self::DamageVote => "neither files that can be watched nor a hook `damage_vote`",
            Self::DamageMarker => "neither files that can be watched nor a hook `damage_marker`",
            Self::Suite => "openraft's suite can't be compiled with these types",
            Self::Callback => "the kit was built without its feature `storage-v2`",
            Self::SeshatTypes => "the store is not on Seshat's own types",
        }
    }
}

/// What a check weighed in earlier editions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// What its failure weighed.
    pub level: Level,
    /// The last edition in which it did.
    pub until: Edition,
}

/// All that is known of a check before it runs.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// `family/subject/point`, lower case.
    pub id: &'static str,
    /// What its failure weighs in the newest edition; see [`Self::as_of`].
    pub level: Level,
    /// What it weighed before, if that changed.
    pub past: Option<Past>,
    /// Numbers of the [requirements](crate::requirement) it tries.
    pub requirements: &'static [u8],
    /// What a store promises, in a sentence.
    pub promise: &'static str,
    /// What happens in production where the promise is broken, in a sentence.
    pub consequence: &'static str,
    /// Who in openraft relies on the promise: there is somebody for a Must, and nobody else.
    pub relies: &'static [Place],
    /// Why nobody does, where it is no Must; else empty.
    pub reason: &'static str,
    /// What it can't run without.
    pub needs: &'static [Need],
    /// When nothing was done for longer than that it is a hang.
    pub limit: Duration,
    /// The edition it came with.
    pub since: Edition,
}

impl Spec {
    /// The id up to its first slash.
    pub fn family(&self) -> &'static str {
        self.id.split_once('/').map_or(self.id, |(family, _)| family)
    }

    /// With the level that it had in an edition.
    pub fn as_of(self, edition: Edition) -> Self {
        match self.past {
            Some(past) if edition <= past.until => Self { level: past.level, ..self },
            _ => self,
        }
    }
}

/// The limit given in seconds, or the usual one.
pub(crate) fn limit(seconds: &[u64]) -> Duration {
    Duration::from_secs(seconds.first().copied().unwrap_or(10))
}
