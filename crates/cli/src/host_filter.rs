//! `careen facts --filter KEY=VALUE`, as docker has it: of one key one value has to fit, and every key. Pure.

use crate::fleet::{FleetHost, drifting, running, system};
use careen_contract::facts::HostFacts;
use strum::{EnumString, VariantNames};

/// What a host has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFilter {
    key: Key,
    value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "kebab-case")]
enum Key {
    Id,
    Name,
    System,
    Kernel,
    Engine,
    Containerd,
    Answered,
    Pending,
    Security,
    Reboot,
    EngineRestart,
    Clock,
    Drift,
}

/// What is asked with yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "kebab-case")]
enum Whether {
    Yes,
    No,
    Unknown,
}

/// A text that filters nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum InvalidHostFilter {
    #[error("a filter is KEY=VALUE: reboot=yes; keys are {}", Key::VARIANTS.join(", "))]
    Syntax,
    #[error("there is no filter '{key}'; there are {}", Key::VARIANTS.join(", "))]
    Unknown { key: String },
    #[error("'{key}' is one of {}", Whether::VARIANTS.join(", "))]
    Whether { key: String },
}

impl Key {
    const fn is_a_question(self) -> bool {
        match self {
            Self::Id | Self::Name | Self::System | Self::Kernel | Self::Engine | Self::Containerd => false,
            Self::Answered
            | Self::Pending
            | Self::Security
            | Self::Reboot
            | Self::EngineRestart
            | Self::Clock
            | Self::Drift => true,
        }
    }
}

/// Reads `KEY=VALUE`.
pub fn parse(text: &str) -> Result<HostFilter, InvalidHostFilter> {
    let (key, value) = text.split_once('=').ok_or(InvalidHostFilter::Syntax)?;
    let unknown = || InvalidHostFilter::Unknown { key: key.to_owned() };
    let found: Key = key.trim().parse().map_err(|_| unknown())?;
    if value.is_empty() {
        return Err(InvalidHostFilter::Syntax);
    }
    if found.is_a_question() && value.parse::<Whether>().is_err() {
        return Err(InvalidHostFilter::Whether { key: key.to_owned() });
    }
    Ok(HostFilter { key: found, value: value.to_owned() })
}

/// Whether a host is one of those that are meant.
pub fn fits(filters: &[HostFilter], host: &FleetHost<'_>) -> bool {
    filters.iter().all(|filter| {
        let mut same = filters.iter().filter(|other| other.key == filter.key);
        same.any(|filter| filter.fits(host))
    })
}

impl HostFilter {
    fn fits(&self, host: &FleetHost<'_>) -> bool {
        let value = self.value.as_str();
        let is = |found: Option<String>| found.is_some_and(|found| found == value);
        let facts = host.facts();
        match self.key {
            Key::Id => host.asked.node.0.starts_with(value),
            Key::Name => host.asked.hostname == value,
            // As a family, and as one release of it.
            Key::System => {
                let id = facts.and_then(|facts| Some(facts.os.as_ref()?.id.clone()));
                is(id) || is(facts.and_then(system))
            }
            Key::Kernel => is(facts.and_then(|facts| running(facts.kernel.as_ref()))),
            Key::Engine => is(facts.and_then(|facts| running(facts.engine.as_ref()))),
            Key::Containerd => is(facts.and_then(|facts| running(facts.containerd.as_ref()))),
            Key::Answered => self.is(Some(facts.is_some())),
            Key::Pending | Key::Security | Key::Reboot | Key::EngineRestart | Key::Clock | Key::Drift => {
                self.is(facts.and_then(|facts| self.whether(facts)))
            }
        }
    }

    fn is(&self, found: Option<bool>) -> bool {
        let found = match found {
            Some(true) => Whether::Yes,
            Some(false) => Whether::No,
            None => Whether::Unknown,
        };
        self.value.parse() == Ok(found)
    }

    /// `None`: the host does not know, or no such question is asked.
    fn whether(&self, facts: &HostFacts) -> Option<bool> {
        match self.key {
            Key::Pending => Some(facts.pending.as_ref()?.packages > 0),
            Key::Security => {
                let pending = facts.pending.as_ref()?;
                // Where nothing waits, nothing for security does.
                pending.security.map(|count| count > 0).or((pending.packages == 0).then_some(false))
            }
            Key::Reboot => Some(facts.reboot.as_ref()?.needed),
            Key::EngineRestart => Some(facts.engine_restart.as_ref()?.needed),
            Key::Clock => Some(facts.clock.as_ref()?.in_sync),
            Key::Drift => Some(!drifting(facts)?.is_empty()),
            Key::Id
            | Key::Name
            | Key::System
            | Key::Kernel
            | Key::Engine
            | Key::Containerd
            | Key::Answered => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Told;
    use careen_contract::answer::Answer;
    use careen_planner::inquiry::{Heard, Roll};
    use careen_planner::testing::{spec, worker};
    use careen_planner::{NodeId, Observed};
    use serde_json::json;
    use std::time::Duration;

    #[test]
    fn hosts_are_found_by_what_they_say() {
        let observed = Observed { nodes: vec![worker("w1"), worker("w2")], ..Observed::default() };
        let (mut roll, _) = Roll::call(&observed, &spec(), false, Duration::from_secs(9)).unwrap();
        let result = json!({
            "schema": 1,
            "os": { "id": "debian", "version_id": "12", "name": "Debian" },
            "engine": { "running": "28.5.2", "installed": "29" },
            "pending": { "manager": "zypper", "packages": 2, "security": null, "lists_at": null },
            "reboot": { "needed": true, "since": null },
            "clock": { "in_sync": false, "offset_us": null, "max_error_us": null },
            "drift": [{ "name": "a", "state": "in-sync" }],
        });
        let answer =
            Answer::Answered { exit: 0, why: None, result: Some(result), notes: Vec::new(), lines: 0 };
        roll.hear(Heard::Said { task: "t".into(), node: NodeId("w1".into()), answer }, Duration::ZERO);
        let told = Told::of(&roll);
        let found = |filters: &str| {
            let filters: Vec<HostFilter> =
                filters.split_whitespace().map(|one| parse(one).unwrap()).collect();
            let hosts = told.hosts(&roll).into_iter().filter(|host| fits(&filters, host));
            hosts.map(|host| host.asked.hostname.clone()).collect::<Vec<_>>().join(" ")
        };
        for (filters, expected) in [
            ("", "w1 w2"),
            ("name=w2", "w2"),
            ("id=w", "w1 w2"),
            ("system=debian", "w1"),
            ("engine=28.5.2 engine=27", "w1"),
            ("engine=29", ""),
            ("answered=no", "w2"),
            ("pending=yes", "w1"),
            ("security=yes", ""),
            ("security=unknown", "w1 w2"),
            ("reboot=yes clock=no", "w1"),
            ("reboot=unknown", "w2"),
            ("engine-restart=unknown answered=yes", "w1"),
            ("drift=no", "w1"),
        ] {
            assert_eq!(found(filters), expected, "{filters}");
        }
        let release = parse("system=debian 12").unwrap();
        assert!(fits(&[release], &told.hosts(&roll)[0]));
    }

    #[test]
    fn what_filters_nothing_is_told_what_there_is() {
        for (text, told) in [
            ("reboot", "KEY=VALUE"),
            ("reboot=", "KEY=VALUE"),
            ("status=failed", "no filter 'status'; there are id, name, system"),
            ("reboot=perhaps", "'reboot' is one of yes, no, unknown"),
        ] {
            assert!(parse(text).unwrap_err().to_string().contains(told), "{text}");
        }
    }
}
