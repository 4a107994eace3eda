//! An image's name becomes its digest, so that every node runs the same one whatever happens to the name meanwhile.

use crate::backend::ImageLook;
use careen_contract::label;
use careen_engine::{ApiPath, Engine, EngineError, FileInContainer};
use careen_planner::needs::Platform;
use serde_json::{Value, json};

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum NoPin {
    /// Everybody who was asked has looked.
    #[error("{why}")]
    Nobody {
        /// Who was asked, and their words.
        why: String,
    },
    /// An engine that cannot be asked.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl NoPin {
    fn nobody(why: impl Into<String>) -> Self {
        Self::Nobody { why: why.into() }
    }
}

/// Pins a name that is this engine's own: no registry is asked.
pub fn pin_here(image: &str, on_engine: Result<Value, EngineError>) -> Result<String, NoPin> {
    of_engine(image, on_engine)
}

/// Pins a name. One with a registry's host is looked up there first, and then on the asked engine; any other the other
/// way round: a short name means what this machine has under it, and is not by mistake a stranger's on a public registry.
pub fn pin(
    image: &str,
    in_registry: impl Fn() -> Result<Value, EngineError>,
    on_engine: impl Fn() -> Result<Value, EngineError>,
) -> Result<String, NoPin> {
    if image.contains("@sha256:") || image.starts_with("sha256:") {
        return Ok(image.to_owned());
    }
    let registry = || of_registry(image, in_registry());
    let engine = || of_engine(image, on_engine());
    let (first, second) = if has_host(image) { (registry(), None) } else { (engine(), Some(())) };
    let first = match first {
        Ok(pinned) => return Ok(pinned),
        Err(why) => why,
    };
    let other = if second.is_some() { registry() } else { engine() };
    other.map_err(|why| match (first, why) {
        (NoPin::Nobody { why: first }, NoPin::Nobody { why: second }) => {
            NoPin::nobody(format!("{first}; {second}"))
        }
        (error @ NoPin::Engine(_), _) | (_, error @ NoPin::Engine(_)) => error,
    })
}

/// What an image of this engine's has, seen in a container that never starts and is removed at once; where nothing is looked
/// for, without one. `None` when the engine does not have the image.
pub fn look_into(engine: &Engine, image: &str, files: &[String]) -> Result<Option<ImageLook>, EngineError> {
    let Some(found) = engine.find::<Value>(&ApiPath::image(image))? else { return Ok(None) };
    let id = found.get("Id").and_then(Value::as_str).unwrap_or(image).to_owned();
    let label = |name| found.pointer("/Config/Labels")?.get(name)?.as_str();
    let protocol = label(label::PROTOCOL).map(str::to_owned);
    let leaves_engine = label(label::TOUCHES_ENGINE) == Some(label::LEAVES_ENGINE);
    if files.is_empty() {
        return Ok(Some(ImageLook { id, protocol, leaves_engine, missing: Vec::new() }));
    }
    let container = engine.create_container(&json!({ "Image": image, "Cmd": ["never"] }))?;
    let has = |file: &String| engine.has_path(&container, file).map(|has| (!has).then(|| file.clone()));
    let missing = files.iter().filter_map(|file| has(file).transpose()).collect::<Result<Vec<_>, _>>();
    let removed = engine.remove_container(&container);
    let missing = missing?;
    removed?;
    Ok(Some(ImageLook { id, protocol, leaves_engine, missing }))
}

/// A file of an image's, read in a container that never starts and is removed at once. `None` when the engine does not have the image.
pub fn read(
    engine: &Engine,
    image: &str,
    path: &str,
    most: usize,
) -> Result<Option<FileInContainer>, EngineError> {
    if engine.find::<Value>(&ApiPath::image(image))?.is_none() {
        return Ok(None);
    }
    let container = engine.create_container(&json!({ "Image": image, "Cmd": ["never"] }))?;
    let read = engine.read_file(&container, path, most);
    let removed = engine.remove_container(&container);
    let read = read?;
    removed?;
    Ok(Some(read))
}

/// Whether an image is pinned to what only engines know it by: its id.
pub fn in_no_registry(image: &str) -> bool {
    image.starts_with("sha256:")
}

/// The platforms that an engine's own image is made for.
pub fn platforms_of_engine(answer: Option<Value>) -> Vec<Platform> {
    let word = |answer: &Value, name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
    let platform = answer
        .and_then(|answer| Some(Platform { os: word(&answer, "Os")?, arch: word(&answer, "Architecture")? }));
    platform.into_iter().collect()
}

/// The platforms that a registry has an image for. What is no platform (an attestation) is left out.
pub fn platforms_of_registry(answer: Option<Value>) -> Vec<Platform> {
    let answer = answer.unwrap_or_default();
    let listed = answer.get("Platforms").and_then(Value::as_array).into_iter().flatten();
    let word = |one: &Value, name: &str| one.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let platforms = listed.map(|one| Platform { os: word(one, "os"), arch: word(one, "architecture") });
    platforms.filter(|one| !one.arch.is_empty() && one.arch != "unknown").collect()
}

