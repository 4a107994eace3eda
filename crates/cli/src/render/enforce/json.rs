//! What is enforced, and how its hosts are, as JSON.

use super::{Begun, EnforcementPages, Steered, kind, next, uncovered};
use crate::enforcement::EnforcementLook;
use crate::render::text::json_page;
use careen_contract::standing::Standing;
use careen_planner::enforcement::hosts::{Coverage, EnforcedHost, LastWord, Uncovered};
use careen_planner::enforcement::{Beginning, EnforcementState};
use careen_planner::names::Names;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
struct BegunJson<'a> {
    name: &'a str,
    version: &'a str,
    image: &'a str,
    /// `started`, `completed` or `nothing-to-do`.
    outcome: &'static str,
    owns: &'a [String],
    interval_seconds: u64,
    hosts: Vec<PlacedJson<'a>>,
}

#[derive(Serialize)]
struct PlacedJson<'a> {
    node: &'a str,
    hostname: &'a str,
    /// Why no agent is placed there; nothing where one is.
    not_covered: Option<String>,
}

#[derive(Serialize)]
struct ListedJson<'a> {
    name: &'a str,
    version: &'a str,
    image: Option<&'a str>,
    #[serde(flatten)]
    state: Option<&'a EnforcementState>,
    damage: Option<String>,
    agents: usize,
    hosts: usize,
}

#[derive(Serialize)]
struct PageJson<'a> {
    name: &'a str,
    version: &'a str,
    /// Whether everything is as it should be.
    well: bool,
    image: Option<&'a str>,
    /// The contract that the image is made for, where it is not this careen's.
    other_protocol: Option<&'a str>,
    #[serde(flatten)]
    state: Option<&'a EnforcementState>,
    damage: Option<String>,
    owns: &'a [String],
    interval_seconds: Option<u64>,
    counts: BTreeMap<&'static str, usize>,
    hosts: Vec<HostJson<'a>>,
}

#[derive(Serialize)]
struct HostJson<'a> {
    node: &'a str,
    hostname: &'a str,
    covered: bool,
    in_sync: bool,
    /// Why nothing is known of it.
    why: Option<String>,
    /// The last word of its agent.
    said: Option<&'a Standing>,
    /// What can be typed.
    next: Option<String>,
}

#[derive(Serialize)]
struct SteeredJson<'a> {
    name: &'a str,
    /// `paused`, `resumed` or `stopped`.
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<&'a [String]>,
}

pub(super) fn begun(begun: &Begun<'_>) -> serde_json::Result<String> {
    let Begun { spec, hosts, beginning } = begun;
    let placed = |host: &'_ EnforcedHost| match &host.coverage {
        Coverage::Not(Uncovered::NotPlaced) | Coverage::Covered(_) => None,
        Coverage::Not(why) => Some(uncovered(why)),
    };
    let hosts = hosts.iter().map(|host| PlacedJson {
        node: &host.node.0,
        hostname: &host.hostname,
        not_covered: placed(host),
    });
    json_page(&BegunJson {
        name: &spec.name,
        version: &spec.version,
        image: &spec.image,
        outcome: match beginning {
            Beginning::New => "started",
            Beginning::Completed => "completed",
            Beginning::Nothing => "nothing-to-do",
        },
        owns: &spec.owns,
        interval_seconds: spec.interval.as_secs(),
        hosts: hosts.collect(),
    })
}

pub(super) fn list(looks: &[EnforcementLook]) -> serde_json::Result<String> {
    let listed = |look: &'_ EnforcementLook| {
        let spec = look.spec();
        let agents = look.hosts.iter().filter(|host| matches!(host.coverage, Coverage::Covered(_))).count();
        serde_json::to_value(ListedJson {
            name: &look.found.name,
            version: &look.found.version,
            image: spec.map(|(spec, _)| spec.image.as_str()),
            state: spec.map(|(_, state)| state),
            damage: look.damage().map(|damage| damage.to_string()),
            agents,
            hosts: look.hosts.len(),
        })
    };
    json_page(&looks.iter().map(listed).collect::<serde_json::Result<Vec<_>>>()?)
}

pub(super) fn pages(pages: &EnforcementPages<'_>) -> serde_json::Result<String> {
    json_page(&pages.looks.iter().map(|look| page(look, pages.names)).collect::<Vec<_>>())
}

fn page<'a>(look: &'a EnforcementLook, names: &Names) -> PageJson<'a> {
    let spec = look.spec();
    let mut counts = BTreeMap::new();
    look.hosts.iter().for_each(|host| *counts.entry(kind(host).1).or_default() += 1);
    let host = |host: &'a EnforcedHost| HostJson {
        node: &host.node.0,
        hostname: &host.hostname,
        covered: matches!(host.coverage, Coverage::Covered(_)),
        in_sync: host.is_in_sync(),
        why: why(host),
        said: host.said(),
        next: spec.and_then(|(spec, _)| next(host, spec, names)),
    };
    PageJson {
        name: &look.found.name,
        version: &look.found.version,
        well: look.is_well(),
        image: spec.map(|(spec, _)| spec.image.as_str()),
        other_protocol: look.other_protocol.as_deref(),
        state: spec.map(|(_, state)| state),
        damage: look.damage().map(|damage| damage.to_string()),
        owns: spec.map(|(spec, _)| spec.owns.as_slice()).unwrap_or_default(),
        interval_seconds: spec.map(|(spec, _)| spec.interval.as_secs()),
        counts,
        hosts: look.hosts.iter().map(host).collect(),
    }
}

fn why(host: &EnforcedHost) -> Option<String> {
    match &host.coverage {
        Coverage::Covered(LastWord::Said(_)) => None,
        Coverage::Covered(LastWord::Nothing) => Some("its agent has said nothing yet".to_owned()),
        Coverage::Covered(LastWord::Unintelligible) => {
            Some("its agent says nothing that this careen understands".to_owned())
        }
        Coverage::Covered(LastWord::Unread { why }) => Some(why.clone()),
        Coverage::Not(why) => Some(uncovered(why)),
    }
}

pub(super) fn steered(steered: &Steered<'_>) -> serde_json::Result<String> {
    json_page(&match steered {
        Steered::Paused { spec } => SteeredJson { name: &spec.name, outcome: "paused", removed: None },
        Steered::Resumed { spec } => SteeredJson { name: &spec.name, outcome: "resumed", removed: None },
        Steered::Stopped { name, removed } => {
            SteeredJson { name, outcome: "stopped", removed: Some(*removed) }
        }
    })
}
