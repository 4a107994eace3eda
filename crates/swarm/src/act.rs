//! Actions of a pass, as requests. Each is guarded by the version of what it changes or by the name of what it creates,
//! and by the lock: it is read before each act.

use crate::SwarmCluster;
use crate::api::{LabelChange, Scaling};
use crate::decode;
use crate::encode;
use crate::error::{SwarmError, refusal};
use crate::history::{self, History, HistoryNode};
use crate::names;
use careen_contract::label;
use careen_contract::object;
use careen_engine::{EngineError, Kind};
use careen_planner::cluster::ActError;
use careen_planner::observed::ControllerPlace;
use careen_planner::rollout::{Baseline, Control, GoneMark, GoneNode, NodeResult, RolloutOutcome};
use careen_planner::{Act, Action, AgentSpec, ControllerId, JobKey, NodeId, Version};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

type Done = Result<(), ActError>;

impl SwarmCluster {
    pub(crate) fn carry_out(&self, act: &Act) -> Done {
        let epoch = act.epoch;
        // What is done to the lock looks at it itself.
        if !act.action.is_about_the_lock() {
            self.check_lock(epoch)?;
        }
        match &act.action {
            Action::TakeLock { epoch, version } => self.take_lock(*epoch, *version),
            Action::Beat { version } => self.hold_lock(epoch, *version, true),
            Action::ReleaseLock { version } => self.hold_lock(epoch, *version, false),
            Action::WriteBaseline { baseline } => self.write_baseline(baseline),
            Action::UpdateNode { node, version, labels, availability } => {
                let raw = self.read_version(Kind::Nodes, &node.0, *version)?;
                let spec = encode::node_spec(&raw["Spec"], labels, *availability);
                self.swarm.update(Kind::Nodes, &raw, &spec).map_err(said)
            }
            Action::ScaleService { service, version, from, to } => {
                match self.swarm.scale(service, (*version, *from), *to).map_err(said)? {
                    Scaling::Done => Ok(()),
                    Scaling::Changed => Err(ActError::Conflict),
                }
            }
            Action::CreateJob { agent } => self.create_agent(agent, epoch),
            Action::CreateTicket { key } => self.write(&names::ticket(key), b"ticket", BTreeMap::new()),
            Action::RemoveTicket { key } => {
                let (_, ticket) = self.swarm.config(&names::ticket(key))?.ok_or(ActError::Gone)?;
                self.swarm.remove_config(&ticket.id).map_err(said)
            }
            Action::CreateGate { key } => self.create(&encode::gate(key, &self.spec.image, epoch)),
            Action::OpenGate { key, version } | Action::StopJob { key, version } => self.stop(key, *version),
            Action::CreateStandIn { key } => self.create(&encode::stand_in(key, &self.spec.image, epoch)),
            Action::RemoveJob { key } => {
                self.swarm.engine().remove_object(Kind::Services, &key.name()).map_err(said)
            }
            Action::WriteResult { result } => self.write_result(result),
            Action::WriteHistory { outcome, gone } => self.write_history(*outcome, gone),
            Action::RemoveResults => self.remove_results(),
            Action::RemoveDelivered => Ok(self.swarm.remove_delivered(&self.spec.id)?),
            Action::SetControl { control, version } => self.set_control(control, *version),
            Action::MarkGone { node, mark, control, version } => {
                self.mark_gone(node, *mark, control.as_ref(), *version)
            }
            Action::Move { enforcement: _, step } => {
                let moves = self.spec.moves.as_ref();
                let moves = moves.ok_or_else(|| refused("the rollout moves no enforcement"))?;
                self.swarm.take_move_step(moves, step, self.registry.as_ref())
            }
            Action::MoveController { away_from } => self.move_controller(away_from),
        }
    }

    fn take_lock(&self, epoch: u64, version: Option<Version>) -> Done {
        let labels = encode::lock_labels(epoch, Some(self.who()), &self.spec.id, 0);
        match version {
            None => {
                let set = labels.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
                self.swarm.create_config(object::LOCK, &set, b"lock").map_err(said)
            }
            Some(version) => {
                let raw = self.read_version(Kind::Configs, object::LOCK, version)?;
                self.swarm.label_config(&raw, &labels).map_err(said)
            }
        }
    }

