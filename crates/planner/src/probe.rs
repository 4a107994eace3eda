//! What hosts say before a rollout: each is asked with the payload's `check` what there is to do.

use crate::ids::NodeId;
use crate::image_places::ImageFacts;
use crate::inquiry::{Asked, Reply, Unreachable};
use crate::observed::Expectation;
use careen_contract::answer::Answer;
use careen_contract::payload::DRIFT;
use careen_contract::pending::Pending;
use std::collections::BTreeMap;

/// What one host says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum Probed {
    /// There is nothing to do.
    InSync,
    /// There is.
    Waits(Pending),
    /// The command would refuse to begin.
    Refuses { why: String, pending: Pending },
    /// Its check does not tell.
    Fails { why: String },
    /// It cannot be asked, or did not answer.
    Silent(Unreachable),
}

/// All hosts that a rollout is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probe(pub BTreeMap<NodeId, Probed>);

/// What they say together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Total {
    /// How many hosts have something to do, and nothing.
    pub waiting: usize,
    /// How many have nothing to do.
    pub in_sync: usize,
    /// How many would refuse.
    pub refusing: usize,
    /// Of how many nothing is known.
    pub unknown: usize,
    /// How many are going to restart their engine, or reboot.
    pub restarting: usize,
    /// Packages of all of them.
    pub packages: u64,
    /// Of these, for the sake of security.
    pub security: u64,
    /// Bytes that all of them download.
    pub download_bytes: u64,
}

impl Probed {
    /// What an answer says.
    pub fn of(asked: &Asked) -> Self {
        match &asked.reply {
            Reply::Awaited { why } => Self::Fails { why: format!("not waited for any more: {why}") },
            Reply::Unreachable(why) => Self::Silent(why.clone()),
            Reply::Answered { answer: Answer::Refused { exit, why }, .. } => {
                Self::Fails { why: format!("{why} (exit code {exit})") }
            }
            Reply::Answered { answer: Answer::Answered { why: Some(why), .. }, .. } => {
                Self::Fails { why: format!("its check {why}") }
            }
            Reply::Answered { answer: Answer::Answered { exit: 0, .. }, .. } => Self::InSync,
            Reply::Answered { answer: Answer::Answered { exit: DRIFT, result, .. }, .. } => {
                let pending = result.as_ref().and_then(Pending::of).unwrap_or_default();
                match pending.refused.clone() {
                    Some(why) => Self::Refuses { why, pending },
                    None => Self::Waits(pending),
                }
            }
            Reply::Answered { answer: Answer::Answered { exit, .. }, .. } => {
                let last = asked.lines.iter().rev().find(|line| !line.text.trim().is_empty());
                let last = last.map(|line| format!(": {}", line.text.trim())).unwrap_or_default();
                Self::Fails { why: format!("its check ended with {exit}{last}") }
            }
        }
    }

    /// What waits there, as far as it is known.
    pub fn pending(&self) -> Option<&Pending> {
        match self {
            Self::Waits(pending) | Self::Refuses { pending, .. } => Some(pending),
            Self::InSync | Self::Fails { .. } | Self::Silent(_) => None,
        }
    }

    /// Whether a restart is to be expected.
    pub fn expectation(&self) -> Expectation {
        match self {
            Self::InSync | Self::Refuses { .. } => Expectation::No,
            Self::Waits(Pending { restarts: Some(restarts), .. }) if restarts.is_empty() => Expectation::No,
            Self::Waits(Pending { restarts: Some(_), .. }) => Expectation::Yes,
            Self::Waits(Pending { restarts: None, .. }) | Self::Fails { .. } | Self::Silent(_) => {
                Expectation::Unknown
            }
        }
    }
}

impl Probe {
    /// What their answers tell of the image that they were asked with.
    pub fn of_the_image(&self) -> ImageFacts {
        let mut facts = ImageFacts::default();
        for (node, probed) in &self.0 {
            match probed {
                Probed::InSync | Probed::Waits(_) | Probed::Refuses { .. } | Probed::Fails { .. } => {
                    facts.on.insert(node.clone());
                }
                Probed::Silent(Unreachable::NoImage { .. }) => {
                    facts.missing_on.insert(node.clone());
                }
                Probed::Silent(
                    Unreachable::Drained
                    | Unreachable::Paused
                    | Unreachable::Down
                    | Unreachable::Unfit(_)
                    | Unreachable::Fails { .. }
                    | Unreachable::Silent { .. },
                ) => {}
            }
        }
        facts
    }

