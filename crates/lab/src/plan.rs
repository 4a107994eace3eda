//! What to do for a wanted lab, given what exists. Pure.

use crate::error::{Error, Result};
use crate::kind::{Observed, Power};
use crate::names::{MAX_NODE, NodeName, Role, Spec};

const DEFAULT_MANAGERS: u8 = 3;
const DEFAULT_WORKERS: u8 = 2;
const DEFAULT_RELEASE: &str = "bookworm";

/// One step for one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Make it and turn it on.
    Create,
    /// Put it back on the lab network.
    Plug,
    /// Turn it on.
    PowerOn,
    /// Let it go on.
    Thaw,
}

/// A node that the lab will have, and the steps that are left for it, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePlan {
    /// Its name.
    pub name: NodeName,
    /// Its role; that of an existing node never changes.
    pub role: Role,
    /// Nothing, for a node that is as it should be.
    pub steps: Vec<Step>,
}

/// What `up` will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The release for new nodes.
    pub release: String,
    /// All nodes, in order of their numbers.
    pub nodes: Vec<NodePlan>,
}

impl Plan {
    /// True when nodes will be made.
    pub fn creates(&self) -> bool {
        self.nodes.iter().any(|node| node.steps.contains(&Step::Create))
    }
}

/// Compares what is wanted with what exists. Refuses what `up` does not do: shrink, or change the release.
pub fn plan(spec: &Spec, observed: &[Observed]) -> Result<Plan> {
    let release = release(spec, observed)?;
    let managers = missing(spec, observed, Role::Manager)?;
    let workers = missing(spec, observed, Role::Worker)?;
    let mut nodes: Vec<NodePlan> = observed.iter().map(existing).collect();
    let roles = std::iter::repeat_n(Role::Manager, managers.into())
        .chain(std::iter::repeat_n(Role::Worker, workers.into()));
    let taken: Vec<NodeName> = observed.iter().map(|node| node.identity.name).collect();
    let mut free = (1..=MAX_NODE).map(NodeName).filter(|name| !taken.contains(name));
    for role in roles {
        let name = free.next().ok_or_else(|| {
            Error::Refused(format!("a lab has at most {MAX_NODE} nodes; nothing was changed"))
        })?;
        nodes.push(NodePlan { name, role, steps: vec![Step::Create] });
    }
    nodes.sort_by_key(|node| node.name);
    Ok(Plan { release, nodes })
}

fn existing(node: &Observed) -> NodePlan {
    let mut steps = Vec::new();
    match node.power {
        Power::On => {}
        Power::Frozen => steps.push(Step::Thaw),
        Power::Off => steps.push(Step::PowerOn),
    }
    if !node.plugged {
        // Before it is turned on: a host that boots without its address does not find its swarm.
        steps.insert(0, Step::Plug);
    }
    NodePlan { name: node.identity.name, role: node.identity.role, steps }
}

fn missing(spec: &Spec, observed: &[Observed], role: Role) -> Result<u8> {
    let have = observed.iter().filter(|node| node.identity.role == role).count();
    let have = u8::try_from(have).unwrap_or(u8::MAX);
    let (wanted, default) = match role {
        Role::Manager => (spec.managers, DEFAULT_MANAGERS),
        Role::Worker => (spec.workers, DEFAULT_WORKERS),
    };
    let wanted = match wanted {
        Some(wanted) => wanted,
        None if observed.is_empty() => default,
        // A bare `up` keeps the size, unless a first `up` never came as far as the first manager.
        None if role == Role::Manager => have.max(1),
        None => have,
    };
    if role == Role::Manager && wanted == 0 {
        return Err(Error::Refused("a swarm needs at least one manager; nothing was changed".to_owned()));
    }
    wanted.checked_sub(have).ok_or_else(|| {
        Error::Refused(format!(
            "lab {name} has {have} {role}s and {wanted} are wanted: a lab grows, it does not shrink. Nothing was \
             changed. `cargo lab down --name {name}` first",
            name = spec.name
        ))
    })
}

