//! States, failures and holds as sentences, and what an operator can do about them. Pure.

pub use crate::render::routine::{is_drain, is_routine};
use crate::render::step::{Step, Verb, bring, id_of_host, on_host};
use crate::render::text;
use crate::view::NodeStanding;
use careen_planner::observed::{Availability, HostPhase, NodeOutcome, Printed, Restart, Role};
use careen_planner::rollout::{Control, RolloutOutcome};
use careen_planner::state::{AfterRestoring, Goal, Left, Reason, Skip, StateName};
use careen_planner::{Hold, NodeState, PauseReason, Spec};

/// A state in a few words.
pub fn stage(stage: &NodeState) -> String {
    match stage {
        NodeState::Draining { goal: Goal::Run } => "draining".to_owned(),
        NodeState::Draining { goal: Goal::Restart(Restart::Engine) } => {
            "draining for an engine restart".to_owned()
        }
        NodeState::Draining { goal: Goal::Restart(Restart::Reboot) } => "draining for a reboot".to_owned(),
        NodeState::RestartingEngine => "restarting the engine".to_owned(),
        NodeState::Pending
        | NodeState::Entering
        | NodeState::Preparing
        | NodeState::Running { .. }
        | NodeState::Rebooting
        | NodeState::Verifying
        | NodeState::Restoring { .. }
        | NodeState::Settling
        | NodeState::Done
        | NodeState::Failed { .. }
        | NodeState::Skipped { .. }
        | NodeState::Gone { .. } => stage.name().to_owned(),
    }
}

/// Of a host that was in sync: what is to be said beside that.
pub const NOTHING_RUN: &str = "nothing was run";

/// Where a node stands: its stage, or that it is held, or that it was in sync.
pub fn state(node: &NodeStanding) -> String {
    match (node.is_held(), node.is_in_sync()) {
        (true, _) => node.state().to_owned(),
        (false, true) => "in sync".to_owned(),
        (false, false) => stage(&node.stage),
    }
}

/// Why a node that is through was not done.
pub fn why_ended(stage: &NodeState) -> Option<String> {
    match stage {
        NodeState::Failed { during: phase, reason } => Some(failure(*phase, *reason)),
        NodeState::Skipped { why } => Some(skip(*why).to_owned()),
        NodeState::Gone { left: of_it } => Some(left(*of_it).to_owned()),
        NodeState::Pending
        | NodeState::Entering
        | NodeState::Preparing
        | NodeState::Draining { .. }
        | NodeState::Running { .. }
        | NodeState::RestartingEngine
        | NodeState::Rebooting
        | NodeState::Verifying
        | NodeState::Restoring { .. }
        | NodeState::Settling
        | NodeState::Done => None,
    }
}

/// What is known of a node that left the swarm.
pub const fn left(left: Left) -> &'static str {
    match left {
        Left::BeforeItsTurn => {
            "it left the swarm before its turn, or after it had failed without a word from its host"
        }
        Left::AtWork => "it left the swarm during its turn, and its host may still be at work",
        Left::GivenUp => "it left the swarm during its turn; nobody knows what became of its host",
        Left::Failed => "it failed, and left the swarm",
        Left::Done => "it left the swarm, and its command is done",
    }
}

/// What is known of a node that left, and whether one of the same name came.
fn told_left(node: &NodeStanding, of_it: Left) -> String {
    let same = node.same_name.as_ref().map(|id| format!("; a node of the same name joined as {id}"));
    let waits = node.hold.as_ref().map(|hold| {
        if let Hold::NodeGone { seconds_left } = hold {
            format!("; its place is kept for at most {seconds_left} s more")
        } else {
            format!("; {hold}")
        }
    });
    format!("{}{}{}", left(of_it), waits.unwrap_or_default(), same.unwrap_or_default())
}

