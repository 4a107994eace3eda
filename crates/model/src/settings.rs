//! The payload contract's environment: what an operator can set on a container, and what a command is given.

use crate::entry::HostEntry;
use crate::id::{InvalidId, TransactionId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The search path of a command on the host.
pub const COMMAND_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long a command may take to end after it was asked to, unless `CAREEN_STOP_GRACE_PERIOD` says otherwise.
/// Docker's own default of 10 s is short for a package manager that finishes its current package.
pub const DEFAULT_STOP_GRACE_PERIOD: Duration = Duration::from_secs(30);

/// What happens to the command when its container was removed (`CAREEN_ON_REMOVE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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

/// The smallest limit that makes sense: one piece of output in each half.
const LEAST_OUTPUT_LIMIT: u64 = 64 * 1024;

/// Whether the host may be rebooted (`CAREEN_REBOOT`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
    /// `CAREEN_GATES`: how many gates it has, numbered from 1.
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
    /// `CAREEN_UNLOCK`: whether somebody types the unlock key of an autolocked swarm.
    pub unlock_by_hand: bool,
}

/// How long a restart's go counts from the look on in which an agent has seen it; the agent passes it on anew with each look. So
/// long a controller waits, when it misses an agent, before it makes the node active for the next one.
pub const GO_COUNTS: std::time::Duration = std::time::Duration::from_secs(10);

/// A go takes two gates away out of so many at least.
pub const LEAST_GATES: u8 = 4;

/// Whether an engine that was replaced may be restarted without a controller (`CAREEN_ENGINE_RESTART`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineRestarts {
    /// At once on workers; on managers one at a time, and only while the swarm keeps its quorum.
    #[default]
    Auto,
    /// No: the wish is the result.
    Never,
}

/// What careen's variables begin with. The container's others are the command's.
const PREFIX: &str = "CAREEN_";

/// All that may be set on a container: the settings, the part in a rollout, and what is set for the command anyway.
const KNOWN: [&str; 33] = [
    "CAREEN_AGENT",
    "CAREEN_ATTEMPT",
    "CAREEN_COLLECT",
    "CAREEN_COMMAND",
    "CAREEN_ENGINE_RESTART",
    "CAREEN_EXPECTS_RESTART",
    "CAREEN_GATE",
    "CAREEN_GATES",
    "CAREEN_GENERATION",
    "CAREEN_HOST_ENTRY",
    "CAREEN_IDEMPOTENT",
    "CAREEN_IMAGE",
    "CAREEN_INHIBITORS",
    "CAREEN_LINGER",
    "CAREEN_LOG_OFFSET",
    "CAREEN_NODE_ID",
    "CAREEN_NODE_NAME",
    "CAREEN_NODE_ROLE",
    "CAREEN_ON_REMOVE",
    "CAREEN_OUTPUT_LIMIT",
    "CAREEN_PAYLOAD",
    "CAREEN_PREFLIGHT",
    "CAREEN_QUORUM_LOSS",
    "CAREEN_REBOOT",
    "CAREEN_RESTART_ENGINE",
    "CAREEN_ROLLBACK",
    "CAREEN_RUN",
    "CAREEN_SECRETS",
    "CAREEN_STATE",
    "CAREEN_STOP_GRACE_PERIOD",
    "CAREEN_TIMEOUT",
    "CAREEN_TRANSACTION",
    "CAREEN_UNLOCK",
];

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
    /// Its part in a rollout, if it has one.
    pub rollout: Option<RolloutPart>,
}

/// Why the settings were refused. Nothing was started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSetting {
    /// A value that the setting does not know.
    #[error("{name}='{value}' is not understood: use {allowed}")]
    Value {
        /// The variable's name.
        name: &'static str,
        /// What it was set to.
        value: String,
        /// What it may be set to.
        allowed: &'static str,
    },
    /// A slip of the pen, or a part in a rollout that this agent does not know: its controller is newer.
    #[error(
        "this agent knows no variable {name}: it is spelled differently, or is made for a newer careen than the image"
    )]
    Unknown {
        /// The variable's name.
        name: String,
    },
    /// `CAREEN_TRANSACTION` is no identifier.
    #[error("CAREEN_TRANSACTION: {0}")]
    Transaction(InvalidId),
}

impl From<InvalidId> for InvalidSetting {
    fn from(invalid: InvalidId) -> Self {
        Self::Transaction(invalid)
    }
}

