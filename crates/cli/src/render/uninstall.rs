//! What `careen uninstall` finds and removes, as a page and as JSON.

use super::Screen;
use super::answers::unreachable;
use super::events::Restored;
use super::text::{Look, Page, Span, first_of, host_name, json_page, padded, short, width};
use careen_contract::answer::Answer;
use careen_contract::errand::Belongings;
use careen_planner::inquiry::{Asked, Reply, Roll, Unreachable};
use careen_planner::{NodeId, Observed};
use careen_swarm::{Possession, PossessionKind};
use serde::Serialize;

/// So many names of one kind stand in a line.
const MOST_NAMES: usize = 8;

/// How wide one is at most.
const LONGEST_NAME: usize = 80;

/// What is in the swarm, or was until it was removed.
#[derive(Debug, Clone, Default, Serialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct InSwarm {
    pub services: Vec<String>,
    pub configs: Vec<String>,
    pub secrets: Vec<String>,
    /// Nodes with labels of careen's own.
    pub nodes: Vec<String>,
    /// What could not be removed.
    pub left: Vec<String>,
    /// How many parts of the history stay.
    pub kept: usize,
}

/// `careen uninstall`.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Uninstalled<'a> {
    /// Whether nothing was removed yet.
    pub dry_run: bool,
    pub roll: &'a Roll,
    pub swarm: &'a InSwarm,
    /// Whether nothing comes behind it: programs are given the last one alone.
    pub last: bool,
}

/// How it stands with one host.
enum Told {
    Nothing,
    Has(Belongings),
    Refuses(String),
    Silent(String),
}

impl InSwarm {
    /// Adds an object.
    pub fn note(&mut self, one: &Possession) {
        match one.kind {
            PossessionKind::Service => &mut self.services,
            PossessionKind::Config => &mut self.configs,
            PossessionKind::Secret => &mut self.secrets,
        }
        .push(one.name.clone());
    }

    /// Adds services that were given back with their nodes.
    pub fn note_services(&mut self, given: &Restored) {
        self.services.extend(given.services().iter().cloned());
        self.left.extend(given.left.iter().cloned());
    }

    fn lines(&self) -> Vec<String> {
        let kinds = [
            ("services", &self.services),
            ("configs", &self.configs),
            ("secrets", &self.secrets),
            ("labels on", &self.nodes),
        ];
        let named = kinds.into_iter().filter(|(_, names)| !names.is_empty());
        named.map(|(kind, names)| format!("{kind} {}", listed(names))).collect()
    }
}

/// The names of these nodes.
pub fn counts_of(observed: &Observed, nodes: impl Iterator<Item = NodeId>) -> Vec<String> {
    nodes.filter_map(|id| observed.node(&id).map(|node| node.hostname.clone())).collect()
}

/// The hosts that refuse.
pub fn refusing(roll: &Roll) -> Vec<String> {
    let refuses = |one: &&Asked| matches!(told(one), Told::Refuses(_));
    roll.asked().iter().filter(refuses).map(|one| one.hostname.clone()).collect()
}

/// The hosts of which nobody knows what is there now. Nodes on which nothing of careen's runs are none of them.
pub fn silent(roll: &Roll) -> Vec<String> {
    let is_silent = |one: &&Asked| match told(one) {
        Told::Silent(_) => !matches!(one.reply, Reply::Unreachable(Unreachable::Unfit(_))),
        Told::Has(belongings) => !belongings.left.is_empty(),
        Told::Nothing | Told::Refuses(_) => false,
    };
    roll.asked().iter().filter(is_silent).map(|one| one.hostname.clone()).collect()
}

fn told(asked: &Asked) -> Told {
    match &asked.reply {
        Reply::Awaited { why } => Told::Silent(format!("not waited for any more: {why}")),
        Reply::Unreachable(why) => Told::Silent(format!("unreachable: {}", unreachable(why))),
        Reply::Answered { answer: Answer::Refused { why, .. }, .. } => Told::Refuses(why.clone()),
        Reply::Answered { answer: Answer::Answered { result, .. }, .. } => {
            match result.as_ref().and_then(Belongings::of) {
                Some(belongings) if belongings.is_empty() && belongings.left.is_empty() => Told::Nothing,
                Some(belongings) => Told::Has(belongings),
                None => Told::Silent("its answer cannot be understood".to_owned()),
            }
        }
    }
}

