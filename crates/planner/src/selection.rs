//! Which nodes a rollout is about. The same for `careen plan` and for the controller.

use crate::constraint::{Constraint, InvalidConstraint};
use crate::observed::{Node, Observed};
use crate::spec::Spec;
use crate::state::Skip;

/// The nodes that a selection means.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selected<'a> {
    /// Those that are worked on.
    pub nodes: Vec<&'a Node>,
    /// Those that were meant and cannot be worked on.
    pub skipped: Vec<(&'a Node, Skip)>,
}

/// The lowest API version that everything careen needs is in.
pub const OLDEST_API: (u32, u32) = (1, 41);

/// The nodes that a rollout is about.
pub fn select<'a>(observed: &'a Observed, spec: &Spec) -> Result<Selected<'a>, InvalidConstraint> {
    let constraints = spec.selection.constraints.iter().map(|text| Constraint::parse(text));
    let constraints = constraints.collect::<Result<Vec<_>, _>>()?;
    let mut selected = Selected::default();
    for node in &observed.nodes {
        let named = spec.selection.names(&node.id, &node.hostname);
        if !named || !constraints.iter().all(|constraint| constraint.fits(node)) {
            continue;
        }
        let excluded = spec.selection.exclude.contains_key(&node.id).then_some(Skip::Excluded);
        match excluded.or_else(|| unfit(node)) {
            Some(why) => selected.skipped.push((node, why)),
            None => selected.nodes.push(node),
        }
    }
    Ok(selected)
}

/// Why nothing of careen's runs on a node.
pub(crate) fn unfit(node: &Node) -> Option<Skip> {
    if node.os == "windows" {
        Some(Skip::Windows)
    } else if node.api < OLDEST_API {
        Some(Skip::OldEngine)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NodeId;
    use crate::testing::{manager, spec, worker};

    fn cluster() -> Observed {
        Observed { nodes: vec![manager("m1"), worker("w1"), worker("w2")], ..Observed::default() }
    }

    fn names(observed: &Observed, spec: &Spec) -> String {
        let selected = select(observed, spec).unwrap();
        let names: Vec<&str> = selected.nodes.iter().map(|node| node.hostname.as_str()).collect();
        names.join(" ")
    }

    #[test]
    fn selection_by_name_and_constraint_and_what_cannot_be_worked_on() {
        let mut spec = spec();
        spec.selection.nodes = vec!["w1".into(), "m1".into()];
        assert_eq!(names(&cluster(), &spec), "m1 w1");
        spec.selection.constraints = vec!["node.role==worker".into()];
        assert_eq!(names(&cluster(), &spec), "w1");
        let mut without = spec.clone();
        without.selection.exclude.insert(NodeId("w1".into()), "its disk".into());
        assert_eq!(names(&cluster(), &without), "", "also one that is named");
        assert_eq!(select(&cluster(), &without).unwrap().skipped[0].1, Skip::Excluded);
        let mut observed = cluster();
        observed.nodes[1].os = "windows".into();
        assert_eq!(names(&observed, &spec), "");
        let selected = select(&observed, &spec).unwrap();
        assert!(selected.nodes.is_empty());
        assert_eq!(selected.skipped[0].1, Skip::Windows);
        spec.selection.constraints = vec!["w1".into()];
        assert!(select(&observed, &spec).is_err());
    }
}
