//! Where an image is pushed to, and why it does not get there. Pure.

use crate::registry::CredentialsError;
use careen_contract::chain;
use careen_engine::EngineError;

/// Where an image goes.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name there, without a tag.
    pub repository: String,
    /// Its tag there.
    pub tag: String,
}

/// Why an image is not in a registry.
#[derive(Debug, thiserror::Error)]
pub enum NotPushed {
    /// The call is wrong.
    #[error(transparent)]
    Target(#[from] InvalidTarget),
    /// The credentials for the registry cannot be had.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The engine or the registry says no.
    #[error("{message}")]
    Refused { message: String },
    /// The engine gave no answer that can be used.
    #[error(transparent)]
    Engine(EngineError),
    /// The same where nobody has logged in, which may be why.
    #[error("{}; 'docker login' has stored no credentials for it", chain(.why))]
    NoLogin { why: Box<NotPushed> },
    /// Nobody built or loaded it.
    #[error("this engine does not have it, and this careen carries none")]
    NotHere,
    /// By what name hosts would pull it is unknown.
    #[error("the registry gave no digest for it")]
    NoDigest,
}

impl From<EngineError> for NotPushed {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Answer { message, .. } => Self::Refused { message },
            EngineError::Unreachable { .. } | EngineError::Malformed { .. } => Self::Engine(error),
        }
    }
}

/// A target that an image cannot be pushed to.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    #[error(
        "'{given}' names no registry: it is HOST[:PORT] or HOST[:PORT]/NAME[:TAG]; docker's own is docker.io/NAME"
    )]
    NoRegistry { given: String },
    #[error("an image is pushed by its name")]
    ByDigest,
}

/// `HOST[:PORT]` takes the image under its own name; with a path behind it that is the name.
pub fn target(given: &str, image: &str) -> Result<Target, InvalidTarget> {
    let (host, path) = match given.split_once('/') {
        Some((host, path)) => (host, path),
        None => (given, ""),
    };
    let is_host = host == "localhost" || host.contains(['.', ':']);
    if !is_host
        || given.contains(char::is_whitespace)
        || given.contains(['@', '?', '#'])
        || given.ends_with('/')
    {
        return Err(InvalidTarget::NoRegistry { given: given.to_owned() });
    }
    if image.contains('@') || image.starts_with("sha256:") {
        return Err(InvalidTarget::ByDigest);
    }
    let (own_name, own_tag) = split(image);
    // A registry's host in front of the image's own name stays behind.
    let own_name = match own_name.split_once('/') {
        Some((host, rest)) if host == "localhost" || host.contains(['.', ':']) => rest,
        Some(_) | None => own_name,
    };
    let (name, tag) = if path.is_empty() { (own_name, None) } else { split(path) };
    let tag = tag.or(own_tag).unwrap_or("latest");
    Ok(Target { repository: format!("{host}/{name}"), tag: tag.to_owned() })
}

fn split(image: &str) -> (&str, Option<&str>) {
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        Some(_) | None => (image, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_keeps_its_name_unless_it_gets_another() {
        let own = "careen/installer:0.1.0";
        let table = [
            ("r.example", own, "r.example/careen/installer", "0.1.0"),
            ("r.example:5000", own, "r.example:5000/careen/installer", "0.1.0"),
            ("localhost:5000", "update", "localhost:5000/update", "latest"),
            ("r.example:5000/ops/careen", own, "r.example:5000/ops/careen", "0.1.0"),
            ("r.example/ops/careen:7", own, "r.example/ops/careen", "7"),
            ("r.example", "old.example:5000/ops/update:3", "r.example/ops/update", "3"),
            ("docker.io/me/careen", own, "docker.io/me/careen", "0.1.0"),
        ];
        for (given, image, repository, tag) in table {
            let expected = Target { repository: repository.into(), tag: tag.into() };
            assert_eq!(target(given, image), Ok(expected), "{given}");
        }
        for given in ["", "me", "me/careen", "r.example/", "r.example/a b", "r.example/a@sha256:0"] {
            assert!(target(given, own).unwrap_err().to_string().contains("names no registry"), "{given}");
        }
        assert!(target("r.example", "sha256:00").is_err() && target("r.example", "u@sha256:00").is_err());
    }
}
