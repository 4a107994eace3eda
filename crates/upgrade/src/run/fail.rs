//! How a command of the payload fails.

use crate::judge::Refusal;
use crate::options::InvalidOptions;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Fail {
    #[error(transparent)]
    Options(#[from] InvalidOptions),
    /// Called by another name than those of the commands.
    #[error("there is no command '{0}'; there are prepare, install, check and verify")]
    NoCommand(String),
    /// A host that nothing is known about.
    #[error("this host has none of apt-get, dnf, zypper and apk: there is nothing to upgrade it with")]
    NoManager,
    /// A package manager that this was not tried with.
    #[error(
        "{0} is read, and upgrades with it were never tried on a real host: say --experimental to be the first. Nothing \
         was changed"
    )]
    Experimental(&'static str),
    /// Options that a package manager has nothing for.
    #[error("{manager} has nothing for {option}: nothing was changed")]
    NotWith { manager: &'static str, option: &'static str },
    /// A program could not be started.
    #[error("cannot start {program}: {why}")]
    Start { program: String, why: std::io::Error },
    #[error("{words} ended with {status}{said}")]
    Tool {
        words: String,
        status: String,
        /// Its last words, where they were not printed before.
        said: String,
    },
    /// A repository that apt refuses, and what to do about it.
    #[error("{0}. {1}. Nothing was changed")]
    Repository(Box<Fail>, &'static str),
    /// Somebody else has the package manager.
    #[error(
        "{path} was held by {holder} for {minutes} minutes. Wait until that is through, or end it there, and try again \
         ('careen retry NODE'). Nothing was changed"
    )]
    Locked {
        path: &'static str,
        holder: String,
        /// How long it was waited for.
        minutes: u64,
    },
    /// Packages that dpkg cannot finish.
    #[error(
        "these packages are half installed: {0}. Install them again ('apt-get install --reinstall NAME' on the host), then try again"
    )]
    HalfInstalled(String),
    /// Packages that are still not finished.
    #[error("these packages are not configured: {0}. See what 'dpkg --configure -a' says on the host")]
    NotConfigured(String),
    /// The simulation was judged.
    #[error("refused:{}", list(.0))]
    Refused(Vec<Refusal>),
    /// The engine that comes would not start on this host.
    #[error(
        "refused: {0}. Nothing was changed. Mend it, or leave the engine as it is (without --engine), then try again ('careen \
         retry NODE')"
    )]
    Coming(String),
    /// The system does not come in packages.
    #[error(
        "/usr of this host is mounted read-only: its system is upgraded as an image (rpm-ostree, transactional-update, or how it \
         was made), not by its packages. Nothing was changed. Leave the node out, or mount /usr for writing"
    )]
    ReadOnly,
    /// Another upgrade than the one that was prepared.
    #[error(
        "what would be done now is not what was prepared: {0}. Something changed on this host since then. Nothing was \
         changed by this; try again ('careen retry NODE'), and it is prepared anew"
    )]
    Surprise(String),
    /// Too little space.
    #[error(
        "{free} are free where {needed} are needed, for {what}. Make room there, then try again ('careen retry NODE'). Nothing was \
         changed"
    )]
    Space {
        /// How much there is.
        free: String,
        /// How much is wanted.
        needed: String,
        /// Where, and what for.
        what: String,
    },
    /// A file or directory.
    #[error("cannot {action} {path}: {why}")]
    File { action: &'static str, path: PathBuf, why: std::io::Error },
    /// The engine does not answer.
    #[error("the engine does not answer")]
    Engine(#[source] careen_engine::EngineError),
}

fn list(refusals: &[Refusal]) -> String {
    refusals.iter().fold(String::new(), |mut text, refusal| {
        let _ = write!(text, "\n  {refusal}"); // writing to a String cannot fail
        text
    })
}

/// Names the path in an I/O error.
pub fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Fail {
    let path = path.into();
    move |why| Fail::File { action, path, why }
}
