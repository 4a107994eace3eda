//! careen's own services: one-node jobs.

use super::given;
use crate::names;
use careen_planner::spec::{RebootPolicy, UnlockKey};
use careen_planner::{AgentSpec, GivenFile, JobKey, NodeId, Spec};
use serde_json::{Value, json};

/// The agent of every payload's image.
const PROGRAM: &str = "/careen-agent";

/// What the agent finds the unlock key under.
const UNLOCK_KEY: &str = "unlock-key";

/// How long an agent may take to leave; the command on the host goes on.
const AGENT_GRACE_SECONDS: u64 = 10;

/// How long a gate may take to go. It goes at once; this is for a host under load: a gate that is killed is no part of a go.
const GATE_GRACE_SECONDS: u64 = 10;

/// The service of an agent; `None` when the node's id is none that a swarm gives.
pub fn agent(agent: &AgentSpec, spec: &Spec, epoch: u64) -> Option<Value> {
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
    given::add(&mut container, &given);
    let mut service = job(&agent.key, epoch, container);
    if let Some(on) = &agent.on {
        service["Labels"][names::ON_LABEL] = json!(on.0);
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
        names::ROLLOUT_LABEL: key.rollout.as_str(),
        names::NODE_LABEL: key.node.0,
        names::GENERATION_LABEL: key.generation.to_string(),
        names::AGENT_LABEL: key.agent.to_string(),
        names::ROLE_LABEL: names::role_word(key.role),
        names::EPOCH_LABEL: epoch.to_string(),
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
            // One that can be read back, whatever the host's default is.
            "LogDriver": { "Name": "json-file", "Options": { "max-size": "10m", "max-file": "2" } },
        },
        "Mode": { "ReplicatedJob": { "MaxConcurrent": 1, "TotalCompletions": 1 } },
    })
}

/// What the controller tells the agent. The agent's side is `crates/agent`.
fn environment(agent: &AgentSpec, spec: &Spec) -> Option<Vec<String>> {
    // careen's own behind the operator's: of two the last one counts.
    let mut environment = spec.given.environment.clone();
    environment.extend([
        format!("CAREEN_TRANSACTION={}", agent.key.transaction()?),
        format!("CAREEN_RUN={}", agent.rollout),
        format!("CAREEN_GENERATION={}", agent.key.generation),
        format!("CAREEN_AGENT={}", agent.key.agent),
        format!("CAREEN_GATE={}-gate", agent.key.name()),
        format!("CAREEN_GATES={}", agent.key.gates(agent.collects).count()),
        format!("CAREEN_REBOOT={}", reboot_word(agent.reboot)),
        format!("CAREEN_ENGINE_RESTART={}", if agent.engine_restart { "auto" } else { "never" }),
    ]);
    if agent.collects {
        environment.push("CAREEN_COLLECT=1".to_owned());
    }
    if let Some(payload) = &agent.payload {
        environment.push(format!("CAREEN_PAYLOAD={payload}"));
    }
    if agent.rollback {
        environment.push("CAREEN_ROLLBACK=1".to_owned());
    }
    if spec.allow_quorum_loss {
        environment.push("CAREEN_QUORUM_LOSS=allowed".to_owned());
    }
    if spec.respect_inhibitors {
        environment.push("CAREEN_INHIBITORS=respect".to_owned());
    }
    if agent.allow_unfit {
        environment.push("CAREEN_PREFLIGHT=warn".to_owned());
    }
    if agent.unlock_by_hand {
        environment.push("CAREEN_UNLOCK=by-hand".to_owned());
    }
    if let Some(limit) = agent.time_limit {
        environment.push(format!("CAREEN_TIMEOUT={}s", limit.as_secs().max(1)));
    }
    Some(environment)
}

const fn reboot_word(policy: RebootPolicy) -> &'static str {
    match policy {
        RebootPolicy::Never => "never",
        RebootPolicy::Asked => "asked",
        RebootPolicy::Auto => "wanted",
        RebootPolicy::Always => "always",
    }
}

