//! The command's process: how it is started, and what can be read from it.

use crate::files::{self, Descriptor};
use crate::layout::{TransactionDir, file};
use crate::signals::with_signals_unblocked;
use anyhow::Context;
use careen_contract::payload::ROLLBACK_COMMAND;
use careen_contract::variable;
use careen_host::manifest::{Manifest, TerminalSize};
use careen_host::outcome::TransactionPhase;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, setsid};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// The largest piece that is read, and recorded, at once. With pieces of 64 KiB a command that writes much waited for the
/// supervisor half of the time.
const READ_BYTES: usize = 256 * 1024;

/// How much a command can write before it waits for the supervisor, which waits for the disk once a second. The most
/// that a host allows unless told otherwise (/proc/sys/fs/pipe-max-size).
pub const PIPE_BYTES: usize = 1024 * 1024;

/// A command that was started.
#[derive(Debug)]
pub struct Child {
    /// Its process id; also that of its session and process group.
    pub pid: Pid,
    /// When it was started.
    pub started: Instant,
    /// Standard output, or the terminal.
    pub stdout: Option<Source>,
    /// Standard error; with a terminal there is none.
    pub stderr: Option<Source>,
    terminal: Option<Descriptor>,
}

/// Something that the command writes to.
#[derive(Debug)]
pub struct Source {
    file: Descriptor,
}

/// What one read gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    Bytes(&'a [u8]),
    Nothing,
    /// Nobody can write there any more.
    End,
}

impl Source {
    fn new(fd: OwnedFd) -> io::Result<Self> {
        let flags = OFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFL)?);
        fcntl(&fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        Ok(Self { file: Descriptor::from(fd) })
    }

    fn of_pipe(fd: OwnedFd) -> io::Result<Self> {
        // A small pipe is slower, and does as well.
        let _ = fcntl(&fd, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES as i32));
        Self::new(fd)
    }

    /// Reads what is there, at most one piece.
    pub fn read<'a>(&mut self, buffer: &'a mut [u8]) -> Piece<'a> {
        loop {
            return match self.file.read(buffer) {
                Ok(0) => Piece::End,
                Ok(length) => Piece::Bytes(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Piece::Nothing,
                // A terminal whose other end is closed says EIO; whatever else it is, nothing more comes.
                Err(_) => Piece::End,
            };
        }
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// A buffer for [`Source::read`].
pub fn read_buffer() -> Vec<u8> {
    vec![0; READ_BYTES]
}

impl Child {
    /// Starts the command of a transaction: a session of its own, in the payload's directory, with exactly the recorded
    /// environment.
    pub fn start(
        manifest: &Manifest,
        directory: &TransactionDir,
        phase: TransactionPhase,
        attempt: u32,
    ) -> anyhow::Result<Self> {
        let environment = read_environment(&directory.file(file::ENVIRONMENT))?;
        let payload = Path::new(&manifest.payload.directory);
        let mut command = command_line(manifest, phase, payload);
        command.current_dir(payload);
        with_signals_unblocked(&mut command)
            .env_clear()
            .envs(environment)
            .env(variable::ATTEMPT, attempt.to_string())
            .env(variable::COMMAND, program(manifest, phase));
        match manifest.terminal {
            Some(size) => Self::in_terminal(command, size),
            None => Self::with_pipes(command),
        }
    }

    fn with_pipes(mut command: Command) -> anyhow::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // SAFETY: between fork and exec only async-signal-safe system calls are made: setsid and umask.
        unsafe {
            command.pre_exec(|| {
                setsid()?;
                nix::sys::stat::umask(Mode::from_bits_truncate(0o022));
                Ok(())
            });
        }
        let mut child = command.spawn().context("failed to start the command")?;
        let stdout = child.stdout.take().map(|pipe| Source::of_pipe(pipe.into())).transpose()?;
        let stderr = child.stderr.take().map(|pipe| Source::of_pipe(pipe.into())).transpose()?;
        Ok(Self { pid: pid_of(&child), started: Instant::now(), stdout, stderr, terminal: None })
    }

    fn in_terminal(mut command: Command, size: TerminalSize) -> anyhow::Result<Self> {
        let size = winsize(size.rows, size.columns);
        let OpenptyResult { master, slave } = openpty(&size, None).context("failed to open a terminal")?;
        command.stdin(slave.try_clone()?).stdout(slave.try_clone()?).stderr(slave);
        // SAFETY: between fork and exec only async-signal-safe system calls are made: setsid, ioctl and umask.
        // Standard input is the terminal by then: the standard library sets it up before it calls this.
        unsafe {
            command.pre_exec(|| {
                setsid()?;
                if libc::ioctl(libc::STDIN_FILENO, libc::TIOCSCTTY, 0) == -1 {
                    return Err(io::Error::last_os_error());
                }
                nix::sys::stat::umask(Mode::from_bits_truncate(0o022));
                Ok(())
            });
        }
        let child = command.spawn().context("failed to start the command")?;
        let terminal = Descriptor::from(master.try_clone()?);
        // The Command still holds the other end; dropped here, so that the command's end is seen as the end.
        drop(command);
        let stdout = Some(Source::new(master)?);
        Ok(Self {
            pid: pid_of(&child),
            started: Instant::now(),
            stdout,
            stderr: None,
            terminal: Some(terminal),
        })
    }

    /// Types bytes into the command's terminal. Without one, or with one whose reader is too slow, they are dropped.
    pub fn type_in(&mut self, bytes: &[u8]) {
        use std::io::Write;
        if let Some(terminal) = &mut self.terminal {
            let _ = terminal.write_all(bytes);
        }
    }

    /// Sets the size of the command's terminal.
    pub fn resize(&mut self, rows: u16, columns: u16) {
        let Some(terminal) = &self.terminal else { return };
        let size = winsize(rows, columns);
        // SAFETY: TIOCSWINSZ reads one winsize from the pointer, which points to a live one.
        unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    }
}

fn winsize(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// The file that a phase runs.
fn program(manifest: &Manifest, phase: TransactionPhase) -> &str {
    match phase {
        TransactionPhase::Command => &manifest.command,
        TransactionPhase::Rollback => ROLLBACK_COMMAND,
    }
}

fn command_line(manifest: &Manifest, phase: TransactionPhase, payload: &Path) -> Command {
    let file = payload.join(program(manifest, phase));
    let mut command = if phase == TransactionPhase::Command && manifest.payload.by_shell {
        let mut shell = Command::new("/bin/sh");
        shell.arg(file);
        shell
    } else {
        Command::new(file)
    };
    match phase {
        TransactionPhase::Command => command.args(&manifest.args),
        TransactionPhase::Rollback => &mut command,
    };
    command
}

fn read_environment(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let bytes = files::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is corrupt", path.display()))
}

fn pid_of(child: &std::process::Child) -> Pid {
    // A pid is a positive i32 that the standard library hands out as u32.
    Pid::from_raw(child.id().cast_signed())
}
