//! A simulated swarm behind the command line's traits. Time passes only while somebody waits.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

use careen_cli::args::{Cli, Format};
use careen_cli::backend::{
    Backend, BackendError, ImageLook, LogLine, LogPlace, LogRead, Order, Rollouts, Speaker, Stream, Summary,
};
use careen_cli::commands::Session;
use careen_cli::connect::NoManager;
use careen_cli::console::{Colours, Console};
use careen_cli::error::Failure;
use careen_cli::exit::Exit;
use careen_cli::known;
use careen_contract::label;
use careen_controller::{Controller, run_pass};
use careen_engine::FileInContainer;
use careen_planner::cluster::{ActError, Cluster, Unseen};
use careen_planner::enforcement::hosts::LastWord;
use careen_planner::enforcement::{EnforcerService, FoundConfig};
use careen_planner::inquiry::{Heard, Roll, TaskSeen};
use careen_planner::moves::{EnforcerSeen, MoveStep, Moves, Moving, StateSeen, VersionSeen};
use careen_planner::observed::{Availability, ControllerPlace, Node, TaskState};
use careen_planner::remains::Giving;
use careen_planner::rollout::{Ask, Control, GoneNode, RolloutOutcome, RolloutRecord};
use careen_planner::spec::UnlockKey;
use careen_planner::{
    Act, Action, ControllerId, Enforcement, EnforcementState, FoundEnforcement, GivenFile, NodeId, Observed,
    PauseReason, RolloutId, ServiceId, Spec, Version,
};
use careen_sim::View;
use careen_sim::world::World;
use careen_swarm::{
    ConfigObject, ControllerTask, Draft, EnforcementDraft, GivenKind, History, HistoryNode, Home, Inquiry,
    Key, NotGivenBack, PayloadFile, Possession, PossessionKind, Rollout, Seat, Stored, Verification,
};
use clap::Parser;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;

/// What the test, the backend and the console share.
#[derive(Clone)]
pub struct Sim(pub Rc<RefCell<Shared>>);

pub struct Shared {
    pub world: World,
    /// What is told of the controller in the swarm; when there is nothing, it comes up at once.
    pub task: Option<ControllerTask>,
    /// The images that can be looked into, and what each has of careen's programs and commands.
    pub images: BTreeMap<String, Vec<&'static str>>,
    /// What the payload of each image says of itself.
    pub manifests: BTreeMap<String, &'static str>,
    /// The spec that was submitted.
    pub spec: Option<Spec>,
    /// Records of rollouts that are over, and that nobody can read.
    pub unreadable: Vec<String>,
    /// Whether the end of a rollout is recorded.
    pub remembers: bool,
    /// The records of rollouts that are over.
    pub records: Vec<ConfigObject>,
    /// Whether no log comes from the hosts.
    pub no_logs: bool,
    /// Whether the manager that is asked does not answer, and who else can be asked.
    pub away: bool,
    pub another: Option<String>,
    /// The controller in the swarm, when one was started.
    pub in_swarm: Option<Controller>,
    pub out: String,
    pub err: String,
    /// What is answered; nobody is there to answer when there is nothing.
    pub answer: Option<bool>,
    /// What is heard of hosts that are asked, and after how many seconds.
    pub heard: Vec<(u64, Heard)>,
    /// What was asked.
    pub inquiry: Option<Inquiry>,
    pub asked_at: u64,
    pub ended_inquiries: usize,
    /// What is enforced, and what the agents said last, by their nodes.
    pub enforced: Vec<FoundEnforcement>,
    pub last_words: BTreeMap<String, LastWord>,
    /// The names of careen's configs.
    pub possessions: Vec<&'static str>,
    /// When Ctrl-C is pressed.
    pub interrupt_at: Option<u64>,
    pub live: bool,
    /// What happens when its time has come; it says when that was.
    pub event: Option<Event>,
}

type Event = Box<dyn FnMut(&mut Shared) -> bool>;

impl Shared {
    /// Tried each second until it says that it has happened.
    pub fn at(&mut self, event: impl FnMut(&mut Shared) -> bool + 'static) {
        self.event = Some(Box::new(event));
    }
}

/// When rollouts are submitted.
const SUBMITTED: &str = "2026-11-27T00:00:00Z";

pub fn place() -> NodeId {
    NodeId("m1".into())
}

