//! One of each kind of failure, for the screen that shows them all.

use super::Failure;
use crate::backend::BackendError;
use crate::carried::NotLoaded;
use crate::connect::{NoManager, UnusableHost};
use crate::credential_helper::HelperFailed;
use crate::delivery::Undeliverable;
use crate::docker_config::Unreadable;
use crate::docker_context::UnusableContext;
use crate::enforcement::SecondPayload;
use crate::file::wrong::{Place, UnusableFile, Wrong};
use crate::given::{InvalidGiven, InvalidVariable};
use crate::host::Host;
use crate::known::NotRemembered;
use crate::registry::CredentialsError;
use crate::target::{InvalidTarget, NotPushed};
use crate::transport::{InvalidCertificates, SshFailure, TlsFailure};
use careen_engine::EngineError;
use careen_planner::enforcement::{CannotEnforce, Damage, FoundConfig, check_name, may_start};
use careen_planner::plan::PlanRefusal;
use careen_planner::remains::CannotRestore;
use careen_planner::state::CorruptRecord;
use careen_planner::testing::enforcement;
use careen_planner::uninstall::CannotUninstall;
use careen_planner::updatable::CannotUpdate;
use careen_planner::{EnforcementState, FoundEnforcement, NodeId, RolloutId};
use careen_swarm::GivenKind;
use careen_upgrade::options::InvalidOptions;
use std::io::{Error, ErrorKind};

/// How many kinds there are; a new one has to be given a number, and an example.
const KINDS: usize = 52;

/// Which kind of failure one is.
const fn kind(failure: &Failure) -> usize {
    match failure {
        Failure::Backend(_) => 0,
        Failure::Host(_) => 1,
        Failure::Refused => 2,
        Failure::Undeliverable(_) => 3,
        Failure::Given(_) => 4,
        Failure::NoSuchGiven { .. } => 5,
        Failure::NoCredentials { .. } => 6,
        Failure::NotPushed { .. } => 7,
        Failure::NoController { .. } => 8,
        Failure::ControllerFails { .. } => 9,
        Failure::NobodyToAsk => 10,
        Failure::NobodyToAskAboutThat => 11,
        Failure::NotGivenBack => 12,
        Failure::CannotRestore { .. } => 13,
        Failure::StillThere { .. } => 14,
        Failure::NoNode { .. } => 15,
        Failure::NoKeyFile { .. } => 16,
        Failure::EmptyKey => 17,
        Failure::Declined => 18,
        Failure::NamesNoNode { .. } => 19,
        Failure::NoRollout => 20,
        Failure::RolloutRemoved { .. } => 21,
        Failure::NoSuchNode { .. } => 22,
        Failure::Ambiguous { .. } => 23,
        Failure::NotFailed { .. } => 24,
        Failure::NotThere { .. } => 25,
        Failure::CannotSkip { .. } => 26,
        Failure::Upgrade(_) => 27,
        Failure::NoOwnImage { .. } => 28,
        Failure::Pass(_) => 29,
        Failure::Output(_) => 30,
        Failure::Json(_) => 31,
        Failure::NobodyToAskAboutNodes => 32,
        Failure::NoQuestion { .. } => 33,
        Failure::CannotAsk { .. } => 34,
        Failure::NotRemembered(_) => 35,
        Failure::NotLoaded { .. } => 36,
        Failure::CannotUninstall { .. } => 37,
        Failure::File(_) => 38,
        Failure::UpdateUnderWay { .. } => 39,
        Failure::NoCheck { .. } => 40,
        Failure::NothingToTry { .. } => 41,
        Failure::CannotTry { .. } => 42,
        Failure::NobodyToAskAboutTry { .. } => 43,
        Failure::TryUnheard { .. } => 44,
        Failure::NotTried { .. } => 45,
        Failure::NobodyToAskAboutEnforcement => 46,
        Failure::UnfitPayload { .. } => 47,
        Failure::TwoPayloads(_) => 48,
        Failure::NoEnforcement { .. } => 49,
        Failure::DamagedEnforcement { .. } => 50,
        Failure::CannotUpdate(_) => 51,
    }
}

fn rollout() -> RolloutId {
    RolloutId::parse("k3x9").unwrap()
}

fn node(name: &str) -> NodeId {
    NodeId(name.to_owned())
}