/// Why a node is as it is, where its state does not say it all.
pub fn detail(node: &NodeStanding) -> Option<String> {
    let drained = node.taken && node.availability == Some(Availability::Drain);
    let stays = if drained { "; it stays drained" } else { "" };
    match &node.stage {
        NodeState::Done if node.is_in_sync() => Some(NOTHING_RUN.to_owned()),
        NodeState::Failed { during: phase, reason } => {
            Some(format!("{}{stays}", told_failure(node, *phase, *reason)))
        }
        NodeState::Restoring { then: AfterRestoring::Fail { during: phase, reason } } => {
            Some(told_failure(node, *phase, *reason))
        }
        NodeState::Skipped { why } | NodeState::Restoring { then: AfterRestoring::Skip { why } } => {
            let heard = node.record.as_ref().filter(|_| *why == Skip::Held);
            Some(heard.map_or_else(|| skip(*why).to_owned(), |heard| format!("{}; {heard}", skip(*why))))
        }
        NodeState::Gone { left } => Some(told_left(node, *left)),
        NodeState::Pending
        | NodeState::Entering
        | NodeState::Preparing
        | NodeState::Draining { .. }
        | NodeState::Running { .. }
        | NodeState::RestartingEngine
        | NodeState::Rebooting
        | NodeState::Verifying
        | NodeState::Restoring { then: AfterRestoring::Settle | AfterRestoring::Done }
        | NodeState::Settling
        | NodeState::Done => {
            node.hold.as_ref().map(|waits| format!("{}{}", hold(waits), cancelled(node.cancelled)))
        }
    }
}

/// What happened to earlier gos of this try, where something did.
fn cancelled(times: u32) -> String {
    match times {
        0 => String::new(),
        1 => "; something else than careen took gate containers away once".to_owned(),
        times => format!("; something else than careen took gate containers away {times} times"),
    }
}

/// Why a node failed, with the host's own words where there is nothing else to read.
fn told_failure(node: &NodeStanding, phase: StateName, reason: Reason) -> String {
    let failure = failure(phase, reason);
    match (&node.outcome, &node.record) {
        (Some(outcome), _) if reason.is_silent() => {
            format!("{failure}; since then its host has told how it ended: {}", ended(outcome))
        }
        (None, Some(heard)) if reason.is_silent() => format!("{failure}; {heard}"),
        (_, Some(record)) if reason == Reason::Preflight => format!("{failure}: {record}"),
        (Some(outcome), _) if reason == Reason::Check => format!("{failure}: {}", ended(outcome)),
        (_, Some(_) | None) => failure,
    }
}

/// How a host's work ended, as it says itself.
pub fn ended(outcome: &NodeOutcome) -> String {
    match outcome {
        NodeOutcome::Succeeded => "it succeeded".to_owned(),
        NodeOutcome::InSync => format!("it was in sync, {NOTHING_RUN}"),
        NodeOutcome::Failed { phase, exit, .. } => {
            let place = match phase {
                HostPhase::Preflight => "before anything was begun",
                HostPhase::Check => "in check",
                HostPhase::Prepare => "in prepare",
                HostPhase::Command => "in the command",
                HostPhase::Verify => "in verify",
            };
            format!("exit code {exit}{} {place}", meaning(*exit))
        }
    }
}

/// What the command of a node at work printed last, and how long ago; a report may be as old as the agent repeats it, so
/// what is less than that is not counted.
pub fn printed(node: &NodeStanding) -> Option<String> {
    const REPEATED: u64 = 30;
    let Printed { line, seconds } = node.printed.as_ref()?;
    let line = text::log_line(line);
    Some(match *seconds < REPEATED {
        true => format!("printed within the last minute: {}", line.trim_end()),
        false => format!("printed nothing for {}, and last: {}", text::span(*seconds), line.trim_end()),
    })
}

/// The last lines of what failed on a host, as its agent reported them.
pub fn last_lines(node: &NodeStanding) -> impl Iterator<Item = &str> {
    let has_lines = |reason: Reason| {
        matches!(reason, Reason::Exit(_) | Reason::Check) || (reason.is_silent() && node.outcome.is_some())
    };
    let told = matches!(node.stage, NodeState::Failed { reason, .. } if has_lines(reason));
    node.record.as_deref().filter(|_| told).unwrap_or_default().lines()
}