impl Sim {
    pub fn new(world: World) -> Self {
        let world = World { rollout: RolloutRecord::new(Version(1), Control::Running), ..world };
        Self(Rc::new(RefCell::new(Shared {
            world,
            task: None,
            images: BTreeMap::new(),
            manifests: BTreeMap::new(),
            spec: None,
            unreadable: Vec::new(),
            remembers: false,
            records: Vec::new(),
            no_logs: false,
            away: false,
            another: None,
            in_swarm: None,
            out: String::new(),
            err: String::new(),
            answer: None,
            heard: Vec::new(),
            inquiry: None,
            possessions: Vec::new(),
            enforced: Vec::new(),
            last_words: BTreeMap::new(),
            asked_at: 0,
            ended_inquiries: 0,
            interrupt_at: None,
            live: false,
            event: None,
        })))
    }

    /// Calls careen; what it printed is in `out` and `err`.
    pub fn call(&self, words: &str) -> Result<Exit, Failure> {
        {
            let mut shared = self.0.borrow_mut();
            shared.out.clear();
            shared.err.clear();
        }
        let cli = Cli::try_parse_from(std::iter::once("careen").chain(words.split_whitespace())).unwrap();
        let (mut backend, mut console) = (self.clone(), self.clone());
        let format: Format = cli.common.format;
        Session { backend: &mut backend, console: &mut console, format, by: "tester".into() }
            .execute(&cli.command)
    }

    pub fn out(&self) -> String {
        self.0.borrow().out.clone()
    }

    pub fn err(&self) -> String {
        self.0.borrow().err.clone()
    }

    fn second(&self) {
        let mut shared = self.0.borrow_mut();
        shared.world.tick();
        shared.world.check();
        if let Some(mut event) = shared.event.take()
            && !event(&mut shared)
        {
            shared.event = Some(event);
        }
        let Some(mut controller) = shared.in_swarm.take() else { return };
        let who = controller.id().clone();
        drop(shared);
        let mut cluster = SimCluster { sim: self.clone(), who };
        let goes_on = run_pass(&mut controller, &mut cluster)
            .map_or(true, |(pass, _)| pass.end == careen_planner::PassEnd::GoOn);
        self.0.borrow_mut().in_swarm = goes_on.then_some(controller);
    }
}

/// The swarm as one controller sees it.
pub struct SimCluster {
    sim: Sim,
    who: ControllerId,
}

impl SimCluster {
    fn view<T>(&self, use_it: impl FnOnce(&mut View<'_>) -> T) -> T {
        let shared = &mut *self.sim.0.borrow_mut();
        let who = self.who.clone();
        let looked_at = shared.world.now;
        let mut view = View {
            world: &mut shared.world,
            who,
            place: place(),
            looked_at,
            moved: false,
            looked: false,
            distort: |_, _| {},
        };
        use_it(&mut view)
    }
}

impl Cluster for SimCluster {
    fn observe(&mut self) -> Result<Observed, Unseen> {
        if self.sim.0.borrow().away && self.who.0.starts_with("cli-") {
            return Err(Unseen::Away { why: "m1 is gone".to_owned() });
        }
        // A controller outside of the swarm stays where it is.
        self.view(|view| view.observe()).map(|observed| Observed { controller: None, ..observed })
    }

    fn act(&mut self, act: &Act) -> Result<(), ActError> {
        let acted = self.view(|view| view.act(act));
        // The answer may be lost on its way when it is done.
        if let Action::WriteHistory { outcome, gone } = &act.action
            && self.sim.0.borrow().world.history_written
        {
            self.sim.remember(*outcome, gone);
        }
        acted
    }

    fn now(&self) -> Duration {
        self.view(|view| view.now())
    }
}

impl Sim {
    fn is_over(&self) -> bool {
        matches!(self.0.borrow().world.rollout.control, Control::Finished { .. })
    }

