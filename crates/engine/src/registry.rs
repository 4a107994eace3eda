//! What has to do with registries: requests that carry credentials, images that are pulled, tagged and pushed.

use crate::error::EngineError;
use crate::path::ApiPath;
use crate::{Answer, Engine, parse};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::time::Duration;

/// The header in which the engine takes credentials.
const HEADER: &str = "X-Registry-Auth";

/// What stands in it where there are none: the engine wants the header with every push. It is `{}`.
const NOBODY: &str = "e30=";

/// How long a transfer of an image may take as a whole.
const TRANSFER: Duration = Duration::from_secs(30 * 60);

/// Credentials for a registry, as the header has them. They are never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistryAuth(String);

impl RegistryAuth {
    /// The header's value: base64 of the engine's JSON, in the alphabet for URLs. `None` when it is none: a header must
    /// not be broken up by what a file says.
    pub fn of_header(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=".contains(&byte);
        let text = text.trim();
        (!text.is_empty() && text.bytes().all(plain)).then(|| Self(text.to_owned()))
    }

    /// The header's value, for whoever hands it on.
    pub fn header(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RegistryAuth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RegistryAuth(…)")
    }
}

/// What a push came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The digest under which the registry has the image.
    pub digest: String,
}

impl Engine {
    /// [`Engine::get`], with credentials where there are some.
    pub fn get_authorised<T: DeserializeOwned>(
        &self,
        path: &ApiPath,
        auth: Option<&RegistryAuth>,
    ) -> Result<T, EngineError> {
        let request = format!("GET {path}");
        let mut call = self.agent.get(self.url(path));
        if let Some(auth) = auth {
            call = call.header(HEADER, &auth.0);
        }
        parse(request.clone(), &self.text(request, call.call())?)
    }

    /// [`Engine::post`], with credentials where there are some.
    pub(crate) fn post_authorised<T: DeserializeOwned>(
        &self,
        path: &ApiPath,
        body: &Value,
        auth: Option<&RegistryAuth>,
    ) -> Result<T, EngineError> {
        let request = format!("POST {path}");
        let mut call = self.agent.post(self.url(path));
        if let Some(auth) = auth {
            call = call.header(HEADER, &auth.0);
        }
        parse(request.clone(), &self.text(request, call.send_json(body))?)
    }

    /// Pulls an image by its full reference.
    pub fn pull(&self, image: &str, auth: Option<&RegistryAuth>) -> Result<(), EngineError> {
        self.transfer(&ApiPath::pull(image), auth, |_| {})
    }

    /// Gives an image another name.
    pub fn tag_image(&self, image: &str, repository: &str, tag: &str) -> Result<(), EngineError> {
        let path = ApiPath::tag(image, repository, tag);
        let answer = self.agent.post(self.url(&path)).send_empty();
        self.text(format!("POST {path}"), answer).map(drop)
    }

    /// Pushes an image to the registry that its name begins with. `tell` hears what goes on, a line at a time.
    pub fn push(
        &self,
        repository: &str,
        tag: &str,
        auth: Option<&RegistryAuth>,
        mut tell: impl FnMut(&str),
    ) -> Result<Option<Pushed>, EngineError> {
        let mut pushed = None;
        self.transfer(&ApiPath::push(repository, tag), auth, |line| {
            if let Some(digest) = line.pointer("/aux/Digest").and_then(Value::as_str) {
                pushed = Some(Pushed { digest: digest.to_owned() });
            }
            if let Some(text) = progress(line) {
                tell(&text);
            }
        })?;
        Ok(pushed)
    }

    /// A request whose answer is a stream of JSON lines. The engine says 200 before it begins, so that what goes wrong
    /// stands in the stream.
    fn transfer(
        &self,
        path: &ApiPath,
        auth: Option<&RegistryAuth>,
        tell: impl FnMut(&Value),
    ) -> Result<(), EngineError> {
        let request = format!("POST {path}");
        let call = self.agent.post(self.url(path)).config().timeout_global(Some(TRANSFER)).build();
        let answer = call.header(HEADER, auth.map_or(NOBODY, |auth| &auth.0)).send_empty();
        self.hear(request, answer, tell)
    }

    /// Loads images from an archive as `docker save` writes it, compressed or not.
    pub fn load_image(&self, archive: &[u8]) -> Result<(), EngineError> {
        let path = ApiPath::load();
        let request = format!("POST {path}");
        let call = self.agent.post(self.url(&path)).config().timeout_global(Some(TRANSFER)).build();
        let answer = call.content_type("application/x-tar").send(archive);
        self.hear(request, answer, |_| {})
    }

    /// What the engine says while it does something, line by line.
    fn hear(&self, request: String, answer: Answer, mut tell: impl FnMut(&Value)) -> Result<(), EngineError> {
        if answer.as_ref().is_ok_and(|answer| !answer.status().is_success()) {
            return self.text(request, answer).map(drop);
        }
        let mut response = answer.map_err(|source| self.unreachable(source))?;
        for line in BufReader::new(response.body_mut().as_reader()).lines() {
            let line = line.map_err(|error| self.unreachable(error.into()))?;
            let Ok(line) = serde_json::from_str::<Value>(&line) else { continue };
            if let Some(message) = line.get("error").and_then(Value::as_str) {
                let message = message.trim().to_owned();
                return Err(EngineError::Answer { status: 500, request, message });
            }
            tell(&line);
        }
        Ok(())
    }
}

/// A line for people: what a layer came to, not how far it is.
fn progress(line: &Value) -> Option<String> {
    let status = line.get("status").and_then(Value::as_str)?;
    let moving =
        line.get("progressDetail").and_then(Value::as_object).is_some_and(|detail| !detail.is_empty());
    let id = line.get("id").and_then(Value::as_str).map_or_else(String::new, |id| format!("{id}: "));
    (!moving).then(|| format!("{id}{status}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn credentials_are_never_printed() {
        let auth = RegistryAuth::of_header(" eyJwYXNzd29yZCI6InNlY3JldCJ9\n").unwrap();
        assert_eq!(format!("{auth:?}"), "RegistryAuth(…)");
        assert_eq!(auth.header(), "eyJwYXNzd29yZCI6InNlY3JldCJ9");
        assert_eq!(RegistryAuth::of_header("a\r\nX-Other: b"), None);
        assert_eq!(RegistryAuth::of_header(""), None);
    }

    #[test]
    fn what_a_push_says_to_people() {
        let table = [
            (json!({ "status": "Pushed", "progressDetail": {}, "id": "abc" }), Some("abc: Pushed")),
            (json!({ "status": "Pushing", "progressDetail": { "current": 1 }, "id": "abc" }), None),
            (
                json!({ "status": "The push refers to repository [r/u]" }),
                Some("The push refers to repository [r/u]"),
            ),
            (json!({ "progressDetail": {}, "aux": { "Tag": "1", "Digest": "sha256:1" } }), None),
        ];
        for (line, said) in table {
            assert_eq!(progress(&line).as_deref(), said);
        }
    }
}
