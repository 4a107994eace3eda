//! The service of an enforcement: an agent on each host that is meant, for as long as it is enforced.

use super::given;
use super::job::{PROGRAM, log_driver, told};
use super::verify::ignored;
use crate::names;
use careen_contract::label;
use careen_contract::settings::{EngineRestarts, Reboot, Settings};
use careen_contract::standing::ENFORCE;
use careen_contract::variable;
use careen_planner::moves::without_blanks;
use careen_planner::{Enforcement, EnforcementState};
use serde_json::{Value, json};

/// How long an agent may take to leave; an `install` that runs goes on.
const GRACE_SECONDS: u64 = 10;

/// How long Swarm waits before it starts one anew that has ended.
const RESTART_SECONDS: u64 = 5;

const NANOS: u64 = 1_000_000_000;

/// What may have been changed by hand, as it is told, and where it stands in the service's spec.
const PARTS: [(&str, &[&str]); 7] = [
    ("labels", &["/Labels"]),
    ("image", &["/TaskTemplate/ContainerSpec/Image"]),
    ("command", &["/TaskTemplate/ContainerSpec/Command", "/TaskTemplate/ContainerSpec/Args"]),
    ("environment", &["/TaskTemplate/ContainerSpec/Env"]),
    ("mounts", &["/TaskTemplate/ContainerSpec/Mounts"]),
    ("configs and secrets", &["/TaskTemplate/ContainerSpec/Configs", "/TaskTemplate/ContainerSpec/Secrets"]),
    ("restart condition", &["/TaskTemplate/RestartPolicy"]),
];

/// The service.
pub fn enforcer(of: &Enforcement, state: &EnforcementState) -> Value {
    let labels = json!({
        label::ROLE: label::role::ENFORCER,
        label::ENFORCED: of.name,
        label::ENFORCED_VERSION: of.version,
        label::BY: of.by,
        // It comes back with its host, and no rollout waits for it.
        label::SETTLE: "ignore",
    });
    let mut container = json!({
        "Image": of.image,
        "Command": [PROGRAM, ENFORCE],
        "Args": of.args,
        "Env": environment(of),
        "Mounts": [{ "Type": "bind", "Source": "/", "Target": "/host" }],
        "StopGracePeriod": GRACE_SECONDS * NANOS,
        "User": "0:0",
        "Labels": labels,
    });
    given::add(&mut container, &of.given);
    json!({
        "Name": names::enforcer(&of.name, &of.version),
        "Labels": labels,
        "TaskTemplate": {
            "ContainerSpec": container,
            "RestartPolicy": { "Condition": "any", "Delay": RESTART_SECONDS * NANOS },
            "Placement": { "Constraints": of.placement(state) },
            "LogDriver": log_driver(),
        },
        "Mode": { "Global": {} },
    })
}

/// The same service placed as this state wants it. What an operator has added to its constraints stays.
pub fn placed(spec: &Value, of: &Enforcement, state: &EnforcementState) -> Value {
    let mut spec = spec.clone();
    let now = constraints(&spec);
    let wanted = of.placement(state);
    let stays = |one: &&String| !is_of_a_state(one, &of.name) && !wanted.contains(one);
    let all: Vec<String> = now.iter().filter(stays).chain(&wanted).cloned().collect();
    if !spec["TaskTemplate"]["Placement"].is_object() {
        spec["TaskTemplate"]["Placement"] = json!({});
    }
    spec["TaskTemplate"]["Placement"]["Constraints"] = json!(all);
    spec
}

/// The same service with one constraint more, or without it; all others stay as they are.
pub fn constrained(spec: &Value, constraint: &str, present: bool) -> Value {
    let mut spec = spec.clone();
    let mut all = constraints(&spec);
    all.retain(|one| without_blanks(one) != without_blanks(constraint));
    all.extend(present.then(|| constraint.to_owned()));
    if !spec["TaskTemplate"]["Placement"].is_object() {
        spec["TaskTemplate"]["Placement"] = json!({});
    }
    spec["TaskTemplate"]["Placement"]["Constraints"] = json!(all);
    spec
}

