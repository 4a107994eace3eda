//! Who owns a node's availability. careen undoes only what it did, and only while it is still so.

use crate::ids::RolloutId;
use crate::indexed::Indexed;
use crate::observed::{Availability, Node};
use crate::participants;
use crate::state::{NodeRecord, Taken};

/// A change of a node's availability, and what is remembered of it in the same write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// What it becomes; `None` when it is so already.
    pub to: Option<Availability>,
    /// What careen has to undo afterwards.
    pub taken: Option<Taken>,
}

/// What the node's operator wants: what it was before careen changed it, or, when somebody changed it since, what it
/// is now.
pub fn operators(node: &Node, taken: Option<Taken>) -> Availability {
    match taken {
        Some(Taken { was, set }) if set == node.availability => was,
        Some(_) | None => node.availability,
    }
}

/// What an earlier rollout did to the node's availability and has not undone: it failed there. A node that is still as it
/// was left then is no node that its operator keeps so; the next success there gives it back.
pub fn left_by_another(seen: &Indexed<'_>, node: &Node, rollout: &RolloutId) -> Option<Taken> {
    let record = NodeRecord::of(node).ok().flatten();
    let record =
        record.filter(|record| record.rollout != *rollout && participants::is_over(seen, node, record));
    record.and_then(|record| record.taken).filter(|taken| taken.set == node.availability)
}

/// Makes a node what its state needs.
pub fn make(node: &Node, taken: Option<Taken>, wanted: Availability) -> Change {
    let was = operators(node, taken);
    Change {
        to: (node.availability != wanted).then_some(wanted),
        taken: (was != wanted).then_some(Taken { was, set: wanted }),
    }
}

/// Gives a node back.
pub fn restore(node: &Node, taken: Option<Taken>) -> Change {
    make(node, taken, operators(node, taken))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::worker;
    use Availability::{Active, Drain, Pause};

    #[test]
    fn what_careen_did_is_undone_and_what_somebody_else_did_is_not() {
        let taken = |was, set| Some(Taken { was, set });
        // it is, careen took, it becomes, and what is remembered; then what it is given back as
        let table = [
            (Active, None, Drain, Some(Drain), taken(Active, Drain)),
            (Drain, taken(Active, Drain), Active, Some(Active), None),
            (Drain, None, Active, Some(Active), taken(Drain, Active)),
            (Active, taken(Drain, Active), Drain, Some(Drain), None),
            (Pause, None, Drain, Some(Drain), taken(Pause, Drain)),
            (Drain, taken(Pause, Drain), Active, Some(Active), taken(Pause, Active)),
            // Somebody made the drained node active: it is theirs now.
            (Active, taken(Active, Drain), Active, None, None),
            // Somebody paused it.
            (Pause, taken(Active, Drain), Active, Some(Active), taken(Pause, Active)),
        ];
        for (is, had, wanted, to, taken) in table {
            let node = Node { availability: is, ..worker("w1") };
            assert_eq!(make(&node, had, wanted), Change { to, taken }, "{is:?} {had:?} {wanted:?}");
        }
        let node = Node { availability: Drain, ..worker("w1") };
        assert_eq!(restore(&node, taken(Active, Drain)), Change { to: Some(Active), taken: None });
        assert_eq!(restore(&node, None), Change { to: None, taken: None });
        let changed = Node { availability: Pause, ..worker("w1") };
        assert_eq!(restore(&changed, taken(Active, Drain)), Change { to: None, taken: None });
    }
}
