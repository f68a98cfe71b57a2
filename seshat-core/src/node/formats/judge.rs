//! [`judge`]: what follows from what every member says of formats.

use std::collections::BTreeMap;

use crate::codec::FormatsResponse;
use crate::error::HeldBack;
use crate::types::NodeId;

/// What each member says; `None` of those that don't answer.
pub(super) type Said = BTreeMap<NodeId, Option<FormatsResponse>>;

/// The format to which a cluster that writes `written` can be raised: the newest that all members
/// read and agree to.
///
/// # Errors
/// What keeps it where it is: a member that reads or agrees to no more, else one that is silent.
pub(super) fn judge(written: u32, said: &Said) -> Result<u32, HeldBack> {
    let silent = said.iter().find(|(_, said)| said.is_none());
    let spoken = said.iter().filter_map(|(id, said)| Some((*id, (*said)?)));
    let least = spoken.min_by_key(|(_, said)| (said.reads.min(said.agrees), said.reads));
    match (least, silent) {
        (Some((node_id, FormatsResponse { reads, .. })), _) if reads <= written => {
            Err(HeldBack::Reads { node_id, format: reads })
        }
        (Some((node_id, FormatsResponse { agrees, .. })), _) if agrees <= written => {
            Err(HeldBack::Holds { node_id, format: agrees })
        }
        (_, Some((node_id, _))) => Err(HeldBack::Silent { node_id: *node_id }),
        (Some((_, FormatsResponse { reads, agrees })), None) => Ok(reads.min(agrees)),
        // Nobody is a member: there is nobody to write anything.
        (None, None) => Ok(written),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_map;
    use proptest::option;
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const fn says(reads: u32, agrees: u32) -> Option<FormatsResponse> {
        Some(FormatsResponse { reads, agrees })
    }

    #[rstest]
    #[case::all_read_it(1, &[says(2, 2), says(2, 2), says(2, 2)], Ok(2))]
    #[case::more_than_one_step(1, &[says(4, 4), says(3, 3), says(5, 5)], Ok(3))]
    #[case::alone(1, &[says(2, 2)], Ok(2))]
    #[case::one_is_old(1, &[says(2, 2), says(1, 1), says(2, 2)],
        Err(HeldBack::Reads { node_id: 2, format: 1 }))]
    #[case::one_is_silent(1, &[says(2, 2), says(2, 2), None],
        Err(HeldBack::Silent { node_id: 3 }))]
    #[case::one_is_old_and_one_silent(1, &[says(2, 2), None, says(1, 1)],
        Err(HeldBack::Reads { node_id: 3, format: 1 }))]
    #[case::one_holds(1, &[says(2, 2), says(2, 1), says(2, 2)],
        Err(HeldBack::Holds { node_id: 2, format: 1 }))]
    #[case::one_holds_above(1, &[says(3, 3), says(3, 2), says(3, 3)], Ok(2))]
    #[case::one_fell_behind(2, &[says(3, 3), says(1, 1)],
        Err(HeldBack::Reads { node_id: 2, format: 1 }))]
    #[case::a_hold_too_late(2, &[says(3, 3), says(3, 1)],
        Err(HeldBack::Holds { node_id: 2, format: 1 }))]
    fn what_follows(
        #[case] written: u32,
        #[case] said: &[Option<FormatsResponse>],
        #[case] expected: Result<u32, HeldBack>,
    ) {
        let said = (1..).zip(said.iter().copied()).collect();
        assert_eq!(judge(written, &said), expected);
    }

    fn anything() -> impl Strategy<Value = Option<FormatsResponse>> {
        option::weighted(0.9, (1..5_u32, 1..5_u32)).prop_map(|said| {
            said.map(|(reads, agrees)| FormatsResponse { reads, agrees: agrees.min(reads) })
        })
    }

    proptest! {
        /// Whatever is said: it rises to what everybody reads and agrees to, and no further, or
        /// somebody is named who doesn't.
        #[test]
        fn it_rises_as_far_as_everybody_goes(
            written in 1..4_u32,
            said in btree_map(1..6_u64, anything(), 1..5),
        ) {
            let all = |format| {
                said.values().all(|said| said.is_some_and(|said| said.agrees >= format))
            };
            match judge(written, &said) {
                Ok(format) => prop_assert!(format > written && all(format) && !all(format + 1)),
                Err(held) => {
                    prop_assert!(!all(written + 1));
                    let guilty = match held {
                        HeldBack::Reads { node_id, format } => {
                            said[&node_id].is_some_and(|said| said.reads == format)
                        }
                        HeldBack::Holds { node_id, format } => {
                            said[&node_id].is_some_and(|said| said.agrees == format && said.reads > written)
                        }
                        HeldBack::Silent { node_id } => said[&node_id].is_none(),
                    };
                    prop_assert!(guilty, "{held}");
                }
            }
        }
    }
}
