//! Finds out what the host is made of: runs its tools, reads its files, asks its engine. The schema, the parsers and
//! the decisions are in [`careen_host::facts`].
//!
//! Everything here is best effort. A source that is missing or fails becomes a note: facts go with a result, they
//! must never stand in its way.

mod engine;
mod last_run;
mod packages;
mod pending;
mod restart_needs;
mod told;
mod unknown;

pub use engine::plain_containers;
pub use restart_needs::observe as observe_restart_needs;
pub use told::tell;

use crate::{files, tool};
use careen_engine::Engine;
use careen_host::facts::{Facts, Kernel, Os, SCHEMA, newest_kernel};
use std::collections::BTreeSet;

/// Collects the facts of the host that this process runs on. `engine` is `None` when the engine is down; `agents` are
/// the ids of careen's own containers, which come and go with a transaction and are no change of the host's.
///
/// `known` are earlier facts of this host. To list packages takes longer than all the rest, and to ask runc as long as a small
/// command: neither is done again where the files are the same.
pub fn collect(engine: Option<&Engine>, agents: &BTreeSet<String>, known: Option<&Facts>) -> Facts {
    let mut notes = Vec::new();
    let database = packages::database();
    let unchanged = known.filter(|known| database.is_some() && known.package_database == database);
    let listed = unchanged.and_then(|known| known.packages.clone());
    let runc = tool::find_program("runc").and_then(|path| tool::file_state(&path));
    let same_runc = known.filter(|known| runc.is_some() && known.runc_file == runc);
    Facts {
        schema: SCHEMA,
        os: os(&mut notes),
        kernel: kernel(&mut notes),
        boot_id: crate::boot::boot_id().map_err(|error| notes.push(format!("{error:#}"))).ok(),
        engine: engine::versions(engine, same_runc.map(|known| &known.engine), &mut notes),
        packages: listed.or_else(|| packages::installed(&mut notes)),
        package_database: database,
        runc_file: runc,
        containers: engine.and_then(|engine| engine::plain_containers(engine, agents, &mut notes)),
        notes,
    }
}

fn os(notes: &mut Vec<String>) -> Option<Os> {
    let text = ["/etc/os-release", "/usr/lib/os-release"].iter().find_map(|path| files::read(path).ok());
    if text.is_none() {
        notes.push("the host has no os-release file".into());
    }
    text.map(|text| Os::parse(&String::from_utf8_lossy(&text)))
}

fn kernel(notes: &mut Vec<String>) -> Kernel {
    let running = nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned());
    let running = running.map_err(|error| notes.push(format!("uname failed: {error}"))).ok();
    let (boot, modules) = (names_in("/boot"), names_in("/lib/modules"));
    let names = (boot.iter().map(String::as_str), modules.iter().map(String::as_str));
    let newest_installed = newest_kernel(names.0, names.1, running.as_deref().unwrap_or_default());
    Kernel { running, newest_installed }
}

/// The names in a directory; none when there is no such directory.
pub fn names_in(directory: &str) -> Vec<String> {
    let entries = files::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_collected_without_an_engine_and_are_the_same_twice() {
        let facts = collect(None, &BTreeSet::new(), None);
        assert!(facts.kernel.running.is_some() && facts.boot_id.is_some(), "{facts:?}");
        assert_eq!(facts.containers, None);
        assert_eq!(facts.runc_file.is_some(), tool::find_program("runc").is_some());
        let again = collect(None, &BTreeSet::new(), Some(&facts));
        let diff = careen_host::facts::FactsDiff::between(&facts, &again);
        assert!(diff.is_empty() && diff.not_compared.is_empty(), "{diff}");
    }
}
