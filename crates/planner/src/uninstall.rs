//! Whether careen may be removed from a swarm, and which labels it has on nodes. Which hosts are asked is decided in
//! [`crate::inquiry`].

use crate::enforcement::enforced;
use crate::ids::NodeId;
use crate::observed::{Node, Observed};
use crate::remains::{Giving, LabelledNode, remains, without_labels};
use careen_contract::label;

/// Why careen is not removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotUninstall {
    /// Nobody would give these nodes back any more.
    #[error("a rollout left {} with an availability, or services scaled up, that careen still has to give back", .nodes.join(", "))]
    Held {
        /// Their names.
        nodes: Vec<String>,
    },
    /// The label of a node says something of which this version does not know whether it holds the node.
    #[error(
        "the label careen.node of {node} cannot be understood, so nobody knows whether careen holds that node"
    )]
    Unreadable {
        /// Its name.
        node: String,
    },
    /// Hosts keep themselves to it, and would write anew what was removed.
    #[error("{} is enforced on hosts", .names.join(", "))]
    Enforced {
        /// What each is called.
        names: Vec<String>,
    },
    /// Something goes on there, or nobody knows.
    #[error("something is not finished on {}, as told above", .hosts.join(", "))]
    AtWork {
        /// The hosts' names.
        hosts: Vec<String>,
    },
}

/// Whether nothing in the swarm speaks against it. The rollout that goes on is looked for before.
pub fn may_uninstall(observed: &Observed) -> Result<(), CannotUninstall> {
    let corrupt = observed.nodes.iter().find(|node| crate::state::NodeRecord::of(node).is_err());
    if let Some(node) = corrupt {
        return Err(CannotUninstall::Unreadable { node: node.hostname.clone() });
    }
    let mut names: Vec<String> =
        enforced(&observed.services).into_iter().map(|(name, _)| name.to_owned()).collect();
    names.dedup();
    if !names.is_empty() {
        return Err(CannotUninstall::Enforced { names });
    }
    let is_held = |node: &LabelledNode| node.taken.is_some_and(|taken| taken.was != node.availability);
    let all = remains(observed, None);
    let held = all.values().flat_map(|left| &left.nodes).filter(|node| is_held(node));
    // A label that tells of services which are scaled up is all that tells of them.
    let surging = observed.nodes.iter().filter(|node| node.labels.contains_key(label::SURGE));
    let mut nodes: Vec<String> = held.map(|node| node.typed.clone()).collect();
    nodes.extend(surging.map(|node| node.hostname.clone()));
    nodes.sort();
    nodes.dedup();
    if nodes.is_empty() { Ok(()) } else { Err(CannotUninstall::Held { nodes }) }
}

/// The nodes that have a label of careen's own, and how it is taken off. What an operator has labelled for careen (such as
/// `careen.exclude`) is the operator's.
pub fn labels(observed: &Observed) -> Vec<(NodeId, Giving)> {
    let own = [label::NODE, label::ASK, label::LAST_WORDS, label::HELD];
    // Which version of an enforcement is for it: nothing is enforced any more.
    let is_own = |name: &String| own.contains(&name.as_str()) || name.starts_with(label::ENFORCE_VERSION_ON);
    let labelled = |node: &&Node| node.labels.keys().any(is_own);
    let removal = |node: &Node| {
        let mut giving = without_labels(node, None);
        if let Giving::Write { labels, .. } = &mut giving {
            labels.extend(node.labels.keys().filter(|name| is_own(name)).map(|name| (name.clone(), None)));
        }
        (node.id.clone(), giving)
    };
    observed.nodes.iter().filter(labelled).map(removal).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::Availability;
    use crate::testing::{manager, worker};

    fn labelled(text: &str, availability: Availability) -> Observed {
        let mut node = Node { availability, ..worker("w1") };
        node.labels.insert(label::NODE.into(), text.into());
        node.labels.insert(label::EXCLUDE.into(), "weak".into());
        Observed { nodes: vec![manager("m1"), node], ..Observed::default() }
    }

    #[test]
    fn a_node_that_careen_holds_must_be_given_back_first() {
        let failed = "1 k3x9 g1 a1 e1 failed:running:exit-7 active>drain";
        assert!(crate::state::NodeRecord::decode(failed).is_ok(), "{failed}");
        let held = labelled(failed, Availability::Drain);
        assert_eq!(may_uninstall(&held), Err(CannotUninstall::Held { nodes: vec!["w1".into()] }));
        assert_eq!(
            may_uninstall(&labelled(failed, Availability::Active)),
            Ok(()),
            "its operator gave it back"
        );
        let unknown = may_uninstall(&labelled("9 later", Availability::Active)).unwrap_err();
        assert_eq!(unknown, CannotUninstall::Unreadable { node: "w1".into() });
        assert_eq!(may_uninstall(&Observed::default()), Ok(()));
        let mut surging = labelled("1 k3x9 g1 a1 e1 done", Availability::Active);
        surging.nodes[1].labels.insert(label::SURGE.into(), "1 k3x9 up ID@7:6>7".into());
        assert_eq!(may_uninstall(&surging), Err(CannotUninstall::Held { nodes: vec!["w1".into()] }));
    }

    #[test]
    fn what_is_enforced_is_stopped_first() {
        let mut service = crate::testing::service("careen-enforce-sysctl-0a1b2c3d", 1);
        service.labels.insert(label::ENFORCED.into(), "sysctl".into());
        service.labels.insert(label::ENFORCED_VERSION.into(), "0a1b2c3d".into());
        let observed = Observed { services: vec![service], ..Observed::default() };
        assert_eq!(may_uninstall(&observed), Err(CannotUninstall::Enforced { names: vec!["sysctl".into()] }));
    }

    #[test]
    fn careens_labels_go_and_an_operators_stay() {
        let mut observed = labelled("1 k3x9 g1 a1 e1 done", Availability::Active);
        observed.nodes[1].labels.insert("careen.enforce.sysctl".into(), "0a1b2c3d".into());
        let [(node, Giving::Write { labels, availability: None, .. })] = &labels(&observed)[..] else {
            panic!("{:?}", labels(&observed))
        };
        assert_eq!(node.0, "w1");
        assert!(labels.contains_key(label::NODE) && !labels.contains_key(label::EXCLUDE));
        assert!(labels.contains_key("careen.enforce.sysctl"));
        assert!(labels.values().all(Option::is_none));
    }
}