    /// Writes the record of the rollout, as a controller does in a real swarm.
    fn remember(&self, outcome: RolloutOutcome, gone: &[GoneNode]) {
        let shared = &mut *self.0.borrow_mut();
        let Some(spec) = shared.spec.clone().filter(|_| shared.remembers) else { return };
        let observed = shared.world.observe(&place());
        let nodes = observed.nodes.iter().filter_map(|node| HistoryNode::of(node, &spec.id));
        let history = History {
            rollout: spec.id.clone(),
            outcome,
            spec: spec.clone(),
            by: Some("tester".into()),
            submitted: SUBMITTED.into(),
            ended: String::new(),
            sha256: String::new(),
            before: None,
            files: Vec::new(),
            nodes: nodes.chain(gone.iter().map(HistoryNode::from)).collect(),
            results: observed.results,
        };
        let now = shared.world.now;
        let created = format!("2026-11-27T{:02}:{:02}:{:02}Z", now / 3600, now / 60 % 60, now % 60);
        let new = careen_swarm::to_write(history, &shared.records).unwrap();
        shared.records.extend(new.into_iter().map(|new| new.stored(&created)));
    }

    fn set_control(&self, control: Control) {
        let world = &mut self.0.borrow_mut().world;
        let (version, gone) = (world.next_version(), world.rollout.gone.clone());
        world.rollout = RolloutRecord { version, control, gone };
    }
}

impl Backend for Sim {
    type Cluster = SimCluster;

    fn observe(&mut self, rollout: Option<&RolloutId>) -> Result<Observed, BackendError> {
        if self.0.borrow().away {
            return Err(NoManager::NoEngine { at: "tcp://m1:2376".to_owned() }.into());
        }
        let observed = self.0.borrow_mut().world.observe(&place());
        Ok(Observed { controller: None, rollout: observed.rollout.filter(|_| rollout.is_some()), ..observed })
    }

    fn ask_another(&mut self) -> Option<String> {
        let mut shared = self.0.borrow_mut();
        let another = shared.another.take()?;
        shared.away = false;
        Some(another)
    }

    fn active(&mut self) -> Result<Option<Spec>, BackendError> {
        let over = self.is_over() || self.0.borrow().world.removed;
        Ok(self.0.borrow().spec.clone().filter(|_| !over))
    }

    fn rollouts(&mut self) -> Result<Rollouts, BackendError> {
        let shared = self.0.borrow();
        if shared.world.removed {
            return Ok(Rollouts::default());
        }
        let summary = |spec| Summary {
            spec,
            control: shared.world.rollout.control.clone(),
            by: Some("tester".into()),
            submitted: None,
            nodes: Vec::new(),
            record: None,
        };
        if shared.remembers {
            let rollout = |spec| Rollout {
                spec,
                control: shared.world.rollout.control.clone(),
                version: shared.world.rollout.version,
                by: Some("tester".into()),
                submitted: SUBMITTED.into(),
            };
            let stored = shared.spec.clone().map(rollout).into_iter().collect();
            return Ok(known::rollouts(stored, careen_swarm::assemble(&shared.records)));
        }
        let known = shared.spec.clone().map(summary).into_iter().collect();
        Ok(Rollouts { known, unreadable: shared.unreadable.clone() })
    }

    fn verify_history(&mut self) -> Result<Verification, BackendError> {
        let shared = self.0.borrow();
        let id = shared.spec.iter().map(|spec| spec.id.clone()).collect::<Vec<_>>();
        let over = matches!(shared.world.rollout.control, Control::Finished { .. });
        let (over, open) = if over { (id, Vec::new()) } else { (Vec::new(), id) };
        Ok(careen_swarm::verify(&shared.records, &over, &open))
    }

    fn pin(&mut self, image: &str) -> Result<String, BackendError> {
        Ok(format!("{image}@sha256:00"))
    }

    fn pin_here(&mut self, image: &str) -> Result<String, BackendError> {
        match image.starts_with("careen/installer:") {
            true => Ok("sha256:11".to_owned()),
            false => Err(BackendError::NoImage { image: image.to_owned(), why: "no such image".to_owned() }),
        }
    }

    fn place_of_controller(&self, _: &[Node], _: &Spec) -> Option<ControllerPlace> {
        None
    }

    fn look_into(&mut self, image: &str, files: &[String]) -> Result<Option<ImageLook>, BackendError> {
        let shared = self.0.borrow();
        let look = |has: &Vec<&'static str>| ImageLook {
            id: format!("sha256:of-{}", image.split([':', '@']).next().unwrap_or_default()),
            protocol: Some("2".to_owned()),
            leaves_engine: image.starts_with("facts"),
            missing: files.iter().filter(|file| !has.contains(&file.as_str())).cloned().collect(),
        };
        Ok(shared.images.get(image).map(look))
    }

