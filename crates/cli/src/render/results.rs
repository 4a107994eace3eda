//! What `status`, `why` and `image push` answer: a page, or one JSON document.

use super::Screen;
use crate::backend::Summary;
use crate::left::LeftBehind;
use crate::render::text::{Page, json_page};
use crate::render::{left, status, status_json, why};
use crate::view::{NodeStanding, Standing};
use careen_planner::Spec;
use serde::Serialize;

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

/// `careen image load`: what is on the engine now. In JSON the keys are in alphabetical order.
#[derive(Debug, Clone, Serialize)]
pub struct Loaded {
    /// The image's own, in docker's words.
    pub architecture: String,
    /// The engine's host.
    pub engine: String,
    /// `sha256:…`
    pub id: String,
    /// The image's name there.
    pub image: String,
}

impl Screen for Loaded {
    fn text(&self, page: &mut Page) {
        let Self { architecture, engine, id, image } = self;
        page.line(format!("{image} ({architecture}, {id}) is on the engine of {engine}"));
    }

    fn json(&self) -> serde_json::Result<String> {
        json_page(self)
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
