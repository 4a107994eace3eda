//! An agent's part in a rollout, from the look at its host to its last word.
//!
//! The host's journal decides what was begun; an agent only asks it, offers the try, and passes gos on. So an agent may be
//! killed, frozen or taken away at any moment: another one reads the journal. Before a go the journal knows that this
//! agent offered the try; after `revoked` no agent that came before can begin anything, whatever it sees.

mod event;
mod following;

use crate::gates::{Look, Verdict, Watch};
use crate::go::COMMAND;
use careen_contract::report::{Expectation, HostPhase, NodeOutcome, Said};
use careen_host::journal::Record;
use following::{Command, GATHERING, after, draw, watched};
use std::time::Duration;
use strum::IntoStaticStr;

pub use event::{CheckSaid, Do, Effect, Event, Known, Part, Ran, Step, Wish};
pub use following::Following;

/// An agent of a rollout: decides, and acts on nothing itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Agent {
    part: Part,
    at: At,
}

/// Where an agent is.
#[derive(Debug, Clone, PartialEq, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum At {
    New,
    /// It reads what the host knows.
    Reading,
    /// It looks whether the host is fit.
    Preflight,
    /// `check` runs: whether there is anything to do.
    Checking,
    /// `prepare` runs.
    Preparing,
    /// The try is being written down.
    Offering,
    /// It waits until all its gates run. Only then it asks `check`, and only then it offers the try: an agent whose gates do not all
    /// run may be one that the swarm has started again behind its go, on a host that knows nothing any more.
    Gathering {
        /// What is done then.
        next: Gathered,
        /// Since when a gate has ended.
        since: Option<Duration>,
    },
    /// It has drawn, and waits for the go.
    Waiting(Watch),
    /// It writes down that no go counts any more; then it says this.
    Revoking(Then),
    /// The command is supervised; it follows.
    Following(Following),
    /// The command failed, and is taken back.
    RollingBack {
        phase: HostPhase,
        /// The exit code that its agent ends with.
        exit: u8,
    },
    /// `verify` runs.
    Verifying,
    /// A new container is started, to see whether any would.
    Probing,
    /// It stays until it is taken away.
    Staying(u8),
    Gone,
}

/// What an agent does when all its gates run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gathered {
    /// It runs `check`.
    Check,
    /// It offers the try.
    Offer,
    /// It has offered it, and draws; this is what `prepare` expects.
    Draw(Expectation),
}

/// What an agent says behind a revocation, and what it does then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// It was told to leave.
    Leave,
    /// Its gates refused.
    Refused,
    /// Its go can not reach it any more, for this reason.
    Cancelled(String),
    /// It collects: nothing was begun.
    Collected,
}

/// What an agent exits with when it leaves and the command goes on, or was never begun.
const DETACHED: u8 = 143;
/// What it exits with when it is of no use here.
const REFUSED: u8 = 248;

/// An event that cannot come now: a defect of whoever drives the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unexpected {
    /// Where the agent is.
    pub at: &'static str,
    /// What it was told.
    pub event: &'static str,
}

impl std::fmt::Display for Unexpected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "an agent that is '{}' cannot be told '{}'", self.at, self.event)
    }
}

impl std::error::Error for Unexpected {}

type Effects = Vec<Effect>;

impl Agent {
    /// One that has done nothing yet.
    pub fn new(part: Part) -> Self {
        Self { part, at: At::New }
    }

    /// Where it stands between two events.
    pub fn at(&self) -> &At {
        &self.at
    }

    /// Whether a look at the gates is of any use now.
    pub fn wants_looks(&self) -> bool {
        match &self.at {
            At::Gathering { .. } | At::Waiting(_) => true,
            At::Following(following) => {
                (following.wish.is_some() || following.command.is_some()) && !following.cancelled
            }
            At::New
            | At::Reading
            | At::Preflight
            | At::Checking
            | At::Preparing
            | At::Offering
            | At::Revoking(_)
            | At::RollingBack { .. }
            | At::Verifying
            | At::Probing
            | At::Staying(_)
            | At::Gone => false,
        }
    }