/// A hold as a sentence. What is counted down here was looked at once: it may be less.
pub fn hold(hold: &Hold) -> String {
    if let Hold::Delay { seconds_left } = hold {
        format!("the delay between waves: at most {seconds_left} s left")
    } else if let Hold::Monitoring { seconds_left } = hold {
        format!("all services are well; watching them for at most {seconds_left} s more")
    } else if let Hold::Paused { why } = hold {
        format!("the rollout is {}", paused(why))
    } else {
        hold.to_string()
    }
}

fn paused(why: &PauseReason) -> String {
    match why {
        PauseReason::Asked => "paused: an operator asked for it".to_owned(),
        PauseReason::NodeFailed { node, during: phase, why } => {
            format!("paused: {node} failed: {}", failure(*phase, *why))
        }
        PauseReason::NodeGone { hostname, .. } => {
            format!("paused: {hostname} left the swarm during its turn")
        }
        PauseReason::BaselineRemoved | PauseReason::EnforcementChanged { .. } => format!("paused: {why}"),
        PauseReason::NodeHeld { node, hold, seconds } => {
            format!("paused: {node} was held for {}: {}", text::span(*seconds), self::hold(hold))
        }
    }
}

/// The payload as whoever started it called it, with its command and arguments.
pub fn payload(spec: &Spec) -> String {
    let image = spec.image_name.as_ref().unwrap_or(&spec.image);
    let words = [image.as_str(), crate::spec::work(spec)].into_iter();
    words.chain(spec.args.iter().map(String::as_str)).collect::<Vec<_>>().join(" ")
}

/// Why a node failed.
pub fn failure(phase: StateName, reason: Reason) -> String {
    let place = match phase {
        StateName::Pending => "before its turn",
        StateName::Entering => "while the agent was placed",
        StateName::Preparing => "in prepare",
        StateName::Draining => "in the drain",
        StateName::Running => "in the command",
        StateName::RestartingEngine => "in the engine restart",
        StateName::Rebooting => "in the reboot",
        StateName::Verifying => "in the command or verify",
        StateName::Restoring => "while it was given back",
        StateName::Settling => "while its services settled",
    };
    match reason {
        Reason::Exit(code) => format!("exit code {code}{} {place}", meaning(code)),
        Reason::Preflight => "preflight: the host is not fit".to_owned(),
        Reason::Check => "its check could not tell whether it is in sync, and nothing was run".to_owned(),
        Reason::TimeLimit => format!("too long {place}"),
        Reason::NodeDown => format!("the node went down {place} and did not come back in time"),
        Reason::AgentLost => format!("too many agents were lost {place}"),
        Reason::GoLost => {
            format!("careen's gate containers went away {place}, again and again, and careen did not do it")
        }
        Reason::Forgotten => "the host knows nothing of this try, and may have been told to begin it: it lost its state, or is another host".to_owned(),
        Reason::AvailabilityChanged => format!("somebody changed its availability {place}, and left it so"),
        Reason::RecordRemoved => {
            "somebody removed its label careen.node, and nobody knows how far it was".to_owned()
        }
        Reason::Aborted => format!("the rollout was aborted {place}; nobody knows how it ended on the host"),
    }
}

/// What an exit code of the agent's own means. A command may use the same number.
fn meaning(code: i32) -> String {
    let own = careen_contract::AgentExit::ALL.into_iter().find(|exit| i32::from(exit.code()) == code);
    own.map_or_else(String::new, |exit| format!(" ({exit})"))
}

/// Why a node is left out.
pub const fn skip(why: Skip) -> &'static str {
    match why {
        Skip::Asked => "an operator left it out",
        Skip::Aborted => "the rollout was aborted before its turn",
        Skip::Excluded => "it is excluded",
        Skip::Windows => "it runs Windows",
        Skip::OldEngine => "its engine is too old: docker 20.10 is needed",
        Skip::Held => "it was held for too long before anything was taken down on it",
    }
}

