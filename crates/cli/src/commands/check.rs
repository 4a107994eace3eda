//! `check`: whether hosts are as a payload wants them. A question like `careen ask`, of which only drift is asked.

use super::Session;
use crate::args::{AskArgs, CheckArgs};
use crate::backend::Backend;
use crate::console::Console;
use crate::error::Failure;
use crate::exit::Exit;
use crate::render::checked::{CheckPage, exit_of};
use crate::spec;
use careen_contract::payload::CHECK_COMMAND;
use careen_planner::RolloutId;
use careen_planner::inquiry::Roll;
use careen_planner::plan::PlanRefusal;
use std::path::Path;

impl<B: Backend, C: Console> Session<'_, B, C> {
    pub(super) fn check(&mut self, args: &CheckArgs) -> Result<Exit, Failure> {
        let question = args.question();
        let AskArgs { image, given, command, .. } = &question;
        if let (Some(directory), None) = (&given.dir, image) {
            has_a_check(directory)?;
        }
        let draft = self.drafted(image.as_deref(), given, command, |id, image| match args.upgrade {
            true => spec::of_question_about_upgrades(&question, id, image),
            false => spec::of_question(&question, id, image),
        })?;
        let show = |session: &mut Self, inquiry: &RolloutId, roll: &Roll| {
            session.show(&CheckPage { inquiry, roll, diff: args.diff })
        };
        let roll = self.question(draft, &question, show).map_err(no_check)?;
        Ok(if self.console.interrupted() { Exit::Other } else { exit_of(&roll) })
    }
}

/// Whoever has no check learns that, and nothing about another flag.
fn has_a_check(directory: &Path) -> Result<(), Failure> {
    let is_missing = directory.is_dir() && !directory.join(CHECK_COMMAND).exists();
    let payload = directory.display().to_string();
    if is_missing { Err(Failure::NoCheck { payload }) } else { Ok(()) }
}

/// The same of an image.
fn no_check(failure: Failure) -> Failure {
    let Failure::CannotAsk { why } = failure else { return failure };
    if let PlanRefusal::ImageLacks { image, files } = &*why
        && files.iter().all(|file| is_check(file))
    {
        return Failure::NoCheck { payload: image.clone() };
    }
    Failure::CannotAsk { why }
}

fn is_check(file: &str) -> bool {
    file.rsplit('/').next() == Some(CHECK_COMMAND)
}