/// A job's spec with a new iteration that fits nowhere and wants no task: the containers of the one before go away, also
/// on a drained node, and nothing is left that waits for a place.
///
/// With the constraint alone a task of the new iteration stays pending, and lies in the store for good when an engine
/// before 23.0.2 removes the service.
pub fn stopped(spec: &Value) -> Value {
    let mut spec = spec.clone();
    let force = spec.pointer("/TaskTemplate/ForceUpdate").and_then(Value::as_u64).unwrap_or(0);
    spec["TaskTemplate"]["ForceUpdate"] = (force + 1).into();
    spec["Mode"]["ReplicatedJob"]["TotalCompletions"] = 0.into();
    constrain(&mut spec, |constraint| constraint != names::NOWHERE, names::NOWHERE);
    spec
}

/// A controller's service that must not be on this node.
pub fn away_from(spec: &Value, node: &NodeId) -> Value {
    let mut spec = spec.clone();
    // Where it had to leave before, it may be again.
    constrain(&mut spec, |one| !one.starts_with("node.id!="), &format!("node.id!={node}"));
    spec
}

fn constrain(spec: &mut Value, keep: impl Fn(&str) -> bool, add: &str) {
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
    use std::time::Duration;

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
        let service = agent(spec, rollout, 7).unwrap();
        let env = service.pointer("/TaskTemplate/ContainerSpec/Env").unwrap().as_array().unwrap();
        env.iter().map(|one| one.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn an_agent_is_told_what_the_contract_says() {
        let name = "careen-k3x9-npmbrblb0k9i5q2wq3ygvfls8-g1-a2";
        let expected = [
            "CAREEN_TRANSACTION=k3x9-npmbrblb0k9i5q2wq3ygvfls8-g1".to_owned(),
            "CAREEN_RUN=k3x9".to_owned(),
            "CAREEN_GENERATION=1".to_owned(),
            "CAREEN_AGENT=2".to_owned(),
            format!("CAREEN_GATE={name}-gate"),
            "CAREEN_GATES=6".to_owned(),
            "CAREEN_REBOOT=wanted".to_owned(),
            "CAREEN_ENGINE_RESTART=auto".to_owned(),
        ];
        assert_eq!(env(&agent_spec(), &rollout()), expected);
        let time_limit = Some(Duration::from_secs(3600));
        let (reboot, engine_restart) = (RebootPolicy::Always, false);
        let spec =
            AgentSpec { collects: true, rollback: true, engine_restart, reboot, time_limit, ..agent_spec() };
        let spec = AgentSpec { payload: Some("/upgrade".into()), ..spec };
        let mut rollout = rollout();
        rollout.allow_quorum_loss = true;
        rollout.respect_inhibitors = true;
        rollout.given.environment = vec!["GREETING=hello".to_owned()];
        let env = env(&spec, &rollout);
        assert_eq!(env[0], "GREETING=hello", "careen's own come behind: of two the last one counts");
        for one in [
            "CAREEN_COLLECT=1",
            "CAREEN_GATES=4",
            "CAREEN_PAYLOAD=/upgrade",
            "CAREEN_ROLLBACK=1",
            "CAREEN_QUORUM_LOSS=allowed",
            "CAREEN_INHIBITORS=respect",
            "CAREEN_TIMEOUT=3600s",
            "CAREEN_REBOOT=always",
            "CAREEN_ENGINE_RESTART=never",
        ] {
            assert!(env.iter().any(|found| found == one), "{one} is not in {env:?}");
        }
    }

    #[test]
    fn an_agent_that_asks_elsewhere_is_placed_there_and_read_back_so() {
        let on = NodeId("x2mbrblb0k9i5q2wq3ygvfls9".into());
        let spec = AgentSpec { on: Some(on.clone()), collects: true, ..agent_spec() };
        let service = agent(&spec, &rollout(), 7).unwrap();
        let placed = service.pointer("/TaskTemplate/Placement/Constraints").unwrap();
        assert_eq!(*placed, json!([format!("node.id=={on}")]));
        let read = decode::job_service(&json!({ "ID": "s1", "Version": { "Index": 3 }, "Spec": service }));
        let read = read.unwrap().unwrap();
        assert_eq!((&read.key, read.place(), read.on.as_ref()), (&spec.key, &on, Some(&on)));
        assert!(env(&spec, &rollout()).contains(&"CAREEN_COLLECT=1".to_owned()));
    }

    #[test]
    fn gates_are_called_as_their_agent_looks_for_them() {
        let names: Vec<String> = key(JobRole::Agent).gates(false).map(|gate| gate.name()).collect();
        assert_eq!(names.len(), 6);
        let told = env(&agent_spec(), &rollout());
        let prefix = told.iter().find_map(|one| one.strip_prefix("CAREEN_GATE=")).unwrap();
        assert_eq!((names[0].clone(), names[5].clone()), (format!("{prefix}1"), format!("{prefix}6")));
    }

    #[test]
    fn the_unlock_key_is_a_secret_and_nothing_else() {
        let secret = UnlockKey { id: "abc".into(), name: "careen.unlock-key.k3x9".into() };
        let spec =
            AgentSpec { unlock_key: Some(secret), unlock_by_hand: true, allow_unfit: true, ..agent_spec() };
        let service = agent(&spec, &rollout(), 7).unwrap();
        let secret = service.pointer("/TaskTemplate/ContainerSpec/Secrets/0").unwrap();
        assert_eq!((&secret["SecretID"], &secret["File"]["Name"]), (&json!("abc"), &json!("unlock-key")));
        let env = env(&spec, &rollout());
        assert!(
            env.contains(&"CAREEN_UNLOCK=by-hand".to_owned())
                && env.contains(&"CAREEN_PREFLIGHT=warn".to_owned())
        );
        let without = agent(&agent_spec(), &rollout(), 7).unwrap();
        assert_eq!(without.pointer("/TaskTemplate/ContainerSpec/Secrets"), None);
        let mut given = rollout();
        let (id, name, target) = ("db".to_owned(), "db".to_owned(), "db".to_owned());
        let (uid, gid, mode) = ("0".to_owned(), "0".to_owned(), 0o444);
        given.given.secrets = vec![GivenFile { id, name, target, uid, gid, mode }];
        let both = agent(&spec, &given, 7).unwrap();
        let both = both.pointer("/TaskTemplate/ContainerSpec/Secrets").unwrap().as_array().unwrap().clone();
        let names: Vec<_> = both.iter().map(|one| one["File"]["Name"].as_str().unwrap()).collect();
        assert_eq!(names, ["db", "unlock-key"], "beside the operator's own");
    }

    #[test]
    fn what_is_created_is_found_again() {
        let services = [
            agent(&agent_spec(), &rollout(), 7).unwrap(),
            gate(&key(JobRole::Gate(1)), "update@sha256:1", 7),
            gate(&key(JobRole::Gate(6)), "update@sha256:1", 7),
        ];
        for (spec, role) in services.iter().zip([JobRole::Agent, JobRole::Gate(1), JobRole::Gate(6)]) {
            let stored = |spec| json!({ "ID": "s", "Version": { "Index": 9 }, "Spec": spec });
            let job = decode::job_service(&stored(spec.clone())).unwrap().unwrap();
            assert_eq!((job.key, job.stopped), (key(role), false));
            let job = decode::job_service(&stored(stopped(spec))).unwrap().unwrap();
            assert!(job.stopped);
        }
        let mounts = "/TaskTemplate/ContainerSpec/Mounts";
        assert!(services[0].pointer(mounts).is_some() && services[1].pointer(mounts).is_none());
    }

    #[test]
    fn a_stop_is_a_new_iteration_without_tasks_and_changes_nothing_else() {
        let spec = agent(&agent_spec(), &rollout(), 7).unwrap();
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