/// What a rollout is told to do.
pub fn control(control: Option<&Control>) -> String {
    match control {
        None => "over".to_owned(),
        Some(Control::Running) => "running".to_owned(),
        Some(Control::Paused { why }) => paused(why),
        Some(Control::Aborting) => "aborting".to_owned(),
        Some(Control::Finished { outcome }) => self::outcome(*outcome).to_owned(),
    }
}

/// How a rollout ended.
pub const fn outcome(outcome: RolloutOutcome) -> &'static str {
    match outcome {
        RolloutOutcome::Done => "done",
        RolloutOutcome::WithFailures => "finished, with nodes that failed or left",
        RolloutOutcome::Aborted => "aborted",
    }
}

/// Docker's word for a role.
pub const fn role(role: Role) -> &'static str {
    match role {
        Role::Worker => "worker",
        Role::Manager => "manager",
    }
}

/// What is to be done about something.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Advice {
    /// As a sentence; empty when there is nothing to do but wait.
    pub text: &'static str,
    /// The commands that can be typed.
    pub commands: Vec<Step>,
}

/// What is to be done about a node: a failed one, or one that is held.
pub fn advice(node: &NodeStanding) -> Advice {
    let name = &node.typed;
    if let NodeState::Gone { left } = &node.stage {
        return about_gone(*left, name);
    }
    let Some(reason) = node.stage.failed_because() else {
        return node.hold.as_ref().map_or_else(Advice::default, |hold| about(hold, node));
    };
    let (text, look): (_, Vec<Step>) = match reason {
        // Its logs are gone with its agent.
        reason if reason.is_silent() && node.outcome.is_some() => (
            "its host has told since how it ended, and keeps the whole output; fix the cause, then try it again or leave it out",
            vec![on_host(&node.hostname, "careen-agent list")],
        ),
        // There is nobody to ask for its logs.
        Reason::NodeDown => (
            "look at the host: its own record says what was done there and why its engine is down; when it is back, try it \
             again, or leave it out",
            own_record(node),
        ),
        Reason::GoLost => (
            "find out what takes containers away on that host, then try it again or leave it out",
            vec![on_host(&node.hostname, "docker ps -a --filter label=careen.role")],
        ),
        Reason::Forgotten | Reason::RecordRemoved => (
            "find out what that host has run; a retry runs the command there, whatever it did before",
            vec![on_host(&node.hostname, "careen-agent list")],
        ),
        Reason::Exit(_)
        | Reason::Preflight
        | Reason::Check
        | Reason::TimeLimit
        | Reason::AgentLost
        | Reason::AvailabilityChanged
        | Reason::Aborted => (
            "read what it printed, fix the cause, then try it again or leave it out",
            vec![Verb::Logs.node(name)],
        ),
    };
    Advice { text, commands: [look, vec![Verb::Retry.node(name), Verb::Skip.node(name)]].concat() }
}

/// Where a host's own record is read while no container can be started there: it needs no engine.
fn own_record(node: &NodeStanding) -> Vec<Step> {
    vec![
        format!("docker node inspect --pretty {}", node.typed).into(),
        on_host(&node.hostname, "careen-agent list"),
    ]
}

fn about_gone(left: Left, name: &str) -> Advice {
    match left {
        Left::AtWork => Advice {
            text: "find out what became of its host (careen-agent list there); if you need not wait for it, give it up",
            commands: vec![Verb::Skip.node(name)],
        },
        Left::GivenUp | Left::Failed => Advice {
            text: "find out what became of its host; it cannot be tried again in this rollout",
            commands: vec!["careen-agent list".into()],
        },
        Left::BeforeItsTurn | Left::Done => Advice::default(),
    }
}

