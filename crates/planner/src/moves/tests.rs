use super::*;
use crate::testing::{rollout, worker};

fn moves() -> Moves {
    Moves { enforcement: "sysctl".into(), from: "aaaaaaaa".into(), to: "bbbbbbbb".into() }
}

/// What lies in the swarm, and what a step makes of it.
#[derive(Debug, Clone, PartialEq)]
struct Store {
    seen: Moving,
    nodes: Vec<Node>,
    version: u64,
}

impl Store {
    /// As `careen enforce update` leaves it: the stable version is enforced, and of the new one there is a config.
    fn new() -> Self {
        let config = |state| Some(StateSeen { at: Version(1), state });
        let service = Some(EnforcerSeen { at: Version(1), constraints: vec!["node.role == worker".into()] });
        let coming = moves().coming(&rollout());
        let seen = Moving {
            from: VersionSeen { config: config(EnforcementState::Running {}), service },
            to: VersionSeen { config: config(coming), service: None },
        };
        Self { seen, nodes: ["w1", "w2", "w3"].map(worker).to_vec(), version: 1 }
    }

    fn laid() -> Self {
        let mut store = Self::new();
        while !store.lay().unwrap().is_empty() {
            store.all(store.lay().unwrap());
        }
        store
    }

    fn lay(&self) -> Result<Vec<MoveStep>, Amiss> {
        lay(&self.seen, &moves(), &rollout(), &self.nodes)
    }

    fn label(&mut self, node: usize, version: &str) {
        self.nodes[node].labels.insert(moves().label(), version.into());
    }

    fn of(&mut self, version: &str) -> &mut VersionSeen {
        if version == moves().from { &mut self.seen.from } else { &mut self.seen.to }
    }

    fn all(&mut self, steps: Vec<MoveStep>) {
        for step in steps {
            self.step(step);
            self.never_two_versions_on_one_host();
        }
    }

    fn step(&mut self, step: MoveStep) {
        self.version += 1;
        let at = Version(self.version);
        match step {
            MoveStep::Say { of, state, .. } => self.of(&of).config = Some(StateSeen { at, state }),
            MoveStep::Constrain { of, constraint, present, .. } => {
                let service = self.of(&of).service.as_mut().unwrap();
                service.constraints.retain(|one| *one != constraint);
                service.constraints.extend(present.then_some(constraint));
                service.at = at;
            }
            MoveStep::CreateService { of, constraint } => {
                let constraints = vec!["node.role == worker".into(), constraint];
                assert!(self.of(&of).service.replace(EnforcerSeen { at, constraints }).is_none());
            }
            MoveStep::RemoveService { of, .. } => self.of(&of).service = None,
            MoveStep::RemoveConfig { of, .. } => self.of(&of).config = None,
            MoveStep::Unlabel { node, .. } => {
                let node = self.nodes.iter_mut().find(|one| one.id == node).unwrap();
                node.labels.remove(&moves().label());
            }
        }
    }

    fn fits(service: Option<&EnforcerSeen>, node: &Node) -> bool {
        service.is_some_and(|service| {
            let fits = |text: &String| crate::constraint::Constraint::parse(text).unwrap().fits(node);
            service.constraints.iter().all(fits)
        })
    }

    fn never_two_versions_on_one_host(&self) {
        for node in &self.nodes {
            let both = [&self.seen.from, &self.seen.to].map(|one| Self::fits(one.service.as_ref(), node));
            assert_ne!(both, [true, true], "{}: {:?}", node.id, self.seen);
        }
    }

    /// Which version is on each node.
    fn on(&self) -> Vec<&'static str> {
        let version = |node: &Node| match (
            Self::fits(self.seen.from.service.as_ref(), node),
            Self::fits(self.seen.to.service.as_ref(), node),
        ) {
            (true, false) => "stable",
            (false, true) => "new",
            (false, false) => "none",
            (true, true) => "both",
        };
        self.nodes.iter().map(version).collect()
    }
}

/// Steps to the end, and how many there were.
fn to_the_end(store: &mut Store, next: impl Fn(&Store) -> Vec<MoveStep>) -> usize {
    for done in 0..20 {
        let steps = next(store);
        if steps.is_empty() {
            return done;
        }
        store.all(steps);
    }
    panic!("no end: {store:?}");
}

fn retracts(store: &Store) -> Vec<MoveStep> {
    retract(&store.seen, &moves(), &store.nodes)
}

fn promotes(store: &Store) -> Vec<MoveStep> {
    promote(&store.seen, &moves(), &store.nodes)
}

