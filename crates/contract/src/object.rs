//! What careen's configs and secrets in a swarm are called. What follows a name that ends in a dot is a rollout's id.

/// What all of them, and all labels, begin with.
pub const PREFIX: &str = "careen.";

/// The config that is the lock over all rollouts.
pub const LOCK: &str = "careen.lock";

/// The config that is the lock for engine restarts on managers.
pub const ENGINE_RESTART: &str = "careen.engine-restart";

/// How the names of configs begin that hold a rollout.
pub const ROLLOUTS: &str = "careen.rollout.";

/// Configs that say how things stood before.
pub const BASELINES: &str = "careen.baseline.";

/// How the names of configs begin that hold a result.
pub const RESULTS: &str = "careen.result.";

/// Configs of the history.
pub const HISTORIES: &str = "careen.history.";

/// Configs that are the tickets of agents which need no go.
pub const TICKETS: &str = "careen.ticket.";

/// What a ticket is in its agent's container. Nobody reads it there.
pub const TICKET_FILE: &str = "/careen-ticket";

/// Configs with files of payloads.
pub const FILES: &str = "careen.file.";

/// Configs that are enforcements: what follows is a name, a dot, and a version.
pub const ENFORCEMENTS: &str = "careen.enforce.";

/// Secrets with credentials for registries.
pub const REGISTRIES: &str = "careen.registry.";

/// Secrets with unlock keys.
pub const UNLOCK_KEYS: &str = "careen.unlock-key.";

/// What an agent finds the unlock key under, in its container.
pub const UNLOCK_KEY: &str = "unlock-key";
