//! May one manager go down? Swarm itself guards its quorum on demote only, never on a drain, a restart or a reboot.
//!
//! Counted are members, not survivors: a manager whose reachability is unknown counts as down, and a swarm that lost a
//! manager for good still needs the majority of all that it once had.

/// One manager, as the swarm's leader tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Manager {
    /// Its node's id.
    pub node: String,
    /// Whether it takes part in the quorum. Whoever is unknown does not.
    pub reachable: bool,
    pub leader: bool,
    /// What the swarm calls its node: an engine that was just started is reachable before it is ready.
    pub called: Called,
}

/// What a swarm calls a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Called {
    /// It reports.
    Ready,
    /// It has missed its heartbeats.
    Down,
    /// Nobody knows yet, or it left.
    Other,
}

/// Why a list of managers does not let one of them go down, or does not count it as back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotNow {
    /// While a swarm elects a leader, its members still call those reachable that they saw last: for about 10 s.
    #[error("the swarm has no leader at the moment")]
    NoLeader,
    /// Taking one down would leave too few.
    #[error(transparent)]
    QuorumAtRisk(#[from] QuorumAtRisk),
    /// The swarm does not count this one.
    #[error("the swarm does not count this manager as {missing} yet")]
    NotBack {
        /// `a member`, `reachable` or `ready`.
        missing: &'static str,
    },
}

/// Whether one of these managers may go down for a while.
pub fn may_go_down(managers: &[Manager]) -> Result<(), NotNow> {
    led(managers)?;
    Ok(Quorum::of(managers).may_lose_one()?)
}

/// Whether the swarm counts this manager as taking part, so that the next one may go down.
pub fn takes_part(managers: &[Manager], node: &str) -> Result<(), NotNow> {
    led(managers)?;
    let missing = match managers.iter().find(|manager| manager.node == node) {
        None => "a member",
        Some(manager) if !manager.reachable => "reachable",
        Some(manager) if manager.called != Called::Ready => "ready",
        Some(_) => return Ok(()),
    };
    Err(NotNow::NotBack { missing })
}

/// Whether the swarm calls this manager's node down although it takes part in the quorum: its engine is up, and reaches the
/// others. For a moment that is so behind each start; a swarm that goes on so has lost the node's session, and takes it back when
/// its engine is started again.
pub fn is_called_down(managers: &[Manager], node: &str) -> bool {
    let it = managers.iter().find(|manager| manager.node == node);
    led(managers).is_ok() && it.is_some_and(|it| it.reachable && it.called == Called::Down)
}

fn led(managers: &[Manager]) -> Result<(), NotNow> {
    let leads = |manager: &Manager| manager.leader && manager.reachable;
    if managers.iter().any(leads) { Ok(()) } else { Err(NotNow::NoLeader) }
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
    /// Counts the managers, and those of them that are reachable.
    pub fn of(managers: &[Manager]) -> Self {
        let reachable = managers.iter().filter(|manager| manager.reachable).count();
        Self { members: managers.len(), reachable }
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

    /// `L` leads, `R` is reachable, `-` is not; the first is called m0, and so on.
    fn managers(seen: &str) -> Vec<Manager> {
        let manager = |(index, seen)| Manager {
            node: format!("m{index}"),
            reachable: seen != '-',
            leader: seen == 'L',
            called: Called::Ready,
        };
        seen.chars().enumerate().map(manager).collect()
    }

    #[test]
    fn unknown_counts_as_down() {
        let risk = QuorumAtRisk { members: 3, reachable: 2, needed: 2 };
        assert_eq!(may_go_down(&managers("L-R")), Err(NotNow::QuorumAtRisk(risk)));
        assert_eq!(may_go_down(&managers("LRR")), Ok(()));
    }

    #[test]
    fn called_down_is_who_takes_part_and_is_not_listed_so() {
        let called = |seen: &str, called| {
            let mut managers = managers(seen);
            managers[1].called = called;
            (is_called_down(&managers, "m1"), takes_part(&managers, "m1").is_ok())
        };
        assert_eq!(called("LRR", Called::Down), (true, false));
        assert_eq!(called("LRR", Called::Ready), (false, true));
        assert_eq!(called("LRR", Called::Other), (false, false), "a new leader has not heard of it yet");
        assert_eq!(called("L-R", Called::Down), (false, false), "it is down");
        assert_eq!(called("RRR", Called::Down), (false, false), "nobody leads");
    }

    #[test]
    fn a_list_without_a_leader_is_not_to_be_believed() {
        for seen in ["RRR", "R-R", "", "R"] {
            assert_eq!(may_go_down(&managers(seen)), Err(NotNow::NoLeader), "{seen}");
            assert_eq!(takes_part(&managers(seen), "m0"), Err(NotNow::NoLeader), "{seen}");
        }
        let mut dead = managers("LRR");
        dead[0].reachable = false;
        assert_eq!(may_go_down(&dead), Err(NotNow::NoLeader), "a leader that is not reachable leads nobody");
    }

    #[test]
    fn a_manager_is_back_when_the_swarm_says_so() {
        assert_eq!(takes_part(&managers("LR"), "m1"), Ok(()));
        assert_eq!(takes_part(&managers("L-"), "m1"), Err(NotNow::NotBack { missing: "reachable" }));
        assert_eq!(takes_part(&managers("LR"), "m2"), Err(NotNow::NotBack { missing: "a member" }));
        let mut starting = managers("LR");
        starting[1].called = Called::Other;
        assert_eq!(takes_part(&starting, "m1"), Err(NotNow::NotBack { missing: "ready" }));
    }
}
