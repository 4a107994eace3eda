//! Every screen as a file that is reviewed like code. `crates/cli/screens/NAME.scene` says what is so in the swarm, a line each,
//! and what is shown of it; `NAME.txt` beside it is what careen shows. `UPDATE_SCREENS=1 cargo test -p careen --lib screens` writes
//! those anew. The samples of docs/cli.md are parts of them.
//!
//! ```text
//! node NAME manager|worker [pause|drain] [down] [windows] [: what its label says behind the epoch]
//! workers FROM TO                          w1 and so on
//! containers NODE NAME ...                 of no service
//! drain|reboot POLICY                      as the flags have it
//! service NAME TASKS [global] [enforces NAME] [volume SOURCE] [on NODE] [running N]
//! task SERVICE NODE ...                    one on each of these nodes; `each` is each worker
//! agent NODE [what it says, as JSON]
//! printed NODE SECONDS LINE
//! result NODE JSON
//! ask NODE skip|retry
//! age NODE SECONDS
//! held NODE SECONDS                        for how long, as its label says
//! on-hold wait|pause|skip SECONDS
//! drain auto|always|never
//! control JSON
//! only NODE ...                            the rollout's nodes
//! parallelism N|N%
//! surge [NODE up|down SERVICE@VERSION:FROM>TO]   with --surge; what the node's label says of it
//! no-rollout                               none goes on; with nodes from `ended` there was one
//! ended NODE STAGE [: RECORD]
//! took NODE SECONDS ROLLOUT                in an earlier rollout of the same work
//! past ID done|with-failures FROM TO       a rollout that is over, with a record; `ended` lines behind it are its nodes
//! script TEXT                              the script that was its payload
//! by-hand alter|remove ID                  somebody lays hand on a record
//! show uninstall|plan [--verbose] [COLUMNS]|status|why [NODE]|live COLUMNS|history [--verify]|show ID [NODE]|ls [FLAGS]|inspect ID, each
//!      also with --format json
//! ```

use crate::args::{Cli, Command};
use crate::backend::{EndedNode, Summary};
use crate::error::Failure;
use crate::exit::Exit;
use crate::render::history::{HistoryList, Verified};
use crate::render::listed::Listed;
use crate::render::plan_page::Planned;
use crate::render::record::{Inspected, Recorded};
use crate::render::text::Page;
use crate::render::uninstall::{InSwarm, Uninstalled};
use crate::render::{Screen, failure, live, status, why, words};
use crate::testing::{agent, cluster, enforces, manager, service, spec, task, worker};
use crate::view::{NodeStanding, Standing, look};
use crate::{filter, known, past};
use careen_contract::answer::Answer;
use careen_contract::report::HostPhase;
use careen_contract::{label, object};
use careen_planner::estimate::Took;
use careen_planner::inquiry::{Heard, Roll};
use careen_planner::observed::{
    AgentReport, Availability, Mode, Mount, MountKind, Node, NodeOutcome, NodeStatus, Printed, Reachability,
    Said, Task,
};
use careen_planner::on_hold::{self, HoldPolicy};
use careen_planner::plan::plan_with;
use careen_planner::probe::{Probe, Probed};
use careen_planner::rollout::{Ask, Control, NodeResult};
use careen_planner::state::NodeRecord;
use careen_planner::{Hold, NodeId, NodeState, Observed, RolloutId, Spec, Version, Watch};
use careen_swarm::{ConfigObject, History, HistoryNode, KeptFile};
use clap::Parser;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is so, and what is shown of it.
struct Scene {
    observed: Observed,
    spec: Spec,
    ages: BTreeMap<NodeId, Duration>,
    last: Option<Summary>,
    past: Vec<Took>,
    /// What hosts said that were asked; nobody was when there is nothing.
    answers: Vec<(NodeId, Answer)>,
    shows: Vec<String>,
    /// A record that is not written yet, and when it will be.
    draft: Option<(History, String)>,
    records: Vec<ConfigObject>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("screens")
}

fn id(name: &str) -> NodeId {
    NodeId(name.to_owned())
}

/// `head`, and what is behind the first ` : `.
fn halves(line: &str) -> (&str, Option<&str>) {
    line.split_once(" : ").map_or((line, None), |(head, tail)| (head, Some(tail)))
}

