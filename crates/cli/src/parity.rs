//! Which nodes of a rollout ended with other versions than the first one that was done. Pure.

use careen_contract::changed::EndsWith;
use careen_planner::observed::NodeOutcome;
use careen_planner::rollout::NodeResult;
use careen_planner::{NodeId, NodeState};
use careen_swarm::HistoryNode;
use serde::Serialize;

/// Nodes that are done, beside the first of them: the canary, where there was one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Parity {
    /// The first node that was done.
    pub first: NodeId,
    /// Its host's name.
    pub hostname: String,
    /// Those that ended otherwise; each set of differences once.
    pub others: Vec<Differing>,
}

/// Nodes that differ in the same from the first one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Differing {
    /// Which, by their hosts' names.
    pub nodes: Vec<Named>,
    /// What they ended with, and the first one did not.
    pub versions: Vec<Difference>,
    /// Packages that changed on the first one and not on these. Nobody asked these for the version: they had it already, hold
    /// another one, or do not have the package.
    pub unchanged: Vec<String>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Named {
    pub hostname: String,
    pub node: NodeId,
}

/// A version that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Difference {
    /// Of what: `kernel`, `engine`, `containerd`, `runc`, or a package.
    pub of: String,
    pub is_package: bool,
    /// `None`: the package was removed.
    pub version: Option<String>,
    /// The first node's, likewise.
    pub first: Option<String>,
}

impl Parity {
    /// Of these results, in the order in which they were written. `None` where no node is done.
    pub fn of(nodes: &[HistoryNode], results: &[NodeResult]) -> Option<Self> {
        let mut done = results.iter().filter_map(|result| {
            let node = nodes.iter().find(|node| node.id == result.node)?;
            let is_last = node.generation == result.generation && node.state == NodeState::Done;
            // Of a host that was in sync nobody looked what it has.
            let was_worked_on = is_last && result.outcome == NodeOutcome::Succeeded;
            was_worked_on.then(|| (node, EndsWith::of(result.record.as_deref().unwrap_or_default())))
        });
        let (first, canary) = done.next()?;
        let mut others: Vec<Differing> = Vec::new();
        for (node, ends) in done {
            let (versions, unchanged) = (versions(&canary, &ends), unchanged(&canary, &ends));
            if versions.is_empty() && unchanged.is_empty() {
                continue;
            }
            let named = Named { hostname: node.hostname.clone(), node: node.id.clone() };
            match others.iter_mut().find(|one| one.versions == versions && one.unchanged == unchanged) {
                Some(same) => same.nodes.push(named),
                None => others.push(Differing { nodes: vec![named], versions, unchanged }),
            }
        }
        others.iter_mut().for_each(|one| one.nodes.sort());
        others.sort_by(|a, b| b.nodes.len().cmp(&a.nodes.len()).then_with(|| a.nodes.cmp(&b.nodes)));
        Some(Self { first: first.id.clone(), hostname: first.hostname.clone(), others })
    }
}

/// What is known of both, and is not the same.
fn versions(canary: &EndsWith, ends: &EndsWith) -> Vec<Difference> {
    let programs = canary.versions.named().into_iter().zip(ends.versions.named());
    let programs = programs.filter_map(|((name, first), (_, version))| {
        let (first, version) = (first?, version?);
        let (first, version) = (Some(first.to_owned()), Some(version.to_owned()));
        Some(Difference { of: name.to_owned(), is_package: false, version, first })
    });
    let packages = ends.packages.iter().filter_map(|(name, version)| {
        let first = canary.packages.get(name)?.clone();
        Some(Difference { of: name.clone(), is_package: true, version: version.clone(), first })
    });
    programs.chain(packages).filter(|one| one.version != one.first).collect()
}

