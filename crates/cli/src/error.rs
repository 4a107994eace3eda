//! Why a command failed, what it exits with, and what to do next.

use crate::backend::BackendError;
use crate::carried::NotLoaded;
use crate::connect::{NoManager, UnusableHost};
use crate::delivery::Undeliverable;
use crate::enforcement::SecondPayload;
use crate::exit::Exit;
use crate::file::wrong::UnusableFile;
use crate::given::InvalidGiven;
use crate::known::NotRemembered;
use crate::render::text::{first_of, short};
use crate::target::NotPushed;
use careen_contract::chain;
use careen_engine::EngineError;
use careen_planner::enforcement::{CannotEnforce, Damage};
use careen_planner::plan::PlanRefusal;
use careen_planner::remains::CannotRestore;
use careen_planner::uninstall::CannotUninstall;
use careen_planner::updatable::CannotUpdate;
use careen_planner::{NodeId, PassError, RolloutId};
use careen_swarm::GivenKind;
use careen_upgrade::options::InvalidOptions;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Failure {
    /// The swarm did not do it.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The engine's address is of no use.
    #[error(transparent)]
    Host(#[from] UnusableHost),
    /// `careen.yaml` is of no use.
    #[error(transparent)]
    File(#[from] UnusableFile),
    /// A rollout would do harm.
    #[error("the rollout is refused, for the reasons above; nothing was changed")]
    Refused,
    /// The payload cannot go out as configs.
    #[error(transparent)]
    Undeliverable(#[from] Undeliverable),
    /// What hosts are to get cannot be understood, or read.
    #[error("{}; nothing was changed", chain(.0))]
    Given(InvalidGiven),
    /// There is no such secret or config.
    #[error("the swarm has no {} '{name}'; nothing was changed", word(*.kind))]
    NoSuchGiven {
        /// Which of the two.
        kind: GivenKind,
        name: String,
    },
    /// There are none to pass on.
    #[error("docker's config file has no credentials for {registry}; nothing was changed")]
    NoCredentials { registry: String },
    /// An image that was to be pushed.
    #[error("the image {image} is not pushed")]
    NotPushed { image: String, source: NotPushed },
    /// The image that this program carries is not on the engine.
    #[error("the image {image} is not loaded")]
    NotLoaded { image: String, source: NotLoaded },
    /// It is stored, and nobody carries it out.
    #[error("the rollout {rollout} is stored in the swarm, but its controller was not started")]
    NoController { rollout: RolloutId, source: BackendError },
    /// It is stored, and its controller does not come up.
    #[error(
        "the order is stored in the swarm, but the controller of the rollout {rollout} does not come up: {why}"
    )]
    ControllerFails { rollout: RolloutId, why: String },
    /// There is nobody to ask, and no `--yes`.
    #[error(
        "standard input is no terminal, so nobody can be asked whether to start the rollout; nothing was changed"
    )]
    NobodyToAsk,
    /// The same before something is given back.
    #[error(
        "standard input is no terminal, so nobody can be asked whether to give back and remove that; nothing was changed"
    )]
    NobodyToAskAboutThat,
    /// The same before nodes are made active.
    #[error(
        "standard input is no terminal, so nobody can be asked whether to make nodes active; nothing was changed"
    )]
    NobodyToAskAboutNodes,
    /// The same before hosts keep themselves to something, or do not any more.
    #[error(
        "standard input is no terminal, so nobody can be asked whether that is to be enforced; nothing was changed"
    )]
    NobodyToAskAboutEnforcement,
    /// A payload that cannot be enforced.
    #[error("{why}; nothing was changed")]
    UnfitPayload { why: Box<PlanRefusal> },
    /// Two payloads on one line.
    #[error("{0}; nothing was changed")]
    TwoPayloads(SecondPayload),
    /// Nothing is enforced under this name.
    #[error("nothing is enforced that is called '{}'; nothing was changed", short(.given, SHOWN))]
    NoEnforcement { given: String },
    /// One half of an enforcement is gone, or cannot be understood.
    #[error("{name} is damaged: {damage}; nothing was changed")]
    DamagedEnforcement { name: String, damage: Damage },
    /// An enforcement that is not updated.
    #[error("{0}; nothing was changed")]
    CannotUpdate(CannotUpdate),
    /// A command that changes hosts is no question.
    #[error("'{command}' changes hosts, and a question must not; nothing was changed")]
    NoQuestion { command: String },
    /// A payload that cannot tell drift.
    #[error(
        "{payload} has no command 'check', so nobody can tell whether a host drifts; nothing was changed"
    )]
    NoCheck { payload: String },
    /// A payload that is tried without saying how.
    #[error("{payload} has no command 'check'; {}; nothing was run", has(.commands))]
    NothingToTry {
        payload: String,
        /// Those that it has.
        commands: Vec<String>,
    },
    /// A payload that is tried is none, or has no such command.
    #[error("{payload} {why}; nothing was run")]
    CannotTry {
        payload: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody can be asked whether a command may change a host.
    #[error(
        "standard input is no terminal, so nobody can be asked whether to run '{command}'; nothing was run"
    )]
    NobodyToAskAboutTry { command: String },
    /// The engine went away while a payload was tried.
    #[error("the engine does not answer any more, and nobody knows how '{command}' ends")]
    TryUnheard { command: String, source: EngineError },
    /// The engine does not run what is tried.
    #[error("the engine does not run the image {image}")]
    NotTried { image: String, source: EngineError },
    /// Nobody can be asked that.
    #[error("{why}; nothing was changed")]
    CannotAsk { why: Box<PlanRefusal> },
    /// The operator said no.
    #[error("nothing was given back; nothing was changed")]
    NotGivenBack,
    /// A node that cannot be given back.
    #[error("{node} is not given back: {why}; nothing was changed")]
    CannotRestore { node: String, why: CannotRestore },
    /// Something speaks against removing careen.
    #[error("careen is not uninstalled: {why}; nothing was changed")]
    CannotUninstall { why: CannotUninstall },
    /// Containers do not go.
    #[error(
        "these services still have containers on nodes that report: {services}; what was removed before stays so"
    )]
    StillThere { services: String },
    /// Services are still scaled up, and to scale them now would end their updates.
    #[error(
        "cannot give back how these services were scaled up: {services}; an update of each is not through, and scaling would end \
         it; what was given back before stays so"
    )]
    UpdateUnderWay { services: String },
    /// No such node in the swarm.
    #[error("the swarm has no node '{given}', and no service of careen's for it; nothing was changed")]
    NoNode { given: String },
    /// The file with the unlock key cannot be read.
    #[error("cannot read the unlock key from {path}: {why}; nothing was changed")]
    NoKeyFile { path: String, why: std::io::Error },
    #[error("the file with the unlock key is empty; nothing was changed")]
    EmptyKey,
    /// The operator said no.
    #[error("not started; nothing was changed")]
    Declined,
    /// Of a name nobody knows which node is meant.
    #[error("{why}; nothing was changed")]
    NamesNoNode { why: String },
    /// There is no rollout to steer or to look at.
    #[error("no rollout is going on")]
    NoRollout,
    /// Somebody removed the rollout's config before it was over.
    #[error(
        "somebody removed the config careen.rollout.{rollout} from the swarm before the rollout was over: nothing further \
         is done, and hosts finish what they have started"
    )]
    RolloutRemoved { rollout: RolloutId },
    /// No such node in the swarm, or not in this rollout.
    #[error("the rollout {rollout} has no node '{given}'")]
    NoSuchNode { rollout: RolloutId, given: String },
    /// No record is meant, or none is there.
    #[error(transparent)]
    NotRemembered(#[from] NotRemembered),
    /// A host name that several nodes have, or the beginning of several ids.
    #[error("'{}' means several nodes: {}; nothing was changed", short(.given, SHOWN), some(.nodes))]
    Ambiguous {
        given: String,
        /// Each with its name and id.
        nodes: Vec<String>,
    },
    /// Only failed nodes are tried again.
    #[error("{node} has not failed (it is {state}); nothing was changed")]
    NotFailed { node: String, state: String },
    /// A node that left the swarm cannot be tried again.
    #[error("{node} ({id}) left the swarm, so it cannot be tried again; nothing was changed")]
    NotThere { node: String, id: NodeId },
    /// A node that is done, or that cannot be left out any more.
    #[error("{node} cannot be left out: it is {state}; nothing was changed")]
    CannotSkip { node: String, state: String },
    /// Flags of `upgrade` that contradict themselves.
    #[error("{0}; nothing was changed")]
    Upgrade(InvalidOptions),
    /// careen's own image is not on the asked engine.
    #[error(
        "the engine that is asked does not have the image {image}, with which careen comes to the hosts; nothing was changed"
    )]
    NoOwnImage { image: String },
    /// The rollout cannot be carried out as it is.
    #[error("the rollout cannot be carried out")]
    Pass(#[from] PassError),
    /// Nothing can be printed.
    #[error("cannot write the output")]
    Output(#[from] std::io::Error),
    /// Nothing can be printed as JSON.
    #[error("cannot write the output")]
    Json(#[from] serde_json::Error),
}

const fn word(kind: GivenKind) -> &'static str {
    match kind {
        GivenKind::Secret => "secret",
        GivenKind::Config => "config",
    }
}

/// Which commands there are.
fn has(commands: &[String]) -> String {
    if commands.is_empty() {
        "it has no command at all".to_owned()
    } else {
        format!("it has {}", some(commands))
    }
}

/// So many columns of a name, and so many names, an error shows.
const SHOWN: usize = 60;
const NAMES: usize = 10;

fn some(nodes: &[String]) -> String {
    let nodes: Vec<String> = nodes.iter().map(|node| short(node, SHOWN)).collect();
    first_of(&nodes, NAMES)
}

// What is wrong is said in the failure's own words, in front of 'nothing was changed'; as a source it would be said twice.
impl From<InvalidGiven> for Failure {
    fn from(invalid: InvalidGiven) -> Self {
        Self::Given(invalid)
    }
}

impl From<CannotUpdate> for Failure {
    fn from(why: CannotUpdate) -> Self {
        Self::CannotUpdate(why)
    }
}

impl From<SecondPayload> for Failure {
    fn from(second: SecondPayload) -> Self {
        Self::TwoPayloads(second)
    }
}

impl From<InvalidOptions> for Failure {
    fn from(invalid: InvalidOptions) -> Self {
        Self::Upgrade(invalid)
    }
}

impl From<NoManager> for Failure {
    fn from(error: NoManager) -> Self {
        Self::Backend(error.into())
    }
}

impl Failure {
    /// What the process exits with.
    #[expect(clippy::too_many_lines, reason = "a code for each failure")]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Backend(BackendError::NoManager(_)) => Exit::NoManager,
            Self::NotRemembered(error) => error.exit(),
            Self::NoController { source: BackendError::NoManager(_), .. } => Exit::NoManager,
            Self::Backend(BackendError::CannotEnforce(why)) => exit_of_enforcing(why),
            Self::CannotUpdate(why) => exit_of_updating(why),
            Self::Backend(BackendError::OtherRollout { .. })
            | Self::Refused
            | Self::CannotRestore { .. }
            | Self::CannotUninstall { .. } => Exit::Refused,
            Self::Host(_)
            | Self::File(_)
            | Self::NobodyToAsk
            | Self::NobodyToAskAboutThat
            | Self::NobodyToAskAboutNodes
            | Self::NobodyToAskAboutEnforcement
            | Self::UnfitPayload { .. }
            | Self::TwoPayloads(_)
            | Self::NoEnforcement { .. }
            | Self::NoQuestion { .. }
            | Self::NoCheck { .. }
            | Self::NothingToTry { .. }
            | Self::CannotTry { .. }
            | Self::NobodyToAskAboutTry { .. }
            | Self::CannotAsk { .. }
            | Self::NoNode { .. }
            | Self::NamesNoNode { .. }
            | Self::Upgrade(_)
            | Self::Undeliverable(_)
            | Self::Given(_)
            | Self::NoSuchGiven { .. }
            | Self::NoCredentials { .. }
            | Self::NotPushed { source: NotPushed::Target(_), .. }
            | Self::NoKeyFile { .. }
            | Self::EmptyKey
            | Self::NoSuchNode { .. }
            | Self::Ambiguous { .. }
            | Self::NotFailed { .. }
            | Self::NotThere { .. }
            | Self::CannotSkip { .. } => Exit::Usage,
            Self::Backend(
                BackendError::Over { .. }
                | BackendError::NoImage { .. }
                | BackendError::Credentials(_)
                | BackendError::Changed
                | BackendError::Refused { .. }
                | BackendError::Corrupt { .. }
                | BackendError::Unclear { .. },
            )
            | Self::Declined
            | Self::DamagedEnforcement { .. }
            | Self::NotPushed { .. }
            | Self::NotLoaded { .. }
            | Self::NoController { .. }
            | Self::ControllerFails { .. }
            | Self::NoRollout
            | Self::RolloutRemoved { .. }
            | Self::NotGivenBack
            | Self::StillThere { .. }
            | Self::UpdateUnderWay { .. }
            | Self::NoOwnImage { .. }
            | Self::TryUnheard { .. }
            | Self::NotTried { .. }
            | Self::Pass(_)
            | Self::Output(_)
            | Self::Json(_) => Exit::Other,
        }
    }

    /// What to do next, where careen knows.
    #[expect(clippy::too_many_lines, reason = "a sentence for each failure")]
    pub fn next(&self) -> Option<&'static str> {
        match self {
            Self::Backend(error) => next_of_backend(error),
            Self::Host(unusable) => Some(unusable.next()),
            Self::File(unusable) => unusable.next(),
            Self::NobodyToAsk => Some("say --yes; 'careen plan' with the same flags shows what would happen"),
            Self::NoSuchGiven { kind: GivenKind::Secret, .. } => Some("'docker secret ls' lists them"),
            Self::NoSuchGiven { kind: GivenKind::Config, .. } => Some("'docker config ls' lists them"),
            Self::NoCredentials { .. } => {
                Some("'docker login REGISTRY' as this user, or leave --with-registry-auth out")
            }
            Self::NoKeyFile { .. } | Self::EmptyKey => {
                Some("'docker swarm unlock-key' on a manager shows the key")
            }
            Self::ControllerFails { .. } => Some(RUN_IT_HERE),
            Self::NoController { .. } => {
                Some("'careen resume' tries again, 'careen resume --local' runs it in your terminal")
            }
            Self::NoOwnImage { .. } => Some(BRING_THE_IMAGE),
            Self::NotLoaded { source: NotLoaded::NoneCarried, .. }
            | Self::NotPushed { source: NotPushed::NotHere, .. } => Some(GET_THE_IMAGE),
            Self::Upgrade(_) => Some("'careen upgrade --help' explains the flags"),
            Self::NoRollout => Some("'careen run --image IMAGE' starts one"),
            Self::NobodyToAskAboutNodes => {
                Some("say --yes, or leave --activate out: then those hosts are named")
            }
            Self::NoQuestion { .. } => Some("'careen run --image IMAGE' carries it out, node after node"),
            Self::NoCheck { .. } => Some(WRITE_A_CHECK),
            Self::NothingToTry { .. } => Some("say which one: careen try DIR COMMAND"),
            Self::NobodyToAskAboutTry { .. } => Some("say --yes"),
            Self::TryUnheard { .. } => Some("'careen-agent list' on the host shows whether it still runs"),
            Self::NobodyToAskAboutEnforcement => Some("say --yes"),
            Self::CannotUpdate(why) => Some(next_of_updating(why)),
            Self::UnfitPayload { .. } => Some(BOTH_COMMANDS),
            Self::TwoPayloads(_) => Some("'careen enforce --help' says how a payload is named"),
            Self::NoEnforcement { .. } => Some("'careen enforce ls' lists what there is"),
            Self::DamagedEnforcement { .. } => Some(WHAT_IS_LEFT),
            Self::NobodyToAskAboutThat => Some("say --yes; 'careen status' shows what is left"),
            Self::CannotRestore { why, .. } => Some(next_of_restore(why)),
            Self::NotGivenBack => Some("'careen status' shows what is left"),
            Self::CannotUninstall { why } => Some(next_of_uninstall(why)),
            Self::StillThere { .. } => Some(
                "'docker service ps SERVICE' shows where; the same command goes on where this one stopped",
            ),
            Self::UpdateUnderWay { .. } => Some(UPDATE_UNDER_WAY),
            Self::NoNode { .. } | Self::NamesNoNode { .. } | Self::CannotAsk { .. } => {
                Some("'docker node ls' lists names and ids")
            }
            Self::RolloutRemoved { .. } => Some(
                "'careen status' shows what is left of it; 'careen abort' gives back what it holds, 'careen restore NODE' one node",
            ),
            Self::NoSuchNode { .. } => Some("'careen status' lists its nodes"),
            Self::NotRemembered(error) => Some(error.next()),
            Self::Ambiguous { .. } => {
                Some("say more of the id, or the whole id ('docker node ls' lists them)")
            }
            Self::NotFailed { .. } | Self::CannotSkip { .. } => {
                Some("'careen why NODE' says what it waits for; 'careen abort' ends the rollout")
            }
            Self::NotThere { .. } => Some(
                "'careen skip NODE' gives it up; a node that joined since has its turn in the next rollout",
            ),
            Self::NotPushed { source: NotPushed::Credentials(error), .. } => Some(error.next()),
            Self::Undeliverable(_) | Self::Given(_) | Self::NotPushed { .. } | Self::NotLoaded { .. } => None,
            Self::CannotTry { .. } | Self::NotTried { .. } => None,
            Self::Refused | Self::Declined | Self::Pass(_) | Self::Output(_) | Self::Json(_) => None,
        }
    }
}

