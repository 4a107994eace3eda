//! `careen ls`: rollouts as docker lists things. Pure.

use super::Screen;
use crate::backend::Summary;
use crate::render::history::{RunJson, table};
use crate::render::text::{Page, json_line};

/// `careen ls`.
#[derive(Debug, Clone)]
pub struct Listed<'a> {
    /// The newest first.
    pub rollouts: Vec<&'a Summary>,
    /// Ids alone, whatever the format: a shell reads them.
    pub quiet: bool,
}

impl Listed<'_> {
    fn ids(&self) -> impl Iterator<Item = &str> {
        self.rollouts.iter().map(|summary| summary.spec.id.as_str())
    }
}

impl Screen for Listed<'_> {
    fn text(&self, page: &mut Page) {
        match self.quiet {
            true => self.ids().for_each(|id| page.line(id)),
            false => table(&self.rollouts, page),
        }
    }

    fn json(&self) -> serde_json::Result<String> {
        if self.quiet {
            return Ok(self.ids().map(|id| format!("{id}\n")).collect());
        }
        self.rollouts.iter().map(|summary| Ok(json_line(&RunJson::of(summary))? + "\n")).collect()
    }
}
