//! Can this file run on this host, and if not: why, in words that tell its author what to change.
//!
//! The kernel's own answers ('no such file or directory' for a missing interpreter, 'exec format error' for a wrong
//! machine) have cost operators hours. So the file's first bytes are read before anything starts.

use crate::exit::AgentExit;

/// How many bytes of a command file are enough to judge it (the kernel itself reads 256 for `#!`).
pub const HEAD_BYTES: usize = 512;

/// So many bytes of a file the kernel reads to find its interpreter, the line's end included.
const KERNEL_READS: usize = 256;

/// What is known of a command's file.
#[derive(Debug, Clone, Copy)]
pub struct CommandFile<'a> {
    /// The permission bits of its mode.
    pub mode: u32,
    /// Whether it is a regular file.
    pub is_file: bool,
    /// Its first bytes, up to [`HEAD_BYTES`].
    pub head: &'a [u8],
}

/// How a command that passed is executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Executable {
    /// Hand it to the kernel.
    Direct,
    /// A text without `#!`: run by the host's `/bin/sh`, as every shell does.
    ByShell,
}

/// Why a command cannot run on this host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the names say it")]
pub enum NotRunnable {
    /// A directory, a socket, a device.
    #[error("is not a regular file")]
    NotAFile,
    #[error("is not executable: 'chmod +x' it before it is added to the image")]
    NoExecuteBit,
    /// The first line ends with a carriage return.
    #[error(
        "has CRLF line ends, so the kernel would look for an interpreter whose name ends with a carriage return: \
         convert it to LF line ends (dos2unix, or '* text=auto eol=lf' in .gitattributes)"
    )]
    CrlfLineEnds,
    /// The kernel finds no `#!` at the beginning, although there is one for whoever reads the file.
    #[error(
        "has {before} before its '#!', so the kernel does not see that and another interpreter would run it: {remedy}"
    )]
    HiddenMarker {
        /// What is before it.
        before: &'static str,
        remedy: &'static str,
    },
    /// It is text in two bytes a character.
    #[error("is UTF-16 text, which no interpreter reads: save it as UTF-8 without a byte order mark")]
    Utf16,
    /// The kernel reads a part of the first line only.
    #[error(
        "has a first line of more than {KERNEL_READS} bytes, and the kernel reads no more of it: shorten it"
    )]
    LongFirstLine,
    /// The interpreter named after `#!` does not exist on the host.
    #[error("needs the interpreter {interpreter}, which is not on this host")]
    NoInterpreter {
        /// As the file names it; what cannot be seen is escaped.
        interpreter: String,
    },
    /// `#!` with nothing behind it.
    #[error("begins with '#!' but names no interpreter")]
    EmptyInterpreter,
    /// An ELF file for another machine.
    #[error("is built for the machine {built_for}, this host is {host}")]
    OtherMachine {
        /// The ELF header's machine.
        built_for: String,
        /// The host's.
        host: String,
    },
    #[error("is empty")]
    Empty,
}

impl NotRunnable {
    /// The exit code, as shells give it: 127 when the interpreter is missing, else 126.
    pub fn exit(&self) -> AgentExit {
        match self {
            Self::NoInterpreter { .. } => AgentExit::NoInterpreter,
            Self::NotAFile
            | Self::NoExecuteBit
            | Self::CrlfLineEnds
            | Self::HiddenMarker { .. }
            | Self::Utf16
            | Self::LongFirstLine
            | Self::EmptyInterpreter
            | Self::OtherMachine { .. }
            | Self::Empty => AgentExit::NotExecutable,
        }
    }
}