const WRITE_A_CHECK: &str = "a payload's 'check' ends with 0 in sync and with 2 on drift (docs/payload-contract.md); another command \
                             is asked with careen ask --command NAME";

const BOTH_COMMANDS: &str = "a payload that is enforced has 'check', which says whether something is to be done, and 'install', which does it";

const WHAT_IS_LEFT: &str =
    "'careen enforce status' says what to do; 'careen enforce stop NAME' removes what is left of it";

const RUN_IT_HERE: &str = "'careen status' shows what it printed; 'careen resume --local' runs it in your terminal, 'careen abort' ends the \
                 rollout from there";

const UPDATE_UNDER_WAY: &str = "'docker service inspect --pretty SERVICE' shows how far it is; when it is through, the same command goes \
                                on where this one stopped";

const fn next_of_restore(why: &CannotRestore) -> &'static str {
    match why {
        CannotRestore::GoesOn { .. } => {
            "'careen skip NODE' leaves it out of the rollout; 'careen abort' ends the rollout"
        }
        CannotRestore::Nothing => "'careen status' shows what is left",
        CannotRestore::Corrupt(_) => LABEL_BY_HAND,
    }
}

const LABEL_BY_HAND: &str = "'docker node inspect NODE' shows the label careen.node, and what 'careen-agent list' says on the host \
                             tells how far it is; 'docker node update --label-rm careen.node NODE' removes it";

