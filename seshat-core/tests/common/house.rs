//! A crate as a house: its rooms in the order in which `lib.rs` draws them, and what each file uses.
//!
//! A room is a module, or a part of one that stands elsewhere in the order than the rest: `machine`,
//! `machine/store`. Read from the source: `use` and every other path that begins at the crate, at the
//! file itself or above it, to the file that has what it names, whoever passes that on. Tests,
//! comments and strings don't count.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of a test"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The files of a crate.
pub(crate) struct House {
    /// By the file's path below `src`.
    code: BTreeMap<String, String>,
    /// From the bottom up.
    rooms: Vec<String>,
    uses: Vec<Use>,
}

/// A path, from the crate's root: `machine/store/MachineStore`.
struct Named {
    path: String,
    /// By what it is known in its file.
    alias: String,
    /// By `use`, of which `pub use` is another kind.
    import: bool,
    export: bool,
}

/// A file that names something of another.
struct Use {
    file: String,
    other: String,
    path: String,
}

impl House {
    /// Of the crate whose manifest is in `root`.
    pub(crate) fn of(root: &str) -> Self {
        let src = Path::new(root).join("src");
        let rooms = drawn(&fs::read_to_string(src.join("lib.rs")).expect("a crate has a lib.rs"));
        let code = read(&src);
        let uses = Modules::of(&code).uses();
        Self { code, rooms, uses }
    }

    /// Each module has its place in the drawing, and what is drawn is there.
    pub(crate) fn every_room_is_drawn(&self) {
        for file in self.code.keys().filter(|file| !["lib.rs", "main.rs"].contains(&&file[..])) {
            assert!(
                self.room(file).is_some(),
                "src/{file}: the module isn't drawn; draw it in lib.rs, after all that it uses"
            );
        }
        for room in &self.rooms {
            let is_there = self.code.contains_key(&format!("{room}.rs"));
            assert!(is_there, "lib.rs draws {room}, and there is no src/{room}.rs; take it out");
        }
    }

    /// No room uses one that is drawn after it. A module may pass on what a part of it has that is drawn
    /// later.
    pub(crate) fn each_room_uses_only_those_before_it(&self) {
        let place = |room| self.rooms.iter().position(|drawn| drawn == room);
        for Use { file, other, path } in &self.uses {
            let (Some(here), Some(there)) = (self.room(file), self.room(other)) else { continue };
            assert!(
                place(there) <= place(here),
                "src/{file} uses {path}, which is in src/{other}, and lib.rs draws {there} after {here}; \
                 move it to where both may know it, or, if {there} uses nothing of {here}, draw {there} \
                 before {here}"
            );
        }
    }

    /// In no room do files, or folders with what is in them, use each other in a circle.
    pub(crate) fn no_room_has_a_circle(&self) {
        for room in &self.rooms {
            let part = |file: &str| -> Option<String> {
                (self.room(file) == Some(room)).then_some(())?;
                let below = module(file).strip_prefix(room.as_str())?.strip_prefix('/')?;
                below.split('/').next().map(str::to_owned)
            };
            let parts = self.uses.iter().map(|it| (part(&it.file), part(&it.other), it));
            let mut uses: Vec<_> = parts.collect();
            uses.retain(|(part, other, _)| part.is_some() && other.is_some() && part != other);
            // Whoever uses nothing of what is left, or isn't used by it, is in no circle.
            loop {
                let before = uses.len();
                let users: Vec<_> = uses.iter().map(|(part, ..)| part.clone()).collect();
                uses.retain(|(_, other, _)| users.contains(other));
                let used: Vec<_> = uses.iter().map(|(_, other, _)| other.clone()).collect();
                uses.retain(|(part, ..)| used.contains(part));
                if uses.len() == before {
                    break;
                }
            }
            let lines = uses.iter().map(|(.., it)| format!("src/{} uses {}\n", it.file, it.path));
            let circle: String = lines.collect();
            assert!(
                circle.is_empty(),
                "{room} has a circle; move what one of these uses to where both may know it:\n{circle}"
            );
        }
    }

