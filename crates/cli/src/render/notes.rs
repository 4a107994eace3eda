//! Lines for people alone, on standard error: programs are told nothing of them. And the questions that are asked there.

use super::Screen;
use crate::backend::Stream;
use crate::render::step::Verb;
use crate::render::text::{Page, in_front, neutral};
use careen_contract::TransactionId;
use careen_planner::RolloutId;
use careen_planner::moves::Moves;
use std::fmt;

/// A line that is shown beside a command's result.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the texts below say when each is shown")]
pub enum Note<'a> {
    RecordUnreadable { why: &'a str },
    HostsAreNotLoggedIn { registry: &'a str },
    ImageLeavesEngines,
    ControllerFails { why: &'a str },
    ControllerOnItsWay { why: &'a str },
    NothingLeftOn { host: &'a str },
    LeftOf { rollout: &'a str },
    Left { line: &'a str },
    LogsOnHosts { rollout: &'a RolloutId },
    LogOnHost { host: &'a str, transaction: &'a str },
    LogUnreadable { host: &'a str, why: &'a str },
    HostNotAsked { host: &'a str, why: &'a str, sleeps: bool },
    PrintedOnHost { host: &'a str, transaction: &'a TransactionId },
    NoLog { host: &'a str },
    ControllerSaidNothing { rollout: &'a RolloutId },
    ControllersLogIsGone { rollout: &'a RolloutId },
    NothingBegun { rollout: &'a RolloutId },
    YouLeft { rollout: &'a RolloutId },
    Starts { rollout: &'a RolloutId, time: jiff::Timestamp },
    Unavailable { why: &'a str },
    PassedOver { why: &'a str },
    AsksAnother { manager: &'a str },
    Over { rollout: &'a RolloutId },
    TakenOver,
    ControllerStopped { rollout: &'a RolloutId },
    RegistrySays { line: &'a str },
    UseItWith { image: &'a str },
    OthersNeedItToo,
    SwarmsPartStays,
    OtherArchitecture { engine: &'a str, has: &'a str, image: &'a str },
    VersionRuns { name: &'a str, version: &'a str },
    VersionPromoted { name: &'a str, version: &'a str },
    VersionTakenBack { moves: &'a Moves },
    NothingToTakeBack { name: &'a str },
}

const SWARMS_PART_STAYS: &str = "what careen has in the swarm stays until every host that can be asked has agreed: the same command goes \
                                 on";

const OTHERS_NEED_IT: &str = "the other hosts need it, too: 'careen image push REGISTRY' for all of them, or 'careen image load --host \
                              ssh://NODE' for each";

const LEAVES_ENGINES: &str =
    "the image says that its payload leaves engines alone, as --touches-engine no does";
const TAKEN_OVER: &str = "another controller took the rollout over; this one stopped, and follows";

impl fmt::Display for Note<'_> {
    #[expect(clippy::too_many_lines, reason = "a sentence for each note")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RecordUnreadable { why } => {
                write!(f, "the record of a rollout that is over is left out: {why}")
            }
            Self::HostsAreNotLoggedIn { registry } => write!(
                f,
                "note: you are logged in at {registry}; hosts are not, unless you say --with-registry-auth"
            ),
            Self::ImageLeavesEngines => f.write_str(LEAVES_ENGINES),
            Self::ControllerFails { why } => write!(
                f,
                "its controller does not come up: {why}. This process ends the rollout in its place"
            ),
            Self::ControllerOnItsWay { why } => on_its_way(why, f),
            Self::NothingLeftOn { host } => write!(f, "nothing of careen's is left on {host}"),
            Self::LeftOf { rollout } => write!(f, "of the rollout {rollout}:"),
            Self::Left { line } => write!(f, "  {line}"),
            Self::LogsOnHosts { rollout } => {
                write!(f, "the rollout {rollout} is over; what its nodes printed lies on their hosts:")
            }
            Self::LogOnHost { host, transaction } => write!(f, "on {host}: careen-agent logs {transaction}"),
            Self::HostNotAsked { host, why, sleeps } => not_asked(host, why, *sleeps, f),
            Self::LogUnreadable { host, why } => {
                write!(f, "note: what {host} printed cannot be read now: its log does not come ({why})")
            }
            Self::PrintedOnHost { host, transaction } => {
                write!(f, "what {host} printed lies on its host: careen-agent logs {transaction}")
            }
            Self::NoLog { host } => write!(f, "{host} has no log in the swarm now"),
            Self::ControllerSaidNothing { rollout } => said_nothing(rollout, f),
            Self::ControllersLogIsGone { rollout } => write!(
                f,
                "the rollout {rollout} is over, and its controller went with its log; 'careen status' says what came of it"
            ),
            Self::NothingBegun { rollout } => write!(f, "nothing was begun there yet; rollout {rollout}"),
            Self::Starts { rollout, time } => write!(f, "{}rollout {rollout} starts", in_front(*time)),
            Self::YouLeft { rollout } => write!(
                f,
                "you left; the rollout {rollout} goes on in the swarm: 'careen status -f', 'careen pause', 'careen abort'"
            ),
            Self::Unavailable { why } => write!(f, "{why}; trying again"),
            Self::PassedOver { why } => write!(f, "{why}; trying the next host"),
            Self::AsksAnother { manager } => write!(f, "asking the manager {manager} from now on"),
            Self::Over { rollout } => write!(f, "rollout {rollout} is over"),
            Self::TakenOver => f.write_str(TAKEN_OVER),
            Self::ControllerStopped { rollout } => stopped(rollout, f),
            Self::RegistrySays { line } => f.write_str(line),
            Self::UseItWith { image } => write!(f, "use it with: careen run --image {image}"),
            Self::OthersNeedItToo => f.write_str(OTHERS_NEED_IT),
            Self::SwarmsPartStays => f.write_str(SWARMS_PART_STAYS),
            Self::VersionRuns { name, version } => {
                write!(f, "{name} {version} is enforced already; nothing was changed")
            }
            Self::VersionPromoted { name, version } => {
                write!(f, "{name} {version} is enforced on all hosts now: an earlier update is finished")
            }
            Self::VersionTakenBack { moves: Moves { enforcement, from, to } } => {
                write!(f, "{enforcement} {to} is taken back: {from} is enforced on all hosts")
            }
            Self::NothingToTakeBack { name } => {
                write!(f, "no update of {name} is under way; nothing was changed")
            }
            Self::OtherArchitecture { engine, has, image } => write!(
                f,
                "note: the host of {engine} is {has}, and the image is for {image}: it does not run there, but can be pushed from there"
            ),
        }
    }
}

fn on_its_way(why: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let here = Verb::Abort.step().locally();
    write!(f, "its controller is still on its way: {why}; '{here}' ends the rollout from this terminal")
}

fn not_asked(host: &str, why: &str, sleeps: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let active = if sleeps { " (--activate makes it active meanwhile)" } else { "" };
    write!(f, "the swarm no longer has what {host} printed, and its host does not tell it: {why}{active}")
}

fn said_nothing(rollout: &RolloutId, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(
        f,
        "the controller of the rollout {rollout} has no log here: 'careen why' says where it is; one that runs with --local \
         has its terminal"
    )
}

fn stopped(rollout: &RolloutId, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(
        f,
        "the controller stopped; the rollout {rollout} stands where it is, and hosts finish what they have started. \
         'careen resume --local' goes on, 'careen abort --local' gives back what can be given back"
    )
}

impl Screen for Note<'_> {
    fn text(&self, page: &mut Page) {
        page.line(self.to_string());
    }

    fn json(&self) -> serde_json::Result<String> {
        Ok(String::new())
    }

    fn stream(&self) -> Stream {
        Stream::Stderr
    }
}

/// What an operator is asked before something is done. `y` is yes, everything else is no.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the field's name says it")]
pub enum Question<'a> {
    /// Before a rollout starts.
    Start,
    /// Before one node is given back.
    GiveBack { host: &'a str },
    /// Before nodes are made active.
    Activate { hosts: &'a str },
    /// Before a payload's command is tried that may change the host.
    Try { command: &'a str, host: &'a str },
    /// Before careen is removed from hosts and the swarm.
    Uninstall,
    /// Before hosts keep themselves to something.
    Enforce,
    /// Before an update is taken back that is not through.
    TakeBack { name: &'a str, version: &'a str },
    /// Before they do not any more.
    StopEnforcing { name: &'a str },
    /// Before everything is given back of rollouts whose configs are gone.
    GiveBackAll,
}

impl fmt::Display for Question<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("Start it?"),
            Self::Try { command, host } => {
                let (command, host) = (neutral(command), neutral(host));
                write!(f, "Run '{command}' on {host}? It is no rollout: nothing is drained for it.")
            }
            Self::Enforce => f.write_str("Enforce it?"),
            Self::TakeBack { name, version } => {
                write!(f, "Take {} {version} back, on all hosts that have it?", neutral(name))
            }
            Self::StopEnforcing { name } => {
                write!(f, "Stop enforcing {}? What it did on hosts stays.", neutral(name))
            }
            Self::Uninstall => f.write_str("Remove all of this?"),
            Self::GiveBack { host } => {
                let host = neutral(host);
                write!(f, "Give {host} back, and remove what careen has there?")
            }
            Self::Activate { hosts } => {
                let hosts = neutral(hosts);
                write!(f, "Make {hosts} active while they are asked? Swarm may place tasks of services there meanwhile.")
            }
            Self::GiveBackAll => f.write_str(
                "Give the nodes back, and remove what is left? Nodes that failed or may be at work stay as they \
                 are.",
            ),
        }
    }
}
