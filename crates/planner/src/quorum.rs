//! May this manager go down now? The rule is careen-contract's; here it is put to what the swarm says.

use crate::hold::Hold;
use crate::indexed::Indexed;
use crate::observed::{Node, NodeStatus, Reachability};
use careen_contract::quorum::{self, Called, Quorum};

/// Counts the managers. None when no manager says that it leads: then the list is from a manager without a leader, and
/// what it says of the others is old.
pub fn count(seen: &Indexed<'_>) -> Option<Quorum> {
    seen.has_leader().then(|| Quorum::of(&managers(seen)))
}

fn managers(seen: &Indexed<'_>) -> Vec<quorum::Manager> {
    let manager = |node: &&Node| quorum::Manager {
        node: node.id.0.clone(),
        reachable: node.manager.is_some_and(|manager| manager.reachability == Reachability::Reachable),
        leader: node.is_leader(),
        called: match node.status {
            NodeStatus::Ready => Called::Ready,
            NodeStatus::Down => Called::Down,
            NodeStatus::Unknown | NodeStatus::Disconnected => Called::Other,
        },
    };
    seen.managers().iter().map(manager).collect()
}

/// Whether the swarm calls a node down whose manager takes part.
pub fn is_called_down(seen: &Indexed<'_>, node: &Node) -> bool {
    quorum::is_called_down(&managers(seen), &node.id.0)
}

/// Whether a node may go down, as far as the quorum goes. A worker always may.
pub fn may_go_down(seen: &Indexed<'_>, node: &Node, allow_loss: bool) -> Result<(), Hold> {
    if !node.is_manager() || allow_loss {
        return Ok(());
    }
    let quorum = count(seen).ok_or(Hold::NoLeader)?;
    quorum.may_lose_one().map_err(Hold::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::{Manager, Observed};
    use crate::testing::{manager, worker};

    #[test]
    fn unknown_is_down_and_no_leader_is_no_answer() {
        let mut observed = Observed {
            nodes: vec![manager("m1"), manager("m2"), manager("m3"), worker("w1")],
            ..Observed::default()
        };
        let m1 = observed.nodes[0].clone();
        assert_eq!(may_go_down(&Indexed::of(&observed), &m1, false), Ok(()));
        observed.nodes[1].manager = Some(Manager { leader: false, reachability: Reachability::Unknown });
        let risk = Hold::QuorumAtRisk { members: 3, reachable: 2, needed: 2 };
        assert_eq!(may_go_down(&Indexed::of(&observed), &m1, false), Err(risk));
        assert_eq!(may_go_down(&Indexed::of(&observed), &m1, true), Ok(()), "who allows it gets it");
        for node in &mut observed.nodes {
            if let Some(manager) = &mut node.manager {
                *manager = Manager { leader: false, reachability: Reachability::Reachable };
            }
        }
        assert_eq!(may_go_down(&Indexed::of(&observed), &m1, false), Err(Hold::NoLeader));
        assert_eq!(may_go_down(&Indexed::of(&observed), &worker("w1"), false), Ok(()));
    }

    #[test]
    fn one_manager_may_and_two_may_not() {
        let one = Observed { nodes: vec![manager("m1")], ..Observed::default() };
        assert_eq!(may_go_down(&Indexed::of(&one), &one.nodes[0], false), Ok(()));
        let two = Observed { nodes: vec![manager("m1"), manager("m2")], ..Observed::default() };
        assert!(may_go_down(&Indexed::of(&two), &two.nodes[0], false).is_err());
    }
}
