//! `careen show`: what was asked of a rollout that is over, who asked, and what came of it on each node. Pure.

use super::Screen;
use crate::backend::{EndedNode, Summary};
use crate::flags::flags;
use crate::known::seconds;
use crate::parity::Parity;
use crate::render::history::{RunJson, counted};
use crate::render::status::{control_look, ended_as, result_of, stage_look, to_the_second, totals};
use crate::render::text::{Look, Page, Span, json_page, short, span};
use crate::render::{parity, words};
use careen_planner::observed::NodeOutcome;
use careen_planner::{NodeState, Spec};
use careen_swarm::KeptFile;
use serde::Serialize;

/// So many columns a name may take, a line, and what was typed: that is read again to know what was done.
const NAME: usize = 40;
const LINE: usize = 200;
const TYPED: usize = 4000;
const BY: usize = 80;

/// `careen show RUN [NODE]`.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Recorded<'a> {
    pub summary: &'a Summary,
    /// This one alone.
    pub node: Option<&'a EndedNode>,
}

#[derive(Debug, Serialize)]
struct RecordedJson<'a> {
    rollout: RecordJson<'a>,
}

#[derive(Debug, Serialize)]
struct RecordJson<'a> {
    #[serde(flatten)]
    run: RunJson<'a>,
    flags: Vec<String>,
    files: &'a [KeptFile],
    parity: Option<&'a Parity>,
    spec: &'a Spec,
    nodes: Vec<NodeJson<'a>>,
}

#[derive(Debug, Serialize)]
struct NodeJson<'a> {
    node: &'a str,
    hostname: &'a str,
    state: &'static str,
    stage: &'a NodeState,
    #[serde(rename = "try")]
    generation: u32,
    seconds: Option<u64>,
    record: Option<&'a str>,
    transaction: Option<&'a str>,
    tries: Vec<TryJson<'a>>,
}

#[derive(Debug, Serialize)]
struct TryJson<'a> {
    #[serde(rename = "try")]
    generation: u32,
    outcome: &'a NodeOutcome,
    seconds: Option<u64>,
    record: Option<&'a str>,
}

impl Screen for Recorded<'_> {
    fn text(&self, page: &mut Page) {
        page.cut_lines();
        match self.node {
            Some(node) => of_node(self.summary, node, page),
            None => of_rollout(self.summary, page),
        }
    }

    fn json(&self) -> serde_json::Result<String> {
        let summary = self.summary;
        let nodes: Vec<&EndedNode> = match self.node {
            Some(node) => vec![node],
            None => summary.nodes.iter().collect(),
        };
        json_page(&RecordedJson { rollout: record_json(summary, nodes) })
    }
}

/// `careen inspect RUN…`: an array, as docker's `inspect` prints, for people and programs alike.
#[derive(Debug, Clone)]
pub struct Inspected<'a>(pub Vec<&'a Summary>);

impl Screen for Inspected<'_> {
    fn text(&self, page: &mut Page) {
        // Texts and numbers: there is nothing in it that JSON cannot say.
        self.json().unwrap_or_default().lines().for_each(|line| page.line(line));
    }

    fn json(&self) -> serde_json::Result<String> {
        let all = self.0.iter().map(|summary| record_json(summary, summary.nodes.iter().collect()));
        json_page(&all.collect::<Vec<_>>())
    }
}

fn record_json<'a>(summary: &'a Summary, nodes: Vec<&'a EndedNode>) -> RecordJson<'a> {
    let record = summary.record.as_ref();
    RecordJson {
        run: RunJson::of(summary),
        flags: flags(&summary.spec),
        files: record.map(|record| &*record.files).unwrap_or_default(),
        parity: record.and_then(|record| record.parity.as_ref()),
        spec: &summary.spec,
        nodes: nodes.into_iter().map(node_json).collect(),
    }
}

fn node_json(node: &EndedNode) -> NodeJson<'_> {
    let tries = node.tries.iter().map(|result| TryJson {
        generation: result.generation,
        outcome: &result.outcome,
        seconds: result.seconds,
        record: result.record.as_deref(),
    });
    NodeJson {
        node: &node.node.0,
        hostname: &node.hostname,
        state: node.state(),
        stage: &node.stage,
        generation: node.generation,
        seconds: node.seconds,
        record: node.record.as_deref(),
        transaction: node.transaction.as_deref(),
        tries: tries.collect(),
    }
}

fn of_rollout(summary: &Summary, page: &mut Page) {
    page.line(format!("rollout {}: {}", summary.spec.id, short(&words::payload(&summary.spec), TYPED)));
    let (look, state) = (control_look(Some(&summary.control)), words::control(Some(&summary.control)));
    page.spans(&[Span::new(look, state), format!(": {}", totals(&counted(&summary.nodes))).into()]);
    page.gap();
    asked(summary, page);
    if !summary.nodes.is_empty() {
        page.gap();
        table(&summary.nodes, page);
    }
    parity::page(summary.record.as_ref().and_then(|record| record.parity.as_ref()), page);
    for node in by_name(&summary.nodes).into_iter().filter(|node| node.has_failed()) {
        page.gap();
        let why = words::why_ended(&node.stage).unwrap_or_default();
        page.spans(&[Span::new(Look::Bad, short(&node.hostname, NAME)), format!(": {why}").into()]);
        lines(node.record.as_deref().unwrap_or("nothing was heard of why"), page);
    }
    let files = summary.record.iter().flat_map(|record| &record.files);
    for (file, text) in files.filter_map(|file| Some((file, file.text.as_ref()?))) {
        page.gap();
        page.line(format!("{}:", short(&file.target, LINE)));
        lines(text, page);
    }
}

