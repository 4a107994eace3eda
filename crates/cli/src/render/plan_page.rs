//! What a rollout would do, as a page and as JSON. Pure.

use crate::given::name_of;
use crate::render::Screen;
use crate::render::down;
use crate::render::plan_risks;
use crate::render::plan_waves::Waves;
use crate::render::probe::{self, HostProbe};
use crate::render::text::{Look, Page, Span, first_of, json_page};
use crate::render::{time, words};
use careen_contract::payload::{CHECK_COMMAND, has_a_check};
use careen_planner::enforcement::enforced;
use careen_planner::estimate::Estimate;
use careen_planner::moves::Moves;
use careen_planner::names::Names;
use careen_planner::plan::{NodeLoad, Plan, PlanRefusal, PlannedWave, Risk, Warning};
use careen_planner::probe::Probe;
use careen_planner::{Indexed, Observed, Parallelism, RolloutId, Spec};
use careen_swarm::{Draft, PayloadFile};
use serde::Serialize;
use std::collections::BTreeSet;

/// `careen plan`: what a rollout would do.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Planned<'a> {
    pub plan: &'a Plan,
    pub draft: &'a Draft,
    pub observed: &'a Observed,
    /// What hosts said, where they were asked.
    pub probe: Option<&'a Probe>,
    /// Another rollout, which refuses this one.
    pub going_on: Option<&'a RolloutId>,
    /// Whether each node is shown by itself, however many there are.
    pub verbose: bool,
}

impl Screen for Planned<'_> {
    fn text(&self, page: &mut Page) {
        page.break_lines(true);
        self::page(self, page);
        page.break_lines(false);
    }

    fn json(&self) -> serde_json::Result<String> {
        json_page(&json(self))
    }
}

/// So many enforcements are named.
const MOST_ENFORCED: usize = 8;

/// The page. The observed swarm gives the nodes' names.
pub fn page(planned: &Planned<'_>, page: &mut Page) {
    page.cut_lines();
    let Planned { plan, draft, observed, probe, going_on: _, verbose } = *planned;
    let names = Names::of(observed);
    let seen = Indexed::of(observed);
    let spec = &draft.spec;
    page.line(format!("payload  {}", words::payload(spec)));
    if spec.image_name.is_some() {
        page.line(format!("image    {}", spec.image));
    }
    for (name, list) in Listed::of(draft).lines() {
        page.line(format!("{name:<8} {list}"));
    }
    if let Some(Moves { enforcement, from, to }) = &spec.moves {
        page.line(format!("enforces {enforcement} {to} in the place of {from}, node by node; nodes that take no part get it at the end"));
    }
    let nodes: usize = plan.waves.iter().map(|wave| wave.nodes.len()).sum();
    let waves = if plan.waves.len() == 1 { "wave" } else { "waves" };
    page.line(format!("nodes    {nodes}, in {} {waves}{}", plan.waves.len(), part(plan, spec)));
    if let Some(time) = time::of_all(&plan.estimate, &spec.policy) {
        page.line(format!("time     {time}"));
    }
    if let Some(probe) = probe {
        page.line(format!("asked    {}", probe::total(probe)));
    }
    if let Some(check) = checked_first(draft, probe) {
        page.line(format!("check    {check}"));
    }
    if let Some(enforced) = all_enforced(observed) {
        page.line(format!("enforced {enforced}"));
    }
    if plan.short {
        page.line("way      short: nothing is drained or restarted, so all nodes of a wave begin at once");
    }
    let down = if verbose { BTreeSet::new() } else { down::of_plan(plan) };
    plan_risks::lines(plan, &names, &down, page);
    Waves { plan, seen: &seen, names: &names, probe, down: &down, verbose }.text(page);
    if !plan.skipped.is_empty() {
        page.gap();
    }
    for node in &plan.skipped {
        let reason = node.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        page.line(format!("left out: {}, {}{reason}", names.shown(&node.node), words::skip(node.why)));
    }
    if !plan.warnings.is_empty() || !plan.refusals.is_empty() {
        page.gap();
    }
    let is_folded = |warning: &&Warning| matches!(warning, Warning::NodeDown { node } if down.contains(node));
    for warning in plan.warnings.iter().filter(|warning| !is_folded(warning)) {
        page.spans(&[Span::new(Look::Warn, "warning: "), names.in_text(&warning.to_string()).into()]);
    }
    if !down.is_empty() {
        // In the order in which they have their turn.
        let nodes = plan.waves.iter().flat_map(|wave| &wave.nodes).filter(|node| down.contains(&node.node));
        let nodes: Vec<String> = nodes.map(|node| names.shown(&node.node)).collect();
        let then = ": their turns are the last, and each fails if it does not come back for it";
        page.spans(&[Span::new(Look::Warn, "warning: "), down::line(&nodes, then).into()]);
    }
    for refusal in &plan.refusals {
        page.spans(&[Span::new(Look::Bad, "refused: "), names.in_text(&refusal.to_string()).into()]);
    }
}