const BRING_THE_IMAGE: &str = "'careen image load' brings the one that a release's careen carries onto this engine, 'careen image push \
                               REGISTRY' to a registry that all nodes reach: then say its name with --image";

const GET_THE_IMAGE: &str = "a release's careen carries it ('make dist' builds one); 'make image' builds it onto this machine's \
                              engine, --image names another";

const fn next_of_uninstall(why: &CannotUninstall) -> &'static str {
    match why {
        CannotUninstall::Held { .. } => {
            "'careen restore NODE' gives a node back; 'careen status' shows what is left"
        }
        CannotUninstall::Enforced { .. } => {
            "'careen enforce stop NAME' ends one; the same command goes on afterwards"
        }
        CannotUninstall::Unreadable { .. } => LABEL_BY_HAND,
        CannotUninstall::AtWork { .. } => {
            "'careen-agent list' on such a host shows what runs there; the same command goes on afterwards"
        }
    }
}

/// What cannot be understood or carried out is a wrong call; what would do harm beside others is refused.
const fn exit_of_enforcing(why: &CannotEnforce) -> Exit {
    match why {
        CannotEnforce::Name { .. }
        | CannotEnforce::TooOften
        | CannotEnforce::TooMany { .. }
        | CannotEnforce::Path(_)
        | CannotEnforce::Constraint { .. } => Exit::Usage,
        CannotEnforce::OwnedTwice(_)
        | CannotEnforce::OtherVersion { .. }
        | CannotEnforce::Paused { .. }
        | CannotEnforce::Updating { .. }
        | CannotEnforce::NoConfig { .. }
        | CannotEnforce::Unreadable { .. } => Exit::Refused,
    }
}