    /// Only files of these rooms or folders, or these files, have one of the words in them.
    pub(crate) fn only(&self, who: &[&str], words: &[&str]) {
        for (file, code) in &self.code {
            let may = who.iter().any(|who| {
                file == who || module(file) == *who || file.starts_with(&format!("{who}/"))
            });
            for word in words.iter().filter(|_| !may) {
                assert!(
                    !code.contains(word),
                    "src/{file} names {word}, which is for {who:?}; leave that to one of these, or, if \
                     this is such a face, say so in tests/layers.rs"
                );
            }
        }
        for who in who {
            let is_there = self.code.keys().any(|file| file == who || module(file) == *who);
            assert!(is_there, "tests/layers.rs lets src/{who} name {words:?}, and there is none");
        }
    }

    fn room(&self, file: &str) -> Option<&str> {
        let module = module(file);
        let is_in = |room: &&String| {
            module
                .strip_prefix(room.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.rooms.iter().filter(is_in).max_by_key(|room| room.len()).map(String::as_str)
    }
}

/// What each file names, to be looked up.
struct Modules<'a> {
    code: &'a BTreeMap<String, String>,
    named: Vec<(&'a str, Named)>,
    /// What a module has by `use`, and where it has it from.
    passed_on: BTreeMap<String, String>,
}

impl<'a> Modules<'a> {
    fn of(code: &'a BTreeMap<String, String>) -> Self {
        let all = code.iter().flat_map(|(file, text)| {
            named(text, module(file), code).into_iter().map(|named| (file.as_str(), named))
        });
        let named: Vec<_> = all.collect();
        let imports = named.iter().filter(|(_, named)| named.import);
        let passed_on = imports.map(|(file, it)| (join(module(file), &it.alias), it.path.clone()));
        Self { code, passed_on: passed_on.collect(), named }
    }

    fn uses(&self) -> Vec<Use> {
        let uses = self.named.iter().filter_map(|(file, named)| {
            let other = self.file_of(&named.path)?;
            let passes_on = named.export && other.starts_with(&format!("{}/", module(file)));
            let path = named.path.replace('/', "::");
            let is_use = other != *file && !passes_on;
            is_use.then(|| Use { file: (*file).to_owned(), other: other.to_owned(), path })
        });
        uses.collect()
    }

    /// The file that has what the path names.
    fn file_of(&self, path: &str) -> Option<&'a str> {
        let mut path = path.to_owned();
        // What is passed on may be passed on again.
        for _ in 0..8 {
            let file = self.longest_file(&path)?;
            let rest = path[module(file).len()..].trim_start_matches('/');
            let (name, behind) = rest.split_once('/').unwrap_or((rest, ""));
            let Some(further) = self.passed_on.get(&join(module(file), name)) else {
                return Some(file);
            };
            path = join(further, behind);
        }
        panic!("{path} is passed on in a circle");
    }

    /// The file of the longest module that the path begins with.
    fn longest_file(&self, path: &str) -> Option<&'a str> {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let names = ends.rev().map(|end| format!("{}.rs", &path[..end]));
        let mut files = names.chain(["lib.rs".to_owned()]);
        files.find_map(|file| self.code.get_key_value(&file)).map(|(file, _)| file.as_str())
    }
}

/// The path of a file's module.
fn module(file: &str) -> &str {
    if file == "lib.rs" { "" } else { file.trim_end_matches(".rs") }
}

fn join(path: &str, name: &str) -> String {
    [path, name].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("/")
}

