//! Asks the host's package manager what waits, by the lists that the host has. What it is asked, and what its words mean, is in
//! [`careen_upgrade::waits`].

use super::names_in;
use super::unknown::Unknown;
use crate::files;
use crate::tool::ask;
use careen_contract::chain;
use careen_contract::facts::PendingPackages;
use careen_host::facts::restart::Answer;
use careen_upgrade::change::Simulation;
use careen_upgrade::manager::Manager;
use careen_upgrade::waits::{self, Words};
use std::os::unix::fs::MetadataExt;

/// What waits.
pub fn pending() -> Result<PendingPackages, Unknown> {
    let manager = Manager::among(|path| files::is_there(path).unwrap_or_default())
        .ok_or_else(|| Unknown("the host has none of apt-get, dnf, zypper and apk".to_owned()))?;
    if !has_lists(manager) {
        let name = manager.name();
        return Err(Unknown(format!("the host has no package lists: nothing has fetched them for {name}")));
    }
    let waiting = asked(manager, waits::all(manager))?;
    let security = match waits::for_security(manager) {
        // An older dnf does not know the question; then it is not known which are for security.
        Some(words) if !waiting.is_empty() => asked(manager, words).ok(),
        Some(_) => Some(Simulation::default()),
        None => None,
    };
    Ok(waits::pending(manager, &waiting, security.as_ref(), fetched_at(manager)))
}

fn asked(manager: Manager, words: Words) -> Result<Simulation, Unknown> {
    match ask(words.program, words.arguments) {
        Ok(Some(Answer { status, output })) if words.statuses.contains(&status) => {
            Ok(waits::read(manager, &output))
        }
        Ok(Some(Answer { status, .. })) => {
            let verb = words.arguments.last().copied().unwrap_or_default();
            Err(Unknown(format!("'{} {verb}' exited with {status}", words.program)))
        }
        Ok(None) => Err(Unknown(format!("{} is not installed", words.program))),
        Err(error) => Err(Unknown(chain(&error))),
    }
}

fn has_lists(manager: Manager) -> bool {
    let lists = waits::lists(manager).iter().flat_map(|pattern| expanded(pattern));
    lists.into_iter().any(|path| {
        let name = path.rsplit('/').next().unwrap_or_default();
        waits::is_list(manager, name) && files::is_file(&path)
    })
}

/// The newest change of what is written whenever lists are fetched.
fn fetched_at(manager: Manager) -> Option<u64> {
    let paths = waits::fetched(manager).iter().flat_map(|pattern| expanded(pattern));
    let times = paths.filter_map(|path| files::metadata(path).ok()?.mtime().try_into().ok());
    times.max()
}

/// The paths of a pattern, in which one name may be a `*`.
fn expanded(pattern: &str) -> Vec<String> {
    match pattern.split_once("/*") {
        Some((directory, behind)) => {
            names_in(directory).into_iter().map(|name| format!("{directory}/{name}{behind}")).collect()
        }
        None => vec![pattern.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_star_stands_for_every_name() {
        let root = tempfile::tempdir().unwrap();
        for repository in ["a", "b"] {
            fs::create_dir(root.path().join(repository)).unwrap();
        }
        let root = root.path().display();
        let mut found = expanded(&format!("{root}/*/repomd.xml"));
        found.sort();
        assert_eq!(found, [format!("{root}/a/repomd.xml"), format!("{root}/b/repomd.xml")]);
        assert_eq!(expanded("/none/*"), Vec::<String>::new());
        assert_eq!(expanded("/a/b"), ["/a/b"]);
    }
}
