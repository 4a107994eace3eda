//! Which engine is meant, as the docker CLI decides it: flags, variables, and its contexts.
//!
//! What is chosen and cannot be used is an error. The default engine in its place may be that of another swarm.

use crate::docker_config::{self, Unreadable};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The context that is no file: this machine's engine, or that of DOCKER_HOST.
const DEFAULT: &str = "default";

/// What flags and variables say of the engine. An empty variable says nothing.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// `--host`, each in its turn.
    pub hosts: Vec<String>,
    /// `--context`.
    pub context: Option<String>,
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// `DOCKER_CONTEXT`.
    pub docker_context: Option<String>,
}

/// What is meant by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chosen {
    /// These addresses, with TLS as the environment has it. An empty one is the default.
    Hosts(Vec<String>),
    /// The docker context of this name.
    Context(String),
}

/// A docker context, as far as it tells of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The engine's address.
    pub host: String,
    /// Whether any certificate of the engine is good enough.
    pub skip_verify: bool,
    /// Where its certificates are, or would be.
    pub certificates: PathBuf,
    /// Whether its engine speaks TLS: there are certificates, or any of the engine's is good enough.
    pub tls: bool,
}

/// Why it is not known which engine is meant.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum UnusableContext {
    /// Both were given.
    #[error("--host and --context each name an engine: give one of them")]
    Conflict,
    /// Nobody knows which context is chosen.
    #[error("whether a docker context is chosen cannot be told: {path}")]
    Config {
        /// The docker CLI's config file.
        path: PathBuf,
        source: NoContext,
    },
    /// A name and nothing behind it.
    #[error("there is no docker context '{name}' in {directory}; {}", those(.known))]
    Missing {
        name: String,
        directory: PathBuf,
        /// Those that are there.
        known: Vec<String>,
    },
    /// There is no directory that could have it.
    #[error(
        "the docker context '{name}' is chosen, and nobody knows where contexts are: neither DOCKER_CONFIG nor HOME is set"
    )]
    NoDirectory { name: String },
    /// Its file is there, and of no use.
    #[error("the docker context '{name}' cannot be used: {path}")]
    Damaged { name: String, path: PathBuf, source: NoContext },
}

/// What is wrong with a file that is to name a context, or to be one.
#[derive(Debug, thiserror::Error)]
pub enum NoContext {
    /// It cannot be read at all.
    #[error(transparent)]
    File(#[from] Unreadable),
    /// It names none.
    #[error("its currentContext is no name")]
    NoName,
    /// It is of something else than docker.
    #[error("it names no docker engine")]
    NoEngine,
}

fn those(known: &[String]) -> String {
    if known.is_empty() { "there are none".to_owned() } else { format!("there are: {}", known.join(", ")) }
}

/// Decides as the docker CLI does: `--context`, `--host`, `DOCKER_HOST`, `DOCKER_CONTEXT`, its config file. The file is asked only when
/// nothing else decides.
pub fn choose(
    wishes: &Wishes,
    current: impl FnOnce() -> Result<Option<String>, UnusableContext>,
) -> Result<Chosen, UnusableContext> {
    let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let here = || Chosen::Hosts(vec![said(&wishes.docker_host).unwrap_or_default()]);
    let context = match said(&wishes.context) {
        Some(_) if !wishes.hosts.is_empty() => return Err(UnusableContext::Conflict),
        Some(name) => Some(name),
        None if !wishes.hosts.is_empty() => return Ok(Chosen::Hosts(wishes.hosts.clone())),
        None if said(&wishes.docker_host).is_some() => return Ok(here()),
        None => match said(&wishes.docker_context) {
            Some(name) => Some(name),
            None => current()?.filter(|name| !name.is_empty()),
        },
    };
    Ok(context.filter(|name| name != DEFAULT).map_or_else(here, Chosen::Context))
}

/// The context of `docker context use`, as the docker CLI's config file has it.
pub fn current(config: &Path) -> Result<Option<String>, UnusableContext> {
    let unusable = |source: NoContext| UnusableContext::Config { path: config.to_owned(), source };
    let Some(config) = docker_config::read(config).map_err(|error| unusable(error.into()))? else {
        return Ok(None);
    };
    match config.get("currentContext") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) => Ok(Some(name.clone())),
        Some(_) => Err(unusable(NoContext::NoName)),
    }
}

