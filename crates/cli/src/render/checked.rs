//! What hosts answer to `careen check`, as a page and as JSON.

use super::Screen;
use super::answers::{HostJson, unreachable};
use crate::exit::Exit;
use crate::render::text::{Look, Page, Span, first_of, host_name, json_page, padded, short, width};
use careen_contract::answer::Answer;
use careen_planner::RolloutId;
use careen_planner::checked::{CheckTotals, Checked, SaidAlike, said_alike};
use careen_planner::inquiry::{Asked, Roll};
use serde::Serialize;

/// So many lines are shown of what some hosts say, and of all together; and so many columns of one.
const LINES_OF_ONE: usize = 100;
const LINES_OF_ALL: usize = 1000;
const WIDEST: usize = 400;

/// So many hosts that say the same are named.
const NAMED: usize = 5;

/// `careen check`: how every host is.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct CheckPage<'a> {
    pub inquiry: &'a RolloutId,
    pub roll: &'a Roll,
    /// Whether it is shown what hosts say.
    pub diff: bool,
}

/// What it exits with: a host that drifts is known to drift, whatever others say.
pub fn exit_of(roll: &Roll) -> Exit {
    let CheckTotals { in_sync: _, drift, error, unreachable } = CheckTotals::of(roll);
    match (drift, error + unreachable) {
        (0, 0) => Exit::Done,
        (0, _) => Exit::FailedNodes,
        (_, _) => Exit::Drift,
    }
}

/// A host in one word, and why.
fn said(checked: &Checked) -> (Look, &'static str, Option<String>) {
    match checked {
        Checked::InSync => (Look::Good, "in sync", None),
        Checked::Drift => (Look::Warn, "drift", None),
        Checked::Error { why } => (Look::Bad, "error", Some(why.clone())),
        Checked::Unreachable(why) => (Look::Warn, "unreachable", Some(unreachable(why))),
        Checked::Left { why } => (Look::Warn, "not waited for any more", Some(why.clone())),
    }
}

fn total(totals: CheckTotals) -> String {
    let parts = [
        (totals.in_sync, "in sync"),
        (totals.drift, "drift"),
        (totals.error, "error"),
        (totals.unreachable, "unreachable"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts.map(|(count, words)| format!("{count} {words}")).collect();
    let hosts = if totals.all() == 1 { "1 host".to_owned() } else { format!("{} hosts", totals.all()) };
    format!("{hosts}: {}", parts.join(", "))
}

impl CheckPage<'_> {
    fn hosts(&self, page: &mut Page) {
        let asked = self.roll.asked();
        let widest = asked.iter().map(|one| width(&host_name(&one.hostname))).max().unwrap_or(0);
        for one in asked {
            let (look, word, why) = said(&Checked::of(one));
            let why = why.map(|why| format!(": {}", short(&why, WIDEST))).unwrap_or_default();
            let host = padded(&host_name(&one.hostname), widest);
            page.spans(&[format!("{host}  ").into(), Span::new(look, word), why.into()]);
        }
    }

    fn what_they_say(&self, page: &mut Page) {
        let mut left = LINES_OF_ALL;
        let groups = said_alike(self.roll);
        for (number, group) in groups.iter().enumerate() {
            if left == 0 {
                let more: usize = groups[number..].iter().map(|group| group.hosts.len()).sum();
                page.gap();
                page.line(Span::new(Look::Dim, format!("{more} more hosts say something: {SHOW_LESS}")));
                return;
            }
            page.gap();
            of_group(group, &mut left, page);
        }
    }
}

const SHOW_LESS: &str = "--node shows one of them, --format json has all";

fn of_group(group: &SaidAlike<'_>, left: &mut usize, page: &mut Page) {
    let (look, word, _) = said(&group.checked);
    let names: Vec<String> = group.hosts.iter().map(|host| host_name(&host.hostname)).collect();
    let say = if names.len() == 1 { "says" } else { "say" };
    page.spans(&[format!("{} {say} (", first_of(&names, NAMED)).into(), Span::new(look, word), "):".into()]);
    let shown = LINES_OF_ONE.min(*left).min(group.lines.len());
    *left -= shown;
    for line in &group.lines[..shown] {
        page.line(format!("    | {}", short(&line.text, WIDEST)));
    }
    let dim = |text: String| Span::new(Look::Dim, format!("    {text}"));
    if let Some(result) = group.answer().and_then(Answer::result) {
        page.line(dim(format!("result: {}", short(&result.to_string(), WIDEST))));
    }
    let more = group.lines.len() - shown;
    if more > 0 {
        page.line(dim(format!("{more} more lines: --format json has them")));
    }
    if group.more > 0 {
        page.line(dim(format!(
            "{} more lines are left out: of a host the first 64 KiB are kept",
            group.more
        )));
    }
}

impl Screen for CheckPage<'_> {
    fn text(&self, page: &mut Page) {
        self.hosts(page);
        let totals = CheckTotals::of(self.roll);
        page.line(total(totals));
        if self.diff {
            self.what_they_say(page);
        } else if totals.drift + totals.error > 0 {
            page.line(Span::new(Look::Dim, "  --diff shows what they say"));
        }
    }

    fn json(&self) -> serde_json::Result<String> {
        json_page(&CheckJson {
            inquiry: self.inquiry.as_str(),
            totals: TotalsJson::of(CheckTotals::of(self.roll)),
            hosts: self.roll.asked().iter().map(host).collect(),
        })
    }
}