/// Whether no node fits it.
pub fn is_stopped(spec: &Value) -> bool {
    constraints(spec).iter().any(|one| one == names::NOWHERE)
}

/// What of it is not what careen made it, in words. Where it is stopped is another question.
pub fn changed(spec: &Value, of: &Enforcement, state: &EnforcementState) -> Vec<String> {
    let expected = enforcer(of, state);
    let differs = |path: &str| match (expected.pointer(path), spec.pointer(path)) {
        (Some(sent), stored) => ignored(sent, stored.unwrap_or(&Value::Null)).is_some(),
        (None, stored) => stored.is_some_and(|stored| ignored(stored, &Value::Null).is_some()),
    };
    let mut changed: Vec<String> = PARTS
        .iter()
        .filter(|(_, paths)| paths.iter().any(|path| differs(path)))
        .map(|(what, _)| (*what).to_owned())
        .collect();
    changed.extend((!spec["Mode"]["Global"].is_object()).then(|| "mode".to_owned()));
    let settled =
        |all: Vec<String>| -> Vec<String> { all.into_iter().filter(|one| one != names::NOWHERE).collect() };
    let same = |one: &[String], other: &[String]| one.iter().all(|text| other.contains(text));
    let (now, wanted) = (settled(constraints(spec)), settled(of.placement(state)));
    changed.extend((!(same(&now, &wanted) && same(&wanted, &now))).then(|| "constraints".to_owned()));
    changed
}

/// Whether a constraint is there only while an enforcement is paused or updated.
fn is_of_a_state(constraint: &str, name: &str) -> bool {
    let key = format!("node.labels.{}{name}", label::ENFORCE_VERSION_ON);
    let of_label = constraint.split(['=', '!']).next().is_some_and(|of| of.trim() == key);
    constraint == names::NOWHERE || of_label
}