    fn read_in_image(
        &mut self,
        image: &str,
        path: &str,
        _most: usize,
    ) -> Result<Option<FileInContainer>, BackendError> {
        assert_eq!(path, "/install/careen.yaml");
        let shared = self.0.borrow();
        Ok(Some(
            shared
                .manifests
                .get(image)
                .map_or(FileInContainer::Absent, |text| FileInContainer::Content(text.as_bytes().to_vec())),
        ))
    }

    fn has_credentials(&mut self, image: &str) -> Result<bool, BackendError> {
        Ok(image.starts_with("r.example/"))
    }

    fn find_given(&mut self, _kind: GivenKind, name: &str) -> Result<Option<String>, BackendError> {
        Ok((name == "known").then(|| "id-known".to_owned()))
    }

    fn is_unlock_key(&mut self, _key: &Key) -> Result<bool, BackendError> {
        Ok(false)
    }

    fn secret(&mut self, _name: &str) -> Result<Option<UnlockKey>, BackendError> {
        Ok(None)
    }

    fn submit(&mut self, draft: &Draft, _by: &str) -> Result<Spec, BackendError> {
        let given = |file: &PayloadFile| GivenFile {
            id: file.digest.clone(),
            name: file.digest.clone(),
            target: file.target.clone(),
            uid: "0".to_owned(),
            gid: "0".to_owned(),
            mode: file.mode,
        };
        let mut spec = draft.spec.clone();
        spec.given.files = draft.files.iter().map(given).collect();
        spec.limits = careen_sim::scenario::limits();
        let mut shared = self.0.borrow_mut();
        shared.world.next_rollout(spec.clone());
        shared.spec = Some(spec.clone());
        Ok(spec)
    }

    fn start_controller(&mut self, _rollout: &RolloutId) -> Result<(), BackendError> {
        let mut shared = self.0.borrow_mut();
        if shared.task.is_some() {
            return Ok(());
        }
        let spec = shared.spec.clone().unwrap();
        let new = || Controller::new(ControllerId("service".into()), spec);
        shared.in_swarm.get_or_insert_with(new);
        Ok(())
    }

    fn controller_task(&mut self, _rollout: &RolloutId, held: bool) -> Result<ControllerTask, BackendError> {
        let shared = self.0.borrow();
        let seat = || Seat {
            home: Home::Service,
            name: "careen-controller".to_owned(),
            node: Some(place().0),
            task: "running".to_owned(),
            why: None,
            tries: 0,
            lines: Vec::new(),
        };
        Ok(match (&shared.task, held || shared.in_swarm.is_some()) {
            (Some(task), _) => task.clone(),
            (None, true) => ControllerTask::Runs(seat()),
            (None, false) => ControllerTask::Absent { submitted_seconds: None },
        })
    }

    fn control(&mut self, _rollout: &RolloutId, order: Order) -> Result<(), BackendError> {
        self.set_control(match order {
            Order::Pause => Control::Paused { why: PauseReason::Asked },
            Order::Resume => Control::Running,
            Order::Abort => Control::Aborting,
        });
        Ok(())
    }

    fn ask(&mut self, rollout: &RolloutId, node: &NodeId, ask: Ask) -> Result<(), BackendError> {
        let world = &mut self.0.borrow_mut().world;
        let version = world.next_version();
        // The simulator counts the tries that operators have asked for, and finds fault with every other one.
        if ask == Ask::Retry {
            *world.retries.entry(node.clone()).or_default() += 1;
        }
        let node = world.node_mut(node).unwrap();
        node.version = version;
        node.labels.insert(label::ASK.into(), ask.label(rollout));
        Ok(())
    }

    fn give_up(&mut self, _rollout: &RolloutId, node: &NodeId) -> Result<(), BackendError> {
        self.0.borrow_mut().world.give_up(node);
        Ok(())
    }

