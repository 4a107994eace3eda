//! What careen's objects in a swarm are called (docs/rollout-state-in-swarm.md).

use careen_planner::{JobRole, NodeId, RolloutId};

/// The config that is the lock over all rollouts.
pub const LOCK: &str = "careen.lock";

/// What the configs of rollouts begin with.
pub const ROLLOUTS: &str = "careen.rollout.";

/// What the configs begin with that say how things stood before.
pub const BASELINES: &str = "careen.baseline.";

/// What the configs of results begin with.
pub const RESULTS: &str = "careen.result.";

/// What the configs of the history begin with.
pub const HISTORIES: &str = "careen.history.";

/// What the configs with files of payloads begin with.
pub const FILES: &str = "careen.file.";

/// What the secrets with credentials for registries begin with.
pub const REGISTRIES: &str = "careen.registry.";

/// Where a controller finds its credentials.
pub const REGISTRY_TARGET: &str = "careen-registry";

/// What the secrets with unlock keys begin with.
pub const UNLOCK_KEYS: &str = "careen.unlock-key.";

/// The format of a config; another number than [`FORMAT`] is not guessed at.
pub const FORMAT_LABEL: &str = "careen.format";

/// What [`FORMAT_LABEL`] says.
pub const FORMAT: &str = "1";

/// Which rollout an object belongs to.
pub const ROLLOUT_LABEL: &str = "careen.rollout";

/// What a rollout is told to do, as JSON.
pub const CONTROL_LABEL: &str = "careen.control";

/// Participants that left in their turn, as JSON: how far that was dealt with.
pub const GONE_LABEL: &str = "careen.gone";

/// Who submitted a rollout, as they say themselves.
pub const BY_LABEL: &str = "careen.by";

/// Who holds the lock; not there when it was given back.
pub const HOLDER_LABEL: &str = "careen.holder";

/// Where the lock's holder runs, as JSON; not there when that is not on a node.
pub const PLACE_LABEL: &str = "careen.place";

/// How often the lock was taken; on a service, under which epoch it was created.
pub const EPOCH_LABEL: &str = "careen.epoch";

/// The lock's heartbeat.
pub const BEAT_LABEL: &str = "careen.beat";

/// Of how many parts a history consists.
pub const PARTS_LABEL: &str = "careen.parts";

/// On a service: which node it is for.
pub const NODE_LABEL: &str = "careen.node-id";

/// On a service: which try.
pub const GENERATION_LABEL: &str = "careen.generation";

/// On a service: which agent of that try.
pub const AGENT_LABEL: &str = "careen.agent";

/// The label of an agent that asks on another node than the one its try is for: on which.
pub const ON_LABEL: &str = "careen.on";

/// On a service: what it is for.
pub const ROLE_LABEL: &str = "careen.role";

/// The role of the service in which a controller runs.
pub const CONTROLLER_ROLE: &str = "controller";

/// The constraint that no node fits: it is what a service is stopped with.
pub const NOWHERE: &str = "node.id==none";

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

/// What the configs with the files of a rollout's payload begin with.
pub fn files(id: &RolloutId) -> String {
    format!("{FILES}{id}.")
}

/// The config of one file, by its digest's beginning: the whole of it would be longer than Swarm allows.
pub fn file(id: &RolloutId, digest: &str) -> String {
    let digest: String = digest.chars().take(32).collect();
    format!("{}{digest}", files(id))
}

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

/// A role, as the label says it.
pub fn role_word(role: JobRole) -> String {
    match role {
        JobRole::Agent => AGENT_ROLE.to_owned(),
        JobRole::Gate(number) => format!("{GATE_ROLE}{number}"),
    }
}

/// The role of one of careen's jobs: of one kind of text there is one way to write it.
pub fn role_of(word: &str) -> Option<JobRole> {
    let role = match word {
        AGENT_ROLE => JobRole::Agent,
        _ => JobRole::Gate(word.strip_prefix(GATE_ROLE)?.parse().ok()?),
    };
    (role_word(role) == word).then_some(role)
}

const AGENT_ROLE: &str = "agent";

/// What the roles of gates begin with; their number follows, from 1.
const GATE_ROLE: &str = "gate-";

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
        assert!(file(&id, &"0".repeat(64)).len() <= 64 && registry(&id).len() <= 64);
    }
}
