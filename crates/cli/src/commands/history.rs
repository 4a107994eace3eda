//! `history` and `show`: what the swarm remembers of rollouts. They change nothing.

use super::Session;
use crate::args::{HistoryArgs, ShowArgs};
use crate::backend::Backend;
use crate::console::Console;
use crate::error::Failure;
use crate::exit::Exit;
use crate::known;
use crate::render::history::{HistoryList, Verified};
use crate::render::record::Recorded;

impl<B: Backend, C: Console> Session<'_, B, C> {
    pub(super) fn history(&mut self, args: &HistoryArgs) -> Result<Exit, Failure> {
        if args.verify {
            return self.verify(args.head.as_deref());
        }
        let known = self.rollouts()?;
        self.show(&HistoryList { known: &known })?;
        Ok(Exit::Done)
    }

    fn verify(&mut self, head: Option<&str>) -> Result<Exit, Failure> {
        let seen = self.backend.verify_history()?;
        let seen = head.into_iter().fold(seen, |seen, head| seen.with_kept_head(head));
        self.show(&Verified(&seen))?;
        Ok(if seen.findings.is_empty() { Exit::Done } else { Exit::Other })
    }

    pub(super) fn record(&mut self, args: &ShowArgs) -> Result<Exit, Failure> {
        let known = self.rollouts()?;
        let summary = known::find_over(&known, &args.run)?;
        let node = args.node.as_deref().map(|given| known::find_node(summary, given)).transpose()?;
        self.show(&Recorded { summary, node })?;
        Ok(Exit::Done)
    }
}
