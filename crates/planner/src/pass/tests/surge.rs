//! Services that are scaled up before a drain, pass by pass.

use super::*;
use crate::ids::ServiceId;
use crate::objects::{Scale, Task, UnfinishedUpdate};
use crate::surge::Surge;

/// The cluster with a service of two tasks, one of them on w1, whose agent waits for its go.
fn prepared_w1() -> (Observed, Spec) {
    let mut observed = cluster();
    observed.services = vec![service("web", 2)];
    observed.tasks = vec![task("web", "w1"), task("web", "w2")];
    observed.baseline = Some(crate::settle::baseline(&observed));
    put(&mut observed, "w1", &record(NodeState::Preparing));
    jobs(&mut observed, "w1", TaskState::Running, Some(prepared(Expectation::Yes)));
    (observed, Spec { surge: true, ..spec() })
}

/// What a pass does: a node's state, its surge and its availability, or how a service is scaled.
fn does(pass: &Pass) -> Vec<String> {
    let one = |act: &Act| {
        if let Action::ScaleService { service, version: Version(at), from, to } = &act.action {
            return format!("{} at {at}: {from} to {to}", service.0);
        }
        let Action::UpdateNode { node, labels, availability, .. } = &act.action else {
            return act.action.name().to_owned();
        };
        let record = labels.get(label::NODE).cloned().flatten();
        let state = record.map(|text| NodeRecord::decode(&text).unwrap().state.name());
        let surge = labels.get(label::SURGE).map(|surge| surge.clone().unwrap_or_else(|| "-".into()));
        let to = availability.map(|to| format!(":= {}", to.word()));
        let parts = [Some(node.to_string()), state.map(str::to_owned), surge, to];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    };
    pass.actions.iter().map(one).collect()
}

/// The node's label and availability become what a pass wrote.
fn written(observed: &mut Observed, pass: &Pass) {
    for act in &pass.actions {
        if let Action::UpdateNode { node: id, labels, availability, .. } = &act.action {
            let node = observed.nodes.iter_mut().find(|node| node.id == *id).unwrap();
            for (name, value) in labels.clone() {
                match value {
                    Some(value) => node.labels.insert(name, value),
                    None => node.labels.remove(&name),
                };
            }
            node.availability = availability.unwrap_or(node.availability);
        }
    }
}

fn scaled(observed: &mut Observed, version: u64, replicas: u64) {
    let web = &mut observed.services[0];
    web.scale = Some(Scale { version: Version(version), replicas, update: None });
    web.desired = replicas;
}

/// These tasks of the service run, and no others.
fn run_on(observed: &mut Observed, nodes: &[&str]) {
    let one = |(number, node): (usize, &&str)| Task { id: number.to_string(), ..task("web", node) };
    observed.tasks = nodes.iter().enumerate().map(one).collect();
    observed.services[0].running = nodes.len() as u64;
}

fn hold(pass: &Pass) -> &'static str {
    pass.holds[&NodeId("w1".into())].name()
}

#[test]
fn up_then_drained_then_down_then_the_go() {
    let (mut observed, spec) = prepared_w1();
    let first = now(&observed, &spec);
    assert_eq!(does(&first), ["w1 draining 1 k3x9 up web@1:2>3 := pause"]);
    written(&mut observed, &first);
    assert_eq!(does(&now(&observed, &spec)), ["web at 1: 2 to 3"], "the label was seen");
    scaled(&mut observed, 8, 3);
    let waits = now(&observed, &spec);
    assert_eq!((does(&waits), hold(&waits)), (vec![], "surging"));
    run_on(&mut observed, &["w1", "w2", "m2"]);
    let healthy = now(&observed, &spec);
    assert_eq!(does(&healthy), ["w1 draining 1 k3x9 down web@1:2>3 := drain"]);
    written(&mut observed, &healthy);
    assert_eq!(hold(&now(&observed, &spec)), "not-empty");
    run_on(&mut observed, &["w2", "m2"]);
    let missing = now(&observed, &spec);
    assert_eq!((does(&missing), hold(&missing)), (vec![], "surge-back"), "the third one starts");
    run_on(&mut observed, &["w2", "m2", "m3"]);
    assert_eq!(does(&now(&observed, &spec)), ["web at 8: 3 to 2"]);
    scaled(&mut observed, 9, 2);
    run_on(&mut observed, &["w2", "m2"]);
    let back = now(&observed, &spec);
    assert_eq!(does(&back), ["w1 draining -"]);
    written(&mut observed, &back);
    assert_eq!(does(&now(&observed, &spec)), ["w1 running"]);
}