impl Scene {
    fn read(text: &str) -> Self {
        let observed = Observed { nodes: Vec::new(), ..cluster() };
        let (ages, past) = (BTreeMap::new(), Vec::new());
        let (shows, draft, records) = (Vec::new(), None, Vec::new());
        let answers = Vec::new();
        let mut scene =
            Self { observed, spec: spec(), ages, last: None, past, answers, shows, draft, records };
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
            scene.line(what, rest);
        }
        scene.write_record();
        scene
    }

    fn line(&mut self, what: &str, rest: &str) {
        let (first, behind) = rest.split_once(' ').unwrap_or((rest, ""));
        match what {
            "node" => self.node(rest),
            "service" => self.service(first, behind),
            "workers" => {
                let (from, to): (u32, u32) = (first.parse().unwrap(), behind.parse().unwrap());
                self.observed.nodes.extend((from..=to).map(|number| worker(&format!("w{number}"))));
            }
            "containers" => {
                let node = self.observed.nodes.iter_mut().find(|node| node.id == id(first)).unwrap();
                node.plain_containers = behind.split(' ').map(str::to_owned).collect();
            }
            "drain" => self.spec.drain = serde_json::from_value(rest.into()).unwrap(),
            "reboot" => self.spec.reboot = serde_json::from_value(rest.into()).unwrap(),
            "task" => self.tasks(first, behind),
            "agent" => self.agent(first, behind),
            "printed" => self.printed(first, behind),
            "result" => self.result(first, behind),
            "ask" => self.ask(first, behind),
            "age" => drop(self.ages.insert(id(first), Duration::from_secs(behind.parse().unwrap()))),
            "held" => self.held(first, behind),
            "on-hold" => {
                let action = serde_json::from_value(first.into()).unwrap();
                let limit = Duration::from_secs(behind.parse().unwrap());
                self.spec.policy.holds = HoldPolicy { action, limit };
            }
            "control" => {
                self.observed.rollout.as_mut().unwrap().control = serde_json::from_str(rest).unwrap()
            }
            "only" => self.spec.selection.nodes = rest.split(' ').map(str::to_owned).collect(),
            "surge" => self.surge(rest),
            "parallelism" => self.spec.policy.parallelism = rest.parse().unwrap(),
            "no-rollout" => self.observed.rollout = None,
            "ended" if self.draft.is_some() => self.recorded(rest),
            "ended" => self.ended(rest),
            "past" => self.begin_record(rest),
            "script" => self.script(rest),
            "by-hand" => self.by_hand(first, behind),
            "took" => self.took(first, behind),
            "answer" => self.answer(first, behind),
            "show" => self.shows.push(rest.to_owned()),
            _ => panic!("'{what} {rest}' is no line of a scene"),
        }
    }

    /// Several on one node are told apart.
    fn tasks(&mut self, service: &str, on: &str) {
        let workers = self.observed.nodes.iter().filter(|node| !node.is_manager());
        let workers: Vec<String> = workers.map(|node| node.hostname.clone()).collect();
        let nodes = on.split(' ').flat_map(|node| match node {
            "each" => workers.clone(),
            node => vec![node.to_owned()],
        });
        for node in nodes {
            let number = self.observed.tasks.len();
            self.observed.tasks.push(Task { id: format!("{service}.{number}"), ..task(service, &node) });
        }
    }

    /// Services are scaled up before drains; behind it may stand what a node's label says of that.
    fn surge(&mut self, rest: &str) {
        self.spec.surge = true;
        if let Some((node, label)) = rest.split_once(' ') {
            let node = self.observed.nodes.iter_mut().find(|one| one.hostname == node).unwrap();
            node.labels.insert(label::SURGE.to_owned(), format!("1 {} {label}", self.spec.id));
        }
    }

    fn node(&mut self, rest: &str) {
        let (head, tail) = halves(rest);
        let mut words = head.split(' ');
        let (name, role) = (words.next().unwrap(), words.next().unwrap());
        let mut node = if role == "manager" { manager(name) } else { worker(name) };
        for word in words {
            match word {
                "pause" => node.availability = Availability::Pause,
                "drain" => node.availability = Availability::Drain,
                "windows" => node.os = "windows".to_owned(),
                "down" => {
                    node.status = NodeStatus::Down;
                    node.manager.iter_mut().for_each(|one| one.reachability = Reachability::Unreachable);
                }
                _ => panic!("'{word}' says nothing of a node"),
            }
        }
        if let Some(tail) = tail {
            let label = format!("1 {} g1 a1 e1 {tail}", self.spec.id);
            assert!(NodeRecord::decode(&label).is_ok(), "'{label}' is no label");
            node.labels.insert(label::NODE.to_owned(), label);
        }
        self.observed.nodes.push(node);
    }

    fn service(&mut self, name: &str, behind: &str) {
        let mut words = behind.split(' ');
        let mut made = service(name, words.next().unwrap().parse().unwrap());
        while let Some(word) = words.next() {
            match word {
                "global" => made.mode = Mode::Global,
                "enforces" => made.labels = enforces(words.next().unwrap()),
                "volume" => {
                    let source = words.next().unwrap().to_owned();
                    made.mounts = vec![Mount { kind: MountKind::LocalVolume, source, read_only: false }];
                }
                "on" => made.constraints = vec![format!("node.hostname=={}", words.next().unwrap())],
                "running" => made.running = words.next().unwrap().parse().unwrap(),
                _ => panic!("'{word}' says nothing of a service"),
            }
        }
        self.observed.services.push(made);
    }

    fn agent(&mut self, name: &str, said: &str) {
        self.observed.jobs.push(agent(name));
        let said: Said = match said {
            "" => return,
            said => serde_json::from_str(said).unwrap(),
        };
        self.observed.reports.push(AgentReport {
            node: id(name),
            transaction: String::new(),
            generation: 1,
            agent: 1,
            said,
            waits: None,
            printed: None,
        });
    }

    fn printed(&mut self, name: &str, behind: &str) {
        let (seconds, line) = behind.split_once(' ').unwrap();
        let report = self.observed.reports.iter_mut().find(|one| one.node == id(name)).unwrap();
        report.printed = Some(Printed { line: line.to_owned(), seconds: seconds.parse().unwrap() });
    }

    fn result(&mut self, name: &str, json: &str) {
        let (json, record) = halves(json);
        let outcome: NodeOutcome = serde_json::from_str(json).unwrap();
        let record = record.map(|record| record.replace("\\n", "\n"));
        self.observed.results.push(NodeResult {
            node: id(name),
            generation: 1,
            outcome,
            record,
            seconds: None,
        });
    }

    fn ask(&mut self, name: &str, word: &str) {
        let ask = if word == "skip" { Ask::Skip } else { Ask::Retry };
        let label = ask.label(&self.spec.id);
        let node: &mut Node = self.observed.nodes.iter_mut().find(|node| node.id == id(name)).unwrap();
        node.labels.insert(label::ASK.to_owned(), label);
    }

    fn held(&mut self, name: &str, seconds: &str) {
        let lasted = Duration::from_secs(seconds.parse().unwrap());
        let written = on_hold::written(&self.spec.id, 1, lasted);
        let node: &mut Node = self.observed.nodes.iter_mut().find(|node| node.id == id(name)).unwrap();
        node.labels.insert(label::HELD.to_owned(), written);
    }

    fn ended(&mut self, rest: &str) {
        let (head, record) = halves(rest);
        let (name, stage) = head.split_once(' ').unwrap();
        let label = format!("1 {} g1 a1 e1 {stage}", self.spec.id);
        let stage = NodeRecord::decode(&label).unwrap().state;
        let summary = self.last.get_or_insert_with(|| Summary {
            spec: spec(),
            control: Control::Finished { outcome: careen_planner::rollout::RolloutOutcome::WithFailures },
            by: Some("root@m1".to_owned()),
            submitted: Some("2026-11-24T22:00:00.123456789Z".to_owned()),
            nodes: Vec::new(),
            record: None,
        });
        summary.nodes.push(EndedNode {
            node: id(name),
            hostname: name.to_owned(),
            stage,
            transaction: None,
            record: record.map(|record| record.replace("\\n", "\n")),
            seconds: None,
            generation: 1,
            tries: Vec::new(),
        });
    }

    fn begin_record(&mut self, rest: &str) {
        self.write_record();
        let [id, outcome, from, to] = rest.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let rollout = RolloutId::parse(id).unwrap();
        let history = History {
            spec: Spec { id: rollout.clone(), ..self.spec.clone() },
            rollout,
            outcome: serde_json::from_value(outcome.into()).unwrap(),
            by: Some("root@m1".to_owned()),
            submitted: from.to_owned(),
            ended: String::new(),
            sha256: String::new(),
            before: None,
            files: Vec::new(),
            nodes: Vec::new(),
            results: Vec::new(),
        };
        self.draft = Some((history, to.to_owned()));
    }

    fn recorded(&mut self, rest: &str) {
        let (head, record) = halves(rest);
        let (name, stage) = head.split_once(' ').unwrap();
        let label = format!("1 {} g1 a1 e1 {stage}", self.spec.id);
        let (node, hostname, generation) = (id(name), name.to_owned(), 1);
        let state = NodeRecord::decode(&label).unwrap().state;
        let failed = NodeOutcome::Failed { phase: HostPhase::Command, exit: 100, rolled_back: None };
        let done = state == NodeState::Done;
        let (history, _) = self.draft.as_mut().unwrap();
        let record = record.map(|record| record.replace("\\n", "\n"));
        if state.is_skipped_for_a_hold() {
            // Nothing ran there, so there is no result.
            history.nodes.push(HistoryNode { id: node, hostname, generation, state, last_words: record });
            return;
        }
        history.results.push(NodeResult {
            node: node.clone(),
            generation,
            outcome: if done { NodeOutcome::Succeeded } else { failed },
            record,
            seconds: done.then_some(95),
        });
        history.nodes.push(HistoryNode { id: node, hostname, generation, state, last_words: None });
    }

    fn script(&mut self, text: &str) {
        let text = text.replace("\\n", "\n");
        let (history, _) = self.draft.as_mut().unwrap();
        history.files.push(KeptFile {
            target: "/install/install".to_owned(),
            mode: 0o755,
            bytes: Some(text.len()),
            sha256: Some("00".repeat(32)),
            text: Some(text),
        });
    }

    fn write_record(&mut self) {
        let Some((history, created)) = self.draft.take() else { return };
        let new = careen_swarm::to_write(history, &self.records).unwrap();
        self.records.extend(new.into_iter().map(|new| ConfigObject {
            id: new.name.clone(),
            version: Version(1),
            created: created.clone(),
            labels: new.labels.into_iter().chain([(label::FORMAT.to_owned(), "1".to_owned())]).collect(),
            name: new.name,
            data: new.data,
        }));
    }

    fn by_hand(&mut self, what: &str, id: &str) {
        self.write_record();
        let name = format!("{}{id}", object::HISTORIES);
        if what == "remove" {
            return self.records.retain(|record| record.name != name);
        }
        let record = self.records.iter_mut().find(|record| record.name == name).unwrap();
        record.data = String::from_utf8(record.data.clone()).unwrap().replace("root@m1", "nobody").into();
    }

    fn of_records(&self, what: &str, about: &str, page: &mut Page) {
        let known = known::rollouts(Vec::new(), careen_swarm::assemble(&self.records)).known;
        let json = about.ends_with("--format json");
        let mut show = |screen: &dyn Screen| match json {
            true => screen.json().unwrap().lines().for_each(|line| page.line(line)),
            false => screen.text(page),
        };
        let about = about.trim_end_matches("--format json").trim_end();
        match (what, about) {
            ("history", "") => show(&HistoryList { known: &known }),
            ("history", "--verify") => show(&Verified(&careen_swarm::verify(&self.records, &[], &[]))),
            ("ls", about) => {
                let words = ["careen", "ls"].into_iter().chain(about.split_whitespace());
                let Command::Ls(args) = Cli::try_parse_from(words).unwrap().command else { unreachable!() };
                let fits = |one: &&Summary| {
                    let nodes: Vec<&str> = one.nodes.iter().map(|node| node.hostname.as_str()).collect();
                    filter::fits(&args.filters, one, &nodes)
                };
                show(&Listed { rollouts: known.iter().filter(fits).collect(), quiet: args.quiet });
            }
            ("inspect", run) => {
                let found = known.iter().filter(|one| one.spec.id.as_str() == run).collect();
                show(&Inspected(found));
            }
            (_, about) => {
                let (run, node) = about.split_once(' ').unwrap_or((about, ""));
                let summary = known.iter().find(|one| one.spec.id.as_str() == run).unwrap();
                show(&Recorded { summary, node: summary.nodes.iter().find(|one| one.hostname == node) });
            }
        }
    }

    fn took(&mut self, name: &str, behind: &str) {
        let (seconds, rollout) = behind.split_once(' ').unwrap();
        let (rollout, seconds) = (RolloutId::parse(rollout).unwrap(), seconds.parse().unwrap());
        self.past.push(Took { node: id(name), rollout, seconds });
    }

    fn standing(&self) -> Standing {
        let (standing, _) = look(&self.observed, &self.spec, &Watch::default(), Duration::ZERO).unwrap();
        standing.with_ages(&self.ages)
    }

    /// `answer w1 2 {"packages":3}`: its status, and what its check left.
    fn answer(&mut self, node: &str, rest: &str) {
        let (exit, result) = rest.split_once(' ').map_or((rest, None), |(exit, json)| (exit, Some(json)));
        let result = result.map(|json| serde_json::from_str(json).unwrap());
        let exit = exit.parse().unwrap();
        self.answers.push((id(node), Answer::Answered { exit, why: None, result, notes: vec![], lines: 0 }));
    }

    fn probe(&self) -> Option<Probe> {
        let asked = |roll: Roll| {
            Probe(roll.asked().iter().map(|asked| (asked.node.clone(), Probed::of(asked))).collect())
        };
        (!self.answers.is_empty()).then(|| asked(self.roll()))
    }

    /// What hosts answered.
    fn roll(&self) -> Roll {
        let limit = Duration::from_secs(60);
        let (mut roll, _) = Roll::call(&self.observed, &self.spec, false, limit).unwrap();
        for (node, answer) in self.answers.clone() {
            roll.hear(Heard::Said { task: node.0.clone(), node, answer }, Duration::ZERO);
        }
        roll.tick(limit);
        roll
    }

    fn screens(&self) -> String {
        let screens: Vec<String> = self.shows.iter().map(|show| self.screen(show)).collect();
        screens.join("\n")
    }

    fn screen(&self, show: &str) -> String {
        let mut page = Page::new(false);
        let (what, about) = show.split_once(' ').unwrap_or((show, ""));
        match what {
            "plan" => self.plan(about, &mut page),
            "status" if self.observed.rollout.is_none() => status::idle(self.last.as_ref(), &mut page),
            "status" => {
                let standing = self.standing();
                let (results, before) = (&self.observed.results, self.past.clone());
                let left = past::time_left(&standing, &self.spec, results, before);
                status::page(&standing.with_estimate(left), &self.spec, &mut page);
            }
            "why" => {
                let standing = self.standing();
                let mut nodes = why::blocked(&standing);
                nodes.retain(|node| about.is_empty() || node.hostname == about);
                why::page(&standing, &nodes, &mut page);
            }
            "history" | "show" | "ls" | "inspect" => self.of_records(what, about, &mut page),
            "uninstall" => {
                let configs = [object::ENGINE_RESTART, object::LOCK].map(str::to_owned).into();
                let swarm = InSwarm { configs, nodes: vec!["n1".to_owned()], kept: 6, ..InSwarm::default() };
                Uninstalled { dry_run: true, roll: &self.roll(), swarm: &swarm, last: true }.text(&mut page);
            }
            "live" => return self.live(about.parse().unwrap()),
            _ => panic!("'{show}' shows nothing"),
        }
        let columns = |word: &str| word.parse::<usize>().is_ok();
        let typed: Vec<&str> = show.split(' ').filter(|word| what != "plan" || !columns(word)).collect();
        let on = about.split(' ').find(|word| columns(word)).filter(|_| what == "plan");
        let on = on.map(|columns| format!("on {columns} columns\n")).unwrap_or_default();
        format!("{on}$ careen {}\n{}", typed.join(" "), page.into_text())
    }

    fn plan(&self, about: &str, page: &mut Page) {
        let draft = &careen_swarm::Draft::of(self.spec.clone());
        let (probe, observed) = (self.probe(), &self.observed);
        let expected = probe.as_ref().map(Probe::expected).unwrap_or_default();
        let plan = plan_with(observed, &self.spec, false, &expected);
        let plan = &plan.in_the_light_of(&self.spec.policy, &self.past);
        let probe = probe.as_ref();
        let columns = about.split(' ').find_map(|word| word.parse().ok());
        *page = Page::new(false).within(columns);
        Planned { plan, draft, observed, probe, going_on: None, verbose: about.contains("--verbose") }
            .text(page);
    }

    /// The picture as a terminal of so many columns cuts it.
    fn live(&self, columns: usize) -> String {
        let picture = live::picture(&self.standing(), &BTreeMap::new(), Duration::from_secs(125), false);
        let cut = |line: &str| line.chars().take(columns).collect::<String>() + "\n";
        format!("followed, on {columns} columns\n{}", picture.lines().map(cut).collect::<String>())
    }
}

