//! What `prepare` decided, kept on the host for `install`: between the two lies a drain, and archives move on.

use crate::change::Simulation;
use std::collections::BTreeSet;

const HEAD: &str = "careen-upgrade-plan 1";

/// What was downloaded, and for which work.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Plan {
    /// The transaction of the work; see [`base`].
    pub transaction: String,
    pub args: Vec<String>,
    /// `change NAME VERSION` and `remove NAME`.
    steps: BTreeSet<String>,
}

/// The transaction that `prepare` belongs to: a rollout names those of its commands after it (`ID-p`, `ID`, `ID-v`).
pub fn base(transaction: &str) -> &str {
    transaction.strip_suffix("-p").unwrap_or(transaction)
}

impl Plan {
    /// The plan to do what was simulated.
    pub fn new(transaction: &str, args: Vec<String>, simulation: &Simulation) -> Self {
        Self { transaction: base(transaction).to_owned(), args, steps: steps(simulation) }
    }

    /// Whether it was made for this work.
    pub fn is_for(&self, transaction: &str, args: &[String]) -> bool {
        self.transaction == base(transaction) && self.args == args
    }

    /// What would be done now and was not decided then. That less is to be done is no surprise: somebody did it.
    pub fn surprises(&self, now: &Simulation) -> Vec<String> {
        steps(now).difference(&self.steps).cloned().collect()
    }

    /// As it is written.
    pub fn to_text(&self) -> String {
        let args = self.args.iter().map(|arg| format!("arg {arg}"));
        let head = [HEAD.to_owned(), format!("for {}", self.transaction)];
        let lines = head.into_iter().chain(args).chain(self.steps.iter().cloned());
        lines.map(|line| line + "\n").chain(["end\n".to_owned()]).collect()
    }

    /// As it is read; `None` when it was not written to its end, or is none of this version's.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix("end\n")?.lines();
        if lines.next()? != HEAD {
            return None;
        }
        let transaction = lines.next()?.strip_prefix("for ")?.to_owned();
        let (mut args, mut steps) = (Vec::new(), BTreeSet::new());
        for line in lines {
            match line.strip_prefix("arg ") {
                Some(arg) => args.push(arg.to_owned()),
                None => _ = steps.insert(line.to_owned()),
            }
        }
        Some(Self { transaction, args, steps })
    }
}

fn steps(simulation: &Simulation) -> BTreeSet<String> {
    let changes = simulation.changes.iter().map(|change| format!("change {} {}", change.name, change.to));
    let removals = simulation.removals.iter().map(|removal| format!("remove {}", removal.name));
    changes.chain(removals).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Change, Removal};

    fn simulation(changes: &[(&str, &str)], removals: &[&str]) -> Simulation {
        let change = |(name, to): &(&str, &str)| Change {
            name: (*name).to_owned(),
            from: None,
            to: (*to).to_owned(),
            origin: String::new(),
        };
        let removal = |name: &&str| Removal { name: (*name).to_owned(), version: String::new() };
        Simulation {
            changes: changes.iter().map(change).collect(),
            removals: removals.iter().map(removal).collect(),
            ..Simulation::default()
        }
    }

    #[test]
    fn what_is_written_is_read_and_half_of_it_is_not() {
        let args = vec!["--package".to_owned(), "vim".to_owned()];
        let plan = Plan::new("k3x9-n1-g1-p", args.clone(), &simulation(&[("vim", "2:9")], &["old"]));
        let text = plan.to_text();
        assert_eq!(Plan::parse(&text), Some(plan.clone()));
        assert_eq!(Plan::parse(&text[..text.len() - 4]), None);
        assert_eq!(Plan::parse(&text.replace("plan 1", "plan 2")), None);
        assert!(plan.is_for("k3x9-n1-g1", &args));
        assert!(!plan.is_for("k3x9-n1-g2", &args) && !plan.is_for("k3x9-n1-g1", &[]));
    }

    #[test]
    fn more_is_a_surprise_and_less_is_none() {
        let plan = Plan::new("t", Vec::new(), &simulation(&[("vim", "2"), ("tzdata", "3")], &["old"]));
        assert!(plan.surprises(&simulation(&[("tzdata", "3")], &[])).is_empty());
        let now = simulation(&[("vim", "3"), ("tzdata", "3"), ("bash", "5")], &["older"]);
        assert_eq!(plan.surprises(&now), ["change bash 5", "change vim 3", "remove older"]);
    }
}