fn of_swarm() -> Vec<Failure> {
    let image = "registry.example/update".to_owned();
    let why = "this engine: no such image".to_owned();
    let backend = [
        BackendError::OtherRollout { rollout: rollout() },
        BackendError::Over { rollout: rollout() },
        BackendError::NoImage { image, why },
        BackendError::Credentials(CredentialsError::File {
            path: "/root/.docker/config.json".into(),
            source: Unreadable::NoJson,
        }),
        BackendError::Credentials(CredentialsError::Helper {
            helper: "pass".to_owned(),
            registry: "registry.example".to_owned(),
            source: HelperFailed::Missing,
        }),
        BackendError::Changed,
        BackendError::Refused { why: "invalid name".to_owned() },
        BackendError::Corrupt { object: "the config careen.lock".to_owned(), why: "no epoch".to_owned() },
        BackendError::Unclear { why: "it did not answer in time".to_owned() },
    ];
    let name = || "m1".to_owned();
    let at = |at: &str| at.to_owned();
    let said = || "Host key verification failed.".to_owned();
    let managers = [
        NoManager::NoEngine { at: at("/run/docker.sock") },
        NoManager::Denied { at: at("/run/docker.sock") },
        NoManager::Tls {
            at: at("tcp://m1:2376"),
            why: TlsFailure::Expired { when: Some("2026-11-01T00:00:00Z".to_owned()) },
        },
        NoManager::WantsTls { at: at("tcp://m1:2376") },
        NoManager::Ssh { at: at("ssh://root@m1"), why: SshFailure::HostKey { said: said() } },
        NoManager::NoneOf {
            tried: vec![NoManager::NoEngine { at: at("tcp://m1:2375") }, NoManager::Worker { name: name() }],
        },
        NoManager::OtherSwarm { at: name() },
        NoManager::NoAnswer { why: "it did not answer in time".to_owned() },
        NoManager::NoSwarm { name: name() },
        NoManager::Worker { name: name() },
        NoManager::Locked { name: name() },
        NoManager::SwarmError { name: name(), why: "x509: certificate has expired".to_owned() },
        NoManager::Joining { name: name() },
        NoManager::UnknownState { name: name(), state: "resting".to_owned() },
        NoManager::NoLeader { name: name() },
    ];
    managers.map(Failure::from).into_iter().chain(backend.map(Failure::from)).collect()
}

fn not_pushed(source: NotPushed) -> Failure {
    Failure::NotPushed { image: "update".to_owned(), source }
}

fn of_file(why: Wrong) -> Failure {
    let located = why.at(Place { line: 4, column: 5 });
    UnusableFile::At { path: "hosts.yaml".into(), located }.into()
}

fn of_files() -> Vec<Failure> {
    let key = || "imagee".to_owned();
    vec![
        UnusableFile::Unreadable { path: "hosts.yaml".into(), source: Error::from(ErrorKind::NotFound) }
            .into(),
        UnusableFile::NoPayload { path: "hosts.yaml".into() }.into(),
        of_file(Wrong::Unknown { key: key(), near: Some("image".to_owned()), known: Vec::new() }),
        of_file(Wrong::Twice { key: key(), first: Place { line: 1, column: 1 } }),
        of_file(Wrong::Type { key: "image".to_owned(), wanted: "a text or a number", found: "a list" }),
        of_file(Wrong::Tab),
        of_file(Wrong::TooMuch { most: 10_000 }),
        of_file(Wrong::Variable { key: "image".to_owned() }),
    ]
}

fn unusable(why: impl Into<UnusableHost>) -> Failure {
    let why: UnusableHost = why.into();
    why.into()
}

