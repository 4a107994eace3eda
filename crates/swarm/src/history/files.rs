//! What is kept of a payload that came without an image. Its files leave the swarm with the end of the rollout.

use crate::decode::ConfigObject;
use careen_contract::id::hex;
use careen_planner::{GivenFile, Spec};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// So many bytes of text are kept in a record, of all files together. The command comes first.
const TEXT: usize = 64 << 10;

/// A file of a payload, as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptFile {
    /// Where the payload had it.
    pub target: String,
    /// Its permission bits.
    pub mode: u32,
    /// How large it was; this and what follows only where the file was still in the swarm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<usize>,
    /// The sha-256 of its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Its content, where that is a text and there is room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// What is kept of the files of a rollout's payload, out of the configs that hold them.
pub fn kept_files(spec: &Spec, configs: &[ConfigObject]) -> Vec<KeptFile> {
    let contents: BTreeMap<&str, &[u8]> =
        configs.iter().map(|config| (config.id.as_str(), config.data.as_slice())).collect();
    let content = |file: &GivenFile| contents.get(file.id.as_str()).copied();
    let mut kept: Vec<KeptFile> =
        spec.given.files.iter().map(|file| without_text(file, content(file))).collect();
    let is_command = |file: &GivenFile| file.target.rsplit('/').next() == Some(&spec.command);
    let mut order: Vec<usize> = (0..kept.len()).collect();
    order.sort_by_key(|index| !is_command(&spec.given.files[*index]));
    let mut room = TEXT;
    for index in order {
        let text = content(&spec.given.files[index]).and_then(as_text).filter(|text| text.len() <= room);
        room -= text.map_or(0, str::len);
        kept[index].text = text.map(str::to_owned);
    }
    kept
}

fn without_text(file: &GivenFile, content: Option<&[u8]>) -> KeptFile {
    KeptFile {
        target: file.target.clone(),
        mode: file.mode,
        bytes: content.map(<[u8]>::len),
        sha256: content.map(|content| hex(&Sha256::digest(content))),
        text: None,
    }
}

fn as_text(content: &[u8]) -> Option<&str> {
    std::str::from_utf8(content).ok().filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_planner::{RolloutId, Version};

    fn kept(files: &[(&str, &[u8])]) -> Vec<KeptFile> {
        let given = |(target, _): &(&str, &[u8])| GivenFile {
            id: format!("id-{target}"),
            name: format!("careen.file.k3x9.{target}"),
            target: format!("/install/{target}"),
            uid: "0".into(),
            gid: "0".into(),
            mode: 0o755,
        };
        let config = |(target, content): &(&str, &[u8])| ConfigObject {
            id: format!("id-{target}"),
            name: format!("careen.file.k3x9.{target}"),
            version: Version(1),
            created: String::new(),
            labels: BTreeMap::new(),
            data: content.to_vec(),
        };
        let mut spec = Spec::run(RolloutId::parse("k3x9").unwrap(), "i");
        spec.given.files = files.iter().map(given).collect();
        let there: Vec<ConfigObject> =
            files.iter().filter(|(target, _)| *target != "gone").map(config).collect();
        kept_files(&spec, &there)
    }

    #[test]
    fn a_script_is_kept_as_it_is_and_what_is_no_text_by_its_digest() {
        let all = kept(&[("install", b"#!/bin/sh\nid\n"), ("lib", b"\x7fELF\0"), ("gone", b"")]);
        let script = KeptFile {
            target: "/install/install".into(),
            mode: 0o755,
            bytes: Some(13),
            sha256: all[0].sha256.clone(),
            text: Some("#!/bin/sh\nid\n".into()),
        };
        assert_eq!(all[0], script);
        assert_eq!((all[1].bytes, &all[1].text), (Some(5), &None));
        assert!(all[..2].iter().all(|file| file.sha256.as_ref().is_some_and(|hash| hash.len() == 64)));
        assert_eq!((all[2].bytes, &all[2].sha256), (None, &None), "its config was removed");
    }

    #[test]
    fn of_more_than_there_is_room_for_the_command_is_kept_first() {
        let large = vec![b'a'; TEXT - 4];
        let all = kept(&[("notes", b"12345"), ("data", &large), ("install", b"true"), ("end", b"")]);
        let has: Vec<bool> = all.iter().map(|file| file.text.is_some()).collect();
        assert_eq!(has, [true, false, true, true]);
        let too_large = vec![b'a'; TEXT + 1];
        assert_eq!(kept(&[("install", &too_large)])[0].text, None);
        let just = vec![b'a'; TEXT];
        assert!(kept(&[("install", &just)])[0].text.is_some());
    }
}