/// Compares screens with what is kept of them, or keeps them.
pub(crate) fn assert_kept(screens: impl IntoIterator<Item = (String, String)>) {
    let mut different = Vec::new();
    for (name, text) in screens {
        let path = folder().join(&name);
        if std::env::var_os("UPDATE_SCREENS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        if kept != text {
            different.push(format!("screens/{name}: kept\n{kept}\nshown\n{text}"));
        }
    }
    assert!(different.is_empty(), "UPDATE_SCREENS=1 keeps what is shown\n{}", different.join("\n"));
}

/// The files of the folder that end so.
fn files(extension: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.extension().is_some_and(|one| one == extension)).collect()
}

#[test]
fn every_scene_shows_what_is_kept_of_it() {
    assert_kept(files("scene").into_iter().map(|path| {
        let scene = Scene::read(&fs::read_to_string(&path).unwrap());
        let name = path.with_extension("txt").file_name().unwrap().to_str().unwrap().to_owned();
        (name, scene.screens())
    }));
}

#[test]
fn every_hold_and_what_to_do_about_it() {
    let standing = Scene::read("node m1 manager\nnode w1 worker\nagent w1").standing();
    let of = |hold: Hold| NodeStanding {
        stage: NodeState::Pending,
        hold: Some(hold),
        ..standing.nodes[0].clone()
    };
    let told = |hold: Hold| {
        let (name, node) = (hold.name(), of(hold));
        let why = words::detail(&node).unwrap_or_default();
        let words::Advice { text, commands } = words::advice(&node);
        let commands: String = commands.iter().map(|step| format!("    {step}\n")).collect();
        let text = if text.is_empty() { String::new() } else { format!("  {text}\n") };
        format!("{name}: {why}\n{text}{commands}")
    };
    let text: String = Hold::examples().into_iter().map(told).collect();
    assert_kept([("holds.txt".to_owned(), text)]);
}

#[test]
fn every_error_with_its_exit_code_and_what_to_do_next() {
    let told = |failure: &Failure| {
        let exit: Exit = failure.exit();
        format!("{}: {}", exit.code(), failure::text(failure, crate::args::Format::Text))
    };
    let text: String = Failure::examples().iter().map(told).collect();
    assert_kept([("errors.txt".to_owned(), text)]);
}

#[test]
fn the_samples_of_the_documents_are_parts_of_the_screens() {
    let document = include_str!("../../../docs/cli.md");
    let kept: String = files("txt").iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let samples = document.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let of_screens = |sample: &&str| {
        [
            "$ careen plan",
            "$ careen status",
            "$ careen why",
            "$ careen history",
            "$ careen show",
            "$ careen ls",
            "$ careen enforce",
        ]
        .iter()
        .any(|it| sample.starts_with(it))
    };
    let samples: Vec<&str> = samples.filter(of_screens).collect();
    assert!(samples.len() > 2, "{samples:?}");
    for sample in samples {
        // A command may be typed with flags that the screen does not show.
        let (_, shown) = sample.split_once('\n').unwrap();
        assert!(kept.contains(shown), "no scene shows this sample of docs/cli.md:\n{sample}");
    }
}
