//! What careen's objects in a swarm are called (docs/rollout-state-in-swarm.md).

use careen_contract::label::role;
use careen_contract::object::{
    BASELINES, ENFORCEMENTS, FILES, HISTORIES, REGISTRIES, RESULTS, ROLLOUTS, TICKETS, UNLOCK_KEYS,
};
use careen_planner::enforcement::check_name;
use careen_planner::{JobKey, JobRole, NodeId, RolloutId};

/// The file in which a controller finds the credentials for its rollout's registry: a secret of its service. A plain
/// container has it as a file of its own, which outlives restarts of engine and host with it, and goes with it.
pub const REGISTRY_FILE: &str = "/run/secrets/careen-registry";

/// The format of what is in configs and secrets, as their label says it.
pub const FORMAT: &str = "1";

pub use careen_planner::constraint::NOWHERE;

/// The config of a rollout.
pub fn rollout(id: &RolloutId) -> String {
    format!("{ROLLOUTS}{id}")
}

/// The secret that holds the unlock key of an autolocked swarm while a rollout goes on.
pub fn unlock_key(id: &RolloutId) -> String {
    format!("{UNLOCK_KEYS}{id}")
}

/// The config that says how the services stood.
pub fn baseline(id: &RolloutId) -> String {
    format!("{BASELINES}{id}")
}

/// What the configs of a rollout's results begin with.
pub fn results(id: &RolloutId) -> String {
    format!("{RESULTS}{id}.")
}

/// The config of one result: at most 64 characters, which is what Swarm allows.
pub fn result(id: &RolloutId, node: &NodeId, generation: u32) -> String {
    format!("{}{node}.g{generation}", results(id))
}

/// What the tickets of a rollout begin with.
pub fn tickets(id: &RolloutId) -> String {
    format!("{TICKETS}{id}.")
}

/// The ticket of an agent that needs no go.
pub fn ticket(agent: &JobKey) -> String {
    let JobKey { rollout, node, generation, agent, role: _ } = agent;
    format!("{}{node}.g{generation}.a{agent}", tickets(rollout))
}

/// Whose ticket has this name: of one kind of name there is one way to write it.
pub fn of_ticket(name: &str) -> Option<JobKey> {
    let mut parts = name.strip_prefix(TICKETS)?.split('.');
    let (rollout, node) = (RolloutId::parse(parts.next()?).ok()?, NodeId(parts.next()?.to_owned()));
    let generation = parts.next()?.strip_prefix('g')?.parse().ok()?;
    let agent = parts.next()?.strip_prefix('a')?.parse().ok()?;
    let key = JobKey { rollout, node, generation, agent, role: JobRole::Agent };
    (ticket(&key) == name).then_some(key)
}

/// What the configs with the files of a rollout's payload begin with.
pub fn files(id: &RolloutId) -> String {
    format!("{FILES}{id}.")
}

/// The config of one file, by its digest's beginning.
pub fn file(id: &RolloutId, digest: &str) -> String {
    format!("{}{}", files(id), beginning(digest))
}

/// As much of a digest as is in a name: with the whole of it, the name would be longer than Swarm allows.
pub fn beginning(digest: &str) -> &str {
    digest.get(..32).unwrap_or(digest)
}

/// The service of an inquiry.
pub fn inquiry(id: &RolloutId) -> String {
    format!("careen-ask-{id}")
}

/// The config of one version of an enforcement.
pub fn enforcement(name: &str, version: &str) -> String {
    format!("{ENFORCEMENTS}{name}.{version}")
}

/// The config of one file of its payload: at most 64 characters, as long as a name may be.
pub fn enforcement_file(name: &str, version: &str, digest: &str) -> String {
    format!("{}.{}", enforcement(name, version), digest.get(..12).unwrap_or(digest))
}

/// Whose config has this name, and whether it is that of a file.
pub fn of_enforcement(config: &str) -> Option<(&str, &str, bool)> {
    let mut parts = config.strip_prefix(ENFORCEMENTS)?.split('.');
    let (name, version, file) = (parts.next()?, parts.next()?, parts.next());
    let whole = parts.next().is_none() && check_name(name).is_ok() && is_version(version);
    whole.then_some((name, version, file.is_some()))
}

/// The service of one version of an enforcement.
pub fn enforcer(name: &str, version: &str) -> String {
    format!("{ENFORCERS}{name}-{version}")
}

/// What the names of all of them begin with.
pub const ENFORCERS: &str = "careen-enforce-";

