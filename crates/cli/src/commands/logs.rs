//! `logs`: what the hosts printed, as it comes.

use super::{Session, find};
use crate::args::{Format, LogsArgs};
use crate::backend::{Backend, EndedNode, LogLine, LogPlace, Stream};
use crate::console::Console;
use crate::error::Failure;
use crate::exit::Exit;
use crate::text;
use crate::view::{NodeStanding, Standing};
use careen_planner::observed::Report;
use careen_planner::{JobKey, NodeId};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a follower waits between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// How far the logs are printed, by node: of which agent, and to which place.
type Places = BTreeMap<NodeId, (JobKey, LogPlace)>;

impl<B: Backend, C: Console> Session<'_, B, C> {
    pub(super) fn logs(&mut self, args: &LogsArgs) -> Result<Exit, Failure> {
        let Some(spec) = self.backend.active()? else { return self.logs_lie_on_hosts(args) };
        if args.follow {
            self.console.catch_interrupts()?;
        }
        let mut places = Places::new();
        loop {
            let (standing, _) = self.standing(&spec)?;
            if standing.is_over() {
                return Ok(Exit::Done);
            }
            let nodes: Vec<&NodeStanding> = match &args.node {
                Some(given) => vec![find(&standing, given)?],
                None => standing.nodes.iter().collect(),
            };
            let width = nodes.iter().map(|node| node.hostname.chars().count()).max().unwrap_or(0);
            let mut printed = 0;
            for node in &nodes {
                let prefix = args.node.is_none().then(|| format!("{:width$} | ", node.hostname));
                printed += self.print_log(node, prefix.as_deref(), &mut places)?;
            }
            if !args.follow {
                if printed == 0 {
                    self.nothing_printed(&standing, &nodes)?;
                }
                return Ok(Exit::Done);
            }
            self.console.wait(INTERVAL);
            if self.console.interrupted() {
                return Ok(Exit::Done);
            }
        }
    }

    /// Of a rollout that is over the swarm has no logs any more.
    fn logs_lie_on_hosts(&mut self, args: &LogsArgs) -> Result<Exit, Failure> {
        let last = self.rollouts()?.into_iter().next().ok_or(Failure::NoRollout)?;
        let rollout = &last.spec.id;
        let asked = |node: &&EndedNode| {
            args.node.as_ref().is_none_or(|given| node.node.0 == *given || node.hostname == *given)
        };
        let nodes: Vec<&EndedNode> = last.nodes.iter().filter(asked).collect();
        if let (Some(given), true) = (&args.node, nodes.is_empty()) {
            return Err(Failure::NoSuchNode { rollout: rollout.clone(), given: given.clone() });
        }
        self.say(&format!("the rollout {rollout} is over; what its nodes printed lies on their hosts:"))?;
        for (node, id) in nodes.iter().filter_map(|node| Some((node, node.transaction.as_ref()?))) {
            self.say(&format!("on {}: careen-agent logs {id}", node.hostname))?;
        }
        Ok(Exit::Other)
    }

    /// Prints what is new of one node; how many lines that were.
    fn print_log(
        &mut self,
        node: &NodeStanding,
        prefix: Option<&str>,
        places: &mut Places,
    ) -> Result<usize, Failure> {
        let Some(agent) = &node.agent else { return Ok(0) };
        let after = match places.get(&node.node) {
            Some((known, place)) if known == agent => place.clone(),
            Some(_) | None => LogPlace::default(),
        };
        let page = self.backend.logs(agent, &after)?;
        places.insert(node.node.clone(), (agent.clone(), page.next));
        let lines = page.lines.iter().filter(|line| !is_report(line));
        let mut printed = 0;
        for line in lines {
            self.print_line(node, prefix.unwrap_or(""), line)?;
            printed += 1;
        }
        Ok(printed)
    }

    fn print_line(&mut self, node: &NodeStanding, prefix: &str, line: &LogLine) -> Result<(), Failure> {
        let stream = match line.stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        };
        if self.format == Format::Json {
            let json = json!({
                "node": node.node, "hostname": node.hostname, "stream": stream, "text": line.text,
            });
            return Ok(self.console.out(&(text::json_line(&json)? + "\n"))?);
        }
        let text = format!("{}{}\n", text::neutral(prefix), text::log_line(&line.text));
        match line.stream {
            Stream::Stdout => self.console.out(&text)?,
            Stream::Stderr => self.console.err(&text)?,
        }
        Ok(())
    }

    /// An empty answer leaves people wondering.
    fn nothing_printed(&mut self, standing: &Standing, nodes: &[&NodeStanding]) -> Result<(), Failure> {
        if nodes.iter().all(|node| node.agent.is_none()) {
            return self.say(&format!("nothing was begun there yet; rollout {}", standing.rollout));
        }
        let of_agent = |node: &&&NodeStanding| node.agent.as_ref().and_then(JobKey::transaction);
        for (node, id) in nodes.iter().filter_map(|node| Some((node, of_agent(&node)?))) {
            self.say(&format!(
                "{} has no log in the swarm now; on the host: careen-agent logs {id}",
                node.hostname
            ))?;
        }
        Ok(())
    }
}

/// Whether an agent speaks to its controller there, and not to people.
pub(super) fn is_report(line: &LogLine) -> bool {
    line.stream == Stream::Stderr && Report::of_line(&line.text).is_some()
}