#[test]
fn nothing_changes_on_any_host_until_a_node_is_labelled() {
    let mut store = Store::new();
    let steps = to_the_end(&mut store, |store| {
        assert_eq!(store.on(), ["stable"; 3]);
        store.lay().unwrap()
    });
    assert_eq!((steps, store.on()), (3, vec!["stable"; 3]));
    store.label(1, "bbbbbbbb");
    assert_eq!(store.on(), ["stable", "new", "stable"]);
    store.nodes.push(worker("w4"));
    assert_eq!(store.on()[3], "stable", "who joins has the version that is stable");
}

#[test]
fn a_label_that_an_earlier_update_left_takes_no_node_to_the_new_version() {
    let mut store = Store::new();
    store.label(2, "bbbbbbbb");
    store.label(1, "an operator's");
    to_the_end(&mut store, |store| store.lay().unwrap());
    assert_eq!(store.on(), ["stable"; 3]);
    assert_eq!(store.nodes[1].labels[&moves().label()], "an operator's");
}

#[test]
fn an_update_that_ended_half_way_is_gone_on_with_by_another_rollout() {
    let mut store = Store::laid();
    store.label(0, "bbbbbbbb");
    let other = RolloutId::parse("p7q2").unwrap();
    let steps = to_the_end(&mut store, |store| lay(&store.seen, &moves(), &other, &store.nodes).unwrap());
    assert_eq!((steps, store.on()), (2, vec!["new", "stable", "stable"]), "two labels are written");
}

#[test]
fn the_new_version_becomes_the_stable_one_wherever_that_is_broken_off() {
    let mut store = Store::laid();
    store.label(0, "bbbbbbbb");
    store.label(1, "bbbbbbbb");
    let steps = to_the_end(&mut store, |store| {
        let steps = promotes(store);
        assert!(store.seen.is_promoted() || matches!(steps[0], MoveStep::Say { .. }), "it is said first");
        steps
    });
    assert_eq!((steps, store.on()), (5, vec!["new"; 3]));
    assert_eq!(store.seen.from, VersionSeen::default());
    assert_eq!(store.seen.to.config.unwrap().state, EnforcementState::Running {});
    assert_eq!(store.seen.to.service.unwrap().constraints, ["node.role == worker"]);
    assert!(store.nodes.iter().all(|node| node.labels.is_empty()));
}

#[test]
fn an_update_is_taken_back_from_wherever_it_is() {
    for laid in 0..=3 {
        let mut store = Store::new();
        for _ in 0..laid {
            store.all(store.lay().unwrap());
        }
        store.label(0, if laid == 3 { "bbbbbbbb" } else { "another" });
        to_the_end(&mut store, retracts);
        assert_eq!(store.on(), ["stable"; 3], "{laid}");
        assert_eq!(store.seen.to, VersionSeen::default());
        assert_eq!(store.seen.from.config.as_ref().unwrap().state, EnforcementState::Running {});
        assert_eq!(store.seen.from.service.as_ref().unwrap().constraints, ["node.role == worker"]);
        assert_eq!(store.nodes[0].labels.len(), usize::from(laid < 3), "what nobody knows stays");
    }
}

#[test]
fn what_somebody_removed_or_changed_is_named_and_not_set_up_again() {
    let change = |change: fn(&mut Moving)| {
        let mut store = Store::laid();
        change(&mut store.seen);
        store.lay()
    };
    let paused = EnforcementState::Paused { by: "ann".into(), since: 1 };
    assert_eq!(change(|seen| seen.from.config = None), Err(Amiss::StableConfig));
    assert_eq!(change(|seen| seen.from.service = None), Err(Amiss::StableService));
    assert_eq!(change(|seen| seen.to.config = None), Err(Amiss::NewConfig));
    assert_eq!(
        change(|seen| seen.to.service.as_mut().unwrap().constraints.clear()),
        Err(Amiss::NewService),
        "it is on all hosts"
    );
    let mut store = Store::laid();
    store.seen.from.config.as_mut().unwrap().state = paused;
    assert_eq!(store.lay(), Err(Amiss::Label));
    for amiss in
        [Amiss::StableConfig, Amiss::StableService, Amiss::NewConfig, Amiss::NewService, Amiss::Label]
    {
        assert!(amiss.to_string().len() > 20, "{amiss:?}");
    }
}

#[test]
fn which_version_is_where() {
    let mut store = Store::laid();
    store.label(0, "bbbbbbbb");
    for node in &mut store.nodes[..2] {
        let record = NodeRecord { state: NodeState::Done, ..NodeRecord::new(&rollout(), 1) };
        node.labels.insert(label::NODE.into(), record.encode());
    }
    let versions = by_node(&moves(), &rollout(), &store.nodes);
    let names = |nodes: &[NodeId]| nodes.iter().map(|node| node.0.clone()).collect::<Vec<_>>();
    assert_eq!(
        (names(&versions.new), names(&versions.stable)),
        (vec!["w1".to_owned()], vec!["w3".to_owned()])
    );
    assert_eq!(names(&versions.unlabelled), ["w2"], "somebody removed its label");
}
