//! What hosts answer to `careen ask`, as a page and as JSON.

use super::Screen;
use crate::backend::Stream;
use crate::exit::Exit;
use crate::render::text::{Look, Page, Span, host_name, json_page};
use crate::render::{down, words};
use careen_contract::answer::Answer;
use careen_contract::payload::DRIFT;
use careen_planner::RolloutId;
use careen_planner::inquiry::{Asked, PrintedTo, Reply, Roll, Unreachable};
use careen_swarm::NotGivenBack;
use serde::Serialize;
use serde_json::Value;

/// What is said on the way to the answers, to people alone.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the texts below say when each is shown")]
pub enum OnTheWay<'a> {
    Asking { hosts: usize, inquiry: &'a RolloutId },
    WaitsFor { host: &'a str, why: &'a str },
    NodeStaysActive(&'a NotGivenBack),
}

impl Screen for OnTheWay<'_> {
    fn text(&self, page: &mut Page) {
        page.line(match self {
            Self::Asking { hosts: 1, inquiry } => format!("asking one host ({inquiry})"),
            Self::Asking { hosts, inquiry } => format!("asking {hosts} hosts ({inquiry})"),
            Self::WaitsFor { host, why } => format!("waiting for {host}: {why}"),
            Self::NodeStaysActive(NotGivenBack { node, was, why }) => format!(
                "{node} was made active for this, and is still so: {why}; 'docker node update --availability {} {node}' gives it \
                 back",
                was.word()
            ),
        });
    }

    fn json(&self) -> serde_json::Result<String> {
        Ok(String::new())
    }

    fn stream(&self) -> Stream {
        Stream::Stderr
    }
}

/// `careen ask`: all answers.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Answers<'a> {
    pub inquiry: &'a RolloutId,
    pub roll: &'a Roll,
}

/// What it exits with: a host that did not answer, or whose command failed, weighs more than one that differs.
pub fn exit_of(roll: &Roll) -> Exit {
    let statuses = || roll.asked().iter().map(Asked::status);
    if statuses().all(|status| status == Some(0)) {
        Exit::Done
    } else if statuses().all(|status| matches!(status, Some(0 | DRIFT))) {
        Exit::Drift
    } else {
        Exit::FailedNodes
    }
}

/// Why a host does not answer.
pub(super) fn unreachable(why: &Unreachable) -> String {
    match why {
        Unreachable::Drained => "drained".to_owned(),
        Unreachable::Paused => "paused".to_owned(),
        Unreachable::Down => "down".to_owned(),
        Unreachable::Unfit(skip) => words::skip(*skip).to_owned(),
        Unreachable::NoImage { why } | Unreachable::Fails { why } => format!("its task does not run: {why}"),
        Unreachable::Silent { limit, why } => format!("no answer within {} s: {why}", limit.as_secs()),
    }
}

fn said(asked: &Asked) -> (Look, String) {
    match &asked.reply {
        Reply::Awaited { why } => (Look::Warn, format!("not waited for any more: {why}")),
        Reply::Unreachable(why) => (Look::Warn, format!("unreachable: {}", unreachable(why))),
        Reply::Answered { answer: Answer::Refused { exit, why }, .. } => {
            (Look::Bad, format!("refused: {why} (exit code {exit})"))
        }
        Reply::Answered { answer: Answer::Answered { why: Some(why), .. }, .. } => {
            (Look::Bad, format!("the command {why}"))
        }
        Reply::Answered { answer: Answer::Answered { exit, why: None, .. }, .. } => {
            let look = if *exit == 0 { Look::Good } else { Look::Warn };
            (look, format!("exit {exit}"))
        }
    }
}

/// The same without its look.
pub fn in_words(asked: &Asked) -> String {
    said(asked).1
}

fn result(asked: &Asked) -> Option<&Value> {
    asked.answer().and_then(Answer::result)
}

/// What a person should know beside it.
fn notes(asked: &Asked) -> Vec<String> {
    let (mut notes, lost) = match &asked.reply {
        Reply::Answered { answer: Answer::Answered { notes, .. }, lost_lines } => {
            (notes.clone(), *lost_lines)
        }
        Reply::Answered { .. } | Reply::Awaited { .. } | Reply::Unreachable(_) => (Vec::new(), false),
    };
    notes.extend(lost.then(|| "lines that it printed did not come".to_owned()));
    notes.extend((asked.more > 0).then(|| format!("{} more lines are left out", asked.more)));
    notes
}

