//! A rollout that is not in the swarm yet, and how it comes there: with all that it needs, or not at all.

use crate::api::Swarm;
use crate::deliver::PayloadFile;
use crate::key::Key;
use crate::rollouts::RequestError;
use careen_planner::Spec;
use careen_planner::cluster::ActError;

/// A rollout before it is submitted. What its spec refers to is in the swarm already; what comes with it has no id yet.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What is to be done, without the two below.
    pub spec: Spec,
    /// The payload's own files.
    pub files: Vec<PayloadFile>,
    /// The unlock key, which becomes a secret of this rollout.
    pub key: Option<Key>,
}

impl Draft {
    /// One with which nothing comes.
    pub fn of(spec: Spec) -> Self {
        Self { spec, files: Vec::new(), key: None }
    }

    /// Whether managers can be unlocked with what is in the swarm or comes there.
    pub fn has_key(&self) -> bool {
        self.key.is_some() || self.spec.unlock_key.is_some()
    }
}

impl Swarm {
    /// Brings files and key into the swarm, and behind them the rollout: one that is there has all that it needs. What was brought
    /// for one that is refused is taken away again. `by` is who submits it, as they say themselves.
    pub fn submit_draft(&self, draft: &Draft, by: &str) -> Result<Spec, RequestError> {
        let submitted = self.bring(draft).and_then(|spec| self.submit(&spec, Some(by)).map(|()| spec));
        if submitted.as_ref().is_err_and(|error| !may_be_there(error)) {
            // Why it failed matters more; what stays goes with the next rollout's sweep.
            let _best_effort = self.remove_delivered(&draft.spec.id);
        }
        submitted
    }

    fn bring(&self, draft: &Draft) -> Result<Spec, RequestError> {
        let mut spec = draft.spec.clone();
        spec.given.files.extend(self.deliver(&spec.id, &draft.files)?);
        if let Some(key) = &draft.key {
            spec.unlock_key = Some(self.store_unlock_key(&spec.id, key)?);
        }
        Ok(spec)
    }
}

/// A write without an answer may have been done: a rollout that is there needs what was brought.
fn may_be_there(error: &RequestError) -> bool {
    matches!(error, RequestError::Write { why: ActError::Unavailable { .. }, .. })
}
