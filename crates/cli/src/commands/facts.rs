//! `facts`: what each host is made of and how it stands, as it says itself. A question, as `ask`; nothing is fetched or changed anywhere.

use super::{Session, whole_ids};
use crate::args::FactsArgs;
use crate::backend::Backend;
use crate::console::Console;
use crate::error::Failure;
use crate::exit::Exit;
use crate::fleet::{FleetHost, Told};
use crate::host_filter::fits;
use crate::render::facts::{FactsPart, FleetFacts};
use careen_contract::errand::Errand;
use careen_planner::inquiry::Roll;
use careen_planner::spec::Selection;
use careen_planner::{Observed, Spec};
use careen_swarm::Inquiry;

impl<B: Backend, C: Console> Session<'_, B, C> {
    pub(super) fn facts(&mut self, args: &FactsArgs) -> Result<Exit, Failure> {
        let image = self.careens_image(args.image.as_deref())?;
        let observed = Observed { nodes: self.backend.nodes()?, ..Observed::default() };
        let nodes = whole_ids(&observed.nodes, &args.nodes)?;
        let selection = Selection { nodes, constraints: args.constraints.clone(), ..Selection::default() };
        let spec = Spec { command: "facts".to_owned(), selection, ..Spec::run(self.new_id()?, &image) };
        let called = Roll::call(&observed, &spec, args.activate, args.timeout);
        let (mut roll, placement) = called.map_err(|why| Failure::CannotAsk { why: Box::new(why) })?;
        self.may_activate(&placement, &roll, args.yes)?;
        let (files, by, limit) = (Vec::new(), self.by.clone(), args.timeout);
        let inquiry = Inquiry { spec, files, limit, placement, by, errand: Errand::Facts };
        let was_asked = roll.is_worth_asking();
        let heard = self.ask_and_hear(&inquiry, &mut roll);
        let shown = heard.and_then(|()| self.show_facts(args, &inquiry, &roll));
        if was_asked {
            self.end_inquiry(&inquiry)?;
        }
        let all = shown?;
        Ok(match (self.console.interrupted(), all) {
            (true, _) => Exit::Other,
            (false, true) => Exit::Done,
            (false, false) => Exit::FailedNodes,
        })
    }

    /// Whether every host that was asked said its facts. A filter leaves hosts out of what is shown alone.
    fn show_facts(&mut self, args: &FactsArgs, inquiry: &Inquiry, roll: &Roll) -> Result<bool, Failure> {
        let told = Told::of(roll);
        let all = told.hosts(roll);
        let shown: Vec<FleetHost<'_>> =
            all.iter().copied().filter(|host| fits(&args.filters, host)).collect();
        let part = match (args.quiet, args.skew, args.behind) {
            (true, ..) => FactsPart::Ids,
            (false, true, _) => FactsPart::Skew,
            (false, false, true) => FactsPart::Behind,
            (false, false, false) => FactsPart::All,
        };
        self.show(&FleetFacts { inquiry: &inquiry.spec.id, all: &all, shown: &shown, part })?;
        Ok(all.iter().all(|host| host.facts().is_some()))
    }
}