    /// Says that the holder lives, or gives the lock back.
    fn hold_lock(&self, epoch: u64, version: Version, keep: bool) -> Done {
        let raw = self.read_version(Kind::Configs, object::LOCK, version)?;
        let config = decode::config(&raw)?;
        self.is_mine(epoch, &config)?;
        let beat = config.labels.get(label::BEAT).and_then(|beat| beat.parse::<u64>().ok()).unwrap_or(0);
        let holder = keep.then(|| self.who());
        let labels = encode::lock_labels(epoch, holder, &self.spec.id, beat.wrapping_add(1));
        self.swarm.label_config(&raw, &labels).map_err(said)
    }

    fn who(&self) -> (&ControllerId, Option<&ControllerPlace>) {
        (&self.me, self.place.as_ref())
    }

    /// Leaves the moment between this look at the lock and the write; versions and names guard that.
    fn check_lock(&self, epoch: u64) -> Done {
        let (_, config) = self.swarm.config(object::LOCK)?.ok_or(ActError::Conflict)?;
        self.is_mine(epoch, &config)
    }

    fn is_mine(&self, epoch: u64, config: &decode::ConfigObject) -> Done {
        let lock = decode::lock(config)?;
        let mine = lock.epoch == epoch && lock.holder.as_ref() == Some(&self.me);
        if mine { Ok(()) } else { Err(ActError::Conflict) }
    }

    fn read_version(&self, kind: Kind, name: &str, version: Version) -> Result<Value, ActError> {
        self.swarm.unchanged(kind, name, version)
    }

    fn create_agent(&self, agent: &AgentSpec, epoch: u64) -> Done {
        let why = || format!("'{}' is no node's id", agent.key.node);
        let ticket = match agent.short {
            true => Some(self.swarm.config(&names::ticket(&agent.key))?.ok_or(ActError::Gone)?.1.id),
            false => None,
        };
        let spec = encode::agent(agent, &self.spec, ticket.as_deref(), epoch);
        self.create(&spec.ok_or_else(|| ActError::Refused { why: why() })?)
    }

    /// An engine takes a field that it does not know without a word, so what it made of it is read back.
    fn create(&self, spec: &Value) -> Done {
        let engine = self.swarm.engine();
        let created = engine.create_object(Kind::Services, spec, self.registry.as_ref());
        let id = created.map_err(said)?;
        let stored = self.swarm.raw(Kind::Services, &id).map_err(said)?;
        let Some(field) = encode::ignored(spec, &stored["Spec"]) else { return Ok(()) };
        engine.remove_object(Kind::Services, &id).map_err(said)?;
        Err(ActError::Refused { why: format!("the managers' engine ignores {field} of a service") })
    }

    fn stop(&self, key: &JobKey, version: Version) -> Done {
        let raw = self.read_version(Kind::Services, &key.name(), version)?;
        self.swarm.update(Kind::Services, &raw, &encode::stopped(&raw["Spec"])).map_err(said)
    }

    fn write_baseline(&self, baseline: &Baseline) -> Done {
        let data = serde_json::to_vec(baseline).map_err(refused)?;
        self.write(&names::baseline(&self.spec.id), &data, BTreeMap::new())
    }

    fn write_result(&self, result: &NodeResult) -> Done {
        let data = serde_json::to_vec(result).map_err(refused)?;
        self.write(&names::result(&self.spec.id, &result.node, result.generation), &data, BTreeMap::new())
    }

    fn write(&self, name: &str, data: &[u8], mut labels: BTreeMap<String, String>) -> Done {
        if data.len() > encode::LARGEST {
            return Err(refused(format!(
                "{name} has {} bytes; a config takes {}",
                data.len(),
                encode::LARGEST
            )));
        }
        labels.insert(label::ROLLOUT.to_owned(), self.spec.id.to_string());
        self.swarm.create_config(name, &labels, data).map_err(said)
    }

