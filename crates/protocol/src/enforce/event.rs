//! What an enforcing agent is told, and what it does.

use careen_contract::TransactionId;
use careen_contract::standing::{PathWatch, Standing};
use careen_host::enforcement::EnforceMemory;
use std::collections::BTreeSet;
use std::time::Duration;

/// What both of the host's clocks read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since the boot. This one decides.
    pub since_boot: Duration,
    /// Milliseconds since 1970, for people and for names. It may be set back.
    pub unix_ms: u64,
}

impl Now {
    pub(super) fn seconds(self) -> u64 {
        self.unix_ms / 1000
    }

    pub(super) fn since_boot_ms(self) -> u64 {
        u64::try_from(self.since_boot.as_millis()).unwrap_or(u64::MAX)
    }
}

/// What is told beside every event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    /// Which owned paths have changed since the event before.
    pub changed: BTreeSet<String>,
    /// Whether the kernel has lost changes: then any of them may have.
    pub lost: bool,
    /// How the paths are watched.
    pub watch: PathWatch,
    /// Why what was to be remembered last is not on the disk.
    pub not_written: Option<String>,
}

/// What a host remembers of the enforcement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remembered {
    /// It was never here.
    Nothing,
    /// This.
    Known(Box<EnforceMemory>),
    /// Something that cannot be used. It is never taken for nothing.
    Unusable {
        /// Why, and what an operator does.
        why: String,
    },
}

/// What a `check` came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked {
    /// The host is as it should be.
    InSync,
    /// It is not.
    Drift {
        /// The digest of what `check` printed.
        output: String,
    },
    /// Nobody can tell.
    Fails {
        /// Why, with its last words.
        why: String,
    },
}

/// What an `install` came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Installed {
    /// It ended.
    Ended {
        /// With this.
        exit: u8,
        /// It wants what an enforcing agent never does (a reboot, a restart of the engine, a drain): this, in words.
        wants: Option<String>,
        /// How it ended, in words, where that was not well.
        why: String,
        /// Its last lines.
        lines: Vec<String>,
    },
    /// It was not begun, because another transaction has the host.
    Busy {
        /// Which, in words.
        why: String,
    },
    /// It was not begun.
    Refused {
        /// Why.
        why: String,
    },
    /// The host knows no such transaction. Only of one that an earlier agent meant to begin.
    Lost,
}

/// What happened, or what came of what was done last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// What the host remembers.
    Remembered(Remembered),
    /// The wait is over: its time has come, or a path has changed.
    Woken,
    /// `check` ended.
    Looked {
        /// How.
        looked: Looked,
        /// Which life of host and engine this is: another text behind a boot, and behind a restart of the engine.
        life: String,
    },
    /// `install` ended.
    Installed(Installed),
    /// Which transaction has the host, if one has.
    Host {
        /// Its id.
        holder: Option<String>,
    },
    /// This agent has to go. What it began goes on.
    ToldToLeave,
}

impl Event {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Remembered(_) => "remembered",
            Self::Woken => "woken",
            Self::Looked { .. } => "looked",
            Self::Installed(_) => "installed",
            Self::Host { .. } => "host",
            Self::ToldToLeave => "told-to-leave",
        }
    }
}

/// What an agent does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnforceAct {
    /// Wait for a change of an owned path, and until this moment since the boot at most: [`Event::Woken`].
    Wait {
        /// Until when.
        until: Duration,
    },
    /// Run `check`: [`Event::Looked`].
    Check,
    /// Run `install` as this transaction: [`Event::Installed`].
    Install(TransactionId),
    /// Follow the `install` of an earlier agent, which is never begun here: [`Event::Installed`].
    Rejoin(TransactionId),
    /// Look who has the host: [`Event::Host`].
    AskHost,
    /// Read again what the host remembers: [`Event::Remembered`].
    Recall,
    /// Go.
    Leave,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is to be on the disk before anything else is done. Where it cannot be written the next event says so.
    pub write: Option<Box<EnforceMemory>>,
    /// What is said.
    pub say: Option<Box<Standing>>,
    /// What is done then.
    pub act: EnforceAct,
}

/// An event that cannot come now: a defect of whoever drives the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unexpected {
    /// What the machine had asked for.
    pub at: &'static str,
    /// What it was told.
    pub event: &'static str,
}

impl std::fmt::Display for Unexpected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "an enforcing agent that is '{}' cannot be told '{}'", self.at, self.event)
    }
}

impl std::error::Error for Unexpected {}
