//! What `careen` exits with. Scripts rely on these numbers (docs/cli.md).

use std::process::ExitCode;

/// How a call of `careen` ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// What was asked for is done.
    Done,
    /// Anything that has no code of its own.
    Other,
    /// The call is wrong; nothing was done.
    Usage,
    /// The rollout is over, and nodes failed, or it was aborted.
    FailedNodes,
    /// The rollout is paused and waits for an operator.
    Paused,
    /// Hosts differ from what they should be.
    Drift,
    /// Refused for safety; nothing was done.
    Refused,
    /// No manager of a swarm could be asked.
    NoManager,
    /// A payload's command was tried, and ended with this.
    OfCommand(u8),
}

impl Exit {
    /// Every code of careen's own, for the documents and their test.
    pub const ALL: [Self; 8] = [
        Self::Done,
        Self::Other,
        Self::Usage,
        Self::FailedNodes,
        Self::Paused,
        Self::Drift,
        Self::Refused,
        Self::NoManager,
    ];

    /// The number that the process exits with.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Other => 1,
            Self::Usage => 2,
            Self::FailedNodes => 3,
            Self::Paused => 4,
            Self::Drift => 5,
            Self::Refused => 6,
            Self::NoManager => 7,
            Self::OfCommand(status) => status,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_and_documented() {
        let document = include_str!("../../../docs/cli.md");
        let table = document.split("## Exit codes").nth(1).unwrap().split("\n## ").next().unwrap();
        for (number, exit) in Exit::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(exit.code()), number);
            assert!(table.contains(&format!("\n| {number} |")), "{number} is not documented");
        }
        assert_eq!(table.matches("\n| ").count(), Exit::ALL.len() + 2, "two lines of header, and the codes");
    }
}
