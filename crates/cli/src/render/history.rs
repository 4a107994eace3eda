//! `careen history`: the rollouts that the swarm remembers, and whether what it remembers is what was written. Pure.

use super::Screen;
use crate::backend::{EndedNode, Summary};
use crate::known::seconds;
use crate::render::status::{control_look, to_the_second, totals};
use crate::render::text::{Look, Page, Span, json_page, short, span};
use crate::render::words;
use crate::view::Totals;
use careen_planner::rollout::{Control, RolloutOutcome};
use careen_swarm::{Before, Finding, Head, Verification};
use serde::Serialize;

/// So many columns a payload, and a name, may take in a list.
const PAYLOAD: usize = 60;
const NAME: usize = 40;

/// `careen history`.
#[derive(Debug, Clone, Copy)]
pub struct HistoryList<'a> {
    /// The rollouts, the newest first.
    pub known: &'a [Summary],
}

#[derive(Debug, Serialize)]
struct ListJson<'a> {
    rollouts: Vec<RunJson<'a>>,
}

/// A rollout in the list; `show` tells more of it.
#[derive(Debug, Serialize)]
pub struct RunJson<'a> {
    id: &'a str,
    image: &'a str,
    image_name: Option<&'a str>,
    command: &'a str,
    args: &'a [String],
    control: &'a Control,
    by: Option<&'a str>,
    submitted: Option<&'a str>,
    ended: Option<&'a str>,
    seconds: Option<u64>,
    totals: Option<Totals>,
    sha256: Option<&'a str>,
    before: Option<&'a Before>,
}

impl<'a> RunJson<'a> {
    /// Of one rollout.
    pub fn of(summary: &'a Summary) -> Self {
        let record = summary.record.as_ref();
        Self {
            id: summary.spec.id.as_str(),
            image: &summary.spec.image,
            image_name: summary.spec.image_name.as_deref(),
            command: &summary.spec.command,
            args: &summary.spec.args,
            control: &summary.control,
            by: summary.by.as_deref(),
            submitted: summary.submitted.as_deref(),
            ended: record.map(|record| record.ended.as_str()),
            seconds: seconds(summary),
            totals: record.map(|_| counted(&summary.nodes)),
            sha256: record.map(|record| record.sha256.as_str()),
            before: record.and_then(|record| record.before.as_ref()),
        }
    }
}

impl Screen for HistoryList<'_> {
    fn text(&self, page: &mut Page) {
        if self.known.is_empty() {
            page.line("the swarm remembers no rollout");
            return;
        }
        table(&self.known.iter().collect::<Vec<_>>(), page);
    }

    fn json(&self) -> serde_json::Result<String> {
        json_page(&ListJson { rollouts: self.known.iter().map(RunJson::of).collect() })
    }
}

/// Rollouts, one a line, with a header.
pub fn table(rollouts: &[&Summary], page: &mut Page) {
    let header = ["RUN", "SUBMITTED", "TOOK", "STATE", "NODES", "BY", "WHAT"];
    let header = header.map(|text| Span::new(Look::Dim, text)).to_vec();
    let rows: Vec<Vec<Span>> = std::iter::once(header).chain(rollouts.iter().map(|one| row(one))).collect();
    page.table(&rows);
}

fn row(summary: &Summary) -> Vec<Span> {
    let of_record = |text: String| if summary.record.is_some() { text } else { "-".to_owned() };
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![
        summary.spec.id.as_str().into(),
        or_none(summary.submitted.as_deref().map(to_the_second)).into(),
        or_none(seconds(summary).map(span)).into(),
        Span::new(control_look(Some(&summary.control)), state(&summary.control)),
        of_record(totals(&counted(&summary.nodes))).into(),
        short(summary.by.as_deref().unwrap_or("-"), NAME).into(),
        short(&words::payload(&summary.spec), PAYLOAD).into(),
    ]
}

/// The state of a rollout in a word.
const fn state(control: &Control) -> &'static str {
    match control {
        Control::Running => "running",
        Control::Paused { .. } => "paused",
        Control::Aborting => "aborting",
        Control::Finished { outcome } => match outcome {
            RolloutOutcome::Done => "done",
            RolloutOutcome::WithFailures => "failed nodes",
            RolloutOutcome::Aborted => "aborted",
        },
    }
}

/// How many nodes ended how.
pub fn counted(nodes: &[EndedNode]) -> Totals {
    let in_sync = nodes.iter().filter(|node| node.is_in_sync()).count();
    Totals { in_sync, ..Totals::of(nodes.iter().map(|node| &node.stage)) }
}

/// `careen history --verify`.
#[derive(Debug, Clone, Copy)]
pub struct Verified<'a>(pub &'a Verification);

#[derive(Debug, Serialize)]
struct VerifiedJson<'a> {
    intact: bool,
    records: usize,
    older: usize,
    chain: Vec<&'a str>,
    before: Option<&'a Before>,
    head: Option<&'a Head>,
    findings: Vec<FindingJson<'a>>,
}

#[derive(Debug, Serialize)]
struct FindingJson<'a> {
    #[serde(flatten)]
    finding: &'a Finding,
    text: String,
}

