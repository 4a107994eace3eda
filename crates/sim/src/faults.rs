//! What goes wrong in a history, and how often.

use crate::container::ContainerEnd;
use crate::world::Hazard;
use careen_planner::{JobKey, NodeId};

/// How often what goes wrong, in thousandths.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// A controller dies after an action.
    pub crash: u64,
    /// A controller freezes after an action, and goes on later.
    pub freeze: u64,
    /// A second controller starts, each second.
    pub second: u64,
    /// An operator changes something, each second.
    pub operator: u64,
    /// An engine restarts by itself, each second.
    pub engine: u64,
    /// A node is cut off for a while, each second.
    pub cut_off: u64,
    /// A host dies for good, each second.
    pub death: u64,
    /// What happens to hosts and containers.
    pub accidents: Accidents,
    /// A node leaves, joins, or gets another role, each second.
    pub members: u64,
    /// Somebody deletes something of the rollout's by hand, each second.
    pub hand: u64,
    /// Until when all that happens.
    pub until: u64,
}

impl Faults {
    /// Everything that can go wrong.
    pub fn all() -> Self {
        let accidents = Accidents::all();
        Self {
            crash: 40,
            freeze: 15,
            second: 3,
            operator: 8,
            engine: 2,
            cut_off: 3,
            death: 1,
            accidents,
            members: 3,
            hand: 1,
            until: 1200,
        }
    }

    /// By name, for the command line.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::default()),
            "controllers" => Some(Self::controllers()),
            "hosts" => Some(Self::hosts()),
            "members" => Some(Self::members()),
            "all" => Some(Self::all()),
            _ => None,
        }
    }

    pub(crate) fn hazard(&self) -> Hazard {
        let Accidents { supervisor_between, supervisor_late, lag, .. } = self.accidents;
        Hazard { supervisor_between, supervisor_late, lag }
    }

    /// Everything but what happens to hosts and containers.
    pub fn but_accidents() -> Self {
        Self { accidents: Accidents::default(), ..Self::all() }
    }

    /// Everything but what operators do with the members of the swarm, and delete by hand.
    pub fn but_members() -> Self {
        Self { members: 0, hand: 0, ..Self::all() }
    }

    /// Only what happens to hosts and containers.
    pub fn hosts() -> Self {
        Self { accidents: Accidents::all(), until: 1200, ..Self::default() }
    }

    /// Only what operators do with the members of the swarm, and delete by hand.
    pub fn members() -> Self {
        Self { members: 6, hand: 3, until: 1200, ..Self::default() }
    }

    /// Only controllers crash and freeze.
    pub fn controllers() -> Self {
        Self { crash: 60, freeze: 20, second: 5, until: 2000, ..Self::default() }
    }
}

/// How often which, in thousandths for each second.
#[derive(Debug, Clone, Copy, Default)]
pub struct Accidents {
    /// One container of careen's is killed, removed or stopped.
    pub container: u64,
    /// All containers of a host are, one after the other.
    pub sweep: u64,
    /// The kernel is out of memory and kills gates.
    pub oom: u64,
    /// An agent is frozen for a while.
    pub freeze: u64,
    /// A supervisor is killed.
    pub supervisor: u64,
    /// Two gates of a node are removed at once: `docker rm -f`.
    pub pair: u64,
    /// A supervisor is killed behind one of its steps: for each step.
    pub supervisor_between: u64,
    /// A supervisor is frozen for a while.
    pub supervisor_freeze: u64,
    /// A supervisor takes its time to start, for each that is started.
    pub supervisor_late: u64,
    /// Somebody ends what a supervisor waits for: `careen-agent cancel`.
    pub cancel: u64,
    /// A host loses its state directory.
    pub forget: u64,
    /// A host is installed anew while it is in the swarm.
    pub reimage: u64,
    /// An engine is killed.
    pub engine_kill: u64,
    /// Somebody reboots a host.
    pub reboot: u64,
    /// So many seconds the lists of a look are apart, and a report is old, at most.
    pub lag: u64,
}

impl Accidents {
    /// Everything that can happen to them.
    pub fn all() -> Self {
        Self {
            container: 8,
            sweep: 2,
            oom: 2,
            freeze: 4,
            supervisor: 4,
            pair: 3,
            supervisor_between: 4,
            supervisor_freeze: 3,
            supervisor_late: 30,
            cancel: 2,
            forget: 2,
            reimage: 1,
            engine_kill: 2,
            reboot: 2,
            lag: 4,
        }
    }
}

/// All containers of a host, one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Sweep {
    pub(crate) node: NodeId,
    pub(crate) left: Vec<JobKey>,
    pub(crate) how: ContainerEnd,
    pub(crate) every: u64,
    pub(crate) next: u64,
}