/// Whether a name's first part is a registry's host.
fn has_host(image: &str) -> bool {
    let host = image.split_once('/').map(|(host, _)| host);
    host.is_some_and(|host| host == "localhost" || host.contains(['.', ':']))
}

/// A name without its tag.
fn repository(image: &str) -> &str {
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        Some(_) | None => image,
    }
}

fn of_registry(image: &str, answer: Result<Value, EngineError>) -> Result<String, NoPin> {
    let answer = answer.map_err(|error| refused("the registry", error))?;
    let digest = answer.pointer("/Descriptor/digest").and_then(Value::as_str);
    let digest = digest.ok_or_else(|| NoPin::nobody("the registry gives no digest"))?;
    Ok(format!("{}@{digest}", repository(image)))
}

fn of_engine(image: &str, answer: Result<Value, EngineError>) -> Result<String, NoPin> {
    let answer = answer.map_err(|error| refused("this engine", error))?;
    let of_name = |digest: &&str| digest.split_once('@').is_some_and(|(name, _)| name == repository(image));
    let digests = answer.get("RepoDigests").and_then(Value::as_array).into_iter().flatten();
    let digest = digests.filter_map(Value::as_str).find(of_name);
    let pinned = digest.or_else(|| answer.get("Id").and_then(Value::as_str));
    pinned.map(str::to_owned).ok_or_else(|| NoPin::nobody("this engine gives no id"))
}

/// An engine that answers has looked; one that does not has not.
fn refused(who: &str, error: EngineError) -> NoPin {
    match error {
        EngineError::Answer { message, .. } => NoPin::nobody(format!("{who}: {message}")),
        EngineError::Unreachable { .. } | EngineError::Malformed { .. } => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn no() -> EngineError {
        EngineError::Answer { status: 404, request: "GET".into(), message: "no such image".into() }
    }

    fn of(image: &str, registry: bool, engine: Option<&str>) -> Result<String, String> {
        let in_registry =
            || registry.then(|| json!({ "Descriptor": { "digest": "sha256:11" } })).ok_or_else(no);
        let on_engine = || {
            let found = engine.map(|digest| json!({ "Id": "sha256:22", "RepoDigests": [digest] }));
            found.ok_or_else(no)
        };
        pin(image, in_registry, on_engine).map_err(|error| error.to_string())
    }

    #[test]
    fn every_image_that_is_built_or_shown_says_for_which_careen() {
        let label = format!("LABEL {}={}\n", label::PROTOCOL, label::THIS_PROTOCOL);
        for text in [
            include_str!("../../../image/Dockerfile"),
            include_str!("../../../examples/ansible/Dockerfile"),
            include_str!("../../../docs/payload-contract.md"),
        ] {
            assert!(text.contains(&label), "{label}: {text}");
        }
    }

    #[test]
    fn an_image_says_for_which_platforms_it_is() {
        let arches = |found: Vec<Platform>| found.into_iter().map(|one| one.arch).collect::<Vec<_>>();
        let engine = json!({ "Os": "linux", "Architecture": "amd64" });
        assert_eq!(arches(platforms_of_engine(Some(engine))), ["amd64"]);
        assert!(platforms_of_engine(Some(json!({}))).is_empty() && platforms_of_engine(None).is_empty());
        let registry = json!({ "Platforms": [
            { "architecture": "amd64", "os": "linux" },
            { "architecture": "unknown", "os": "unknown" },
            { "architecture": "arm64", "os": "linux" },
        ] });
        assert_eq!(arches(platforms_of_registry(Some(registry))), ["amd64", "arm64"]);
        assert!(platforms_of_registry(None).is_empty());
    }

    #[test]
    fn a_name_becomes_what_its_registry_says_or_what_this_engine_has() {
        let ok = |text: &str| Ok(text.to_owned());
        assert_eq!(of("r.example:5000/u:1", true, None), ok("r.example:5000/u@sha256:11"));
        assert_eq!(
            of("r.example:5000/u", true, Some("r.example:5000/u@sha256:33")),
            ok("r.example:5000/u@sha256:11")
        );
        assert_eq!(of("r.example/u:1", false, Some("r.example/u@sha256:33")), ok("r.example/u@sha256:33"));
        assert_eq!(of("u:1", true, Some("other@sha256:33")), ok("sha256:22"), "not the public one's");
        assert_eq!(of("u:1", true, None), ok("u@sha256:11"));
        assert_eq!(of("u@sha256:44", false, None), ok("u@sha256:44"));
        assert!(matches!(pin_here("u:1", Err(no())), Err(NoPin::Nobody { .. })));
        let why = of("u:1", false, None).unwrap_err();
        assert_eq!(why, "this engine: no such image; the registry: no such image");
    }
}
