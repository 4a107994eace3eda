//! How long hosts took for the same work in earlier rollouts, and how long one that goes on will still take. Pure.

use crate::backend::Summary;
use crate::view::{NodeStanding, Standing};
use careen_planner::estimate::{self, Estimate, Took};
use careen_planner::order::Wave;
use careen_planner::rollout::{Control, NodeResult};
use careen_planner::{NodeId, Spec};
use careen_swarm::Draft;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of rollouts that did what this one is to do, in the order in which they are given.
pub fn took(known: &[Summary], draft: &Draft) -> Vec<Took> {
    took_by(known, &Work::of_draft(draft))
}

fn took_by(known: &[Summary], work: &Work<'_>) -> Vec<Took> {
    let same = known.iter().filter(|one| Work::of(&one.spec) == *work);
    let nodes = same.flat_map(|one| one.nodes.iter().map(|node| (&one.spec.id, node)));
    let took = nodes.filter_map(|(rollout, node)| {
        Some(Took { node: node.node.clone(), rollout: rollout.clone(), seconds: node.seconds? })
    });
    took.collect()
}

/// The same of what one does that goes on.
pub fn took_before(known: &[Summary], spec: &Spec) -> Vec<Took> {
    took_by(known, &Work::of(spec))
}

/// How long a rollout that goes on will still take: by what nodes took in it, and `before`. `None` where nothing moves until somebody says
/// how to go on, or all nodes are through.
pub fn time_left(
    standing: &Standing,
    spec: &Spec,
    results: &[NodeResult],
    before: Vec<Took>,
) -> Option<Estimate> {
    if !matches!(standing.control, Some(Control::Running)) {
        return None;
    }
    let mut waves: BTreeMap<usize, Wave> = BTreeMap::new();
    for (node, wave) in standing.nodes.iter().filter_map(|node| Some((node, node.wave?))) {
        waves.entry(wave).or_default().push(node.node.clone());
    }
    let waves: Vec<Wave> = waves.into_values().collect();
    let ids = |which: fn(&NodeStanding) -> bool| -> BTreeSet<NodeId> {
        standing.nodes.iter().filter(|node| which(node)).map(|node| node.node.clone()).collect()
    };
    let through = ids(|node| node.stage.is_terminal() || node.is_gone());
    let worked = ids(|node| node.outcome.is_some());
    let here = results.iter().filter_map(|result| {
        let (node, rollout) = (result.node.clone(), spec.id.clone());
        Some(Took { node, rollout, seconds: result.seconds? })
    });
    let past: Vec<Took> = here.chain(before).collect();
    let left = estimate::left(&spec.policy, &waves, &through, &worked, &past);
    (left.waves > 0).then_some(left)
}

/// What makes two rollouts the same work: other versions of one image are, other scripts are not.
#[derive(PartialEq)]
struct Work<'a> {
    image: &'a str,
    payload: Option<&'a str>,
    command: &'a str,
    args: &'a [String],
    /// Where each file of the payload goes, and its digest as far as its config's name has it.
    files: BTreeSet<(&'a str, &'a str)>,
}

impl<'a> Work<'a> {
    fn of(spec: &'a Spec) -> Self {
        let file_digest = |name: &'a str| name.rsplit('.').next().unwrap_or(name);
        Self {
            image: repository(spec.image_name.as_deref().unwrap_or(&spec.image)),
            payload: spec.payload.as_deref(),
            command: &spec.command,
            args: &spec.args,
            files: spec.given.files.iter().map(|file| (&*file.target, file_digest(&file.name))).collect(),
        }
    }

    fn of_draft(draft: &'a Draft) -> Self {
        let files = draft.files.iter().map(|file| (&*file.target, file.named_digest()));
        Self { files: files.collect(), ..Self::of(&draft.spec) }
    }
}

