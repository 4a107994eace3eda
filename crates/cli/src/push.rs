//! `careen image push`: an image of this engine to a registry. It needs no swarm.

use crate::args::{Format, PushArgs};
use crate::console::Console;
use crate::error::Failure;
use crate::exit::Exit;
use crate::registry::Credentials;
use crate::render::notes::Note;
use crate::render::print;
use crate::render::results::Pushed;
use careen_contract::chain;
use careen_engine::{Engine, EngineError};

/// What careen's own image is called where it was built.
const OWN: &str = "careen/installer";

/// Where an image goes.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    repository: String,
    tag: String,
}

/// Pushes, and says what the image is called from now on.
pub fn push(
    engine: &Engine,
    credentials: &Credentials,
    args: &PushArgs,
    format: Format,
    console: &mut impl Console,
) -> Result<Exit, Failure> {
    let image = args.image.clone().unwrap_or_else(|| format!("{OWN}:{}", env!("CARGO_PKG_VERSION")));
    let failed = |why: String, usage| Failure::NotPushed { image: image.clone(), why, usage };
    let Target { repository, tag } =
        target(&args.target, &image).map_err(|why| failed(why.to_string(), true))?;
    let auth = credentials.for_image(&repository).map_err(|error| failed(chain(&error), false))?;
    let tagged = engine.tag_image(&image, &repository, &tag);
    tagged.map_err(|error| failed(words(&error), false))?;
    let mut unheard = None;
    let pushed = engine.push(&repository, &tag, auth.as_ref(), |line| {
        if unheard.is_none() {
            unheard = print(&Note::RegistrySays { line }, format, console).err();
        }
    });
    let login = if auth.is_none() { "; 'docker login' has stored no credentials for it" } else { "" };
    let pushed = pushed.map_err(|error| failed(format!("{}{login}", words(&error)), false))?;
    let digest = pushed.ok_or_else(|| failed("the registry gave no digest for it".to_owned(), false))?.digest;
    let reference = format!("{repository}@{digest}");
    let pushed = Pushed { digest, image: reference.clone(), tag: format!("{repository}:{tag}") };
    print(&pushed, format, console)?;
    print(&Note::UseItWith { image: &reference }, format, console)?;
    Ok(Exit::Done)
}

fn words(error: &EngineError) -> String {
    match error {
        EngineError::Answer { message, .. } => message.clone(),
        EngineError::Unreachable { .. } | EngineError::Malformed { .. } => chain(error),
    }
}

/// A target that an image cannot be pushed to.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum InvalidTarget {
    #[error(
        "'{given}' names no registry: it is HOST[:PORT] or HOST[:PORT]/NAME[:TAG]; docker's own is docker.io/NAME"
    )]
    NoRegistry { given: String },
    #[error("an image is pushed by its name")]
    ByDigest,
}

/// `HOST[:PORT]` takes the image under its own name; with a path behind it that is the name.
fn target(given: &str, image: &str) -> Result<Target, InvalidTarget> {
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