impl Answers<'_> {
    /// How many ran the command to its end.
    fn answered(&self) -> usize {
        self.roll.asked().iter().filter(|asked| asked.status().is_some()).count()
    }
}

impl Screen for Answers<'_> {
    fn text(&self, page: &mut Page) {
        let asked = self.roll.asked();
        let is_down = |one: &&Asked| matches!(one.reply, Reply::Unreachable(Unreachable::Down));
        let down: Vec<String> = asked.iter().filter(is_down).map(|one| host_name(&one.hostname)).collect();
        let folds = down::are_folded(down.len());
        let shown = || asked.iter().filter(move |one| !(folds && is_down(one)));
        let widest = shown().map(|one| super::text::width(&host_name(&one.hostname))).max().unwrap_or(0);
        for one in shown() {
            let (look, words) = said(one);
            let host = super::text::padded(&host_name(&one.hostname), widest);
            let mut spans = vec![Span::from(format!("{host}  ")), Span::new(look, words)];
            spans.extend(result(one).map(|value| Span::from(format!("  {value}"))));
            page.spans(&spans);
            for line in &one.lines {
                page.line(Span::new(Look::Plain, format!("    | {}", line.text)));
            }
            for note in notes(one) {
                page.line(Span::new(Look::Dim, format!("    note: {note}")));
            }
        }
        if folds {
            page.line(Span::new(Look::Warn, down::line(&down, "")));
        }
        page.line(format!("{} of {} hosts answered", self.answered(), asked.len()));
    }

    fn json(&self) -> serde_json::Result<String> {
        json_page(&AnswersJson {
            inquiry: self.inquiry.as_str(),
            answered: self.answered(),
            hosts: self.roll.asked().iter().map(host).collect(),
        })
    }
}

#[derive(Serialize)]
struct AnswersJson<'a> {
    inquiry: &'a str,
    answered: usize,
    hosts: Vec<HostJson<'a>>,
}

/// A host that was asked.
#[derive(Serialize)]
pub(super) struct HostJson<'a> {
    node: &'a str,
    hostname: &'a str,
    /// `answered`, `refused`, `unreachable` or `awaited`; of a check also what that says.
    state: &'static str,
    /// Why there is no status of the command's own.
    why: Option<String>,
    exit: Option<u8>,
    result: Option<&'a Value>,
    stdout: Vec<&'a str>,
    stderr: Vec<&'a str>,
    notes: Vec<String>,
}

/// How it stands with a host, in a word for programs, and why it has no status of the command's own.
pub(super) fn state(asked: &Asked) -> (&'static str, Option<String>) {
    match &asked.reply {
        Reply::Awaited { why } => ("awaited", Some(why.clone())),
        Reply::Unreachable(why) => ("unreachable", Some(unreachable(why))),
        Reply::Answered { answer: Answer::Refused { why, .. }, .. } => ("refused", Some(why.clone())),
        Reply::Answered { answer: Answer::Answered { why, .. }, .. } => ("answered", why.clone()),
    }
}

/// What it printed there.
fn lines_to(asked: &Asked, to: PrintedTo) -> Vec<&str> {
    asked.lines.iter().filter(|line| line.to == to).map(|line| line.text.as_str()).collect()
}

fn host(asked: &Asked) -> HostJson<'_> {
    let (state, why) = state(asked);
    let exit = match &asked.reply {
        Reply::Awaited { .. } | Reply::Unreachable(_) => None,
        Reply::Answered { answer: Answer::Refused { exit, .. } | Answer::Answered { exit, .. }, .. } => {
            Some(*exit)
        }
    };
    HostJson::of(asked, state, why, exit)
}

impl<'a> HostJson<'a> {
    pub(super) fn of(asked: &'a Asked, state: &'static str, why: Option<String>, exit: Option<u8>) -> Self {
        let lines = |to| lines_to(asked, to);
        Self {
            node: &asked.node.0,
            hostname: &asked.hostname,
            state,
            why,
            exit,
            result: result(asked),
            stdout: lines(PrintedTo::Stdout),
            stderr: lines(PrintedTo::Stderr),
            notes: notes(asked),
        }
    }
}
