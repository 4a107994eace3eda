//! `plan`, `run` and `upgrade`: look, plan, print, ask, submit, follow.

use super::Session;
use crate::args::{Format, RolloutArgs, RunArgs, StartArgs, UpgradeArgs};
use crate::backend::{Backend, BackendError};
use crate::console::Console;
use crate::error::Failure;
use crate::exit::Exit;
use crate::text::{self, Page};
use crate::{plan_page, spec};
use careen_planner::plan::{Plan, plan};
use careen_planner::{Observed, RolloutId, Spec};
use serde_json::json;

/// What a rollout would meet.
struct Prospect {
    spec: Spec,
    observed: Observed,
    plan: Plan,
    /// Another one, which comes first.
    going_on: Option<RolloutId>,
}

impl Prospect {
    /// Whether it may start.
    fn judge(&self) -> Result<(), Failure> {
        if let Some(rollout) = self.going_on.clone() {
            return Err(BackendError::OtherRollout { rollout }.into());
        }
        if self.plan.is_refused() { Err(Failure::Refused) } else { Ok(()) }
    }
}

/// careen's own image. It is the asked engine's: a name that everybody could have on a public registry is never pulled
/// from there.
fn own_image() -> String {
    format!("careen/installer:{}", env!("CARGO_PKG_VERSION"))
}

/// What to do about it is not what to do about an image of the operator's.
fn no_own_image(error: BackendError) -> Failure {
    match error {
        BackendError::NoImage { image, .. } => Failure::NoOwnImage { image },
        other => other.into(),
    }
}

impl<B: Backend, C: Console> Session<'_, B, C> {
    pub(super) fn plan(&mut self, args: &RolloutArgs) -> Result<Exit, Failure> {
        let prospect = self.prospect_of(args)?;
        self.show_plan(&prospect)
    }

    pub(super) fn run(&mut self, args: &RunArgs) -> Result<Exit, Failure> {
        let prospect = self.prospect_of(&args.rollout)?;
        self.start(prospect, &args.start)
    }

    pub(super) fn upgrade(&mut self, args: &UpgradeArgs) -> Result<Exit, Failure> {
        let id = self.new_id()?;
        // A wrong flag is told before anybody is asked for an image.
        spec::of_upgrade(args, id.clone(), "")?;
        let (name, image) = match &args.image {
            Some(name) => (name.clone(), self.backend.pin(name)?),
            None => (own_image(), self.backend.pin_here(&own_image()).map_err(no_own_image)?),
        };
        let spec = spec::of_upgrade(args, id, &image)?;
        let prospect = self.prospect(Spec { image_name: (name != image).then_some(name), ..spec })?;
        if args.plan { self.show_plan(&prospect) } else { self.start(prospect, &args.start) }
    }

    fn show_plan(&mut self, prospect: &Prospect) -> Result<Exit, Failure> {
        let Prospect { spec, observed, plan, going_on } = prospect;
        let json = plan_page::json(plan, spec, observed, going_on.as_ref());
        self.print(&json, |page| plan_page::page(plan, spec, observed, page))?;
        prospect.judge().map(|()| Exit::Done)
    }

    fn start(&mut self, prospect: Prospect, args: &StartArgs) -> Result<Exit, Failure> {
        self.announce(&prospect)?;
        prospect.judge()?;
        if !args.yes {
            match self.console.ask("Start it?")? {
                Some(true) => {}
                Some(false) => return Err(Failure::Declined),
                None => return Err(Failure::NobodyToAsk),
            }
        }
        let spec = prospect.spec;
        self.backend.submit(&spec, &self.by)?;
        if args.local {
            return self.follow_here(spec);
        }
        self.start_controller(&spec.id)?;
        if args.detach {
            let text = format!("rollout {} goes on in the swarm; 'careen status' shows it\n", spec.id);
            let json = text::json_line(&json!({ "event": "submitted", "rollout": spec.id }))? + "\n";
            self.console.out(if self.format == Format::Json { &json } else { &text })?;
            return Ok(Exit::Done);
        }
        self.follow(spec)
    }

    fn prospect_of(&mut self, args: &RolloutArgs) -> Result<Prospect, Failure> {
        let image = self.backend.pin(&args.image)?;
        let spec = spec::of_args(args, self.new_id()?, &image);
        self.prospect(spec)
    }

    fn prospect(&mut self, spec: Spec) -> Result<Prospect, Failure> {
        let going_on = self.backend.active()?.map(|spec| spec.id);
        let observed = self.backend.observe(None)?;
        let plan = plan(&observed, &spec);
        Ok(Prospect { spec, observed, plan, going_on })
    }

    /// The plan, and in JSON the first of the events.
    fn announce(&mut self, prospect: &Prospect) -> Result<(), Failure> {
        let Prospect { spec, observed, plan, going_on } = prospect;
        let text = match self.format {
            Format::Json => {
                let plan = plan_page::json(plan, spec, observed, going_on.as_ref());
                text::json_line(&json!({ "event": "plan", "rollout": spec.id, "plan": plan }))? + "\n"
            }
            Format::Text => {
                let mut page = Page::new(self.console.colours().out);
                plan_page::page(plan, spec, observed, &mut page);
                page.gap();
                page.into_text()
            }
        };
        Ok(self.console.out(&text)?)
    }

    /// Makes sure that a controller works on a rollout that is stored already.
    pub(super) fn start_controller(&mut self, rollout: &RolloutId) -> Result<(), Failure> {
        let started = self.backend.start_controller(rollout);
        started.map_err(|source| Failure::NoController { rollout: rollout.clone(), source })
    }
}
