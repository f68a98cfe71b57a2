//! [`SnapshotData`]: reads, writes and seeks as a file would, but leaves no gaps.

use std::io::{Cursor, ErrorKind, SeekFrom};

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use rstest::rstest;
use seshat_core::snapshot::SnapshotData;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

async fn filled(bytes: &[u8]) -> SnapshotData {
    let mut data = SnapshotData::new();
    data.write_all(bytes).await.unwrap();
    data
}

async fn rest(data: &mut SnapshotData) -> Vec<u8> {
    let mut rest = vec![];
    data.read_to_end(&mut rest).await.unwrap();
    rest
}

#[tokio::test]
async fn new_data_is_empty() {
    let mut data = SnapshotData::new();
    assert!(data.is_empty());
    assert_eq!((data.len(), rest(&mut data).await), (0, vec![]));
    assert_eq!(data.into_bytes().unwrap(), Bytes::new());
}

#[tokio::test]
async fn chunks_follow_each_other() {
    let mut data = SnapshotData::new();
    for chunk in [b"abc".as_slice(), b"", b"d", b"efgh"] {
        data.write_all(chunk).await.unwrap();
    }
    data.flush().await.unwrap();
    data.shutdown().await.unwrap();
    assert_eq!(data.len(), 8);
    assert_eq!(data.into_bytes().unwrap(), "abcdefgh");
}

#[tokio::test]
async fn a_read_goes_on_where_the_one_before_ended() {
    let mut data = SnapshotData::from(Bytes::from_static(b"abcdefgh"));
    let mut three = [0; 3];
    data.read_exact(&mut three).await.unwrap();
    assert_eq!(&three, b"abc");
    assert_eq!(rest(&mut data).await, b"defgh");
    assert_eq!(rest(&mut data).await, b"", "the end is the end");
    assert_eq!(data.into_bytes().unwrap(), "abcdefgh", "the cursor has no part in it");
}

#[tokio::test]
async fn what_was_written_reads_back_from_the_start() {
    let mut data = filled(b"abcd").await;
    assert_eq!(rest(&mut data).await, b"", "a write leaves the cursor behind it");
    data.rewind().await.unwrap();
    assert_eq!(rest(&mut data).await, b"abcd");
}

#[rstest]
#[case::start(SeekFrom::Start(2), 2, "cdef")]
#[case::the_end(SeekFrom::Start(6), 6, "")]
#[case::beyond_the_end(SeekFrom::Start(7), 7, "")]
#[case::far_beyond_the_end(SeekFrom::Start(u64::MAX), u64::MAX, "")]
#[case::before_the_end(SeekFrom::End(-1), 5, "f")]
#[case::all_the_way_back(SeekFrom::End(-6), 0, "abcdef")]
#[case::after_the_end(SeekFrom::End(3), 9, "")]
#[case::forward(SeekFrom::Current(1), 4, "ef")]
#[case::nowhere(SeekFrom::Current(0), 3, "def")]
#[case::back(SeekFrom::Current(-3), 0, "abcdef")]
#[tokio::test]
async fn a_seek_says_where_and_reads_go_on_there(
    #[case] to: SeekFrom,
    #[case] position: u64,
    #[case] expected: &str,
    #[values(true, false)] finished: bool,
) {
    let mut data = match finished {
        true => SnapshotData::from(Bytes::from_static(b"abcdef")),
        false => filled(b"abcdef").await,
    };
    data.seek(SeekFrom::Start(3)).await.unwrap();
    assert_eq!(data.seek(to).await.unwrap(), position);
    assert_eq!(rest(&mut data).await, expected.as_bytes());
    assert_eq!(data.len(), 6);
}