    /// What is to be expected of each host.
    pub fn expected(&self) -> BTreeMap<NodeId, Expectation> {
        self.0.iter().map(|(node, probed)| (node.clone(), probed.expectation())).collect()
    }

    /// What they say together.
    pub fn total(&self) -> Total {
        let mut total = Total::default();
        for probed in self.0.values() {
            *match probed {
                Probed::InSync => &mut total.in_sync,
                Probed::Waits(_) => &mut total.waiting,
                Probed::Refuses { .. } => &mut total.refusing,
                Probed::Fails { .. } | Probed::Silent(_) => &mut total.unknown,
            } += 1;
            total.restarting += usize::from(probed.expectation() == Expectation::Yes);
            if let Probed::Waits(pending) = probed {
                let add = |sum: &mut u64, more: Option<u64>| *sum = sum.saturating_add(more.unwrap_or(0));
                add(&mut total.packages, pending.packages);
                add(&mut total.security, pending.security);
                add(&mut total.download_bytes, pending.download_bytes);
            }
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inquiry::{Heard, Line, PrintedTo, Roll};
    use crate::observed::Observed;
    use crate::testing::{spec, worker};
    use serde_json::{Value, json};
    use std::time::Duration;

    fn said(exit: u8, why: Option<&str>, result: Option<Value>) -> Answer {
        Answer::Answered { exit, why: why.map(str::to_owned), result, notes: Vec::new(), lines: 1 }
    }

    #[test]
    fn what_each_answer_means() {
        let names = ["w1", "w2", "w3", "w4", "w5", "w6", "w7"];
        let observed = Observed { nodes: names.map(worker).to_vec(), ..Observed::default() };
        let limit = Duration::from_secs(60);
        let (mut roll, _) = Roll::call(&observed, &spec(), false, limit).unwrap();
        let waits = json!({ "packages": 12, "security": 3, "download_bytes": 5, "restarts": ["engine"] });
        let refuses = json!({ "packages": 2, "refused": "no room" });
        for (node, answer) in [
            ("w1", said(0, None, None)),
            ("w2", said(2, None, Some(waits))),
            ("w3", said(2, None, Some(refuses))),
            ("w4", said(2, None, None)),
            ("w5", said(1, None, None)),
            ("w6", said(137, Some("was killed"), None)),
        ] {
            let (task, node) = (format!("t-{node}"), NodeId(node.into()));
            let line = Line { to: PrintedTo::Stdout, text: "E: no lock\n".into() };
            roll.hear(Heard::Line { task: task.clone(), node: node.clone(), line }, Duration::ZERO);
            roll.hear(Heard::Said { task, node, answer }, Duration::ZERO);
        }
        roll.tick(limit);
        let probe: Probe =
            Probe(roll.asked().iter().map(|asked| (asked.node.clone(), Probed::of(asked))).collect());
        let of = |node: &str| &probe.0[&NodeId(node.into())];
        let words = |node: &str| match of(node) {
            Probed::Fails { why } | Probed::Refuses { why, .. } => why.clone(),
            Probed::InSync | Probed::Waits(_) | Probed::Silent(_) => format!("{:?}", of(node)),
        };
        assert_eq!(*of("w1"), Probed::InSync);
        assert_eq!(*of("w4"), Probed::Waits(Pending::default()), "a check need not tell more");
        assert_eq!(words("w3"), "no room");
        assert_eq!(words("w5"), "its check ended with 1: E: no lock");
        assert_eq!(words("w6"), "its check was killed");
        assert!(matches!(of("w7"), Probed::Silent(Unreachable::Silent { .. })), "{:?}", of("w7"));
        use Expectation::{No, Unknown, Yes};
        let expected: Vec<Expectation> = probe.expected().into_values().collect();
        assert_eq!(expected, [No, Yes, No, Unknown, Unknown, Unknown, Unknown]);
        let total = Total {
            waiting: 2,
            in_sync: 1,
            refusing: 1,
            unknown: 3,
            restarting: 1,
            packages: 12,
            security: 3,
            download_bytes: 5,
        };
        assert_eq!(probe.total(), total);
    }
}
