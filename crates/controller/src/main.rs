//! `careen-controller ROLLOUT`: carries a rollout out, from a manager of its swarm.
//!
//! It keeps nothing: whoever starts another one, anywhere, goes on where this one was. It talks to the engine's socket
//! and to nobody else, and says on standard error what it does and what it waits for: a line each, with fixed keys.

mod news;

use anyhow::{Context, bail};
use careen_contract::variable;
use careen_controller::{Controller, Pace, Pause, release, run};
use careen_engine::{Bell, RegistryAuth};
use careen_planner::observed::ControllerPlace;
use careen_planner::{ControllerId, NodeId, PassEnd, RolloutId};
use careen_swarm::{REGISTRY_FILE, Swarm, SwarmCluster};
use news::{News, Told};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.as_slice() {
        [flag] if flag == "--version" || flag == "-V" => {
            println!("careen-controller {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        [rollout] => {
            careen_log::begin("careen-controller: ", std::io::stderr);
            match carry_out(rollout) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    tracing::error!(rollout, "{error:#}");
                    ExitCode::FAILURE
                }
            }
        }
        _ => {
            eprintln!(
                "usage: careen-controller ROLLOUT   ('careen run --image IMAGE' starts it where it belongs)"
            );
            ExitCode::from(2)
        }
    }
}

fn carry_out(rollout: &str) -> anyhow::Result<()> {
    let signals = Signals::watch()?;
    let id = RolloutId::parse(rollout)?;
    let swarm = Swarm::connect().context("no swarm to work on")?;
    let Some(found) = swarm.rollout(&id)? else {
        // It is over and was swept before this process, started once more, could see that. Swarm would start it for ever.
        swarm.remove_controller(&id).context("the controller's service stays")?;
        bail!("there is no rollout {id} in this swarm; 'careen status' shows what may be left of it")
    };
    let me = ControllerId(new_id().context("no id for this process")?);
    let place = swarm.node_id()?.map(|node| ControllerPlace {
        node: NodeId(node),
        movable: std::env::var_os(variable::CONTROLLER_MOVABLE).is_some(),
    });
    tracing::info!(rollout = %id, controller = %me.0, "works on the rollout");
    let bell = Bell::new().context("no descriptor to be told of events with")?;
    let mut cluster = SwarmCluster::new(swarm.clone(), found.spec.clone(), me.clone(), place)
        .with_registry_auth(registry_auth()?)
        .with_bell(bell.clone());
    let (mut told, mut pace) = (Told::default(), Pace::default());
    let (began, mut looked) = (Instant::now(), Instant::now());
    let end = run(&mut Controller::new(me.clone(), found.spec), &mut cluster, |passed| {
        told.news(passed).iter().for_each(News::tell);
        let pause = pace.after(passed, began.elapsed(), looked.elapsed());
        let goes_on = !signals.arrived_in(pause, &bell);
        looked = Instant::now();
        goes_on
    })?;
    match end {
        PassEnd::GoOn => release_lock(&mut cluster, &me),
        // Nobody has to be told any more; what it was told is in the history.
        PassEnd::Finished => swarm.remove_controller(&id).context("the controller's service stays")?,
        PassEnd::Superseded => {}
        PassEnd::Removed => {
            // Another one could do as little, and whoever gives back what is left wants nobody beside them.
            release_lock(&mut cluster, &me);
            swarm.remove_controller(&id).context("the controller's service stays")?;
            bail!("{}", removed(&id))
        }
    }
    let why = match end {
        PassEnd::Finished => "the rollout is over",
        PassEnd::Superseded => "another controller has the rollout now",
        PassEnd::Removed => "the rollout is gone",
        PassEnd::GoOn => "told to end; another controller goes on where this one was",
    };
    tracing::info!(rollout = %id, "{why}");
    Ok(())
}

fn removed(id: &RolloutId) -> String {
    format!(
        "somebody removed the config careen.rollout.{id} from the swarm before the rollout was over, so nothing more is done \
         with it. 'careen status' shows what is left of it; 'careen abort' gives back what careen holds"
    )
}

/// The credentials for the image's registry, where it wants some.
fn registry_auth() -> anyhow::Result<Option<RegistryAuth>> {
    match std::fs::read_to_string(REGISTRY_FILE) {
        Ok(text) => match RegistryAuth::of_header(&text) {
            Some(auth) => Ok(Some(auth)),
            None => bail!("what is in {REGISTRY_FILE} are no credentials: somebody changed it"),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context(format!("cannot read {REGISTRY_FILE}")),
    }
}

/// If its engine is being stopped, whoever goes on may have to wait until the lock is dead.
fn release_lock(cluster: &mut SwarmCluster, me: &ControllerId) {
    if let Err(error) = release(cluster, me) {
        tracing::warn!(error = ?error.to_string(), "the lock stays until it is dead");
    }
}

/// A process that is started again is another controller.
fn new_id() -> std::io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/uuid")?.trim().to_owned())
}

/// SIGTERM and SIGINT, as something to wait for.
struct Signals {
    descriptor: SignalFd,
}

impl Signals {
    fn watch() -> anyhow::Result<Self> {
        let set: SigSet = [Signal::SIGTERM, Signal::SIGINT].into_iter().collect();
        set.thread_block()?;
        Ok(Self { descriptor: SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC)? })
    }

    /// Waits for a signal, or until it is worth looking again.
    fn arrived_in(&self, pause: Pause, bell: &Bell) -> bool {
        let arrived = self.arrived_within(pause.least, None)
            || self.arrived_within(pause.most.saturating_sub(pause.least), Some(bell));
        // What rings from now on may not be in the next look.
        bell.rang();
        arrived
    }

    /// Waits for a signal; not longer than this, and not longer than until it rings.
    fn arrived_within(&self, limit: Duration, bell: Option<&Bell>) -> bool {
        let mut waited = vec![PollFd::new(self.descriptor.as_fd(), PollFlags::POLLIN)];
        waited.extend(bell.map(|bell| PollFd::new(bell.fd(), PollFlags::POLLIN)));
        let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        let ready = poll(&mut waited, limit);
        ready.is_ok() && waited[0].revents().is_some_and(|events| !events.is_empty())
    }
}
