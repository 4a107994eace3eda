//! Carries out what agents decide: the shipped [`Agent`](careen_protocol::agent::Agent) in each agent's container is told
//! what came of it, in virtual time.

use crate::container::agent::{AgentProcess, aside};
use crate::host::{Files, Host, Id, PayloadCommand};
use crate::supervise::append;
use crate::world::{Power, World};
use careen_contract::report::Said;
use careen_host::journal::Record;
use careen_host::transaction::TransactionStage;
use careen_planner::{JobKey, JobRole};
use careen_protocol::agent::{self, Do, Effect, Event, Known};
use careen_protocol::gates::{Gate, Look};
use careen_protocol::go::Go;
use std::time::Duration;

/// So many things are done in a second at most.
const STEPS: usize = 6;
/// After so many seconds a host that was busy is asked again.
const ASKS_AGAIN: u64 = 5;

impl World {
    pub(crate) fn agents(&mut self) {
        for index in 0..self.nodes.len() {
            if !self.nodes[index].power.host_is_up() {
                continue;
            }
            let runs = |one: &&crate::world::Container| one.process.is_some() && one.listed == Gate::Running;
            let keys: Vec<JobKey> =
                self.nodes[index].containers.iter().filter(runs).map(|one| one.key.clone()).collect();
            for key in keys {
                self.agent(index, &key, STEPS);
            }
        }
    }

    /// Lets an agent take so many steps.
    pub(crate) fn agent(&mut self, index: usize, key: &JobKey, steps: usize) {
        let Some(container) = self.nodes[index].container_mut(key) else { return };
        let Some(mut process) = container.process.take() else { return };
        if self.now >= process.frozen_until {
            self.agent_steps(index, key, &mut process, steps);
        }
        if let Some(container) = self.nodes[index].container_mut(key) {
            if process.exit.is_some() {
                container.ends(self.now);
            }
            container.process = Some(process);
        }
    }

    fn agent_steps(&mut self, index: usize, key: &JobKey, process: &mut AgentProcess, steps: usize) {
        for _ in 0..steps {
            let events = match process.told_to_leave && !process.heard {
                true => {
                    process.heard = true;
                    vec![Event::ToldToLeave]
                }
                false => self.came_of(index, key, process),
            };
            if events.is_empty() {
                return;
            }
            for event in events {
                if process.exit.is_none() {
                    self.hears(index, key, process, event);
                }
            }
        }
    }

    fn hears(&mut self, index: usize, key: &JobKey, process: &mut AgentProcess, event: Event) {
        match process.machine.step(event) {
            Ok(effects) => {
                for effect in effects {
                    self.agent_does(index, key, process, effect);
                }
            }
            Err(error) => {
                self.violation(error.to_string());
                process.exit = Some(255);
            }
        }
    }

    fn agent_does(&mut self, index: usize, key: &JobKey, process: &mut AgentProcess, effect: Effect) {
        let host = &mut self.nodes[index].host;
        match effect {
            Effect::Say(said) => {
                if let Said::Prepared { draw, .. } | Said::WantsRestart { draw, .. } = &said {
                    process.drawn = Some(*draw);
                }
                self.said(index, key, said);
            }
            Effect::PassGo { number, seen } => {
                let (agent, boot) = (process.number, host.boot_id());
                if let Some(files) = host.files.get_mut(&process.id) {
                    files.go = Some(Go { number, agent, boot, seen });
                }
            }
            Effect::TakeBackGo if self.bend.keeps_an_old_go => {}
            Effect::TakeBackGo => {
                if let Some(files) = host.files.get_mut(&process.id) {
                    files.go = None;
                }
            }
            Effect::CancelWait => {
                if let Some(supervisor) = host.process_mut(&process.id) {
                    supervisor.end_wait("its rollout");
                }
            }
            Effect::Do(Do::Leave(exit)) => process.exit = Some(exit),
            Effect::Do(next) => {
                process.doing = next;
                process.since = self.now;
            }
        }
    }