/// What hosts keep themselves to meanwhile.
fn all_enforced(observed: &Observed) -> Option<String> {
    let enforced = enforced(&observed.services);
    let names: Vec<String> = enforced.iter().map(|(name, version)| format!("{name} {version}")).collect();
    (!names.is_empty()).then(|| first_of(&names, MOST_ENFORCED))
}

/// That hosts which are in sync are left as they are, as far as the payload may have a `check`: of one that comes as files it is known.
fn checked_first(draft: &Draft, probe: Option<&Probe>) -> Option<String> {
    let spec = &draft.spec;
    let is_check = |file: &PayloadFile| file.target.strip_prefix("/install/") == Some(CHECK_COMMAND);
    let delivered = !draft.files.is_empty();
    if spec.force || !has_a_check(&spec.command) || (delivered && !draft.files.iter().any(is_check)) {
        return None;
    }
    let known = delivered || probe.is_some();
    let whether = if known { "" } else { " if the payload has a check" };
    Some(format!("a host with nothing to do is left as it is{whether}; --force works on it, too"))
}

/// How many a part of the nodes is. A number was typed as it is.
fn part(plan: &Plan, spec: &Spec) -> String {
    let nodes = if plan.places == 1 { "node" } else { "nodes" };
    match spec.policy.parallelism {
        Parallelism::Nodes(_) => String::new(),
        Parallelism::Percent(percent) => format!(", {percent} % ({} {nodes}) at a time", plan.places),
    }
}

/// `careen plan --format json`.
#[derive(Debug, Serialize)]
pub struct PlanJson<'a> {
    refused: bool,
    going_on: Option<&'a str>,
    image: &'a str,
    image_name: Option<&'a str>,
    command: &'a str,
    args: &'a [String],
    given: Listed<'a>,
    short: bool,
    parallelism: Parallelism,
    at_a_time: usize,
    estimate: &'a Estimate,
    waves: &'a [PlannedWave],
    risks: Vec<Said<'a, Risk>>,
    loads: &'a [NodeLoad],
    /// What hosts said; `null` where they were not asked.
    probe: Option<Vec<HostProbe<'a>>>,
    skipped: &'a [careen_planner::plan::SkippedNode],
    refusals: Vec<Said<'a, PlanRefusal>>,
    warnings: Vec<Said<'a, Warning>>,
}

/// What hosts get besides the image, by name: values of variables are nobody's business here.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    files: Vec<&'a str>,
    secrets: Vec<&'a str>,
    configs: Vec<&'a str>,
    environment: Vec<&'a str>,
    registry_auth: bool,
}

/// So many names of a kind are shown on a page.
const SHOWN: usize = 6;

impl<'a> Listed<'a> {
    fn of(draft: &'a Draft) -> Self {
        let given = &draft.spec.given;
        let below = |file: &'a PayloadFile| file.target.strip_prefix("/install/").unwrap_or(&file.target);
        Self {
            files: draft.files.iter().map(below).collect(),
            secrets: given.secrets.iter().map(|file| file.name.as_str()).collect(),
            configs: given.configs.iter().map(|file| file.name.as_str()).collect(),
            environment: given.environment.iter().map(|variable| name_of(variable)).collect(),
            registry_auth: given.registry_auth,
        }
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let lists = [
            ("files", &self.files),
            ("secrets", &self.secrets),
            ("configs", &self.configs),
            ("env", &self.environment),
        ];
        let lists = lists.into_iter().filter(|(_, names)| !names.is_empty());
        let mut lines: Vec<_> = lists.map(|(name, names)| (name, first_of(names, SHOWN))).collect();
        if self.registry_auth {
            lines.push(("registry", "your credentials for it stay in the swarm until the end".to_owned()));
        }
        lines
    }
}

#[derive(Debug, Serialize)]
struct Said<'a, T> {
    #[serde(flatten)]
    what: &'a T,
    text: String,
}

/// The JSON. A rollout that is going on refuses every other one.
pub fn json<'a>(planned: &Planned<'a>) -> PlanJson<'a> {
    let Planned { plan, draft, observed, probe, going_on, verbose: _ } = *planned;
    let names = Names::of(observed);
    let spec = &draft.spec;
    PlanJson {
        refused: plan.is_refused() || going_on.is_some(),
        going_on: going_on.map(RolloutId::as_str),
        image: &spec.image,
        image_name: spec.image_name.as_deref(),
        command: &spec.command,
        args: &spec.args,
        given: Listed::of(draft),
        short: plan.short,
        parallelism: spec.policy.parallelism,
        at_a_time: plan.places,
        estimate: &plan.estimate,
        waves: &plan.waves,
        risks: plan.risks.iter().map(|what| said(what, &names)).collect(),
        loads: &plan.loads,
        probe: probe.map(probe::json),
        skipped: &plan.skipped,
        refusals: plan.refusals.iter().map(|what| said(what, &names)).collect(),
        warnings: plan.warnings.iter().map(|what| said(what, &names)).collect(),
    }
}