/// An image's name without tag and digest.
fn repository(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    match name.rsplit_once(':') {
        // A colon before the last slash is that of a port.
        Some((name, tag)) if !tag.contains('/') && name != "sha256" => name,
        Some(_) | None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::EndedNode;
    use crate::testing::spec;
    use careen_planner::rollout::RolloutOutcome;
    use careen_planner::{GivenFile, NodeState};
    use careen_swarm::PayloadFile;

    fn ended(name: &str, seconds: Option<u64>) -> EndedNode {
        EndedNode {
            node: NodeId(name.into()),
            hostname: name.into(),
            stage: NodeState::Done,
            transaction: None,
            record: None,
            seconds,
            generation: 1,
            tries: Vec::new(),
        }
    }

    fn summary(spec: Spec) -> Summary {
        Summary {
            spec,
            control: Control::Finished { outcome: RolloutOutcome::Done },
            by: None,
            submitted: None,
            nodes: vec![ended("w1", Some(40)), ended("w2", None)],
            record: None,
        }
    }

    #[test]
    fn another_version_of_the_image_is_the_same_work_and_another_command_is_not() {
        let named = |name: &str| Spec { image_name: Some(name.into()), ..spec() };
        let draft = Draft::of(named("registry:5000/update:2"));
        for (earlier, same) in [
            (named("registry:5000/update:1"), true),
            (named("registry:5000/update"), true),
            (Spec { image: "registry:5000/update@sha256:11".into(), ..spec() }, true),
            (named("registry:5000/other:2"), false),
            (named("registry:5001/update:2"), false),
            (Spec { command: "check".into(), ..named("registry:5000/update:2") }, false),
            (Spec { args: vec!["--engine".into()], ..named("registry:5000/update:2") }, false),
            (Spec { payload: Some("/upgrade".into()), ..named("registry:5000/update:2") }, false),
        ] {
            let took = took(&[summary(earlier.clone())], &draft);
            let nodes: Vec<(&str, u64)> = took.iter().map(|one| (one.node.0.as_str(), one.seconds)).collect();
            assert_eq!(nodes, if same { vec![("w1", 40)] } else { Vec::new() }, "{earlier:?}");
        }
    }

    #[test]
    fn what_is_left_is_without_nodes_that_are_through_and_nothing_while_it_waits_for_somebody() {
        let (observed, spec) = (crate::testing::cluster(), spec());
        let standing = |observed: &careen_planner::Observed| {
            crate::view::look(observed, &spec, &careen_planner::Watch::default(), std::time::Duration::ZERO)
                .unwrap()
                .0
        };
        let took =
            |node: &str, seconds| Took { node: NodeId(node.into()), rollout: spec.id.clone(), seconds };
        let before = || vec![took("w1", 100), took("w2", 100), took("w3", 100), took("m1", 100)];
        let left = |observed: &careen_planner::Observed| {
            time_left(&standing(observed), &spec, &observed.results, before())
        };
        let work = |observed: &careen_planner::Observed| left(observed).unwrap().work.unwrap();
        assert_eq!(work(&observed).seconds, 400);
        let mut later = observed.clone();
        crate::testing::at(&mut later.nodes[1], NodeState::Done, None);
        assert_eq!((work(&later).seconds, work(&later).nodes), (300, 3));
        // Its host has said how it ended: it is only watched.
        later.results.push(NodeResult {
            node: NodeId("w3".into()),
            generation: 2,
            outcome: careen_planner::observed::NodeOutcome::Succeeded,
            record: None,
            seconds: Some(7),
        });
        assert_eq!((work(&later).seconds, left(&later).unwrap().waves), (200, 3));
        let (paused, spec) = crate::testing::failed_and_paused();
        let (standing, _) =
            crate::view::look(&paused, &spec, &careen_planner::Watch::default(), std::time::Duration::ZERO)
                .unwrap();
        assert_eq!(time_left(&standing, &spec, &paused.results, before()), None);
    }

    #[test]
    fn an_image_by_its_id_alone_is_the_same_only_as_itself() {
        assert_eq!(repository("sha256:11"), "sha256:11");
        assert_eq!(repository("a/b:1@sha256:11"), "a/b");
        assert_eq!(repository("host:5000/b"), "host:5000/b");
    }

    #[test]
    fn the_same_script_is_the_same_work_and_another_one_is_not() {
        let target = "/install/install".to_owned();
        let file = |digest: &str| PayloadFile {
            target: target.clone(),
            digest: digest.repeat(64),
            mode: 0o555,
            content: Vec::new(),
        };
        let mut earlier = spec();
        earlier.given.files = vec![GivenFile {
            id: "x".into(),
            name: format!("careen.file.k3x9.{}", "a".repeat(32)),
            target: target.clone(),
            uid: "0".into(),
            gid: "0".into(),
            mode: 0o555,
        }];
        let known = [summary(earlier)];
        for (files, same) in [(vec![file("a")], 1), (vec![file("b")], 0), (Vec::new(), 0)] {
            assert_eq!(took(&known, &Draft { files, ..Draft::of(spec()) }).len(), same);
        }
    }
}
