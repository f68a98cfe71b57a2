//! What is decoded of the clients' protocol, and how far it has to be understood.

use super::Understood;
use crate::proto::client as proto;

/// Nothing in what a client proposes may be unknown: to go on without it would be to do something else than
/// it asked for.
#[cfg(feature = "grpc")]
impl Understood for proto::ProposeRequest {
    fn check(bytes: &[u8]) -> Result<(), tonic::Status> {
        use crate::codec::shape;
        shape::check(&shape::PROPOSE_REQUEST, bytes).map_err(super::invalid)
    }
}

/// One of many in a message, by itself.
#[cfg(feature = "grpc")]
pub(crate) fn read_request(
    bytes: bytes::Bytes,
) -> Result<proto::Request, crate::codec::DecodeError> {
    use crate::codec::{parse, shape};
    parse(&shape::REQUEST, bytes)
}

impl Understood for proto::ProposeResponse {}
impl Understood for proto::ReadRequest {}
impl Understood for proto::ReadResponse {}
impl Understood for proto::GetManyRequest {}
impl Understood for proto::GetManyResponse {}
impl Understood for proto::ScanRequest {}
impl Understood for proto::ScanResponse {}
// Each request in it is understood by itself.
impl Understood for proto::Requests {}
impl Understood for proto::Answers {}
impl Understood for proto::StatusRequest {}
impl Understood for proto::StatusResponse {}
impl Understood for proto::AddMemberRequest {}
impl Understood for proto::RemoveMemberRequest {}
impl Understood for proto::ChangeResponse {}
impl Understood for proto::BackupRequest {}
impl Understood for proto::BackupPart {}
impl Understood for proto::TransferLeadershipRequest {}
impl Understood for proto::TransferLeadershipResponse {}
impl Understood for proto::SnapshotRequest {}
impl Understood for proto::SnapshotResponse {}
impl Understood for proto::PartitionsRequest {}
impl Understood for proto::PartitionsResponse {}
impl Understood for proto::HealthRequest {}
impl Understood for proto::HealthResponse {}
