//! A swarm as it might be: several zones, reservations, constraints, a few global services and volumes. The same for the same size.

use serde_json::{Value, json};
use std::collections::BTreeMap;

/// So many tasks does each node have.
pub const TASKS_A_NODE: usize = 10;

/// So many services are there.
pub const SERVICES: usize = 500;

/// As many of the services are global, with a task on each node.
const GLOBAL: usize = 2;

const MANAGERS: usize = 3;
const ZONES: usize = 10;

const TIME: &str = "2026-11-23T02:55:35.712683856Z";

/// A swarm in docker's words.
#[derive(Debug)]
pub struct World {
    pub nodes: Vec<Value>,
    pub services: Vec<Value>,
    pub tasks: Vec<Value>,
}

/// An id of Swarm's: 25 letters and digits.
pub fn id(kind: char, number: usize) -> String {
    // Spread, so that their order says nothing.
    let mut rest = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(kind);
    let digit = |rest: u64| char::from(b"abcdefghijklmnopqrstuvwxyz0123456789"[(rest % 36) as usize]);
    let mut text = String::from(kind);
    for _ in 0..12 {
        text.push(digit(rest));
        rest /= 36;
    }
    format!("{text}{number:012}")
}

/// A swarm of so many nodes.
pub fn world(size: usize) -> World {
    let places = places(size);
    let mut replicas = vec![0; SERVICES];
    places.iter().for_each(|(service, _)| replicas[*service] += 1);
    let services: Vec<Value> =
        replicas.iter().enumerate().map(|(number, replicas)| service(number, *replicas)).collect();
    let tasks = places.iter().enumerate();
    let tasks = tasks.map(|(slot, (number, node))| task(slot, *number, &services[*number], *node)).collect();
    World { nodes: (0..size).map(node).collect(), services, tasks }
}

/// Which service has a task on which node.
fn places(size: usize) -> Vec<(usize, usize)> {
    let mut placed: Vec<(usize, usize)> =
        (0..GLOBAL).flat_map(|service| (0..size).map(move |node| (service, node))).collect();
    let room = TASKS_A_NODE - GLOBAL;
    let mut used = vec![0; size];
    let mut next: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    // Those that are choosy come first: what is left is for those that go anywhere.
    let mut order: Vec<usize> = (GLOBAL..SERVICES).collect();
    order.sort_by_key(|service| std::cmp::Reverse(kind(*service)));
    let mut left = size * room;
    for round in 0.. {
        let before = left;
        for service in &order {
            if left == 0 {
                return placed;
            }
            let from = next.entry((kind(*service), service % ZONES)).or_insert(round % size);
            let fits = |node: &usize| used[*node] < room && takes(*service, *node);
            let found = (0..size).map(|step| (*from + step) % size).find(fits);
            if let Some(node) = found {
                used[node] += 1;
                placed.push((*service, node));
                *from = node + 1;
                left -= 1;
            }
        }
        if left == before {
            return placed;
        }
    }
    placed
}

/// What it asks of nodes: 0 nothing, 1 workers, 2 a zone, 3 a disk.
fn kind(service: usize) -> usize {
    [0, 0, 0, 1, 1, 1, 2, 2, 2, 3][service / GLOBAL % 10]
}

fn takes(service: usize, node: usize) -> bool {
    match kind(service) {
        0 => true,
        1 => node >= MANAGERS,
        2 => node % ZONES == service % ZONES,
        _ => node.is_multiple_of(2),
    }
}

fn constraints(service: usize) -> Vec<String> {
    match kind(service) {
        0 => Vec::new(),
        1 => vec!["node.role==worker".to_owned()],
        2 => vec![format!("node.labels.zone==z{}", service % ZONES)],
        _ => vec!["node.labels.disk==ssd".to_owned(), "node.platform.os==linux".to_owned()],
    }
}

fn node(number: usize) -> Value {
    let is_manager = number < MANAGERS;
    let plugin = |kind: &str, name: &str| json!({ "Type": kind, "Name": name });
    let logs =
        ["awslogs", "fluentd", "gcplogs", "gelf", "journald", "json-file", "local", "splunk", "syslog"];
    let networks = ["bridge", "host", "ipvlan", "macvlan", "null", "overlay"];
    let plugins = logs.map(|name| plugin("Log", name)).into_iter();
    let plugins = plugins.chain(networks.map(|name| plugin("Network", name)));
    let plugins: Vec<Value> = plugins.chain([plugin("Volume", "local")]).collect();
    let address = format!("10.{}.{}.{}", number >> 16, (number >> 8) & 255, number & 255);
    let disk = if number.is_multiple_of(2) { "ssd" } else { "hdd" };
    let mut node = json!({
        "ID": id('n', number), "Version": { "Index": 100 + number }, "CreatedAt": TIME, "UpdatedAt": TIME,
        "Spec": {
            "Labels": { "zone": format!("z{}", number % ZONES), "disk": disk },
            "Role": if is_manager { "manager" } else { "worker" }, "Availability": "active",
        },
        "Description": {
            "Hostname": format!("host-{number:05}"),
            "Platform": { "Architecture": "x86_64", "OS": "linux" },
            "Resources": { "NanoCPUs": 16_000_000_000_u64, "MemoryBytes": 68_719_476_736_u64 },
            "Engine": { "EngineVersion": "26.1.5+dfsg1", "Plugins": plugins },
            "TLSInfo": {
                "TrustRoot": format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", "M".repeat(480)),
                "CertIssuerSubject": "MBMxETAPBgNVBAMTCHN3YXJtLWNh", "CertIssuerPublicKey": "M".repeat(124),
            },
        },
        "Status": { "State": "ready", "Addr": address },
    });
    if is_manager {
        let address = format!("{address}:2377");
        node["ManagerStatus"] =
            json!({ "Leader": number == 0, "Reachability": "reachable", "Addr": address });
    }
    node
}

