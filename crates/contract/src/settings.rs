//! The payload contract's environment: what an operator can set on a container, and what a command is given.

use crate::entry::HostEntry;
use crate::id::{InvalidId, TransactionId};
use crate::value::{self, Either, Value};
use crate::variable;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use strum::{Display, VariantArray};

pub use crate::value::Expected;

/// The search path of programs on the host; a command has the directory of careen-agent in front of it.
pub const COMMAND_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long a command may take to end after it was asked to, unless `CAREEN_STOP_GRACE_PERIOD` says otherwise.
/// Docker's own default of 10 s is short for a package manager that finishes its current package.
pub const DEFAULT_STOP_GRACE_PERIOD: Duration = Duration::from_secs(30);

/// What happens to the command when its container was removed (`CAREEN_ON_REMOVE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Display, VariantArray)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum OnRemove {
    /// It goes on (the default: a drain removes containers, and so does every engine stop).
    #[default]
    Continue,
    /// It is stopped, if the engine stayed up. For commands that linger.
    Stop,
}

/// The directory of the image that holds the payload, unless `CAREEN_PAYLOAD` says otherwise.
pub const DEFAULT_PAYLOAD: &str = "/install";

/// How many bytes of output are kept, unless `CAREEN_OUTPUT_LIMIT` says otherwise.
pub const DEFAULT_OUTPUT_LIMIT: u64 = 256 * 1024 * 1024;

/// Whether the host may be rebooted (`CAREEN_REBOOT`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Display, VariantArray)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Reboot {
    /// No: a command that wants one ends with its wish as the result.
    #[default]
    Never,
    /// When the command asks for it (status 194). What the distribution wants is told, and left.
    Asked,
    /// When the command or the distribution wants it.
    Wanted,
    /// Once in any case, when the command did its work.
    Always,
}

/// An agent's part in a rollout, where the careen command line placed it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutPart {
    /// `CAREEN_GATE`: what the names of its gates' services begin with; the rest is the gate's number.
    pub gate: String,
    /// `CAREEN_GATES`: how many gates it has, numbered from 1; with 0 it needs no go.
    pub gates: u8,
    /// `CAREEN_GENERATION`: which try of the rollout on this node.
    pub generation: u32,
    /// `CAREEN_AGENT`: which agent of that try.
    pub agent: u32,
    /// `CAREEN_COLLECT`: it asks what became of the transaction, and begins nothing.
    pub collects: bool,
    /// `CAREEN_ROLLBACK`: whether the payload's `rollback` is run when the command or `verify` fails.
    pub rolls_back: bool,
    /// `CAREEN_PREFLIGHT`: whether a host is worked on although preflight finds it unfit.
    pub allows_unfit: bool,
    /// `CAREEN_TOUCHES_ENGINE`: whether the command may end the engine; `no` only where that is declared.
    pub touches_engine: bool,
    /// `CAREEN_UNLOCK`: whether somebody types the unlock key of an autolocked swarm.
    pub unlock_by_hand: bool,
    /// `CAREEN_FORCE`: the payload's `check` is not asked. So it is where a controller says nothing of it: an older one does not know
    /// what 'in sync' means.
    pub force: bool,
}

/// How long a restart's go counts from the look on in which an agent has seen it; the agent passes it on anew with each look. So
/// long a controller waits, when it misses an agent, before it makes the node active for the next one.
pub const GO_COUNTS: std::time::Duration = std::time::Duration::from_secs(10);

/// A go takes two gates away out of so many at least.
pub const LEAST_GATES: u8 = 4;

/// More need a name of two digits.
const MOST_GATES: u8 = 9;

/// Whether an engine that was replaced may be restarted without a controller (`CAREEN_ENGINE_RESTART`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Display, VariantArray)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum EngineRestarts {
    /// At once on workers; on managers one at a time, and only while the swarm keeps its quorum.
    #[default]
    Auto,
    /// No: the wish is the result.
    Never,
}

