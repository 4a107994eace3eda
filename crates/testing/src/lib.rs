//! What tests of several crates share.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// Arguments are pairs of a path and a content.
const WRITE: &str = r#"
while [ $# -gt 0 ]; do
	printf %s "$2" > "$1" && chmod 755 "$1" || exit
	shift 2
done
"#;

/// Writes a program that the test will execute.
///
/// # Panics
///
/// When it cannot be written.
pub fn program(path: &Path, content: impl AsRef<OsStr>) {
    programs([(path, content)]);
}

/// Writes programs that the test will execute, all by one other process. If this one wrote them, a child that another of its
/// threads starts at that moment would inherit the open file, and until that child has executed its own program nobody could
/// execute this one: "Text file busy".
///
/// # Panics
///
/// When one cannot be written.
pub fn programs<P: AsRef<Path>, C: AsRef<OsStr>>(all: impl IntoIterator<Item = (P, C)>) {
    let mut writer = Command::new("sh");
    writer.args(["-c", WRITE, "sh"]);
    for (path, content) in all {
        writer.arg(path.as_ref()).arg(content);
    }
    let status = writer.status();
    assert!(matches!(&status, Ok(status) if status.success()), "programs cannot be written: {status:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a program that the test itself writes this fails within some dozens.
    #[test]
    fn a_program_can_be_executed_at_once_while_others_start_children() {
        let directory = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let directory = directory.path();
                scope.spawn(move || {
                    for number in 0..50 {
                        let path = directory.join(format!("{thread}-{number}"));
                        program(&path, "#!/bin/sh\nexit 7\n");
                        assert_eq!(Command::new(&path).status().unwrap().code(), Some(7));
                    }
                });
            }
        });
    }
}
