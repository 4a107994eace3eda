//! What the tasks of an inquiry print, out of the log of their service: all of them in one stream, each line with its task and
//! its node in front. Pure.

use careen_contract::answer::Answer;
use careen_engine::frames::{STDERR, STDOUT, each_frame};
use careen_planner::NodeId;
use careen_planner::inquiry::{Heard, Line, PrintedTo};
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;

/// More than the details of a line have.
const LONGEST_DETAILS: u64 = 4 << 10;

/// So much of a line is kept; no answer is longer.
const LONGEST_LINE: usize = 64 << 10;

/// The agent's own words begin with it. They are about the way to the answer.
const OWN_WORDS: &str = "careen: ";

const TASK: &str = "com.docker.swarm.task.id";
const NODE: &str = "com.docker.swarm.node.id";

/// Gives what is heard in a log, until it ends or `each` breaks off.
pub fn each_heard(log: impl Read, mut each: impl FnMut(Heard) -> ControlFlow<()>) -> io::Result<()> {
    let mut open: HashMap<(u8, String), Vec<u8>> = HashMap::new();
    each_frame(BufReader::new(log), |stream, body| {
        let to = match stream {
            STDOUT => PrintedTo::Stdout,
            STDERR => PrintedTo::Stderr,
            _ => return Ok(ControlFlow::Continue(())),
        };
        let mut details = Vec::new();
        body.by_ref().take(LONGEST_DETAILS).read_until(b' ', &mut details)?;
        let details = String::from_utf8_lossy(&details);
        let Some((task, node)) = who(details.trim_end()) else { return Ok(ControlFlow::Continue(())) };
        // A long line comes in pieces; all but the last are without newline.
        let line = open.entry((stream, task.to_owned())).or_default();
        let mut piece = Vec::new();
        body.read_to_end(&mut piece)?;
        let ends = piece.last() == Some(&b'\n');
        piece.truncate(piece.len() - usize::from(ends));
        line.extend_from_slice(&piece[..piece.len().min(LONGEST_LINE.saturating_sub(line.len()))]);
        if !ends {
            return Ok(ControlFlow::Continue(()));
        }
        let text = String::from_utf8_lossy(line).into_owned();
        line.clear();
        Ok(match heard(task, node, to, text) {
            Some(heard) => each(heard),
            None => ControlFlow::Continue(()),
        })
    })
}

fn who(details: &str) -> Option<(&str, &str)> {
    let of = |name: &str| {
        let mut pairs = details.split(',').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    Some((of(TASK)?, of(NODE)?))
}

fn heard(task: &str, node: &str, to: PrintedTo, text: String) -> Option<Heard> {
    let (task, node) = (task.to_owned(), NodeId(node.to_owned()));
    if to == PrintedTo::Stderr {
        if let Some(answer) = Answer::of_line(&text) {
            return Some(Heard::Said { task, node, answer });
        }
        if text.starts_with(OWN_WORDS) {
            return None;
        }
    }
    Some(Heard::Line { task, node, line: Line { to, text } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: u8, task: &str, text: &str) -> Vec<u8> {
        let text = format!("{NODE}=n-{task},com.docker.swarm.service.id=s,{TASK}={task} {text}");
        [&[stream, 0, 0, 0][..], &(text.len() as u32).to_be_bytes(), text.as_bytes()].concat()
    }

    fn all(log: &[u8]) -> Vec<Heard> {
        let mut all = Vec::new();
        each_heard(log, |heard| {
            all.push(heard);
            ControlFlow::Continue(())
        })
        .unwrap();
        all
    }

    #[test]
    fn lines_of_several_hosts_are_told_apart_and_pieces_put_together() {
        let answer = Answer::Refused { exit: 248, why: "no room".into() };
        let line_of = |answer: &Answer| format!("{}\n", answer.line().unwrap());
        let log = [
            frame(1, "t1", "be"),
            frame(1, "t2", "two\n"),
            frame(2, "t1", "careen: waiting\n"),
            frame(1, "t1", "gin\n"),
            frame(2, "t2", &line_of(&answer)),
            frame(1, "t2", &line_of(&answer)),
            frame(2, "t2", "not whole"),
        ]
        .concat();
        let node = |name: &str| NodeId(format!("n-{name}"));
        let line = |task: &str, text: &str| {
            let line = Line { to: PrintedTo::Stdout, text: text.into() };
            Heard::Line { task: task.into(), node: node(task), line }
        };
        let said = Heard::Said { task: "t2".into(), node: node("t2"), answer: answer.clone() };
        assert_eq!(
            all(&log),
            [line("t2", "two"), line("t1", "begin"), said, line("t2", line_of(&answer).trim_end())],
            "what a command prints to standard output is never an answer"
        );
    }

    #[test]
    fn a_line_without_end_is_not_held_and_a_frame_of_nobody_is_passed_over() {
        let long = "x".repeat(10 << 10);
        let mut log: Vec<u8> = (0..20).flat_map(|_| frame(1, "t1", &long)).collect();
        log.extend(frame(1, "t1", "\n"));
        log.extend([1, 0, 0, 0, 0, 0, 0, 3, b'a', b'b', b'\n']);
        let all = all(&log);
        let [Heard::Line { line, .. }] = &all[..] else { panic!("{} heard", all.len()) };
        assert_eq!(line.text.len(), LONGEST_LINE);
    }
}
