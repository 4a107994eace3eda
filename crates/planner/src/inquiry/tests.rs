use super::*;
use crate::testing::{manager, spec, worker};
use careen_contract::label;

const LIMIT: Duration = Duration::from_secs(60);

fn cluster() -> Observed {
    Observed { nodes: vec![manager("m1"), worker("w1"), worker("w2")], ..Observed::default() }
}

fn call(observed: &Observed, activate: bool) -> (Roll, Placement) {
    Roll::call(observed, &spec(), activate, LIMIT).unwrap()
}

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn said(node: &str, lines: u64) -> Heard {
    let answer = Answer::Answered { exit: 0, why: None, result: None, notes: Vec::new(), lines };
    Heard::Said { task: format!("t-{node}"), node: NodeId(node.into()), answer }
}

fn printed(node: &str, text: &str) -> Heard {
    let line = Line { to: PrintedTo::Stdout, text: text.into() };
    Heard::Line { task: format!("t-{node}"), node: NodeId(node.into()), line }
}

fn seen(id: &str, node: &str, state: TaskState, trouble: &str) -> TaskSeen {
    let trouble = Some(trouble.to_owned()).filter(|text| !text.is_empty());
    TaskSeen { id: id.into(), node: NodeId(node.into()), state, leaves: false, trouble, no_image: false }
}

fn reply_from<'a>(roll: &'a Roll, node: &str) -> &'a Reply {
    &roll.asked().iter().find(|asked| asked.hostname == node).unwrap().reply
}

#[test]
fn a_host_that_can_take_no_task_is_not_waited_for_and_named() {
    let mut observed = cluster();
    observed.nodes[1].availability = Availability::Drain;
    observed.nodes[2].status = NodeStatus::Down;
    let (mut roll, placement) = call(&observed, false);
    assert_eq!(*reply_from(&roll, "w1"), Reply::Unreachable(Unreachable::Drained));
    assert_eq!(*reply_from(&roll, "w2"), Reply::Unreachable(Unreachable::Down));
    assert!(placement.activate.is_empty() && roll.is_worth_asking() && !roll.is_over(at(0)));
    roll.hear(said("m1", 0), at(900));
    assert!(roll.is_over(at(900)));
}

#[test]
fn a_drained_node_is_made_active_only_when_that_is_asked_for_and_never_one_in_a_rollout() {
    let mut observed = cluster();
    for node in &mut observed.nodes[1..] {
        node.availability = Availability::Drain;
    }
    observed.nodes[2].labels.insert(label::NODE.into(), "1 k3x9 …".into());
    let (roll, placement) = call(&observed, true);
    let w1 = BTreeMap::from([(NodeId("w1".into()), Availability::Drain)]);
    assert_eq!(placement.activate, w1);
    assert!(matches!(reply_from(&roll, "w1"), Reply::Awaited { .. }));
    assert_eq!(*reply_from(&roll, "w2"), Reply::Unreachable(Unreachable::Drained));
}

#[test]
fn one_service_is_placed_on_those_that_are_meant() {
    let observed = cluster();
    let constraints = |nodes: &[&str], constraints: &[&str]| {
        let mut spec = spec();
        spec.selection.nodes = nodes.iter().map(|node| (*node).to_owned()).collect();
        spec.selection.constraints = constraints.iter().map(|text| (*text).to_owned()).collect();
        Roll::call(&observed, &spec, false, LIMIT).map(|(_, placement)| placement.constraints)
    };
    assert_eq!(constraints(&[], &["node.role==worker"]).unwrap(), ["node.role==worker"]);
    assert_eq!(constraints(&["w1"], &[]).unwrap(), ["node.id==w1"]);
    assert_eq!(constraints(&["w1", "w2"], &[]).unwrap(), ["node.id!=m1"]);
    assert_eq!(constraints(&["m1", "w1"], &["node.role==worker"]).unwrap(), ["node.id==w1"]);
    assert_eq!(constraints(&["x"], &[]).unwrap_err(), PlanRefusal::NoSuchNode { name: "x".into() });
    assert!(matches!(constraints(&[], &["w1"]), Err(PlanRefusal::BadConstraint { .. })));
    assert_eq!(constraints(&["w1"], &["node.role==manager"]).unwrap_err(), PlanRefusal::NoNodes);
}

