//! Credentials for registries, where docker keeps them: its config file, or a program that it names.

use crate::credential_helper::{self, HelperFailed, Login};
use crate::docker_config::{self, Unreadable};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use careen_engine::RegistryAuth;
use serde_json::{Value, json};
use std::path::PathBuf;

/// How docker's own registry is called in its config file.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// Why there is no answer to the question for credentials. Neither says what is in them.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum CredentialsError {
    /// The file is there and of no use.
    #[error("docker's config file {path} cannot be read")]
    File { path: PathBuf, source: Unreadable },
    /// What the file says for a registry is no credentials.
    #[error("what docker's config file has for {registry} are no credentials")]
    Entry { registry: String },
    /// The program that has them failed.
    #[error("docker-credential-{helper}, which has the credentials for {registry}, failed")]
    Helper {
        /// Its name behind 'docker-credential-'.
        helper: String,
        registry: String,
        source: HelperFailed,
    },
}

impl CredentialsError {
    /// What to do next.
    pub const fn next(&self) -> &'static str {
        match self {
            Self::File { .. } | Self::Entry { .. } => "'docker login REGISTRY' stores them anew",
            Self::Helper { .. } => {
                "docker's config.json names the program (credHelpers, credsStore): install it, or take its name out and type 'docker login REGISTRY'"
            }
        }
    }
}

/// Where docker keeps credentials.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    path: Option<PathBuf>,
}

impl Credentials {
    /// In this directory: `DOCKER_CONFIG`, or `~/.docker`.
    pub fn of_directory(directory: Option<PathBuf>) -> Self {
        Self { path: directory.map(|directory| directory.join("config.json")) }
    }

    /// Those for the registry of an image; `None` when there are none.
    pub fn for_image(&self, image: &str) -> Result<Option<RegistryAuth>, CredentialsError> {
        let Some(config) = self.read()? else { return Ok(None) };
        let server = server(image);
        let credentials = match helper(&config, &server) {
            Some(helper) => ask(helper, &server)?,
            None => stored(&config, &server)?,
        };
        Ok(credentials.and_then(|credentials| {
            RegistryAuth::of_header(&BASE64_URL_SAFE.encode(credentials.to_string()))
        }))
    }

    fn read(&self) -> Result<Option<Value>, CredentialsError> {
        let Some(path) = &self.path else { return Ok(None) };
        docker_config::read(path).map_err(|source| CredentialsError::File { path: path.clone(), source })
    }
}

/// Under which name docker keeps what belongs to an image's registry.
pub fn server(image: &str) -> String {
    let host = image.split_once('/').map(|(host, _)| host);
    match host.filter(|host| *host == "localhost" || host.contains(['.', ':'])) {
        None | Some("docker.io" | "index.docker.io") => DOCKER_HUB.to_owned(),
        Some(host) => host.to_owned(),
    }
}

/// The program that has a server's credentials.
fn helper<'a>(config: &'a Value, server: &str) -> Option<&'a str> {
    let of_server = config.get("credHelpers").and_then(|helpers| helpers.get(server)).and_then(Value::as_str);
    let of_all = || config.get("credsStore").and_then(Value::as_str);
    of_server.or_else(of_all).filter(|helper| !helper.is_empty())
}

/// What the config file itself has for a server, as the engine wants it.
fn stored(config: &Value, server: &str) -> Result<Option<Value>, CredentialsError> {
    let entries = config.get("auths").and_then(Value::as_object);
    let exact = entries.and_then(|entries| entries.get(server));
    // Logins of old times are kept with scheme and path.
    let similar = || entries?.iter().find(|(name, _)| host(name) == host(server)).map(|(_, entry)| entry);
    let Some(entry) = exact.or_else(similar) else { return Ok(None) };
    let text = |name: &str| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(token) = text("identitytoken") {
        return Ok(Some(json!({ "identitytoken": token, "serveraddress": server })));
    }
    let pair = match (text("auth"), text("username"), text("password")) {
        (Some(auth), _, _) => {
            let decoded = BASE64_STANDARD.decode(auth).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let pair = decoded.as_deref().and_then(|text| text.trim_end_matches('\0').split_once(':'));
            let pair = pair.map(|(username, password)| (username.to_owned(), password.to_owned()));
            Some(pair.ok_or_else(|| CredentialsError::Entry { registry: server.to_owned() })?)
        }
        (None, Some(username), Some(password)) => Some((username.to_owned(), password.to_owned())),
        // An entry without anything is left where a program has the credentials.
        (None, _, _) => None,
    };
    Ok(pair.map(
        |(username, password)| json!({ "username": username, "password": password, "serveraddress": server }),
    ))
}