    /// What follows from an event. An error when nothing may follow it where the agent is.
    #[expect(clippy::too_many_lines, reason = "the edges of one graph")]
    pub fn step(&mut self, event: Event) -> Result<Effects, Unexpected> {
        let unexpected = Unexpected { at: self.at.name(), event: event.name() };
        let at = std::mem::replace(&mut self.at, At::Gone);
        Ok(match (at, event) {
            (At::New, Event::Begin) => self.will(At::Reading, Do::Read),
            (At::Reading, Event::Known(known)) => self.known(&known),
            (At::Preflight, Event::Fit) if self.part.checks => self.gathers(Gathered::Check),
            (At::Preflight, Event::Fit) => self.prepares(),
            (At::Preflight, Event::Unfit { exit }) => {
                let outcome =
                    NodeOutcome::Failed { phase: HostPhase::Preflight, exit: exit.into(), rolled_back: None };
                self.finish(outcome, exit)
            }
            (At::Checking, Event::Checked(CheckSaid::InSync)) => self.finish(NodeOutcome::InSync, 0),
            (At::Checking, Event::Checked(CheckSaid::Drift)) => self.prepares(),
            (At::Checking, Event::Checked(CheckSaid::Failed { exit })) => {
                let outcome =
                    NodeOutcome::Failed { phase: HostPhase::Check, exit: exit.into(), rolled_back: None };
                self.finish(outcome, exit)
            }
            (At::Preparing, Event::Ran(ran)) if ran.is_success => self.gathers(Gathered::Offer),
            (At::Preparing, Event::Ran(ran)) => self.finish(failed(HostPhase::Prepare, &ran), ran.exit),
            (At::Offering, Event::Offered { expects }) => self.gathers(Gathered::Draw(expects)),
            // A supervisor of an agent before this one was faster, or an agent that came after it.
            (At::Offering, Event::TooLate) => self.follow(),
            (At::Offering, Event::Known(Known::Newer)) => self.will(At::Gone, Do::Leave(REFUSED)),
            (At::Gathering { next, since }, Event::Looked { look, asked, .. }) if self.part.gates == 0 => {
                self.go_by_itself(next, since, look.as_ref(), asked)
            }
            (At::Gathering { next, since }, Event::Looked { look, now, random, .. }) => {
                self.gather(next, since, look.as_ref(), now, random)
            }
            (At::Waiting(watch), Event::Looked { look, asked, now, .. }) => {
                self.wait(watch, look.as_ref(), asked, now)
            }
            (
                At::Gathering { next: Gathered::Draw(_), .. } | At::Waiting(_) | At::Revoking(_),
                Event::ToldToLeave,
            ) => self.revoke(Then::Leave, "an agent that was told to leave before the go"),
            (At::Revoking(then), Event::Revoked) => self.revoked(then),
            (At::Revoking(then), Event::TooLate) => self.too_late(then),
            // The host lost what it knew: nobody can say any more what was begun there.
            (At::Revoking(Then::Leave), Event::Known(Known::Nothing)) => {
                self.says(Said::Forgotten, At::Gone, Do::Leave(DETACHED))
            }
            (At::Revoking(_) | At::Following(_), Event::Known(Known::Nothing)) => {
                self.says(Said::Forgotten, At::Staying(0), Do::Stay(0))
            }
            (At::Following(_), Event::Revoked) => self.says(Said::Revoked, At::Staying(0), Do::Stay(0)),
            (At::Following(following), Event::Records(records)) => self.records(following, &records),
            (At::Following(following), Event::Wish(wish)) => self.wish(following, wish),
            (At::Following(following), Event::Looked { look, asked, now, random }) => {
                self.look(following, look.as_ref(), asked, now, random)
            }
            (At::Following(_), Event::Ran(ran)) => self.command_ended(&ran),
            // The supervisor may wait for its turn, and nothing may have begun.
            (At::Following(_), Event::ToldToLeave) => {
                let by = "an agent that was told to leave before the command began";
                [vec![Effect::TakeBackGo], self.revoke(Then::Leave, by)].concat()
            }
            (At::RollingBack { phase, exit }, Event::Ran(ran)) => {
                let rolled_back = Some(ran.is_success);
                self.finish(NodeOutcome::Failed { phase, exit: exit.into(), rolled_back }, exit)
            }
            (At::Verifying, Event::Ran(ran)) if ran.is_success => self.will(At::Probing, Do::Probe),
            (At::Verifying, Event::Ran(ran)) => self.failed(HostPhase::Verify, &ran),
            (At::Probing, Event::Probed { starts: true }) => self.finish(NodeOutcome::Succeeded, 0),
            (At::Probing, Event::Probed { starts: false }) => {
                self.failed(HostPhase::Verify, &Ran { exit: 1, is_success: false, rolled_back: None })
            }
            (at, Event::Busy { holder, only_waits }) if at.needs_the_host() => {
                self.busy(at, holder, only_waits)
            }
            (At::Staying(exit), Event::ToldToLeave) => self.will(At::Gone, Do::Leave(exit)),
            (_, Event::ToldToLeave) => self.will(At::Gone, Do::Leave(DETACHED)),
            (at, _) => {
                self.at = at;
                return Err(unexpected);
            }
        })
    }

