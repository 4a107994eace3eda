//! What is said while something is done: lines for people, and one line of JSON each. Every JSON event has `event`, except a log's
//! line; the keys are in alphabetical order.

use super::Screen;
use crate::backend::{EndedNode, LogLine, Stream};
use crate::follow::Change;
use crate::parity::Parity;
use crate::render::plan_page::{self, PlanJson, Planned};
use crate::render::status_json::{self, NodeJson};
use crate::render::step::{Step, Verb};
use crate::render::text::{Look, Page, Span, in_front, json_event, json_line, log_line, padded};
use crate::render::{parity, status, words};
use crate::view::{NodeStanding, Standing, Totals};
use careen_contract::label;
use careen_planner::names::Names;
use careen_planner::observed::{Availability, Node};
use careen_planner::remains::Giving;
use careen_planner::rollout::{Ask, Control, RolloutOutcome};
use careen_planner::{JobKey, NodeId, Observed, RolloutId};
use careen_swarm::{GivenKind, Stored};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// The last lines that nodes printed.
pub type Tails = BTreeMap<NodeId, VecDeque<String>>;

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum EventJson<'a> {
    Plan {
        rollout: &'a RolloutId,
        plan: Box<PlanJson<'a>>,
    },
    Submitted {
        rollout: &'a RolloutId,
    },
    Order {
        rollout: &'a RolloutId,
        order: &'static str,
        node: Option<&'a NodeId>,
    },
    Paused {
        rollout: &'a RolloutId,
        control: Option<&'a Control>,
        totals: Totals,
        next: &'a [Step],
    },
    End {
        rollout: &'a RolloutId,
        outcome: Option<RolloutOutcome>,
        totals: Totals,
        nodes: Vec<NodeJson<'a>>,
        parity: Option<&'a Parity>,
        next: Vec<Step>,
    },
    Restored {
        nodes: Vec<RestoredJson<'a>>,
        scaled: &'a [String],
        services: &'a [String],
        configs: Vec<&'a str>,
        secrets: Vec<&'a str>,
        left: &'a [String],
    },
}

/// The plan of a rollout that is about to start: the first of its events.
#[derive(Debug, Clone, Copy)]
pub struct Announced<'a>(pub Planned<'a>);

impl Screen for Announced<'_> {
    fn is_event(&self) -> bool {
        true
    }

    fn text(&self, page: &mut Page) {
        self.0.text(page);
        page.gap();
    }

    fn json(&self) -> serde_json::Result<String> {
        json_event(&EventJson::Plan {
            rollout: &self.0.draft.spec.id,
            plan: Box::new(plan_page::json(&self.0)),
        })
    }
}

/// A rollout that was submitted, and that nobody follows.
#[derive(Debug, Clone, Copy)]
pub struct Submitted<'a>(pub &'a RolloutId);

impl Screen for Submitted<'_> {
    fn is_event(&self) -> bool {
        true
    }

    fn text(&self, page: &mut Page) {
        page.line(format!("rollout {} goes on in the swarm; 'careen status' shows it", self.0));
    }

    fn json(&self) -> serde_json::Result<String> {
        json_event(&EventJson::Submitted { rollout: self.0 })
    }
}

/// An order that is stored in the swarm.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Ordered<'a> {
    pub rollout: &'a RolloutId,
    pub order: Order<'a>,
}

/// What the operator's command ordered.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the variants are the commands")]
pub enum Order<'a> {
    Pause,
    Resume,
    Abort,
    /// `retry` or `skip`.
    Ask {
        ask: Ask,
        /// As it was before.
        node: &'a NodeStanding,
        /// The rollout is paused for another reason than this node.
        stays_paused: bool,
    },
}

impl Order<'_> {
    fn word(&self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
            Self::Ask { ask, .. } => ask.word(),
        }
    }
}

