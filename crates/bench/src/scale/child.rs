//! What a program costs.
//!
//! It is started by a small process of its own: what a process keeps in memory counts for its child too until the child has become
//! another program (`exec_mmap` in the kernel's `fs/exec.c`), and whoever serves the swarm keeps much.

use anyhow::{Context, bail};
use nix::libc;
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use std::fs::File;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The argument with which this program is that process.
pub const MEASURE: &str = "measure-this";

/// What a program took from its start to its end.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Seconds on the wall.
    pub wall: f64,
    /// Seconds of a processor, the kernel's work for it among them.
    pub cpu: f64,
    /// MiB that it had at most.
    pub memory: f64,
}

/// Runs a command, whose output goes nowhere. One that ends with another status than 0 is an error with what it said.
pub fn cost(command: &[String]) -> anyhow::Result<Cost> {
    let own = std::env::current_exe().context("this program's own file")?;
    let told = Command::new(own).arg(MEASURE).args(command).output().context("cannot start a process")?;
    let text = String::from_utf8_lossy(&told.stdout);
    if !told.status.success() {
        bail!("{}: {}", command.join(" "), String::from_utf8_lossy(&told.stderr).trim());
    }
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [wall, cpu, memory] = numbers[..] else { bail!("'{text}' are no three numbers") };
    Ok(Cost { wall, cpu, memory })
}

/// What the small process does: prints seconds, seconds of a processor, and MiB.
pub fn measure_here(command: &[String]) -> anyhow::Result<()> {
    let [program, args @ ..] = command else { bail!("no command to measure") };
    let start = Instant::now();
    let child = Command::new(program)
        .args(args)
        .env_remove("DOCKER_HOST")
        .stdin(Stdio::null())
        .stdout(File::create("/dev/null").context("/dev/null")?)
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    let (status, usage) = wait(child.id())?;
    let wall = start.elapsed().as_secs_f64();
    if status != 0 {
        bail!("it ended with the wait status {status}");
    }
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    let cpu = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    println!("{wall} {cpu} {}", usage.ru_maxrss as f64 / 1024.0);
    Ok(())
}

fn wait(pid: u32) -> anyhow::Result<(i32, libc::rusage)> {
    let pid = libc::pid_t::try_from(pid).context("a process id")?;
    let mut status = 0;
    // SAFETY: all bytes zero are a rusage, which is numbers alone.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to values that live until it returns, and the process is a child that nobody else waits for.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    if waited != pid {
        return Err(std::io::Error::last_os_error()).context("cannot wait for the process");
    }
    Ok((status, usage))
}

/// What a process that goes on has taken of a processor so far, all of its threads together.
pub fn cpu_of(pid: u32) -> anyhow::Result<Duration> {
    let pid = Pid::from_raw(i32::try_from(pid).context("a process id")?);
    let clock = clock_getcpuclockid(pid).context("the clock of the process")?;
    Ok(Duration::from(clock.now().context("the clock of the process")?))
}
