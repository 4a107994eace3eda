//! What to do for a wanted lab, given what exists. Pure.

use crate::error::{Error, Result};
use crate::identity::{Observed, Power};
use crate::names::{Kind, MAX_NODE, NodeName, Role, Spec};
use strum::VariantArray;

const DEFAULT_RELEASE: &str = "bookworm";

/// One step for one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variant's name says it")]
pub enum Step {
    /// Make it and turn it on.
    Create,
    /// Put it back on the lab network.
    Plug,
    PowerOn,
    /// Let it go on.
    Thaw,
}

/// A node that the lab will have, and the steps that are left for it, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct NodePlan {
    pub name: NodeName,
    /// Its role; that of an existing node never changes.
    pub role: Role,
    /// What it is made of; that of an existing node never changes.
    pub kind: Kind,
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
    /// The kinds of the nodes that will be made.
    pub fn creates(&self) -> Vec<Kind> {
        let made = |kind: &Kind| {
            self.nodes.iter().any(|node| node.kind == *kind && node.steps.contains(&Step::Create))
        };
        Kind::VARIANTS.iter().copied().filter(made).collect()
    }
}

/// Compares what is wanted with what exists. Refuses what `up` does not do: shrink, or change the release.
pub fn plan(spec: &Spec, observed: &[Observed]) -> Result<Plan> {
    let release = release(spec, observed)?;
    let mut missing = Vec::new();
    for group in GROUPS {
        missing.push((group, group.missing(spec, observed)?));
    }
    let mut nodes: Vec<NodePlan> = observed.iter().map(existing).collect();
    let wanted = missing.into_iter().flat_map(|(group, count)| std::iter::repeat_n(group, count.into()));
    let taken: Vec<NodeName> = observed.iter().map(|node| node.identity.name).collect();
    let mut free = (1..=MAX_NODE).map(NodeName).filter(|name| !taken.contains(name));
    for Group { role, kind, .. } in wanted {
        let name = free.next().ok_or_else(|| {
            Error::Refused(format!("a lab has at most {MAX_NODE} nodes; nothing was changed"))
        })?;
        nodes.push(NodePlan { name, role, kind, steps: vec![Step::Create] });
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
    NodePlan { name: node.identity.name, role: node.identity.role, kind: node.identity.kind, steps }
}

/// Nodes that are counted together: one word of the command line each.
#[derive(Debug, Clone, Copy)]
struct Group {
    noun: &'static str,
    role: Role,
    kind: Kind,
    default: u8,
    wanted: fn(&Spec) -> Option<u8>,
}

/// In the order in which a new lab numbers its nodes.
const GROUPS: [Group; 4] = [
    Group {
        noun: "managers",
        role: Role::Manager,
        kind: Kind::Container,
        default: 3,
        wanted: |spec| spec.managers,
    },
    Group {
        noun: "workers",
        role: Role::Worker,
        kind: Kind::Container,
        default: 2,
        wanted: |spec| spec.workers,
    },
    Group {
        noun: "hosts with sysvinit",
        role: Role::Worker,
        kind: Kind::Sysvinit,
        default: 0,
        wanted: |spec| spec.sysvinit,
    },
    Group {
        noun: "virtual machines",
        role: Role::Worker,
        kind: Kind::Vm,
        default: 0,
        wanted: |spec| spec.vms,
    },
];

impl Group {
    fn holds(&self, node: &Observed) -> bool {
        node.identity.role == self.role && node.identity.kind == self.kind
    }

    /// How many have to be made.
    fn missing(&self, spec: &Spec, observed: &[Observed]) -> Result<u8> {
        let have = observed.iter().filter(|node| self.holds(node)).count();
        let have = u8::try_from(have).unwrap_or(u8::MAX);
        let wanted = match (self.wanted)(spec) {
            Some(wanted) => wanted,
            None if observed.is_empty() => self.default,
            // A bare `up` keeps the size, unless a first `up` never came as far as the first manager.
            None if self.role == Role::Manager => have.max(1),
            None => have,
        };
        if self.role == Role::Manager && wanted == 0 {
            return Err(Error::Refused("a swarm needs at least one manager; nothing was changed".to_owned()));
        }
        wanted.checked_sub(have).ok_or_else(|| {
            Error::Refused(format!(
                "lab {name} has {have} {noun} and {wanted} are wanted: a lab grows, it does not shrink. Nothing was \
                 changed. `cargo lab down --name {name}` first",
                name = spec.name,
                noun = self.noun
            ))
        })
    }
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
    use crate::identity::Identity;
    use crate::names::Subnet;

    fn spec(managers: Option<u8>, workers: Option<u8>) -> Spec {
        Spec { managers, workers, ..Spec::new("x".parse().unwrap()) }
    }

    fn observed(number: u8, role: Role, power: Power, plugged: bool) -> Observed {
        let kind = Kind::Container;
        let name = NodeName(number);
        let lab = "x".parse().unwrap();
        let (ip, release) = (Subnet(0).address(name), "bookworm".to_owned());
        let identity = Identity { lab, name, role, kind, ip, release };
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
        assert_eq!(plan.creates(), [Kind::Container]);
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

    fn kinds(plan: &Plan) -> Vec<(u8, Kind)> {
        plan.nodes.iter().map(|node| (node.name.0, node.kind)).collect()
    }

    #[test]
    fn other_kinds_are_workers_with_the_highest_numbers() {
        let with = |spec: Spec| Spec { sysvinit: Some(1), vms: Some(2), ..spec };
        let new = plan(&with(spec(Some(1), Some(1))), &[]).unwrap();
        let container = Kind::Container;
        let expected = [(1, container), (2, container), (3, Kind::Sysvinit), (4, Kind::Vm), (5, Kind::Vm)];
        assert_eq!(kinds(&new), expected);
        assert!(new.nodes[1..].iter().all(|node| node.role == Role::Worker));
        assert_eq!(new.creates(), Kind::VARIANTS);
    }

    #[test]
    fn each_kind_is_counted_by_itself() {
        let mut lab = vec![
            observed(1, Role::Manager, Power::On, true),
            observed(2, Role::Worker, Power::On, true),
            observed(3, Role::Worker, Power::On, true),
        ];
        lab[2].identity.kind = Kind::Vm;
        let same = Spec { vms: Some(1), ..spec(None, Some(1)) };
        assert_eq!(plan(&same, &lab).unwrap().creates(), []);
        assert_eq!(plan(&spec(None, None), &lab).unwrap().creates(), []);
        let more = Spec { sysvinit: Some(1), ..spec(None, None) };
        assert_eq!(plan(&more, &lab).unwrap().creates(), [Kind::Sysvinit]);
        let fewer = Spec { vms: Some(0), ..spec(None, None) };
        assert!(plan(&fewer, &lab).unwrap_err().to_string().contains("1 virtual machines and 0 are wanted"));
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