/// What the operator set on the container (`CAREEN_*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `CAREEN_RUN`: any text; another text asks for another run.
    pub run: String,
    /// `CAREEN_TRANSACTION`: the identity, where it is not derived.
    pub transaction: Option<TransactionId>,
    /// `CAREEN_PAYLOAD`: the directory of the image that holds the payload.
    pub payload: String,
    /// `CAREEN_HOST_ENTRY`: `auto`, `systemd`, `container` or `chroot`.
    pub host_entry: HostEntry,
    /// `CAREEN_LINGER`: stay after the work, for review, until the container is stopped.
    pub linger: bool,
    /// `CAREEN_ON_REMOVE`: `continue` or `stop`.
    pub on_remove: OnRemove,
    /// `CAREEN_TIMEOUT`: the command's time limit; none by default.
    pub timeout: Option<Duration>,
    /// `CAREEN_STOP_GRACE_PERIOD`: from SIGTERM to SIGKILL when the command is stopped.
    pub stop_grace_period: Duration,
    /// `CAREEN_REBOOT`: `never`, `asked`, `wanted` or `always`.
    pub reboot: Reboot,
    /// `CAREEN_ENGINE_RESTART`: `auto` or `never`.
    pub engine_restart: EngineRestarts,
    /// `CAREEN_IDEMPOTENT`: whether the command may be run again when nobody knows how far it came.
    pub idempotent: bool,
    /// `CAREEN_OUTPUT_LIMIT`: how many bytes of output are kept, half from the beginning and half from the end.
    pub output_limit: u64,
    /// `CAREEN_LOG_OFFSET`: from which byte of the log on an agent prints.
    pub log_offset: u64,
    /// `CAREEN_QUORUM_LOSS`: `refused` (the default) or `allowed`: whether a manager may go down although the others are
    /// no majority.
    pub allow_quorum_loss: bool,
    /// `CAREEN_INHIBITORS`: `override` (the default) or `respect`: whether a reboot waits for programs that ask for no shutdown and
    /// for people at the console.
    pub respect_inhibitors: bool,
    /// `CAREEN_INQUIRY`: the command answers a question (`careen ask`). It only looks, so the host's lock is not taken and nothing is
    /// restarted; what it comes to is said in the log, and nothing of it stays on the host.
    pub inquires: bool,
    /// Its part in a rollout, if it has one.
    pub rollout: Option<RolloutPart>,
}

/// Why the settings were refused. Nothing was started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum InvalidSetting {
    /// A value that the setting does not know.
    #[error("{name}='{value}' is not understood: use {allowed}")]
    Value {
        name: &'static str,
        /// What it was set to.
        value: String,
        /// What it may be set to.
        allowed: Expected,
    },
    /// A slip of the pen, or a part in a rollout that this agent does not know: its controller is newer.
    #[error(
        "this agent knows no variable {name}: it is spelled differently, or is made for a newer careen than the image"
    )]
    Unknown { name: String },
    /// `CAREEN_TRANSACTION` is no identifier.
    #[error("{name}: {0}", name = variable::TRANSACTION)]
    Transaction(InvalidId),
}

impl From<InvalidId> for InvalidSetting {
    fn from(invalid: InvalidId) -> Self {
        Self::Transaction(invalid)
    }
}

const QUORUM_LOSS: Either = Either { no: "refused", yes: "allowed" };
const INHIBITORS: Either = Either { no: "override", yes: "respect" };
const PREFLIGHT: Either = Either { no: "refuse", yes: "warn" };
const TOUCHES_ENGINE: Either = Either { no: "no", yes: "maybe" };
const UNLOCK: Either = Either { no: "by-secret", yes: "by-hand" };

impl Default for Settings {
    fn default() -> Self {
        Self {
            run: String::new(),
            transaction: None,
            payload: DEFAULT_PAYLOAD.to_owned(),
            host_entry: HostEntry::default(),
            linger: false,
            on_remove: OnRemove::default(),
            timeout: None,
            stop_grace_period: DEFAULT_STOP_GRACE_PERIOD,
            reboot: Reboot::default(),
            engine_restart: EngineRestarts::default(),
            idempotent: false,
            output_limit: DEFAULT_OUTPUT_LIMIT,
            log_offset: 0,
            allow_quorum_loss: false,
            respect_inhibitors: false,
            inquires: false,
            rollout: None,
        }
    }
}