impl Screen for Verified<'_> {
    fn text(&self, page: &mut Page) {
        let seen = self.0;
        page.line(extent(seen));
        if seen.older > 0 {
            let (older, before) = (records(seen.older), "without the hash of the one before");
            page.line(format!("{older} {before}: of an older careen"));
        }
        if let (Some(Before::Record { rollout, .. }), true, 0) =
            (&seen.before, seen.findings.is_empty(), seen.older)
        {
            page.line(format!("the one before them, of {rollout}, was removed in time, as the oldest are"));
        }
        match (seen.findings.is_empty(), seen.chain.is_empty()) {
            (true, true) => page.line("nothing can be checked yet: the next record is the first with a hash"),
            (true, false) => {
                page.spans(&[Span::new(
                    Look::Good,
                    "as far as they tell, nothing was altered and nothing is missing",
                )]);
            }
            (false, _) => page.spans(&[Span::new(Look::Bad, "this is not what careen wrote:")]),
        }
        seen.findings.iter().for_each(|finding| page.line(format!("  {}", told(finding))));
        if let Some(Head { rollout, sha256 }) = &seen.head {
            page.gap();
            page.line(format!("head  {rollout}  sha256:{sha256}"));
            if seen.findings.is_empty() {
                page.line(
                    "keep that line outside of the swarm: who may write configs can write all records anew",
                );
            }
        }
    }

    fn json(&self) -> serde_json::Result<String> {
        let Verification { records, chain, before, head, older, findings, .. } = self.0;
        json_page(&VerifiedJson {
            intact: findings.is_empty(),
            records: *records,
            older: *older,
            chain: chain.iter().map(careen_planner::RolloutId::as_str).collect(),
            before: before.as_ref(),
            head: head.as_ref(),
            findings: findings.iter().map(|finding| FindingJson { finding, text: told(finding) }).collect(),
        })
    }
}

fn records(count: usize) -> String {
    if count == 1 { "1 record".to_owned() } else { format!("{count} records") }
}

/// How many records there are, and how far back each has the hash of the one before.
fn extent(seen: &Verification) -> String {
    let all = records(seen.records);
    match (seen.chain.first(), seen.chain.last()) {
        (Some(first), Some(last)) if first != last => format!("{all}; linked by hashes: {first} to {last}"),
        (Some(only), _) => format!("{all}; linked by hashes: {only}"),
        (None, _) => all,
    }
}

/// What is wrong, as a sentence.
fn told(finding: &Finding) -> String {
    match finding {
        Finding::Unreadable { why } => short(why, 300),
        Finding::Altered { rollout, by, was, is } => format!(
            "the record of {rollout} was altered: its sha256 is {is}, and was {was} when that of {by} was written"
        ),
        Finding::Missing { rollout, by } => {
            format!(
                "the record of {rollout} is missing, perhaps with some before it; that of {by} was written after it"
            )
        }
        Finding::RemovedEarly { rollout, by } => format!(
            "the record of {rollout} is missing, perhaps with some before it; that of {by} was written after it, and careen had \
             no reason yet to remove it"
        ),
        Finding::NotTheFirst { rollout } => {
            format!("the record of {rollout} says that it was the first, and there are older ones")
        }
        Finding::Unlinked { rollout } => format!(
            "the record of {rollout} has no hash of the one before, and older ones have: an older careen wrote it, or somebody \
             else"
        ),
        Finding::Forked { rollouts, before } => {
            let rollouts: Vec<&str> = rollouts.iter().map(careen_planner::RolloutId::as_str).collect();
            format!(
                "the records of {} both say that that of {before} was the one before",
                rollouts.join(" and ")
            )
        }
        Finding::Unfollowed { rollout } => {
            format!("no other record was written after that of {rollout}, and it is not the newest")
        }
        Finding::FirstPartMissing { rollout, parts } => {
            format!("the first part of the record of {rollout} is missing; there is {}", parts.join(", "))
        }
        Finding::Stray { name } => format!("the config {} belongs to no record", short(name, NAME * 2)),
        Finding::Unrecorded { rollout } => {
            format!("the rollout {rollout} is over, and its record is missing")
        }
        Finding::OtherHead { sha256 } => format!(
            "no record has the sha256 {sha256}: it is one of those that were removed in time, or the records were written anew"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_planner::RolloutId;

    #[test]
    fn each_finding_is_told_with_the_records_that_it_is_about() {
        let id = |text: &str| RolloutId::parse(text).unwrap();
        let (rollout, by) = (id("k3x9"), id("z9"));
        let all = [
            Finding::Unreadable { why: format!("the config \u{1b}k3x9 {}", "x".repeat(10_000)) },
            Finding::Altered { rollout: rollout.clone(), by: by.clone(), was: "00".into(), is: "11".into() },
            Finding::Missing { rollout: rollout.clone(), by: by.clone() },
            Finding::RemovedEarly { rollout: rollout.clone(), by: by.clone() },
            Finding::NotTheFirst { rollout: rollout.clone() },
            Finding::Unlinked { rollout: rollout.clone() },
            Finding::Forked { rollouts: vec![rollout.clone(), by.clone()], before: by },
            Finding::Unfollowed { rollout: rollout.clone() },
            Finding::FirstPartMissing {
                rollout: rollout.clone(),
                parts: vec!["careen.history.k3x9.2".into()],
            },
            Finding::Stray { name: "careen.history.k3x9.x".into() },
            Finding::Unrecorded { rollout },
            Finding::OtherHead { sha256: "k3x9".into() },
        ];
        for finding in all {
            let text = told(&finding);
            assert!(text.contains("k3x9") && text.len() < 400 && !text.contains('\u{1b}'), "{text}");
        }
    }
}
