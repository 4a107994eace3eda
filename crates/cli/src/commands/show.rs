//! `status` and `why`: they look, and change nothing.

use super::follow::{ended, exit_of};
use super::{Session, find};
use crate::backend::Backend;
use crate::console::Console;
use crate::error::Failure;
use crate::exit::Exit;
use crate::named::Shortened;
use crate::past;
use crate::render::results::{Idle, Status, Why};
use crate::render::why::blocked;

impl<B: Backend, C: Console> Session<'_, B, C> {
    pub(super) fn status(&mut self, follow: bool) -> Result<Exit, Failure> {
        let Some(spec) = self.backend.active()? else {
            let last = self.rollouts()?.into_iter().next();
            let observed = self.backend.observe(None)?;
            let left = self.remains(&observed, None)?;
            self.show(&Idle { last: last.as_ref(), left: &left })?;
            let how_it_ended = last.filter(|_| follow);
            return Ok(how_it_ended.map_or(Exit::Done, |last| exit_of(ended(&last))));
        };
        if follow {
            return self.follow(spec);
        }
        let (standing, observed) = self.standing_with_controller(&spec)?;
        // Without what earlier rollouts took it is a status all the same.
        let known = self.backend.rollouts().map(|rollouts| rollouts.known).unwrap_or_default();
        let before = past::took_before(&known, &spec);
        let time_left = past::time_left(&standing, &spec, &observed.results, before);
        let standing = standing.with_estimate(time_left);
        let left = self.remains(&observed, Some(&spec.id))?;
        self.show(&Status { standing: &standing, spec: &spec, left: &left })?;
        Ok(Exit::Done)
    }

    pub(super) fn why(&mut self, node: Option<&str>) -> Result<Exit, Failure> {
        // Nothing blocks: how the last one ended is what is left to tell.
        let Some(spec) = self.backend.active()? else { return self.status(false) };
        let (standing, _) = self.standing_with_controller(&spec)?;
        let nodes = match node {
            Some(given) => vec![find(&standing, given, Shortened::IdsAndNames)?],
            None => blocked(&standing),
        };
        self.show(&Why { standing: &standing, nodes: &nodes })?;
        Ok(Exit::Done)
    }
}
