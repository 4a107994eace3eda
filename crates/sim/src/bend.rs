//! Where tests bend the simulated hosts, to prove that the invariants bite. The shipped decisions stay as they are: bent is
//! what they are told, or what whoever drives them makes of it.

use careen_contract::report::Draw;
use careen_host::transaction::State;
use careen_protocol::agent::{CheckSaid, Known};
use careen_protocol::gates::Look;

/// What a test bends on the simulated hosts; by default nothing.
#[derive(Debug, Clone, Copy)]
pub struct Bend {
    /// What an agent sees of its gates, of which it has drawn these.
    pub look: fn(&mut Look, Option<Draw>),
    /// What an agent reads of its try.
    pub known: fn(&mut Known),
    /// What an agent makes of what `check` said.
    pub checked: fn(&mut CheckSaid),
    /// What a supervisor reads of its journal.
    pub state: fn(&mut State),
    /// An agent says that the go is void, and has not written it down.
    pub revokes_by_word_only: bool,
    /// A supervisor acts first, and writes afterwards that it will.
    pub acts_before_it_writes: bool,
    /// A supervisor takes a go that was passed on to the one before it, however long ago, and no agent takes one back.
    pub keeps_an_old_go: bool,
    /// A supervisor that has seen its go does not look at it again.
    pub looks_at_its_go_once: bool,
    /// A supervisor begins the command on a go that was passed on to it once, however long ago.
    pub begins_on_an_old_go: bool,
    /// An agent does not look whether a container starts.
    pub starts_no_container: bool,
    /// Whoever only waits is called busy.
    pub waits_for_who_waits: bool,
    /// A supervisor that is started at a boot is given the go of the agent that offered last.
    pub boot_is_a_go: bool,
    /// What is written to the swarm is taken whatever version it is for.
    pub ignores_versions: bool,
    /// An agent without gates leaves no mark with its engine.
    pub leaves_no_mark: bool,
    /// The swarm creates an agent's service although the ticket that it refers to is gone.
    pub ignores_tickets: bool,
    /// Agents and supervisors do not look at the quorum.
    pub ignores_quorum: bool,
}

impl Default for Bend {
    fn default() -> Self {
        Self {
            look: |_, _| {},
            known: |_| {},
            checked: |_| {},
            state: |_| {},
            revokes_by_word_only: false,
            acts_before_it_writes: false,
            keeps_an_old_go: false,
            looks_at_its_go_once: false,
            begins_on_an_old_go: false,
            starts_no_container: false,
            waits_for_who_waits: false,
            boot_is_a_go: false,
            ignores_versions: false,
            leaves_no_mark: false,
            ignores_tickets: false,
            ignores_quorum: false,
        }
    }
}