/// Of which enforcement, and which version of it, a service with this name is.
pub fn of_enforcer(service: &str) -> Option<(&str, &str)> {
    let (name, version) = service.strip_prefix(ENFORCERS)?.rsplit_once('-')?;
    (check_name(name).is_ok() && is_version(version)).then_some((name, version))
}

fn is_version(text: &str) -> bool {
    text.len() == VERSION && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
}

/// So many hexadecimal digits of a hash are a version.
pub const VERSION: usize = 8;

/// The secret with the credentials for a rollout's registry.
pub fn registry(id: &RolloutId) -> String {
    format!("{REGISTRIES}{id}")
}

/// A part of a rollout's history; the first has no number.
pub fn history(id: &RolloutId, part: usize) -> String {
    match part {
        1 => format!("{HISTORIES}{id}"),
        part => format!("{HISTORIES}{id}.{part}"),
    }
}

/// Whose history has this name, and which part of it: of one kind of name there is one way to write it.
pub fn of_history(name: &str) -> Option<(RolloutId, usize)> {
    let rest = name.strip_prefix(HISTORIES)?;
    let (id, part) = match rest.split_once('.') {
        Some((id, part)) => (id, part.parse().ok()?),
        None => (rest, 1),
    };
    let id = RolloutId::parse(id).ok()?;
    (history(&id, part) == name).then_some((id, part))
}

/// A role, as the label says it.
pub fn role_word(role: JobRole) -> String {
    match role {
        JobRole::Agent => role::AGENT.to_owned(),
        JobRole::Gate(number) => format!("{}{number}", role::GATE),
    }
}

/// The role of one of careen's jobs: of one kind of text there is one way to write it.
pub fn role_of(word: &str) -> Option<JobRole> {
    let role = match word {
        role::AGENT => JobRole::Agent,
        _ => JobRole::Gate(word.strip_prefix(role::GATE)?.parse().ok()?),
    };
    (role_word(role) == word).then_some(role)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_read_as_it_is_written_and_in_no_other_way() {
        for role in [JobRole::Agent, JobRole::Gate(1), JobRole::Gate(6)] {
            assert_eq!(role_of(&role_word(role)), Some(role));
        }
        for other in ["", "gate", "gate-", "gate-01", "gate-+1", "gate-run", "gate-300", "controller"] {
            assert_eq!(role_of(other), None, "{other}");
        }
    }

    #[test]
    fn names_fit_into_what_swarm_allows() {
        let id = RolloutId::parse("abcdef012345").unwrap();
        let name = result(&id, &NodeId("f3tu280ls0gp01obdjoe97xy5".into()), 999_999_999);
        assert!(name.len() <= 64, "{name}");
        assert!(name.starts_with(&results(&id)));
        let (rollout, node) = (id.clone(), NodeId("f3tu280ls0gp01obdjoe97xy5".into()));
        let agent = JobKey { rollout, node, generation: 999, agent: 12, role: JobRole::Agent };
        let name = ticket(&agent);
        assert!(name.len() <= 64, "{name}");
        assert_eq!(of_ticket(&name), Some(agent));
        assert_eq!(of_ticket(&name.replace("g999", "g0999")), None);
        assert_eq!(of_history("careen.history.k3x9.12"), Some((RolloutId::parse("k3x9").unwrap(), 12)));
        assert_eq!(of_history(&history(&id, 1)), Some((id.clone(), 1)));
        for other in
            ["careen.history.k3x9.1", "careen.history.k3x9.02", "careen.history.k3x9.x", "careen.history."]
        {
            assert_eq!(of_history(other), None, "{other}");
        }
        let (name, version) = ("x-".repeat(12), "0a1b2c3d");
        let of_file = enforcement_file(&name, version, &"0".repeat(64));
        assert!(of_file.len() <= 64 && enforcer(&name, version).len() <= 63, "{of_file}");
        assert_eq!(of_enforcement(&of_file), Some((name.as_str(), version, true)));
        assert_eq!(of_enforcement(&enforcement(&name, version)), Some((name.as_str(), version, false)));
        assert_eq!(of_enforcer(&enforcer(&name, version)), Some((name.as_str(), version)));
        for other in ["careen-enforce-sysctl", "careen-enforce--0a1b2c3d", "careen-enforce-a-0a1b2c3", "web"]
        {
            assert_eq!(of_enforcer(other), None, "{other}");
        }
        assert!(file(&id, &"0".repeat(64)).len() <= 64 && registry(&id).len() <= 64);
    }
}
