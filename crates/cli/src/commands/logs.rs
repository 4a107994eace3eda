//! `logs`: what the hosts printed, as it comes.

use super::host_log::HostLog;
use super::{Session, find, several};
use crate::args::LogsArgs;
use crate::backend::{Backend, BackendError, EndedNode, LogPlace, LogRead, Speaker};
use crate::console::Console;
use crate::error::Failure;
use crate::exit::Exit;
use crate::named::{Shortened, both, called};
use crate::render::events::{ControllerLogged, Logged};
use crate::render::notes::Note;
use crate::render::print;
use crate::render::text::width;
use crate::view::{NodeStanding, Standing};
use careen_contract::chain;
use careen_planner::{JobKey, NodeId, RolloutId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a follower waits between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// What is printed by now.
#[derive(Default)]
struct Reading {
    /// How far, by node: of which agent, and to which place.
    places: BTreeMap<NodeId, (JobKey, LogPlace)>,
    lines: usize,
    /// Nodes whose log could not be read at the last look.
    unread: BTreeSet<NodeId>,
}

impl<B: Backend, C: Console> Session<'_, B, C> {
    pub(super) fn logs(&mut self, args: &LogsArgs) -> Result<Exit, Failure> {
        let Some(spec) = self.backend.active()? else { return self.logs_lie_on_hosts(args) };
        if args.follow {
            self.console.catch_interrupts()?;
        }
        if args.controller {
            return self.log_of_controller(&spec.id, args.follow);
        }
        let mut reading = Reading::default();
        loop {
            let standing = self.answered(args.follow, |session| session.standing(&spec))?;
            let Some((standing, _)) = standing else { return Ok(Exit::Done) };
            if standing.is_over() {
                return Ok(Exit::Done);
            }
            let nodes: Vec<&NodeStanding> = match &args.node {
                Some(given) => vec![find(&standing, given, Shortened::IdsAndNames)?],
                None => standing.nodes.iter().collect(),
            };
            let widest = nodes.iter().map(|node| width(&node.hostname)).max().unwrap_or(0);
            let width = args.node.is_none().then_some(widest);
            let mut whole = true;
            for node in &nodes {
                let read = self.print_log(node, width, &mut reading)?;
                whole &= read == LogRead::Whole;
            }
            if let (true, false, Some(_), [one], 0) =
                (whole, args.follow, &args.node, &nodes[..], reading.lines)
                && let Some(id) = one.agent.as_ref().and_then(JobKey::transaction)
                && one.stage.is_terminal()
                && reading.unread.is_empty()
            {
                let (transaction, hostname) = (id.to_string(), one.hostname.as_str());
                let wanted = HostLog { node: &one.node, hostname, transaction: &transaction, spec: &spec };
                return self.ask_the_host(wanted, args);
            }
            if whole && !args.follow {
                return self.all_printed(&standing, &nodes, reading);
            }
            if whole {
                self.console.wait(INTERVAL);
            }
            if self.console.interrupted() {
                return Ok(Exit::Done);
            }
        }
    }

    /// Of a rollout that is over the swarm has no logs any more.
    fn logs_lie_on_hosts(&mut self, args: &LogsArgs) -> Result<Exit, Failure> {
        let last = self.rollouts()?.into_iter().next().ok_or(Failure::NoRollout)?;
        let rollout = &last.spec.id;
        if args.controller {
            self.show(&Note::ControllersLogIsGone { rollout })?;
            return Ok(Exit::Other);
        }
        let nodes: Vec<&EndedNode> = match &args.node {
            Some(given) => {
                called(&last.nodes, given, Shortened::IdsAndNames, |node| [&node.node.0, &node.hostname])
            }
            None => last.nodes.iter().collect(),
        };
        match (&args.node, &nodes[..]) {
            (Some(given), []) => {
                return Err(Failure::NoSuchNode { rollout: rollout.clone(), given: given.clone() });
            }
            (Some(given), [_, _, ..]) => {
                return Err(several(given, nodes.iter().map(|node| both(&node.hostname, &node.node.0))));
            }
            (Some(_), [_]) | (None, _) => {}
        }
        if let (Some(_), [one]) = (&args.node, &nodes[..])
            && let Some(transaction) = &one.transaction
        {
            let (node, hostname, spec) = (&one.node, one.hostname.as_str(), &last.spec);
            return self.ask_the_host(HostLog { node, hostname, transaction, spec }, args);
        }
        self.show(&Note::LogsOnHosts { rollout })?;
        for (node, id) in nodes.iter().filter_map(|node| Some((node, node.transaction.as_ref()?))) {
            self.show(&Note::LogOnHost { host: &node.hostname, transaction: id })?;
        }
        Ok(Exit::Other)
    }

    /// What the controller printed, wherever it was meanwhile: as long as Swarm remembers its tasks.
    fn log_of_controller(&mut self, rollout: &RolloutId, follow: bool) -> Result<Exit, Failure> {
        let (mut place, mut lines) = (LogPlace::default(), 0);
        loop {
            let read =
                self.answered(follow, |session| session.print_controller(rollout, &mut place, &mut lines));
            let Some(read) = read? else { return Ok(Exit::Done) };
            let whole = read == LogRead::Whole;
            if whole && !follow {
                if lines == 0 {
                    self.show(&Note::ControllerSaidNothing { rollout })?;
                }
                return Ok(Exit::Done);
            }
            if whole {
                self.console.wait(INTERVAL);
                let active = self.answered(true, |session| Ok(session.backend.active()?))?;
                if active.flatten().is_none_or(|active| active.id != *rollout) {
                    return Ok(Exit::Done);
                }
            }
            if self.console.interrupted() {
                return Ok(Exit::Done);
            }
        }
    }

    /// Prints what is new of the controller.
    fn print_controller(
        &mut self,
        rollout: &RolloutId,
        place: &mut LogPlace,
        lines: &mut usize,
    ) -> Result<LogRead, Failure> {
        let (console, format) = (&mut *self.console, self.format);
        let mut printed = Ok(());
        let read = self.backend.logs(Speaker::Controller(rollout), place, &mut |line| {
            if printed.is_ok() {
                *lines += 1;
                printed = print(&ControllerLogged { rollout, line: &line }, format, console);
            }
        });
        printed?;
        Ok(read?)
    }

    /// Prints what is new of one node, as far as it can be read now.
    fn print_log(
        &mut self,
        node: &NodeStanding,
        width: Option<usize>,
        reading: &mut Reading,
    ) -> Result<LogRead, Failure> {
        let Some(agent) = &node.agent else { return Ok(LogRead::Whole) };
        let (known, place) =
            reading.places.entry(node.node.clone()).or_insert_with(|| (agent.clone(), LogPlace::default()));
        if known != agent {
            (*known, *place) = (agent.clone(), LogPlace::default());
        }
        let (console, format) = (&mut *self.console, self.format);
        let mut printed = Ok(());
        let read = self.backend.logs(Speaker::Agent(agent), place, &mut |line| {
            if printed.is_ok() && !line.is_report() {
                reading.lines += 1;
                let logged = Logged { node: &node.node, hostname: &node.hostname, line: &line, width };
                printed = print(&logged, format, console);
            }
        });
        printed?;
        match read {
            Ok(read) => {
                reading.unread.remove(&node.node);
                Ok(read)
            }
            // The others' are read: a host that is frozen is no reason to keep them back.
            Err(error) => self.unreadable(node, &error, reading),
        }
    }

    /// Says once that a node's log does not come.
    fn unreadable(
        &mut self,
        node: &NodeStanding,
        error: &BackendError,
        reading: &mut Reading,
    ) -> Result<LogRead, Failure> {
        if reading.unread.insert(node.node.clone()) {
            let why = chain(error);
            self.show(&Note::LogUnreadable { host: &node.hostname, why: &why })?;
        }
        Ok(LogRead::Whole)
    }

    /// What there was is printed.
    fn all_printed(
        &mut self,
        standing: &Standing,
        nodes: &[&NodeStanding],
        reading: Reading,
    ) -> Result<Exit, Failure> {
        let unread = nodes.iter().filter(|node| reading.unread.contains(&node.node));
        let unread: Vec<&NodeStanding> = unread.copied().collect();
        if !unread.is_empty() {
            unread.iter().try_for_each(|node| self.lies_on_its_host(node))?;
            return Ok(Exit::Other);
        }
        if reading.lines == 0 {
            self.nothing_printed(standing, nodes)?;
        }
        Ok(Exit::Done)
    }

    fn lies_on_its_host(&mut self, node: &NodeStanding) -> Result<(), Failure> {
        let Some(id) = node.agent.as_ref().and_then(JobKey::transaction) else { return Ok(()) };
        self.show(&Note::PrintedOnHost { host: &node.hostname, transaction: &id })
    }

    /// An empty answer leaves people wondering.
    fn nothing_printed(&mut self, standing: &Standing, nodes: &[&NodeStanding]) -> Result<(), Failure> {
        if nodes.iter().all(|node| node.agent.is_none()) {
            return self.show(&Note::NothingBegun { rollout: &standing.rollout });
        }
        for node in nodes.iter().filter(|node| node.agent.is_some()) {
            self.show(&Note::NoLog { host: &node.hostname })?;
            self.lies_on_its_host(node)?;
        }
        Ok(())
    }
}