    /// What came of what an agent does; nothing yet, when that is empty.
    fn came_of(&mut self, index: usize, key: &JobKey, process: &mut AgentProcess) -> Vec<Event> {
        match process.doing.clone() {
            Do::Read => {
                let host = &self.nodes[index].host;
                let mut known = host.known(&process.id);
                if known == Known::Nothing && process.spec.short && host.marks.contains(&process.id) {
                    known = Known::Lost;
                }
                (self.bend.known)(&mut known);
                vec![Event::Known(known)]
            }
            Do::Preflight if self.now == process.since => Vec::new(),
            Do::Preflight => vec![match self.nodes[index].host.plan.is_fit {
                true => Event::Fit,
                false => Event::Unfit { exit: 248 },
            }],
            Do::Run(step) => {
                let id = process.id.of(step);
                let host = &mut self.nodes[index].host;
                if !host.files.contains_key(&id) {
                    if let Some(busy) = self.busy(index, &id, process) {
                        return vec![busy];
                    }
                    self.nodes[index].host.files.insert(id.clone(), Files::new(aside(step), self.now));
                }
                self.follow(index, &id, process, None).into_iter().collect()
            }
            Do::Offer => self.offer(index, process).into_iter().collect(),
            Do::LookAtGates => self.looked(index, key, process).into_iter().collect(),
            Do::Revoke { by } => self.revoke(index, process, by).into_iter().collect(),
            Do::Follow => self.follows(index, key, process),
            Do::Probe => {
                let starts = self.nodes[index].host.plan.starts_containers;
                vec![Event::Probed { starts: starts || self.bend.starts_no_container }]
            }
            Do::Free { holder, then } => self.free(index, process, &holder, *then),
            Do::WaitForHost { then } => {
                if self.now >= process.since + ASKS_AGAIN {
                    process.doing = *then;
                    process.since = self.now;
                    return self.came_of(index, key, process);
                }
                Vec::new()
            }
            Do::Stay(_) | Do::Leave(_) => Vec::new(),
        }
    }

    /// Another transaction has the host.
    fn busy(&self, index: usize, id: &Id, process: &AgentProcess) -> Option<Event> {
        let host = &self.nodes[index].host;
        let holder = host.holder(id)?;
        let earlier = holder.orphan.as_ref().or_else(|| host.files.get(&holder.id));
        let earlier = earlier.is_none_or(|files| files.created <= process.started);
        let only_waits = holder.only_waits() && earlier && !self.bend.waits_for_who_waits;
        Some(Event::Busy { holder: holder.id.to_string(), only_waits })
    }

    fn free(&mut self, index: usize, process: &mut AgentProcess, holder: &str, then: Do) -> Vec<Event> {
        let host = &mut self.nodes[index].host;
        let named = |one: &&mut crate::host::process::Process| one.id.to_string() == holder;
        let by = format!("an agent of {}", process.id);
        if let Some(holder) = host.processes.iter_mut().find(named)
            && (holder.only_waits() || !holder.runs_a_command())
        {
            holder.end_wait(&by);
            return Vec::new();
        }
        process.doing = then;
        Vec::new()
    }

    fn offer(&mut self, index: usize, process: &AgentProcess) -> Option<Event> {
        if let Some(busy) = self.busy(index, &process.id, process) {
            return Some(busy);
        }
        let (now, policy, started) = (self.now, process.policy(), process.started);
        let host = &mut self.nodes[index].host;
        if let Some(own) = host.process(&process.id) {
            let begun = host.files.get(&process.id).is_some_and(|files| files.state.is_begun());
            let busy = Event::Busy { holder: own.id.to_string(), only_waits: own.only_waits() };
            return Some(if begun { Event::TooLate } else { busy });
        }
        void_others(host, &process.id, started);
        if process.spec.short && !self.bend.leaves_no_mark {
            host.marks.insert(process.id.clone());
        }
        let known = host.known(&process.id);
        if known == Known::Newer {
            return Some(Event::Known(Known::Newer));
        }
        let files = host.files.entry(process.id.clone()).or_insert_with(|| Files::new(policy, now));
        if files.state.is_begun() {
            return Some(Event::TooLate);
        }
        let expects = host.plan.expects;
        Some(match append(files, Record::Offered { agent: process.number }) {
            Ok(()) => Event::Offered { expects },
            Err(_) => Event::Known(Known::Newer),
        })
    }

    fn revoke(&mut self, index: usize, process: &AgentProcess, by: &str) -> Option<Event> {
        let host = &mut self.nodes[index].host;
        if self.bend.revokes_by_word_only {
            return Some(Event::Revoked);
        }
        let supervisor = host.processes.iter_mut().find(|one| one.id == process.id);
        let Some(files) = host.files.get_mut(&process.id) else {
            let mut known = Known::Nothing;
            (self.bend.known)(&mut known);
            return Some(if known == Known::Nothing { Event::Known(known) } else { Event::Revoked });
        };
        if files.state.is_begun() {
            return Some(Event::TooLate);
        }
        if let Some(supervisor) = supervisor {
            supervisor.end_wait(by);
            return None;
        }
        if files.state.stage != TransactionStage::Revoked {
            let written = append(files, Record::Revoked { by: by.to_owned() });
            if let Err(error) = written {
                self.violation(error);
            }
        }
        Some(Event::Revoked)
    }

