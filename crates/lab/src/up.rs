//! `up`: brings a lab to what is wanted. Each step looks first, so it can be killed anywhere and run again.

use std::time::Duration;

use crate::docker::Docker;
use crate::engine;
use crate::error::{Error, Result};
use crate::fault;
use crate::holder::Holder;
use crate::identity::{Identity, Observed};
use crate::inotify;
use crate::kind::Parts;
use crate::kinds;
use crate::lock;
use crate::names::{Kind, Spec, Subnet};
use crate::network;
use crate::node::Node;
use crate::parallel;
use crate::plan::{self, NodePlan, Plan, Step};
use crate::progress::Progress;
use crate::swarm;

/// How many nodes are made at once.
const WIDTH: usize = 2;

/// What the plan was made from and what it needs.
struct Prepared {
    holder: Holder,
    observed: Vec<Observed>,
    plan: Plan,
    /// What each kind that is to be created is created from.
    parts: Vec<(Kind, Parts)>,
    subnet: Subnet,
}

/// Brings the lab up. See [`crate::Lab::up`].
pub fn up(spec: &Spec, progress: Progress) -> Result<()> {
    let lab_lock = lock::of_lab(&spec.name, progress)?;
    let prepared = prepare(spec, Docker::local().holding(lab_lock), progress)?;
    let nodes =
        parallel::for_each(&prepared.plan.nodes, WIDTH, |node| carry_out(&prepared, spec, node, progress))?;
    swarm::form(&nodes, progress)?;
    set_reboot_delay(&nodes, spec.reboot_delay)?;
    progress.say(format!("lab {} is up: {} nodes, all ready", spec.name, nodes.len()));
    Ok(())
}

/// Makes sure that an engine answers on this machine; the last `down` stops one that this started.
pub fn ensure_engine(progress: Progress) -> Result<()> {
    let _machine = lock::of_machine(progress)?;
    engine::ensure(progress)
}

/// Everything that concerns the whole machine, under the machine's lock.
fn prepare(spec: &Spec, docker: Docker, progress: Progress) -> Result<Prepared> {
    let machine = lock::of_machine(progress)?;
    engine::ensure(progress)?;
    inotify::ensure(progress);
    let holder = Holder::new(docker.clone());
    let observed = holder.observe(&spec.name)?;
    // Before anything is made: a refusal changes nothing.
    let plan = plan::plan(spec, &observed)?;
    let mut parts = Vec::new();
    for kind in plan.creates() {
        parts.push((kind, kinds::of(kind, &holder).prepare(&plan.release, &machine, progress)?));
    }
    let subnet = network::ensure(&docker, &spec.name)?;
    Ok(Prepared { holder, observed, plan, parts, subnet })
}

fn carry_out(prepared: &Prepared, spec: &Spec, wanted: &NodePlan, progress: Progress) -> Result<Node> {
    let existing = prepared.observed.iter().find(|node| node.identity.name == wanted.name);
    let identity = existing.map(|node| node.identity.clone()).unwrap_or_else(|| Identity {
        lab: spec.name.clone(),
        name: wanted.name,
        role: wanted.role,
        kind: wanted.kind,
        ip: prepared.subnet.address(wanted.name),
        release: prepared.plan.release.clone(),
    });
    let holder = &prepared.holder;
    for step in &wanted.steps {
        let done = match step {
            Step::Create => create(prepared, &identity).map(|()| "created"),
            Step::Plug => holder.plug(&identity).map(|()| "back on the network"),
            Step::PowerOn => holder.power_on(&identity).map(|()| "powered on"),
            Step::Thaw => holder.thaw(&identity).map(|()| "thawed"),
        }?;
        let Identity { name, role, kind, ip, .. } = &identity;
        progress.say(format!("{name}: {done} ({kind}, {role}, {ip})"));
    }
    let node = Node::new(identity, holder);
    if wanted.steps.is_empty() && node.engine_info().is_err() {
        // It was on all along, so nothing else will start its engine (`fault stop-engine`). Whether this helps
        // shows when the engine is waited for; a node that is just rebooting needs no help.
        progress.say(format!("{}: its engine does not answer; starting it", wanted.name));
        let _ = fault::start_engine(&node)?;
    }
    Ok(node)
}

fn create(prepared: &Prepared, node: &Identity) -> Result<()> {
    let parts = prepared.parts.iter().find(|(kind, _)| *kind == node.kind).map(|(_, parts)| parts);
    let parts = parts.ok_or_else(|| Error::Refused(format!("nothing is prepared for a {}", node.kind)))?;
    kinds::of(node.kind, &prepared.holder).create(node, parts)
}

fn set_reboot_delay(nodes: &[Node], delay: Option<Duration>) -> Result<()> {
    let Some(delay) = delay else {
        return Ok(());
    };
    let script = format!("echo {} >/var/lib/careen-lab/reboot-delay", delay.as_secs());
    parallel::for_each(nodes, WIDTH, |node| node.outside(&script)?.ok())?;
    Ok(())
}
