//! One controller at a time. A lock is dead when its version has stood still for long enough on the observer's own
//! clock; the clocks of two machines are never compared.

use crate::action::Action;
use crate::hold::Hold;
use crate::ids::ControllerId;
use crate::indexed::Indexed;
use crate::observed::Observed;
use crate::rollout::Control;
use crate::spec::Spec;
use crate::state::NodeRecord;
use crate::watch::{Key, Watching};

/// What the lock allows.
pub(super) enum Look {
    /// It is this controller's.
    Mine { epoch: u64 },
    /// It can be taken; what follows is decided when it is seen to be taken.
    Take { epoch: u64, action: Action },
    /// Somebody else holds it.
    Wait(Hold),
    /// It was this controller's and is not any more.
    Superseded,
    /// The rollout is over and tidied up.
    NotNeeded,
}

pub(super) fn look(
    observed: &Indexed<'_>,
    spec: &Spec,
    me: &ControllerId,
    watching: &mut Watching<'_>,
) -> Look {
    let Some(lock) = &observed.lock else {
        if watching.after.epoch.is_some() {
            return Look::Superseded;
        }
        return take(observed, None);
    };
    let is_mine = lock.holder.as_ref() == Some(me);
    if is_mine && watching.after.epoch.is_none_or(|epoch| epoch == lock.epoch) {
        return Look::Mine { epoch: lock.epoch };
    }
    let over = observed.rollout.as_ref().is_some_and(|one| matches!(one.control, Control::Finished { .. }));
    // A controller of the next rollout is not waited for: it may wait for this one to leave its node.
    let is_free = lock.holder.is_none() || lock.rollout.as_ref() != Some(&spec.id);
    if is_free && over && !super::finish::is_untidy(observed, spec) {
        return Look::NotNeeded;
    }
    if watching.after.epoch.is_some() {
        return Look::Superseded;
    }
    let unchanged = watching.age(Key::Lock(lock.version));
    if lock.holder.is_none() || unchanged >= spec.limits.lock_dead {
        return take(observed, Some(lock.version));
    }
    Look::Wait(Hold::LockHeld { holder: lock.holder.clone(), rollout: lock.rollout.clone() })
}

/// The new epoch is higher than any that was ever seen, also when somebody removed the lock.
fn take(observed: &Observed, version: Option<crate::ids::Version>) -> Look {
    let of_lock = observed.lock.as_ref().map_or(0, |lock| lock.epoch);
    let records = observed.nodes.iter().filter_map(|node| NodeRecord::of(node).ok().flatten());
    let epoch = records.map(|record| record.epoch).fold(of_lock, u64::max) + 1;
    Look::Take { epoch, action: Action::TakeLock { epoch, version } }
}