const fn next_of_enforcing(why: &CannotEnforce) -> &'static str {
    match why {
        CannotEnforce::Name { .. } => "--name NAME gives it one",
        CannotEnforce::TooOften => "--interval 10s, or longer",
        CannotEnforce::TooMany { .. } => "a directory with all below it is one path: it ends with /",
        CannotEnforce::Path(_) => "--owns PATH says one, and can be repeated",
        CannotEnforce::Constraint { .. } => "it is written as for services: node.role==worker",
        CannotEnforce::OwnedTwice(_) => {
            "'careen enforce status' shows what each owns; 'careen enforce stop NAME' ends one of them"
        }
        CannotEnforce::OtherVersion { .. } => UPDATES,
        CannotEnforce::Paused { .. } => "'careen enforce resume NAME' goes on with it",
        CannotEnforce::Updating { .. } => {
            "'careen status' shows how far it is, 'careen abort' ends it; when no rollout goes on, 'careen enforce update NAME --back'"
        }
        CannotEnforce::NoConfig { .. } | CannotEnforce::Unreadable { .. } => {
            "'careen enforce status' says more; 'careen enforce stop NAME' removes what is left of it"
        }
    }
}

const fn exit_of_updating(why: &CannotUpdate) -> Exit {
    match why {
        CannotUpdate::Unknown { .. } | CannotUpdate::NoPayload { .. } => Exit::Usage,
        CannotUpdate::Paused { .. }
        | CannotUpdate::Damaged { .. }
        | CannotUpdate::Several { .. }
        | CannotUpdate::HalfWay { .. }
        | CannotUpdate::GoesOn { .. } => Exit::Refused,
        CannotUpdate::Enforce(why) => exit_of_enforcing(why),
    }
}