fn template(number: usize) -> Value {
    let image = format!(
        "registry.example/team-{:02}/service-{number:03}:1.{}.0@sha256:{}",
        number % 40,
        number % 7,
        "ab".repeat(32)
    );
    let environment: Vec<String> =
        (0..6).map(|one| format!("SETTING_{one}=a value of ordinary length {number}")).collect();
    let reserved =
        json!({ "NanoCPUs": 100_000_000 * (1 + number % 4), "MemoryBytes": (64 << 20) * (1 + number % 4) });
    let mut mounts = vec![
        json!({ "Type": "bind", "Source": "/etc/localtime", "Target": "/etc/localtime", "ReadOnly": true }),
    ];
    if number.is_multiple_of(50) {
        mounts.push(json!({ "Type": "volume", "Source": format!("data-{number}"), "Target": "/data" }));
    }
    json!({
        "ContainerSpec": {
            "Image": image, "Labels": { "com.docker.stack.namespace": format!("stack-{}", number % 40) },
            "Env": environment, "Privileges": { "CredentialSpec": null, "SELinuxContext": null },
            "Mounts": mounts, "StopGracePeriod": 10_000_000_000_u64, "DNSConfig": {}, "Isolation": "default",
            "Healthcheck": { "Test": ["CMD-SHELL", "curl -fsS http://localhost:8080/health || exit 1"], "Interval": 10_000_000_000_u64 },
        },
        "Resources": { "Limits": { "MemoryBytes": 1 << 30 }, "Reservations": reserved },
        "RestartPolicy": { "Condition": "any", "Delay": 5_000_000_000_u64, "MaxAttempts": 0 },
        "Placement": {
            "Constraints": constraints(number),
            "Platforms": [{ "Architecture": "amd64", "OS": "linux" }, { "Architecture": "arm64", "OS": "linux" }],
            "MaxReplicas": if number.is_multiple_of(10) { 4 } else { 0 },
        },
        "Networks": [{ "Target": id('w', number % 40), "Aliases": [format!("service-{number:03}")] }],
        "ForceUpdate": 0, "Runtime": "container",
    })
}

fn service(number: usize, replicas: usize) -> Value {
    let is_global = number < GLOBAL;
    let mode =
        if is_global { json!({ "Global": {} }) } else { json!({ "Replicated": { "Replicas": replicas } }) };
    json!({
        "ID": id('s', number), "Version": { "Index": 50 }, "CreatedAt": TIME, "UpdatedAt": TIME,
        "Spec": {
            "Name": format!("service-{number:03}"), "Labels": { "com.docker.stack.namespace": format!("stack-{}", number % 40) },
            "TaskTemplate": template(number), "Mode": mode,
            "UpdateConfig": { "Parallelism": 1, "FailureAction": "pause", "Monitor": 5_000_000_000_u64, "Order": "stop-first" },
            "EndpointSpec": { "Mode": "vip" },
        },
        "Endpoint": { "Spec": { "Mode": "vip" }, "VirtualIPs": [{ "NetworkID": id('w', number % 40), "Addr": "10.0.1.2/24" }] },
        "ServiceStatus": { "RunningTasks": replicas, "DesiredTasks": replicas, "CompletedTasks": 0 },
    })
}

fn task(number: usize, of: usize, service: &Value, node: usize) -> Value {
    let address = format!("10.1.{}.{}/16", (number >> 8) & 255, number & 255);
    json!({
        "ID": id('t', number), "Version": { "Index": 1000 + number }, "CreatedAt": TIME, "UpdatedAt": TIME, "Labels": {},
        "Spec": service["Spec"]["TaskTemplate"], "ServiceID": service["ID"], "Slot": if of < GLOBAL { 0 } else { number },
        "NodeID": id('n', node),
        "Status": {
            "Timestamp": TIME, "State": "running", "Message": "started",
            "ContainerStatus": { "ContainerID": "6d1ff23e4d9a9e4b".repeat(4), "PID": 1000 + number, "ExitCode": 0 }, "PortStatus": {},
        },
        "DesiredState": "running",
        "NetworksAttachments": [{ "Network": { "ID": id('w', of % 40), "Version": { "Index": 20 }, "CreatedAt": TIME }, "Addresses": [address] }],
    })
}