    fn stored(&mut self) -> Result<Vec<Stored>, BackendError> {
        let shared = self.0.borrow();
        let Some(spec) = &shared.spec else { return Ok(Vec::new()) };
        let stored = |name: String| {
            let (kind, id, rollout) = (GivenKind::Config, name.clone(), spec.id.clone());
            Stored { kind, id, name, rollout, age: None }
        };
        let baseline = shared.world.baseline.is_some().then(|| format!("careen.baseline.{}", spec.id));
        let rollout = (!shared.world.removed).then(|| format!("careen.rollout.{}", spec.id));
        Ok(baseline.into_iter().chain(rollout).map(stored).collect())
    }

    fn remove_stored(&mut self, stored: &Stored) -> Result<bool, BackendError> {
        let shared = &mut *self.0.borrow_mut();
        match stored.name.starts_with("careen.baseline.") {
            true => shared.world.baseline = None,
            false => shared.world.removed = true,
        }
        Ok(true)
    }

    fn possessions(&mut self) -> Result<Vec<Possession>, BackendError> {
        let of = |name: &&'static str| Possession {
            kind: PossessionKind::Config,
            id: (*name).to_owned(),
            name: (*name).to_owned(),
            is_history: name.starts_with("careen.history."),
        };
        Ok(self.0.borrow().possessions.iter().map(of).collect())
    }

    fn remove_possession(&mut self, one: &Possession) -> Result<bool, BackendError> {
        self.0.borrow_mut().possessions.retain(|name| *name != one.name);
        Ok(true)
    }

    fn give_back(&mut self, giving: &Giving) -> Result<(), BackendError> {
        self.0.borrow_mut().world.give_back(giving).map_err(|_| BackendError::Changed)
    }

    fn remove_controller(&mut self, _rollout: &RolloutId) -> Result<(), BackendError> {
        let mut shared = self.0.borrow_mut();
        (shared.in_swarm, shared.task) = (None, None);
        Ok(())
    }

    fn logs(
        &mut self,
        of: Speaker<'_>,
        place: &mut LogPlace,
        each: &mut dyn FnMut(LogLine),
    ) -> Result<LogRead, BackendError> {
        if self.0.borrow().away {
            return Err(NoManager::NoEngine { at: "tcp://m1:2376".to_owned() }.into());
        }
        if self.0.borrow().no_logs {
            return Err(BackendError::Unclear { why: "timeout: global".to_owned() });
        }
        let time = Some(Console::time(self).to_string());
        let line = |stream, text: String| LogLine { stream, text, time: time.clone() };
        let agent = match of {
            Speaker::Agent(agent) => agent,
            Speaker::Inquiry(inquiry) => {
                let of_log = |one: &&(u64, Heard)| matches!(one.1, Heard::Line { .. });
                let heard = self.0.borrow().heard.clone();
                for (_, one) in heard.iter().filter(of_log) {
                    if let Heard::Line { line: told, .. } = one {
                        each(line(Stream::Stdout, format!("{} ({inquiry})", told.text)));
                    }
                }
                return Ok(LogRead::Whole);
            }
            Speaker::Controller(rollout) => {
                let known = std::mem::replace(place, LogPlace("1".to_owned()));
                if known == LogPlace::default() {
                    each(line(Stream::Stderr, format!("careen-controller: works on it rollout={rollout}")));
                }
                return Ok(LogRead::Whole);
            }
        };
        let all = [
            line(
                Stream::Stderr,
                careen_planner::observed::Report::from(careen_planner::observed::Said::Preparing)
                    .line()
                    .unwrap(),
            ),
            line(Stream::Stdout, format!("Unpacking \x1b[31mlibc6\x1b[0m on {}", agent.node)),
        ];
        // One line at a time, so that nobody relies on all of them.
        let read: usize = place.0.parse().unwrap_or(0);
        let Some(line) = all.get(read) else { return Ok(LogRead::Whole) };
        each(line.clone());
        *place = LogPlace((read + 1).to_string());
        Ok(LogRead::Partly)
    }

    fn nodes(&mut self) -> Result<Vec<Node>, BackendError> {
        self.observe(None).map(|observed| observed.nodes)
    }

    fn inquire(&mut self, inquiry: &Inquiry) -> Result<Vec<NotGivenBack>, BackendError> {
        let mut shared = self.0.borrow_mut();
        shared.inquiry = Some(inquiry.clone());
        shared.asked_at = shared.world.now;
        Ok(Vec::new())
    }

    fn hear(
        &mut self,
        _inquiry: &Inquiry,
        roll: &mut Roll,
        tick: &mut dyn FnMut(&Roll) -> ControlFlow<()>,
    ) -> Result<(), BackendError> {
        let mut heard = self.0.borrow().heard.clone();
        for _ in 0..1000 {
            if self.0.borrow().away {
                return Err(NoManager::NoEngine { at: "tcp://m1:2376".to_owned() }.into());
            }
            let second = self.0.borrow().world.now - self.0.borrow().asked_at;
            let now = Duration::from_secs(second);
            // Whoever hears anew hears all from the beginning.
            heard.retain(|(at, one)| {
                let came = *at <= second;
                if came {
                    roll.hear(one.clone(), now);
                }
                !came
            });
            roll.tick(now);
            if roll.is_over(now) || tick(roll).is_break() {
                return Ok(());
            }
            self.second();
        }
        panic!("nobody waits for ever: {roll:?}")
    }

    fn end_inquiry(&mut self, id: &RolloutId) -> Result<Vec<NotGivenBack>, BackendError> {
        let mut shared = self.0.borrow_mut();
        let asked = shared.inquiry.as_ref().map(|inquiry| inquiry.spec.id.clone());
        assert_eq!(asked.as_ref(), Some(id), "what was asked is ended");
        shared.ended_inquiries += 1;
        Ok(Vec::new())
    }

    fn enforcements(&mut self) -> Result<Vec<FoundEnforcement>, BackendError> {
        Ok(self.0.borrow().enforced.clone())
    }

    fn start_enforcement(&mut self, draft: &EnforcementDraft) -> Result<Enforcement, BackendError> {
        let spec = draft.spec.clone();
        let mut shared = self.0.borrow_mut();
        shared.enforced.retain(|one| (&one.name, &one.version) != (&spec.name, &spec.version));
        shared.enforced.push(FoundEnforcement {
            name: spec.name.clone(),
            version: spec.version.clone(),
            config: FoundConfig::There { spec: Box::new(spec.clone()), state: EnforcementState::Running {} },
            service: Some(EnforcerService {
                id: ServiceId("s1".into()),
                stopped: false,
                changed: Vec::new(),
            }),
        });
        Ok(spec)
    }

    fn change_enforcement(&mut self, spec: &Enforcement, to: &EnforcementState) -> Result<(), BackendError> {
        for one in self.0.borrow_mut().enforced.iter_mut().filter(|one| one.version == spec.version) {
            if let FoundConfig::There { state, .. } = &mut one.config {
                *state = to.clone();
            }
            if let Some(service) = &mut one.service {
                service.stopped = matches!(to, EnforcementState::Paused { .. });
            }
        }
        Ok(())
    }

    fn stop_enforcement(&mut self, name: &str, version: &str) -> Result<Vec<String>, BackendError> {
        self.0
            .borrow_mut()
            .enforced
            .retain(|one| (one.name.as_str(), one.version.as_str()) != (name, version));
        Ok(vec![careen_swarm::enforcer_name(name, version)])
    }

    fn store_version(
        &mut self,
        draft: &EnforcementDraft,
        from: &str,
        rollout: &RolloutId,
    ) -> Result<Enforcement, BackendError> {
        let spec = draft.spec.clone();
        let state = EnforcementState::Coming { from: from.to_owned(), rollout: rollout.clone() };
        let config = FoundConfig::There { spec: Box::new(spec.clone()), state };
        let (name, version) = (spec.name.clone(), spec.version.clone());
        let mut shared = self.0.borrow_mut();
        shared.enforced.push(FoundEnforcement { name, version, config, service: None });
        Ok(spec)
    }

    fn moving(&mut self, moves: &Moves) -> Result<Moving, BackendError> {
        let shared = self.0.borrow();
        let seen = |version: &str| {
            let of = |one: &&FoundEnforcement| one.name == moves.enforcement && one.version == version;
            let found = shared.enforced.iter().find(of);
            let config = found.and_then(FoundEnforcement::spec);
            let config = config.map(|(_, state)| StateSeen { at: Version(1), state: state.clone() });
            let service = found.and_then(|one| one.service.as_ref());
            let service = service.map(|_| EnforcerSeen { at: Version(1), constraints: Vec::new() });
            VersionSeen { config, service }
        };
        Ok(Moving { from: seen(&moves.from), to: seen(&moves.to) })
    }

    fn take_move_step(&mut self, moves: &Moves, step: &MoveStep) -> Result<(), BackendError> {
        let mut shared = self.0.borrow_mut();
        let found = |of: &str, one: &FoundEnforcement| one.name == moves.enforcement && one.version == of;
        match step {
            MoveStep::Say { of, state, .. } => {
                for one in shared.enforced.iter_mut().filter(|one| found(of, one)) {
                    if let FoundConfig::There { state: now, .. } = &mut one.config {
                        *now = state.clone();
                    }
                }
            }
            MoveStep::RemoveService { of, .. } => {
                shared.enforced.iter_mut().filter(|one| found(of, one)).for_each(|one| one.service = None);
            }
            MoveStep::RemoveConfig { of, .. } => shared.enforced.retain(|one| !found(of, one)),
            MoveStep::Unlabel { node, .. } => {
                let nodes = shared.world.nodes.iter_mut().filter(|one| one.id == *node);
                nodes.for_each(|node| drop(node.labels.remove(&moves.label())));
            }
            MoveStep::Constrain { .. } | MoveStep::CreateService { .. } => {}
        }
        Ok(())
    }

    fn enforcer_tasks(&mut self, name: &str, version: &str) -> Result<Vec<TaskSeen>, BackendError> {
        let nodes = self.nodes()?;
        let shared = self.0.borrow();
        let of = |one: &&FoundEnforcement| (one.name.as_str(), one.version.as_str()) == (name, version);
        let service = shared.enforced.iter().find(of).and_then(|one| one.service.as_ref());
        let runs = service.is_some_and(|service| !service.stopped);
        let active = |node: &&Node| runs && node.is_ready() && node.availability == Availability::Active;
        let task = |node: &Node| TaskSeen {
            id: node.id.0.clone(),
            node: node.id.clone(),
            state: TaskState::Running,
            leaves: false,
            trouble: None,
            no_image: false,
        };
        Ok(nodes.iter().filter(active).map(task).collect())
    }

    fn last_words(&mut self, tasks: &[TaskSeen]) -> Result<BTreeMap<String, LastWord>, BackendError> {
        let shared = self.0.borrow();
        let word = |task: &TaskSeen| Some((task.id.clone(), shared.last_words.get(&task.node.0)?.clone()));
        Ok(tasks.iter().filter_map(word).collect())
    }

    fn cluster(&mut self, _: &RolloutId, me: &ControllerId) -> Result<SimCluster, BackendError> {
        Ok(SimCluster { sim: self.clone(), who: me.clone() })
    }
}

