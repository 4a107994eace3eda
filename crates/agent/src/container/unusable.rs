//! Why a host's directories cannot be used, with what to do about it.

use crate::stop::Stop;
use std::io::ErrorKind;
use std::path::Path;

pub(super) fn unusable(directory: &Path, error: &std::io::Error) -> Stop {
    const HINTS: [(ErrorKind, &str); 2] = [
        (
            ErrorKind::ReadOnlyFilesystem,
            ": the host's root is mounted read-only; mount it with '-v /:/host', without ':ro'",
        ),
        (ErrorKind::StorageFull, ": the host's disk is full; free some space"),
    ];
    let hint = HINTS.iter().find(|(kind, _)| *kind == error.kind()).map_or("", |(_, hint)| *hint);
    Stop::refused(format_args!("cannot use {} on the host: {error}{hint}", directory.display()))
}

pub(super) fn unusable_chain(what: &str, error: &anyhow::Error) -> Stop {
    let full = error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::StorageFull);
    let hint = if full { ": the host's disk is full; free some space" } else { "" };
    Stop::refused(format_args!("cannot {what}: {error:#}{hint}"))
}
