//! The order of the kit's rooms, as `lib.rs` draws it: no circle, and one seam.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Where openraft's generics may be: what an author implements, and what is made of it.
const BELOW: [&str; 5] = ["lib.rs", "backend", "reference", "embedded", "driver/openraft09"];
/// Where back ends come in.
const DOORS: [&str; 4] = ["runner.rs", "record.rs", "cli.rs", "harness.rs"];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every file's path below `src`, and its code: without comments, and without tests.
fn files() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut folders = vec![source()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs")
            {
                let name =
                    path.strip_prefix(source()).unwrap().to_str().unwrap().replace('\\', "/");
                files.insert(name, code(&fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(files.len() > 80, "{}", files.len());
    files
}

fn code(text: &str) -> String {
    // Tests stand at the end of a file.
    let text = text.split("\n#[cfg(test)]").next().unwrap();
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.map(|line| outside_quotes(line) + "\n").collect()
}

fn outside_quotes(line: &str) -> String {
    line.split('"').step_by(2).collect::<Vec<_>>().join(" ")
}

/// The rooms in the order of the drawing.
fn drawn() -> Vec<String> {
    let text = fs::read_to_string(source().join("lib.rs")).unwrap();
    let drawing = text.split("```text\n").nth(1).expect("a drawing").split("```").next().unwrap();
    let rooms = drawing.lines().flat_map(|line| {
        let line = line.trim_start_matches("//! ").split("  ").next().unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    });
    rooms.filter(|room| room != "//!").collect()
}

fn room(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

/// The rooms that a file uses: `crate::room`, also in braces.
fn used(code: &str) -> Vec<String> {
    let mut used = Vec::new();
    for part in code.split("crate::").skip(1) {
        let names = match part.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap(),
            None => part.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap(),
        };
        let names = names.split(',').map(|name| name.trim().split("::").next().unwrap());
        used.extend(names.filter(|name| !name.is_empty()).map(str::to_owned));
    }
    used
}

fn is_one_of(file: &str, rooms: &[&str]) -> bool {
    rooms.iter().any(|room| {
        file == *room || file.starts_with(&format!("{room}/")) || file == format!("{room}.rs")
    })
}

#[test]
fn every_room_is_drawn() {
    let mut drawn = drawn();
    let mut rooms: Vec<String> = files().keys().map(|file| room(file).to_owned()).collect();
    rooms.retain(|room| !["lib", "main"].contains(&&room[..]));
    rooms.dedup();
    rooms.sort();
    rooms.dedup();
    drawn.sort();
    assert_eq!(drawn, rooms);
}

#[test]
fn each_room_uses_only_those_before_it() {
    let drawn = drawn();
    let place = |room: &str| drawn.iter().position(|drawn| drawn == room);
    for (file, code) in files() {
        let Some(here) = place(room(&file)) else { continue };
        for used in used(&code) {
            let Some(there) = place(&used) else { continue };
            assert!(there <= here, "{file} uses {used}, which stands after it");
        }
    }
}

#[test]
fn nothing_above_the_seam_knows_openraft() {
    for (file, code) in files().into_iter().filter(|(file, _)| !is_one_of(file, &BELOW)) {
        for word in ["openraft::", "use openraft;", "seshat_core::network"] {
            assert!(!code.contains(word), "{file} names {word}");
        }
    }
}

#[test]
fn nothing_above_the_seam_is_generic_over_back_ends() {
    let doors = |file: &str| is_one_of(file, &BELOW) || DOORS.contains(&file);
    for (file, code) in files().into_iter().filter(|(file, _)| !doors(file)) {
        for word in ["Backend>", ": Backend", "impl Backend", "crate::Backend", "backend::Backend"]
        {
            assert!(!code.contains(word), "{file} names {word}");
        }
    }
}