/// Judges a command's file. `host_has` answers whether the host has an executable of this path; `host_machine` is the
/// machine name of uname(2).
pub fn judge(
    file: CommandFile<'_>,
    host_machine: &str,
    host_has: impl Fn(&str) -> bool,
) -> Result<Executable, NotRunnable> {
    if !file.is_file {
        return Err(NotRunnable::NotAFile);
    }
    if file.mode & 0o111 == 0 {
        return Err(NotRunnable::NoExecuteBit);
    }
    if file.head.is_empty() {
        return Err(NotRunnable::Empty);
    }
    if let Some(after) = file.head.strip_prefix(b"#!") {
        return judge_script(after, host_has);
    }
    is_read_otherwise(file.head)?;
    if file.head.starts_with(b"\x7fELF") {
        return judge_elf(file.head, host_machine);
    }
    if first_line(file.head).contains(&b'\r') {
        return Err(NotRunnable::CrlfLineEnds);
    }
    if file.head.contains(&0) {
        return Ok(Executable::Direct); // binfmt_misc may know it; else the kernel says so
    }
    if !host_has("/bin/sh") {
        return Err(NotRunnable::NoInterpreter { interpreter: "/bin/sh".into() });
    }
    Ok(Executable::ByShell)
}

fn judge_script(after_marker: &[u8], host_has: impl Fn(&str) -> bool) -> Result<Executable, NotRunnable> {
    let line = first_line(after_marker);
    if line.contains(&b'\r') {
        return Err(NotRunnable::CrlfLineEnds);
    }
    if b"#!".len() + line.len() >= KERNEL_READS {
        return Err(NotRunnable::LongFirstLine);
    }
    let line = String::from_utf8_lossy(line);
    let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
    let Some(interpreter) = words.next() else { return Err(NotRunnable::EmptyInterpreter) };
    if !host_has(interpreter) {
        return Err(NotRunnable::NoInterpreter { interpreter: visible(interpreter) });
    }
    // `#!/usr/bin/env python3`: env exists everywhere, what it starts may not.
    let through_env =
        interpreter.ends_with("/env").then(|| words.find(|word| !word.starts_with('-'))).flatten();
    match through_env {
        Some(program) if !program.contains('=') && !on_path(program, host_has) => {
            Err(NotRunnable::NoInterpreter { interpreter: visible(program) })
        }
        Some(_) | None => Ok(Executable::Direct),
    }
}

/// A text that a person would read as what it is meant to be, and the kernel does not.
fn is_read_otherwise(head: &[u8]) -> Result<(), NotRunnable> {
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return Err(NotRunnable::Utf16);
    }
    let text = head.trim_ascii_start();
    let (before, remedy) = if head.starts_with(BYTE_ORDER_MARK) {
        ("a byte order mark", "save it as UTF-8 without one (sed -i '1s/^\\xEF\\xBB\\xBF//')")
    } else if text.starts_with(b"#!") || text.starts_with(BYTE_ORDER_MARK) {
        ("white space", "the file has to begin with '#!'")
    } else {
        return Ok(());
    };
    Err(NotRunnable::HiddenMarker { before, remedy })
}

/// As a person can see it: a no-break space behind `#!` looks like none.
fn visible(name: &str) -> String {
    match name.chars().all(|letter| letter.is_ascii_graphic()) {
        true => name.to_owned(),
        false => name.escape_default().to_string(),
    }
}

fn on_path(program: &str, host_has: impl Fn(&str) -> bool) -> bool {
    if program.contains('/') {
        return host_has(program);
    }
    crate::settings::COMMAND_PATH.split(':').any(|directory| host_has(&format!("{directory}/{program}")))
}

fn judge_elf(head: &[u8], host_machine: &str) -> Result<Executable, NotRunnable> {
    let little_endian = head.get(5) != Some(&2);
    let Some(&[a, b]) = head.get(18..20) else { return Ok(Executable::Direct) };
    let machine = if little_endian { u16::from_le_bytes([a, b]) } else { u16::from_be_bytes([a, b]) };
    // Machine numbers of elf(5). A 64-bit host may run its 32-bit sibling, so that is left to the kernel.
    let (built_for, runs_on): (&str, &[&str]) = match machine {
        3 => ("i386", &["i386", "i586", "i686", "x86_64"]),
        40 => ("arm", &["armv6l", "armv7l", "armv8l", "aarch64"]),
        62 => ("x86_64", &["x86_64"]),
        183 => ("aarch64", &["aarch64"]),
        243 => ("riscv", &["riscv64", "riscv32"]),
        21 => ("ppc64", &["ppc64", "ppc64le"]),
        22 => ("s390x", &["s390x"]),
        _ => return Ok(Executable::Direct),
    };
    if runs_on.contains(&host_machine) {
        Ok(Executable::Direct)
    } else {
        Err(NotRunnable::OtherMachine { built_for: built_for.into(), host: host_machine.into() })
    }
}

