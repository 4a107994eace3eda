//! The one setting of the machine's kernel that a lab needs changed.

use crate::progress::Progress;

/// How many inotify instances one user may have.
const LIMIT: &str = "/proc/sys/fs/inotify/max_user_instances";

/// Nodes share the machine's kernel, and their root is one user to it. Each systemd takes eight, so with the usual limit of
/// 128 what watches files fails in strange places from the fifteenth node on.
const WANTED: u32 = 4096;

/// Raises the limit where it is lower. Where that is not allowed it is said, and smaller labs work as before.
pub fn ensure(progress: Progress) {
    let now = std::fs::read_to_string(LIMIT).ok().and_then(|text| text.trim().parse::<u32>().ok());
    let Some(now) = now.filter(|now| *now < WANTED) else { return };
    match std::fs::write(LIMIT, WANTED.to_string()) {
        Ok(()) => progress.say(format!("raised {LIMIT} from {now} to {WANTED}: all nodes share it")),
        Err(error) => progress.say(format!("{LIMIT} is {now}, enough for {} nodes: {error}", now / 8)),
    }
}
