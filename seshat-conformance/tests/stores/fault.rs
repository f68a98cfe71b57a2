//! [`Fault`]: every way in which the one store can be made to break its contract.
//!
//! Guarantees: each is one small mistake that a real author could make, in a store that is right
//! but for it. Groups are those of the field's bug classes, and a few that aren't listed there.

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
    "reading a range" {
        RangeEndTaken, "`a..b` gives b too: an upper bound passed on as inclusive";
        RangeLastLeft, "`a..=b` leaves b out: every upper bound taken as exclusive";
        RangeStartTaken, "an excluded start is given too: the bound's kind is ignored";
        RangeOpenEndShort, "`a..` leaves the last entry out: `last` used as an exclusive end";
        RangeOpenStartFromOne, "an open start begins at 1: indexes were thought to begin there";
        RangeOpenStartFails, "an open start fails once entry 0 is purged";
        RangeBackwardsPanics, "`5..3` panics, as `BTreeMap::range` does";
        RangeEmptyPanics, "`(3, 3)`, both excluded, panics, as `BTreeMap::range` does";
        RangeAbsentFails, "a range that isn't wholly there is an error";
        RangeBelowFirstEmpty, "a range that begins below the first entry gives nothing at all";
        RangePastEndEmpty, "a range that ends beyond the last entry gives nothing at all";
        RangeMaxOverflows, "`..=u64::MAX` overflows to an empty range";
        RangeSecondHalfLost, "a range that begins in the middle of a segment starts at its next one";
        ReadStopsAt64, "reads stop after 64 entries: the limit of the other method";
        ReadStopsAt1000, "reads stop after 1,000 entries";
        ReadStopsAtMiB, "reads stop after a megabyte, at the cost of the rest";
        ReadLosesMiddle, "reads of more than 100 entries lose the one where two chunks meet";
        ReadSegmentsSwapped, "a read over two segments gives the second one first";
        LimitedEmptyIfBig, "a limited read gives nothing if the first entry exceeds the limit";
        LimitedLastOnes, "a limited read over the limit gives the last entries, not the first";
        LimitedOverRange, "a limited read fills its chunk beyond the range";
        LimitedSkipsBig, "a limited read skips what exceeds the limit and goes on";
        ReadEmptyPanics, "reading a log without entries panics on its first one";
        LimitedEmptyAtEnd, "a limited read of a range with one entry gives nothing";
    }
    "readers" {
        ReaderFrozen, "a reader is a copy of the log as of its creation";
        ReaderFrozenAtRead, "a reader keeps the copy that its first read made";
        ReaderKeepsTruncated, "a reader's cache isn't told of truncation";
        ReaderKeepsPurged, "a reader's cache isn't told of purging";
        ReaderSeesFlushedOnly, "entries can be read once flushed, not when append returns";
        ReaderOnlyOne, "a second reader takes the first one's place, which then reads nothing";
        ReaderMissesTail, "a reader doesn't see the entry appended last: off by one in the shared length";
    }
    "appending" {
        BatchAfter64Lost, "of a batch only the first 64 entries are stored";
        BatchAfter128Swapped, "batches over 128 are encoded in parallel and two payloads change places";
        BatchAfter1000Lost, "of a batch only the first 1,000 entries are stored";
        BatchAfter4096Lost, "of a batch only the first 4,096 entries are stored";
        BatchLastTwice, "the last payload of a batch of several overwrites the one before it";
        AppendCounts, "an entry is stored at the store's own count, not at its index";
        AppendNeedsEntryBefore, "append wants the entry before the first one, and fails after a purge of all";
        AppendKeepsOld, "an entry that was there before, truncated since, is not overwritten";
        AppendSeventhShort, "every seventh append loses its last entry";
        RingOf1024, "the log is a ring of 1,024 entries that overwrites its oldest";
        SegmentFirstLost, "the first entry of each segment of 16 but the first is lost";
        BlankNotStored, "a blank entry at the end of a batch is not stored: nothing to store";
        AppendForgetsVote, "an append writes the metadata page back as it was before the last vote";
    }
    "entries" {
        EmptyIsBlank, "a command with empty contents comes back as a blank entry";
        PayloadAt64KiB, "a value's length is kept in 16 bits";
        PayloadAtMiB, "a value over a megabyte is cut there";
        PayloadUtf8, "a value is kept as text: other bytes are replaced";
        PayloadAtNul, "a value ends at its first NUL, as C strings do";
        PayloadTrimmed, "line ends at the end of a value are lost";
        TermIn8, "a term is kept in 8 bits";
        TermIn16, "a term is kept in 16 bits";
        TermIn32, "a term is kept in 32 bits";
        TermAsI64, "a term of 2^63 and more is clamped to what a signed number holds";
        TermAsFloat, "a term goes through a double, as in JSON read by a script";
        IndexIn16, "an entry's own index is kept in 16 bits";
        IndexIn32, "an entry's own index is kept in 32 bits";
        NodeLost, "a log id's node is lost: all entries are of node 0";
        NodeIsOwn, "a log id's node is the local one, whoever led";
        NodeIn8, "a log id's node is kept in 8 bits";
        NodeIn16, "a log id's node is kept in 16 bits";
        NodeIn32, "a log id's node is kept in 32 bits";
        NodeZeroIsOwn, "a leader that is node 0 is taken for unset, and the local node put in its place";
        TermNodeSwapped, "term and node of a log id change places";
        LogJointFlattened, "a joint membership in the log becomes one set of voters";
        LogJointFirstOnly, "of a joint membership in the log only the first set is kept";
        LogLearnersLost, "learners of a membership in the log are lost";
        LogHostLost, "addresses of a membership in the log are lost";
        LogZoneLost, "a membership in the log keeps the address, and no other field of a node";
    }
    "truncating" {
        TruncateExclusive, "truncate keeps the entry it was given";
        TruncateOne, "truncate removes the entry it was given alone";
        TruncateNothing, "truncate in the middle does nothing";
        TruncateFront, "truncate removes the front instead of the back";
        TruncateAbsentFails, "truncate beyond the last entry is an error";
        TruncateLastStale, "last_log_id stays at the truncated entry until the next append";
        TruncateLastTermStale, "last_log_id after truncate has the truncated entry's term";
        TruncateForgetsPurged, "truncate resets last_purged_log_id";
        TruncateAllForgetsLast, "truncating all that is left gives last_log_id None in spite of a purge";
        TruncateOneSegment, "truncate clears the segment it hits, and none after it";
        TruncateFirstKept, "truncate never removes the first entry";
        TruncateSameTermOnly, "truncate removes entries of the given id's term alone";
        TruncateInMemory, "truncate changes the memory alone: entries are back after a restart";
        TruncateUndoneByAppend, "what is truncated is back at a restart, beyond what was appended since";
        TruncateUnsynced, "truncate isn't durable though a later append is: the old suffix is back";
        TruncateLosesVote, "truncate rewrites the file and leaves the vote out";
        TruncateForward, "truncate deletes in forward order, one write each: a crash leaves a hole";
        TruncateDropsMarker, "truncate rewrites the metadata on disk without the purge marker";
    }
    "purging" {
        PurgeExclusive, "purge keeps the entry it was given";
        PurgeOne, "purge removes the entry it was given alone";
        PurgeTooFar, "purge removes one entry more";
        PurgeMarkerOnly, "purge moves the marker and deletes nothing";
        PurgeBeyondIgnored, "purge beyond the last entry does nothing";
        PurgeBeyondFails, "purge beyond the last entry is an error";
        PurgeBeyondClamped, "purge beyond the last entry purges to the last entry";
        PurgeAllForgetsLast, "purging everything gives last_log_id None";
        PurgeTermLost, "of the purged id only the index is kept";
        PurgeNodeLost, "of the purged id the node is lost";
        PurgeTermOfNext, "the purged id's term is taken from the first entry left";
        PurgeInMemory, "last_purged_log_id is not on disk: None after a restart";
        PurgeGuessed, "last_purged_log_id after a restart is guessed from the first entry left";
        PurgedComeBack, "purged entries are back after a restart: the deletion isn't on disk";
        PurgeLostByVote, "saving a vote writes the metadata page without the purge marker";
        PurgeBeforeMarker, "entries are deleted durably, the marker isn't: the log begins with a hole";
        PurgeZeroIsNone, "a purge of index 0 can't be told from none";
        PurgeWholeSegments, "purge rounds down to whole segments, its marker too";
        PurgeDropsSegment, "purge drops the whole segment it hits";
        PurgeMovesLast, "after a purge last_log_id is the purged id, whatever is left";
        PurgeOnEmptyFails, "purge of a log without an entry is an error";
        PurgeForward, "purge deletes one write each, before the marker: readers see a hole in front";
    }
    "log state" {
        LastFromApplied, "last_log_id is at least what the state machine has applied";
        FreshIsZero, "a fresh store reports index 0 as its last log id";
        FreshVoteInvented, "a fresh store reports a vote of term 1";
        LastZeroIsNone, "a log with entry 0 alone reports last_log_id None";
        LastByTermOfVote, "last_log_id has the vote's term and node";
        StateCached, "get_log_state is cached, and only append refreshes it";
        SharedVote, "all stores of the process share one vote";
        SecondStoreEmpty, "every second store that is opened keeps nothing on disk";
        LastIn32, "last_log_id's index is kept in 32 bits";
        LastByCount, "last_log_id's index is the number of entries, purged ones forgotten";
    }
    "vote" {
        VoteInMemory, "the vote is kept in memory alone";
        VoteUnsynced, "the vote is written and not synced";
        VoteWithAppend, "the vote reaches the disk with the next append";
        VoteCommittedLost, "whether the vote is committed is lost";
        VoteCommittedSticks, "once committed, every later vote reads as committed";
        VoteNodeLost, "whom the vote is for is lost";
        VoteNodeIn8, "the vote's node is kept in 8 bits";
        VoteTermIn32, "the vote's term is kept in 32 bits";
        VoteTermIn16, "the vote's term is kept in 16 bits";
        VoteOnlyCommitted, "only a vote that is committed is saved";
        VoteFirstWins, "the first vote is never replaced";
        VoteSameTermIgnored, "a second save in one term is ignored: also the one that commits it";
        VoteReadOnce, "read_vote takes the vote out";
        VoteTorn, "term and node are written apart, and the node isn't synced";
        VoteOldSlot, "of two slots written in turn, opening always reads the first";
        VoteLostAtSecondOpen, "opening moves the vote away: the restart after it finds none";
        VoteLostByPurge, "purge rewrites the metadata page without the vote";
        VoteBehind, "saving writes the vote before it: one behind after a restart";
        VoteZeroIsNone, "a vote for node 0 reads as none: 0 means nobody";
        VoteFileShared, "all stores keep their vote in one file, which is read when they are opened";
        VoteAlone, "a vote makes its own file durable, and not the appends in flight before it";
    }
    "committed" {
        CommittedTermLost, "of the committed id only the index is kept";
        CommittedNodeLost, "of the committed id the node is lost";
        CommittedFirstStays, "the first committed id saved is never replaced";
        CommittedOneBehind, "read_committed gives the one before the last";
        CommittedIsLast, "read_committed gives the last log id, saved or not";
        CommittedInvented, "read_committed gives index 0 before anything was saved";
        CommittedOldAfterOpen, "after a restart read_committed gives an older id: every second save is skipped";
        CommittedIn32, "the committed index is kept in 32 bits";
    }
    "callback" {
        CallbackNever, "the callback is kept and never called";
        CallbackDropped, "the callback is dropped";
        CallbackFails, "the callback reports an error though all is well";
        CallbackEarly, "the callback comes before the sync";
        CallbackBeforeWrite, "the callback comes before the write, which follows in the background";
        CallbackAtNextWrite, "the callback waits for the next write";
        CallbackNotForOne, "the callback of an append with one entry is dropped: nothing to batch";
        CallbackNotAfterTruncate, "the first callback after a truncate is lost with the old segment";
        CallbackLastSegmentOnly, "only the newest segment is synced when a batch crosses into it";
        CallbackFirstSegmentOnly, "only the segment where a batch begins is synced";
        CallbackHalfSynced, "every other record of a batch is synced when the callback comes";
        CallbackBlankUnsynced, "an append without a command is called back before it is synced";
        CallbackOfGroup, "a sync that is under way also calls back what was appended since it began";
        CallbackLastOfGroup, "of appends that await their callbacks together only the last is called back";
    }
    "applying" {
        ReplyNotForBlank, "entries without a command get no reply";
        ReplyReversed, "replies come in reverse order";
        ReplyExtra, "one reply too many";
        ReplyGrouped, "replies to commands come first, then the others";
        ReplyLastOnly, "every reply of a batch is the last one's";
        ReplyOfBefore, "a reply shows the state before the batch";
        AppliedNotByBlank, "a blank entry doesn't move last_applied";
        AppliedNotByMembership, "a membership entry doesn't move last_applied";
        AppliedFirstOfBatch, "last_applied is the batch's first";
        AppliedTermLost, "of last_applied only the index is kept";
        AppliedNodeLost, "of last_applied the node is lost";
        AppliedIn16, "last_applied's index is kept in 16 bits";
        ApplyReversed, "commands of a batch are applied in reverse order";
        ApplyAfter64Lost, "commands of a batch after the 64th are skipped";
        ApplyStopsAtMembership, "commands after a membership in one batch are skipped";
        ApplyOncePerKey, "of several commands for one key in a batch only the last counts";
        ApplyEmptyDeletes, "setting an empty value deletes the key";
        ApplyNotDelete, "deletes are ignored";
        ApplyRandom, "a counter goes up by what differs between instances";
        ApplyAppliedMissing, "what is applied is on disk, last_applied isn't: applied twice";
        ApplyDataMissing, "last_applied is on disk before the data is: lost";
        ApplyUnsynced, "what is applied is written and not synced";
        ApplyTorn, "last_applied is synced when apply returns, the data isn't";
        ApplyFails, "a command that finds nothing to delete fails the store";
        RefusalFails, "a command that the application refuses fails the store";
        RefusalStops, "the rest of a batch is skipped after a command that is refused";
        RefusalNotApplied, "a command that is refused doesn't move last_applied";
        RefusalChanges, "a command that is refused has changed the state before that was found";
        FreshApplied, "a fresh state machine has applied index 0";
        ApplyPanicsOnEmpty, "an empty key panics";
        ApplyHangsAt1000, "a batch of 1,000 fills a channel and hangs";
        ApplyBlankUnwritten, "a batch that leaves the data alone is not written, and neither is its last_applied";
        ApplyBlankUnsynced, "a batch that leaves the data alone is not synced";
    }
    "membership" {
        MembershipIgnored, "a membership moves last_applied and is not stored";
        FreshMembership, "a fresh state machine has the local node for its one member";
        MembershipIdMissing, "the stored membership has no log id";
        MembershipIdOfBatch, "the stored membership has the id of the batch's last entry";
        MembershipLastOnly, "a membership counts only as a batch's last entry";
        MembershipFirstOfBatch, "of two memberships in a batch the first is kept";
        MembershipJointFlattened, "a joint membership is stored as one set of voters";
        MembershipLearnersLost, "learners are not stored";
        MembershipHostLost, "addresses are not stored";
        MembershipFirstStays, "the first membership is never replaced";
        MembershipEqualIgnored, "a membership equal to the last one doesn't replace its log id";
        MembershipLostAtOpen, "the membership is lost at a restart";
        MembershipTermLost, "of the membership's log id the term is lost";
        MembershipZeroLost, "node 0 is left out of a membership: 0 means nobody";
        MembershipAtAppend, "a membership is taken from the log as it is appended, and stays when it is truncated";
    }
    "building a snapshot" {
        BuildMetaLate, "the meta is read when the data has been written";
        BuildMetaEarly, "the data is read after the meta, while applying goes on";
        BuildMembershipLate, "the meta's membership is read when the data has been written";
        BuildTorn, "the data is read key by key while applying goes on";
        BuildIdConstant, "every snapshot has the same id";
        BuildIdByTerm, "the id names the term alone: two snapshots share one";
        BuildNotCurrent, "a snapshot that was built is not the current one";
        BuildLateReplaces, "a build that ends after an install replaces its snapshot";
        BuildEmptyKeyLost, "an empty key is left out";
        BuildEmptyValueLost, "empty values are left out";
        BuildAtNul, "values end at their first NUL";
        BuildValueAt64KiB, "a value's length is kept in 16 bits";
        BuildCountersLost, "the table of counters is left out";
        BuildDataEmpty, "the data is empty";
        BuildMembershipMissing, "the meta has no membership";
        BuildMembershipOld, "the meta's membership is the one of the snapshot before";
        BuildLastMissing, "the meta has no last log id";
        BuildLastNodeLost, "the meta's last log id has lost its node";
        BuildFailsFresh, "building on a fresh state machine fails: nothing to do";
        BuildPanicsFresh, "building on a fresh state machine panics on None";
        BuildFailsAtZero, "building with entry 0 applied alone fails: 0 means nothing";
        BuildUnsynced, "a snapshot is written and not synced";
        BuildInMemory, "a snapshot is never written";
        BuildTakesState, "building moves the state out";
        BuildCached, "a second build gives the first one's data under a new meta";
        BuildDeletesOldFirst, "the old snapshot is deleted durably before the new one is synced";
        BuildSecondHangs, "a second builder waits for the first to be dropped";
        BuildKeepsLock, "a builder never gives its lock back: applying hangs from then on";
        BuildDeletedBack, "keys that were deleted are in the snapshot";
        BuildIdByData, "the id is a checksum of the data, which blanks and memberships leave alone";
        BuildIdCounted, "ids are counted, from 1 at each opening";
        BuildIdOwnCount, "ids are counted by each node for itself";
        BuildSameDataOld, "a build gives the current snapshot again where the data has not changed";
        BuildSameDataUnwritten, "a snapshot of data that has not changed is not written";
        BuildMembershipOfLog, "the meta's membership is the log's last one, applied or not";
        BuildLastOfLog, "the meta's last log id is the log's last one, applied or not";
        BuildAnswerEmpty, "what the builder answers has neither last log id nor membership; what it stores has";
        BuildLooksEarly, "a build looks for a newer snapshot when it begins, not when it ends";
        BuildLateOnDisk, "a build that ends after an install leaves memory alone and overwrites the file";
        BuildTailStale, "a snapshot is written over the file of a longer one, which is not cut";
        SnapshotFileShared, "all stores keep their snapshot in one file, which is read when they are opened";
    }
    "the current snapshot" {
        CurrentCursorShared, "all handles to the current snapshot share one cursor";
        CurrentOverwritten, "a handle shows a later snapshot's bytes: one file, overwritten";
        CurrentTaken, "get_current_snapshot takes the snapshot out";
        CurrentMetaLive, "the current snapshot's meta shows what is applied now";
        CurrentAtEnd, "the current snapshot's handle holds its last half alone";
    }
    "installing a snapshot" {
        InstallMerges, "installing keeps keys that the snapshot doesn't have";
        InstallKeepsCounters, "installing leaves the table of counters as it was";
        InstallKeepsApplied, "installing doesn't move last_applied";
        InstallKeepsMembership, "installing doesn't replace the membership";
        InstallNotCurrent, "the installed snapshot is not the current one";
        InstallNotCurrentIfAny, "the installed snapshot is not saved where there is one already";
        InstallIdRewritten, "the installed snapshot gets an id of its own";
        InstallFromCursor, "the handle is read from where it stands";
        InstallTruncated, "a snapshot that ends early is installed as far as it goes";
        InstallDamaged, "the checksum isn't looked at";
        InstallEmpty, "no bytes at all are an empty state";
        InstallContradicting, "the data's own last log id isn't compared with the meta's";
        InstallFailureClears, "the state is cleared before the snapshot is found to be bad";
        InstallFailureCurrent, "a bad snapshot becomes the current one before it is refused";
        InstallFailureOnDisk, "a bad snapshot is in its file before it is refused";
        InstallSecondIgnored, "only the first install takes effect";
        InstallHandleNotBlank, "begin_receiving_snapshot gives the last one's file again";
        InstallHandleAppends, "the handle given for receiving ignores where it is put";
        InstallHandleBlocks, "the handle given for receiving keeps a last block that isn't full";
        InstallInMemory, "an installed snapshot is never written";
        InstallUnsynced, "an installed snapshot is written and not synced";
        InstallTornSnapshot, "the snapshot is durable when install returns, the state isn't";
        InstallClearsFirst, "the old state is cleared on disk in a write of its own";
        InstallHangsWithBuilder, "installing while a builder exists deadlocks";
        InstallSameDataIgnored, "a snapshot whose data is what the state holds is not installed: nothing to do";
        InstallTailStale, "a received snapshot is kept in the file of a longer one, which is not cut";
        ReceiveFileLeft, "the first receiving after an opening writes on in the file that was left";
    }
    "restart" {
        OpenNotRebuilt, "last_applied is the snapshot's, the data is empty";
        OpenStateEmpty, "the snapshot is there, the state machine starts from nothing";
        OpenSnapshotForgotten, "the state is rebuilt, the snapshot itself forgotten";
        OpenAppliedAhead, "last_applied is what was applied, the data is the snapshot's";
        OpenLastLost, "opening takes the log's last record for a torn one";
        OpenZeroLost, "entry 0 is not found again";
        OpenStopsAt1000, "opening finds the first 1,000 entries";
        OpenByPosition, "entries are numbered from 0 at opening, whatever was purged";
        OpenFailsWithoutEntries, "opening a log that lost all its entries fails";
        OpenFailsAfterPurge, "opening wants entry 0";
        OpenFailsSnapshotAhead, "opening fails if the snapshot is ahead of the log";
        OpenPanicsSnapshotAhead, "opening panics if the snapshot is ahead of the log";
        OpenThirdEmpty, "the third opening finds nothing";
        OpenReplaysCommitted, "opening applies the committed log again on top of the state";
        OpenBlankLost, "blank entries at the log's end are taken for padding when it is opened";
        OpenIndexIn32, "the index of a record is kept in 32 bits on disk";
        OpenEmptyValueLost, "empty values are lost when the state is read back";
        OpenRepliesAnew, "a counter's reply counts from the opening on, the counter itself is right";
        OpenVoteZeroLost, "a vote for node 0 is not found when the store is opened";
        OpenAdoptsUnsynced, "opening takes over what is written and makes none of it durable";
    }
    "concurrency" {
        RaceRead, "a read happens in two halves while truncate and append go on";
        RaceReadByPosition, "a read finds its place, then waits, while purge moves it";
        RaceReadPanics, "a read that is overtaken by purge panics";
        RaceTruncate, "truncate deletes in forward order in the sight of readers";
        RaceAppend, "a batch is stored last entry first in the sight of readers";
        DroppedAppendHalf, "an append that is dropped leaves the end of the log claimed, and not stored";
        RaceInstall, "install replaces values, then waits, then the rest";
    }
    "a disk that refuses" {
        RefusedAppend, "an append that can't be written is reported as flushed";
        RefusedAppendHangs, "an append that can't be written is retried for ever";
        RefusedVote, "a vote that can't be written is reported as saved";
        RefusedTruncate, "a truncate that can't be written is reported as done";
        RefusedPurge, "a purge that can't be written is reported as done";
        RefusedApply, "what can't be written is reported as applied";
        RefusedBuild, "a snapshot that can't be written is reported as built";
        RefusedInstall, "a snapshot that can't be written is reported as installed";
        RefusedPanics, "an append that can't be written panics";
        RefusedCallbackLost, "an append that can't be written returns Ok, its callback is never called";
        RefusedBricks, "after a failed write the store can't be opened again";
        RefusedHalf, "an append that fails leaves its last entry on the disk, without those before it";
    }
    "a damaged disk" {
        DamagedSkipped, "a damaged record is skipped";
        DamagedEnds, "a damaged record is taken for the log's end";
        DamagedServed, "a damaged record is served: no checksum";
        DamagedBlank, "a damaged record is served as a blank entry";
        DamagedPanics, "opening a log with a damaged record panics";
        DamagedHangs, "opening a log with a damaged record looks for the next one for ever";
        DamagedAllLost, "a log with a damaged record is opened as an empty one";
        DamagedSnapshotServed, "a damaged snapshot is served";
        DamagedSnapshotEmpty, "a damaged snapshot is opened as an empty state with its last_applied";
        DamagedSnapshotNone, "a snapshot that does not decode is taken for none";
        DamagedVoteNone, "a vote that does not decode is taken for none";
        DamagedVoteServed, "a damaged vote is served: no checksum";
        DamagedPurgedNone, "a purge marker that does not decode is taken for none";
        DamagedCommittedNone, "a committed id that does not decode is taken for none";
        DamagedCommittedServed, "a damaged committed id is served: no checksum";
        DamagedAppliedNone, "an applied state that does not decode is taken for a fresh one";
        DamagedReadEnds, "a read ends before a damaged record, as if the log did";
        DamagedLimitedEnds, "a limited read ends before a damaged record, and may be empty";
    }
    "oddities" {
        HangsAtSecondReader, "get_log_reader hangs while another reader exists";
        PanicsOnLearner, "a membership with learners panics";
        PanicsOnTermJump, "a term that jumps by more than a million panics";
        PanicsAtHighIndex, "an index beyond 2^32 panics in a cast";
        PanicsOnClose, "dropping the log panics when it holds more than 10 entries";
        HangsOnBigEntry, "an entry over a megabyte hangs";
        FailsWithoutCommitted, "read_committed fails on a fresh store";
        FailsOnFreshState, "get_log_state fails on a fresh store";
        FailsOnFreshVote, "read_vote fails on a fresh store";
    }
}