fn listed(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| short(name, LONGEST_NAME)).collect();
    first_of(&names, MOST_NAMES)
}

fn in_words(belongings: &Belongings) -> String {
    let Belongings { paths, volumes, containers, transactions, bytes, left: _ } = belongings;
    let things = listed(&paths.iter().chain(volumes).chain(containers).cloned().collect::<Vec<_>>());
    let count = match transactions {
        1 => "1 transaction".to_owned(),
        count => format!("{count} transactions"),
    };
    format!("{things} ({count}, {})", super::probe::size(*bytes))
}

impl Uninstalled<'_> {
    fn host(&self, asked: &Asked, widest: usize, page: &mut Page) {
        let (look, words) = match told(asked) {
            Told::Nothing => (Look::Plain, "nothing of careen's".to_owned()),
            Told::Has(belongings) if self.dry_run => (Look::Plain, in_words(&belongings)),
            Told::Has(belongings) => (Look::Good, format!("removed {}", in_words(&belongings))),
            Told::Refuses(why) => (Look::Bad, format!("refuses: {why}")),
            Told::Silent(why) => (Look::Warn, why),
        };
        let host = padded(&host_name(&asked.hostname), widest);
        page.spans(&[Span::from(format!("{host}  ")), Span::new(look, words)]);
        if let Told::Has(Belongings { left, .. }) = told(asked) {
            left.iter().for_each(|left| page.line(Span::new(Look::Bad, format!("    left {left}"))));
        }
    }
}

impl Screen for Uninstalled<'_> {
    fn text(&self, page: &mut Page) {
        let asked = self.roll.asked();
        let widest = asked.iter().map(|one| width(&host_name(&one.hostname))).max().unwrap_or(0);
        asked.iter().for_each(|one| self.host(one, widest, page));
        let lines = self.swarm.lines();
        if !lines.is_empty() {
            page.line(if self.dry_run { "in the swarm:" } else { "removed from the swarm:" });
            lines.iter().for_each(|line| page.line(format!("  {line}")));
        }
        if !self.swarm.left.is_empty() {
            page.line(Span::new(Look::Bad, format!("left in the swarm: {}", listed(&self.swarm.left))));
        }
        let silent = silent(self.roll);
        if !silent.is_empty() {
            page.line(format!(
                "on {} by hand, as root: careen-agent uninstall{}",
                listed(&silent),
                if self.dry_run { "; --activate asks drained and paused hosts, too" } else { "" }
            ));
        }
        if self.swarm.kept > 0 {
            page.line(format!(
                "{} configs with the history of rollouts stay; --history removes them",
                self.swarm.kept
            ));
        }
    }

    fn json(&self) -> serde_json::Result<String> {
        if !self.last {
            return Ok(String::new());
        }
        let hosts = self.roll.asked().iter().map(host_json).collect();
        json_page(&UninstalledJson { dry_run: self.dry_run, hosts, swarm: self.swarm })
    }
}

#[derive(Serialize)]
struct UninstalledJson<'a> {
    dry_run: bool,
    hosts: Vec<HostJson<'a>>,
    swarm: &'a InSwarm,
}

#[derive(Serialize)]
struct HostJson<'a> {
    node: &'a str,
    hostname: &'a str,
    /// `has`, `nothing`, `refused` or `unreachable`.
    state: &'static str,
    why: Option<String>,
    #[serde(flatten)]
    belongings: Belongings,
}

fn host_json(asked: &Asked) -> HostJson<'_> {
    let (state, why, belongings) = match told(asked) {
        Told::Nothing => ("nothing", None, Belongings::default()),
        Told::Has(belongings) => ("has", None, belongings),
        Told::Refuses(why) => ("refused", Some(why), Belongings::default()),
        Told::Silent(why) => ("unreachable", Some(why), Belongings::default()),
    };
    HostJson { node: &asked.node.0, hostname: &asked.hostname, state, why, belongings }
}