const fn next_of_updating(why: &CannotUpdate) -> &'static str {
    match why {
        CannotUpdate::Unknown { .. } => {
            "'careen enforce ls' lists what there is; 'careen enforce PAYLOAD' starts one"
        }
        CannotUpdate::Paused { .. } => "'careen enforce resume NAME' goes on with it",
        CannotUpdate::Damaged { .. } | CannotUpdate::Several { .. } => {
            "'careen enforce status NAME' says what to do; 'careen enforce stop NAME' removes what is left of it"
        }
        CannotUpdate::HalfWay { .. } => {
            "the same call with that payload goes on; 'careen enforce update NAME --back' takes it back"
        }
        CannotUpdate::GoesOn { .. } => {
            "'careen status' shows how far it is; 'careen abort' takes the new version back"
        }
        CannotUpdate::NoPayload { .. } => "name it again: 'careen enforce update NAME ./DIRECTORY'",
        CannotUpdate::Enforce(why) => next_of_enforcing(why),
    }
}

const UPDATES: &str = "careen enforce update NAME brings hosts to another version, wave after wave; 'careen enforce stop NAME' ends the one \
                       that runs";

fn next_of_backend(error: &BackendError) -> Option<&'static str> {
    match error {
        BackendError::CannotEnforce(why) => Some(next_of_enforcing(why)),
        BackendError::NoManager(error) => Some(error.next()),
        BackendError::OtherRollout { .. } => Some("'careen status' shows it; 'careen abort' ends it"),
        BackendError::Changed => Some("try again; 'careen status' shows the state now"),
        BackendError::Unclear { .. } => Some("'careen status' shows the state"),
        BackendError::NoImage { .. } => Some(
            "bring the image to a registry that all nodes reach ('careen image push REGISTRY', from a machine that has it), \
             and name it with that registry: --image. If it asks for a password: 'docker login'",
        ),
        BackendError::Credentials(error) => Some(error.next()),
        BackendError::Over { .. } | BackendError::Refused { .. } | BackendError::Corrupt { .. } => None,
    }
}

#[cfg(test)]
mod examples;
