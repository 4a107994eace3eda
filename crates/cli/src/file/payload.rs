//! `careen.yaml` of a payload: what it says of itself ([`PayloadManifest`]). A rollout's file has the same name; which of the two one
//! is, its keys tell. Pure, but for [`beside`].

use super::flags::{is_true, kind, list, text};
use super::keys::{AtPath, Keys, nearest};
use super::wrong::{Located, Place, UnusableFile, Wrong};
use super::yaml::{self, Key, Node, Yaml};
use crate::args::Cli;
use crate::duration;
use careen_contract::payload_manifest::{
    LONGEST_MANIFEST, MANIFEST_FILE, MOST_OWNED, OwnedPath, PayloadManifest, PayloadName, check_interval,
};
use clap::CommandFactory;
use std::fmt::Display;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// The keys, and what each says.
pub const KEYS: [(&str, &str); 4] = [
    ("name", "What the payload is called: up to 24 of a-z, 0-9 and -"),
    ("owns", "The paths that it alone writes: absolute and normalised; a directory ends in /"),
    ("idempotent", "Whether its commands may be run again when nobody knows how far they came"),
    ("interval", "How often its host is to be looked at, such as 30m"),
];

/// What a payload in this directory says of itself; nothing where there is no such file, and where it is a rollout's.
pub fn beside(directory: &Path) -> Result<Option<PayloadManifest>, UnusableFile> {
    let path = directory.join(MANIFEST_FILE);
    match read(&path) {
        Ok(Some(content)) => of_content(&path, content),
        Ok(None) => Ok(None),
        Err(source) => Err(UnusableFile::Unreadable { path, source }),
    }
}

/// One byte more than it may have, so that a longer one is seen; nothing where there is nothing.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let metadata = match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        known => known?,
    };
    // Whoever opens a pipe may wait for ever.
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut content = Vec::new();
    let limit = LONGEST_MANIFEST as u64 + 1;
    std::fs::File::open(path)?.take(limit).read_to_end(&mut content)?;
    Ok(Some(content))
}

/// What the content of a payload's file says; nothing where it is a rollout's. The path is for people.
pub fn of_content(path: &Path, content: Vec<u8>) -> Result<Option<PayloadManifest>, UnusableFile> {
    let path = || PathBuf::from(path);
    if content.len() > LONGEST_MANIFEST {
        return Err(too_long(path()));
    }
    let text = String::from_utf8(content).map_err(|error| UnusableFile::Unreadable {
        path: path(),
        source: io::Error::other(error.utf8_error()),
    })?;
    of_text(&text).map_err(|located| UnusableFile::InPayload { path: path(), located })
}

/// A file of which no more is read.
pub const fn too_long(path: PathBuf) -> UnusableFile {
    UnusableFile::TooLong { path, most: LONGEST_MANIFEST / 1024 }
}

/// What a text says of a payload; nothing where it is a rollout's file.
pub fn of_text(text: &str) -> Result<Option<PayloadManifest>, Located> {
    let root = yaml::parse(text)?;
    let Yaml::Map(pairs) = &root.is else {
        return Err(Wrong::NoMapping { found: root.is.kind() }.at(root.at));
    };
    let rollouts = Keys::of(&Cli::command());
    if is_a_rollouts(pairs.iter().map(|(key, _)| key), &rollouts) {
        return Ok(None);
    }
    let mut manifest = PayloadManifest::default();
    for (key, node) in pairs {
        match key.name.as_str() {
            "name" => manifest.name = Some(value(key, node, "a text", PayloadName::parse)?),
            "owns" => manifest.owns = owned(key, node)?,
            "idempotent" => manifest.idempotent = is_true(&key.name, node)?,
            "interval" => {
                let written = value(key, node, "a duration such as 30m", duration::parse)?;
                let checked = check_interval(written).map_err(|why| wrong(&key.name, node, &why))?;
                manifest.interval = Some(checked);
            }
            _ => return Err(unknown(key, &rollouts)),
        }
    }
    Ok(Some(manifest))
}

/// A file is a rollout's that has keys of a rollout's, and none of a payload's.
fn is_a_rollouts<'a>(keys: impl Iterator<Item = &'a Key>, rollouts: &Keys) -> bool {
    let mut some = false;
    for key in keys {
        if KEYS.iter().any(|(name, _)| *name == key.name) {
            return false;
        }
        some |= is_of_rollouts(&key.name, rollouts);
    }
    some
}

fn is_of_rollouts(name: &str, rollouts: &Keys) -> bool {
    let known = match rollouts.at(name) {
        AtPath::Flag(_) | AtPath::Section | AtPath::NotHere(_) => true,
        AtPath::Unknown { .. } => false,
    };
    known || name.starts_with("x-")
}