/// Nothing is said of a list that is not whole: what is missing there may be behind its end. Nor of a record that an older careen
/// wrote: nobody knows whether that host was looked at.
fn unchanged(canary: &EndsWith, ends: &EndsWith) -> Vec<String> {
    let was_looked_at = ends.versions.line().is_some();
    if !ends.is_whole || !was_looked_at {
        return Vec::new();
    }
    canary.packages.keys().filter(|name| !ends.packages.contains_key(*name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_planner::state::{Reason, StateName};

    const NEW: &str = "packages: 2 changed\n  curl 7 → 8\n  vim 1 → 2\nends with: kernel 6, engine 28.5.2";

    fn node(name: &str, state: NodeState, generation: u32) -> HistoryNode {
        let (id, hostname) = (NodeId(format!("id-{name}")), name.into());
        HistoryNode { id, hostname, generation, state, last_words: None }
    }

    fn result(name: &str, generation: u32, record: &str) -> NodeResult {
        NodeResult {
            node: NodeId(format!("id-{name}")),
            generation,
            outcome: NodeOutcome::Succeeded,
            record: Some(record.into()),
            seconds: None,
        }
    }

    /// The nodes' names, what differs, and what did not change, by records in the order in which they came.
    fn told(records: &[(&str, &str)]) -> Vec<(String, String, String)> {
        let nodes: Vec<HistoryNode> =
            records.iter().map(|(name, _)| node(name, NodeState::Done, 1)).collect();
        let results: Vec<NodeResult> = records.iter().map(|(name, record)| result(name, 1, record)).collect();
        let parity = Parity::of(&nodes, &results).unwrap();
        assert_eq!(parity.hostname, records[0].0);
        let none = || "none".to_owned();
        let told = |one: &Differing| {
            let nodes: Vec<&str> = one.nodes.iter().map(|node| node.hostname.as_str()).collect();
            let versions: Vec<String> = one
                .versions
                .iter()
                .map(|one| {
                    let [version, first] =
                        [&one.version, &one.first].map(|it| it.clone().unwrap_or_else(none));
                    format!("{} {version} not {first}", one.of)
                })
                .collect();
            (nodes.join(" "), versions.join(", "), one.unchanged.join(" "))
        };
        parity.others.iter().map(told).collect()
    }

    fn row(nodes: &str, versions: &str, unchanged: &str) -> (String, String, String) {
        (nodes.into(), versions.into(), unchanged.into())
    }

    #[test]
    fn whoever_ends_as_the_first_one_is_not_named() {
        assert_eq!(told(&[("w1", NEW), ("w2", NEW)]), []);
        // It has more packages: nobody knows whether the first one has them, too.
        let more = NEW.replace("\n  curl", "\n  + bash 5\n  curl");
        assert_eq!(told(&[("w1", NEW), ("w2", &more)]), []);
        // Where it came from makes no difference.
        assert_eq!(told(&[("w1", NEW), ("w2", &NEW.replace("vim 1 ", "vim 0 "))]), []);
    }

    #[test]
    fn other_versions_are_told_once_for_all_nodes_that_have_them() {
        let old_engine = NEW.replace("28.5.2", "26.1.5");
        let old_vim = NEW.replace("vim 1 → 2", "vim 0 → 1");
        let removed = NEW.replace("vim 1 → 2", "- vim 1").replace("kernel 6", "kernel 5");
        assert_eq!(
            told(&[
                ("w1", NEW),
                ("w5", &removed),
                ("w4", &old_engine),
                ("w3", &old_vim),
                ("w2", &old_engine)
            ]),
            [
                row("w2 w4", "engine 26.1.5 not 28.5.2", ""),
                row("w3", "vim 1 not 2", ""),
                row("w5", "kernel 5 not 6, vim none not 2", ""),
            ]
        );
    }

    #[test]
    fn what_did_not_change_is_told_where_the_list_is_whole() {
        let nothing = "ends with: kernel 6, engine 28.5.2";
        assert_eq!(told(&[("w1", NEW), ("w2", nothing)]), [row("w2", "", "curl vim")]);
        let cut = NEW.replace("\n  vim 1 → 2", "\n  and 1 more");
        assert_eq!(told(&[("w1", NEW), ("w2", &cut)]), []);
        // Of an older careen: perhaps nobody has looked.
        assert_eq!(told(&[("w1", NEW), ("w2", "")]), []);
        // The other way round nothing is known.
        assert_eq!(told(&[("w1", nothing), ("w2", NEW)]), []);
    }

    #[test]
    fn only_the_last_try_of_nodes_that_are_done_counts() {
        let failed = NodeState::Failed { during: StateName::Running, reason: Reason::Exit(7) };
        let nodes = [node("w1", failed, 1), node("w2", NodeState::Done, 2), node("w3", NodeState::Done, 1)];
        let old = NEW.replace("28.5.2", "26.1.5");
        let results =
            [result("w1", 1, NEW), result("w2", 1, &old), result("w3", 1, NEW), result("w2", 2, &old)];
        let parity = Parity::of(&nodes, &results).unwrap();
        assert_eq!((parity.hostname.as_str(), parity.others.len()), ("w3", 1));
        assert_eq!(Parity::of(&nodes[..1], &results), None);
    }
}