    fn will(&mut self, at: At, what: Do) -> Effects {
        self.at = at;
        vec![Effect::Do(what)]
    }

    fn says(&mut self, said: Said, at: At, what: Do) -> Effects {
        self.at = at;
        vec![Effect::Say(said), Effect::Do(what)]
    }

    fn finish(&mut self, outcome: NodeOutcome, exit: u8) -> Effects {
        self.says(Said::Finished { outcome, record: None }, At::Staying(exit), Do::Stay(exit))
    }

    fn known(&mut self, known: &Known) -> Effects {
        match (known, self.part.collects) {
            (Known::Newer, _) => self.will(At::Gone, Do::Leave(REFUSED)),
            (Known::Copied { from }, _) => {
                let then = Box::new(Do::Read);
                self.says(Said::Copied { from: from.clone() }, At::Reading, Do::WaitForHost { then })
            }
            (Known::Begun, _) => self.follow(),
            (Known::InSync, _) => self.finish(NodeOutcome::InSync, 0),
            (Known::Lost, _) | (Known::Nothing, true) => {
                self.says(Said::Forgotten, At::Staying(0), Do::Stay(0))
            }
            // From here on no agent before this one can begin it.
            (Known::NotBegun { .. }, true) => self.revoke(Then::Collected, "an agent that collects"),
            (Known::NotBegun { offered }, false) if *offered >= self.part.agent => {
                self.will(At::Gone, Do::Leave(REFUSED))
            }
            (Known::Nothing | Known::NotBegun { .. }, false) => self.will(At::Preflight, Do::Preflight),
        }
    }

    /// What an agent before this one passed on was for the node as it was then.
    fn follow(&mut self) -> Effects {
        [vec![Effect::TakeBackGo], self.will(At::Following(Following::default()), Do::Follow)].concat()
    }

    fn revoke(&mut self, then: Then, by: &'static str) -> Effects {
        self.will(At::Revoking(then), Do::Revoke { by })
    }

    fn checks(&mut self) -> Effects {
        self.says(Said::Preparing, At::Checking, Do::Run(Step::Check))
    }

    fn prepares(&mut self) -> Effects {
        match self.part.has_prepare {
            true => self.says(Said::Preparing, At::Preparing, Do::Run(Step::Prepare)),
            false => self.gathers(Gathered::Offer),
        }
    }

    fn gathers(&mut self, next: Gathered) -> Effects {
        self.will(At::Gathering { next, since: None }, Do::LookAtGates)
    }