#[test]
fn an_answer_is_whole_when_its_lines_are_there_and_otherwise_not_waited_for_for_ever() {
    let (mut roll, _) =
        Roll::call(&Observed { nodes: vec![worker("w1")], ..cluster() }, &spec(), false, LIMIT).unwrap();
    roll.hear(said("w1", 2), at(1000));
    roll.hear(printed("w1", "a"), at(1001));
    let task = [seen("t-w1", "w1", TaskState::Complete, "")];
    assert_eq!(roll.unheard(&task), ["t-w1"]);
    assert!(!roll.is_over(at(1001)));
    let mut whole = roll.clone();
    whole.hear(printed("w1", "b"), at(1002));
    assert!(whole.is_over(at(1002)) && whole.unheard(&task).is_empty());
    let mut again = roll.clone();
    for heard in [
        Heard::Afresh { task: "t-w1".into(), node: NodeId("w1".into()) },
        printed("w1", "a"),
        printed("w1", "b"),
    ] {
        again.hear(heard, at(1500));
    }
    assert!(again.is_over(at(1500)) && again.asked()[0].lines.len() == 2);
    let lost = |roll: &Roll| matches!(reply_from(roll, "w1"), Reply::Answered { lost_lines: true, .. });
    assert!(!lost(&whole));
    roll.hear(Heard::Tasks(Vec::new()), at(3001));
    assert!(roll.is_over(at(3001)) && lost(&roll));
}

#[test]
fn what_comes_late_twice_or_of_others_changes_nothing() {
    let (mut roll, _) = call(&cluster(), false);
    for node in ["m1", "w1", "w2"] {
        roll.hear(said(node, 0), at(10));
    }
    let before = roll.clone();
    roll.hear(said("w1", 7), at(11));
    roll.hear(said("w9", 0), at(11));
    roll.hear(Heard::Tasks(vec![seen("t", "w1", TaskState::Rejected, "no room")]), at(12));
    roll.hear(Heard::Nodes(vec![Node { status: NodeStatus::Down, ..worker("w1") }]), at(13));
    assert_eq!(roll, before);
}

#[test]
fn a_host_whose_tasks_fail_again_and_again_is_given_up_with_its_reason() {
    let (mut roll, _) = call(&cluster(), false);
    for (id, at_millis) in [("a", 1000), ("a", 1200), ("b", 2000)] {
        roll.hear(Heard::Tasks(vec![seen(id, "w1", TaskState::Rejected, "no room")]), at(at_millis));
        assert_eq!(*reply_from(&roll, "w1"), Reply::Awaited { why: "no room".into() });
    }
    roll.hear(Heard::Tasks(vec![seen("c", "w1", TaskState::Failed, "no room")]), at(3000));
    assert_eq!(*reply_from(&roll, "w1"), Reply::Unreachable(Unreachable::Fails { why: "no room".into() }));
    let no_image = TaskSeen { no_image: true, ..seen("d", "w2", TaskState::Rejected, "No such image") };
    roll.hear(Heard::Tasks(vec![no_image]), at(3000));
    assert!(matches!(reply_from(&roll, "w2"), Reply::Unreachable(Unreachable::NoImage { .. })), "at once");
}

#[test]
fn nobody_is_waited_for_past_the_limit_and_what_is_known_is_said() {
    let (mut roll, _) = call(&cluster(), false);
    roll.hear(said("m1", 0), at(10));
    roll.hear(Heard::Tasks(vec![seen("t", "w1", TaskState::Running, "")]), at(20));
    roll.hear(Heard::Tasks(Vec::new()), LIMIT);
    assert!(roll.is_over(LIMIT));
    let silent = Unreachable::Silent { limit: LIMIT, why: "its command runs".into() };
    assert_eq!(*reply_from(&roll, "w1"), Reply::Unreachable(silent));
    assert!(matches!(reply_from(&roll, "m1"), Reply::Answered { .. }));
}

#[test]
fn what_a_host_prints_is_kept_up_to_a_bound_and_the_rest_is_counted() {
    let (mut roll, _) = call(&cluster(), false);
    for _ in 0..100 {
        roll.hear(printed("w1", &"x".repeat(1000)), at(10));
    }
    let asked = roll.asked().iter().find(|asked| asked.hostname == "w1").unwrap();
    assert_eq!((asked.lines.len(), asked.more), (65, 35));
}