fn read(src: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut folders = vec![PathBuf::from(src)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of the crate") {
            let path = entry.expect("an entry of it").path();
            // A program is a house of its own.
            if path.is_dir() && !path.ends_with("tests") && path != src.join("bin") {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs")
            {
                let name = path.strip_prefix(src).expect("below src").to_string_lossy();
                let text = fs::read_to_string(&path).expect("a file of the crate");
                files.insert(name.replace('\\', "/"), code(&text));
            }
        }
    }
    files
}

/// Without comments, strings and tests.
fn code(text: &str) -> String {
    let (mut code, mut lines) = (String::new(), text.lines());
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" {
            // What is for tests ends with the next line at the margin that ends anything.
            lines.find(|line| !line.starts_with([' ', '#']) && line.ends_with([';', '}']));
        } else if !line.trim_start().starts_with("//") {
            code.extend(line.split('"').step_by(2).flat_map(|part| [part, " "]));
            code.push('\n');
        }
    }
    code
}

/// The rooms in the drawing, from the bottom up.
fn drawn(lib: &str) -> Vec<String> {
    let house = lib.split("# The house\n").nth(1).expect("lib.rs describes the house");
    let drawing = house.split("```text\n").nth(1).expect("a drawing").split("```").next();
    let lines = drawing.into_iter().flat_map(str::lines);
    let lines = lines.map(|line| line.trim_start_matches("//!").trim_start());
    // Behind two spaces, what is in the rooms of the line.
    let rooms = lines.flat_map(|line| line.split("  ").next().unwrap_or_default().split(' '));
    rooms.filter(|room| !room.is_empty()).map(str::to_owned).collect()
}

/// Every path in the code of the module `here` that begins at the crate, here, above or below it.
fn named(code: &str, here: &str, files: &BTreeMap<String, String>) -> Vec<Named> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        let before = |back: usize| at.checked_sub(back).map_or("", |at| tokens[at]);
        let [head, "::"] = pair else { continue };
        let is_below = || files.contains_key(&format!("{}.rs", join(here, head)));
        let begins = ["crate", "self", "super"].contains(head) || is_below();
        if before(1) == "::" || !begins {
            continue;
        }
        let import = before(1) == "use";
        let export = import && ["pub", ")"].contains(&before(2));
        let mut tree = Tree { rest: &tokens[at..], paths: Vec::new() };
        tree.path(here);
        let named = tree.paths.into_iter();
        found.extend(named.map(|(path, alias)| Named { path, alias, import, export }));
    }
    found
}

/// Reads a path, and what follows in braces.
struct Tree<'a> {
    rest: &'a [&'a str],
    paths: Vec<(String, String)>,
}

impl Tree<'_> {
    fn path(&mut self, base: &str) {
        let Some((token, rest)) = self.rest.split_first() else { return };
        self.rest = rest;
        if *token == "{" {
            while let Some(token) = self.rest.first().filter(|token| **token != "}") {
                match *token {
                    "," => self.rest = &self.rest[1..],
                    _ => self.path(base),
                }
            }
            self.rest = self.rest.get(1..).unwrap_or_default();
            return;
        }
        let path = match *token {
            "crate" => String::new(),
            "self" => base.to_owned(),
            "super" => base.rsplit_once('/').map_or("", |(above, _)| above).to_owned(),
            name => join(base, name),
        };
        match self.rest {
            ["::", next, ..] if *next != "<" => {
                self.rest = &self.rest[1..];
                self.path(&path);
            }
            ["as", alias, ..] => {
                self.paths.push((path, (*alias).to_owned()));
                self.rest = &self.rest[2..];
            }
            _ => {
                let alias = path.rsplit('/').next().unwrap_or_default().to_owned();
                self.paths.push((path, alias));
            }
        }
    }
}

/// Words, `::`, and whatever else is no space.
fn tokens(code: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut tokens, mut rest) = (Vec::new(), code.trim_start());
    while let Some(first) = rest.chars().next() {
        let len = match first {
            _ if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            _ if rest.starts_with("::") => 2,
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(len);
        tokens.push(token);
        rest = after.trim_start();
    }
    tokens
}
