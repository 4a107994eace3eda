//! What hosts say of themselves (`careen facts`), and in which versions they differ. Pure.

use crate::render::answers;
use careen_contract::answer::Answer;
use careen_contract::facts::{DriftFact, HostFacts};
use careen_planner::inquiry::{Asked, Reply, Roll};

/// A host that was asked for its facts.
#[derive(Debug, Clone, Copy)]
pub struct FleetHost<'a> {
    /// Who was asked, and what came of it.
    pub asked: &'a Asked,
    facts: Option<&'a HostFacts>,
}

/// The facts that came, beside the roll that they were heard with.
#[derive(Debug, Clone)]
pub struct Told(Vec<Option<HostFacts>>);

impl Told {
    /// Reads what hosts answered.
    pub fn of(roll: &Roll) -> Self {
        let facts = |asked: &Asked| match &asked.reply {
            Reply::Answered { answer: Answer::Answered { result: Some(result), .. }, .. } => {
                HostFacts::of(result)
            }
            Reply::Answered { .. } | Reply::Awaited { .. } | Reply::Unreachable(_) => None,
        };
        Self(roll.asked().iter().map(facts).collect())
    }

    /// The hosts of the same roll, each with its facts.
    pub fn hosts<'a>(&'a self, roll: &'a Roll) -> Vec<FleetHost<'a>> {
        let both = roll.asked().iter().zip(&self.0);
        both.map(|(asked, facts)| FleetHost { asked, facts: facts.as_ref() }).collect()
    }
}

impl<'a> FleetHost<'a> {
    /// What it said; `None` when it said nothing that can be read.
    pub const fn facts(&self) -> Option<&'a HostFacts> {
        self.facts
    }

    /// Why there are no facts.
    pub fn why_silent(&self) -> Option<String> {
        let is_answered = matches!(self.asked.reply, Reply::Answered { answer: Answer::Answered { .. }, .. });
        self.facts.is_none().then(|| match is_answered {
            true => "its answer cannot be understood: it may be of a newer careen".to_owned(),
            false => answers::in_words(self.asked),
        })
    }
}

/// The system in short: `debian 12`.
pub fn system(facts: &HostFacts) -> Option<String> {
    let os = facts.os.as_ref()?;
    Some(os.version_id.as_ref().map_or_else(|| os.id.clone(), |version| format!("{} {version}", os.id)))
}

/// The version that runs. Of what does not answer, the one that is installed.
pub fn running(pair: Option<&careen_contract::facts::VersionPair>) -> Option<String> {
    let pair = pair?;
    pair.running.clone().or_else(|| pair.installed.clone())
}

/// Enforcements to which the host does not stand as it should; `None` where that is not known.
pub fn drifting(facts: &HostFacts) -> Option<Vec<&DriftFact>> {
    Some(facts.drift.as_ref()?.iter().filter(|one| !one.is_in_sync()).collect())
}

/// In which versions of one thing hosts differ.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Skew<'a> {
    pub of: &'static str,
    /// Those that most hosts have first.
    pub versions: Vec<SkewVersion<'a>>,
}

/// Hosts with one version.
#[derive(Debug, Clone, PartialEq)]
pub struct SkewVersion<'a> {
    /// `None`: it is not known.
    pub version: Option<String>,
    /// Who has it.
    pub hosts: Vec<&'a Asked>,
}

/// Of systems, kernels, engines and containerds. Hosts that said nothing are not in it.
pub fn skew<'a>(hosts: &[FleetHost<'a>]) -> Vec<Skew<'a>> {
    let of = |of: &'static str, version: &dyn Fn(&HostFacts) -> Option<String>| {
        let mut versions: Vec<SkewVersion<'a>> = Vec::new();
        for (host, facts) in hosts.iter().filter_map(|host| Some((host, host.facts?))) {
            let version = version(facts);
            match versions.iter_mut().find(|one| one.version == version) {
                Some(same) => same.hosts.push(host.asked),
                None => versions.push(SkewVersion { version, hosts: vec![host.asked] }),
            }
        }
        // What is not known is nobody's version, however many it is of.
        let rank = |one: &SkewVersion<'_>| (one.version.is_none(), std::cmp::Reverse(one.hosts.len()));
        versions
            .sort_by(|one, other| rank(one).cmp(&rank(other)).then_with(|| one.version.cmp(&other.version)));
        Skew { of, versions }
    };
    vec![
        of("system", &system),
        of("kernel", &|facts| running(facts.kernel.as_ref())),
        of("engine", &|facts| running(facts.engine.as_ref())),
        of("containerd", &|facts| running(facts.containerd.as_ref())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_planner::inquiry::Heard;
    use careen_planner::testing::{spec, worker};
    use careen_planner::{NodeId, Observed};
    use serde_json::json;
    use std::time::Duration;

    fn heard(results: &[(&str, serde_json::Value)]) -> Roll {
        let nodes = results.iter().map(|(name, _)| worker(name)).collect();
        let observed = Observed { nodes, ..Observed::default() };
        let (mut roll, _) = Roll::call(&observed, &spec(), false, Duration::from_secs(9)).unwrap();
        for (name, result) in results.iter().filter(|(_, result)| !result.is_null()) {
            let (result, notes) = (Some(result.clone()), Vec::new());
            let answer = Answer::Answered { exit: 0, why: None, result, notes, lines: 0 };
            roll.hear(Heard::Said { task: "t".into(), node: NodeId((*name).into()), answer }, Duration::ZERO);
        }
        roll
    }

    fn kernel(version: &str) -> serde_json::Value {
        json!({ "schema": 1, "kernel": { "running": version } })
    }

    #[test]
    fn what_most_hosts_have_comes_first_and_what_is_not_known_last() {
        let roll = heard(&[
            ("w1", kernel("5")),
            ("w2", kernel("6")),
            ("w3", json!({ "schema": 1 })),
            ("w4", kernel("6")),
            ("w5", json!({ "schema": 1 })),
            ("w6", json!({ "schema": 1 })),
            ("w7", json!(null)),
        ]);
        let told = Told::of(&roll);
        let skews = skew(&told.hosts(&roll));
        assert_eq!(
            skews.iter().map(|one| one.of).collect::<Vec<_>>(),
            ["system", "kernel", "engine", "containerd"]
        );
        let versions = |skew: &Skew<'_>| -> Vec<(String, usize)> {
            let one = |one: &SkewVersion<'_>| (one.version.clone().unwrap_or_default(), one.hosts.len());
            skew.versions.iter().map(one).collect()
        };
        assert_eq!(versions(&skews[1]), [("6".into(), 2), ("5".into(), 1), (String::new(), 3)]);
        assert_eq!(versions(&skews[2]), [(String::new(), 6)]);
    }

    #[test]
    fn who_has_said_nothing_is_told_why() {
        let roll = heard(&[("w1", json!({ "schema": 9 })), ("w2", json!(null)), ("w3", kernel("6"))]);
        let told = Told::of(&roll);
        let why: Vec<Option<String>> = told.hosts(&roll).iter().map(FleetHost::why_silent).collect();
        assert!(why[0].as_ref().is_some_and(|why| why.contains("newer careen")), "{why:?}");
        assert!(why[1].as_ref().is_some_and(|why| why.contains("not waited for")), "{why:?}");
        assert_eq!(why[2], None);
    }
}
