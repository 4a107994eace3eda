//! Waiting for dpkg: apt has a time limit for its lock, dpkg itself has none and fails at once.

use super::fail::Fail;
use super::say;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use std::fs::{self, File};
use std::time::{Duration, Instant};

const PATH: &str = "/var/lib/dpkg/lock-frontend";
const INTERVAL: Duration = Duration::from_millis(500);

/// How long a lock is waited for.
pub const LIMIT: Duration = Duration::from_secs(600);

/// Waits until nobody has dpkg.
pub fn wait() -> Result<(), Fail> {
    let begin = Instant::now();
    let mut told = false;
    while let Some(holder) = holder() {
        if begin.elapsed() > LIMIT {
            return Err(Fail::Locked { path: PATH, holder, minutes: LIMIT.as_secs() / 60 });
        }
        if !told {
            say!(
                "waiting for {holder}, which has dpkg ({PATH}), for {} minutes at most",
                LIMIT.as_secs() / 60
            );
            told = true;
        }
        std::thread::sleep(INTERVAL);
    }
    Ok(())
}

/// Who has it. A lock that cannot be looked at is nobody's: dpkg will say more.
fn holder() -> Option<String> {
    let lock = File::options().write(true).open(PATH).ok()?;
    let mut asked = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(&lock, FcntlArg::F_GETLK(&mut asked)).ok()?;
    if libc::c_int::from(asked.l_type) == libc::F_UNLCK {
        return None;
    }
    let name = fs::read_to_string(format!("/proc/{}/comm", asked.l_pid)).unwrap_or_default();
    let name = if name.trim().is_empty() { "another process" } else { name.trim() };
    Some(format!("{name} (process {})", asked.l_pid))
}
