//! Who else acts on this host: gathered here, judged in [`careen_host::preflight`].

mod host_files;
mod locks;

pub use host_files::HostFiles;
pub use locks::dpkg_is_locked;

use careen_host::preflight::{Somebody, look_for_others};

/// Everybody who can be seen now.
pub fn look() -> Vec<Somebody> {
    let mut others = look_for_others(&HostFiles);
    others.extend(locks::holders());
    others
}