impl Screen for Ordered<'_> {
    fn is_event(&self) -> bool {
        true
    }

    fn text(&self, page: &mut Page) {
        let id = self.rollout;
        page.line(match self.order {
            Order::Pause => {
                format!("rollout {id} is paused; hosts that are at work finish what they have begun")
            }
            Order::Resume => format!("rollout {id} goes on"),
            Order::Abort => format!("rollout {id} is being aborted; what has not begun is undone"),
            Order::Ask { ask, node, stays_paused } => asked(ask, node, stays_paused),
        });
    }

    fn json(&self) -> serde_json::Result<String> {
        let node = match self.order {
            Order::Pause | Order::Resume | Order::Abort => None,
            Order::Ask { node, .. } => Some(&node.node),
        };
        json_event(&EventJson::Order { rollout: self.rollout, order: self.order.word(), node })
    }
}

fn asked(ask: Ask, node: &NodeStanding, stays_paused: bool) -> String {
    let what = match ask {
        Ask::Retry => "is tried again",
        Ask::Skip if node.is_gone() => "is given up: nobody waits for its host any more",
        Ask::Skip if node.stage.is_after_the_go() => "is left out, unless its host has begun the command",
        Ask::Skip => "is left out",
    };
    let drained = match ask == Ask::Skip && node.stays_drained() {
        true => format!(
            "; careen left it drained: '{}' gives it back when the rollout is over",
            Verb::Restore.node(&node.typed)
        ),
        false => String::new(),
    };
    let then = if stays_paused { "; the rollout stays paused: 'careen resume'" } else { "" };
    format!("{} {what}{drained}{then}", node.shown)
}

/// What changed between two looks at a rollout, and when that was seen: for people on standard error.
#[derive(Debug, Clone, Copy)]
pub struct Changes<'a>(pub &'a [Change], pub jiff::Timestamp);

impl Screen for Changes<'_> {
    fn is_event(&self) -> bool {
        true
    }

    fn text(&self, page: &mut Page) {
        for change in self.0 {
            page.line(in_front(self.1) + &change.line());
            change.below().into_iter().for_each(|line| page.line(line));
        }
    }

    fn json(&self) -> serde_json::Result<String> {
        self.0.iter().map(|change| Ok(json_line(change)? + "\n")).collect()
    }

    fn stream(&self) -> Stream {
        Stream::Stderr
    }
}

/// A followed rollout waits for an operator: what happened, where, and what can be typed.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Paused<'a> {
    pub standing: &'a Standing,
    pub tails: &'a Tails,
    pub next: &'a [Step],
}

impl Screen for Paused<'_> {
    fn is_event(&self) -> bool {
        true
    }

    fn text(&self, page: &mut Page) {
        let Self { standing, tails, next } = self;
        page.gap();
        page.spans(&[
            format!("rollout {} is ", standing.rollout).into(),
            Span::new(Look::Warn, standing.with_names(&words::control(standing.control.as_ref()))),
        ]);
        last_words(standing, tails, page);
        page.line(status::totals(&standing.totals()));
        page.line("what next:");
        next.iter().for_each(|command| page.line(format!("  {command}")));
    }

    fn json(&self) -> serde_json::Result<String> {
        json_event(&EventJson::Paused {
            rollout: &self.standing.rollout,
            control: self.standing.control.as_ref(),
            totals: self.standing.totals(),
            next: self.next,
        })
    }

    fn stream(&self) -> Stream {
        Stream::Stderr
    }
}

/// The end of a followed rollout.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Ended<'a> {
    pub standing: &'a Standing,
    /// `None` where nobody knows it.
    pub outcome: Option<RolloutOutcome>,
    pub tails: &'a Tails,
    /// What the history says of the nodes; empty where there is none.
    pub nodes: &'a [EndedNode],
    /// How they ended beside the first one, likewise.
    pub parity: Option<&'a Parity>,
}