    fn gather(
        &mut self,
        next: Gathered,
        since: Option<Duration>,
        look: Option<&Look>,
        now: Duration,
        random: u64,
    ) -> Effects {
        let all = look.filter(|look| look.in_place() >= usize::from(self.part.gates));
        match (next, all.and_then(|look| Watch::begin(look, 0, random))) {
            (Gathered::Check, Some(_)) => return self.checks(),
            (Gathered::Offer, Some(_)) => return self.will(At::Offering, Do::Offer),
            (Gathered::Draw(restart), Some(watch)) => {
                let said = Said::Prepared { restart, draw: watch.draw() };
                return self.says(said, At::Waiting(watch), Do::LookAtGates);
            }
            (Gathered::Check | Gathered::Offer | Gathered::Draw(_), None) => {}
        }
        let broken = look.is_some_and(Look::has_ended);
        let since = broken.then(|| since.unwrap_or(now));
        if since.is_some_and(|since| now.saturating_sub(since) >= GATHERING) {
            return self.gathered_nothing(next, "a gate ended before all of them ran");
        }
        self.will(At::Gathering { next, since }, Do::LookAtGates)
    }

    /// Without gates: the try is offered, then its go is passed on. An engine that answers and does not know this agent as running
    /// has lost it, and so has its controller.
    fn go_by_itself(
        &mut self,
        next: Gathered,
        since: Option<Duration>,
        look: Option<&Look>,
        asked: Duration,
    ) -> Effects {
        match (next, look.is_some_and(Look::knows_the_agent)) {
            (Gathered::Check, true) => self.checks(),
            (Gathered::Offer, true) => self.will(At::Offering, Do::Offer),
            (Gathered::Draw(_), true) => {
                let following = Following { command: Some(Command::Free), ..Following::default() };
                let go = Effect::PassGo { number: COMMAND, seen: asked };
                [vec![go], self.will(At::Following(following), Do::Follow)].concat()
            }
            (Gathered::Check | Gathered::Offer | Gathered::Draw(_), false) => {
                let since = since.unwrap_or(asked);
                if asked.saturating_sub(since) < GATHERING {
                    return self.will(At::Gathering { next, since: Some(since) }, Do::LookAtGates);
                }
                self.gathered_nothing(next, "the engine does not know this agent's container as running")
            }
        }
    }

    fn gathered_nothing(&mut self, next: Gathered, why: &str) -> Effects {
        let why = why.to_owned();
        match next {
            Gathered::Draw(_) => self.revoke(Then::Cancelled(why), "an agent whose gates ended"),
            Gathered::Check | Gathered::Offer => {
                self.says(Said::Cancelled { why }, At::Staying(0), Do::Stay(0))
            }
        }
    }

    fn wait(&mut self, mut watch: Watch, look: Option<&Look>, asked: Duration, now: Duration) -> Effects {
        match watch.look(look, now) {
            Verdict::Waits(_) => self.will(At::Waiting(watch), Do::LookAtGates),
            Verdict::Go => {
                let following = Following { command: Some(Command::Gated(watch)), ..Following::default() };
                let go = Effect::PassGo { number: COMMAND, seen: asked };
                [vec![go], self.will(At::Following(following), Do::Follow)].concat()
            }
            Verdict::Refused => self.revoke(Then::Refused, "its rollout, which refused the go"),
            Verdict::Cancelled(why) => {
                self.revoke(Then::Cancelled(why), "an agent that no go can reach any more")
            }
        }
    }

    fn revoked(&mut self, then: Then) -> Effects {
        match then {
            Then::Leave => self.says(Said::Revoked, At::Gone, Do::Leave(DETACHED)),
            Then::Refused => self.says(Said::Revoked, At::Staying(0), Do::Stay(0)),
            Then::Cancelled(why) => self.says(Said::Cancelled { why }, At::Staying(0), Do::Stay(0)),
            Then::Collected => self.says(Said::NotBegun, At::Staying(0), Do::Stay(0)),
        }
    }

    /// The journal decided: something was begun before it could be revoked.
    fn too_late(&mut self, then: Then) -> Effects {
        match then {
            Then::Leave => self.will(At::Gone, Do::Leave(DETACHED)),
            Then::Refused | Then::Cancelled(_) | Then::Collected => self.follow(),
        }
    }

