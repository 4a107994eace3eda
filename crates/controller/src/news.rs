//! What is new since the last pass. Said once; what stays as it is needs no line. Pure, but for [`News::tell`].
//!
//! The keys of the controller's log are always the same: `rollout`, `controller` (this process), `node` (its id), `state` (where it is
//! in the rollout), `hold` (why it does not go on), `action` (of the planner), `error`.

use careen_controller::Done;
use careen_planner::cluster::Unseen;
use careen_planner::{Action, Hold, NodeId, Pass};
use std::collections::BTreeMap;

/// Something new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Nothing can be seen of the swarm.
    Away {
        /// Its words, or the engine's.
        error: String,
    },
    /// It can be seen again.
    Back,
    /// An action was carried out.
    Done {
        /// The action's name.
        action: &'static str,
    },
    /// An action was not carried out. What is to be done is decided anew at the next pass.
    NotDone {
        /// The action's name.
        action: &'static str,
        /// What the swarm says to it.
        error: String,
    },
    /// A node is somewhere else in the rollout, or waits for something else.
    Node {
        /// The node.
        node: NodeId,
        /// Where it is.
        state: &'static str,
        /// Why it does not go on.
        hold: Option<String>,
    },
}

impl News {
    /// As an event, with the keys of the controller's log.
    pub fn tell(&self) {
        match self {
            Self::Away { error } => tracing::warn!(?error, "the swarm cannot be seen"),
            Self::Back => tracing::info!("the swarm can be seen again"),
            Self::Done { action } => tracing::info!(action, "done"),
            Self::NotDone { action, error } => tracing::warn!(action, ?error, "not done"),
            Self::Node { node, state, hold: None } => tracing::info!(%node, state, "goes on"),
            Self::Node { node, state, hold: Some(hold) } => tracing::info!(%node, state, ?hold, "waits"),
        }
    }
}

/// What was said of late.
#[derive(Debug, Default)]
pub struct Told {
    nodes: BTreeMap<NodeId, (&'static str, Option<Hold>)>,
    away: Option<String>,
}

impl Told {
    /// What is new in this pass.
    pub fn news(&mut self, passed: Result<&(Pass, Vec<Done>), &Unseen>) -> Vec<News> {
        let mut news = Vec::new();
        let away = passed.err().map(ToString::to_string);
        if away != self.away {
            news.push(away.clone().map_or(News::Back, |error| News::Away { error }));
        }
        self.away = away;
        let Ok((pass, done)) = passed else { return news };
        news.extend(done.iter().filter_map(of_action));
        for (node, state) in &pass.states {
            let (state, hold) = (state.name(), pass.holds.get(node));
            let is_told = |(before, why): &(&str, Option<Hold>)| (*before, why.as_ref()) == (state, hold);
            if !self.nodes.get(node).is_some_and(is_told) {
                self.nodes.insert(node.clone(), (state, hold.cloned()));
                let (node, hold) = (node.clone(), hold.map(ToString::to_string));
                news.push(News::Node { node, state, hold });
            }
        }
        news
    }
}

/// That a controller lives need not be said every few seconds.
fn of_action(done: &Done) -> Option<News> {
    let action = done.act.action.name();
    match &done.result {
        Ok(()) if matches!(done.act.action, Action::Beat { .. }) => None,
        Ok(()) => Some(News::Done { action }),
        Err(error) => Some(News::NotDone { action, error: error.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use careen_planner::{NodeState, PassEnd, Watch};

    fn pass(node: &str, state: NodeState, hold: Option<Hold>) -> (Pass, Vec<Done>) {
        let node = NodeId(node.to_owned());
        let pass = Pass {
            actions: Vec::new(),
            holds: hold.map(|hold| (node.clone(), hold)).into_iter().collect(),
            states: BTreeMap::from([(node, state)]),
            end: PassEnd::GoOn,
            watch: Watch::default(),
        };
        (pass, Vec::new())
    }

    #[test]
    fn a_swarm_that_is_away_is_told_once_and_so_is_that_it_is_back() {
        let mut told = Told::default();
        let away = Unseen::Away { why: "no leader".into() };
        let error = away.to_string();
        assert_eq!(told.news(Err(&away)), [News::Away { error }]);
        assert_eq!(told.news(Err(&away)), []);
        let (node, state) = (NodeId("n1".to_owned()), "pending");
        let seen = pass("n1", NodeState::Pending, None);
        assert_eq!(told.news(Ok(&seen)), [News::Back, News::Node { node, state, hold: None }]);
        assert_eq!(told.news(Ok(&seen)), []);
    }

    #[test]
    fn a_node_is_told_of_when_it_is_elsewhere_or_waits_for_something_else() {
        let mut told = Told::default();
        let mut of = |state, hold| told.news(Ok(&pass("n1", state, hold))).len();
        assert_eq!(of(NodeState::Pending, Some(Hold::Recording)), 1);
        assert_eq!(of(NodeState::Pending, Some(Hold::Recording)), 0);
        assert_eq!(of(NodeState::Pending, None), 1);
        assert_eq!(of(NodeState::Settling, None), 1);
    }
}
