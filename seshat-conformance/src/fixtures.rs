//! The fixtures of this repository, part of the program: what was once on a wire, and histories
//! that once showed a fault.

#[cfg(feature = "storage-v2")]
pub(crate) mod wire;

/// A file's name, without folder and ending, and its text.
pub(crate) type File = (&'static str, &'static str);

/// The files of a folder of `fixtures`.
macro_rules! embedded {
    ($folder:literal, $end:literal: $($name:literal),* $(,)?) => {
        &[$((
            $name,
            include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"), "/fixtures/", $folder, "/", $name, ".", $end
            )),
        )),*]
    };
}
pub(crate) use embedded;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::checks::counter_examples;

    fn files(folder: &str) -> BTreeSet<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(folder);
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        let names = files.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned());
        names.collect()
    }

    fn assert_complete(folder: &str, embedded: &[File]) {
        let names: BTreeSet<String> = embedded.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(names, files(folder), "list the files of fixtures/{folder} in the kit");
    }

    #[test]
    fn every_counter_example_is_embedded() {
        assert_complete("model/store", counter_examples::STORE);
        assert_complete("model/restarts", counter_examples::RESTARTS);
        assert_complete("model/power", counter_examples::POWER);
    }

    #[cfg(feature = "storage-v2")]
    #[test]
    fn every_wire_fixture_is_embedded() {
        let versions = files("wire");
        let listed: BTreeSet<&str> =
            wire::FOLDERS.iter().filter_map(|(folder, _)| folder.split('/').next()).collect();
        for version in versions.iter().filter(|name| *name != "digests") {
            assert!(listed.contains(version.as_str()), "{version} is not embedded");
            for folder in files(&format!("wire/{version}")) {
                let folder = format!("{version}/{folder}");
                let found = wire::FOLDERS.iter().find(|(name, _)| *name == folder);
                assert_complete(&format!("wire/{folder}"), found.unwrap().1);
            }
        }
    }
}