impl Settings {
    /// Reads the settings out of an environment. A variable that is set to nothing counts as not set, as it does in
    /// Compose files; an unknown value is an error, never a default, and so is an unknown variable.
    pub fn from_env(env: &BTreeMap<String, String>) -> Result<Self, InvalidSetting> {
        let mut ours = env.keys().filter(|name| name.starts_with(PREFIX));
        if let Some(name) = ours.find(|name| !KNOWN.contains(&name.as_str())) {
            return Err(InvalidSetting::Unknown { name: name.clone() });
        }
        let get = |name: &'static str| env.get(name).map(String::as_str).filter(|value| !value.is_empty());
        Ok(Self {
            run: get("CAREEN_RUN").unwrap_or_default().to_owned(),
            transaction: get("CAREEN_TRANSACTION").map(TransactionId::parse).transpose()?,
            payload: choice(
                get,
                "CAREEN_PAYLOAD",
                "a directory of the image, from its root: /install",
                payload,
            )?
            .unwrap_or_else(|| DEFAULT_PAYLOAD.to_owned()),
            host_entry: choice(
                get,
                "CAREEN_HOST_ENTRY",
                "auto, systemd, container or chroot",
                HostEntry::parse,
            )?
            .unwrap_or_default(),
            linger: choice(get, "CAREEN_LINGER", "1 or 0", flag)?.unwrap_or(false),
            on_remove: choice(get, "CAREEN_ON_REMOVE", "continue or stop", on_remove)?.unwrap_or_default(),
            timeout: choice(get, "CAREEN_TIMEOUT", "a duration such as 90s, 10m or 1h30m", duration)?,
            stop_grace_period: choice(
                get,
                "CAREEN_STOP_GRACE_PERIOD",
                "a duration such as 10s or 2m",
                duration,
            )?
            .unwrap_or(DEFAULT_STOP_GRACE_PERIOD),
            reboot: choice(get, "CAREEN_REBOOT", "never, asked, wanted or always", reboot)?
                .unwrap_or_default(),
            engine_restart: choice(get, "CAREEN_ENGINE_RESTART", "auto or never", engine_restart)?
                .unwrap_or_default(),
            idempotent: choice(get, "CAREEN_IDEMPOTENT", "1 or 0", flag)?.unwrap_or(false),
            output_limit: choice(get, "CAREEN_OUTPUT_LIMIT", "a size such as 64MiB, at least 64KiB", size)?
                .unwrap_or(DEFAULT_OUTPUT_LIMIT),
            log_offset: choice(get, "CAREEN_LOG_OFFSET", "a number of bytes", |text| text.parse().ok())?
                .unwrap_or(0),
            allow_quorum_loss: choice(get, "CAREEN_QUORUM_LOSS", "refused or allowed", |text| match text {
                "refused" => Some(false),
                "allowed" => Some(true),
                _ => None,
            })?
            .unwrap_or(false),
            respect_inhibitors: choice(get, "CAREEN_INHIBITORS", "override or respect", |text| match text {
                "override" => Some(false),
                "respect" => Some(true),
                _ => None,
            })?
            .unwrap_or(false),
            rollout: RolloutPart::from_env(get)?,
        })
    }
}

impl RolloutPart {
    fn from_env<'a>(get: impl Fn(&'static str) -> Option<&'a str>) -> Result<Option<Self>, InvalidSetting> {
        let Some(gate) = get("CAREEN_GATE") else { return Ok(None) };
        let number = |name, allowed| choice(&get, name, allowed, |text| text.parse().ok());
        Ok(Some(Self {
            gate: gate.to_owned(),
            gates: choice(&get, "CAREEN_GATES", "a number from 4 to 9", gates)?.unwrap_or(LEAST_GATES),
            generation: number("CAREEN_GENERATION", "a number from 1 on")?.unwrap_or(1),
            agent: number("CAREEN_AGENT", "a number from 1 on")?.unwrap_or(1),
            collects: choice(&get, "CAREEN_COLLECT", "1 or 0", flag)?.unwrap_or(false),
            rolls_back: choice(&get, "CAREEN_ROLLBACK", "1 or 0", flag)?.unwrap_or(false),
            allows_unfit: choice(&get, "CAREEN_PREFLIGHT", "refuse or warn", |text| match text {
                "refuse" => Some(false),
                "warn" => Some(true),
                _ => None,
            })?
            .unwrap_or(false),
            unlock_by_hand: choice(&get, "CAREEN_UNLOCK", "by-secret or by-hand", |text| match text {
                "by-secret" => Some(false),
                "by-hand" => Some(true),
                _ => None,
            })?
            .unwrap_or(false),
        }))
    }
}