fn first_line(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == b'\n').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(head: &[u8]) -> Result<Executable, NotRunnable> {
        judge(CommandFile { mode: 0o755, is_file: true, head }, "x86_64", |path| {
            ["/bin/sh", "/bin/bash", "/usr/bin/env", "/usr/bin/perl"].contains(&path)
        })
    }

    fn elf(machine: u16) -> Vec<u8> {
        let mut head = b"\x7fELF\x02\x01\x01".to_vec();
        head.resize(18, 0);
        head.extend(machine.to_le_bytes());
        head
    }

    #[test]
    fn scripts_and_binaries_of_this_host_run() {
        for head in
            [&b"#!/bin/sh\necho\n"[..], b"#! /bin/bash -e\n", b"#!/usr/bin/env perl\n", &elf(62), &elf(3)]
        {
            assert_eq!(judged(head), Ok(Executable::Direct), "{:?}", String::from_utf8_lossy(head));
        }
        assert_eq!(judged(b"echo no marker\n"), Ok(Executable::ByShell));
        assert_eq!(judged(b"#!/usr/bin/env -S perl -w\n"), Ok(Executable::Direct));
    }

    #[test]
    fn each_way_to_fail_has_its_own_words_and_code() {
        let missing = |name: &str| NotRunnable::NoInterpreter { interpreter: name.into() };
        let hidden = |before, remedy| NotRunnable::HiddenMarker { before, remedy };
        let mark =
            hidden("a byte order mark", "save it as UTF-8 without one (sed -i '1s/^\\xEF\\xBB\\xBF//')");
        let white = hidden("white space", "the file has to begin with '#!'");
        let long = [b"#!/bin/sh ", &[b'-'; 300][..], b"\n"].concat();
        let cases: [(&[u8], NotRunnable, u8); 17] = [
            (b"\xef\xbb\xbf#!/bin/sh\necho\n", mark.clone(), 126),
            (b"\xef\xbb\xbfecho no marker\n", mark, 126),
            (b" #!/bin/bash\n", white.clone(), 126),
            (b"\n\n#!/bin/bash\n", white, 126),
            (b"\xff\xfe#\0!\0/\0", NotRunnable::Utf16, 126),
            (&long, NotRunnable::LongFirstLine, 126),
            (b"#!/bin/sh\recho\r", NotRunnable::CrlfLineEnds, 126),
            ("#!\u{a0}/bin/sh\n".as_bytes(), missing("\\u{a0}/bin/sh"), 127),
            (b"#!bash\n", missing("bash"), 127),
            (b"#!/bin/zsh\n", missing("/bin/zsh"), 127),
            (b"#!/usr/bin/env python3\n", missing("python3"), 127),
            (b"#!/bin/sh\r\necho\r\n", NotRunnable::CrlfLineEnds, 126),
            (b"echo no marker\r\n", NotRunnable::CrlfLineEnds, 126),
            (b"#!\n", NotRunnable::EmptyInterpreter, 126),
            (b"#!  ", NotRunnable::EmptyInterpreter, 126),
            (b"", NotRunnable::Empty, 126),
            (
                &elf(183),
                NotRunnable::OtherMachine { built_for: "aarch64".into(), host: "x86_64".into() },
                126,
            ),
        ];
        for (head, expected, code) in cases {
            let error = judged(head).unwrap_err();
            assert_eq!(error.exit().code(), code, "{error}");
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn mode_and_kind_come_first() {
        let file = CommandFile { mode: 0o644, is_file: true, head: b"#!/bin/sh\n" };
        assert_eq!(judge(file, "x86_64", |_| true), Err(NotRunnable::NoExecuteBit));
        let directory = CommandFile { mode: 0o755, is_file: false, head: b"" };
        assert_eq!(judge(directory, "x86_64", |_| true), Err(NotRunnable::NotAFile));
    }

    #[test]
    fn a_truncated_elf_header_is_left_to_the_kernel() {
        assert_eq!(judged(b"\x7fELF\x02"), Ok(Executable::Direct));
    }
}
