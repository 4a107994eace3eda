//! What `careen why` tells to type is typed, in the state in which it tells it.

use careen_lab::{Node, Poll, wait_until};
use serde_json::Value;
use std::time::Duration;

/// What a hold names may be about to come, such as a service that is being created.
const SOON: Duration = Duration::from_secs(20);

/// Types each command that `careen why NODE` (as JSON) names for this hold, and that only looks; what changes something the scenes type
/// themselves. `still` is whether the node is still held so: if not, what was named may be gone.
pub fn look<'a>(
    why: &Value,
    node: &str,
    hold: &str,
    nodes: impl Fn(&str) -> &'a Node,
    still: impl Fn() -> bool,
) {
    let commands = why["nodes"][0]["advice"]["commands"].as_array().cloned().unwrap_or_default();
    // A host on which careen never ran has no careen-agent; the advice has to say what that means.
    let text = why["nodes"][0]["advice"]["text"].as_str().unwrap_or_default();
    let says_so = text.contains("where there is no careen-agent");
    for (on, command) in commands.iter().filter_map(Value::as_str).filter_map(|text| looking(node, text)) {
        let host = nodes(on);
        // Nobody can look at a host that is off.
        if host.boot_id().expect("exec").is_none() {
            continue;
        }
        let done = wait_until(&format!("{hold}: '{command}' on {on}"), SOON, || {
            let typed = host.sh(&command)?;
            let absent = typed.status == 127 && command.starts_with("careen-agent ") && says_so;
            // A log that does not come is told as that, with where it lies.
            let elsewhere = command.starts_with("careen logs ")
                && typed.stderr.contains("printed lies on its host: careen-agent");
            let is_fine = typed.status == 0 || absent || elsewhere || !still();
            Ok(if is_fine { Poll::Ready(()) } else { Poll::Pending(format!("{typed:?}")) })
        });
        done.unwrap_or_else(|error| panic!("{error}"));
    }
}

/// A command that only looks, and where it is typed: careen's own and docker's on a manager, what is for a host there. One that
/// follows a log is asked for what there is.
fn looking<'a>(node: &'a str, command: &str) -> Option<(&'a str, String)> {
    const LOOKS: [&str; 8] = [
        "careen logs ",
        "careen why ",
        "careen-agent list",
        "careen-agent logs ",
        "docker node inspect ",
        "docker node ls ",
        "docker node ps ",
        "docker service ps ",
    ];
    let on_host = command.strip_prefix(&format!("ssh {node} ")).unwrap_or(command);
    let looks = LOOKS.iter().any(|it| on_host.starts_with(it)) || on_host == "careen-agent machine";
    let on = if on_host != command || on_host.starts_with("careen-agent") { node } else { "n1" };
    looks.then(|| (on, on_host.replace(" -f ", " ")))
}
