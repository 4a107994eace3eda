//! The unlock key of an autolocked swarm, for a rollout that restarts managers' engines.
//!
//! It lies in a Swarm secret: the raft store that holds it is what the key itself encrypts, no API gives a secret's data back, and
//! only managers' agents mount it. It is in no spec, no label, no environment and no log.

use crate::api::Swarm;
use crate::deliver::GivenKind;
use crate::encode;
use crate::error::SwarmError;
use crate::key::Key;
use crate::names;
use crate::rollouts::RequestError;
use careen_contract::label;
use careen_engine::Kind;
use careen_planner::RolloutId;
use careen_planner::spec::UnlockKey;
use std::collections::BTreeMap;

impl Swarm {
    /// Whether this is the key with which managers of this swarm are unlocked.
    pub fn is_unlock_key(&self, key: &Key) -> Result<bool, SwarmError> {
        Ok(self.engine().unlock_key()?.as_deref() == Some(key.reveal().trim()))
    }

    /// The secret of exactly this name.
    pub fn secret(&self, name: &str) -> Result<Option<UnlockKey>, SwarmError> {
        let id = self.find_given(GivenKind::Secret, name)?;
        Ok(id.map(|id| UnlockKey { id, name: name.to_owned() }))
    }

    /// Stores the key for a rollout.
    pub(crate) fn store_unlock_key(&self, id: &RolloutId, key: &Key) -> Result<UnlockKey, RequestError> {
        let name = names::unlock_key(id);
        let labels = BTreeMap::from([(label::ROLLOUT.to_owned(), id.to_string())]);
        // A secret is written as a config is.
        let spec = encode::config_spec(&name, &labels, key.reveal().trim().as_bytes());
        let created = self.engine().create_object(Kind::Secrets, &spec, None);
        let id = created.map_err(|error| crate::rollouts::write_error(&name, &error))?;
        Ok(UnlockKey { id, name })
    }
}