    fn set_control(&self, control: &Control, version: Version) -> Done {
        let raw = self.read_version(Kind::Configs, &names::rollout(&self.spec.id), version)?;
        let text = serde_json::to_string(control).map_err(refused)?;
        let labels = LabelChange::from([(label::CONTROL.to_owned(), Some(text))]);
        self.swarm.label_config(&raw, &labels).map_err(said)?;
        if let Control::Finished { .. } = control {
            // What others have left: nothing depends on it.
            let _best_effort = self.swarm.sweep();
        }
        Ok(())
    }

    fn mark_gone(&self, node: &NodeId, mark: GoneMark, control: Option<&Control>, version: Version) -> Done {
        let raw = self.read_version(Kind::Configs, &names::rollout(&self.spec.id), version)?;
        let mut gone = decode::gone(&decode::config(&raw)?)?;
        gone.insert(node.clone(), mark);
        let mut labels = LabelChange::new();
        labels.insert(label::GONE.to_owned(), Some(serde_json::to_string(&gone).map_err(refused)?));
        if let Some(control) = control {
            let text = serde_json::to_string(control).map_err(refused)?;
            labels.insert(label::CONTROL.to_owned(), Some(text));
        }
        self.swarm.label_config(&raw, &labels).map_err(said)
    }

    fn write_history(&self, outcome: RolloutOutcome, gone: &[GoneNode]) -> Done {
        let there = self.swarm.any_configs(&[object::HISTORIES])?;
        let left = history::half_written(&there, &self.spec.id).ok_or(ActError::Exists)?;
        let history = self.history(outcome, gone)?;
        for part in left {
            self.swarm.remove_config(&part).map_err(said)?;
        }
        for new in history::to_write(history, &there).map_err(refused)? {
            self.write(&new.name, &new.data, new.labels)?;
        }
        let all = self.swarm.any_configs(&[object::HISTORIES])?;
        for id in history::superfluous(&all, history::KEPT, history::KEPT_BYTES) {
            self.swarm.remove_config(&id).map_err(said)?;
        }
        Ok(())
    }

    fn history(&self, outcome: RolloutOutcome, gone: &[GoneNode]) -> Result<History, ActError> {
        let id = &self.spec.id;
        let (_, rollout) = self.swarm.config(&names::rollout(id))?.ok_or(ActError::Gone)?;
        let mut results = self.swarm.configs(&[&names::results(id)])?;
        // Whoever ended first is the one that the others are compared with.
        results.sort_by_cached_key(|config| config.created.parse::<Timestamp>().ok());
        let nodes = self.swarm.nodes()?;
        let spec = decode::spec(&rollout)?;
        let files = match spec.given.files.is_empty() {
            true => Vec::new(),
            false => self.swarm.any_configs(&[&names::files(id)])?,
        };
        let of_rollout = nodes.iter().filter_map(|node| HistoryNode::of(node, id));
        Ok(History {
            rollout: id.clone(),
            outcome,
            files: history::kept_files(&spec, &files),
            spec,
            by: rollout.labels.get(label::BY).cloned(),
            submitted: rollout.created,
            ended: String::new(),
            sha256: String::new(),
            before: None,
            nodes: of_rollout.chain(gone.iter().map(HistoryNode::from)).collect(),
            results: results.iter().map(decode::node_result).collect::<Result<_, SwarmError>>()?,
        })
    }

    fn remove_results(&self) -> Done {
        for config in self.swarm.configs(&[&names::results(&self.spec.id)])? {
            self.swarm.remove_config(&config.id).map_err(said)?;
        }
        Ok(())
    }

    fn move_controller(&self, away_from: &NodeId) -> Done {
        let role = format!("{}={}", label::ROLE, label::role::CONTROLLER);
        let rollout = format!("{}={}", label::ROLLOUT, self.spec.id);
        let found = self.swarm.list(Kind::Services, &json!({ "label": [role, rollout] })).map_err(said)?;
        let service =
            found.first().ok_or_else(|| refused("the controller runs in no service of the swarm"))?;
        self.swarm
            .update(Kind::Services, service, &encode::away_from(&service["Spec"], away_from))
            .map_err(said)
    }
}

fn said(error: EngineError) -> ActError {
    refusal(&error)
}

fn refused(why: impl ToString) -> ActError {
    ActError::Refused { why: why.to_string() }
}
