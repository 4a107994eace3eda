//! What the host remembers of an enforcement, as its file; and the lock that keeps a second agent away.

use crate::layout;
use crate::lock::Lock;
use crate::{durable, files};
use careen_contract::chain;
use careen_host::enforcement::EnforceMemory;
use careen_protocol::enforce::Remembered;
use std::io;
use std::path::Path;

/// Reads it. What cannot be read is not nothing: a command that failed, or was left alone on purpose, would be begun again.
pub fn read(root: &Path, name: &str) -> Remembered {
    let path = layout::enforcement(root, name);
    let unusable = |error: &dyn std::error::Error| Remembered::Unusable {
        why: format!(
            "what this host remembers cannot be used: {} {}. Nothing is mended. Look at it, then 'rm {}' on the host: it begins anew \
             within minutes",
            path.display(),
            chain(error),
            path.display()
        ),
    };
    match files::read_if_there(&path) {
        Ok(None) => Remembered::Nothing,
        Ok(Some(bytes)) => match EnforceMemory::parse(&bytes, name) {
            Ok(memory) => Remembered::Known(Box::new(memory)),
            Err(error) => unusable(&error),
        },
        Err(error) => unusable(&error),
    }
}

/// Writes it: a reader finds it whole, and a power cut does not take it back.
pub fn write(root: &Path, memory: &EnforceMemory) -> io::Result<()> {
    durable::private_directory(root)?;
    durable::private_directory(&layout::enforcements(root))?;
    durable::replace(
        &layout::enforcement(root, &memory.name),
        0o600,
        &memory.bytes().map_err(io::Error::other)?,
    )
}

/// The lock of the one agent that enforces this here; `None` while another has it.
pub fn lock(root: &Path, name: &str) -> io::Result<Option<Lock>> {
    durable::private_directory(root)?;
    durable::private_directory(&layout::enforcements(root))?;
    Lock::try_take(&layout::enforcement_lock(root, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_contract::enforce_part::EnforcePart;
    use careen_contract::standing::{EnforceState, PathWatch};
    use careen_protocol::enforce::{Beside, Enforcer, Event, Now, Of};
    use std::os::unix::fs::MetadataExt;
    use std::time::Duration;

    /// What an agent that was never here writes first.
    fn memory() -> EnforceMemory {
        let part = EnforcePart {
            name: "app".into(),
            version: "1".into(),
            interval: Duration::from_secs(60),
            owns: Vec::new(),
        };
        let of = Of { part, run: String::new(), service: String::new(), boot: "b".into(), node: "n".into() };
        let beside =
            Beside { changed: Default::default(), lost: false, watch: PathWatch::Nothing, not_written: None };
        let now = Now { since_boot: Duration::from_secs(9), unix_ms: 1_795_000_000_000 };
        let step = Enforcer::new(of).step(Event::Remembered(Remembered::Nothing), beside, now).unwrap();
        *step.write.expect("it is remembered that an agent is here")
    }

    #[test]
    fn it_is_read_as_it_was_written_for_root_alone_and_what_cannot_be_read_is_not_nothing() {
        let base = tempfile::tempdir().unwrap();
        let root = base.path().join("careen");
        assert_eq!(read(&root, "app"), Remembered::Nothing);
        write(&root, &memory()).unwrap();
        let path = layout::enforcement(&root, "app");
        assert_eq!(read(&root, "app"), Remembered::Known(Box::new(memory())));
        assert_eq!(memory().state, EnforceState::Looking);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        for bytes in ["", "{", "{\"schema\":9}", "[]"] {
            std::fs::write(&path, bytes).unwrap();
            let Remembered::Unusable { why } = read(&root, "app") else {
                panic!("{bytes:?} was taken for something")
            };
            assert!(why.contains(&format!("'rm {}'", path.display())), "{why}");
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(read(&root, "app"), Remembered::Unusable { .. }));
    }

    #[test]
    fn one_agent_at_a_time_enforces_something() {
        let base = tempfile::tempdir().unwrap();
        let first = lock(base.path(), "app").unwrap().expect("nobody has it");
        assert!(lock(base.path(), "app").unwrap().is_none());
        assert!(lock(base.path(), "other").unwrap().is_some());
        drop(first);
        assert!(lock(base.path(), "app").unwrap().is_some());
    }
}
