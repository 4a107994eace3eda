//! `careen facts`: what hosts say of themselves, as one table, and as JSON. What stands below the table is in [`super::facts_told`].

use super::Screen;
use super::answers::state;
use super::facts_told as below;
use crate::fleet::{FleetHost, Skew, drifting, running, skew, system};
use crate::render::text::{Look, Page, Span, host_name, json_page, short};
use careen_contract::facts::{FileSystemRoom, HostFacts, LastRun, PendingPackages, RestartNeed, VersionPair};
use careen_planner::RolloutId;
use serde::Serialize;

/// So many columns a version, a path and a name may take in a table.
const VERSION: usize = 26;
const PATH: usize = 20;
const NAME: usize = 16;

/// What is not known.
const UNKNOWN: &str = "?";

/// A certificate that ends within so many days is named. Engines renew theirs long before.
const SOON: i64 = 14;

/// What of the facts is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactsPart {
    /// A line for each host.
    All,
    /// In which versions they differ.
    Skew,
    /// Which packages wait.
    Behind,
    /// The nodes' ids alone.
    Ids,
}

/// `careen facts`.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct FleetFacts<'a> {
    pub inquiry: &'a RolloutId,
    /// Every host that was asked.
    pub all: &'a [FleetHost<'a>],
    /// Those that are meant.
    pub shown: &'a [FleetHost<'a>],
    pub part: FactsPart,
}

impl Screen for FleetFacts<'_> {
    fn text(&self, page: &mut Page) {
        match self.part {
            FactsPart::Ids => {
                self.shown.iter().for_each(|host| page.line(host.asked.node.0.as_str()));
                return;
            }
            FactsPart::All => {
                tables(self.shown, page);
                page.break_lines(true);
                below::silent(self.shown, page);
                below::told(self.shown, page);
            }
            FactsPart::Skew => {
                below::skews(&skew(self.shown), page);
                page.break_lines(true);
                below::silent(self.shown, page);
            }
            FactsPart::Behind => {
                page.break_lines(true);
                below::behind(self.shown, page);
                below::silent(self.shown, page);
            }
        }
        page.gap();
        page.line(below::total(self.all));
        page.break_lines(false);
    }

    fn json(&self) -> serde_json::Result<String> {
        if self.part == FactsPart::Ids {
            return Ok(self.shown.iter().map(|host| format!("{}\n", host.asked.node.0)).collect());
        }
        let skews = (self.part == FactsPart::Skew).then(|| skew(self.shown));
        json_page(&FactsJson {
            inquiry: self.inquiry.as_str(),
            answered: self.all.iter().filter(|host| host.facts().is_some()).count(),
            asked: self.all.len(),
            skew: skews.map(|skews| skews.iter().map(skew_json).collect()),
            hosts: self.shown.iter().map(host_json).collect(),
        })
    }
}