fn said<'a, T: std::fmt::Display>(what: &'a T, names: &Names) -> Said<'a, T> {
    Said { what, text: names.in_text(&what.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{cluster, manager, service, spec, task, worker};
    use careen_planner::estimate::Took;
    use careen_planner::observed::{Availability, Mode, Mount, MountKind, Service};
    use careen_planner::plan::plan;
    use careen_planner::{Given, GivenFile, NodeId};
    use std::time::Duration;

    fn text(observed: &Observed, spec: &Spec) -> String {
        text_of(observed, &Draft::of(spec.clone()))
    }

    fn text_of(observed: &Observed, draft: &Draft) -> String {
        let mut text = Page::new(false);
        let plan = &plan(observed, &draft.spec);
        page(&shown_as(plan, draft, observed), &mut text);
        text.into_text()
    }

    fn shown_as<'a>(plan: &'a Plan, draft: &'a Draft, observed: &'a Observed) -> Planned<'a> {
        Planned { plan, draft, observed, probe: None, going_on: None, verbose: false }
    }

    fn busy() -> Observed {
        let mut data = service("data", 1);
        data.mounts = vec![Mount { kind: MountKind::LocalVolume, source: "pg".into(), read_only: false }];
        let global = Service { mode: Mode::Global, ..service("global", 4) };
        let mut observed = cluster();
        observed.nodes = vec![manager("m1"), manager("m2"), manager("m3"), worker("w1"), worker("w2")];
        observed.nodes[4].availability = Availability::Drain;
        observed.services = vec![service("web", 2), data, global];
        let second = careen_planner::observed::Task { id: "web.2".into(), ..task("web", "w1") };
        observed.tasks = vec![task("web", "w1"), second, task("data", "w1")];
        observed
    }

    #[test]
    fn order_drain_moves_and_quorum() {
        let mut spec = spec();
        spec.selection.nodes = vec!["w1".into(), "w2".into(), "m1".into()];
        assert_eq!(
            text(&busy(), &spec),
            "\
payload  registry.example/update@sha256:00 install
nodes    3, in 3 waves
time     at least 45 s: 3 waves, each watched for 15 s; how long the work takes is not known yet
check    a host with nothing to do is left as it is if the payload has a check; --force works on it, too
at risk  not running while they move: data (w1)
blocked  1 node would wait: w1

wave 1
  w1 (worker), drained if a restart or reboot is needed
      web: moves to m1, m2 or m3 (2 tasks); none of its 2 tasks runs meanwhile
      data: moves to m1, m2 or m3, without its data in pg; nothing of it runs meanwhile
      would wait: data would start elsewhere without its data in pg: pin it, or use --allow-volume-moves

wave 2
  w2 (worker), kept out of service by its operator; active for moments
      Swarm may place there while it is active: global

wave 3: 2 of 3 managers take part meanwhile, 2 must
  m1 (manager, the leader), drained if a restart or reboot is needed
      web: moves to w1; 1 of 2 tasks runs meanwhile
"
        );
    }

    #[test]
    fn a_part_of_the_nodes_is_said_with_its_number() {
        let mut spec = spec();
        for (percent, said) in [("40%", "40 % (2 nodes)"), ("1%", "1 % (1 node)")] {
            spec.policy.parallelism = percent.parse().unwrap();
            let text = text(&busy(), &spec);
            assert!(text.contains(&format!("nodes    5, in 5 waves, {said} at a time\n")), "{text}");
        }
        let plan = plan(&busy(), &spec);
        let (draft, observed) = (&Draft::of(spec), &busy());
        let planned = shown_as(&plan, draft, observed);
        let json = serde_json::to_value(json(&planned)).unwrap();
        assert_eq!((&json["parallelism"], &json["at_a_time"]), (&"1%".into(), &1.into()));
    }

    #[test]
    fn what_is_known_of_the_time_is_said_with_its_source() {
        let (mut spec, observed) = (spec(), busy());
        let took = |rollout: &str, node: &str, seconds| Took {
            node: NodeId(node.into()),
            rollout: RolloutId::parse(rollout).unwrap(),
            seconds,
        };
        let all = ["m1", "m2", "m3", "w1", "w2"].map(|node| took("a1", node, 100));
        let both = [took("b2", "w1", 40), took("a1", "w2", 100)];
        let seconds = Duration::from_secs;
        for (monitor, delay, nodes, past, told) in [
            (
                15,
                0,
                5,
                &[][..],
                "at least 1 min: 5 waves, each watched for 15 s; how long the work takes is not known yet",
            ),
            (
                60,
                30,
                5,
                &[],
                "at least 7 min: 5 waves, each watched for 1 min, 30 s between them; how long the work takes is not known yet",
            ),
            (0, 0, 5, &[], "5 waves, one after the other; how long the work takes is not known yet"),
            (0, 30, 1, &[], "1 wave; how long the work takes is not known yet"),
            (
                15,
                30,
                1,
                &[],
                "at least 15 s: 1 wave, watched for 15 s; how long the work takes is not known yet",
            ),
            (
                15,
                0,
                5,
                &all,
                "about 9 min: 8 min of work, as timed in rollout a1; 5 waves, each watched for 15 s",
            ),
            (
                0,
                0,
                5,
                &both,
                "about 4 min: 4 min of work, as timed in rollouts a1, b2 (2 of these 5 nodes); 5 waves, one after the other",
            ),
        ] {
            (spec.policy.monitor, spec.policy.delay) = (seconds(monitor), seconds(delay));
            spec.selection.nodes = if nodes == 1 { vec!["w1".into()] } else { Vec::new() };
            let plan = plan(&observed, &spec).in_the_light_of(&spec.policy, past);
            let mut shown = Page::new(false);
            let draft = &Draft::of(spec.clone());
            let planned = shown_as(&plan, draft, &observed);
            page(&planned, &mut shown);
            let shown = shown.into_text();
            assert!(shown.contains(&format!("time     {told}\n")), "{told}\n{shown}");
        }
    }

    #[test]
    fn one_manager_alone_is_one_wave_without_numbers() {
        let mut observed = busy();
        observed.nodes.retain(|node| node.hostname == "m1");
        let text = text(&observed, &spec());
        assert!(
            text.contains("nodes    1, in 1 wave\n") && text.contains("wave 1: the only manager\n"),
            "{text}"
        );
        assert!(text.contains("warning: m1 is the only manager"), "{text}");
    }

    #[test]
    fn what_hosts_get_is_listed_without_the_values() {
        let file = |name: &str, target: &str| GivenFile {
            id: "x".into(),
            name: name.into(),
            target: target.into(),
            uid: "0".into(),
            gid: "0".into(),
            mode: 0o444,
        };
        let given = Given {
            environment: vec!["TOKEN=hush".into(), "A=".into()],
            files: Vec::new(),
            configs: Vec::new(),
            secrets: vec![file("db", "password")],
            registry_auth: true,
        };
        let file = |n: u8| PayloadFile {
            target: format!("/install/f{n}"),
            digest: String::new(),
            mode: 0o444,
            content: Vec::new(),
        };
        let draft = Draft { files: (0..8).map(file).collect(), ..Draft::of(Spec { given, ..spec() }) };
        let text = text_of(&cluster(), &draft);
        let expected = "\
files    f0, f1, f2, f3, f4, f5 and 2 more
secrets  db
env      TOKEN, A
registry your credentials for it stay in the swarm until the end
nodes ";
        assert!(text.contains(expected) && !text.contains("hush"), "{text}");
    }

    #[test]
    fn a_refusal_is_said_with_the_hosts_name_and_its_flag() {
        let mut observed = busy();
        observed.nodes.retain(|node| node.hostname == "m1" || node.hostname == "m2");
        observed.nodes[1].id = careen_planner::NodeId("f3tu280ls0gp01obdjoe97xy5".into());
        let text = text(&observed, &spec());
        assert!(
            text.contains(
                "refused: without m2 only 1 of 2 managers would take part, 2 must; --allow-quorum-loss"
            ),
            "{text}"
        );
        let plan = plan(&observed, &spec());
        let spec = spec();
        let draft = &Draft::of(spec);
        let planned = shown_as(&plan, draft, &observed);
        let json = serde_json::to_value(json(&planned)).unwrap();
        assert_eq!(json["refused"], true);
        assert_eq!(json["refusals"][0]["refusal"], "quorum-at-risk");
        let document = include_str!("../../../../docs/cli.md");
        let section = document.split("### plan").nth(1).unwrap().split("\n### ").next().unwrap();
        let wave = &json["waves"][0];
        for value in [&json, wave, &wave["nodes"][0], &wave["quorum"], &json["estimate"]] {
            for key in value.as_object().unwrap().keys() {
                assert!(section.contains(&format!("`{key}`")), "{key} is not documented");
            }
        }
    }
}
