//! What hosts of a scene answered that were asked.

use super::{Scene, id};
use crate::render::Screen;
use crate::render::checked::CheckPage;
use crate::render::text::Page;
use careen_contract::answer::Answer;
use careen_planner::inquiry::{Heard, Line, PrintedTo, Roll};
use careen_planner::probe::{Probe, Probed};
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
    pub(super) fn roll(&self) -> Roll {
        let limit = Duration::from_secs(60);
        let (mut roll, _) = Roll::call(&self.observed, &self.spec, false, limit).unwrap();
        for heard in self.answers.clone() {
            roll.hear(heard, Duration::ZERO);
        }
        roll.tick(limit);
        roll
    }

    pub(super) fn check(&self, about: &str, page: &mut Page) {
        let diff = about.contains("--diff");
        CheckPage { inquiry: &self.spec.id, roll: &self.roll(), diff }.text(page);
    }
}