/// Reads a context of the docker CLI's directory.
pub fn read(docker: Option<&Path>, name: &str) -> Result<Context, UnusableContext> {
    let named = || name.to_owned();
    let docker = docker.ok_or_else(|| UnusableContext::NoDirectory { name: named() })?;
    let directory = docker.join("contexts");
    let id = id(name);
    let path = directory.join("meta").join(&id).join("meta.json");
    let damaged = |source| UnusableContext::Damaged { name: named(), path: path.clone(), source };
    let Some(meta) = docker_config::read(&path).map_err(|error| damaged(error.into()))? else {
        let known = names(&directory.join("meta"));
        return Err(UnusableContext::Missing { name: named(), directory, known });
    };
    let endpoint = meta.pointer("/Endpoints/docker").ok_or_else(|| damaged(NoContext::NoEngine))?;
    let host = endpoint.get("Host").map_or(Some(""), Value::as_str);
    let host = host.ok_or_else(|| damaged(NoContext::NoEngine))?.to_owned();
    let skip_verify = endpoint.get("SkipTLSVerify").and_then(Value::as_bool).unwrap_or_default();
    let certificates = directory.join("tls").join(id).join("docker");
    let has = certificates.try_exists().map_err(|error| damaged(Unreadable::from(error).into()))?;
    Ok(Context { host, skip_verify, certificates, tls: has || skip_verify })
}

/// How the docker CLI calls the directories of a context.
fn id(name: &str) -> String {
    Sha256::digest(name).iter().fold(String::new(), |mut id, byte| {
        // A string takes whatever is written.
        let _always = write!(id, "{byte:02x}");
        id
    })
}

