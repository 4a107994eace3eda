//! Where the API has what. Every path, and how names and filters travel in it, is spelled here alone.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use std::fmt;

/// What may stand in the value of a query as it is.
const IN_A_QUERY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'=');

/// What the swarm's store keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are Swarm's own words")]
pub enum Kind {
    Nodes,
    Services,
    Tasks,
    Configs,
    Secrets,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Services => "services",
            Self::Tasks => "tasks",
            Self::Configs => "configs",
            Self::Secrets => "secrets",
        }
    }
}

/// Whose log is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source<'a> {
    /// A container of the asked engine, by its id or name.
    Container(&'a str),
    /// A task of any node, by its id.
    Task(&'a str),
    /// All tasks of a service, by its id or name.
    Service(&'a str),
}

/// What of a log is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogQuery {
    /// Standard output too. Standard error always is.
    pub stdout: bool,
    /// Each line begins with the time at which it was written.
    pub timestamps: bool,
    /// No more than so many of the last lines.
    pub tail: Option<u32>,
    /// Only what was written in this second of the epoch or later.
    pub since: Option<i64>,
    /// The answer goes on with what is written from then on.
    pub follow: bool,
    /// Each line begins with its attributes: of a service's, in the swarm, its task and node.
    pub details: bool,
}

/// A path of the API with its query. Only this crate makes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiPath(String);

impl fmt::Display for ApiPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl ApiPath {
    pub(crate) fn ping() -> Self {
        Self("/_ping".to_owned())
    }

    /// The engine about itself, and its part in a swarm.
    pub fn info() -> Self {
        Self("/info".to_owned())
    }

    /// The engine's version.
    pub fn version() -> Self {
        Self("/version".to_owned())
    }

    /// The swarm's own settings.
    pub(crate) fn swarm() -> Self {
        Self("/swarm".to_owned())
    }

    pub(crate) fn unlock_key() -> Self {
        Self("/swarm/unlockkey".to_owned())
    }

    pub(crate) fn unlock() -> Self {
        Self("/swarm/unlock".to_owned())
    }

    /// All objects of a kind.
    pub fn all(kind: Kind) -> Self {
        Self(format!("/{}", kind.name()))
    }

    /// The objects of a kind that fit these filters.
    pub fn list(kind: Kind, filters: &Value) -> Self {
        Self(format!("/{}?filters={}", kind.name(), escaped(&filters.to_string())))
    }

    /// All services, with how many of their tasks run and should run. Only this list counts them.
    pub fn services_with_status() -> Self {
        Self("/services?status=true".to_owned())
    }

    /// One object, by its id or name.
    pub fn object(kind: Kind, name: &str) -> Self {
        Self(format!("/{}/{name}", kind.name()))
    }

    pub(crate) fn create(kind: Kind) -> Self {
        Self(format!("/{}/create", kind.name()))
    }

    pub(crate) fn update(kind: Kind, id: &str, version: u64) -> Self {
        Self(format!("/{}/{id}/update?version={version}", kind.name()))
    }

    /// This engine's containers, running or not, that fit these filters.
    pub fn containers(filters: &Value) -> Self {
        Self(format!("/containers/json?all=1&filters={}", escaped(&filters.to_string())))
    }

    /// The swarm's overlay networks.
    pub fn overlay_networks() -> Self {
        let filters = serde_json::json!({ "driver": ["overlay"], "scope": ["swarm"] });
        Self(format!("/networks?filters={}", escaped(&filters.to_string())))
    }

    /// This engine's containers that run.
    pub fn running_containers() -> Self {
        Self("/containers/json".to_owned())
    }

    /// All of this engine's containers, running or not.
    pub fn all_containers() -> Self {
        Self("/containers/json?all=1".to_owned())
    }

    /// One container of this engine's, by its id or name.
    pub fn container(id: &str) -> Self {
        Self(format!("/containers/{id}/json"))
    }

    pub(crate) fn create_container(name: Option<&str>) -> Self {
        let query = name.map(|name| format!("?name={}", escaped(name))).unwrap_or_default();
        Self(format!("/containers/create{query}"))
    }

    pub(crate) fn start_container(id: &str) -> Self {
        Self(format!("/containers/{id}/start"))
    }

    pub(crate) fn wait_container(id: &str) -> Self {
        Self(format!("/containers/{id}/wait"))
    }

    pub(crate) fn kill_container(id: &str, signal: &str) -> Self {
        Self(format!("/containers/{id}/kill?signal={}", escaped(signal)))
    }

    /// Running or not, and with the volumes that were made for it.
    pub(crate) fn remove_container(id: &str) -> Self {
        Self(format!("/containers/{id}?force=1&v=1"))
    }

    pub(crate) fn archive(container: &str, path: &str) -> Self {
        Self(format!("/containers/{container}/archive?path={}", escaped(path)))
    }

    /// One volume of this engine's.
    pub(crate) fn volume(name: &str) -> Self {
        Self(format!("/volumes/{name}"))
    }

    pub(crate) fn create_volume() -> Self {
        Self("/volumes/create".to_owned())
    }

    /// This engine's volumes that fit these filters.
    pub fn volumes(filters: &Value) -> Self {
        Self(format!("/volumes?filters={}", escaped(&filters.to_string())))
    }

    /// One image of this engine's.
    pub fn image(name: &str) -> Self {
        Self(format!("/images/{name}/json"))
    }

    /// What its registry says of an image.
    pub fn distribution(name: &str) -> Self {
        Self(format!("/distribution/{name}/json"))
    }

    pub(crate) fn pull(image: &str) -> Self {
        Self(format!("/images/create?fromImage={}", escaped(image)))
    }

    pub(crate) fn load() -> Self {
        Self("/images/load?quiet=1".to_owned())
    }

    pub(crate) fn tag(image: &str, repository: &str, tag: &str) -> Self {
        Self(format!("/images/{image}/tag?repo={}&tag={}", escaped(repository), escaped(tag)))
    }

    pub(crate) fn push(repository: &str, tag: &str) -> Self {
        Self(format!("/images/{repository}/push?tag={}", escaped(tag)))
    }

    /// A log; without a terminal it comes in [`crate::frames`].
    pub fn logs(source: Source<'_>, query: LogQuery) -> Self {
        let of = match source {
            Source::Container(id) => format!("containers/{id}"),
            Source::Task(id) => format!("tasks/{id}"),
            Source::Service(name) => format!("services/{name}"),
        };
        let mut path = format!("/{of}/logs?stderr=1");
        path += if query.stdout { "&stdout=1" } else { "" };
        path += if query.timestamps { "&timestamps=1" } else { "" };
        path += &query.tail.map(|lines| format!("&tail={lines}")).unwrap_or_default();
        path += &query.since.map(|second| format!("&since={second}")).unwrap_or_default();
        path += if query.follow { "&follow=1" } else { "" };
        path += if query.details { "&details=1" } else { "" };
        Self(path)
    }

    /// The engine's events from now on, one JSON object a line. Those of nodes, services, configs and secrets come from the swarm's
    /// store, on every manager; of tasks there are none.
    pub fn events(filters: &Value) -> Self {
        Self(format!("/events?filters={}", escaped(&filters.to_string())))
    }

    /// The engine's events that are over, up to this time ('seconds.nanoseconds' of the epoch), so that the answer ends at once.
    pub fn events_until(until: &str, filters: &Value) -> Self {
        Self(format!("/events?since=1&until={until}&filters={}", escaped(&filters.to_string())))
    }
}

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, IN_A_QUERY).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_and_filters_travel_whatever_is_in_them() {
        let list = ApiPath::list(Kind::Configs, &json!({ "a": ["b=c-1"] }));
        assert_eq!(list.to_string(), "/configs?filters=%7B%22a%22%3A%5B%22b=c-1%22%5D%7D");
        let archive = ApiPath::archive("c1", "/a b/ü&x=1");
        assert_eq!(archive.to_string(), "/containers/c1/archive?path=%2Fa%20b%2F%C3%BC%26x=1");
    }

    #[test]
    fn a_log_is_asked_for_as_it_is_wanted() {
        let all = LogQuery {
            stdout: true,
            timestamps: true,
            tail: Some(5),
            since: Some(7),
            follow: true,
            details: true,
        };
        assert_eq!(
            ApiPath::logs(Source::Service("s"), all).to_string(),
            "/services/s/logs?stderr=1&stdout=1&timestamps=1&tail=5&since=7&follow=1&details=1"
        );
        let plain = ApiPath::logs(Source::Task("t"), LogQuery::default());
        assert_eq!(plain.to_string(), "/tasks/t/logs?stderr=1");
    }
}
