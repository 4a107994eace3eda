//! What hosts say to `check`: whether each is as it should be, and who says the same.

use crate::inquiry::{Asked, Line, Reply, Roll, Unreachable};
use crate::probe::Probed;
use careen_contract::answer::Answer;

/// How one host is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// As it should be.
    InSync,
    /// Not as it should be.
    Drift,
    /// Its check does not tell.
    Error {
        /// Why, in words.
        why: String,
    },
    /// It cannot be asked, or did not answer in time.
    Unreachable(Unreachable),
    /// Nobody waits for it any more.
    Left {
        /// What it was waited for.
        why: String,
    },
}

/// How many hosts are how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct CheckTotals {
    pub in_sync: usize,
    pub drift: usize,
    pub error: usize,
    /// Those that nobody waits for any more are among them.
    pub unreachable: usize,
}

/// Hosts that say the same.
#[derive(Debug, Clone, PartialEq)]
pub struct SaidAlike<'a> {
    /// The first one's answer is that of all.
    pub checked: Checked,
    /// Who, in the roll's order.
    pub hosts: Vec<&'a Asked>,
    /// What each of them printed.
    pub lines: &'a [Line],
    /// How many lines more each of them printed that were not kept.
    pub more: u64,
}

impl Checked {
    /// How a host is, by its answer.
    pub fn of(asked: &Asked) -> Self {
        if let Reply::Awaited { why } = &asked.reply {
            return Self::Left { why: why.clone() };
        }
        match Probed::of(asked) {
            Probed::InSync => Self::InSync,
            // A check that says that the command would refuse has found drift all the same.
            Probed::Waits(_) | Probed::Refuses { .. } => Self::Drift,
            Probed::Fails { why } => Self::Error { why },
            Probed::Silent(why) => Self::Unreachable(why),
        }
    }

    /// In which order people want to read it.
    const fn rank(&self) -> u8 {
        match self {
            Self::Drift => 0,
            Self::Error { .. } => 1,
            Self::InSync => 2,
            Self::Unreachable(_) | Self::Left { .. } => 3,
        }
    }
}

impl SaidAlike<'_> {
    /// What each of them answered.
    pub fn answer(&self) -> Option<&Answer> {
        self.hosts.first().and_then(|host| host.answer())
    }

    fn is_like(&self, other: &Self) -> bool {
        let said = |one: &Self| (one.lines.len(), one.more);
        said(self) == said(other)
            && self.checked == other.checked
            && self.answer().and_then(Answer::result) == other.answer().and_then(Answer::result)
            && self.lines == other.lines
    }
}

impl CheckTotals {
    /// How many hosts of a roll are how.
    pub fn of(roll: &Roll) -> Self {
        let mut totals = Self::default();
        for asked in roll.asked() {
            *match Checked::of(asked) {
                Checked::InSync => &mut totals.in_sync,
                Checked::Drift => &mut totals.drift,
                Checked::Error { .. } => &mut totals.error,
                Checked::Unreachable(_) | Checked::Left { .. } => &mut totals.unreachable,
            } += 1;
        }
        totals
    }

    /// All of them.
    pub const fn all(&self) -> usize {
        self.in_sync + self.drift + self.error + self.unreachable
    }
}

