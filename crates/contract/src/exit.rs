//! The agent's own exit codes. Everything else that the agent exits with is the command's own status.
//!
//! A command may use any of these numbers itself: the result record of the transaction is authoritative, the exit
//! code is what `docker service ps` can show.

use std::fmt;

/// Why the agent exits with a code of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentExit {
    /// The command ran into its time limit and was stopped.
    TimeLimit,
    /// The agent was told to leave (SIGTERM); the command goes on on the host.
    Detached,
    /// Another transaction holds this host.
    HostBusy,
    /// The command was stopped from outside, or died with its host or its supervisor.
    Interrupted,
    /// The command wants a reboot (or an engine restart) that is not allowed.
    RestartWanted,
    /// No way from the container into the host was found.
    NoWayIn,
    /// Something was wrong before anything was started.
    Refused,
    /// The container engine stayed down after the command.
    EngineDown,
    /// The payload has no such command.
    UnknownCommand,
    /// The container was started without the host's root at /host.
    NoHost,
    /// The command's file cannot be executed (as shells report it).
    NotExecutable,
    /// The command's interpreter does not exist on the host (as shells report it).
    NoInterpreter,
}

impl AgentExit {
    /// Every code, for documentation and tests.
    pub const ALL: [Self; 12] = [
        Self::TimeLimit,
        Self::NotExecutable,
        Self::NoInterpreter,
        Self::Detached,
        Self::HostBusy,
        Self::Interrupted,
        Self::RestartWanted,
        Self::NoWayIn,
        Self::Refused,
        Self::EngineDown,
        Self::UnknownCommand,
        Self::NoHost,
    ];

    /// The number that the process exits with.
    pub const fn code(self) -> u8 {
        match self {
            Self::TimeLimit => 124,
            Self::NotExecutable => 126,
            Self::NoInterpreter => 127,
            Self::Detached => 143,
            Self::HostBusy => 244,
            Self::Interrupted => 245,
            Self::RestartWanted => 246,
            Self::NoWayIn => 247,
            Self::Refused => 248,
            Self::EngineDown => 249,
            Self::UnknownCommand => 254,
            Self::NoHost => 255,
        }
    }
}

impl fmt::Display for AgentExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimeLimit => "time limit reached",
            Self::Detached => "detached, the command goes on",
            Self::HostBusy => "host busy with another transaction",
            Self::Interrupted => "interrupted",
            Self::RestartWanted => "reboot or engine restart wanted but not allowed",
            Self::NoWayIn => "no way into the host",
            Self::Refused => "refused before anything started",
            Self::EngineDown => "engine stayed down",
            Self::UnknownCommand => "unknown command",
            Self::NoHost => "no /host",
            Self::NotExecutable => "command not executable",
            Self::NoInterpreter => "the command's interpreter is not on the host",
        })
    }
}

/// The exit status by which a command asks for a reboot and another attempt (AWS SSM Run Command's convention).
pub const REBOOT_ME: i32 = 194;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_documented_in_the_contract() {
        let mut codes: Vec<u8> = AgentExit::ALL.iter().map(|exit| exit.code()).collect();
        let sorted = codes.clone();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes, sorted, "ALL lists every code once, in order");
        let contract = include_str!("../../../docs/payload-contract.md");
        for exit in AgentExit::ALL {
            assert!(
                contract.contains(&format!("| {} |", exit.code())),
                "{exit} ({}) is not documented",
                exit.code()
            );
        }
    }
}