fn release(spec: &Spec, observed: &[Observed]) -> Result<String> {
    let existing = observed.first().map(|node| node.identity.release.as_str());
    match (spec.release.as_deref(), existing) {
        (Some(wanted), Some(existing)) if wanted != existing => Err(Error::Refused(format!(
            "lab {name} was made from {existing} and {wanted} is wanted; nothing was changed. `cargo lab down \
             --name {name}` first, or use another --name",
            name = spec.name
        ))),
        (wanted, existing) => Ok(wanted.or(existing).unwrap_or(DEFAULT_RELEASE).to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Identity;
    use crate::names::Subnet;

    fn spec(managers: Option<u8>, workers: Option<u8>) -> Spec {
        Spec { managers, workers, ..Spec::new("x".parse().unwrap()) }
    }

    fn observed(number: u8, role: Role, power: Power, plugged: bool) -> Observed {
        let name = NodeName(number);
        let lab = "x".parse().unwrap();
        let identity =
            Identity { lab, name, role, ip: Subnet(0).address(name), release: "bookworm".to_owned() };
        Observed { identity, power, plugged }
    }

    fn shape(plan: &Plan) -> Vec<(String, Role, Vec<Step>)> {
        plan.nodes.iter().map(|node| (node.name.to_string(), node.role, node.steps.clone())).collect()
    }

    #[test]
    fn a_new_lab_has_its_managers_first() {
        let plan = plan(&spec(None, None), &[]).unwrap();
        let roles: Vec<Role> = plan.nodes.iter().map(|node| node.role).collect();
        assert_eq!(roles, [Role::Manager, Role::Manager, Role::Manager, Role::Worker, Role::Worker]);
        assert_eq!(plan.release, "bookworm");
        assert!(plan.creates());
    }

    #[test]
    fn a_lab_that_is_as_wanted_needs_nothing() {
        let lab = [observed(1, Role::Manager, Power::On, true), observed(2, Role::Worker, Power::On, true)];
        for spec in [spec(None, None), spec(Some(1), Some(1)), spec(Some(1), None)] {
            let plan = plan(&spec, &lab).unwrap();
            assert!(plan.nodes.iter().all(|node| node.steps.is_empty()), "{spec:?}");
        }
    }

    #[test]
    fn every_fault_of_a_node_is_mended() {
        for (power, plugged, steps) in [
            (Power::Off, true, vec![Step::PowerOn]),
            (Power::Frozen, true, vec![Step::Thaw]),
            (Power::On, false, vec![Step::Plug]),
            (Power::Off, false, vec![Step::Plug, Step::PowerOn]),
        ] {
            let plan = plan(&spec(Some(1), Some(0)), &[observed(1, Role::Manager, power, plugged)]).unwrap();
            assert_eq!(plan.nodes[0].steps, steps);
        }
    }

    #[test]
    fn a_lab_grows_into_the_free_numbers() {
        let lab = [observed(1, Role::Manager, Power::On, true), observed(3, Role::Worker, Power::On, true)];
        let plan = plan(&spec(Some(2), Some(2)), &lab).unwrap();
        assert_eq!(
            shape(&plan),
            [
                ("n1".to_owned(), Role::Manager, vec![]),
                ("n2".to_owned(), Role::Manager, vec![Step::Create]),
                ("n3".to_owned(), Role::Worker, vec![]),
                ("n4".to_owned(), Role::Worker, vec![Step::Create]),
            ]
        );
    }

    #[test]
    fn shrinking_changing_the_release_and_no_manager_are_refused() {
        let lab = [observed(1, Role::Manager, Power::On, true), observed(2, Role::Worker, Power::On, true)];
        let refused = |spec: Spec, lab: &[Observed]| plan(&spec, lab).unwrap_err().to_string();
        assert!(refused(spec(Some(1), Some(0)), &lab).contains("cargo lab down --name x"));
        assert!(refused(spec(Some(0), Some(1)), &[]).contains("at least one manager"));
        let other = Spec { release: Some("trixie".to_owned()), ..spec(None, None) };
        assert!(refused(other, &lab).contains("made from bookworm"));
    }

    #[test]
    fn numbers_run_out() {
        assert!(plan(&spec(Some(1), Some(MAX_NODE)), &[]).is_err());
    }
}