/// The variables of a container, as they are looked up.
pub(crate) struct Given<'a>(pub &'a BTreeMap<String, String>);

impl Given<'_> {
    /// A variable that is set to nothing counts as not set, as it does in Compose files.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub fn read<T>(
        &self,
        name: &'static str,
        read: impl Fn(&str) -> Value<T>,
    ) -> Result<Option<T>, InvalidSetting> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let invalid = |allowed| InvalidSetting::Value { name, value: value.to_owned(), allowed };
        read(value).map(Some).map_err(invalid)
    }

    fn either(&self, name: &'static str, either: Either) -> Result<Option<bool>, InvalidSetting> {
        self.read(name, |text| either.read(text))
    }
}

impl Settings {
    /// Reads the settings out of an environment. An unknown value is an error, never a default, and so is an unknown variable.
    pub fn from_env(env: &BTreeMap<String, String>) -> Result<Self, InvalidSetting> {
        let mut ours = env.keys().filter(|name| name.starts_with(variable::PREFIX));
        if let Some(name) = ours.find(|name| !variable::ON_A_CONTAINER.contains(&name.as_str())) {
            return Err(InvalidSetting::Unknown { name: name.clone() });
        }
        let given = Given(env);
        let unset = Self::default();
        Ok(Self {
            run: given.get(variable::RUN).unwrap_or_default().to_owned(),
            transaction: given.get(variable::TRANSACTION).map(TransactionId::parse).transpose()?,
            payload: given.read(variable::PAYLOAD, value::directory)?.unwrap_or(unset.payload),
            host_entry: given.read(variable::HOST_ENTRY, HostEntry::parse)?.unwrap_or(unset.host_entry),
            linger: given.read(variable::LINGER, value::flag)?.unwrap_or(unset.linger),
            on_remove: given.read(variable::ON_REMOVE, value::word)?.unwrap_or(unset.on_remove),
            timeout: given.read(variable::TIMEOUT, value::duration)?,
            stop_grace_period: given
                .read(variable::STOP_GRACE_PERIOD, value::duration)?
                .unwrap_or(unset.stop_grace_period),
            reboot: given.read(variable::REBOOT, value::word)?.unwrap_or(unset.reboot),
            engine_restart: given
                .read(variable::ENGINE_RESTART, value::word)?
                .unwrap_or(unset.engine_restart),
            idempotent: given.read(variable::IDEMPOTENT, value::flag)?.unwrap_or(unset.idempotent),
            output_limit: given.read(variable::OUTPUT_LIMIT, value::size)?.unwrap_or(unset.output_limit),
            log_offset: given.read(variable::LOG_OFFSET, value::number)?.unwrap_or(unset.log_offset),
            allow_quorum_loss: given
                .either(variable::QUORUM_LOSS, QUORUM_LOSS)?
                .unwrap_or(unset.allow_quorum_loss),
            respect_inhibitors: given
                .either(variable::INHIBITORS, INHIBITORS)?
                .unwrap_or(unset.respect_inhibitors),
            inquires: given.read(variable::INQUIRY, value::flag)?.unwrap_or(unset.inquires),
            rollout: RolloutPart::from_env(&given)?,
        })
    }