    fn records(&mut self, mut following: Following, records: &[Record]) -> Effects {
        let begins = |record: &Record| matches!(record, Record::Starting { .. } | Record::Revoked { .. });
        if records.iter().any(begins) {
            following.command = None;
        }
        let said = records.iter().fold(following.said.take(), after);
        let effects = said.iter().cloned().map(Effect::Say).collect();
        following.said = said;
        self.at = At::Following(following);
        effects
    }

    fn wish(&mut self, mut following: Following, wish: Option<Wish>) -> Effects {
        if following.wish != wish {
            following = Following { wish, watch: None, since: None, ..following };
        }
        self.at = At::Following(following);
        Vec::new()
    }

    fn look(
        &mut self,
        mut following: Following,
        look: Option<&Look>,
        asked: Duration,
        now: Duration,
        random: u64,
    ) -> Effects {
        let effects = match (following.wish, following.cancelled) {
            (None, false) => {
                let verdict = following.command.as_mut().map(|watch| watch.look(look, now));
                verdict.map_or(Vec::new(), |verdict| watched(&mut following, COMMAND, verdict, asked))
            }
            (Some(wish), false) => {
                let verdict = following.watch.as_mut().map(|watch| watch.look(look, now));
                match verdict {
                    Some(verdict) => watched(&mut following, wish.number, verdict, asked),
                    None => draw(&mut following, wish, look, now, random),
                }
            }
            (Some(_) | None, true) => Vec::new(),
        };
        self.at = At::Following(following);
        effects
    }

    fn command_ended(&mut self, ran: &Ran) -> Effects {
        match ran.is_success {
            true if self.part.has_verify => self.says(Said::Verifying, At::Verifying, Do::Run(Step::Verify)),
            true => self.will(At::Probing, Do::Probe),
            false => self.failed(HostPhase::Command, ran),
        }
    }

    /// The command or `verify` failed: the work is taken back where the rollout says so.
    fn failed(&mut self, phase: HostPhase, ran: &Ran) -> Effects {
        let takes_back = ran.rolled_back.is_none() && self.part.rolls_back && self.part.has_rollback;
        match takes_back {
            true => self.will(At::RollingBack { phase, exit: ran.exit }, Do::Run(Step::Rollback)),
            false => self.finish(failed(phase, ran), ran.exit),
        }
    }

    /// A host is waited for only while a command lives there: what only waits for something is ended, it is of a rollout that
    /// is over.
    fn busy(&mut self, at: At, holder: String, only_waits: bool) -> Effects {
        let then = Box::new(at.needs());
        if only_waits {
            return self.will(at, Do::Free { holder, then });
        }
        self.says(Said::Busy { transaction: holder }, at, Do::WaitForHost { then })
    }
}

fn failed(phase: HostPhase, ran: &Ran) -> NodeOutcome {
    NodeOutcome::Failed { phase, exit: ran.exit.into(), rolled_back: ran.rolled_back }
}

impl At {
    /// Whether what it does needs the host for itself. A `check` is asked when nobody has the host: in the middle of somebody's work its
    /// answer says little, and who only waits there for an earlier rollout is not left to wait.
    fn needs_the_host(&self) -> bool {
        matches!(
            self,
            Self::Checking
                | Self::Preparing
                | Self::Offering
                | Self::Following(_)
                | Self::RollingBack { .. }
                | Self::Verifying
        )
    }

    /// What is tried again when the host is free.
    fn needs(&self) -> Do {
        match self {
            Self::Checking => Do::Run(Step::Check),
            Self::Preparing => Do::Run(Step::Prepare),
            Self::RollingBack { .. } => Do::Run(Step::Rollback),
            Self::Verifying => Do::Run(Step::Verify),
            Self::Following(_) => Do::Follow,
            Self::New
            | Self::Reading
            | Self::Preflight
            | Self::Offering
            | Self::Gathering { .. }
            | Self::Waiting(_)
            | Self::Revoking(_)
            | Self::Probing
            | Self::Staying(_)
            | Self::Gone => Do::Offer,
        }
    }

    /// Its name, as docs/protocol.md draws it.
    pub fn name(&self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
pub(crate) mod tests;