fn of_enforcements() -> Vec<Failure> {
    let mut wide = enforcement();
    wide.owns.push("etc/motd".to_owned());
    let taken = FoundEnforcement {
        name: "motd".to_owned(),
        version: "11111111".to_owned(),
        config: FoundConfig::There { spec: Box::new(enforcement()), state: EnforcementState::Running {} },
        service: None,
    };
    let why = || "its format is '2'".to_owned();
    let (name, version) = (|| "sysctl".to_owned(), || "0a1b2c3d".to_owned());
    let causes = [
        check_name("My Payload").unwrap_err(),
        CannotEnforce::TooOften,
        CannotEnforce::TooMany { count: 300 },
        wide.check().unwrap_err(),
        may_start(&[taken], &enforcement()).unwrap_err(),
        CannotEnforce::Constraint { constraint: "zone".to_owned() },
        CannotEnforce::OtherVersion { name: name(), runs: version() },
        CannotEnforce::Paused { name: name() },
        CannotEnforce::Updating { name: name(), rollout: rollout() },
        CannotEnforce::NoConfig { name: name(), version: version() },
        CannotEnforce::Unreadable { name: name(), version: version(), why: why() },
    ];
    let lacks = PlanRefusal::ImageLacks { image: "app".to_owned(), files: vec!["/install/check".to_owned()] };
    let others = [
        Failure::NobodyToAskAboutEnforcement,
        Failure::UnfitPayload { why: Box::new(lacks) },
        SecondPayload("./motd".to_owned()).into(),
        Failure::NoEnforcement { given: name() },
        Failure::DamagedEnforcement { name: name(), damage: Damage::NoService },
        Failure::DamagedEnforcement { name: name(), damage: Damage::NoConfig },
        Failure::DamagedEnforcement { name: name(), damage: Damage::Unreadable { why: why() } },
    ];
    let updates = [
        CannotUpdate::Unknown { name: name() },
        CannotUpdate::Paused { name: name() },
        CannotUpdate::Damaged { name: name(), version: version() },
        CannotUpdate::Several { name: name(), versions: vec![version(), "11112222".to_owned()] },
        CannotUpdate::HalfWay { name: name(), to: "11112222".to_owned() },
        CannotUpdate::GoesOn { name: name(), rollout: rollout() },
        CannotUpdate::NoPayload { name: name() },
    ];
    let others = others.into_iter().chain(updates.map(Failure::from));
    causes.into_iter().map(|why| BackendError::CannotEnforce(why).into()).chain(others).collect()
}

fn of_calls() -> Vec<Failure> {
    let missing = || Error::from(ErrorKind::NotFound);
    let given = || "w9".to_owned();
    vec![
        unusable(Host::parse("npipe:////./pipe/docker_engine").unwrap_err()),
        unusable(Host::parse("ssh://root:secret@m1").unwrap_err()),
        unusable(UnusableContext::Conflict),
        unusable(UnusableContext::Missing {
            name: "far".to_owned(),
            directory: "/root/.docker/contexts".into(),
            known: vec!["lab".to_owned(), "prod".to_owned()],
        }),
        unusable(UnusableContext::Config {
            path: "/root/.docker/config.json".into(),
            source: Unreadable::NoJson.into(),
        }),
        unusable(UnusableHost::Certificates {
            host: "tcp://m1:2376".to_owned(),
            source: InvalidCertificates::NoKey { path: "/root/.docker/key.pem".into() },
        }),
        unusable(UnusableHost::DockerFlag { flag: "--tlscacert".to_owned() }),
        Undeliverable::Unreadable { path: "fix.sh".into(), source: missing() }.into(),
        Undeliverable::Command { command: "install".to_owned(), why: "is not there".to_owned() }.into(),
        InvalidGiven::from(InvalidVariable::NoValue { name: "A".to_owned() }).into(),
        InvalidGiven::Unreadable { path: "hosts.env".into(), source: missing() }.into(),
        Failure::NoSuchGiven { kind: GivenKind::Secret, name: "db".to_owned() },
        Failure::NoCredentials { registry: "registry.example".to_owned() },
        not_pushed(InvalidTarget::ByDigest.into()),
        not_pushed(NotPushed::NoLogin { why: Box::new(NotPushed::Refused { message: "denied".to_owned() }) }),
        Failure::NobodyToAsk,
        Failure::NobodyToAskAboutThat,
        Failure::NobodyToAskAboutNodes,
        Failure::NoQuestion { command: "install".to_owned() },
        Failure::CannotAsk { why: Box::new(PlanRefusal::NoNodes) },
        Failure::NoNode { given: given() },
        Failure::NoKeyFile { path: "key".to_owned(), why: missing() },
        Failure::EmptyKey,
        Failure::NamesNoNode { why: "--node w2 names several nodes: a1, b2".to_owned() },
        Failure::NoSuchNode { rollout: rollout(), given: given() },
        NotRemembered::Rollout { given: "b7".to_owned() }.into(),
        NotRemembered::Several { given: "k".to_owned(), names: vec!["k3x9".to_owned(), "k7".to_owned()] }
            .into(),
        NotRemembered::NotOver { rollout: rollout() }.into(),
        NotRemembered::Node { rollout: rollout(), given: given() }.into(),
        Failure::Ambiguous {
            given: "w2".to_owned(),
            nodes: vec!["w2 (a1)".to_owned(), "w2 (b2)".to_owned()],
        },
        Failure::NotFailed { node: "w1".to_owned(), state: "done".to_owned() },
        Failure::NotThere { node: "w1".to_owned(), id: node("a1") },
        Failure::CannotSkip { node: "w1".to_owned(), state: "done".to_owned() },
        InvalidOptions::Engine("docker.io".to_owned()).into(),
    ]
}

