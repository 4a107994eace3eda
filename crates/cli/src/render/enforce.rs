//! What is enforced, and how its hosts are, as pages, and as [`json`].

mod json;

use super::Screen;
use crate::backend::Stream;
use crate::enforcement::EnforcementLook;
use crate::flags::quoted;
use crate::render::text::{Look, Page, Span, first_of, host_name, padded, short, width};
use crate::render::words;
use crate::{duration, given};
use careen_contract::label;
use careen_contract::settings::DEFAULT_PAYLOAD;
use careen_contract::standing::{EnforcePass, EnforceState, PathWatch, Standing};
use careen_planner::enforcement::hosts::{Coverage, EnforcedHost, LastWord, Uncovered};
use careen_planner::enforcement::{Beginning, Damage};
use careen_planner::names::Names;
use careen_planner::{Enforcement, EnforcementState, RolloutId};
use careen_swarm::EnforcementDraft;
use std::collections::BTreeMap;
use std::time::Duration;

/// So many names stand in a line.
const MOST_NAMES: usize = 8;

/// How wide words of others are at most.
const LONGEST: usize = 300;

/// Before one starts: what it is, and on which hosts. Programs are told when it has started.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Preview<'a> {
    pub draft: &'a EnforcementDraft,
    /// The hosts that are meant, before there is a task.
    pub hosts: &'a [EnforcedHost],
    /// How many nodes there are at all.
    pub nodes: usize,
    /// That nodes may not have the image.
    pub warning: Option<String>,
    /// The rollout that goes on.
    pub going_on: Option<&'a RolloutId>,
}

/// It started, or was there.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Begun<'a> {
    pub spec: &'a Enforcement,
    pub hosts: &'a [EnforcedHost],
    pub beginning: Beginning,
}

/// `careen enforce ls`.
#[derive(Debug, Clone, Copy)]
pub struct EnforcementList<'a>(pub &'a [EnforcementLook]);

/// `careen enforce status`.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct EnforcementPages<'a> {
    pub looks: &'a [EnforcementLook],
    pub names: &'a Names,
    /// How long hosts were waited for that are not in sync yet.
    pub waited: Option<Duration>,
}

/// Who is waited for; for people alone.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct WaitsForHosts<'a> {
    pub hosts: &'a [&'a EnforcedHost],
    /// For how long still.
    pub left: Duration,
}

/// What became of `pause`, `resume` and `stop`.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Steered<'a> {
    Paused { spec: &'a Enforcement },
    Resumed { spec: &'a Enforcement },
    Stopped { name: &'a str, removed: &'a [String] },
}

impl Screen for Preview<'_> {
    fn text(&self, page: &mut Page) {
        let spec = &self.draft.spec;
        page.line(format!("enforces {} {}: {}", spec.name, spec.version, payload(spec)));
        if spec.image_name.is_some() {
            page.line(format!("image    {}", spec.image));
        }
        for (name, list) in listed(self.draft) {
            page.line(format!("{name:<8} {list}"));
        }
        what_is_owned(spec, page);
        let (covered, others): (Vec<_>, Vec<_>) = self.hosts.iter().partition(|host| is_to_be_covered(host));
        let names: Vec<String> = covered.iter().map(|host| host_name(&host.hostname)).collect();
        let (count, nodes) = (covered.len(), self.nodes);
        page.line(match count {
            0 => Span::new(Look::Warn, format!("hosts    none of {nodes} now")),
            _ => Span::from(format!("hosts    {count} of {nodes}: {}", first_of(&names, MOST_NAMES))),
        });
        for host in others {
            if let Coverage::Not(why) = &host.coverage {
                let words = format!("not {}: {}", host_name(&host.hostname), uncovered(why));
                page.line(Span::new(Look::Warn, format!("         {words}")));
            }
        }
        if let Some(warning) = &self.warning {
            page.line(Span::new(Look::Warn, format!("note     {warning}")));
        }
        if let Some(rollout) = self.going_on {
            let words = "is under way: a host is left alone while that works on it";
            page.line(Span::new(Look::Warn, format!("note     the rollout {rollout} {words}")));
        }
    }

    fn json(&self) -> serde_json::Result<String> {
        Ok(String::new())
    }
}

