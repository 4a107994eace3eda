//! May one manager go down? Swarm itself guards its quorum on demote only, never on a drain, a restart or a reboot.
//!
//! Counted are members, not survivors: a manager whose reachability is unknown counts as down, and a swarm that lost a
//! manager for good still needs the majority of all that it once had.

/// What the swarm says of one manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reachability {
    /// It takes part.
    Reachable,
    /// It does not, or nobody knows.
    Down,
}

/// The managers of a swarm, the one that would go down among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quorum {
    /// All that are members.
    pub members: usize,
    /// Those that take part.
    pub reachable: usize,
}

/// Taking one more manager down would leave too few.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "quorum at risk: {reachable} of {members} managers are reachable, {needed} must stay when this one goes down"
)]
pub struct QuorumAtRisk {
    /// All that are members.
    pub members: usize,
    /// Those that take part now.
    pub reachable: usize,
    /// How many must take part at any time.
    pub needed: usize,
}

impl Quorum {
    /// Counts.
    pub fn of(managers: impl IntoIterator<Item = Reachability>) -> Self {
        managers.into_iter().fold(Self { members: 0, reachable: 0 }, |sum, manager| Self {
            members: sum.members + 1,
            reachable: sum.reachable + usize::from(manager == Reachability::Reachable),
        })
    }

    /// Whether one reachable manager may go down for a while. A single manager may: nobody else is there to lose, and
    /// its swarm stands still until it is back.
    pub fn may_lose_one(self) -> Result<(), QuorumAtRisk> {
        let Self { members, reachable } = self;
        let needed = members / 2 + 1;
        if members == 1 || reachable > needed {
            Ok(())
        } else {
            Err(QuorumAtRisk { members, reachable, needed })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_majority_of_all_members_must_stay() {
        // members, reachable, may one go down?
        let table = [
            (1, 1, true),
            (2, 2, false),
            (3, 3, true),
            (3, 2, false),
            (4, 4, true),
            (4, 3, false),
            (5, 5, true),
            (5, 4, true),
            (5, 3, false),
            (7, 7, true),
            (7, 5, true),
            (7, 4, false),
            (0, 0, false),
        ];
        for (members, reachable, may) in table {
            let quorum = Quorum { members, reachable };
            assert_eq!(quorum.may_lose_one().is_ok(), may, "{quorum:?}");
        }
    }

    #[test]
    fn unknown_counts_as_down() {
        let seen = [Reachability::Reachable, Reachability::Down, Reachability::Reachable];
        let risk = Quorum::of(seen).may_lose_one().unwrap_err();
        assert_eq!(risk, QuorumAtRisk { members: 3, reachable: 2, needed: 2 });
    }
}