impl Screen for Ended<'_> {
    fn is_event(&self) -> bool {
        true
    }

    fn text(&self, page: &mut Page) {
        let Self { standing, outcome, tails, nodes, parity } = self;
        let look = status::control_look(outcome.map(|outcome| Control::Finished { outcome }).as_ref());
        page.spans(&[
            format!("rollout {} is ", standing.rollout).into(),
            Span::new(look, outcome.map_or("over", words::outcome)),
            format!(": {}", status::totals(&standing.totals())).into(),
        ]);
        last_words(standing, tails, page);
        if nodes.iter().any(|node| node.record.is_some()) {
            status::results(nodes, page);
        }
        parity::page(*parity, page);
        let next = give_back(standing);
        if !next.is_empty() {
            page.gap();
            page.line("careen left nodes drained; this gives them back:");
            next.iter().for_each(|step| page.line(format!("  {step}")));
        }
    }

    fn json(&self) -> serde_json::Result<String> {
        let Self { standing, outcome, parity, .. } = self;
        json_event(&EventJson::End {
            rollout: &standing.rollout,
            outcome: *outcome,
            totals: standing.totals(),
            nodes: standing.nodes.iter().map(|node| status_json::node(standing, node)).collect(),
            parity: *parity,
            next: give_back(standing),
        })
    }
}

/// The nodes that failed or left, with the last lines of their logs.
fn last_words(standing: &Standing, tails: &Tails, page: &mut Page) {
    for node in standing.nodes.iter().filter(|node| node.has_failed() || node.is_gone()) {
        let why = words::detail(node).map(|text| standing.with_names(&text)).unwrap_or_default();
        page.spans(&[Span::new(Look::Bad, &node.shown), format!(": {why}").into()]);
        let lines = tails.get(&node.node).into_iter().flatten();
        lines.for_each(|line| page.spans(&["    ".into(), Span::new(Look::Dim, line)]));
    }
}

/// What gives back the nodes that stay drained behind the rollout.
fn give_back(standing: &Standing) -> Vec<Step> {
    let drained = standing.nodes.iter().filter(|node| node.stays_drained());
    drained.map(|node| Verb::Restore.node(&node.typed)).collect()
}

/// A line that a node printed.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Logged<'a> {
    pub node: &'a NodeId,
    pub hostname: &'a str,
    pub line: &'a LogLine,
    /// How wide the host names in front of the lines are; `None` when there is one node, which needs no name.
    pub width: Option<usize>,
}

#[derive(Serialize)]
struct LoggedJson<'a> {
    node: &'a NodeId,
    hostname: &'a str,
    stream: &'static str,
    text: &'a str,
    time: Option<&'a str>,
}

/// When a line was printed, in front of it. What the engine did not say is left out.
fn shown(time: Option<&String>) -> String {
    time.and_then(|time| time.parse().ok()).map_or_else(String::new, in_front)
}

impl Screen for Logged<'_> {
    fn text(&self, page: &mut Page) {
        let name = self.hostname;
        let prefix = self.width.map_or_else(String::new, |width| format!("{} | ", padded(name, width)));
        let time = Span::new(Look::Dim, shown(self.line.time.as_ref()));
        page.spans(&[time, prefix.into(), log_line(&self.line.text).into()]);
    }

    fn json(&self) -> serde_json::Result<String> {
        let stream = stream_name(self.line.stream);
        let Self { node, hostname, .. } = *self;
        let LogLine { text, time, .. } = self.line;
        json_event(&LoggedJson { node, hostname, stream, text, time: time.as_deref() })
    }

    fn stream(&self) -> Stream {
        self.line.stream
    }
}

/// A line that the controller printed.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct ControllerLogged<'a> {
    pub rollout: &'a RolloutId,
    pub line: &'a LogLine,
}

#[derive(Serialize)]
struct ControllerLoggedJson<'a> {
    rollout: &'a RolloutId,
    stream: &'static str,
    text: &'a str,
    time: Option<&'a str>,
}

impl Screen for ControllerLogged<'_> {
    fn text(&self, page: &mut Page) {
        page.line(shown(self.line.time.as_ref()) + &log_line(&self.line.text));
    }

    fn json(&self) -> serde_json::Result<String> {
        let (rollout, stream) = (self.rollout, stream_name(self.line.stream));
        let LogLine { text, time, .. } = self.line;
        json_event(&ControllerLoggedJson { rollout, stream, text, time: time.as_deref() })
    }

    fn stream(&self) -> Stream {
        self.line.stream
    }
}

