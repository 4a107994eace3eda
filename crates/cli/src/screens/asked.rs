//! What hosts answer in a scene, and what is shown of it.

use super::{Scene, id};
use crate::args::{Cli, Command};
use crate::fleet::{FleetHost, Told};
use crate::host_filter;
use crate::render::Screen;
use crate::render::checked::CheckPage;
use crate::render::facts::{FactsPart, FleetFacts};
use crate::render::text::Page;
use crate::render::uninstall::{InSwarm, Uninstalled};
use careen_contract::answer::Answer;
use careen_contract::object;
use careen_planner::inquiry::{Heard, Line, PrintedTo, Roll};
use careen_planner::probe::{Probe, Probed};
use clap::Parser;
use std::time::Duration;

impl Scene {
    /// `answer w1 2 {"packages":3}`: its status, and what its check left.
    pub(super) fn answer(&mut self, node: &str, rest: &str) {
        let (exit, result) = rest.split_once(' ').map_or((rest, None), |(exit, json)| (exit, Some(json)));
        let result = result.map(|json| serde_json::from_str(json).unwrap());
        let (exit, lines) = (exit.parse().unwrap(), 0);
        let answer = Answer::Answered { exit, why: None, result, notes: vec![], lines };
        self.answers.push(Heard::Said { task: node.to_owned(), node: id(node), answer });
    }

    /// `says w1 3 TEXT`: so many lines of a host that answered.
    pub(super) fn says(&mut self, node: &str, rest: &str) {
        let (times, text) = rest.split_once(' ').unwrap();
        for _ in 0..times.parse().unwrap() {
            let line = Line { to: PrintedTo::Stdout, text: text.replace("\\e", "\u{1b}") };
            self.answers.push(Heard::Line { task: node.to_owned(), node: id(node), line });
        }
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
        for heard in self.answers.clone() {
            roll.hear(heard, Duration::ZERO);
        }
        roll.tick(limit);
        roll
    }

    fn answered(&self, name: &str) -> bool {
        let by = |heard: &Heard| match heard {
            Heard::Said { node, .. } | Heard::Line { node, .. } => node.0 == name,
            Heard::Afresh { .. } | Heard::Tasks(_) | Heard::Nodes(_) => false,
        };
        self.answers.iter().any(by)
    }

    /// Every node answers so that does not answer for itself.
    pub(super) fn each_answers(&mut self, rest: &str) {
        let names: Vec<String> = self.observed.nodes.iter().map(|node| node.hostname.clone()).collect();
        let silent = names.into_iter().filter(|name| !self.answered(name));
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

    pub(super) fn check(&self, about: &str, page: &mut Page) {
        let diff = about.contains("--diff");
        CheckPage { inquiry: &self.spec.id, roll: &self.roll(), diff }.text(page);
    }
}
