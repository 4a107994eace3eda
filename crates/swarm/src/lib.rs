//! A real swarm behind the controller's trait: the Docker API in, the planner's words out, and back.
//!
//! - [`Swarm`]: a manager's engine. For whoever submits, steers and lists rollouts.
//! - [`SwarmCluster`]: the same for one rollout, as a controller needs it ([`careen_planner::cluster::Cluster`]).
//! - `decode`, `encode`, `logs`, `answers`, `history`, `patience`: pure, tested with what a real swarm answered.
//! - `look`, `act`, `rollouts`, `deliver`, `reports`, `inquiry`, `enforcements`: they ask and write, and decide nothing.
//!
//! What lies where in the swarm: docs/rollout-state-in-swarm.md.

mod act;
mod answers;
mod api;
mod controller;
mod controller_task;
mod decode;
mod deliver;
mod draft;
mod encode;
mod enforcements;
mod error;
mod history;
mod inquiry;
mod key;
mod logs;
mod look;
mod moves;
mod names;
mod patience;
mod possessions;
mod remains;
mod reports;
mod rollouts;
mod sweep;
mod unlock;

pub use api::Swarm;
pub use controller::{Home, name as controller_name, place_of_a_new_one};
pub use controller_task::{ControllerTask, Seat};
pub use decode::ConfigObject;
pub use deliver::{GivenKind, PayloadFile};
pub use draft::Draft;
pub use enforcements::{EnforcementDraft, version_of as version_of_enforcement};
pub use error::SwarmError;

pub use history::{
    Before, Finding, Head, History, HistoryNode, KeptFile, NewConfig, Remembered, Verification, assemble,
    to_write, verify,
};
pub use inquiry::{Inquiry, NotGivenBack};
pub use key::Key;
pub use names::{REGISTRY_FILE, enforcer as enforcer_name, inquiry as inquiry_name};
pub use patience::Patience;
pub use possessions::{Possession, PossessionKind};
pub use remains::Stored;
pub use rollouts::{Order, RequestError, Rollout};

use careen_engine::{Bell, RegistryAuth, Ringer};
use careen_planner::cluster::{ActError, Cluster, Unseen};
use careen_planner::glance::{Glance, Memory};
use careen_planner::observed::ControllerPlace;
use careen_planner::{Act, ControllerId, NodeId, Observed, Spec};
use reports::Reports;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A swarm, as the controller of one rollout sees it.
#[derive(Debug)]
pub struct SwarmCluster {
    swarm: Swarm,
    spec: Spec,
    me: ControllerId,
    place: Option<ControllerPlace>,
    reports: Reports,
    start: Instant,
    registry: Option<RegistryAuth>,
    /// When the nodes of the last look were written, as the managers say it.
    written: BTreeMap<NodeId, String>,
    /// Ring for what the swarm tells of by itself, as long as they are there: of nodes, and of other objects.
    events: Option<(Ringer, Ringer)>,
}

impl SwarmCluster {
    /// For the rollout of this spec, which need not be submitted: to look is possible without.
    ///
    /// The id must be new in each process. The place is that of the process; `None` outside of the swarm.
    pub fn new(swarm: Swarm, spec: Spec, me: ControllerId, place: Option<ControllerPlace>) -> Self {
        let reports = Reports::new(swarm.shared(), None);
        let (start, written) = (Instant::now(), BTreeMap::new());
        Self { swarm, spec, me, place, reports, start, registry: None, written, events: None }
    }

    /// When the nodes of the last look were written last, as the managers say it: for people, never for a decision.
    pub fn written(&self) -> &BTreeMap<NodeId, String> {
        &self.written
    }

    /// With a bell that rings when it may be worth looking again: for what happens to the swarm's own objects, and for what agents
    /// say. It need not ring for everything: tasks come and go without a word.
    #[must_use]
    pub fn with_bell(mut self, bell: Bell) -> Self {
        self.reports = Reports::new(self.swarm.shared(), Some(bell.clone()));
        self.events = Some(self.swarm.follow_events(&bell));
        self
    }

    /// Whether a node may have changed since this was asked last. Without events nobody knows.
    fn hears_of_a_node(&self) -> bool {
        self.events.as_ref().is_none_or(|(of_nodes, _)| of_nodes.rang())
    }

    /// With credentials for the registry of the rollout's image: nodes pull with them.
    #[must_use]
    pub fn with_registry_auth(mut self, auth: Option<RegistryAuth>) -> Self {
        self.registry = auth;
        self
    }
}

impl Cluster for SwarmCluster {
    fn observe(&mut self) -> Result<Observed, Unseen> {
        Ok(self.look()?)
    }

    fn glance(&mut self, memory: &Memory, all_nodes: bool) -> Result<Option<Glance>, Unseen> {
        Ok(self.look_briefly(memory, all_nodes)?)
    }

    fn act(&mut self, act: &Act) -> Result<(), ActError> {
        self.carry_out(act)
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}