    /// The command, once a second.
    fn follows(&mut self, index: usize, key: &JobKey, process: &mut AgentProcess) -> Vec<Event> {
        if process.looked == self.now {
            return Vec::new();
        }
        process.looked = self.now;
        let id = process.id.clone();
        let mut events = Vec::new();
        if let Some(files) = self.nodes[index].host.files.get(&id) {
            let new = files.journal.get(process.seen..).unwrap_or_default().to_vec();
            process.seen = files.journal.len();
            let wish = files.wish.as_ref().map(|wish| agent::Wish { number: wish.number, kind: wish.kind });
            if !new.is_empty() {
                events.push(Event::Records(new));
            }
            events.push(Event::Wish(wish));
            if wish.is_some() || process.machine.wants_looks() {
                events.push(self.look_event(index, key, process));
            }
        }
        let go = Some(process.number);
        events.extend(self.follow(index, &id, process, go));
        events
    }

    /// Makes sure that there is a supervisor, until the result stands.
    fn follow(&mut self, index: usize, id: &Id, process: &AgentProcess, go: Option<u32>) -> Option<Event> {
        let host = &self.nodes[index].host;
        let Some(files) = host.files.get(id) else {
            // Of another command than the rollout's own nothing is lost: it is begun anew.
            return (id.part == PayloadCommand::Command).then_some(Event::Known(Known::Nothing));
        };
        if let Some(mut checked) = files.checked().filter(|_| id.part == PayloadCommand::Check) {
            (self.bend.checked)(&mut checked);
            return Some(Event::Checked(checked));
        }
        if let Some(ran) = files.ran() {
            return Some(Event::Ran(ran));
        }
        if host.process(id).is_some() {
            return None;
        }
        let stage = &files.state.stage;
        let of_another = |stage: &TransactionStage| matches!(stage, TransactionStage::Offered { agent } if *agent != process.number);
        let void = *stage == TransactionStage::Revoked || of_another(stage);
        if void && id.part == PayloadCommand::Command {
            return Some(Event::Revoked);
        }
        if let Some(busy) = self.busy(index, id, process) {
            return Some(busy);
        }
        self.start_supervisor(index, id, go);
        None
    }

    fn looked(&mut self, index: usize, key: &JobKey, process: &mut AgentProcess) -> Option<Event> {
        if process.looked == self.now {
            return None;
        }
        process.looked = self.now;
        Some(self.look_event(index, key, process))
    }

    fn look_event(&mut self, index: usize, key: &JobKey, process: &AgentProcess) -> Event {
        let random = self.rng.number();
        let mut look = self.look(index, key);
        if let Some(look) = &mut look {
            (self.bend.look)(look, process.drawn);
        }
        let now = Duration::from_secs(self.now);
        Event::Looked { look, asked: now, now, random }
    }

    /// What the engine tells an agent of its containers.
    fn look(&self, index: usize, key: &JobKey) -> Option<Look> {
        let node = &self.nodes[index];
        if node.power != Power::Up {
            return None;
        }
        let runs = |one: &crate::world::Container| one.key == *key && one.listed == Gate::Running;
        let gates = node.containers.iter().filter_map(|one| match one.key.role {
            JobRole::Gate(number) if one.key.with_role(JobRole::Agent) == *key => {
                Some((number, (one.listed, one.created)))
            }
            JobRole::Gate(_) | JobRole::Agent => None,
        });
        let number = |gate: &JobKey| match gate.role {
            JobRole::Gate(number) => Some(number),
            JobRole::Agent => None,
        };
        let pid = u32::try_from(node.session).unwrap_or(u32::MAX);
        Some(Look {
            engine: Some(careen_host::removal::EngineInstance { pid, start_ticks: 0 }),
            agent_runs: node.containers.iter().any(runs),
            gates: gates.collect(),
            killed: node
                .killed
                .iter()
                .filter(|gate| gate.with_role(JobRole::Agent) == *key)
                .filter_map(number)
                .collect(),
        })
    }
}

/// What other rollouts' agents offered before this one came is void.
fn void_others(host: &mut Host, own: &Id, started: u64) {
    let alive: Vec<Id> = host.processes.iter().map(|process| process.id.clone()).collect();
    for (id, files) in &mut host.files {
        let others = id.rollout != own.rollout && files.created <= started && !alive.contains(id);
        if others && matches!(files.state.stage, TransactionStage::Offered { .. }) {
            // From there nothing but this may follow.
            let _ = append(files, Record::Revoked { by: format!("an agent of {own}") });
        }
    }
}