fn unknown(key: &Key, rollouts: &Keys) -> Located {
    let name = key.name.clone();
    if is_of_rollouts(&name, rollouts) {
        let why = "this is about a rollout, and the file says what a payload is; keep the two in files of their own";
        return Wrong::NotHere { key: name, why: why.to_owned() }.at(key.at);
    }
    let known = KEYS.map(|(name, _)| name.to_owned()).to_vec();
    Wrong::Unknown { near: nearest(&name, &known), key: name, known }.at(key.at)
}

fn value<T, E: Display>(
    key: &Key,
    node: &Node,
    wanted: &'static str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<T, Located> {
    parse(&text(&key.name, wanted, node)?).map_err(|why| wrong(&key.name, node, &why))
}

fn wrong(key: &str, node: &Node, why: &impl Display) -> Located {
    Wrong::Value { key: key.to_owned(), why: why.to_string() }.at(node.at)
}

/// The paths, none of them twice.
fn owned(key: &Key, node: &Node) -> Result<Vec<OwnedPath>, Located> {
    let items = list(&key.name, node)?;
    let mut paths: Vec<(OwnedPath, Place)> = Vec::new();
    for item in items {
        let path = value(key, item, "a path", OwnedPath::parse)?;
        if paths.len() == MOST_OWNED {
            return Err(wrong(&key.name, item, &format!("there are more than {MOST_OWNED} paths")));
        }
        if let Some((_, first)) = paths.iter().find(|(known, _)| *known == path) {
            return Err(wrong(&key.name, item, &format!("{path} is there already, in line {}", first.line)));
        }
        paths.push((path, item.at));
    }
    match paths.is_empty() {
        true => Err(kind(&key.name, "at least one path", node)),
        false => Ok(paths.into_iter().map(|(path, _)| path).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::time::Duration;

    fn read(text: &str) -> Result<Option<PayloadManifest>, String> {
        of_text(text).map_err(|located| located.to_string())
    }

    const WHOLE: &str = "\
# yaml-language-server: $schema=payload.schema.json
name: sysctl
owns: [/etc/sysctl.d/90-careen.conf, /etc/careen/]
idempotent: true
interval: 30m
";

    #[test]
    fn a_payload_says_what_it_is() {
        let manifest = read(WHOLE).unwrap().unwrap();
        let owns: Vec<&str> = manifest.owns.iter().map(OwnedPath::as_str).collect();
        assert_eq!(manifest.name.unwrap().as_str(), "sysctl");
        assert_eq!(owns, ["/etc/sysctl.d/90-careen.conf", "/etc/careen/"]);
        assert_eq!((manifest.idempotent, manifest.interval), (true, Some(Duration::from_secs(1800))));
        let least = read("name: a\n").unwrap().unwrap();
        assert_eq!((least.owns.len(), least.idempotent, least.interval), (0, false, None));
    }

    #[test]
    fn a_rollouts_file_is_no_payloads_and_both_at_once_is_refused() {
        for rollouts in [
            "image: i\n",
            "x-careen: {script: fix.sh}\n",
            "deploy: {}\nx-mine: 1\n",
            "services: {}\n",
            "environment: {A: 1}\ncommand: check\n",
        ] {
            assert_eq!(read(rollouts), Ok(None), "{rollouts}");
        }
        let both = read("name: a\nimage: i\n").unwrap_err();
        assert!(both.starts_with("2:1: 'image': this is about a rollout"), "{both}");
        // Else a file could be either.
        let rollouts = Keys::of(&Cli::command());
        for (name, _) in KEYS {
            assert!(!is_of_rollouts(name, &rollouts), "{name} is a key of rollouts, too");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, told) in [
            ("", "1:1: there is nothing in the file"),
            ("name\n", "1:1: a file is made of lines 'KEY: VALUE'"),
            ("nmae: a\n", "1:1: unknown key 'nmae': did you mean 'name'?"),
            (
                "name: a\ncolour: red\n",
                "2:1: unknown key 'colour'; there are name, owns, idempotent, interval",
            ),
            ("name: A\n", "1:7: 'name': a name is 1 to 24 of a-z"),
            ("name: [a]\n", "1:7: 'name' wants a text, and here is a list"),
            ("name: a\nname: b\n", "2:1: the key 'name' is there already, in line 1"),
            ("owns: /etc/a\n", "1:7: 'owns' wants a list, and here is a text"),
            ("owns: []\n", "1:7: 'owns' wants at least one path, and here is a list"),
            ("owns:\n  - etc/a\n", "2:5: 'owns': a path begins with '/'"),
            ("owns:\n  - /a\n  - /etc/../a\n", "3:5: 'owns': a path is written without"),
            ("owns: [/a, /b, /a]\n", "1:16: 'owns': /a is there already, in line 1"),
            ("owns: [/$HOME]\n", "1:8: 'owns' has a '$'"),
            ("idempotent: maybe\n", "1:13: 'idempotent' wants true or false, and here is a text"),
            ("interval: often\n", "1:11: 'interval': a duration is written as 90s"),
            ("interval: 0s\n", "1:11: 'interval': an interval is at least 1s"),
            ("interval: -5m\n", "1:11: 'interval': a duration is written as 90s"),
            ("name: !!str a\n", "1:13: tags"),
            ("name: a\n---\nname: b\n", "2:1: a file is one document"),
            ("owns:\n\t- /a\n", "2:1: YAML is indented with blanks"),
            ("name: &a [*a]\n", "an alias"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
        let many: String = (0..=MOST_OWNED).map(|n| format!("  - /etc/{n}\n")).collect();
        assert!(read(&format!("owns:\n{many}")).unwrap_err().contains("more than 100 paths"));
        let mut laughs = String::from("x-a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
        for level in 1..12 {
            let nine = vec![format!("*a{}", level - 1); 9].join(", ");
            laughs += &format!("x-a{level}: &a{level} [{nine}]\n");
        }
        assert!(read(&(laughs + "name: a\n")).unwrap_err().contains("more than 10000 values"));
    }

    #[test]
    fn a_file_that_cannot_be_a_payloads_is_named() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join(MANIFEST_FILE);
        assert_eq!(beside(base.path()).unwrap(), None);
        assert_eq!(beside(&path.join("deeper")).unwrap(), None);
        std::fs::write(&path, WHOLE).unwrap();
        assert!(beside(base.path()).unwrap().unwrap().idempotent);
        std::fs::write(&path, b"name: \xff\n").unwrap();
        let told = |error: UnusableFile| (error.to_string(), std::error::Error::source(&error).is_some());
        let unreadable = told(beside(base.path()).unwrap_err());
        assert!(unreadable.0.starts_with("cannot read /") && unreadable.1, "{unreadable:?}");
        std::fs::write(&path, "#".repeat(LONGEST_MANIFEST + 1)).unwrap();
        assert!(told(beside(base.path()).unwrap_err()).0.contains("more than 64 KiB"));
        std::fs::write(&path, "name: A\n").unwrap();
        let wrong = beside(base.path()).unwrap_err();
        assert!(wrong.to_string().contains("careen.yaml:1:7: 'name'"), "{wrong}");
        assert!(wrong.next().unwrap().contains("payload.schema.json"));
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(beside(base.path()).is_err());
    }

    /// docs/payload.schema.json, which editors read.
    fn schema() -> Value {
        let of_key = |name: &str| match name {
            "name" => json!({ "type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?$" }),
            "owns" => json!({
                "type": "array",
                "items": { "type": "string", "pattern": "^/[^*?]" },
                "minItems": 1,
                "maxItems": MOST_OWNED,
                "uniqueItems": true,
            }),
            "idempotent" => json!({ "type": "boolean" }),
            "interval" => json!({ "type": "string" }),
            other => panic!("{other} has no type"),
        };
        let properties = KEYS.map(|(name, help)| {
            let mut of_key = of_key(name);
            of_key["description"] = help.into();
            (name.to_owned(), of_key)
        });
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "A payload of careen",
            "description": "What a payload says of itself, in careen.yaml beside its commands.",
            "type": "object",
            "additionalProperties": false,
            "properties": serde_json::Map::from_iter(properties),
        })
    }

    #[test]
    fn the_schema_has_the_keys_of_the_reader() {
        let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/payload.schema.json");
        let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCREENS").is_some() {
            std::fs::write(&document, &text).unwrap();
        }
        let kept = std::fs::read_to_string(&document).unwrap();
        assert_eq!(kept, text, "UPDATE_SCREENS=1 keeps the schema as it is now");
        for (name, _) in KEYS {
            let sample = WHOLE.lines().find(|line| line.starts_with(name)).unwrap();
            assert!(read(&format!("{sample}\n")).unwrap().is_some(), "{name}");
        }
    }

    #[test]
    fn the_sample_of_the_documents_is_read() {
        let document = include_str!("../../../../docs/payload-contract.md");
        let sample = document.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
        let manifest = read(sample).unwrap().unwrap();
        assert!(manifest.name.is_some() && !manifest.owns.is_empty() && manifest.idempotent);
        assert!(manifest.interval.is_some());
    }
}
