//! What help, pages, advice and errors tell to type can be typed: careen's own commands are read by careen's own definition of the
//! command line, other programs' are held against a table of what of them is used, and each hold names the scene of the lab in
//! which its advice is typed.

use crate::args::Cli;
use crate::render::step::{Step, Verb};
use crate::render::{controller, left, status, words};
use crate::testing::{agent, at, failed_and_paused};
use crate::view::{LockOf, NodeStanding, Standing, look};
use careen_planner::moves::Amiss;
use careen_planner::rollout::Control;
use careen_planner::state::{Left, Reason, StateName};
use careen_planner::{Hold, NodeId, NodeState, PauseReason, Watch};
use clap::Parser;
use clap::error::ErrorKind;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What of docker's commands is used, with the options; all else that stands there are values.
const DOCKER: [(&str, &[&str]); 28] = [
    ("config ls", &[]),
    ("context ls", &[]),
    ("context update", &[]),
    ("context use", &[]),
    ("info", &[]),
    ("load", &[]),
    ("login", &[]),
    ("logs", &["--tail"]),
    ("node inspect", &["--pretty"]),
    ("node ls", &["--filter"]),
    ("node ps", &[]),
    ("node rm", &[]),
    ("node update", &["--availability", "--label-rm"]),
    ("ps", &["-a", "--filter"]),
    ("pull", &[]),
    ("rm", &["-f"]),
    ("save", &[]),
    ("secret ls", &[]),
    ("service inspect", &["--pretty"]),
    ("service ps", &["--no-trunc"]),
    ("service rollback", &[]),
    (
        "service update",
        &["--constraint-add", "--detach", "--env-add", "--force", "--label-add", "--update-failure-action"],
    ),
    ("start", &[]),
    ("swarm init", &[]),
    ("swarm unlock", &[]),
    ("swarm unlock-key", &[]),
    ("system dial-stdio", &[]),
    ("version", &[]),
];

/// Those that do nothing without a value.
const WANTS_A_VALUE: [&str; 11] = [
    "logs",
    "node inspect",
    "node ps",
    "node rm",
    "node update",
    "pull",
    "save",
    "service inspect",
    "service ps",
    "service update",
    "start",
];

/// careen-agent's commands on a host, with their options.
const AGENT: [(&str, &[&str]); 7] = [
    ("cancel", &["--now"]),
    ("facts", &[]),
    ("list", &[]),
    ("logs", &["-f"]),
    ("machine", &[]),
    ("show", &[]),
    ("uninstall", &["--dry-run"]),
];

/// Whether a command can be typed, with a value in the place of each that is left to the reader.
fn check(command: &str) -> Result<(), String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    match words[..] {
        ["careen", ..] => careen(&words),
        ["docker", ref rest @ ..] => {
            let (piped, rest): (Vec<_>, _) = match rest.iter().position(|word| *word == "|") {
                Some(at) => (rest[at + 1..].to_vec(), &rest[..at]),
                None => (Vec::new(), rest),
            };
            known(rest, &DOCKER)?;
            if piped.is_empty() { Ok(()) } else { check(&piped.join(" ")) }
        }
        ["careen-agent", ref rest @ ..] => known(rest, &AGENT),
        // What makes a host register with its swarm anew.
        ["systemctl", "restart", "docker"] => Ok(()),
        ["ssh", host] if !host.starts_with('-') => Ok(()),
        ["ssh", host, ref rest @ ..] if !host.starts_with('-') => check(&rest.join(" ")),
        _ => Err(format!("nobody knows the command '{command}'")),
    }
}

