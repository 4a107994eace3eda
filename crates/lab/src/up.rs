//! `up`: brings a lab to what is wanted. Each step looks first, so it can be killed anywhere and run again.

use std::sync::Arc;
use std::time::Duration;

use crate::container::Container;
use crate::docker::Docker;
use crate::engine;
use crate::error::Result;
use crate::fault;
use crate::kind::{Identity, NodeKind, Observed};
use crate::lock;
use crate::names::{Spec, Subnet};
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
    kind: Arc<dyn NodeKind>,
    observed: Vec<Observed>,
    plan: Plan,
    image: String,
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
    let kind: Arc<dyn NodeKind> = Arc::new(Container::new(docker.clone()));
    let observed = kind.observe(&spec.name)?;
    // Before anything is made: a refusal changes nothing.
    let plan = plan::plan(spec, &observed)?;
    let image = match plan.creates() {
        true => kind.prepare(&plan.release, &machine, progress)?,
        false => String::new(),
    };
    let subnet = network::ensure(&docker, &spec.name)?;
    Ok(Prepared { kind, observed, plan, image, subnet })
}

fn carry_out(prepared: &Prepared, spec: &Spec, wanted: &NodePlan, progress: Progress) -> Result<Node> {
    let existing = prepared.observed.iter().find(|node| node.identity.name == wanted.name);
    let identity = existing.map(|node| node.identity.clone()).unwrap_or_else(|| Identity {
        lab: spec.name.clone(),
        name: wanted.name,
        role: wanted.role,
        ip: prepared.subnet.address(wanted.name),
        release: prepared.plan.release.clone(),
    });
    for step in &wanted.steps {
        let done = match step {
            Step::Create => prepared.kind.create(&identity, &prepared.image).map(|()| "created"),
            Step::Plug => prepared.kind.plug(&identity).map(|()| "back on the network"),
            Step::PowerOn => prepared.kind.power_on(&identity).map(|()| "powered on"),
            Step::Thaw => prepared.kind.thaw(&identity).map(|()| "thawed"),
        }?;
        progress.say(format!("{}: {done} ({}, {})", wanted.name, wanted.role, identity.ip));
    }
    let node = Node::new(identity, Arc::clone(&prepared.kind));
    if wanted.steps.is_empty() && node.engine_info().is_err() {
        // It was on all along, so nothing else will start its engine (`fault stop-engine`). Whether this helps
        // shows when the engine is waited for; a node that is just rebooting needs no help.
        progress.say(format!("{}: its engine does not answer; starting it", wanted.name));
        let _ = fault::start_engine(&node)?;
    }
    Ok(node)
}

fn set_reboot_delay(nodes: &[Node], delay: Option<Duration>) -> Result<()> {
    let Some(delay) = delay else {
        return Ok(());
    };
    let script = format!("echo {} >/var/lib/careen-lab/reboot-delay", delay.as_secs());
    parallel::for_each(nodes, WIDTH, |node| node.sh(&script)?.ok())?;
    Ok(())
}
