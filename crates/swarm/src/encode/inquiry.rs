//! The service of an inquiry: a task on each host that is asked.

use super::given;
use super::job::{PROGRAM, constrain, log_driver, renewed, told};
use crate::inquiry::Inquiry;
use crate::names;
use careen_contract::TransactionId;
use careen_contract::errand;
use careen_contract::label;
use careen_contract::settings::{EngineRestarts, Reboot, Settings};
use serde_json::{Value, json};
use std::time::Duration;

/// How long an agent may take to leave that is not waited for any more.
const GRACE_SECONDS: u64 = 1;

/// The service; `activated` are the nodes that are made active for it, as JSON.
pub fn inquiry(inquiry: &Inquiry, activated: &str) -> Value {
    let spec = &inquiry.spec;
    let command = || std::iter::once(&spec.command).chain(&spec.args).map(String::as_str).collect();
    let (program, words): (&str, Vec<&str>) = match inquiry.errand.words() {
        Some(words) => (errand::ASKED, words),
        None => ("run", command()),
    };
    let labels = json!({
        label::INQUIRY: spec.id.as_str(),
        label::BY: inquiry.by,
        label::LIMIT: inquiry.limit.as_secs().to_string(),
        label::ACTIVATED: activated,
    });
    let mut container = json!({
        "Image": spec.image,
        "Command": [PROGRAM, program],
        "Args": words,
        "Env": environment(inquiry),
        "Mounts": [{ "Type": "bind", "Source": "/", "Target": "/host" }],
        "StopGracePeriod": GRACE_SECONDS * 1_000_000_000,
        "User": "0:0",
        "Labels": labels,
    });
    given::add(&mut container, &spec.given);
    json!({
        "Name": names::inquiry(&spec.id),
        "Labels": labels,
        "TaskTemplate": {
            "ContainerSpec": container,
            "RestartPolicy": { "Condition": "none" },
            "Placement": { "Constraints": inquiry.placement.constraints },
            "LogDriver": log_driver(),
        },
        "Mode": { "GlobalJob": {} },
    })
}

/// The same service with a new iteration that fits nowhere: what runs is stopped.
pub fn stopped_inquiry(spec: &Value) -> Value {
    let mut spec = renewed(spec);
    constrain(&mut spec, |constraint| constraint != names::NOWHERE, names::NOWHERE);
    spec
}

fn environment(inquiry: &Inquiry) -> Vec<String> {
    let spec = &inquiry.spec;
    let settings = Settings {
        run: spec.id.to_string(),
        // An id of a rollout's kind is one of a transaction, too.
        transaction: TransactionId::parse(spec.id.as_str()).ok(),
        payload: spec.payload.clone().unwrap_or_default(),
        reboot: Reboot::Never,
        engine_restart: EngineRestarts::Never,
        timeout: Some(inquiry.limit.max(Duration::from_secs(1))),
        inquires: true,
        ..Settings::default()
    };
    told(&settings, &spec.given.environment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode;
    use careen_contract::errand::Errand;
    use careen_planner::inquiry::Placement;
    use careen_planner::{RolloutId, Spec};
    use std::collections::BTreeMap;

    #[test]
    fn an_agent_reads_that_it_is_asked_and_no_controller_takes_it_for_its_own() {
        let mut spec = Spec::run(RolloutId::parse("k3x9ab").unwrap(), "i@sha256:1");
        spec.command = "check".into();
        spec.given.environment = vec!["GREETING=hello".into()];
        let constraints = vec!["node.id==n1".to_owned()];
        let inquiry = Inquiry {
            spec,
            files: Vec::new(),
            limit: Duration::from_secs(60),
            placement: Placement { constraints, activate: BTreeMap::new() },
            by: "me".into(),
            errand: Errand::Command,
        };
        let asks = Inquiry { errand: Errand::Uninstall { dry_run: true }, ..inquiry.clone() };
        let started = |service: &Value| {
            let container = &service["TaskTemplate"]["ContainerSpec"];
            json!([container["Command"], container["Args"]])
        };
        assert_eq!(
            started(&super::inquiry(&asks, "{}")),
            json!([[PROGRAM, "asked"], ["uninstall", "--dry-run"]])
        );
        assert_eq!(started(&super::inquiry(&inquiry, "{}")), json!([[PROGRAM, "run"], ["check"]]));
        let service = super::inquiry(&inquiry, "{}");
        let env = service.pointer("/TaskTemplate/ContainerSpec/Env").unwrap().as_array().unwrap();
        let pairs = env.iter().filter_map(|one| one.as_str()?.split_once('='));
        let told: BTreeMap<String, String> =
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let settings = Settings::from_env(&told).unwrap();
        assert!(settings.inquires && settings.rollout.is_none());
        assert_eq!((settings.reboot, settings.engine_restart), (Reboot::Never, EngineRestarts::Never));
        assert_eq!(settings.transaction.unwrap().as_str(), "k3x9ab");
        assert_eq!(told["GREETING"], "hello");
        assert_eq!(service["Mode"], json!({ "GlobalJob": {} }));
        let stopped = stopped_inquiry(&service);
        assert_eq!(stopped["Mode"], service["Mode"]);
        assert_eq!(stopped["TaskTemplate"]["ForceUpdate"], 1);
        let constraints = stopped.pointer("/TaskTemplate/Placement/Constraints").unwrap();
        assert_eq!(*constraints, json!(["node.id==n1", names::NOWHERE]));
        let stored = json!({ "ID": "s", "Version": { "Index": 9 }, "Spec": service });
        assert_eq!(decode::job_service(&decode::json(&stored)).unwrap(), None);
        assert!(decode::service(&decode::json(&stored)).unwrap().is_none());
    }
}
