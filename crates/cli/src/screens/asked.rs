//! What hosts answer in a scene, and what is shown of it.

use super::{Scene, id};
use crate::args::{Cli, Command};
use crate::fleet::{FleetHost, Told};
use crate::host_filter;
use crate::render::Screen;
use crate::render::facts::{FactsPart, FleetFacts};
use crate::render::text::Page;
use crate::render::uninstall::{InSwarm, Uninstalled};
use careen_contract::answer::Answer;
use careen_contract::object;
use careen_planner::inquiry::{Heard, Roll};
use careen_planner::probe::{Probe, Probed};
use clap::Parser;
use std::time::Duration;

impl Scene {
    /// `answer w1 2 {"packages":3}`: its status, and what its check left.
    pub(super) fn answer(&mut self, node: &str, rest: &str) {
        let (exit, result) = rest.split_once(' ').map_or((rest, None), |(exit, json)| (exit, Some(json)));
        let result = result.map(|json| serde_json::from_str(json).unwrap());
        let exit = exit.parse().unwrap();
        self.answers.push((id(node), Answer::Answered { exit, why: None, result, notes: vec![], lines: 0 }));
    }

    pub(super) fn probe(&self) -> Option<Probe> {
        let asked = |roll: Roll| {
            Probe(roll.asked().iter().map(|asked| (asked.node.clone(), Probed::of(asked))).collect())
        };
        (!self.answers.is_empty()).then(|| asked(self.roll()))
    }

    /// What hosts answered.
    fn roll(&self) -> Roll {
        let limit = Duration::from_secs(60);
        let (mut roll, _) = Roll::call(&self.observed, &self.spec, false, limit).unwrap();
        for (node, answer) in self.answers.clone() {
            roll.hear(Heard::Said { task: node.0.clone(), node, answer }, Duration::ZERO);
        }
        roll.tick(limit);
        roll
    }

    /// Every node answers so that does not answer for itself.
    pub(super) fn each_answers(&mut self, rest: &str) {
        let names: Vec<String> = self.observed.nodes.iter().map(|node| node.hostname.clone()).collect();
        let silent = names.into_iter().filter(|name| !self.answers.iter().any(|(node, _)| node.0 == *name));
        silent.collect::<Vec<_>>().iter().for_each(|name| self.answer(name, rest));
    }

    pub(super) fn uninstall(&self, page: &mut Page) {
        let configs = [object::ENGINE_RESTART, object::LOCK].map(str::to_owned).into();
        let swarm = InSwarm { configs, nodes: vec!["n1".to_owned()], kept: 6, ..InSwarm::default() };
        Uninstalled { dry_run: true, roll: &self.roll(), swarm: &swarm, last: true }.text(page);
    }

    pub(super) fn facts(&self, about: &str, page: &mut Page) {
        let columns = about.split(' ').find_map(|word| word.parse().ok());
        let words = about.split(' ').filter(|word| !word.is_empty() && word.parse::<usize>().is_err());
        let call = ["careen", "facts"].into_iter().chain(words);
        let Command::Facts(args) = Cli::try_parse_from(call).unwrap().command else { unreachable!() };
        let roll = self.roll();
        let told = Told::of(&roll);
        let all = told.hosts(&roll);
        let fits = |host: &FleetHost<'_>| host_filter::fits(&args.filters, host);
        let shown: Vec<FleetHost<'_>> = all.iter().copied().filter(fits).collect();
        let part = match (args.quiet, args.skew, args.behind) {
            (true, ..) => FactsPart::Ids,
            (_, true, _) => FactsPart::Skew,
            (_, _, true) => FactsPart::Behind,
            (false, false, false) => FactsPart::All,
        };
        *page = Page::new(false).within(columns);
        FleetFacts { inquiry: &self.spec.id, all: &all, shown: &shown, part }.text(page);
    }
}