impl Screen for Begun<'_> {
    fn text(&self, page: &mut Page) {
        let Enforcement { name, version, .. } = self.spec;
        let status = format!("'careen enforce status {name}' shows how each host is");
        page.line(match self.beginning {
            Beginning::New => format!("{name} {version} is enforced; {status}"),
            Beginning::Completed => {
                format!("{name} {version} is enforced again: its service was not there; {status}")
            }
            Beginning::Nothing => format!("{name} {version} is enforced already: nothing to do; {status}"),
        });
    }

    fn json(&self) -> serde_json::Result<String> {
        json::begun(self)
    }
}

impl Screen for EnforcementList<'_> {
    fn text(&self, page: &mut Page) {
        if self.0.is_empty() {
            page.line("nothing is enforced");
            return;
        }
        let head = ["NAME", "VERSION", "STATE", "AGENTS", "PAYLOAD"].map(Span::from).to_vec();
        let row = |look: &EnforcementLook| {
            let (state, mood) = match look.damage() {
                Some(damage) => (damage.to_string(), Look::Bad),
                None => look.spec().map_or((String::new(), Look::Plain), |(_, state)| state_words(state)),
            };
            let run = look.hosts.iter().filter(|host| matches!(host.coverage, Coverage::Covered(_))).count();
            let agents = format!("{run} of {}", look.hosts.len());
            let payload = look.spec().map(|(spec, _)| short(spec.called(), 80)).unwrap_or_default();
            vec![
                Span::from(look.found.name.clone()),
                Span::from(look.found.version.clone()),
                Span::new(mood, short(&state, 80)),
                Span::from(agents),
                Span::from(payload),
            ]
        };
        page.table(&std::iter::once(head).chain(self.0.iter().map(row)).collect::<Vec<_>>());
    }

    fn json(&self) -> serde_json::Result<String> {
        json::list(self.0)
    }
}

impl Screen for EnforcementPages<'_> {
    fn text(&self, page: &mut Page) {
        if self.looks.is_empty() {
            page.line("nothing is enforced");
        }
        for (number, look) in self.looks.iter().enumerate() {
            if number > 0 {
                page.gap();
            }
            one(look, self.names, page);
        }
        if let Some(limit) = self.waited {
            let limit = duration::text(limit);
            page.line(Span::new(Look::Warn, format!("not every host came to be in sync within {limit}")));
        }
    }

    fn json(&self) -> serde_json::Result<String> {
        json::pages(self)
    }
}

impl Screen for WaitsForHosts<'_> {
    fn text(&self, page: &mut Page) {
        let told = |host: &&EnforcedHost| {
            format!("{} ({})", host_name(&host.hostname), short(&host_words(host).1, LONGEST))
        };
        let told: Vec<String> = self.hosts.iter().map(told).collect();
        let left = duration::text(Duration::from_secs(self.left.as_secs()));
        page.line(format!("waiting for {}, {left} at most", first_of(&told, 3)));
    }

    fn json(&self) -> serde_json::Result<String> {
        Ok(String::new())
    }

    fn stream(&self) -> Stream {
        Stream::Stderr
    }
}

impl Screen for Steered<'_> {
    fn text(&self, page: &mut Page) {
        match self {
            Self::Paused { spec: Enforcement { name, version, .. } } => page.line(format!(
                "{name} {version} is paused: its agents leave their hosts; 'careen enforce resume {name}' brings them back"
            )),
            Self::Resumed { spec: Enforcement { name, version, .. } } => page.line(format!(
                "{name} {version} is enforced again; 'careen enforce status {name}' shows how each host is"
            )),
            Self::Stopped { name, removed } => {
                page.line(format!("{} is not enforced any more; removed from the swarm:", short(name, 80)));
                removed.iter().for_each(|one| page.line(format!("  {}", short(one, 80))));
                page.line(
                    "on the hosts stays what 'install' did, and what careen remembers of it there ('careen-agent uninstall' removes \
                     that)",
                );
            }
        }
    }

    fn json(&self) -> serde_json::Result<String> {
        json::steered(self)
    }
}

fn payload(spec: &Enforcement) -> String {
    let directory = spec.payload.as_deref().filter(|payload| *payload != DEFAULT_PAYLOAD);
    let directory = directory.map(|payload| format!(" {payload}")).unwrap_or_default();
    let args = spec.args.iter().map(|arg| format!(" {}", quoted(arg))).collect::<String>();
    format!("check and install of {}{directory}{}", short(spec.called(), LONGEST), short(&args, LONGEST))
}

