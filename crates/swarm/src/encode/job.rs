//! careen's own services: one-node jobs.

use super::given;
use crate::names;
use careen_contract::label;
use careen_contract::object::{TICKET_FILE, UNLOCK_KEY};
use careen_contract::settings::{EngineRestarts, Reboot, RolloutPart, Settings};
use careen_contract::variable;
use careen_planner::spec::{RebootPolicy, UnlockKey};
use careen_planner::{AgentSpec, GivenFile, JobKey, NodeId, Spec};
use serde_json::{Value, json};
use std::time::Duration;

/// The agent of every payload's image.
pub(super) const PROGRAM: &str = "/careen-agent";

/// How long an agent may take to leave; the command on the host goes on.
const AGENT_GRACE_SECONDS: u64 = 10;

/// How long a gate may take to go. It goes at once; this is for a host under load: a gate that is killed is no part of a go.
const GATE_GRACE_SECONDS: u64 = 10;

/// The service of an agent; `None` when the node's id is none that a swarm gives. `ticket` is the id of its ticket, where it needs
/// one.
pub fn agent(agent: &AgentSpec, spec: &Spec, ticket: Option<&str>, epoch: u64) -> Option<Value> {
    let words: Vec<&String> = std::iter::once(&agent.command).chain(&agent.args).collect();
    let mut container = json!({
        "Image": agent.image,
        "Command": [PROGRAM, "run"],
        "Args": words,
        "Env": environment(agent, spec)?,
        "Mounts": [{ "Type": "bind", "Source": "/", "Target": "/host" }],
        "StopGracePeriod": AGENT_GRACE_SECONDS * 1_000_000_000,
    });
    let mut given = spec.given.clone();
    given.secrets.extend(agent.unlock_key.as_ref().map(unlock_key));
    given.configs.extend(ticket.map(|id| self::ticket(id, &agent.key)));
    given::add(&mut container, &given);
    let mut service = job(&agent.key, epoch, container);
    if let Some(on) = &agent.on {
        service["Labels"][label::ON] = json!(on.0);
        service["TaskTemplate"]["Placement"]["Constraints"] = json!([format!("node.id=={on}")]);
    }
    Some(service)
}

/// The unlock key as the agent looks for it: by this name, for root alone.
fn unlock_key(secret: &UnlockKey) -> GivenFile {
    GivenFile {
        id: secret.id.clone(),
        name: secret.name.clone(),
        target: UNLOCK_KEY.to_owned(),
        uid: "0".to_owned(),
        gid: "0".to_owned(),
        mode: 0o400,
    }
}

/// A ticket: the swarm creates no service that refers to a config which is gone.
fn ticket(id: &str, agent: &JobKey) -> GivenFile {
    GivenFile {
        id: id.to_owned(),
        name: names::ticket(agent),
        target: TICKET_FILE.to_owned(),
        uid: "0".to_owned(),
        gid: "0".to_owned(),
        mode: 0o400,
    }
}

/// The service of a gate: a process that only waits, from the same image.
pub fn gate(key: &JobKey, image: &str, epoch: u64) -> Value {
    let container = json!({
        "Image": image,
        "Command": [PROGRAM, "gate"],
        "StopGracePeriod": GATE_GRACE_SECONDS * 1_000_000_000,
    });
    job(key, epoch, container)
}

/// A service that has an agent's name and fits nowhere: nobody else can take that name.
pub fn stand_in(key: &JobKey, image: &str, epoch: u64) -> Value {
    stopped(&gate(key, image, epoch))
}

fn job(key: &JobKey, epoch: u64, mut container: Value) -> Value {
    let labels = json!({
        label::ROLLOUT: key.rollout.as_str(),
        label::NODE_ID: key.node.0,
        label::GENERATION: key.generation.to_string(),
        label::AGENT: key.agent.to_string(),
        label::ROLE: names::role_word(key.role),
        label::EPOCH: epoch.to_string(),
    });
    // Whatever user the payload's image has: what works on a host is root there.
    container["User"] = "0:0".into();
    // On the container too: for whoever looks on the host, where a container's service may be gone.
    container["Labels"] = labels.clone();
    json!({
        "Name": key.name(),
        "Labels": labels,
        "TaskTemplate": {
            "ContainerSpec": container,
            "RestartPolicy": { "Condition": "none" },
            "Placement": { "Constraints": [format!("node.id=={}", key.node)] },
            "LogDriver": log_driver(),
        },
        "Mode": { "ReplicatedJob": { "MaxConcurrent": 1, "TotalCompletions": 1 } },
    })
}

/// One that can be read back, whatever the host's default is.
pub(super) fn log_driver() -> Value {
    json!({ "Name": "json-file", "Options": { "max-size": "10m", "max-file": "2" } })
}