#[test]
fn what_is_drained_without_a_surge() {
    let (mut observed, spec) = prepared_w1();
    let drains = |observed: &Observed, spec: &Spec| does(&now(observed, spec));
    let at_once = ["w1 draining := drain"];
    assert_eq!(drains(&observed, &Spec { surge: false, ..spec.clone() }), at_once);
    observed.services[0].labels.insert(label::SURGE_SERVICE.into(), "false".into());
    assert_eq!(drains(&observed, &spec), at_once);
    observed.services[0].labels.clear();
    observed.services[0].mode = crate::observed::Mode::Global;
    assert_eq!(drains(&observed, &spec), at_once);
}

#[test]
fn what_keeps_a_service_from_being_scaled_up() {
    let (mut observed, spec) = prepared_w1();
    let scale = observed.services[0].scale.as_mut().unwrap();
    scale.update = Some(UnfinishedUpdate::Paused);
    assert_eq!(hold(&now(&observed, &spec)), "service-updating");
    scaled(&mut observed, 1, 2);
    observed.services[0].needs.max_per_node = 1;
    for name in ["m1", "m2"] {
        node(&mut observed, name).availability = Drain;
    }
    assert_eq!(hold(&now(&observed, &spec)), "no-room-to-surge", "m3 takes one, and two have to go there");
    let gaps = Spec { allow_gaps: true, ..spec.clone() };
    assert_eq!(does(&now(&observed, &gaps)), ["w1 draining := drain"]);
    observed.services[0].needs.max_per_node = 0;
    let other = node(&mut observed, "w2");
    other.labels.insert(label::SURGE.into(), "1 k3x9 up web@1:2>3".into());
    other.labels.insert(label::NODE.into(), record(NodeState::Draining { goal: Goal::Run }).encode());
    let two = Spec {
        policy: crate::spec::Policy { parallelism: Parallelism::Nodes(2), ..spec.policy.clone() },
        ..spec
    };
    assert_eq!(hold(&now(&observed, &two)), "surge-elsewhere");
}

#[test]
fn what_somebody_else_has_scaled_is_left_alone() {
    let (mut observed, spec) = prepared_w1();
    let first = now(&observed, &spec);
    written(&mut observed, &first);
    scaled(&mut observed, 8, 5);
    let anew = now(&observed, &spec);
    assert_eq!(does(&anew), ["w1 draining 1 k3x9 up web@8:5>6"], "from their number on");
    // Behind the drain nothing is left to give back.
    written(&mut observed, &anew);
    let label = observed.nodes[3].labels[label::SURGE].replace("up", "down");
    observed.nodes[3].labels.insert(label::SURGE.into(), label);
    observed.nodes[3].availability = Drain;
    let taken = Some(Taken { was: Active, set: Drain });
    let drained = NodeRecord { taken, ..record(NodeState::Draining { goal: Goal::Run }) };
    observed.nodes[3].labels.insert(label::NODE.into(), drained.encode());
    scaled(&mut observed, 9, 12);
    run_on(&mut observed, &["w2"; 12]);
    assert_eq!(does(&now(&observed, &spec)), ["w1 draining -"]);
}

#[test]
fn a_node_that_failed_gives_back_first_and_an_intent_is_made_void() {
    let (mut observed, spec) = prepared_w1();
    let failed = NodeState::Failed { during: StateName::Draining, reason: Reason::TimeLimit };
    put(&mut observed, "w1", &record(failed));
    node(&mut observed, "w1").labels.insert(label::SURGE.into(), "1 k3x9 up web@1:2>3".into());
    observed.rollout.as_mut().unwrap().control = Control::Aborting;
    assert!(does(&now(&observed, &spec)).contains(&"web at 1: 2 to 2".to_owned()));
    scaled(&mut observed, 8, 3);
    let waits = now(&observed, &spec);
    assert_eq!(hold(&waits), "surge-back");
    assert!(!does(&waits).iter().any(|word| word == "write-history"), "the end waits for it");
    let late = spec.limits.restoring.as_secs();
    assert!(does(&after(&observed, &spec, late)).contains(&"web at 8: 3 to 2".to_owned()), "as it is");
    scaled(&mut observed, 9, 2);
    assert!(does(&now(&observed, &spec)).contains(&"w1 -".to_owned()));
}

#[test]
fn a_label_that_cannot_be_read_holds_its_node() {
    let (mut observed, spec) = prepared_w1();
    for text in ["2 k3x9 up", "1 k3x9 up web@1:2", "1 k3x9 up web@1:02>3", "1 k3x9 away web@1:2>3", ""] {
        assert!(Surge::decode(text).is_err(), "{text}");
        node(&mut observed, "w1").labels.insert(label::SURGE.into(), text.into());
        assert_eq!(hold(&now(&observed, &spec)), "corrupt-surge");
    }
    let text = "1 k3x9 down a@1:2>3 b@10:1>2";
    let surge = Surge::decode(text).unwrap();
    assert_eq!(surge.to_string(), text);
    assert_eq!(surge.services[&ServiceId("b".into())].at, Version(10));
}
