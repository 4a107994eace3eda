//! Why a supervisor waits, in words, where agents and people find it: a file beside its journal, or, when that disk does not take
//! one, in /run.

use crate::layout;
use crate::{durable, files};
use std::io;
use std::path::{Path, PathBuf};

/// What the reason of a supervisor begins with that waits for a restart's go.
pub const FOR_A_GO: &str = "the rollout's go";

/// Where it is told when it cannot be told at this path, which is that of a transaction's hold.
fn instead(path: &Path) -> Option<PathBuf> {
    Some(Path::new(layout::HOLDS).join(path.parent()?.file_name()?))
}

pub fn tell(path: &Path, reason: &str) -> io::Result<()> {
    let Some(instead) = instead(path) else { return files::write(path, reason) };
    match files::write(path, reason) {
        Ok(()) => durable::remove_file(&instead),
        Err(error) => {
            let told = [Path::new(layout::RUN), Path::new(layout::HOLDS)]
                .into_iter()
                .try_for_each(durable::private_directory)
                .and_then(|()| files::write(&instead, reason));
            told.map_err(|_| error)
        }
    }
}

/// There is no reason any more.
pub fn clear(path: &Path) -> io::Result<()> {
    let elsewhere = instead(path).map_or(Ok(()), |instead| durable::remove_file(&instead));
    durable::remove_file(path).and(elsewhere)
}

/// The reason, if there is one.
pub fn read(path: &Path) -> Option<String> {
    let at = |path: &Path| files::read_to_string(path).ok().filter(|reason| !reason.is_empty());
    instead(path).as_deref().and_then(at).or_else(|| at(path))
}