/// The names of all contexts that can be read, for people.
fn names(meta: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(meta).into_iter().flatten().flatten();
    let read = entries.filter_map(|entry| docker_config::read(&entry.path().join("meta.json")).ok()?);
    let mut names: Vec<String> =
        read.filter_map(|meta| meta.get("Name").and_then(Value::as_str).map(str::to_owned)).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: fn() -> Result<Option<String>, UnusableContext> =
        || panic!("the config file is asked only when nothing else decides");

    fn hosts(all: &[&str]) -> Chosen {
        Chosen::Hosts(all.iter().map(|host| (*host).to_owned()).collect())
    }

    fn context(name: &str) -> Chosen {
        Chosen::Context(name.to_owned())
    }

    fn wishes(all: &[&str], context: &str, docker_host: &str, docker_context: &str) -> Wishes {
        let hosts = all.iter().map(|host| (*host).to_owned()).collect();
        let said = |text: &str| Some(text.to_owned());
        let (docker_host, docker_context) = (said(docker_host), said(docker_context));
        Wishes { hosts, context: said(context), docker_host, docker_context }
    }

    #[test]
    fn the_order_is_the_docker_clis() {
        for (wishes, chosen) in [
            (wishes(&[], "flag", "tcp://m1", "variable"), context("flag")),
            (wishes(&["tcp://m2", "tcp://m3"], "", "tcp://m1", "variable"), hosts(&["tcp://m2", "tcp://m3"])),
            // An empty --host is this machine's engine, whatever else is set.
            (wishes(&[""], "", "tcp://m1", "variable"), hosts(&[""])),
            (wishes(&[], "", "tcp://m1", "variable"), hosts(&["tcp://m1"])),
            (wishes(&[], "", "", "variable"), context("variable")),
            // The default context is DOCKER_HOST's engine.
            (wishes(&[], "default", "tcp://m1", "variable"), hosts(&["tcp://m1"])),
            (wishes(&[], "", "", "default"), hosts(&[""])),
        ] {
            assert_eq!(choose(&wishes, NOBODY).unwrap(), chosen, "{wishes:?}");
        }
        let file = |name: &str| {
            let name = Some(name.to_owned());
            choose(&Wishes::default(), || Ok(name)).unwrap()
        };
        assert_eq!(file("prod"), context("prod"));
        assert_eq!(file("default"), hosts(&[""]));
        assert_eq!(choose(&Wishes::default(), || Ok(None)).unwrap(), hosts(&[""]));
        let both = choose(&wishes(&["tcp://m1"], "prod", "", ""), NOBODY);
        assert!(matches!(both, Err(UnusableContext::Conflict)), "{both:?}");
    }

    #[test]
    fn the_config_file_names_a_context_or_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        let says = |text: &str| {
            std::fs::write(&path, text).unwrap();
            current(&path)
        };
        assert_eq!(says(r#"{"auths":{},"currentContext":"prod"}"#).unwrap(), Some("prod".into()));
        assert_eq!(says("{}").unwrap(), None);
        for damaged in ["torn", "", "{\"currentContext\":1}"] {
            let error = says(damaged).unwrap_err().to_string();
            assert!(error.contains(&path.display().to_string()), "{error}");
        }
        assert_eq!(current(&directory.path().join("none")).unwrap(), None);
        assert!(current(directory.path()).is_err(), "what cannot be read is not absent");
    }

    /// Writes a context as `docker context create` does.
    fn create(docker: &Path, name: &str, meta: &str) {
        let directory = docker.join("contexts/meta").join(id(name));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("meta.json"), meta).unwrap();
    }

    #[test]
    fn a_context_says_where_its_engine_is_and_where_its_certificates_are() {
        let docker = tempfile::tempdir().unwrap();
        let docker = docker.path();
        let meta = |skip: bool| {
            format!(
                r#"{{"Name":"prod","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"tcp://m1:2376","SkipTLSVerify":{skip}}}}}}}"#
            )
        };
        let read = || read(Some(docker), "prod").unwrap();
        // What 'printf prod | sha256sum' says.
        let id = "6754af9632a2745e85c293e5aac0863370d9bd3330b9938c00cadfd215227d77";
        let certificates = docker.join("contexts/tls").join(id).join("docker");
        let host = || "tcp://m1:2376".to_owned();
        create(docker, "prod", &meta(false));
        let open =
            Context { host: host(), skip_verify: false, certificates: certificates.clone(), tls: false };
        assert_eq!(read(), open);
        std::fs::create_dir_all(&certificates).unwrap();
        assert_eq!(read(), Context { tls: true, ..open.clone() });
        std::fs::remove_dir(&certificates).unwrap();
        create(docker, "prod", &meta(true));
        assert_eq!(read(), Context { skip_verify: true, tls: true, ..open });
    }

    #[test]
    fn a_context_that_does_not_exist_is_named_with_those_that_do() {
        let docker = tempfile::tempdir().unwrap();
        let missing = |name| read(Some(docker.path()), name).unwrap_err().to_string();
        assert!(missing("prod").contains("no docker context 'prod' in"), "{}", missing("prod"));
        assert!(missing("prod").ends_with("; there are none"), "{}", missing("prod"));
        let meta =
            |name: &str| format!(r#"{{"Name":"{name}","Endpoints":{{"docker":{{"Host":"tcp://m1"}}}}}}"#);
        create(docker.path(), "test", &meta("test"));
        create(docker.path(), "lab", &meta("lab"));
        assert!(missing("prod").ends_with("; there are: lab, test"), "{}", missing("prod"));
        assert!(matches!(read(None, "prod"), Err(UnusableContext::NoDirectory { .. })));
    }

    #[test]
    fn a_damaged_context_is_not_an_absent_one() {
        let docker = tempfile::tempdir().unwrap();
        for damaged in
            ["torn", "{}", r#"{"Endpoints":{"kubernetes":{}}}"#, r#"{"Endpoints":{"docker":{"Host":1}}}"#]
        {
            create(docker.path(), "prod", damaged);
            let error = read(Some(docker.path()), "prod").unwrap_err();
            assert!(matches!(error, UnusableContext::Damaged { .. }), "{damaged}: {error}");
        }
    }
}