#[derive(Serialize)]
struct CheckJson<'a> {
    inquiry: &'a str,
    totals: TotalsJson,
    hosts: Vec<HostJson<'a>>,
}

#[derive(Serialize)]
struct TotalsJson {
    in_sync: usize,
    drift: usize,
    error: usize,
    unreachable: usize,
}

impl TotalsJson {
    const fn of(totals: CheckTotals) -> Self {
        let CheckTotals { in_sync, drift, error, unreachable } = totals;
        Self { in_sync, drift, error, unreachable }
    }
}

fn host(asked: &Asked) -> HostJson<'_> {
    let checked = Checked::of(asked);
    let state = match checked {
        Checked::InSync => "in-sync",
        Checked::Drift => "drift",
        Checked::Error { .. } => "error",
        Checked::Unreachable(_) => "unreachable",
        Checked::Left { .. } => "awaited",
    };
    HostJson::of(asked, state, said(&checked).2, asked.status())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{spec, worker};
    use careen_planner::inquiry::PrintedTo;
    use careen_planner::inquiry::{Heard, Line};
    use careen_planner::{NodeId, Observed};
    use std::time::Duration;

    fn asked(hosts: usize, exits: &[u8], lines: usize) -> Roll {
        let names: Vec<String> = (10..10 + hosts).map(|n| format!("w{n}")).collect();
        let nodes = names.iter().map(|name| worker(name)).collect();
        let observed = Observed { nodes, ..Observed::default() };
        let limit = Duration::from_secs(60);
        let (mut roll, _) = Roll::call(&observed, &spec(), false, limit).unwrap();
        for (name, exit) in names.iter().zip(exits) {
            let (task, node) = (name.clone(), NodeId(name.clone()));
            for _ in 0..lines {
                let line = Line { to: PrintedTo::Stdout, text: format!("of {name}") };
                roll.hear(Heard::Line { task: task.clone(), node: node.clone(), line }, Duration::ZERO);
            }
            let answer =
                Answer::Answered { exit: *exit, why: None, result: None, notes: Vec::new(), lines: 0 };
            roll.hear(Heard::Said { task, node, answer }, Duration::ZERO);
        }
        roll.tick(limit);
        roll
    }

    #[test]
    fn a_host_that_drifts_decides_what_a_check_exits_with() {
        for (exits, expected) in [
            (&[0, 0][..], Exit::Done),
            (&[0, 2], Exit::Drift),
            (&[2, 1], Exit::Drift),
            (&[2], Exit::Drift),
            (&[0, 1], Exit::FailedNodes),
            (&[0], Exit::FailedNodes),
            (&[], Exit::FailedNodes),
        ] {
            assert_eq!(exit_of(&asked(2, exits, 0)), expected, "{exits:?}");
        }
    }

    #[test]
    fn however_many_hosts_say_something_a_page_ends() {
        let roll = asked(14, &[2; 14], 150);
        let mut page = Page::new(false);
        CheckPage { inquiry: &spec().id, roll: &roll, diff: true }.text(&mut page);
        let text = page.into_text();
        assert_eq!(text.matches("    | of w").count(), LINES_OF_ALL);
        assert!(text.contains("    | of w10\n    50 more lines: --format json has them\n"), "{text}");
        assert!(
            text.ends_with(
                "\n\n4 more hosts say something: --node shows one of them, --format json has all\n"
            )
        );
    }
}