const fn stream_name(stream: Stream) -> &'static str {
    match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    }
}

/// What was given back.
#[derive(Debug, Clone, Default)]
pub struct Restored {
    nodes: Vec<RestoredNode>,
    /// Services that had been scaled up, with how many tasks they have again.
    scaled: Vec<String>,
    services: Vec<String>,
    /// Configs and secrets that were removed.
    pub stored: Vec<Stored>,
    /// Services on nodes that do not report, and what these refer to.
    pub left: Vec<String>,
}

/// A node whose label was written.
#[derive(Debug, Clone)]
struct RestoredNode {
    node: NodeId,
    hostname: String,
    /// What it is called in a command.
    typed: String,
    was: Availability,
    is: Availability,
    /// Whether it keeps its label: it failed, or its host may be at work.
    keeps_its_label: bool,
}

#[derive(Serialize)]
struct RestoredJson<'a> {
    node: &'a NodeId,
    hostname: &'a str,
    was: &'static str,
    is: &'static str,
    keeps_its_label: bool,
}

impl Restored {
    /// Adds a step that was carried out.
    pub fn note(&mut self, observed: &Observed, giving: &Giving) {
        match giving {
            Giving::Stop { .. } => {}
            Giving::Scale { name, to, .. } => self.scaled.push(format!("{name} to {to}")),
            Giving::Remove { key } => self.services.push(JobKey::name(key)),
            Giving::Write { node, labels, availability, .. } => {
                let Some(Node { hostname, availability: was, .. }) = observed.node(node) else { return };
                self.nodes.push(RestoredNode {
                    node: node.clone(),
                    hostname: hostname.clone(),
                    typed: Names::of(observed).typed(node),
                    was: *was,
                    is: availability.unwrap_or(*was),
                    keeps_its_label: labels.get(label::NODE).is_some_and(Option::is_some),
                });
            }
        }
    }

    /// The services that were removed.
    pub fn services(&self) -> &[String] {
        &self.services
    }

    fn names(&self, kind: GivenKind) -> Vec<&str> {
        self.stored.iter().filter(|one| one.kind == kind).map(|one| one.name.as_str()).collect()
    }
}

impl Screen for Restored {
    fn is_event(&self) -> bool {
        true
    }

    fn text(&self, page: &mut Page) {
        self.nodes.iter().for_each(|node| page.line(node.line()));
        let services: Vec<&str> = self.services.iter().map(String::as_str).collect();
        let left: Vec<&str> = self.left.iter().map(String::as_str).collect();
        for (what, names) in [
            ("scaled back", self.scaled.iter().map(String::as_str).collect()),
            ("removed services", services),
            ("removed configs", self.names(GivenKind::Config)),
            ("removed secrets", self.names(GivenKind::Secret)),
            ("left, because their nodes do not report or a service still refers to them", left),
        ] {
            if !names.is_empty() {
                page.line(format!("{what}: {}", names.join(", ")));
            }
        }
    }

    fn json(&self) -> serde_json::Result<String> {
        json_event(&EventJson::Restored {
            nodes: self.nodes.iter().map(RestoredNode::json).collect(),
            scaled: &self.scaled,
            services: &self.services,
            configs: self.names(GivenKind::Config),
            secrets: self.names(GivenKind::Secret),
            left: &self.left,
        })
    }
}

impl RestoredNode {
    fn line(&self) -> String {
        let (name, is) = (&self.hostname, self.is.word());
        if self.keeps_its_label {
            let restore = Verb::Restore.node(&self.typed);
            return format!(
                "{name} stays as it is ({is}): its host may be at work; '{restore}' gives it back"
            );
        }
        match self.was == self.is {
            true => format!("{name}: its label is removed; it stays {is}"),
            false => format!("{name} is {is} again (was {})", self.was.word()),
        }
    }

    fn json(&self) -> RestoredJson<'_> {
        let Self { node, hostname, was, is, keeps_its_label, .. } = self;
        let (was, is, keeps_its_label) = (was.word(), is.word(), *keeps_its_label);
        RestoredJson { node, hostname, was, is, keeps_its_label }
    }
}
