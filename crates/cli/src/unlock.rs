//! The unlock key of an autolocked swarm, as the operator gives it. It is never printed, and never written anywhere but
//! into a secret of the swarm.

use crate::args::HowArgs;
use crate::error::Failure;
use careen_contract::variable;
use careen_swarm::Key;

/// The key from the file, or else from the environment. A secret that is named comes before the environment.
pub fn given(args: &HowArgs) -> Result<Option<Key>, Failure> {
    let text = match &args.unlock_key_file {
        Some(path) => Some(
            std::fs::read_to_string(path)
                .map_err(|why| Failure::NoKeyFile { path: path.display().to_string(), why })?,
        ),
        None if args.unlock_key_secret.is_some() => None,
        None => std::env::var(variable::UNLOCK_KEY).ok(),
    };
    let text = text.as_deref().map(str::trim);
    if text == Some("") && args.unlock_key_file.is_some() {
        return Err(Failure::EmptyKey);
    }
    Ok(text.filter(|text| !text.is_empty()).map(Key::new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;

    fn args(flags: &[&str]) -> HowArgs {
        let words = [&["careen", "plan", "--image", "i"], flags].concat();
        let Command::Plan(args) = Cli::try_parse_from(words).unwrap().command else { unreachable!() };
        args.how
    }

    #[test]
    fn a_key_comes_out_of_its_file_and_shows_nowhere() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        std::fs::write(&path, "SWMKEY-1-abc\n").unwrap();
        let path = path.display().to_string();
        let key = given(&args(&["--unlock-key-file", &path])).unwrap().unwrap();
        assert_eq!(key.reveal(), "SWMKEY-1-abc");
        assert!(!format!("{key:?}").contains("abc"));
        std::fs::write(&path, " \n").unwrap();
        assert!(matches!(given(&args(&["--unlock-key-file", &path])), Err(Failure::EmptyKey)));
        let missing = format!("{path}.not");
        let error = given(&args(&["--unlock-key-file", &missing])).unwrap_err();
        assert!(error.to_string().contains(&missing), "{error}");
        assert_eq!(given(&args(&["--unlock-key-secret", "s"])).unwrap(), None);
    }
}