#[rstest]
#[case::before_the_start(3, SeekFrom::Current(-4))]
#[case::from_the_end(3, SeekFrom::End(-7))]
#[case::least(3, SeekFrom::End(i64::MIN))]
#[case::beyond_2_to_64(u64::MAX, SeekFrom::Current(1))]
#[tokio::test]
async fn a_seek_to_nowhere_is_refused_and_moves_nothing(#[case] from: u64, #[case] to: SeekFrom) {
    let mut data = filled(b"abcdef").await;
    data.seek(SeekFrom::Start(from)).await.unwrap();
    assert_eq!(data.seek(to).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(data.stream_position().await.unwrap(), from);
}

#[rstest]
#[case::in_the_middle(2, "XY", "abXYef")]
#[case::across_the_end(4, "XYZ", "abcdXYZ")]
#[case::at_the_end(6, "XY", "abcdefXY")]
#[case::all_of_it(0, "XXXXXXXX", "XXXXXXXX")]
#[case::nothing(3, "", "abcdef")]
#[tokio::test]
async fn a_write_replaces_what_it_covers(
    #[case] at: u64,
    #[case] chunk: &str,
    #[case] expected: &str,
) {
    let mut data = filled(b"abcdef").await;
    data.seek(SeekFrom::Start(at)).await.unwrap();
    data.write_all(chunk.as_bytes()).await.unwrap();
    assert_eq!(data.stream_position().await.unwrap(), at + chunk.len() as u64);
    assert_eq!(data.into_bytes().unwrap(), expected);
}

#[rstest]
#[case::by_one(7)]
#[case::by_far(1 << 40)]
#[case::at_most(u64::MAX)]
#[tokio::test]
async fn a_write_beyond_the_end_is_refused_and_changes_nothing(
    #[case] at: u64,
    #[values(true, false)] finished: bool,
) {
    let mut data = match finished {
        true => SnapshotData::from(Bytes::from_static(b"abcdef")),
        false => filled(b"abcdef").await,
    };
    data.seek(SeekFrom::Start(at)).await.unwrap();
    let refused = data.write_all(b"X").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    assert_eq!(data.stream_position().await.unwrap(), at);
    assert_eq!(data.into_bytes().unwrap(), "abcdef");
}

#[tokio::test]
async fn handles_on_the_same_bytes_have_cursors_of_their_own() {
    let bytes = Bytes::from(b"abcdef".to_vec());
    let (mut one, mut other) = (SnapshotData::from(bytes.clone()), SnapshotData::from(bytes));
    one.seek(SeekFrom::Start(4)).await.unwrap();
    assert_eq!(rest(&mut other).await, b"abcdef");
    assert_eq!(rest(&mut one).await, b"ef");
}

#[tokio::test]
async fn a_write_to_one_handle_does_not_change_another() {
    let bytes = Bytes::from(b"abcdef".to_vec());
    let mut one = SnapshotData::from(bytes.clone());
    let mut other = SnapshotData::from(bytes.clone());
    one.seek(SeekFrom::Start(1)).await.unwrap();
    one.write_all(b"XY").await.unwrap();
    assert_eq!(rest(&mut other).await, b"abcdef");
    assert_eq!(bytes, "abcdef");
    assert_eq!(one.into_bytes().unwrap(), "aXYdef");
}

#[tokio::test]
async fn reading_a_finished_snapshot_copies_nothing() {
    let bytes = Bytes::from(b"abcdef".to_vec());
    let mut data = SnapshotData::from(bytes.clone());
    assert_eq!(rest(&mut data).await, b"abcdef");
    assert_eq!(data.into_bytes().unwrap().as_ptr(), bytes.as_ptr());
}

#[derive(Debug, Clone)]
enum Step {
    Read(usize),
    Write(Vec<u8>),
    Seek(SeekFrom),
}

fn step() -> impl Strategy<Value = Step> {
    let seek = prop_oneof![
        (0..40_u64).prop_map(SeekFrom::Start),
        (-40..10_i64).prop_map(SeekFrom::End),
        (-20..20_i64).prop_map(SeekFrom::Current),
    ];
    prop_oneof![
        (0..20_usize).prop_map(Step::Read),
        vec(any::<u8>(), 0..20).prop_map(Step::Write),
        seek.prop_map(Step::Seek),
    ]
}

proptest! {
    /// The one difference from the standard library's cursor: a gap is refused.
    #[test]
    fn any_script_goes_as_with_a_cursor(start in vec(any::<u8>(), 0..30), script in vec(step(), 0..30)) {
        let mut data = SnapshotData::from(Bytes::from(start.clone()));
        let mut model = Cursor::new(start);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for step in script {
                match step {
                    Step::Read(len) => {
                        let (mut got, mut expected) = (vec![0; len], vec![0; len]);
                        let read = data.read(&mut got).await.unwrap();
                        prop_assert_eq!(read, model.read(&mut expected).await.unwrap());
                        prop_assert_eq!(got, expected);
                    }
                    Step::Write(chunk) => {
                        let gap = model.position() > model.get_ref().len() as u64;
                        let wrote = data.write(&chunk).await;
                        prop_assert_eq!(wrote.is_err(), gap);
                        if !gap {
                            prop_assert_eq!(wrote.unwrap(), model.write(&chunk).await.unwrap());
                        }
                    }
                    Step::Seek(to) => {
                        let (got, expected) = (data.seek(to).await.ok(), model.seek(to).await.ok());
                        prop_assert_eq!(got, expected);
                    }
                }
                prop_assert_eq!(data.len(), model.get_ref().len());
            }
            Ok(())
        })?;
        prop_assert_eq!(data.into_bytes().unwrap(), model.into_inner());
    }
}