fn of_rollouts() -> Vec<Failure> {
    let source = BackendError::Changed;
    let image = "careen/installer:0.1.0".to_owned();
    let json = serde_json::from_str::<u8>("x").unwrap_err();
    let services = "careen-k3x9-w1-g1-a1".to_owned();
    vec![
        Failure::Refused,
        Failure::Declined,
        Failure::NoOwnImage { image: image.clone() },
        not_pushed(NotPushed::NotHere),
        Failure::NotLoaded { image: image.clone(), source: NotLoaded::NoneCarried },
        Failure::NotLoaded {
            image,
            source: NotLoaded::Refused { message: "no space left on device".to_owned() },
        },
        Failure::NoController { rollout: rollout(), source },
        Failure::ControllerFails { rollout: rollout(), why: "task: non-zero exit (1)".to_owned() },
        Failure::NoRollout,
        Failure::RolloutRemoved { rollout: rollout() },
        Failure::NotGivenBack,
        Failure::CannotRestore { node: "w1".to_owned(), why: CannotRestore::GoesOn { rollout: rollout() } },
        Failure::CannotRestore {
            node: "w1".to_owned(),
            why: CannotRestore::Corrupt(CorruptRecord { text: "9 later".to_owned() }),
        },
        Failure::StillThere { services },
        Failure::CannotUninstall { why: CannotUninstall::Held { nodes: vec!["w1".to_owned()] } },
        Failure::CannotUninstall { why: CannotUninstall::Unreadable { node: "w1".to_owned() } },
        Failure::CannotUninstall { why: CannotUninstall::Enforced { names: vec!["sysctl".to_owned()] } },
        Failure::CannotUninstall { why: CannotUninstall::AtWork { hosts: vec!["w1".to_owned()] } },
        Failure::UpdateUnderWay { services: "web".to_owned() },
        Failure::Pass(illegal().into()),
        Failure::Output(Error::from(ErrorKind::BrokenPipe)),
        json.into(),
    ]
}

fn of_payloads() -> Vec<Failure> {
    let (payload, image) = ("sysctl".to_owned(), "careen/installer:0.1.0".to_owned());
    let command = || "install".to_owned();
    let answer = |message: &str| EngineError::Answer {
        status: 500,
        request: "POST /containers/c/start".to_owned(),
        message: message.to_owned(),
    };
    vec![
        Failure::NoCheck { payload: payload.clone() },
        Failure::NothingToTry { payload: payload.clone(), commands: vec![command(), "verify".to_owned()] },
        Failure::CannotTry { payload, why: "is no directory".to_owned() },
        Failure::NobodyToAskAboutTry { command: command() },
        Failure::TryUnheard { command: command(), source: answer("it is shutting down") },
        Failure::NotTried { image, source: answer("invalid mount config") },
        UnusableFile::InPayload {
            path: "sysctl/careen.yaml".into(),
            located: Wrong::Unknown {
                key: "nmae".to_owned(),
                near: Some("name".to_owned()),
                known: Vec::new(),
            }
            .at(Place { line: 1, column: 1 }),
        }
        .into(),
    ]
}

fn illegal() -> careen_planner::state::IllegalStep {
    careen_planner::state::IllegalStep { state: "done", event: "retry" }
}

impl Failure {
    /// One of each kind.
    pub(crate) fn examples() -> Vec<Self> {
        let all: Vec<Self> =
            [of_swarm(), of_calls(), of_files(), of_rollouts(), of_payloads(), of_enforcements()]
                .into_iter()
                .flatten()
                .collect();
        for number in 0..KINDS {
            assert!(all.iter().any(|failure| kind(failure) == number), "kind {number} has no example");
        }
        all
    }
}
