//! `ls` and `inspect`: rollouts in docker's way. They change nothing.

use super::Session;
use crate::args::{InspectArgs, LsArgs};
use crate::backend::{Backend, Summary};
use crate::console::Console;
use crate::error::Failure;
use crate::exit::Exit;
use crate::render::listed::Listed;
use crate::render::record::Inspected;
use crate::{filter, known};
use careen_planner::rollout::Control;

impl<B: Backend, C: Console> Session<'_, B, C> {
    pub(super) fn list(&mut self, args: &LsArgs) -> Result<Exit, Failure> {
        let known = self.rollouts()?;
        let mut fitting = Vec::new();
        for summary in &known {
            let nodes =
                if filter::asks_for_nodes(&args.filters) { self.nodes_of(summary)? } else { Vec::new() };
            let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
            if filter::fits(&args.filters, summary, &nodes) {
                fitting.push(summary);
            }
        }
        self.show(&Listed { rollouts: fitting, quiet: args.quiet })?;
        Ok(Exit::Done)
    }

    /// The nodes of a rollout, by id and by name. Those of one that goes on are in no record yet.
    fn nodes_of(&mut self, summary: &Summary) -> Result<Vec<String>, Failure> {
        if matches!(summary.control, Control::Finished { .. }) {
            let nodes = summary.nodes.iter();
            return Ok(nodes.flat_map(|node| [node.node.0.clone(), node.hostname.clone()]).collect());
        }
        let (standing, _) = self.standing(&summary.spec)?;
        let nodes = standing.nodes.iter();
        Ok(nodes.flat_map(|node| [node.node.0.clone(), node.hostname.clone()]).collect())
    }

    pub(super) fn inspect(&mut self, args: &InspectArgs) -> Result<Exit, Failure> {
        let known = self.rollouts()?;
        let found = args.runs.iter().map(|run| known::find_rollout(&known, run));
        let found = found.collect::<Result<Vec<&Summary>, _>>()?;
        self.show(&Inspected(found))?;
        Ok(Exit::Done)
    }
}