/// What docs/rollout-states.md says of each hold.
#[expect(clippy::too_many_lines, reason = "a row for each hold")]
fn about(hold: &Hold, node: &NodeStanding) -> Advice {
    let name = &node.typed;
    let skip = || Verb::Skip.node(name);
    let say = |text, commands: Vec<Step>| Advice { text, commands };
    let wait = Advice::default;
    match hold {
        Hold::LockHeld { .. } => say("wait for it; a controller that died is replaced after 45 s", vec![]),
        Hold::Paused { why: PauseReason::NodeHeld { node: held, hold, .. } } if *held == node.node => {
            about(hold, node)
        }
        Hold::Paused { .. } => {
            say("decide how the rollout goes on", vec![Verb::Resume.step(), Verb::Abort.step()])
        }
        Hold::QuorumAtRisk { .. } => say(
            "bring the other managers back, or leave this one out",
            vec!["docker node ls --filter role=manager".into(), skip()],
        ),
        Hold::NoLeader => say("look at the managers", vec!["docker node ls --filter role=manager".into()]),
        Hold::NodeDown if node.held.is_some() => say("check the host and its own record", own_record(node)),
        Hold::NodeDown => {
            say("check the host and its own record; at the time limit the node fails", own_record(node))
        }
        Hold::NotReporting => say(
            "if it lasts, check the host and its own record; at the time limit the node fails",
            own_record(node),
        ),
        Hold::CalledDown => say(
            "after a restart by careen the host starts its engine once more; if this lasts, restart it there",
            vec![start_engine(node)],
        ),
        Hold::Restarting { .. } => say(
            "if it lasts although the host is up, the swarm may still call it down: restart its engine there",
            vec![start_engine(node)],
        ),
        Hold::ImageMissing { image, .. } => say(
            "load the image on the node, or push it to a registry that all nodes reach; the rollout then goes on within a minute",
            vec![bring(image, &node.hostname), skip()],
        ),
        Hold::AgentRejected { .. } => say(
            "fix what the node says; the rollout then goes on within a minute",
            vec![format!("docker service ps --no-trunc {}", job(node)).into(), skip()],
        ),
        Hold::Placing { why, .. } => say(
            match why {
                Some(_) => "if it lasts, fix what keeps them from starting",
                None => "if it lasts, check whether the node can get the image",
            },
            vec![format!("docker service ps --no-trunc {}", job(node)).into()],
        ),
        Hold::HostBusy { transaction } => say(
            "wait for it, or cancel it on the host",
            vec![
                format!("careen-agent logs -f {}", id_of_host(transaction)).into(),
                format!("careen-agent cancel {}", id_of_host(transaction)).into(),
            ],
        ),
        Hold::Copied { .. } => say(
            "say on the host whether it is another machine (new) or the same one with other hardware (keep), or leave the node \
             out",
            vec!["careen-agent machine new".into(), "careen-agent machine keep".into(), skip()],
        ),
        Hold::HostWaits { .. } => say(
            "wait, or look on the host, where the wait can be ended",
            vec!["careen-agent list".into(), Verb::Follow.node(name)],
        ),
        Hold::HostAtWork { .. } | Hold::NoReport { .. } => {
            say("see what it prints", vec![Verb::Follow.node(name)])
        }
        Hold::VolumeWouldMove { service, .. } => say(
            "pin the service to its node, leave the node out, or start a new rollout with --allow-volume-moves",
            vec![
                format!("docker service update --constraint-add node.id=={} {service}", node.node).into(),
                skip(),
            ],
        ),
        Hold::NoPlace { service, .. } => say(
            "make room for it on another node, leave the node out, or start a new rollout with --allow-gaps",
            vec![format!("docker service ps --no-trunc {service}").into(), skip()],
        ),
        Hold::AtZero { service } => say(
            "restart its tasks so that they spread over the nodes that fit, leave the node out, or start a new rollout with \
             --allow-gaps",
            vec![format!("docker service update --force --detach {service}").into(), skip()],
        ),
        Hold::Surging { services, .. } | Hold::SurgeBack { services, .. } => say(
            "fix what keeps their tasks from running; the rollout then goes on by itself",
            services.iter().map(|service| format!("docker service ps --no-trunc {service}").into()).collect(),
        ),
        Hold::NoRoomToSurge { service, .. } => say(
            "make room for twice as many of its tasks as run here, leave the node out, or start a new rollout with --allow-gaps",
            vec![format!("docker service ps --no-trunc {service}").into(), skip()],
        ),
        Hold::ServiceUpdating { service, .. } => say(
            "wait until it is through, or bring it to an end",
            vec![format!("docker service inspect --pretty {service}").into()],
        ),
        Hold::CorruptSurge { .. } => say(
            "find out which services have more tasks than they should, scale them yourself, then remove the label",
            vec![
                format!("docker node inspect --pretty {name}").into(),
                format!("docker node update --label-rm careen.surges {name}").into(),
            ],
        ),
        Hold::NotEmpty { .. } => {
            say("wait, or stop what runs there", vec![format!("docker node ps {name}").into()])
        }
        Hold::NotReplaced { services, why } => say(
            match why.is_empty() {
                true => "make room elsewhere, or scale them down",
                false => {
                    "fix what keeps their tasks from starting elsewhere, or scale them down; the rollout then goes on by itself"
                }
            },
            services.iter().map(|service| format!("docker service ps --no-trunc {service}").into()).collect(),
        ),
        Hold::AvailabilityChanged { needed, .. } => say(
            "set it back, or leave the node out; at the time limit it fails",
            vec![format!("docker node update --availability {} {name}", needed.word()).into(), skip()],
        ),
        Hold::UnlockNeeded { command } => {
            say("type the unlock key on that host", vec![command.clone().into()])
        }
        Hold::ServicesWorse { services, .. } => say(
            "fix them, or label them careen.settle=ignore; at the time limit the node fails",
            services.iter().map(|service| format!("docker service ps --no-trunc {service}").into()).collect(),
        ),
        Hold::ManagerUnreachable => {
            say("if it lasts, check its engine", vec!["docker node ls --filter role=manager".into()])
        }
        Hold::CorruptRecord { .. } => say(
            "find out what runs on that host (a host without careen-agent has never run anything of careen's), then remove the label",
            vec![
                "careen-agent list".into(),
                format!("docker node update --label-rm careen.node {name}").into(),
            ],
        ),
        Hold::OtherRollout { .. } => say(
            "finish or abort that rollout; if it is gone, find out what runs on that host (where there is no careen-agent, nothing \
             of careen's ever did), then remove the label",
            vec![
                "careen-agent list".into(),
                format!("docker node update --label-rm careen.node {name}").into(),
            ],
        ),
        Hold::NodeGone { .. } => say("give it up if you need not wait for its host", vec![skip()]),
        Hold::Rejoined { hostname, .. } => {
            say("wait for its command, or give it up", vec![on_host(hostname, "careen-agent list"), skip()])
        }
        Hold::SeveralRejoined { .. } => say(
            "say on the copies that they are other machines, or give the node up; at the time limit that happens by itself",
            vec!["careen-agent machine".into(), "careen-agent machine new".into(), skip()],
        ),
        Hold::RecordRemoved => say(
            "find out what runs on that host, then leave the node out; at the time limit it fails",
            vec!["careen-agent list".into(), skip()],
        ),
        Hold::BaselineRemoved => {
            say("without it nobody knows which nodes take part; end the rollout", vec![Verb::Abort.step()])
        }
        Hold::TakingOver
        | Hold::Starting
        | Hold::SettingUp { .. }
        | Hold::EarlierWave { .. }
        | Hold::Parallelism { .. }
        | Hold::Delay { .. }
        | Hold::OtherManager { .. }
        | Hold::ControllerHere
        | Hold::GivingTheGo
        | Hold::RefusingTheRestart
        | Hold::CleaningUp
        | Hold::Monitoring { .. }
        | Hold::SurgeElsewhere { .. }
        | Hold::Recording => wait(),
    }
}

/// What makes a host register with its swarm anew.
fn start_engine(node: &NodeStanding) -> Step {
    on_host(&node.hostname, "systemctl restart docker")
}

fn job(node: &NodeStanding) -> String {
    node.agent.as_ref().map_or_else(|| "SERVICE".to_owned(), careen_planner::JobKey::name)
}
