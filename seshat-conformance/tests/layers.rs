//! The order of the kit's rooms, as `lib.rs` draws it: no circle, and one seam.

#[path = "../../seshat-core/tests/common/house.rs"]
mod house;

use std::sync::LazyLock;

use self::house::House;

/// Where openraft's generics may be: what an author implements, and what is made of it.
const BELOW: [&str; 5] = ["lib.rs", "backend", "reference", "embedded", "driver/openraft09"];
/// Where back ends come in.
const DOORS: [&str; 4] = ["runner.rs", "record.rs", "cli.rs", "harness.rs"];

static HOUSE: LazyLock<House> = LazyLock::new(|| House::of(env!("CARGO_MANIFEST_DIR")));

#[test]
fn every_room_is_drawn() {
    HOUSE.every_room_is_drawn();
}

#[test]
fn each_room_uses_only_those_before_it() {
    HOUSE.each_room_uses_only_those_before_it();
}

#[test]
fn no_room_has_a_circle() {
    HOUSE.no_room_has_a_circle();
}

#[test]
fn nothing_above_the_seam_knows_openraft() {
    HOUSE.only(&BELOW, &["openraft::", "use openraft;", "seshat_core::network"]);
}

#[test]
fn nothing_above_the_seam_is_generic_over_back_ends() {
    let doors = [&BELOW[..], &DOORS].concat();
    HOUSE.only(
        &doors,
        &["Backend>", ": Backend", "impl Backend", "crate::Backend", "backend::Backend"],
    );
}
