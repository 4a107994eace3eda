//! The labels that careen reads and writes: on nodes, on configs and secrets, on services and their containers, on images.

/// On a node: where it stands in a rollout.
pub const NODE: &str = "careen.node";

/// On a node: what an operator asks for it; taken away with the answer, or at the end.
pub const ASK: &str = "careen.ask";

/// On a node: what its agents said last.
pub const LAST_WORDS: &str = "careen.last-words";

/// On a node: for how long it has been held before anything was taken down on it, as its controllers have counted.
pub const HELD: &str = "careen.held";
/// On a node: the services that are scaled up while it is taken out of service.
pub const SURGE: &str = "careen.surges";

/// On a service, by its operator: `true` where it is scaled up before a node with its tasks is drained, `false` where it never is.
pub const SURGE_SERVICE: &str = "careen.surge";

/// On a service, by its operator: `ignore` where nobody is to wait for it.
pub const SETTLE: &str = "careen.settle";

/// On configs and secrets: the format of what is in them. Another than the one that is known is not guessed at.
pub const FORMAT: &str = "careen.format";

/// Which rollout something belongs to. What an inquiry brings has its id there, which is of the same kind.
pub const ROLLOUT: &str = "careen.rollout";

/// On a rollout's config: what it is told to do, as JSON.
pub const CONTROL: &str = "careen.control";

/// On a rollout's config: participants that left in their turn, as JSON; how far that was dealt with.
pub const GONE: &str = "careen.gone";

/// On a rollout's config, and on an inquiry's service: who submitted it, as they say themselves.
pub const BY: &str = "careen.by";

/// On the lock over all rollouts: who holds it; not there when it was given back.
pub const HOLDER: &str = "careen.holder";

/// On that lock: where its holder runs, as JSON; not there when that is not on a node.
pub const PLACE: &str = "careen.place";

/// On that lock: how often it was taken. On a service: under which of these epochs it was created.
pub const EPOCH: &str = "careen.epoch";

/// On a lock: its heartbeat.
pub const BEAT: &str = "careen.beat";

/// On the first part of a history: of how many it consists.
pub const PARTS: &str = "careen.parts";

/// On a job: which node it is for. On a lock for engine restarts: which node has it.
pub const NODE_ID: &str = "careen.node-id";

/// On a lock for engine restarts: the name of the node that has it, for people.
pub const NODE_NAME: &str = "careen.node-name";

/// On a job: which try.
pub const GENERATION: &str = "careen.generation";

/// On a job: which agent of that try.
pub const AGENT: &str = "careen.agent";

/// On the job of an agent that asks on another node than the one its try is for: on which.
pub const ON: &str = "careen.on";

/// On a service, and on containers: what it is for, see [`role`].
pub const ROLE: &str = "careen.role";

/// On a container that helps an agent into the host: of which transaction.
pub const HELPER: &str = "careen.helper";

/// On a node, by its operator: rollouts leave it out, and why.
pub const EXCLUDE: &str = "careen.exclude";

/// Beside it: until which day, that day included (`2026-12-24`).
pub const EXCLUDE_UNTIL: &str = "careen.exclude.until";

/// On an image: which version of the contract it keeps.
pub const PROTOCOL: &str = "careen.protocol";

/// What it says in the images of this version.
pub const THIS_PROTOCOL: &str = "2";

/// On an image: whether its payload may end an engine.
pub const TOUCHES_ENGINE: &str = "careen.touches-engine";

/// What it says there when it never does.
pub const LEAVES_ENGINE: &str = "no";

/// On a lock of hosts': which.
pub const LOCK: &str = "careen.lock";

/// On such a lock: for which transaction it is held.
pub const TRANSACTION: &str = "careen.transaction";

/// On such a lock: what its holder does meanwhile.
pub const WORK: &str = "careen.work";

/// On the service of an inquiry: which.
pub const INQUIRY: &str = "careen.inquiry";

/// On an inquiry's service: after how many seconds nobody waits for its answers any more.
pub const LIMIT: &str = "careen.limit";

/// On an inquiry's service: the availability of the nodes that are made active for it, as JSON, by their ids.
pub const ACTIVATED: &str = "careen.activated";

/// On a node: which version of an enforcement it is given while that one is brought to the swarm in waves. The enforcement's
/// name follows.
pub const ENFORCE_VERSION_ON: &str = "careen.enforce.";

/// On an enforcement's config: how it stands in the swarm, as JSON.
pub const ENFORCEMENT: &str = "careen.enforcement";

/// On an enforcement's service: its name. The version stands in [`ENFORCED_VERSION`].
pub const ENFORCED: &str = "careen.enforced";

/// On an enforcement's service: its version.
pub const ENFORCED_VERSION: &str = "careen.enforced-version";

/// What [`ROLE`] says.
pub mod role {
    /// An agent.
    pub const AGENT: &str = "agent";

    /// What the roles of gates begin with; their number follows, from 1.
    pub const GATE: &str = "gate-";

    /// The container that shows whether one starts on a host.
    pub const PROBE: &str = "probe";

    /// An agent that runs a payload's command for the payload's author.
    pub const TRY: &str = "try";

    /// An agent that keeps its host as it should be.
    pub const ENFORCER: &str = "enforcer";

    /// The service in which a controller runs.
    pub const CONTROLLER: &str = "controller";
}