/// One table; two where the terminal has no room for one.
fn tables(hosts: &[FleetHost<'_>], page: &mut Page) {
    let told: Vec<(&FleetHost<'_>, &HostFacts)> =
        hosts.iter().filter_map(|host| Some((host, host.facts()?))).collect();
    if told.is_empty() {
        return;
    }
    let node = |header: bool, host: &FleetHost<'_>| -> Span {
        if header { Span::new(Look::Dim, "NODE") } else { host_name(&host.asked.hostname).into() }
    };
    let table = |columns: &[Column]| -> Vec<Vec<Span>> {
        let header = columns.iter().map(|column| Span::new(Look::Dim, column.header));
        let first: Vec<Span> = [node(true, told[0].0)].into_iter().chain(header).collect();
        let row = |(host, facts): &(&FleetHost<'_>, &HostFacts)| -> Vec<Span> {
            [node(false, host)].into_iter().chain(columns.iter().map(|column| (column.cell)(facts))).collect()
        };
        [first].into_iter().chain(told.iter().map(row)).collect()
    };
    let whole = table(&[MADE_OF, STANDS].concat());
    if page.has_room_for(&whole) {
        page.table(&whole);
        return;
    }
    page.table(&table(MADE_OF));
    page.gap();
    page.table(&table(STANDS));
}

/// A column of the table.
#[derive(Clone, Copy)]
struct Column {
    header: &'static str,
    cell: fn(&HostFacts) -> Span,
}

/// What hosts are made of, and what waits there.
const MADE_OF: &[Column] = &[
    Column { header: "SYSTEM", cell: |facts| known(system(facts)) },
    Column { header: "KERNEL", cell: |facts| version(facts.kernel.as_ref()) },
    Column { header: "ENGINE", cell: |facts| version(facts.engine.as_ref()) },
    Column { header: "PENDING", cell: |facts| pending(facts.pending.as_ref()) },
    Column { header: "REBOOT", cell: |facts| need(facts.reboot.as_ref(), facts.at) },
];

/// How they stand.
const STANDS: &[Column] = &[
    Column { header: "ROOM", cell: |facts| least_room(facts.room.as_deref()) },
    Column { header: "CLOCK", cell: clock },
    Column { header: "CERT", cell: certificate },
    Column { header: "LAST RUN", cell: last_run },
    Column { header: "DRIFT", cell: drift },
];

fn unknown() -> Span {
    Span::new(Look::Warn, UNKNOWN)
}

fn known(text: Option<String>) -> Span {
    text.map_or_else(unknown, |text| short(&text, VERSION).into())
}

fn version(pair: Option<&VersionPair>) -> Span {
    known(running(pair))
}

/// `12 (3)`: three of them for security.
fn pending(pending: Option<&PendingPackages>) -> Span {
    let Some(pending) = pending else { return unknown() };
    match (pending.packages, pending.security) {
        (0, _) => "0".into(),
        (packages, Some(0)) => format!("{packages}").into(),
        (packages, Some(security)) => Span::new(Look::Warn, format!("{packages} ({security})")),
        (packages, None) => format!("{packages} (?)").into(),
    }
}

fn need(need: Option<&RestartNeed>, at: u64) -> Span {
    let Some(need) = need else { return unknown() };
    match (need.needed, need.since) {
        (false, _) => "no".into(),
        (true, Some(since)) => Span::new(Look::Warn, below::age(at, since)),
        (true, None) => Span::new(Look::Warn, "yes"),
    }
}

fn least_room(room: Option<&[FileSystemRoom]>) -> Span {
    let least = room.and_then(|room| room.iter().min_by_key(|one| one.free_percent()));
    let Some(least) = least else { return unknown() };
    let path = least.paths.first().map_or("", String::as_str);
    let look = if least.free_percent() < below::LITTLE_ROOM { Look::Bad } else { Look::Plain };
    Span::new(look, format!("{}% {}", least.free_percent(), short(path, PATH)))
}

fn clock(facts: &HostFacts) -> Span {
    match facts.clock.as_ref().map(|clock| clock.in_sync) {
        Some(true) => "ok".into(),
        Some(false) => Span::new(Look::Warn, "off"),
        None => unknown(),
    }
}

fn certificate(facts: &HostFacts) -> Span {
    let Some(days) = facts.certificate.map(|one| one.days_left(facts.at)) else { return unknown() };
    match days {
        ..0 => Span::new(Look::Bad, "expired"),
        0..SOON => Span::new(Look::Warn, format!("{days} d")),
        SOON.. => format!("{days} d").into(),
    }
}

/// `-`: no rollout was there, or nobody remembers it.
fn last_run(facts: &HostFacts) -> Span {
    match &facts.last_run {
        Some(LastRun { rollout, exit: 0, .. }) => format!("{} done", short(rollout, NAME)).into(),
        Some(LastRun { rollout, .. }) => Span::new(Look::Bad, format!("{} failed", short(rollout, NAME))),
        None if facts.why_unknown(careen_contract::facts::field::LAST_RUN).is_some() => unknown(),
        None => "-".into(),
    }
}

/// `-`: nothing is enforced there.
fn drift(facts: &HostFacts) -> Span {
    match (drifting(facts).as_deref(), facts.drift.as_deref()) {
        (None, _) => unknown(),
        (Some([]), Some([])) => "-".into(),
        (Some([]), _) => "no".into(),
        (Some([one]), _) => Span::new(Look::Warn, short(&one.name, NAME)),
        (Some(several), _) => Span::new(Look::Warn, format!("{} of them", several.len())),
    }
}

#[derive(Serialize)]
struct FactsJson<'a> {
    inquiry: &'a str,
    answered: usize,
    asked: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    skew: Option<Vec<SkewJson<'a>>>,
    hosts: Vec<HostJson<'a>>,
}

#[derive(Serialize)]
struct SkewJson<'a> {
    of: &'static str,
    versions: Vec<VersionJson<'a>>,
}

#[derive(Serialize)]
struct VersionJson<'a> {
    version: Option<String>,
    nodes: Vec<NodeJson<'a>>,
}

#[derive(Serialize)]
struct NodeJson<'a> {
    node: &'a str,
    hostname: &'a str,
}

#[derive(Serialize)]
struct HostJson<'a> {
    node: &'a str,
    hostname: &'a str,
    /// `answered`, `refused`, `unreachable` or `awaited`.
    state: &'static str,
    why: Option<String>,
    certificate_days_left: Option<i64>,
    facts: Option<&'a HostFacts>,
}

fn skew_json<'a>(skew: &Skew<'a>) -> SkewJson<'a> {
    let node = |asked: &&'a careen_planner::inquiry::Asked| NodeJson {
        node: &asked.node.0,
        hostname: &asked.hostname,
    };
    let versions = skew
        .versions
        .iter()
        .map(|one| VersionJson { version: one.version.clone(), nodes: one.hosts.iter().map(node).collect() });
    SkewJson { of: skew.of, versions: versions.collect() }
}

fn host_json<'a>(host: &FleetHost<'a>) -> HostJson<'a> {
    let (state, why) = state(host.asked);
    let facts = host.facts();
    let unread = || host.why_silent().filter(|_| state == "answered");
    HostJson {
        node: &host.asked.node.0,
        hostname: &host.asked.hostname,
        state,
        why: why.or_else(unread),
        certificate_days_left: facts.and_then(|facts| Some(facts.certificate?.days_left(facts.at))),
        facts,
    }
}