    /// The variables that say all this: what is read from them are these settings again.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let mut all = vec![
            (variable::RUN, self.run.clone()),
            (variable::PAYLOAD, self.payload.clone()),
            (variable::HOST_ENTRY, self.host_entry.to_string()),
            (variable::LINGER, value::written_flag(self.linger)),
            (variable::ON_REMOVE, self.on_remove.to_string()),
            (variable::STOP_GRACE_PERIOD, value::written_duration(self.stop_grace_period)),
            (variable::REBOOT, self.reboot.to_string()),
            (variable::ENGINE_RESTART, self.engine_restart.to_string()),
            (variable::IDEMPOTENT, value::written_flag(self.idempotent)),
            (variable::OUTPUT_LIMIT, self.output_limit.to_string()),
            (variable::LOG_OFFSET, self.log_offset.to_string()),
            (variable::QUORUM_LOSS, QUORUM_LOSS.written(self.allow_quorum_loss)),
            (variable::INHIBITORS, INHIBITORS.written(self.respect_inhibitors)),
            (variable::INQUIRY, value::written_flag(self.inquires)),
        ];
        all.extend(self.transaction.as_ref().map(|id| (variable::TRANSACTION, id.to_string())));
        all.extend(self.timeout.map(|limit| (variable::TIMEOUT, value::written_duration(limit))));
        all.extend(self.rollout.iter().flat_map(RolloutPart::variables));
        all
    }
}

impl RolloutPart {
    fn from_env(given: &Given<'_>) -> Result<Option<Self>, InvalidSetting> {
        let Some(gate) = given.get(variable::GATE) else { return Ok(None) };
        Ok(Some(Self {
            gate: gate.to_owned(),
            gates: given.read(variable::GATES, gates)?.unwrap_or(LEAST_GATES),
            generation: given.read(variable::GENERATION, value::number)?.unwrap_or(1),
            agent: given.read(variable::AGENT, value::number)?.unwrap_or(1),
            collects: given.read(variable::COLLECT, value::flag)?.unwrap_or(false),
            rolls_back: given.read(variable::ROLLBACK, value::flag)?.unwrap_or(false),
            allows_unfit: given.either(variable::PREFLIGHT, PREFLIGHT)?.unwrap_or(false),
            touches_engine: given.either(variable::TOUCHES_ENGINE, TOUCHES_ENGINE)?.unwrap_or(true),
            unlock_by_hand: given.either(variable::UNLOCK, UNLOCK)?.unwrap_or(false),
            force: given.read(variable::FORCE, value::flag)?.unwrap_or(true),
        }))
    }

    fn variables(&self) -> [(&'static str, String); 10] {
        [
            (variable::GATE, self.gate.clone()),
            (variable::GATES, self.gates.to_string()),
            (variable::GENERATION, self.generation.to_string()),
            (variable::AGENT, self.agent.to_string()),
            (variable::COLLECT, value::written_flag(self.collects)),
            (variable::ROLLBACK, value::written_flag(self.rolls_back)),
            (variable::PREFLIGHT, PREFLIGHT.written(self.allows_unfit)),
            (variable::TOUCHES_ENGINE, TOUCHES_ENGINE.written(self.touches_engine)),
            (variable::UNLOCK, UNLOCK.written(self.unlock_by_hand)),
            (variable::FORCE, value::written_flag(self.force)),
        ]
    }
}

fn gates(text: &str) -> Value<u8> {
    let count = text.parse().ok().filter(|count| *count == 0 || (LEAST_GATES..=MOST_GATES).contains(count));
    count.ok_or_else(|| format!("0, or a number from {LEAST_GATES} to {MOST_GATES}").into())
}

/// Variables that the engine sets on every container and that describe the container, not the work.
const CONTAINERS_OWN: [&str; 3] = ["HOME", "HOSTNAME", "PATH"];

/// What the agent adds to a command's environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandContext<'a> {
    /// `CAREEN_RUN`.
    pub run: &'a str,
    /// `CAREEN_TRANSACTION`.
    pub transaction: &'a TransactionId,
    /// `CAREEN_COMMAND`.
    pub command: &'a str,
    /// `CAREEN_NODE_ID`, empty outside of a swarm.
    pub node_id: &'a str,
    /// `CAREEN_NODE_NAME`: the host's name.
    pub node_name: &'a str,
    /// `CAREEN_NODE_ROLE`: `manager`, `worker`, or empty outside of a swarm.
    pub node_role: &'a str,
    /// `CAREEN_SECRETS`: a directory on a tmpfs of the host.
    pub secrets: &'a str,
    /// `CAREEN_STATE`: a directory that lasts between runs on this host.
    pub state: &'a str,
    /// `CAREEN_IMAGE`: the image's id, empty when it is not known.
    pub image: &'a str,
    /// `CAREEN_RESTART_ENGINE`: a file that a command makes when it wants the engine restarted.
    pub restart_engine: &'a str,
    /// `CAREEN_EXPECTS_RESTART`: a file in which `prepare` says whether it expects a restart.
    pub expects_restart: &'a str,
    /// `CAREEN_RESULT`: a file in which a command may leave a result.
    pub result: &'a str,
    /// The directory of the agent's binary on the host, in front of `PATH`: a command finds the helpers of the careen that runs
    /// it, on a host where careen was never before too, and whatever lies in /usr/local/sbin.
    pub agent: &'a str,
}