fn choice<'a, T>(
    get: impl Fn(&'static str) -> Option<&'a str>,
    name: &'static str,
    allowed: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, InvalidSetting> {
    let Some(value) = get(name) else { return Ok(None) };
    match parse(value) {
        Some(parsed) => Ok(Some(parsed)),
        None => Err(InvalidSetting::Value { name, value: value.to_owned(), allowed }),
    }
}

/// Not the root: the whole image would be brought to the host, and what is mounted in it, the host itself, with it.
fn payload(text: &str) -> Option<String> {
    let parts = text.strip_prefix('/')?;
    let is_plain = |part: &str| !matches!(part, "" | "." | "..");
    (parts != "host" && !parts.starts_with("host/") && parts.split('/').all(is_plain))
        .then(|| text.to_owned())
}

fn reboot(text: &str) -> Option<Reboot> {
    match text {
        "never" => Some(Reboot::Never),
        "asked" => Some(Reboot::Asked),
        "wanted" => Some(Reboot::Wanted),
        "always" => Some(Reboot::Always),
        _ => None,
    }
}

fn engine_restart(text: &str) -> Option<EngineRestarts> {
    match text {
        "auto" => Some(EngineRestarts::Auto),
        "never" => Some(EngineRestarts::Never),
        _ => None,
    }
}

/// A number of bytes, with or without a binary unit.
fn size(text: &str) -> Option<u64> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("", 0)];
    let (number, shift) = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)))?;
    let bytes = number.parse::<u64>().ok()?.checked_mul(1 << shift)?;
    (bytes >= LEAST_OUTPUT_LIMIT).then_some(bytes)
}

fn gates(text: &str) -> Option<u8> {
    text.parse().ok().filter(|count| (LEAST_GATES..=9).contains(count))
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "1" | "true" | "yes" => Some(true),
        "0" | "false" | "no" => Some(false),
        _ => None,
    }
}

fn on_remove(text: &str) -> Option<OnRemove> {
    match text {
        "continue" => Some(OnRemove::Continue),
        "stop" => Some(OnRemove::Stop),
        _ => None,
    }
}

/// A duration as Compose writes it (`1h30m`, `90s`, `500ms`); zero and negative ones are refused.
fn duration(text: &str) -> Option<Duration> {
    let parsed: jiff::SignedDuration = text.parse().ok()?;
    Duration::try_from(parsed).ok().filter(|duration| !duration.is_zero())
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
    set("CAREEN_RUN", context.run);
    set("CAREEN_TRANSACTION", context.transaction.as_str());
    set("CAREEN_COMMAND", context.command);
    set("CAREEN_NODE_ID", context.node_id);
    set("CAREEN_NODE_NAME", context.node_name);
    set("CAREEN_NODE_ROLE", context.node_role);
    set("CAREEN_SECRETS", context.secrets);
    set("CAREEN_STATE", context.state);
    set("CAREEN_IMAGE", context.image);
    set("CAREEN_RESTART_ENGINE", context.restart_engine);
    set("CAREEN_EXPECTS_RESTART", context.expects_restart);
    set("PATH", COMMAND_PATH);
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
        let source = include_str!("settings.rs");
        let documents = include_str!("../../../docs/payload-contract.md");
        for text in [source, documents] {
            let quoted = text.split(['"', '`', '=', '\'']).filter(|word| word.starts_with(PREFIX));
            let names = quoted.filter(|word| word.bytes().all(|c| c.is_ascii_uppercase() || c == b'_'));
            let missing: Vec<&str> = names
                .filter(|name| {
                    !KNOWN.contains(name) && !["CAREEN_", "CAREEN_REBOTT", "CAREEN_FUTURE"].contains(name)
                })
                .collect();
            assert!(missing.is_empty(), "{missing:?}");
        }
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
        };
        let result = command_environment(&container, &context);
        assert_eq!(result["HTTP_PROXY"], "http://proxy");
        assert_eq!(result["CAREEN_NODE_NAME"], "host1");
        assert_eq!((result["HOME"].as_str(), result["PATH"].as_str()), ("/root", COMMAND_PATH));
        assert_eq!(result["DEBIAN_FRONTEND"], "noninteractive");
        assert!(!result.contains_key("HOSTNAME"));

        let set = env(&[("DEBIAN_FRONTEND", "readline")]);
        assert_eq!(command_environment(&set, &context)["DEBIAN_FRONTEND"], "readline");
    }
}