/// What was asked, by whom, and when.
fn asked(summary: &Summary, page: &mut Page) {
    let mut line = |name: &str, text: String| page.line(format!("{name:<10} {}", short(&text, LINE)));
    if let Some(by) = &summary.by {
        line("by", format!("{} (as they said)", short(by, BY)));
    }
    if let Some(submitted) = &summary.submitted {
        line("submitted", to_the_second(submitted));
    }
    match &summary.record {
        Some(record) => {
            let took = seconds(summary).map_or_else(String::new, |took| format!(", after {}", span(took)));
            line("ended", format!("{}{took}", to_the_second(&record.ended)));
        }
        None => line("record", "it is not in the swarm".to_owned()),
    }
    line("image", summary.spec.image.clone());
    let flags = flags(&summary.spec);
    if !flags.is_empty() {
        page.line(format!("{:<10} {}", "flags", short(&flags.join(" "), TYPED)));
    }
    let mut line = |name: &str, text: String| page.line(format!("{name:<10} {}", short(&text, LINE)));
    for file in summary.record.iter().flat_map(|record| &record.files) {
        line("file", what_is_known(file));
    }
}

fn what_is_known(file: &KeptFile) -> String {
    let size =
        file.bytes.map_or_else(|| "its content is not known".to_owned(), |bytes| format!("{bytes} bytes"));
    // Where the text is shown nobody needs the digest of it.
    let digest = file.sha256.as_ref().filter(|_| file.text.is_none());
    let digest = digest.map_or_else(String::new, |sha256| format!(", sha256:{sha256}"));
    format!("{}, mode {:04o}, {size}{digest}", file.target, file.mode)
}

fn by_name(nodes: &[EndedNode]) -> Vec<&EndedNode> {
    let mut nodes: Vec<&EndedNode> = nodes.iter().collect();
    nodes.sort_by(|a, b| a.hostname.cmp(&b.hostname));
    nodes
}

fn table(nodes: &[EndedNode], page: &mut Page) {
    let header = ["NODE", "STATE", "TRY", "TOOK", "RESULT"].map(|text| Span::new(Look::Dim, text)).to_vec();
    let row = |node: &EndedNode| {
        vec![
            short(&node.hostname, NAME).into(),
            Span::new(stage_look(&node.stage), ended_as(node)),
            node.generation.to_string().into(),
            node.seconds.map_or_else(|| "-".to_owned(), span).into(),
            short(&result_of(node), LINE).into(),
        ]
    };
    let rows: Vec<Vec<Span>> = std::iter::once(header).chain(by_name(nodes).into_iter().map(row)).collect();
    page.table(&rows);
}

/// Several lines that a host or a file has.
fn lines(text: &str, page: &mut Page) {
    text.lines().for_each(|line| page.line(format!("    | {}", short(line, LINE))));
}

fn of_node(summary: &Summary, node: &EndedNode, page: &mut Page) {
    let why = words::why_ended(&node.stage).map_or_else(String::new, |why| format!(": {why}"));
    let (host, id) = (short(&node.hostname, NAME), short(&node.node.0, NAME));
    page.spans(&[
        format!("{host} ({id}) in the rollout {}: ", summary.spec.id).into(),
        Span::new(stage_look(&node.stage), ended_as(node)),
        why.into(),
    ]);
    for result in &node.tries {
        let took = result.seconds.map_or_else(String::new, |took| format!(" after {}", span(took)));
        page.line(format!("try {}: {}{took}", result.generation, outcome(&result.outcome)));
        result.record.iter().for_each(|record| lines(record, page));
    }
    if !node.tries.iter().any(|result| result.generation == node.generation) {
        page.line(format!("try {}: no result", node.generation));
        node.record.iter().for_each(|record| lines(record, page));
    }
    if let Some(id) = &node.transaction {
        page.line(format!("all that it printed is on its host: careen-agent logs {id}"));
    }
}

/// How a try ended on its host.
fn outcome(outcome: &NodeOutcome) -> String {
    let rolled_back = match outcome {
        NodeOutcome::Failed { rolled_back: Some(true), .. } => "; its work was rolled back",
        NodeOutcome::Failed { rolled_back: Some(false), .. } => "; the rollback failed, too",
        NodeOutcome::Failed { rolled_back: None, .. } | NodeOutcome::Succeeded | NodeOutcome::InSync => "",
    };
    format!("{}{rolled_back}", words::ended(outcome))
}
