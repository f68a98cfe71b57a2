//! [`Fault`]: ways to lose data, each a small switch in the one right store; and [`Form`]: ways to
//! keep a log in files that are right, however unusual.

use seshat_conformance::backend::Keeps;

macro_rules! faults {
    ($($group:literal { $($name:ident, $doc:literal;)* })*) => {
        /// A mistake.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault { $($(#[doc = $doc] $name,)*)* }

        /// Each fault with its group and what it mimics.
        pub const FAULTS: &[(Fault, &str, &str)] =
            &[$($((Fault::$name, $group, $doc),)*)*];
    };
}

faults! {
    "what is synced" {
        NoSync, "nothing is synced, neither files nor directories";
        EveryThirdSync, "only every third sync is made";
        SyncBeforeWrite, "a file is synced before it is written to";
        SizeAfterSync, "the bytes that make the log longer are written after its sync";
        VoteUnsynced, "the vote's file is moved into place, and neither it nor the directory is synced";
        MappedNoMsync, "a mapped log is written to, and msync is never called";
        AppliedUnsynced, "what a persistent state machine has applied is written and not synced";
    }
    "names" {
        CreateNoDirSync, "a new file's directory is not synced";
        SubdirNoSync, "a new file is in a directory below, and the one above is synced";
        RenameNoDirSync, "the directory is not synced after a rename";
        UnlinkNoDirSync, "the directory is not synced after a file was removed";
        RenameBeforeSync, "a new file is renamed into place, then synced";
        VoteInPlace, "the vote's file is emptied and written anew";
    }
    "order" {
        VoteAfterEntries, "a vote is written with the next entries, after them";
        PointerBeforeData, "the pointer to a snapshot is written before its data";
        DataSyncedLast, "a snapshot's data and its pointer are synced in the wrong order";
        DataUnsynced, "a snapshot's pointer is synced, its data never";
        OldSnapshotFirst, "the old snapshot is removed before the new one is written";
        PurgeBeforeMarker, "purged files are removed before the marker says so";
        AppliedInTwo, "an applied id and its data are in two files";
    }
    "the log's tail" {
        TruncateUnsynced, "a log is cut off in place, not synced, and appended to";
        OldRecordsVerify, "a file is used again, and its old records are taken for new ones";
        HalfRecordStays, "a record that was half written stays, and the next ones go behind it";
        TornTailFails, "a log whose last record is half written can't be opened";
        EmptyFileFails, "a first start that was cut off leaves an empty file, on which no other can start";
    }
    "errors" {
        WriteErrorIgnored, "a write's error is not looked at";
        SyncErrorIgnored, "a sync's error is not looked at";
        SyncErrorRetried, "a sync that failed is tried again until it says that all is well";
        SyncErrorLogged, "a sync's error is logged, and that is all";
    }
    "opening" {
        TailAdopted, "entries that a killed process had not synced are taken over as they are";
        TailSynced, "entries that a failed sync had dropped are synced again, and not written again";
        NamesAdopted, "names that a killed process had not synced are taken over as they are";
        LockFileStays, "a file is the lock, and a killed process leaves it";
        StaleTemporary, "a temporary file that a killed process left is in the way of the next";
    }
    "damage" {
        SumNotChecked, "records have checksums that nobody looks at";
        DamageEndsLog, "a damaged record is taken for the log's end";
        DamagedVoteNone, "a damaged vote is taken for none";
        DamagedSnapshotNone, "a damaged snapshot is taken for none";
    }
}

macro_rules! forms {
    ($($name:ident, $doc:literal;)*) => {
        /// A way to keep a log in files.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Form { $(#[doc = $doc] $name,)* }

        /// Each form with what it is.
        pub const FORMS: &[(Form, &str)] = &[$((Form::$name, $doc),)*];
    };
}

forms! {
    Segments, "files of records, a new one when the last is full: the right store that faults are in";
    Preallocated, "files of 64 MiB, made before they are needed";
    Mapped, "files that are written through a mapping, and msync";
    Dsync, "files that were opened with O_DSYNC, and no fsync of any";
    Recycling, "files that are used again, their old records in them";
    AppendOnly, "one file that only grows: truncating and purging are records too";
    CopyOnWrite, "new states beside old ones, and two roots in turn";
    FilePerEntry, "a file for each entry";
    OldThread, "files that a thread writes to which was there before any check";
    RollbackJournal, "a file that is written in place, after what was there is in a journal";
}

/// What is odd about a store.
#[derive(Debug, Clone, Copy)]
pub struct Ways {
    pub fault: Option<Fault>,
    pub form: Form,
    pub keeps: Keeps,
}

impl Ways {
    /// The right store, and its faults where there are any.
    pub fn right(form: Form, keeps: Keeps) -> Self {
        Self { fault: None, form, keeps }
    }

    pub fn faulty(fault: Fault) -> Self {
        let form = match fault {
            Fault::MappedNoMsync => Form::Mapped,
            Fault::OldRecordsVerify => Form::Recycling,
            // Elsewhere another sync of the directory follows soon.
            Fault::UnlinkNoDirSync => Form::RollbackJournal,
            Fault::NamesAdopted => Form::FilePerEntry,
            _ => Form::Segments,
        };
        let keeps = match fault {
            Fault::AppliedInTwo | Fault::AppliedUnsynced => Keeps::Applied,
            _ => Keeps::Snapshot,
        };
        Self { fault: Some(fault), form, keeps }
    }

    pub fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }
}
