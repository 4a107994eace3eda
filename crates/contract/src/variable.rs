//! The names of careen's environment variables, each of them spelled here alone.

/// Constants for names, and [`ON_A_CONTAINER`], which lists them.
macro_rules! on_a_container {
    ($($(#[$words:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$words])* pub const $name: &str = $text;)*

        /// All that may be set on an agent's container: the settings, the part in a rollout, and what is set for the command anyway.
        pub const ON_A_CONTAINER: &[&str] = &[$($name),*];
    };
}

on_a_container! {
    /// Which agent of its try this is.
    AGENT = "CAREEN_AGENT";
    /// For the command: which attempt this is.
    ATTEMPT = "CAREEN_ATTEMPT";
    /// The agent asks what became of a transaction, and begins nothing.
    COLLECT = "CAREEN_COLLECT";
    /// For the command: what it is called.
    COMMAND = "CAREEN_COMMAND";
    /// What an enforcing agent enforces: the enforcement's name.
    ENFORCE = "CAREEN_ENFORCE";
    /// How often an enforcing agent looks at its host at least: a duration.
    ENFORCE_INTERVAL = "CAREEN_ENFORCE_INTERVAL";
    /// The paths that the enforced payload alone writes, as a JSON array.
    ENFORCE_OWNS = "CAREEN_ENFORCE_OWNS";
    /// Which version of it.
    ENFORCE_VERSION = "CAREEN_ENFORCE_VERSION";
    /// Whether an engine that was replaced may be restarted.
    ENGINE_RESTART = "CAREEN_ENGINE_RESTART";
    /// For the command: the file in which `prepare` says whether it expects a restart.
    EXPECTS_RESTART = "CAREEN_EXPECTS_RESTART";
    /// Whether a host is worked on although the payload's `check` would say that it is in sync.
    FORCE = "CAREEN_FORCE";
    /// What the names of an agent's gates begin with.
    GATE = "CAREEN_GATE";
    /// How many gates it has.
    GATES = "CAREEN_GATES";
    /// Which try of the rollout on this node.
    GENERATION = "CAREEN_GENERATION";
    /// The way from the container into the host.
    HOST_ENTRY = "CAREEN_HOST_ENTRY";
    /// Whether the command may be run again when nobody knows how far it came.
    IDEMPOTENT = "CAREEN_IDEMPOTENT";
    /// For the command: the image's id.
    IMAGE = "CAREEN_IMAGE";
    /// Whether a reboot waits for programs and people that ask for no shutdown.
    INHIBITORS = "CAREEN_INHIBITORS";
    /// The agent answers an inquiry: the command only looks.
    INQUIRY = "CAREEN_INQUIRY";
    /// Whether the container stays after the work.
    LINGER = "CAREEN_LINGER";
    /// From which byte of the log on an agent prints.
    LOG_OFFSET = "CAREEN_LOG_OFFSET";
    /// For the command: the node's id.
    NODE_ID = "CAREEN_NODE_ID";
    /// For the command: the host's name.
    NODE_NAME = "CAREEN_NODE_NAME";
    /// For the command: `manager` or `worker`.
    NODE_ROLE = "CAREEN_NODE_ROLE";
    /// What becomes of the command when its container is removed.
    ON_REMOVE = "CAREEN_ON_REMOVE";
    /// How many bytes of output are kept.
    OUTPUT_LIMIT = "CAREEN_OUTPUT_LIMIT";
    /// The directory of the image that holds the payload.
    PAYLOAD = "CAREEN_PAYLOAD";
    /// Whether a host is worked on although preflight finds it unfit.
    PREFLIGHT = "CAREEN_PREFLIGHT";
    /// Whether a manager may go down although the other managers have no quorum.
    QUORUM_LOSS = "CAREEN_QUORUM_LOSS";
    /// Whether the host may be rebooted.
    REBOOT = "CAREEN_REBOOT";
    /// For the command: the file that it makes when it wants the engine restarted.
    RESTART_ENGINE = "CAREEN_RESTART_ENGINE";
    /// For the command: the file in which it may leave a result.
    RESULT = "CAREEN_RESULT";
    /// Whether the payload's `rollback` is run when the command or `verify` fails.
    ROLLBACK = "CAREEN_ROLLBACK";
    /// Any text; another text asks for another run.
    RUN = "CAREEN_RUN";
    /// For the command: the directory with its secrets.
    SECRETS = "CAREEN_SECRETS";
    /// For the command: a directory that lasts between runs on this host.
    STATE = "CAREEN_STATE";
    /// From SIGTERM to SIGKILL when the command is stopped.
    STOP_GRACE_PERIOD = "CAREEN_STOP_GRACE_PERIOD";
    /// The command's time limit.
    TIMEOUT = "CAREEN_TIMEOUT";
    /// Whether the command may end the engine, as every script may.
    TOUCHES_ENGINE = "CAREEN_TOUCHES_ENGINE";
    /// The transaction's identity.
    TRANSACTION = "CAREEN_TRANSACTION";
    /// Whether somebody types the unlock key of an autolocked swarm.
    UNLOCK = "CAREEN_UNLOCK";
}

/// What careen's variables begin with. A container's others are the command's.
pub const PREFIX: &str = "CAREEN_";

/// What an operator may set for a rollout; the rest of [`ON_A_CONTAINER`] is the rollout's own business, and has flags.
pub const OPERATORS: [&str; 4] = [HOST_ENTRY, IDEMPOTENT, OUTPUT_LIMIT, STOP_GRACE_PERIOD];

/// For the command line: an autolocked swarm's unlock key.
pub const UNLOCK_KEY: &str = "CAREEN_UNLOCK_KEY";

/// For the controller: whether its service may be moved to another manager.
pub const CONTROLLER_MOVABLE: &str = "CAREEN_CONTROLLER_MOVABLE";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_careens_and_there_once() {
        let names = ON_A_CONTAINER.iter().chain([&UNLOCK_KEY, &CONTROLLER_MOVABLE]);
        let all: std::collections::BTreeSet<_> = names.clone().collect();
        assert_eq!(all.len(), names.clone().count());
        assert!(names.clone().all(|name| name.strip_prefix(PREFIX).is_some_and(|rest| !rest.is_empty())));
    }
}