/// What hosts get besides the image.
fn listed(draft: &EnforcementDraft) -> Vec<(&'static str, String)> {
    let given = &draft.spec.given;
    let directory = format!("{DEFAULT_PAYLOAD}/");
    let file = |target: &str| target.strip_prefix(&directory).unwrap_or(target).to_owned();
    let all = [
        ("files", draft.files.iter().map(|one| file(&one.target)).collect::<Vec<_>>()),
        ("env", given.environment.iter().map(|one| given::name_of(one).to_owned()).collect()),
        ("secrets", given.secrets.iter().map(|one| one.name.clone()).collect()),
        ("configs", given.configs.iter().map(|one| one.name.clone()).collect()),
    ];
    let named = all.into_iter().filter(|(_, names)| !names.is_empty());
    named.map(|(kind, names)| (kind, first_of(&names, MOST_NAMES))).collect()
}

fn what_is_owned(spec: &Enforcement, page: &mut Page) {
    let often = duration::text(spec.interval);
    match spec.owns.is_empty() {
        true => page.line(format!("owns     no path: each host is checked every {often}")),
        false => {
            let paths: Vec<String> = spec.owns.iter().map(|path| short(path, 80)).collect();
            page.line(format!("owns     {}", first_of(&paths, MOST_NAMES)));
            page.line(format!("checked  when one of them changes, and every {often}"));
        }
    }
}

/// Whether a task is going to be placed there.
fn is_to_be_covered(host: &EnforcedHost) -> bool {
    matches!(host.coverage, Coverage::Covered(_) | Coverage::Not(Uncovered::NotPlaced))
}

/// How one is in the swarm, in a few words.
fn state_words(state: &EnforcementState) -> (String, Look) {
    match state {
        EnforcementState::Running {} => ("running".to_owned(), Look::Good),
        EnforcementState::Paused { by, since } => {
            (format!("paused by {} at {}", short(by, 40), when(*since)), Look::Warn)
        }
        EnforcementState::Updating { to, rollout } => {
            (format!("being updated to {to} by the rollout {rollout}"), Look::Warn)
        }
        EnforcementState::Coming { from, rollout } => {
            (format!("brought in place of {from} by the rollout {rollout}"), Look::Warn)
        }
    }
}

/// What a damage leads to.
fn mends(damage: &Damage, name: &str) -> String {
    let stop = format!("'careen enforce stop {name}'");
    match damage {
        Damage::NoService => {
            format!("the same call as before brings it back; {stop} removes the rest")
        }
        Damage::NoConfig | Damage::Unreadable { .. } => format!("{stop} removes what is left of it"),
        Damage::Changed { .. } => format!("{stop}, and then the same call as before, makes it anew"),
        Damage::NotStopped => format!("'careen enforce pause {name}' stops them"),
        Damage::Stopped => format!("'careen enforce resume {name}' gives it its hosts back"),
    }
}

fn one(look: &EnforcementLook, names: &Names, page: &mut Page) {
    let (name, version) = (&look.found.name, &look.found.version);
    match look.spec() {
        Some((spec, state)) => {
            let (words, mood) = state_words(state);
            page.spans(&[Span::from(format!("{name} {version}  ")), Span::new(mood, words)]);
            if let EnforcementState::Updating { .. } = state {
                page.line(format!(
                    "         when no rollout goes on: 'careen enforce update {name}' with the same payload goes on, 'careen enforce \
                     update {name} --back' takes it back"
                ));
            }
            page.line(format!("payload  {}", payload(spec)));
            what_is_owned(spec, page);
        }
        None => page.line(format!("{name} {version}")),
    }
    if let Some(damage) = look.damage() {
        let words = short(&damage.to_string(), LONGEST);
        page.line(Span::new(Look::Bad, format!("damaged  {words}: {}", mends(&damage, name))));
    }
    if let Some(protocol) = &look.other_protocol {
        let has = if protocol.is_empty() { "no contract" } else { "another contract" };
        page.line(Span::new(
            Look::Warn,
            format!(
                "image    it is made for {has}, and this careen reads {}: build it anew, and enforce that",
                label::THIS_PROTOCOL
            ),
        ));
    }
    if let Some((spec, _)) = look.spec() {
        totals(look, page);
        let (told, quiet): (Vec<&EnforcedHost>, Vec<&EnforcedHost>) =
            look.hosts.iter().partition(|host| is_worth_a_line(host));
        let widest = told.iter().map(|host| width(&host_name(&host.hostname))).max().unwrap_or(0);
        told.iter().for_each(|host| self::host(host, spec, names, widest, page));
        let quiet: Vec<String> = quiet.iter().map(|host| host_name(&host.hostname)).collect();
        if !quiet.is_empty() {
            page.line(Span::new(Look::Good, format!("in sync: {}", first_of(&quiet, MOST_NAMES))));
        }
    }
}

