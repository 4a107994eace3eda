//! The kinds of node that there are.

use std::sync::Arc;

use crate::container::Container;
use crate::holder::Holder;
use crate::init::Init;
use crate::kind::NodeKind;
use crate::machine::Machine;
use crate::names::Kind;

/// How this kind of node is handled, on this engine.
pub fn of(kind: Kind, holder: &Holder) -> Arc<dyn NodeKind> {
    match kind {
        Kind::Container => Arc::new(Container::new(holder.clone(), Init::Systemd)),
        Kind::Sysvinit => Arc::new(Container::new(holder.clone(), Init::Sysvinit)),
        Kind::Vm => Arc::new(Machine::new(holder.clone())),
    }
}
