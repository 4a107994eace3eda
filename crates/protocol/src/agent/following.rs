//! What an agent knows while it follows the command, and how it passes gos on meanwhile.

use super::event::{Effect, Wish};
use crate::gates::{Look, Verdict, Watch};
use careen_contract::report::{Restart, Said};
use careen_contract::settings::LEAST_GATES;
use careen_host::journal::Record;
use careen_host::outcome::{EngineRestart, TransactionPhase};
use std::time::Duration;

/// How long gates may be incomplete although one of them has ended: it will not come back.
pub(super) const GATHERING: Duration = Duration::from_secs(60);

/// How long the gates for a restart may take to be there.
pub(super) const GATES_FOR_A_RESTART: Duration = Duration::from_secs(300);

/// What an agent knows while it follows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Following {
    /// While the command is not begun: the go for it, which is passed on.
    pub(super) command: Option<Command>,
    pub(super) wish: Option<Wish>,
    pub(super) watch: Option<Watch>,
    /// Since when a wish waits for gates.
    pub(super) since: Option<Duration>,
    /// Whether a go can reach this agent no more.
    pub(super) cancelled: bool,
    pub(super) said: Option<Said>,
}

/// Where the go for the command comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Command {
    /// Its gates say it.
    Gated(Watch),
    /// It has no gates: it says so itself as long as the engine knows it as running.
    Free,
}

impl Command {
    pub(super) fn look(&mut self, look: Option<&Look>, now: Duration) -> Verdict {
        match self {
            Self::Gated(watch) => watch.look(look, now),
            Self::Free if look.is_some_and(Look::knows_the_agent) => Verdict::Go,
            Self::Free => Verdict::Waits("the engine, which does not know this agent's container as running"),
        }
    }
}

/// A supervisor waits for the go for a restart, or has it and waits for its turn, as it does before the command: it is passed on
/// as long as the gates say so.
pub(super) fn watched(
    following: &mut Following,
    number: u32,
    verdict: Verdict,
    seen: Duration,
) -> Vec<Effect> {
    match verdict {
        Verdict::Waits(_) => Vec::new(),
        Verdict::Go => vec![Effect::PassGo { number, seen }],
        Verdict::Refused => vec![Effect::CancelWait],
        Verdict::Cancelled(why) => cancelled(following, why),
    }
}

pub(super) fn draw(
    following: &mut Following,
    wish: Wish,
    look: Option<&Look>,
    now: Duration,
    random: u64,
) -> Vec<Effect> {
    if let Some(watch) = look.and_then(|look| Watch::begin(look, wish.number, random)) {
        let said = Said::WantsRestart { kind: wish.kind, draw: watch.draw() };
        following.watch = Some(watch);
        return vec![Effect::Say(said)];
    }
    let since = *following.since.get_or_insert(now);
    let limit = if look.is_some_and(Look::has_ended) { GATHERING } else { GATES_FOR_A_RESTART };
    if now.saturating_sub(since) < limit {
        return Vec::new();
    }
    cancelled(following, format!("fewer than {LEAST_GATES} gates run, for {} s", limit.as_secs()))
}

fn cancelled(following: &mut Following, why: String) -> Vec<Effect> {
    (following.cancelled, following.watch, following.command) = (true, None, None);
    // Behind the word the controller gives the node to the next agent.
    vec![Effect::TakeBackGo, Effect::Say(Said::Cancelled { why })]
}

/// What goes on after this record, when that went on before it. What is over when an agent comes is not told as if it went
/// on: the rollout would seem to go back.
pub(super) fn after(said: Option<Said>, record: &Record) -> Option<Said> {
    match record {
        Record::Starting { phase: TransactionPhase::Command, attempt, .. } => {
            Some(Said::Running { attempt: *attempt })
        }
        Record::RestartingEngine { why: EngineRestart::Replaced | EngineRestart::CalledDown } => {
            Some(Said::Restarting { kind: Restart::Engine })
        }
        Record::Rebooting { .. } => Some(Said::Restarting { kind: Restart::Reboot }),
        Record::Ended { .. }
        | Record::Interrupted
        | Record::EngineSettled { .. }
        | Record::Rebooted { .. }
        | Record::Closed { .. } => None,
        Record::Starting { phase: TransactionPhase::Rollback, .. }
        | Record::RestartingEngine { why: EngineRestart::Down }
        | Record::Supervised { .. }
        | Record::Offered { .. }
        | Record::Revoked { .. }
        | Record::Running { .. }
        | Record::Stopping { .. } => said,
    }
}