/// How many hosts are how, and what was mended in all.
fn totals(look: &EnforcementLook, page: &mut Page) {
    let mut counts: BTreeMap<(usize, &'static str), usize> = BTreeMap::new();
    look.hosts.iter().for_each(|host| *counts.entry(kind(host)).or_default() += 1);
    let counted: Vec<String> = counts.iter().map(|((_, kind), count)| format!("{count} {kind}")).collect();
    let mended: u32 = look.hosts.iter().filter_map(EnforcedHost::said).map(|said| said.mended).sum();
    let mended = match mended {
        0 => String::new(),
        1 => "; drift was mended once".to_owned(),
        times => format!("; drift was mended {times} times"),
    };
    let (count, all) =
        (look.hosts.len(), if counted.is_empty() { "none".to_owned() } else { counted.join(", ") });
    page.line(format!("hosts    {count}: {all}{mended}"));
}

/// In sync, and nothing else to be told.
fn is_worth_a_line(host: &EnforcedHost) -> bool {
    let quiet = |said: &Standing| {
        said.mended == 0 && said.notes.is_empty() && !matches!(said.watch, PathWatch::Interval { .. })
    };
    !(host.is_in_sync() && host.said().is_some_and(quiet))
}

/// In which order kinds are counted, and what each is called.
fn kind(host: &EnforcedHost) -> (usize, &'static str) {
    match &host.coverage {
        Coverage::Covered(LastWord::Said(said)) => match said.state {
            EnforceState::InSync => (0, "in sync"),
            EnforceState::Looking => (1, "looking"),
            EnforceState::Mending => (2, "mending"),
            EnforceState::HostBusy => (3, "waiting for their host"),
            EnforceState::Failing => (4, "failing"),
            EnforceState::GaveUp => (5, "gave up"),
            EnforceState::NeedsRollout => (6, "in need of a rollout"),
            EnforceState::Unknown => (7, "unknown"),
        },
        Coverage::Covered(LastWord::Nothing | LastWord::Unread { .. }) => (8, "silent"),
        Coverage::Covered(LastWord::Unintelligible) => (9, "not understood"),
        Coverage::Not(_) => (10, "not covered"),
    }
}

/// How a host is, in words.
fn host_words(host: &EnforcedHost) -> (Look, String) {
    match &host.coverage {
        Coverage::Covered(LastWord::Said(said)) => {
            let (look, words) = said_words(said);
            let why = said.why.as_ref().map(|why| format!(": {}", short(why, LONGEST))).unwrap_or_default();
            (look, format!("{words}{why}"))
        }
        Coverage::Covered(LastWord::Nothing) => (Look::Warn, "its agent has said nothing yet".to_owned()),
        Coverage::Covered(LastWord::Unread { why }) => {
            (Look::Warn, format!("what its agent says cannot be read now: {}", short(why, LONGEST)))
        }
        Coverage::Covered(LastWord::Unintelligible) => {
            (Look::Bad, "its agent says nothing that this careen understands".to_owned())
        }
        Coverage::Not(why) => (Look::Warn, format!("not covered: {}", uncovered(why))),
    }
}

fn said_words(said: &Standing) -> (Look, &'static str) {
    match said.state {
        EnforceState::InSync => (Look::Good, "in sync"),
        EnforceState::Looking => (Look::Warn, "its first check is under way"),
        EnforceState::Mending => (Look::Warn, "mending"),
        EnforceState::HostBusy => (Look::Warn, "waiting for another transaction on its host"),
        EnforceState::Failing => (Look::Bad, "failing"),
        EnforceState::GaveUp => (Look::Bad, "gave up"),
        EnforceState::NeedsRollout => (Look::Bad, "needs a rollout"),
        EnforceState::Unknown => (Look::Bad, "unknown"),
    }
}

/// Why no agent runs on a host.
fn uncovered(why: &Uncovered) -> String {
    match why {
        Uncovered::Stopped => "the enforcement is paused".to_owned(),
        Uncovered::NoService => "there is no service".to_owned(),
        Uncovered::Down => "its node is down".to_owned(),
        Uncovered::Drained => "its node is drained".to_owned(),
        Uncovered::Paused => "its node is paused, and Swarm starts nothing new there".to_owned(),
        Uncovered::Unfit(skip) => words::skip(*skip).to_owned(),
        Uncovered::NoImage { why } => format!("its engine has no such image: {}", short(why, LONGEST)),
        Uncovered::Fails { why } => format!("its agent ends: {}", short(why, LONGEST)),
        Uncovered::OnItsWay => "its agent is starting".to_owned(),
        Uncovered::NotPlaced => "Swarm has not placed an agent there yet".to_owned(),
    }
}

/// What an operator types for a host, where careen knows.
fn next(host: &EnforcedHost, spec: &Enforcement, names: &Names) -> Option<String> {
    let typed = names.typed(&host.node);
    match &host.coverage {
        Coverage::Covered(LastWord::Said(said)) if said.state == EnforceState::NeedsRollout => {
            Some(rollout(spec, &typed))
        }
        Coverage::Not(Uncovered::Drained | Uncovered::Paused) => {
            Some(format!("docker node update --availability active {typed}"))
        }
        Coverage::Covered(_) | Coverage::Not(_) => None,
    }
}

/// The rollout that does what an enforcing agent may not. What has no room in a line is left to be put in.
fn rollout(spec: &Enforcement, node: &str) -> String {
    let room = |text: String, left: &str| if text.chars().count() > LONGEST { left.to_owned() } else { text };
    let image = room(quoted(spec.called()), "IMAGE");
    let directory = if spec.given.files.is_empty() { "" } else { " --dir DIRECTORY" };
    let variables =
        spec.given.environment.iter().map(|one| format!(" --env {}", quoted(given::name_of(one))));
    let secrets = spec.given.secrets.iter().map(|one| format!(" --secret {}", quoted(&one.name)));
    let configs = spec.given.configs.iter().map(|one| format!(" --config {}", quoted(&one.name)));
    let more = room(variables.chain(secrets).chain(configs).collect(), " --env …");
    let args = room(spec.args.iter().map(|arg| format!(" {}", quoted(arg))).collect(), " ARGS");
    let args = if args.is_empty() { args } else { format!(" --{args}") };
    format!("careen run --image {image}{directory} --node {node}{more}{args}")
}

fn host(host: &EnforcedHost, spec: &Enforcement, names: &Names, widest: usize, page: &mut Page) {
    let (look, words) = host_words(host);
    let name = padded(&host_name(&host.hostname), widest);
    page.spans(&[Span::from(format!("{name}  ")), Span::new(look, words)]);
    let note = |page: &mut Page, text: String| page.line(Span::new(Look::Dim, format!("    {text}")));
    if let Some(said) = host.said() {
        if let Some(text) = passes(said) {
            note(page, text);
        }
        if let PathWatch::Interval { why } = &said.watch {
            let often = duration::text(spec.interval);
            note(
                page,
                format!("its paths are not watched, it is checked every {often}: {}", short(why, LONGEST)),
            );
        }
        said.notes.iter().for_each(|one| note(page, format!("note: {}", short(one, LONGEST))));
        let failed = !matches!(said.state, EnforceState::InSync | EnforceState::Mending);
        for line in said.last.iter().filter(|_| failed).flat_map(|last| &last.lines) {
            page.line(format!("    | {}", short(line, LONGEST)));
        }
    }
    if let Some(command) = next(host, spec, names) {
        page.line(format!("    {command}"));
    }
}

/// What was done on a host: the passes that mended drift are told apart from the one that brought the version.
fn passes(said: &Standing) -> Option<String> {
    let times = match said.mended {
        0 => None,
        1 => Some("drift was mended once".to_owned()),
        times => Some(format!("drift was mended {times} times")),
    };
    let last = said.last.as_ref().map(pass_words);
    match (times, last) {
        (Some(times), Some(last)) => Some(format!("{times}; last {last}")),
        (Some(times), None) => Some(times),
        (None, last) => last.map(|last| format!("last {last}")),
    }
}

fn pass_words(pass: &EnforcePass) -> String {
    let EnforcePass { corrective, at, took_ms, exit, transaction, paths, lines: _ } = pass;
    let what = if *corrective { "mended" } else { "brought" };
    let ended = match exit {
        0 => String::new(),
        status => format!(" with exit code {status}"),
    };
    let paths: Vec<String> = paths.iter().map(|path| short(path, 80)).collect();
    let paths = if paths.is_empty() { String::new() } else { format!(": {}", first_of(&paths, 4)) };
    let (seconds, tenth) = (took_ms / 1000, took_ms % 1000 / 100);
    format!("{what} at {} in {seconds}.{tenth} s{ended} ({}){paths}", when(*at), short(transaction, 60))
}

/// A time in seconds since 1970, as it stands in lines.
fn when(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "no time".to_owned(), |time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}