/// The environment of a command on the host: the container's own (as `-e` and the image set it), less what describes
/// the container, plus the contract's variables. `CAREEN_ATTEMPT` is added by the supervisor, per attempt.
pub fn command_environment(
    container: &BTreeMap<String, String>,
    context: &CommandContext<'_>,
) -> BTreeMap<String, String> {
    let mut env = container.clone();
    env.retain(|name, _| !CONTAINERS_OWN.contains(&name.as_str()));
    let mut set = |name: &str, value: &str| env.insert(name.to_owned(), value.to_owned());
    set(variable::RUN, context.run);
    set(variable::TRANSACTION, context.transaction.as_str());
    set(variable::COMMAND, context.command);
    set(variable::NODE_ID, context.node_id);
    set(variable::NODE_NAME, context.node_name);
    set(variable::NODE_ROLE, context.node_role);
    set(variable::SECRETS, context.secrets);
    set(variable::STATE, context.state);
    set(variable::IMAGE, context.image);
    set(variable::RESTART_ENGINE, context.restart_engine);
    set(variable::EXPECTS_RESTART, context.expects_restart);
    set(variable::RESULT, context.result);
    set("PATH", &format!("{}:{COMMAND_PATH}", context.agent));
    set("HOME", "/root");
    env.entry("DEBIAN_FRONTEND".to_owned()).or_insert_with(|| "noninteractive".to_owned());
    env
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Way;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn nothing_set_means_the_documented_defaults() {
        let settings = Settings::from_env(&env(&[("CAREEN_TIMEOUT", "")])).unwrap();
        assert_eq!(settings.host_entry, HostEntry::Auto);
        assert_eq!(settings.on_remove, OnRemove::Continue);
        assert_eq!((settings.timeout, settings.stop_grace_period), (None, Duration::from_secs(30)));
        assert!(!settings.linger && settings.run.is_empty() && settings.transaction.is_none());
        assert_eq!(settings.payload, "/install");
    }

    #[test]
    fn every_setting_is_read() {
        let settings = Settings::from_env(&env(&[
            ("CAREEN_RUN", "tuesday"),
            ("CAREEN_TRANSACTION", "t1"),
            ("CAREEN_HOST_ENTRY", "chroot"),
            ("CAREEN_LINGER", "1"),
            ("CAREEN_ON_REMOVE", "stop"),
            ("CAREEN_TIMEOUT", "1h30m"),
            ("CAREEN_STOP_GRACE_PERIOD", "500ms"),
            ("CAREEN_LOG_OFFSET", "42"),
            ("CAREEN_REBOOT", "wanted"),
            ("CAREEN_ENGINE_RESTART", "never"),
            ("CAREEN_IDEMPOTENT", "1"),
            ("CAREEN_OUTPUT_LIMIT", "64MiB"),
            ("CAREEN_PAYLOAD", "/upgrade"),
            ("CAREEN_INHIBITORS", "respect"),
        ]))
        .unwrap();
        assert_eq!(settings.host_entry, HostEntry::Only(Way::Chroot));
        assert_eq!(settings.timeout, Some(Duration::from_secs(5400)));
        assert_eq!(settings.stop_grace_period, Duration::from_millis(500));
        assert_eq!((settings.run.as_str(), settings.log_offset), ("tuesday", 42));
        assert!(settings.linger && settings.on_remove == OnRemove::Stop);
        assert_eq!((settings.reboot, settings.engine_restart), (Reboot::Wanted, EngineRestarts::Never));
        assert_eq!((settings.idempotent, settings.output_limit), (true, 64 << 20));
        assert_eq!(settings.payload, "/upgrade");
        assert!(settings.respect_inhibitors);
    }

    #[test]
    fn a_value_that_is_not_understood_is_an_error_that_says_what_is() {
        for (name, value, hint) in [
            ("CAREEN_HOST_ENTRY", "ssh", "auto, systemd, container or chroot"),
            ("CAREEN_LINGER", "maybe", "1 or 0"),
            ("CAREEN_ON_REMOVE", "kill", "continue or stop"),
            ("CAREEN_TIMEOUT", "-5s", "a duration"),
            ("CAREEN_TIMEOUT", "0s", "a duration"),
            ("CAREEN_TIMEOUT", "ten", "a duration"),
            ("CAREEN_LOG_OFFSET", "-1", "number"),
            ("CAREEN_TRANSACTION", "../etc", "transaction id"),
            ("CAREEN_REBOOT", "sometimes", "never, asked, wanted or always"),
            ("CAREEN_ENGINE_RESTART", "yes", "auto or never"),
            ("CAREEN_INHIBITORS", "1", "override or respect"),
            ("CAREEN_PAYLOAD", "upgrade", "a directory"),
            ("CAREEN_PAYLOAD", "/", "a directory"),
            ("CAREEN_PAYLOAD", "/host/etc", "a directory"),
            ("CAREEN_PAYLOAD", "/a/../host", "a directory"),
            ("CAREEN_OUTPUT_LIMIT", "1KiB", "a size"),
            ("CAREEN_OUTPUT_LIMIT", "99999999999GiB", "a size"),
        ] {
            let message = Settings::from_env(&env(&[(name, value)])).unwrap_err().to_string();
            assert!(message.contains(hint) && message.contains(name), "{message}");
        }
    }

    #[test]
    fn a_variable_of_careens_that_nobody_knows_is_an_error_and_each_that_is_documented_is_known() {
        for name in ["CAREEN_REBOTT", "CAREEN_FUTURE", "CAREEN_"] {
            let message = Settings::from_env(&env(&[(name, "asked")])).unwrap_err().to_string();
            assert!(message.contains(&format!("variable {name}:")), "{message}");
        }
        assert!(Settings::from_env(&env(&[("OTHER_CAREEN_FUTURE", "1")])).is_ok());
        let documents = include_str!("../../../docs/payload-contract.md");
        let quoted = documents.split(['`', '=', '\'']).filter(|word| word.starts_with(variable::PREFIX));
        let names: Vec<&str> =
            quoted.filter(|word| word.bytes().all(|c| c.is_ascii_uppercase() || c == b'_')).collect();
        let missing: Vec<_> = names
            .iter()
            .filter(|name| **name != variable::PREFIX && !variable::ON_A_CONTAINER.contains(name))
            .collect();
        assert!(names.len() > 20 && missing.is_empty(), "{missing:?}");
    }

    /// The `number`-th of all settings that differ in what is a choice; what is free differs along with it.
    fn settings(mut number: usize) -> Settings {
        let free = number;
        let mut pick = |of: usize| {
            let picked = number % of;
            number /= of;
            picked
        };
        let ways = [Way::Systemd, Way::Container, Way::Chroot].map(HostEntry::Only);
        let durations = [1, 500, 1000, 5_400_000, 86_400_000 * 40].map(Duration::from_millis);
        let part = RolloutPart {
            gate: format!("careen-k3x9-n-g{free}-a1-gate"),
            gates: [0, LEAST_GATES, LEAST_GATES + u8::try_from(free % 6).unwrap()][free % 3],
            generation: u32::try_from(free).unwrap(),
            agent: u32::MAX,
            collects: pick(2) == 1,
            rolls_back: pick(2) == 1,
            allows_unfit: pick(2) == 1,
            touches_engine: free.is_multiple_of(4),
            unlock_by_hand: pick(2) == 1,
            force: free.is_multiple_of(3),
        };
        Settings {
            rollout: (pick(3) > 0).then_some(part),
            reboot: Reboot::VARIANTS[pick(Reboot::VARIANTS.len())],
            engine_restart: EngineRestarts::VARIANTS[pick(EngineRestarts::VARIANTS.len())],
            on_remove: OnRemove::VARIANTS[pick(OnRemove::VARIANTS.len())],
            host_entry: [HostEntry::Auto].into_iter().chain(ways).nth(pick(4)).unwrap(),
            linger: pick(2) == 1,
            idempotent: pick(2) == 1,
            allow_quorum_loss: pick(2) == 1,
            respect_inhibitors: pick(2) == 1,
            inquires: free.is_multiple_of(5),
            timeout: [None].into_iter().chain(durations.map(Some)).nth(free % 6).unwrap(),
            stop_grace_period: durations[free % 5],
            output_limit: (64 << 10) + free as u64,
            log_offset: free as u64,
            run: ["", "tuesday", "a=b c\n\"'é"][free % 3].to_owned(),
            transaction: free.is_multiple_of(2).then(|| TransactionId::parse("k3x9-n-g1").unwrap()),
            payload: ["/install", "/a/b c"][free % 2].to_owned(),
        }
    }

    #[test]
    fn what_is_written_is_read_again_whatever_it_is() {
        // Every choice beside every other one is 49,152; the step has no factor in common with them.
        for number in (0..49_152).step_by(7) {
            let settings = settings(number);
            let variables = settings.variables();
            let written: BTreeMap<String, String> =
                variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            assert_eq!(written.len(), variables.len(), "one of them is written twice");
            assert_eq!(Settings::from_env(&written).as_ref(), Ok(&settings), "{written:?}");
        }
        assert_eq!(Settings::from_env(&BTreeMap::new()), Ok(Settings::default()));
    }

    #[test]
    fn a_command_gets_the_operators_variables_and_the_contracts_but_not_the_containers() {
        let container = env(&[
            ("HOSTNAME", "5f9df36ce0c4"),
            ("PATH", "/usr/bin"),
            ("HOME", "/"),
            ("HTTP_PROXY", "http://proxy"),
            ("CAREEN_NODE_NAME", "a lie"),
        ]);
        let id = TransactionId::parse("t1").unwrap();
        let context = CommandContext {
            run: "r",
            transaction: &id,
            command: "install",
            node_id: "n",
            node_name: "host1",
            node_role: "worker",
            secrets: "/run/s",
            state: "/var/lib/careen/state",
            image: "sha256:1",
            restart_engine: "/var/lib/careen/t/restart-engine",
            expects_restart: "/var/lib/careen/t/expects-restart",
            result: "/var/lib/careen/t/result",
            agent: "/var/lib/careen/bin/1",
        };
        let result = command_environment(&container, &context);
        assert_eq!(result["HTTP_PROXY"], "http://proxy");
        assert_eq!(result["CAREEN_NODE_NAME"], "host1");
        assert_eq!(result["HOME"], "/root");
        assert_eq!(
            result["PATH"],
            format!("/var/lib/careen/bin/1:{COMMAND_PATH}"),
            "careen-agent is found first"
        );
        assert_eq!(result["DEBIAN_FRONTEND"], "noninteractive");
        assert!(!result.contains_key("HOSTNAME"));

        let set = env(&[("DEBIAN_FRONTEND", "readline")]);
        assert_eq!(command_environment(&set, &context)["DEBIAN_FRONTEND"], "readline");
    }
}