/// Who says the same, and what: hosts that drift first. Hosts that said nothing at all are left out.
pub fn said_alike(roll: &Roll) -> Vec<SaidAlike<'_>> {
    let mut groups: Vec<SaidAlike<'_>> = Vec::new();
    for asked in roll.asked() {
        let checked = Checked::of(asked);
        let (lines, more) = (asked.lines.as_slice(), asked.more);
        let alone = SaidAlike { checked, hosts: vec![asked], lines, more };
        if lines.is_empty() && more == 0 && alone.answer().and_then(Answer::result).is_none() {
            continue;
        }
        match groups.iter_mut().find(|group| group.is_like(&alone)) {
            Some(group) => group.hosts.push(asked),
            None => groups.push(alone),
        }
    }
    groups.sort_by_key(|group| group.checked.rank());
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NodeId;
    use crate::inquiry::{Heard, PrintedTo};
    use crate::observed::{Availability, Observed};
    use crate::testing::{spec, worker};
    use std::time::Duration;

    const LIMIT: Duration = Duration::from_secs(60);

    fn answers(roll: &mut Roll, node: &str, exit: u8, text: &str, to: PrintedTo) {
        let (task, node) = (format!("t-{node}"), NodeId(node.into()));
        for line in text.lines() {
            let line = Line { to, text: line.into() };
            roll.hear(Heard::Line { task: task.clone(), node: node.clone(), line }, Duration::ZERO);
        }
        let answer = Answer::Answered { exit, why: None, result: None, notes: Vec::new(), lines: 0 };
        roll.hear(Heard::Said { task, node, answer }, Duration::ZERO);
    }

    fn roll(nodes: u8) -> Roll {
        let mut nodes: Vec<_> = (1..=nodes).map(|n| worker(&format!("w{n}"))).collect();
        nodes[0].availability = Availability::Drain;
        let observed = Observed { nodes, ..Observed::default() };
        Roll::call(&observed, &spec(), false, LIMIT).unwrap().0
    }

    #[test]
    fn each_host_is_in_one_of_four_ways() {
        let mut roll = roll(6);
        answers(&mut roll, "w2", 0, "", PrintedTo::Stdout);
        answers(&mut roll, "w3", 2, "", PrintedTo::Stdout);
        answers(&mut roll, "w4", 1, "E: no lock", PrintedTo::Stderr);
        let limited = Answer::Answered {
            exit: 124,
            why: Some("ran into its time limit".into()),
            result: None,
            notes: Vec::new(),
            lines: 0,
        };
        roll.hear(
            Heard::Said { task: "t".into(), node: NodeId("w5".into()), answer: limited },
            Duration::ZERO,
        );
        let left = Checked::of(&roll.asked()[5]);
        assert!(matches!(left, Checked::Left { .. }), "{left:?}");
        roll.tick(LIMIT);
        let checked: Vec<Checked> = roll.asked().iter().map(Checked::of).collect();
        let error = |why: &str| Checked::Error { why: why.into() };
        assert_eq!(checked[0], Checked::Unreachable(Unreachable::Drained));
        assert_eq!(checked[1..3], [Checked::InSync, Checked::Drift]);
        assert_eq!(checked[3], error("its check ended with 1: E: no lock"));
        assert_eq!(checked[4], error("its check ran into its time limit"));
        assert!(matches!(checked[5], Checked::Unreachable(Unreachable::Silent { .. })), "{:?}", checked[5]);
        let totals = CheckTotals::of(&roll);
        assert_eq!((totals.in_sync, totals.drift, totals.error, totals.unreachable), (1, 1, 2, 2));
        assert_eq!(totals.all(), 6);
    }

    #[test]
    fn who_says_the_same_is_one_and_drift_comes_first() {
        let mut roll = roll(7);
        answers(&mut roll, "w2", 0, "all well", PrintedTo::Stdout);
        answers(&mut roll, "w3", 2, "-a\n+b", PrintedTo::Stdout);
        answers(&mut roll, "w4", 2, "-a\n+c", PrintedTo::Stdout);
        answers(&mut roll, "w5", 2, "-a\n+b", PrintedTo::Stdout);
        answers(&mut roll, "w6", 2, "-a\n+b", PrintedTo::Stderr);
        answers(&mut roll, "w7", 0, "-a\n+b", PrintedTo::Stdout);
        let groups = said_alike(&roll);
        let told: Vec<(String, Checked)> = groups
            .iter()
            .map(|group| {
                let hosts: Vec<&str> = group.hosts.iter().map(|host| host.hostname.as_str()).collect();
                (hosts.join(" "), group.checked.clone())
            })
            .collect();
        let expected = [
            ("w3 w5", Checked::Drift),
            ("w4", Checked::Drift),
            ("w6", Checked::Drift),
            ("w2", Checked::InSync),
            ("w7", Checked::InSync),
        ];
        assert_eq!(told, expected.map(|(hosts, checked)| (hosts.to_owned(), checked)));
        assert_eq!(groups[0].lines.len(), 2);
    }
}
