//! `plan` and `run`: look, plan, print, ask, submit, follow.

use super::Session;
use crate::args::{Format, RolloutArgs, RunArgs};
use crate::backend::{Backend, BackendError};
use crate::console::Console;
use crate::error::Failure;
use crate::exit::Exit;
use crate::text::{self, Page};
use crate::unlock::{self, Key};
use crate::{plan_page, spec};
use careen_planner::plan::{Plan, Refusal, plan};
use careen_planner::spec::UnlockKey;
use careen_planner::{Observed, RolloutId, Spec};
use serde_json::json;

/// What a rollout would meet.
struct Prospect {
    spec: Spec,
    observed: Observed,
    plan: Plan,
    /// The unlock key, where the swarm asks for one and the operator gave one.
    key: Option<Key>,
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

impl<B: Backend, C: Console> Session<'_, B, C> {
    pub(super) fn plan(&mut self, args: &RolloutArgs) -> Result<Exit, Failure> {
        let prospect = self.prospect(args)?;
        let Prospect { spec, observed, plan, going_on, .. } = &prospect;
        let json = plan_page::json(plan, spec, observed, going_on.as_ref());
        self.print(&json, |page| plan_page::page(plan, spec, observed, page))?;
        prospect.judge().map(|()| Exit::Done)
    }

    pub(super) fn run(&mut self, args: &RunArgs) -> Result<Exit, Failure> {
        let prospect = self.prospect(&args.rollout)?;
        self.announce(&prospect)?;
        prospect.judge()?;
        if !args.yes {
            match self.console.ask("Start it?")? {
                Some(true) => {}
                Some(false) => return Err(Failure::Declined),
                None => return Err(Failure::NobodyToAsk),
            }
        }
        let spec = self.submit(prospect)?;
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

    fn prospect(&mut self, args: &RolloutArgs) -> Result<Prospect, Failure> {
        let going_on = self.backend.active()?.map(|spec| spec.id);
        let image = self.backend.pin(&args.image)?;
        let mut spec = spec::of_args(args, self.new_id()?, &image);
        let observed = self.backend.observe(None)?;
        let key = unlock::given(args)?.filter(|_| observed.autolock);
        let refusal = self.check_the_key(args, &mut spec, key.as_ref())?;
        let mut plan = plan(&observed, &spec);
        plan.refusals.extend(refusal);
        Ok(Prospect { spec, observed, plan, key, going_on })
    }

    /// A wrong key shows before anything is restarted, and not on a manager that stays locked. What is in a secret no
    /// API tells: the agents compare that on their hosts.
    fn check_the_key(
        &mut self,
        args: &RolloutArgs,
        spec: &mut Spec,
        key: Option<&Key>,
    ) -> Result<Option<Refusal>, Failure> {
        if let Some(name) = &args.unlock_key_secret {
            spec.unlock_key = self.backend.secret(name)?;
            let missing = spec.unlock_key.is_none();
            return Ok(missing.then(|| Refusal::NoSuchSecret { name: name.clone() }));
        }
        let Some(key) = key else { return Ok(None) };
        // Its secret is made when the rollout is.
        spec.unlock_key = Some(UnlockKey { id: String::new(), name: String::new() });
        Ok((!self.backend.is_unlock_key(key)?).then_some(Refusal::WrongUnlockKey))
    }

    fn submit(&mut self, prospect: Prospect) -> Result<Spec, Failure> {
        let Prospect { mut spec, key, .. } = prospect;
        if let Some(key) = &key {
            spec.unlock_key = Some(self.backend.store_unlock_key(&spec.id, key)?);
        }
        let submitted = self.backend.submit(&spec, &self.by);
        if key.is_some() && submitted.is_err() {
            self.backend.remove_unlock_key(&spec.id)?;
        }
        submitted?;
        Ok(spec)
    }

    /// The plan, and in JSON the first of the events.
    fn announce(&mut self, prospect: &Prospect) -> Result<(), Failure> {
        let Prospect { spec, observed, plan, going_on, .. } = prospect;
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