/// What the controller tells the agent.
fn environment(agent: &AgentSpec, spec: &Spec) -> Option<Vec<String>> {
    let part = RolloutPart {
        gate: format!("{}-gate", agent.key.name()),
        gates: agent.gates,
        generation: agent.key.generation,
        agent: agent.key.agent,
        collects: agent.collects,
        rolls_back: agent.rollback,
        allows_unfit: agent.allow_unfit,
        touches_engine: spec.touches_engine,
        unlock_by_hand: agent.unlock_by_hand,
        force: spec.force,
    };
    let settings = Settings {
        run: agent.rollout.to_string(),
        transaction: Some(agent.key.transaction()?),
        payload: agent.payload.clone().unwrap_or_default(),
        reboot: reboot(agent.reboot),
        engine_restart: if agent.engine_restart { EngineRestarts::Auto } else { EngineRestarts::Never },
        allow_quorum_loss: spec.allow_quorum_loss,
        respect_inhibitors: spec.respect_inhibitors,
        timeout: agent.time_limit.map(|limit| limit.max(Duration::from_secs(1))),
        rollout: Some(part),
        ..Settings::default()
    };
    Some(told(&settings, &spec.given.environment))
}

/// The operator's variables, and what careen tells. What the operator or the image may say better is not said, and the rest is,
/// whatever an image has of it.
pub(super) fn told(settings: &Settings, operators: &[String]) -> Vec<String> {
    let mut told = settings.variables();
    told.retain(|(name, value)| !variable::OPERATORS.contains(name) && !value.is_empty());
    // careen's own behind the operator's: of two the last one counts.
    let own = told.into_iter().map(|(name, value)| format!("{name}={value}"));
    operators.iter().cloned().chain(own).collect()
}

const fn reboot(policy: RebootPolicy) -> Reboot {
    match policy {
        RebootPolicy::Never => Reboot::Never,
        RebootPolicy::Asked => Reboot::Asked,
        RebootPolicy::Auto => Reboot::Wanted,
        RebootPolicy::Always => Reboot::Always,
    }
}

/// A job's spec with a new iteration that fits nowhere and wants no task: the containers of the one before go away, also
/// on a drained node, and nothing is left that waits for a place.
///
/// With the constraint alone a task of the new iteration stays pending, and lies in the store for good when an engine
/// before 23.0.2 removes the service.
pub fn stopped(spec: &Value) -> Value {
    let mut spec = renewed(spec);
    spec["Mode"]["ReplicatedJob"]["TotalCompletions"] = 0.into();
    constrain(&mut spec, |constraint| constraint != names::NOWHERE, names::NOWHERE);
    spec
}

/// A job's spec with a new iteration.
pub(super) fn renewed(spec: &Value) -> Value {
    let mut spec = spec.clone();
    let force = spec.pointer("/TaskTemplate/ForceUpdate").and_then(Value::as_u64).unwrap_or(0);
    spec["TaskTemplate"]["ForceUpdate"] = (force + 1).into();
    spec
}

/// A controller's service that must not be on this node.
pub fn away_from(spec: &Value, node: &NodeId) -> Value {
    let mut spec = spec.clone();
    // Where it had to leave before, it may be again.
    constrain(&mut spec, |one| !one.starts_with("node.id!="), &format!("node.id!={node}"));
    spec
}

