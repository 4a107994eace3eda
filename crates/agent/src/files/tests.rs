//! Everything goes through here; what that does beside the standard library is tested in tests/faults.rs.

use super::*;

/// Ways around this module.
const WAYS_AROUND: [&str; 9] = [
    "std::fs",
    "std::os::unix::fs::symlink",
    ".exists()",
    "DirBuilder",
    "UnixListener::bind",
    "fallocate(",
    "renameat",
    "nix::sys::statvfs::statvfs",
    "nix::unistd::{unlink",
];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_other_module_touches_files_by_itself() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    files.retain(|path| !path.starts_with(root.join("files")) && !path.ends_with("tests.rs"));
    assert!(files.len() > 40, "the sources are where this test looks: {files:?}");
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let shipped = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for way in WAYS_AROUND {
            assert!(!shipped.contains(way), "{}: '{way}' goes around crate::files", path.display());
        }
    }
}

#[test]
fn what_cannot_be_looked_at_is_not_absent() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    assert!(!exists(&file).unwrap());
    write(&file, "x").unwrap();
    assert!(exists(&file).unwrap() && is_file(&file) && !is_directory(&file));
    assert!(!exists(file.join("below")).unwrap(), "nothing lies below a file");
    let too_long = directory.path().join("x".repeat(300));
    assert!(exists(too_long).is_err());
}

#[test]
fn two_directories_change_places_and_a_link_is_the_same_file() {
    let directory = tempfile::tempdir().unwrap();
    let (one, other) = (directory.path().join("one"), directory.path().join("other"));
    for place in [&one, &other] {
        create_dir(place, 0o700).unwrap();
    }
    write(one.join("journal"), "1").unwrap();
    assert_eq!(hard_link(one.join("none"), other.join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    hard_link(one.join("journal"), other.join("journal")).unwrap();
    write(other.join("more"), "2").unwrap();
    exchange(&other, &one).unwrap();
    assert_eq!(read_to_string(one.join("more")).unwrap(), "2");
    write(one.join("journal"), "3").unwrap();
    assert_eq!(read_to_string(other.join("journal")).unwrap(), "3");
    assert_eq!(exchange(&one, &one.join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_new_name_replaces_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (one, other) = (directory.path().join("one"), directory.path().join("other"));
    write(&one, "1").unwrap();
    write(&other, "2").unwrap();
    assert_eq!(rename_new(&one, &other).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    rename(&one, &other).unwrap();
    assert_eq!(read_to_string(&other).unwrap(), "1");
}