impl Console for Sim {
    fn out(&mut self, text: &str) -> io::Result<()> {
        self.0.borrow_mut().out.push_str(text);
        Ok(())
    }

    fn err(&mut self, text: &str) -> io::Result<()> {
        self.0.borrow_mut().err.push_str(text);
        Ok(())
    }

    fn colours(&self) -> Colours {
        Colours::default()
    }

    fn is_live(&self) -> bool {
        self.0.borrow().live
    }

    fn ask(&mut self, question: &str) -> io::Result<Option<bool>> {
        self.err(question)?;
        Ok(self.0.borrow().answer)
    }

    fn catch_interrupts(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn interrupted(&self) -> bool {
        let shared = self.0.borrow();
        shared.interrupt_at.is_some_and(|at| shared.world.now >= at)
    }

    fn wait(&mut self, time: Duration) {
        for _ in 0..time.as_secs().max(1) {
            self.second();
            let now = self.0.borrow().world.now;
            assert!(now < 20_000, "no end in sight:\n{}", self.0.borrow().world.history.join("\n"));
        }
    }

    fn now(&self) -> Duration {
        Duration::from_secs(self.0.borrow().world.now)
    }

    fn time(&self) -> jiff::Timestamp {
        const BEGIN: i64 = 1_795_399_200;
        jiff::Timestamp::from_second(BEGIN + self.0.borrow().world.now as i64).unwrap()
    }

    fn random(&mut self) -> io::Result<[u8; 8]> {
        // The world's generator, so that one seed is one history.
        let rng = &mut self.0.borrow_mut().world.rng;
        Ok(std::array::from_fn(|_| u8::try_from(rng.between(0, 255)).unwrap_or(0)))
    }
}