fn careen(words: &[&str]) -> Result<(), String> {
    match Cli::try_parse_from(words) {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn known(words: &[&str], table: &[(&str, &[&str])]) -> Result<(), String> {
    let is_it = |name: &str| {
        let name: Vec<&str> = name.split(' ').collect();
        words.starts_with(&name)
    };
    let found = table.iter().filter(|(name, _)| is_it(name)).max_by_key(|(name, _)| name.len());
    let (name, options) = found.ok_or_else(|| format!("'{}' is not in the table", words.join(" ")))?;
    let rest = &words[name.split(' ').count()..];
    for option in rest.iter().filter(|word| word.starts_with('-')) {
        let option = option.split('=').next().unwrap_or(option);
        if !options.contains(&option) {
            return Err(format!("{name} has no option {option} in the table"));
        }
    }
    match WANTS_A_VALUE.contains(name) && rest.iter().all(|word| word.starts_with('-')) {
        true => Err(format!("{name} wants to be told which")),
        false => Ok(()),
    }
}

fn nodes(standing: &Standing) -> Vec<NodeStanding> {
    let of = |stage: NodeState, hold: Option<Hold>| NodeStanding {
        stage,
        hold,
        agent: Some(agent("w2").key),
        ..standing.nodes[1].clone()
    };
    let reasons = [
        Reason::Exit(7),
        Reason::Preflight,
        Reason::Check,
        Reason::TimeLimit,
        Reason::NodeDown,
        Reason::AgentLost,
        Reason::GoLost,
        Reason::Forgotten,
        Reason::AvailabilityChanged,
        Reason::RecordRemoved,
        Reason::Aborted,
    ];
    let lefts = [Left::BeforeItsTurn, Left::AtWork, Left::GivenUp, Left::Failed, Left::Done];
    let failed = reasons.map(|reason| of(NodeState::Failed { during: StateName::Running, reason }, None));
    let gone = lefts.map(|left| of(NodeState::Gone { left }, None));
    let held = Hold::examples().into_iter().map(|hold| of(NodeState::Pending, Some(hold)));
    failed.into_iter().chain(gone).chain(held).collect()
}

/// Every step that a page, an advice or a follower shows.
fn steps() -> Vec<Step> {
    let (mut observed, spec) = failed_and_paused();
    at(&mut observed.nodes[1], NodeState::Running { drained: true }, None);
    let (standing, _) = look(&observed, &spec, &Watch::default(), Duration::ZERO).unwrap();
    let mut all: Vec<Step> = nodes(&standing).iter().flat_map(|node| words::advice(node).commands).collect();
    let controls = [
        Control::Running,
        Control::Paused { why: PauseReason::Asked },
        Control::Paused { why: PauseReason::BaselineRemoved },
        Control::Paused {
            why: PauseReason::EnforcementChanged { enforcement: "sysctl".into(), amiss: Amiss::NewService },
        },
        Control::Paused {
            why: PauseReason::NodeHeld {
                node: NodeId("w1".into()),
                hold: Box::new(Hold::NoLeader),
                seconds: 900,
            },
        },
        Control::Aborting,
    ];
    for control in controls {
        for task in [None, Some(controller::tests::failing())] {
            let mut standing = standing.clone();
            (standing.control, standing.task, standing.lock) = (Some(control.clone()), task, LockOf::Nobody);
            all.extend(status::next(&standing));
            all.extend(controller::told(&standing).map(|told| told.advice.commands).unwrap_or_default());
        }
    }
    let left = crate::left::left_behind(&observed, Vec::new(), std::slice::from_ref(&spec.id), None);
    all.extend(left.iter().flat_map(left::next));
    let local: Vec<Step> = all.iter().cloned().map(Step::locally).collect();
    all.into_iter().chain(local).collect()
}

#[test]
fn every_step_that_is_shown_can_be_typed() {
    let steps = steps();
    let careens = steps.iter().filter(|step| step.is_careen()).count();
    assert!(careens > 50 && steps.len() > careens + 20, "{careens} of {}", steps.len());
    for step in steps {
        check(&step.to_string()).unwrap_or_else(|why| panic!("{step}: {why}"));
    }
    // Each verb, also those that nothing above happens to show.
    let verbs = [Verb::Resume, Verb::Abort].map(Verb::step);
    let of_node = [Verb::Retry, Verb::Skip, Verb::Restore, Verb::Logs, Verb::Follow, Verb::Why]
        .map(|verb| verb.node("w1"));
    for step in verbs.into_iter().chain(of_node) {
        for step in [step.clone(), step.locally()] {
            check(&step.to_string()).unwrap_or_else(|why| panic!("{step}: {why}"));
        }
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files(directory: &Path, all: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, all),
            false => all.extend(path.extension().is_some_and(|it| it == "rs").then_some(path)),
        }
    }
}

/// The commands that a text quotes: `'careen resume'`.
fn quoted(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices('\'') {
        let rest = &text[at + 1..];
        let Some(end) = rest.find(['\'', '\n']) else { continue };
        let program = ["careen ", "docker ", "careen-agent ", "ssh "].iter().any(|it| rest.starts_with(it));
        if program && rest[end..].starts_with('\'') {
            found.push(rest[..end].to_owned());
        }
    }
    found
}

/// A value in the place of what is put in when the text is made: `{node}`.
fn filled(command: &str) -> String {
    let mut text = String::new();
    let mut rest = command;
    while let Some((before, after)) = rest.split_once('{') {
        let (_, after) = after.split_once('}').unwrap_or(("", ""));
        text += before;
        text += "x1";
        rest = after;
    }
    text + rest
}

#[test]
fn every_command_that_a_text_of_the_programs_quotes_can_be_typed() {
    let mut sources = Vec::new();
    for part in [
        "agent",
        "cli",
        "contract",
        "controller",
        "engine",
        "host",
        "planner",
        "protocol",
        "swarm",
        "upgrade",
    ] {
        files(&repository().join("crates").join(part).join("src"), &mut sources);
    }
    let mut found = BTreeSet::new();
    for path in sources.iter().filter(|path| !path.ends_with("cli/src/typed.rs")) {
        let source = std::fs::read_to_string(path).unwrap();
        let shipped = source.split("#[cfg(test)]\nmod tests").next().unwrap();
        // A text that goes on in the next line.
        let lines: Vec<&str> = shipped.split("\\\n").collect();
        let joined = lines.iter().map(|line| line.trim_start()).collect::<String>();
        found.extend(quoted(&joined).into_iter().map(|command| (path.clone(), command)));
    }
    assert!(found.len() > 30, "{found:?}");
    for (path, command) in found {
        // 'with the same flags' stands beside it.
        let of_flags = command == "careen plan";
        let command = filled(&command);
        let typed = if of_flags { format!("{command} --image x1") } else { command };
        check(&typed).unwrap_or_else(|why| panic!("{}: '{typed}': {why}", path.display()));
    }
}

#[test]
fn what_a_host_says_is_nothing_but_a_value_in_a_command() {
    let (observed, spec) = failed_and_paused();
    let (standing, _) = look(&observed, &spec, &Watch::default(), Duration::ZERO).unwrap();
    let hold = Hold::HostBusy { transaction: "k3x9;reboot".into() };
    let node = NodeStanding { hold: Some(hold), hostname: "w1;reboot".into(), ..standing.nodes[2].clone() };
    let gone = NodeStanding {
        stage: NodeState::Failed { during: StateName::Running, reason: Reason::GoLost },
        ..node.clone()
    };
    for command in [words::advice(&node), words::advice(&gone)].iter().flat_map(|advice| &advice.commands) {
        assert!(!command.to_string().contains(';'), "{command}");
    }
}

#[test]
fn the_agents_table_is_what_it_understands() {
    let source = std::fs::read_to_string(repository().join("crates/agent/src/main.rs")).unwrap();
    for (name, options) in AGENT {
        assert!(source.contains(&format!("[\"{name}\"")), "{name}");
        options
            .iter()
            .for_each(|option| assert!(source.contains(&format!("\"{option}\"")), "{name} {option}"));
    }
    assert!(check("careen-agent lst").is_err() && check("docker service ps --no-truncate web").is_err());
    assert!(check("docker service ps").is_err() && check("careen retry").is_err());
    assert!(
        check("docker save x | ssh w1 docker load").is_ok() && check("docker save x | ssh w1 rm").is_err()
    );
}

/// Holds whose advice no scene of the lab types yet: what the simulator or a test of the page shows is enough for these, or the
/// state cannot be made on a lab in less than minutes.
const NOT_ON_THE_LAB: [&str; 10] = [
    "agent-rejected",
    "baseline-removed",
    "called-down",
    "corrupt-surge",
    "manager-unreachable",
    "no-leader",
    "no-room-to-surge",
    "service-updating",
    "several-rejoined",
    "surge-back",
];

/// A scene that waits for a hold (`await_hold`) types what `why` tells to type there: `typed::look` in crates/lab/tests.
#[test]
fn each_hold_that_tells_to_type_something_has_a_scene_of_the_lab_that_types_it() {
    let (observed, spec) = failed_and_paused();
    let (standing, _) = look(&observed, &spec, &Watch::default(), Duration::ZERO).unwrap();
    let mut scenes = Vec::new();
    files(&repository().join("crates/lab/tests"), &mut scenes);
    let text: String = scenes.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let mut missing = BTreeSet::new();
    for hold in Hold::examples() {
        let node = NodeStanding { hold: Some(hold.clone()), ..standing.nodes[2].clone() };
        let tells = !words::advice(&node).commands.is_empty();
        let waited_for = text.match_indices("await_hold(").any(|(at, _)| {
            text[at..].split(')').next().is_some_and(|call| call.contains(&format!("\"{}\"", hold.name())))
        });
        if tells && !waited_for {
            missing.insert(hold.name());
        }
    }
    assert_eq!(missing.into_iter().collect::<Vec<_>>(), NOT_ON_THE_LAB);
}
