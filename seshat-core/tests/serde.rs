//! Commands and replies survive openraft's optional feature `serde`, and what isn't one is refused.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use rstest::rstest;
use seshat_core::operation::{Batch, EntryResponse, Limits, Operation, Response};

#[test]
fn a_batch_comes_back() {
    let limits = Limits::default();
    let set = Operation::set("key", vec![0, 0xff], &limits).unwrap();
    let del = Operation::del(["key", "other"], &limits).unwrap();
    let batch = Batch::new([set, del]);
    let json = serde_json::to_string(&batch).unwrap();
    assert_eq!(serde_json::from_str::<Batch>(&json).unwrap(), batch);
}

#[rstest]
#[case(EntryResponse::Blank)]
#[case(EntryResponse::Membership)]
#[case(EntryResponse::Batch(vec![
    Response::Set { previous: None },
    Response::Set { previous: Some(Bytes::from_static(b"value")) },
    Response::NotSet { previous: None },
    Response::NotSet { previous: Some(Bytes::from_static(b"value")) },
    Response::Del { deleted: 2 },
]))]
fn a_reply_comes_back(#[case] reply: EntryResponse) {
    let json = serde_json::to_string(&reply).unwrap();
    assert_eq!(serde_json::from_str::<EntryResponse>(&json).unwrap(), reply);
}

#[test]
fn what_is_no_batch_is_refused() {
    let error = serde_json::from_str::<Batch>("[255]").unwrap_err();
    assert!(error.to_string().contains("not a protobuf message"), "{error}");
}
