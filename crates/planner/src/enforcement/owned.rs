//! Which paths an enforcement owns: no two own the same one, for each would mend what the other has done, for ever.

use super::Enforcement;

/// The longest path that Linux takes.
const LONGEST: usize = 4096;

/// A path that nobody can own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{given}' cannot be owned: it is a path from the host's root such as /etc/sysctl.d/50-app.conf, without '.' and '..', and \
     with '/' at its end for a directory and all below it"
)]
pub struct InvalidPath {
    /// What was given, shortened.
    pub given: String,
}

/// Two enforcements that own the same path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} is owned by the enforcement {by} already, as {theirs}; each would undo what the other does")]
pub struct OwnedTwice {
    /// The path that was asked for.
    pub path: String,
    /// The name of the other one.
    pub by: String,
    /// What that one owns.
    pub theirs: String,
}

pub(super) fn check(path: &str) -> Result<(), InvalidPath> {
    let is_name = |part: &str| !matches!(part, "" | "." | "..") && !part.chars().any(char::is_control);
    let parts = path.strip_prefix('/').map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    match parts.is_some_and(|parts| parts.split('/').all(is_name)) && path.len() < LONGEST {
        true => Ok(()),
        false => {
            Err(InvalidPath { given: path.chars().take(80).collect::<String>().escape_debug().to_string() })
        }
    }
}

/// Whether two of them own nothing in common.
pub(super) fn apart(new: &Enforcement, other: &Enforcement) -> Result<(), OwnedTwice> {
    let pairs = new.owns.iter().flat_map(|path| other.owns.iter().map(move |theirs| (path, theirs)));
    match pairs.into_iter().find(|(path, theirs)| meet(path, theirs)) {
        Some((path, theirs)) => {
            Err(OwnedTwice { path: path.clone(), by: other.name.clone(), theirs: theirs.clone() })
        }
        None => Ok(()),
    }
}

/// Whether the two are the same, or one of them is a directory that the other is in.
fn meet(one: &str, other: &str) -> bool {
    let path = |text: &str| text.trim_end_matches('/').to_owned();
    let holds = |directory: &str, inner: &str| directory.ends_with('/') && inner.starts_with(directory);
    path(one) == path(other) || holds(one, other) || holds(other, one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_from_the_root_and_goes_nowhere_else() {
        for good in ["/etc/motd", "/etc/sysctl.d/", "/a b/ü"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let long = format!("/{}", "x".repeat(5000));
        for bad in ["", "/", "//", "etc/motd", "/etc/../root", "/etc//motd", "/./x", "/a\nb", "/a//", &long] {
            let error = check(bad).unwrap_err().to_string();
            assert!(error.len() < 400 && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn two_paths_meet_when_one_is_the_other_or_in_it() {
        for (one, other, meets) in [
            ("/etc/motd", "/etc/motd", true),
            ("/etc/motd", "/etc/motd2", false),
            ("/etc/x/", "/etc/x/y", true),
            ("/etc/x/", "/etc/x", true),
            ("/etc/x/", "/etc/xy", false),
            ("/etc/x/", "/etc/", true),
            ("/etc/x", "/etc/x/y", false),
        ] {
            assert_eq!((meet(one, other), meet(other, one)), (meets, meets), "{one} {other}");
        }
    }
}
