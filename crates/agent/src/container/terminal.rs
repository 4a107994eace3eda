//! The container's terminal, when somebody sits at it: put into raw mode, its keys and its size sent to the supervisor.
//! The command's own terminal, on the host, does the line editing and turns Ctrl-C into a signal.

use crate::files;
use careen_host::control::Message;
use careen_host::manifest::TerminalSize;
use nix::libc;
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// An attached terminal. Dropping it restores its mode.
#[derive(Debug)]
pub struct Terminal {
    before: Termios,
    supervisor: UnixStream,
    open: bool,
}

impl Terminal {
    /// Connects this container's terminal to the command's.
    pub fn attach(control: &Path) -> io::Result<Self> {
        let supervisor = UnixStream::connect(control)?;
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(io::stdin(), SetArg::TCSANOW, &raw)?;
        let mut terminal = Self { before, supervisor, open: true };
        terminal.send_size()?;
        Ok(terminal)
    }

    /// The keyboard, while it can still give something.
    pub fn keyboard(&self) -> Option<BorrowedFd<'static>> {
        // SAFETY: standard input is open for as long as the process lives; nothing here closes it.
        self.open.then(|| unsafe { BorrowedFd::borrow_raw(libc::STDIN_FILENO) })
    }

    /// Sends what was typed.
    pub fn send_keys(&mut self) -> io::Result<()> {
        let mut keys = [0; 1024];
        let typed = io::stdin().as_fd().try_clone_to_owned().map(files::Descriptor::from)?.read(&mut keys)?;
        if typed == 0 {
            self.open = false;
            return Ok(());
        }
        self.supervisor.write_all(&Message::Input(keys[..typed].to_vec()).encode())
    }

    /// Sends the terminal's size.
    pub fn send_size(&mut self) -> io::Result<()> {
        let TerminalSize { rows, columns } = size()?;
        self.supervisor.write_all(&Message::Resize { rows, columns }.encode())
    }
}

/// The size of this process's terminal.
pub fn size() -> io::Result<TerminalSize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one winsize to the pointer, which points to a live one.
    if unsafe { libc::ioctl(io::stdin().as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(TerminalSize { rows: size.ws_row, columns: size.ws_col })
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &self.before);
    }
}