pub(super) fn constrain(spec: &mut Value, keep: impl Fn(&str) -> bool, add: &str) {
    let found = spec.pointer("/TaskTemplate/Placement/Constraints").and_then(Value::as_array);
    let mut all: Vec<Value> = found.cloned().unwrap_or_default();
    all.retain(|one| one.as_str().is_none_or(&keep));
    all.push(add.into());
    if !spec["TaskTemplate"]["Placement"].is_object() {
        spec["TaskTemplate"]["Placement"] = json!({});
    }
    spec["TaskTemplate"]["Placement"]["Constraints"] = all.into();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode;
    use careen_planner::{JobRole, RolloutId};

    fn key(role: JobRole) -> JobKey {
        let (rollout, node) = (RolloutId::parse("k3x9").unwrap(), NodeId("npmbrblb0k9i5q2wq3ygvfls8".into()));
        JobKey { rollout, node, generation: 1, agent: 2, role }
    }

    fn agent_spec() -> AgentSpec {
        AgentSpec {
            on: None,
            key: key(JobRole::Agent),
            rollout: key(JobRole::Agent).rollout,
            image: "update@sha256:1".into(),
            payload: None,
            command: "install".into(),
            args: vec!["--now".into(), "a b".into()],
            short: false,
            gates: careen_planner::ids::GATES,
            collects: false,
            reboot: RebootPolicy::Auto,
            engine_restart: true,
            rollback: false,
            time_limit: None,
            unlock_key: None,
            unlock_by_hand: false,
            allow_unfit: false,
        }
    }

    fn rollout() -> Spec {
        Spec::run(agent_spec().rollout, "update@sha256:1")
    }

    fn env(spec: &AgentSpec, rollout: &Spec) -> Vec<String> {
        let service = agent(spec, rollout, None, 7).unwrap();
        let env = service.pointer("/TaskTemplate/ContainerSpec/Env").unwrap().as_array().unwrap();
        env.iter().map(|one| one.as_str().unwrap().to_owned()).collect()
    }

    fn read(spec: &AgentSpec, rollout: &Spec) -> Settings {
        let told = env(spec, rollout);
        let pair =
            |one: &String| one.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        Settings::from_env(&told.iter().filter_map(pair).collect()).unwrap()
    }

    #[test]
    fn an_agent_reads_what_its_rollout_says() {
        let part = RolloutPart {
            gate: "careen-k3x9-npmbrblb0k9i5q2wq3ygvfls8-g1-a2-gate".to_owned(),
            gates: 6,
            generation: 1,
            agent: 2,
            collects: false,
            rolls_back: false,
            allows_unfit: false,
            touches_engine: true,
            unlock_by_hand: false,
            force: false,
        };
        let plain = Settings {
            run: "k3x9".to_owned(),
            transaction: key(JobRole::Agent).transaction(),
            reboot: Reboot::Wanted,
            rollout: Some(part.clone()),
            ..Settings::default()
        };
        assert_eq!(read(&agent_spec(), &rollout()), plain);
        let spec = AgentSpec {
            collects: true,
            gates: careen_planner::ids::FEW_GATES,
            rollback: true,
            engine_restart: false,
            reboot: RebootPolicy::Always,
            time_limit: Some(Duration::from_secs(3600)),
            payload: Some("/upgrade".into()),
            allow_unfit: true,
            unlock_by_hand: true,
            ..agent_spec()
        };
        let mut rollout = rollout();
        rollout.allow_quorum_loss = true;
        rollout.respect_inhibitors = true;
        rollout.force = true;
        rollout.given.environment = vec!["GREETING=hello".to_owned(), "CAREEN_IDEMPOTENT=1".to_owned()];
        let expected = Settings {
            payload: "/upgrade".to_owned(),
            timeout: Some(Duration::from_secs(3600)),
            reboot: Reboot::Always,
            engine_restart: EngineRestarts::Never,
            idempotent: true,
            allow_quorum_loss: true,
            respect_inhibitors: true,
            rollout: Some(RolloutPart {
                gates: 4,
                collects: true,
                rolls_back: true,
                allows_unfit: true,
                unlock_by_hand: true,
                force: true,
                ..part
            }),
            ..plain
        };
        assert_eq!(read(&spec, &rollout), expected);
        let first = &env(&spec, &rollout)[0];
        assert_eq!(first, "GREETING=hello", "careen's own come behind: of two the last one counts");
    }

    #[test]
    fn what_only_an_operator_may_say_is_not_said_and_what_a_rollout_decides_is() {
        let told = env(&agent_spec(), &rollout());
        let names: Vec<&str> = told.iter().filter_map(|one| Some(one.split_once('=')?.0)).collect();
        for name in variable::OPERATORS.iter().chain([&variable::PAYLOAD, &variable::TIMEOUT]) {
            assert!(!names.contains(name), "{name} is the operator's or the image's");
        }
        for name in [variable::PREFLIGHT, variable::QUORUM_LOSS, variable::COLLECT, variable::REBOOT] {
            assert!(names.contains(&name), "{name} of an image would count");
        }
    }

    #[test]
    fn an_agent_that_asks_elsewhere_is_placed_there_and_read_back_so() {
        let on = NodeId("x2mbrblb0k9i5q2wq3ygvfls9".into());
        let spec = AgentSpec { on: Some(on.clone()), collects: true, ..agent_spec() };
        let service = agent(&spec, &rollout(), None, 7).unwrap();
        let placed = service.pointer("/TaskTemplate/Placement/Constraints").unwrap();
        assert_eq!(*placed, json!([format!("node.id=={on}")]));
        let found = decode::job_service(&decode::json(
            &json!({ "ID": "s1", "Version": { "Index": 3 }, "Spec": service }),
        ));
        let found = found.unwrap().unwrap();
        assert_eq!((&found.key, found.place(), found.on.as_ref()), (&spec.key, &on, Some(&on)));
        assert!(read(&spec, &rollout()).rollout.unwrap().collects);
    }

    #[test]
    fn gates_are_called_as_their_agent_looks_for_them() {
        let names: Vec<String> =
            key(JobRole::Agent).gates(careen_planner::ids::GATES).map(|gate| gate.name()).collect();
        assert_eq!(names.len(), 6);
        let prefix = read(&agent_spec(), &rollout()).rollout.unwrap().gate;
        assert_eq!((names[0].clone(), names[5].clone()), (format!("{prefix}1"), format!("{prefix}6")));
    }

    #[test]
    fn the_unlock_key_is_a_secret_and_nothing_else() {
        let secret = UnlockKey { id: "abc".into(), name: "careen.unlock-key.k3x9".into() };
        let spec = AgentSpec { unlock_key: Some(secret), ..agent_spec() };
        let service = agent(&spec, &rollout(), None, 7).unwrap();
        let secret = service.pointer("/TaskTemplate/ContainerSpec/Secrets/0").unwrap();
        assert_eq!((&secret["SecretID"], &secret["File"]["Name"]), (&json!("abc"), &json!("unlock-key")));
        let without = agent(&agent_spec(), &rollout(), None, 7).unwrap();
        assert_eq!(without.pointer("/TaskTemplate/ContainerSpec/Secrets"), None);
        let mut given = rollout();
        let (id, name, target) = ("db".to_owned(), "db".to_owned(), "db".to_owned());
        let (uid, gid, mode) = ("0".to_owned(), "0".to_owned(), 0o444);
        given.given.secrets = vec![GivenFile { id, name, target, uid, gid, mode }];
        let both = agent(&spec, &given, None, 7).unwrap();
        let both = both.pointer("/TaskTemplate/ContainerSpec/Secrets").unwrap().as_array().unwrap().clone();
        let names: Vec<_> = both.iter().map(|one| one["File"]["Name"].as_str().unwrap()).collect();
        assert_eq!(names, ["db", "unlock-key"], "beside the operator's own");
    }

    #[test]
    fn what_is_created_is_found_again() {
        let services = [
            agent(&agent_spec(), &rollout(), None, 7).unwrap(),
            gate(&key(JobRole::Gate(1)), "update@sha256:1", 7),
            gate(&key(JobRole::Gate(6)), "update@sha256:1", 7),
        ];
        for (spec, role) in services.iter().zip([JobRole::Agent, JobRole::Gate(1), JobRole::Gate(6)]) {
            let stored = |spec| json!({ "ID": "s", "Version": { "Index": 9 }, "Spec": spec });
            let job = decode::job_service(&decode::json(&stored(spec.clone()))).unwrap().unwrap();
            assert_eq!((job.key, job.stopped), (key(role), false));
            let job = decode::job_service(&decode::json(&stored(stopped(spec)))).unwrap().unwrap();
            assert!(job.stopped);
        }
        let mounts = "/TaskTemplate/ContainerSpec/Mounts";
        assert!(services[0].pointer(mounts).is_some() && services[1].pointer(mounts).is_none());
    }

    #[test]
    fn a_stop_is_a_new_iteration_without_tasks_and_changes_nothing_else() {
        let spec = agent(&agent_spec(), &rollout(), None, 7).unwrap();
        let once = stopped(&spec);
        assert_eq!(once["TaskTemplate"]["ForceUpdate"], 1);
        assert_eq!(once["Mode"]["ReplicatedJob"]["TotalCompletions"], 0);
        let constraints = ["node.id==npmbrblb0k9i5q2wq3ygvfls8", names::NOWHERE];
        assert_eq!(once["TaskTemplate"]["Placement"]["Constraints"], json!(constraints));
        assert_eq!(once["TaskTemplate"]["ContainerSpec"], spec["TaskTemplate"]["ContainerSpec"]);
        let twice = stopped(&once);
        assert_eq!(twice["TaskTemplate"]["ForceUpdate"], 2);
        assert_eq!(twice["TaskTemplate"]["Placement"]["Constraints"], json!(constraints));
    }

    #[test]
    fn a_controller_may_come_back_to_where_it_left_before() {
        let spec = json!({ "TaskTemplate": { "Placement": { "Constraints": ["node.role==manager"] } }, "Name": "c" });
        let first = away_from(&spec, &NodeId("m1".into()));
        let second = away_from(&first, &NodeId("m2".into()));
        let constraints = &second["TaskTemplate"]["Placement"]["Constraints"];
        assert_eq!(*constraints, json!(["node.role==manager", "node.id!=m2"]));
        let bare = away_from(&json!({ "TaskTemplate": {} }), &NodeId("m1".into()));
        assert_eq!(bare["TaskTemplate"]["Placement"]["Constraints"], json!(["node.id!=m1"]));
    }
}
