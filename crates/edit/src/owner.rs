//! Users and groups by name. A static binary cannot ask the system's name services, so the texts of /etc/passwd and
//! /etc/group count; who comes from a directory service is named by number.

use thiserror::Error;

/// Whose a file is to be: `USER`, `USER:GROUP` or `:GROUP`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    user: Option<String>,
    group: Option<String>,
}

/// The same by number; `None` stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ids {
    /// The user.
    pub uid: Option<u32>,
    /// The group.
    pub gid: Option<u32>,
}

/// Why an owner is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OwnerError {
    /// It is not written as one.
    #[error("'{text}' is no owner: write USER, USER:GROUP or :GROUP, by name or number")]
    Spelling {
        /// As it was given.
        text: String,
    },
    /// This host does not know the name.
    #[error("{file} has no {kind} '{name}': make it first, or give the number if it comes from elsewhere")]
    Unknown {
        /// Where it was looked for.
        file: &'static str,
        /// User or group.
        kind: &'static str,
        /// What was looked for.
        name: String,
    },
}

/// Where a host's users stand.
pub const PASSWD: &str = "/etc/passwd";
/// Where its groups do.
pub const GROUP: &str = "/etc/group";

impl Owner {
    /// Reads what was given.
    pub fn parse(text: &str) -> Result<Self, OwnerError> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        let is_name = |name: &str| !name.is_empty() && !name.contains([':', '/', '\n', ' ']);
        let user = Some(user).filter(|user| !user.is_empty());
        if user.is_none() && group.is_none() || !user.into_iter().chain(group).all(is_name) {
            return Err(OwnerError::Spelling { text: text.to_owned() });
        }
        Ok(Self { user: user.map(str::to_owned), group: group.map(str::to_owned) })
    }

    /// By number, with the texts of a host's /etc/passwd and /etc/group.
    pub fn ids(&self, passwd: &str, group: &str) -> Result<Ids, OwnerError> {
        let uid = self.user.as_deref().map(|name| id(passwd, name, PASSWD, "user")).transpose()?;
        let gid = self.group.as_deref().map(|name| id(group, name, GROUP, "group")).transpose()?;
        Ok(Ids { uid, gid })
    }
}

/// Both files have the name first and the number third. A name wins over a number, as with chown.
fn id(text: &str, name: &str, file: &'static str, kind: &'static str) -> Result<u32, OwnerError> {
    let unknown = || OwnerError::Unknown { file, kind, name: name.to_owned() };
    let mut lines = text.lines().map(|line| line.split(':'));
    let found = lines.find_map(|mut fields| (fields.next() == Some(name)).then(|| fields.nth(1)).flatten());
    match found {
        Some(number) => number.parse().map_err(|_| unknown()),
        // The highest number means 'as it is' to the kernel.
        None => name.parse().ok().filter(|number| *number != u32::MAX).ok_or_else(unknown),
    }
}

/// The name of a number, for people; the number itself where there is none.
pub fn name(text: &str, id: u32) -> String {
    let number = id.to_string();
    let mut lines = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = lines.find(|fields| fields.get(2) == Some(&number.as_str()));
    found.and_then(|fields| fields.first().map(|name| (*name).to_owned())).unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str =
        "root:x:0:0:root:/root:/bin/bash\nbob:x:1000:1000::/home/bob:/bin/sh\n1001:x:7:7::/:/bin/sh\n";
    const GROUPS: &str = "root:x:0:\nssl-cert:x:110:bob\n";

    fn ids(text: &str) -> Result<(Option<u32>, Option<u32>), OwnerError> {
        Owner::parse(text)?.ids(USERS, GROUPS).map(|ids| (ids.uid, ids.gid))
    }

    #[test]
    fn names_and_numbers_are_understood() {
        assert_eq!(ids("bob"), Ok((Some(1000), None)));
        assert_eq!(ids("bob:ssl-cert"), Ok((Some(1000), Some(110))));
        assert_eq!(ids(":ssl-cert"), Ok((None, Some(110))));
        assert_eq!(ids("4242:0"), Ok((Some(4242), Some(0))));
        assert_eq!(ids("1001"), Ok((Some(7), None)), "a name wins over a number");
    }

    #[test]
    fn what_is_no_owner_is_told_apart_from_who_is_unknown() {
        for text in ["", ":", "bob:", "a b", "a:b:c", "/x"] {
            assert!(matches!(ids(text), Err(OwnerError::Spelling { .. })), "{text}");
        }
        let unknown = ids("alice").unwrap_err().to_string();
        assert!(unknown.starts_with("/etc/passwd has no user 'alice'"), "{unknown}");
        let unknown = ids("bob:nobody").unwrap_err().to_string();
        assert!(unknown.starts_with("/etc/group has no group 'nobody'"), "{unknown}");
        assert!(ids("4294967295").is_err(), "the kernel takes that for 'as it is'");
    }

    #[test]
    fn a_number_is_shown_by_its_name() {
        assert_eq!((name(USERS, 1000), name(USERS, 12)), ("bob".to_owned(), "12".to_owned()));
    }
}