/// Where Swarm may place its tasks.
pub fn constraints(spec: &Value) -> Vec<String> {
    let found = spec.pointer("/TaskTemplate/Placement/Constraints").and_then(Value::as_array);
    found.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// What the agent is told. Nothing is restarted for it: what needs that is told, and left to a rollout.
fn environment(of: &Enforcement) -> Vec<String> {
    let settings = Settings {
        payload: of.payload.clone().unwrap_or_default(),
        reboot: Reboot::Never,
        engine_restart: EngineRestarts::Never,
        ..Settings::default()
    };
    let mut told = told(&settings, &of.given.environment);
    told.extend([
        format!("{}={}", variable::ENFORCE, of.name),
        format!("{}={}", variable::ENFORCE_VERSION, of.version),
        format!("{}={}s", variable::ENFORCE_INTERVAL, of.interval.as_secs()),
        format!("{}={}", variable::ENFORCE_OWNS, json!(of.owns)),
    ]);
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode;
    use careen_planner::RolloutId;
    use careen_planner::testing::enforcement;
    use std::collections::BTreeMap;

    const RUNNING: EnforcementState = EnforcementState::Running {};

    fn paused() -> EnforcementState {
        EnforcementState::Paused { by: "me".into(), since: 1 }
    }

    fn stored(service: &Value) -> Vec<u8> {
        decode::json(&json!({ "ID": "s", "Version": { "Index": 9 }, "Spec": service }))
    }

    #[test]
    fn an_agent_reads_what_it_enforces_and_no_controller_takes_it_for_its_own() {
        let mut of = Enforcement { args: vec!["--strict".into()], ..enforcement() };
        of.given.environment = vec!["GREETING=hello".into()];
        let service = enforcer(&of, &RUNNING);
        let container = &service["TaskTemplate"]["ContainerSpec"];
        let started = json!([container["Command"], container["Args"]]);
        assert_eq!(started, json!([["/careen-agent", "enforce"], ["--strict"]]));
        let env = container["Env"].as_array().unwrap();
        let pairs = env.iter().filter_map(|one| one.as_str()?.split_once('='));
        let told: BTreeMap<String, String> =
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let settings = Settings::from_env(&told).unwrap();
        assert_eq!((settings.reboot, settings.engine_restart), (Reboot::Never, EngineRestarts::Never));
        assert!(settings.rollout.is_none() && !settings.inquires && settings.transaction.is_none());
        let said = [variable::ENFORCE, variable::ENFORCE_VERSION, variable::ENFORCE_INTERVAL, "GREETING"];
        assert_eq!(said.map(|name| told[name].as_str()), ["sysctl", "0a1b2c3d", "1800s", "hello"]);
        assert_eq!(told[variable::ENFORCE_OWNS], r#"["/etc/sysctl.d/50-app.conf"]"#);
        assert_eq!(service["Mode"], json!({ "Global": {} }));
        assert_eq!(decode::job_service(&stored(&service)).unwrap(), None, "no job of a rollout's");
        let seen = decode::service(&stored(&service)).unwrap().unwrap();
        let seen = seen.counted(&std::collections::HashMap::new());
        assert!(seen.mounts.is_empty(), "the host itself is no data that would be left behind");
        assert_eq!(seen.labels[label::SETTLE], "ignore");
    }

    #[test]
    fn pausing_changes_the_constraints_alone_and_resuming_gives_them_back() {
        let of = Enforcement { constraints: vec!["node.role==worker".into()], ..enforcement() };
        let mut service = enforcer(&of, &RUNNING);
        service["Later"] = json!({ "of": ["another", "version"] });
        let added = "node.labels.zone!=b";
        let list = service["TaskTemplate"]["Placement"]["Constraints"].as_array_mut().unwrap();
        list.insert(0, added.into());
        let stopped = placed(&service, &of, &paused());
        assert!(is_stopped(&stopped) && !is_stopped(&service));
        assert_eq!(placed(&stopped, &of, &paused()), stopped, "once is enough");
        assert_eq!(placed(&stopped, &of, &RUNNING), service, "what somebody has added stays");
        let (to, rollout) = ("ffff0000".to_owned(), RolloutId::parse("k3x9").unwrap());
        let updating = placed(&service, &of, &EnforcementState::Updating { to, rollout });
        let constraints = constraints(&updating);
        assert_eq!(constraints.last().unwrap(), "node.labels.careen.enforce.sysctl!=ffff0000");
        assert_eq!(placed(&updating, &of, &RUNNING), service);
    }

    #[test]
    fn one_constraint_comes_and_goes_and_the_rest_of_a_service_stays() {
        let of = Enforcement { constraints: vec!["node.role == worker".into()], ..enforcement() };
        let mut service = enforcer(&of, &RUNNING);
        service["Later"] = json!({ "of": ["another", "version"] });
        let constraint = "node.labels.careen.enforce.sysctl!=ffff0000";
        let more = constrained(&service, constraint, true);
        assert_eq!(constraints(&more).last().unwrap(), constraint);
        assert_eq!(constrained(&more, constraint, true), more, "once is enough");
        let typed = constrained(&service, "node.labels.careen.enforce.sysctl != ffff0000", true);
        for with in [more, typed] {
            assert_eq!(constrained(&with, constraint, false), service);
        }
        let bare = json!({ "TaskTemplate": { "Placement": null } });
        assert_eq!(constraints(&constrained(&bare, constraint, true)), [constraint]);
    }

    #[test]
    fn what_somebody_changed_by_hand_is_named() {
        let of = enforcement();
        let service = enforcer(&of, &RUNNING);
        assert_eq!(changed(&service, &of, &RUNNING), Vec::<String>::new());
        assert_eq!(changed(&placed(&service, &of, &paused()), &of, &RUNNING), Vec::<String>::new());
        let mut other = service.clone();
        other["TaskTemplate"]["ContainerSpec"]["Image"] = "other".into();
        other["TaskTemplate"]["ContainerSpec"]["Env"].as_array_mut().unwrap().pop();
        other["TaskTemplate"]["Placement"]["Constraints"] = json!([]);
        assert_eq!(changed(&other, &of, &RUNNING), ["image", "environment", "constraints"]);
        let mut other = service;
        other["Mode"] = json!({ "Replicated": { "Replicas": 1 } });
        other["Labels"] = json!(null);
        assert_eq!(changed(&other, &of, &RUNNING), ["labels", "mode"]);
    }
}
