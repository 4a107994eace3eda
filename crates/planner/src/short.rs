//! Whether a rollout goes the short way. The same for `careen plan` and for the controller.

use crate::ids::{FEW_GATES, GATES};
use crate::order;
use crate::spec::{DrainPolicy, RebootPolicy, Spec};

/// Whether nothing is drained and careen restarts nothing: then agents need no go, everything of a wave goes at once, and what
/// is left of an agent is removed beside the work of the others.
pub fn is_short(spec: &Spec) -> bool {
    spec.drain == DrainPolicy::Never && !may_restart(spec)
}

/// Whether careen may restart an engine or a host for a command that asks for it.
fn may_restart(spec: &Spec) -> bool {
    spec.restarts || spec.engine_restart || spec.reboot != RebootPolicy::Never
}

/// How many gates an agent has on the long way.
pub fn gates(spec: &Spec, collects: bool) -> u8 {
    if collects || !may_restart(spec) { FEW_GATES } else { GATES }
}

/// Whether its first nodes may begin from wherever it is submitted: no engine ends, and with it no controller, wherever that comes up.
pub fn may_begin_anywhere(spec: &Spec) -> bool {
    is_short(spec) && order::leaves_engines_alone(spec)
}
