//! What `plan`, `status`, `why` and `image push` answer: a page, or one JSON document.

use super::Screen;
use crate::backend::Summary;
use crate::left::LeftBehind;
use crate::render::text::{Page, json_page};
use crate::render::{left, plan_page, status, status_json, why};
use crate::view::{NodeStanding, Standing};
use careen_planner::plan::Plan;
use careen_planner::{Observed, RolloutId, Spec};
use careen_swarm::Draft;
use serde::Serialize;

/// `careen plan`: what a rollout would do.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Planned<'a> {
    pub plan: &'a Plan,
    pub draft: &'a Draft,
    pub observed: &'a Observed,
    /// Another rollout, which refuses this one.
    pub going_on: Option<&'a RolloutId>,
}

impl Screen for Planned<'_> {
    fn text(&self, page: &mut Page) {
        plan_page::page(self.plan, self.draft, self.observed, page);
    }

    fn json(&self) -> serde_json::Result<String> {
        json_page(&self.to_json())
    }
}

impl<'a> Planned<'a> {
    pub(super) fn to_json(self) -> plan_page::PlanJson<'a> {
        plan_page::json(self.plan, self.draft, self.observed, self.going_on)
    }
}

/// `careen status` while a rollout goes on.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Status<'a> {
    pub standing: &'a Standing,
    pub spec: &'a Spec,
    /// What other rollouts have left.
    pub left: &'a [LeftBehind],
}

impl Screen for Status<'_> {
    fn text(&self, page: &mut Page) {
        status::page(self.standing, self.spec, page);
        left::page(self.left, page);
    }

    fn json(&self) -> serde_json::Result<String> {
        json_page(&status_json::status(self.standing, self.spec, self.left))
    }
}

/// `careen status` when none does.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Idle<'a> {
    pub last: Option<&'a Summary>,
    pub left: &'a [LeftBehind],
}

impl Screen for Idle<'_> {
    fn text(&self, page: &mut Page) {
        status::idle(self.last, page);
        left::page(self.left, page);
    }

    fn json(&self) -> serde_json::Result<String> {
        json_page(&status_json::idle(self.last, self.left))
    }
}

/// `careen why`, about these nodes.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Why<'a> {
    pub standing: &'a Standing,
    pub nodes: &'a [&'a NodeStanding],
}

impl Screen for Why<'_> {
    fn text(&self, page: &mut Page) {
        why::page(self.standing, self.nodes, page);
    }

    fn json(&self) -> serde_json::Result<String> {
        json_page(&why::json(self.standing, self.nodes))
    }
}

/// `careen image push`: what the image is called from now on. In JSON the keys are in alphabetical order.
#[derive(Debug, Clone, Serialize)]
pub struct Pushed {
    /// `sha256:…`
    pub digest: String,
    /// The repository with the digest.
    pub image: String,
    /// The repository with the tag.
    pub tag: String,
}

impl Screen for Pushed {
    fn text(&self, page: &mut Page) {
        page.line(self.image.as_str());
    }

    fn json(&self) -> serde_json::Result<String> {
        json_page(self)
    }
}