fn host(server: &str) -> &str {
    let server = server.strip_prefix("https://").or_else(|| server.strip_prefix("http://")).unwrap_or(server);
    server.split('/').next().unwrap_or(server)
}

/// Asks a program.
fn ask(helper: &str, server: &str) -> Result<Option<Value>, CredentialsError> {
    let login = credential_helper::ask(helper, server).map_err(|source| CredentialsError::Helper {
        helper: helper.to_owned(),
        registry: server.to_owned(),
        source,
    })?;
    Ok(login.map(|Login { username, secret }| match username.as_str() {
        "<token>" => json!({ "identitytoken": secret, "serveraddress": server }),
        _ => json!({ "username": username, "password": secret, "serveraddress": server }),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_contract::chain;

    fn of(config: &Value, image: &str) -> Result<Option<Value>, String> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("config.json"), config.to_string()).unwrap();
        let found = Credentials::of_directory(Some(directory.path().to_owned())).for_image(image);
        let decoded = |auth: RegistryAuth| {
            serde_json::from_slice(&BASE64_URL_SAFE.decode(auth.header()).unwrap()).unwrap()
        };
        found.map(|auth| auth.map(decoded)).map_err(|error| chain(&error))
    }

    #[test]
    fn a_login_is_found_by_the_images_registry() {
        let auth = BASE64_STANDARD.encode("user:pass:word");
        let config = json!({ "auths": {
            "r.example:5000": { "auth": auth },
            "https://old.example/v1/": { "auth": auth },
            "token.example": { "auth": auth, "identitytoken": "t" },
            "https://index.docker.io/v1/": { "username": "u", "password": "p" },
            "empty.example": {},
            "bad.example": { "auth": "%%%" },
        } });
        let pair =
            |server: &str| json!({ "username": "user", "password": "pass:word", "serveraddress": server });
        assert_eq!(of(&config, "r.example:5000/update@sha256:00"), Ok(Some(pair("r.example:5000"))));
        assert_eq!(of(&config, "old.example/update"), Ok(Some(pair("old.example"))));
        let token = json!({ "identitytoken": "t", "serveraddress": "token.example" });
        assert_eq!(of(&config, "token.example/a/b:1"), Ok(Some(token)));
        let hub = json!({ "username": "u", "password": "p", "serveraddress": DOCKER_HUB });
        for image in ["update", "me/update:1", "docker.io/me/update"] {
            assert_eq!(of(&config, image), Ok(Some(hub.clone())), "{image}");
        }
        assert_eq!(of(&config, "empty.example/x"), Ok(None));
        assert_eq!(of(&config, "r.example/x"), Ok(None), "another port is another registry");
        let error = of(&config, "bad.example/x").unwrap_err();
        assert!(error.contains("bad.example") && !error.contains("%%%"), "{error}");
    }

    #[test]
    fn a_config_file_that_is_not_there_has_none_and_a_torn_one_is_an_error() {
        assert!(Credentials::default().for_image("r.example/x").unwrap().is_none());
        let directory = tempfile::tempdir().unwrap();
        let credentials = Credentials::of_directory(Some(directory.path().to_owned()));
        assert!(credentials.for_image("r.example/x").unwrap().is_none());
        std::fs::write(directory.path().join("config.json"), "{\"auths\": secret").unwrap();
        let error = chain(&credentials.for_image("r.example/x").unwrap_err());
        assert!(error.contains("config.json") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn programs_that_have_credentials_are_chosen_as_docker_does() {
        let config = json!({ "credsStore": "all", "credHelpers": { "r.example": "one" } });
        assert_eq!(helper(&config, "r.example"), Some("one"));
        assert_eq!(helper(&config, "other.example"), Some("all"));
        assert_eq!(helper(&json!({ "credsStore": "" }), "r.example"), None);
        let error = of(&json!({ "credsStore": "careen-is-not-there" }), "r.example/x").unwrap_err();
        assert!(error.contains("docker-credential-careen-is-not-there"), "{error}");
    }
}
