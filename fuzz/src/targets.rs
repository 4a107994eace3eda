//! What must hold for any bytes whatsoever: a disk may be damaged, a file may be somebody else's, a tool may have gone
//! wrong. `make fuzz` looks for bytes for which it does not; `cargo test` runs the seeds through the same functions.

use careen_contract::settings::Reboot;
use careen_host::container::own_id;
use careen_host::control::{Decoder, FrameError, Message};
use careen_host::facts::{self, Facts, FactsDiff, Os, Parsed};
use careen_host::journal::{self, Journal, JournalError, Record};
use careen_host::manifest::Manifest;
use careen_host::mountinfo;
use careen_host::outcome::Outcome;
use careen_host::output::{IndexError, IndexReader, MAGIC, RECORD_BYTES, Record as Piece, Room};
use careen_host::transaction::{Action, HostView, Policy, State, TransactionStage, next};

/// A target: it returns when all holds, and panics when something does not.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also that of the directory with its seeds.
pub const ALL: [(&str, Target); 7] = [
    ("journal", journal),
    ("index", index),
    ("manifest", manifest),
    ("control", control),
    ("facts", facts),
    ("packages", packages),
    ("host", host),
];

fn journal(bytes: &[u8]) {
    let journal = match journal::parse(bytes) {
        Ok(journal) => journal,
        Err(error) => return stays_unreadable(bytes, &error),
    };
    // Lines, or a torn line, or no bytes: what is there is never read as absent.
    let told = journal.complete_bytes;
    assert_eq!(journal.lines.is_empty(), told == 0);
    assert_eq!(journal.torn, told < bytes.len() as u64);
    let written: Vec<u8> = journal.lines.iter().flat_map(encoded).collect();
    let Ok(read_again) = journal::parse(&written) else { panic!("what was written cannot be read") };
    assert_eq!(read_again.lines, journal.lines);
    assert!(!read_again.torn);
    for cut in cuts(bytes) {
        a_cut_journal_reads_as_its_complete_lines(&journal, &bytes[..cut]);
    }
    replay(&journal);
}

/// Nothing that is appended mends a journal: a supervisor that came later cannot make it readable by accident.
fn stays_unreadable(bytes: &[u8], error: &JournalError) {
    assert!(!error.to_string().is_empty());
    assert!(journal::parse(&[bytes, b"{}\n"].concat()).is_err());
}

fn encoded(line: &journal::Line) -> Vec<u8> {
    let Ok(bytes) = journal::encode(line.seq, line.at, &line.record) else { panic!("cannot be encoded") };
    bytes
}

fn a_cut_journal_reads_as_its_complete_lines(whole: &Journal, bytes: &[u8]) {
    let Ok(cut) = journal::parse(bytes) else { panic!("a cut made a readable journal unreadable") };
    let complete = bytes.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(cut.lines, whole.lines[..complete]);
    assert_eq!(cut.torn, bytes.last().is_some_and(|last| *last != b'\n'));
}

/// Around the ends of the first lines, and at some places in between.
fn cuts(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    let around_ends: Vec<usize> = ends.take(8).flat_map(|at| [at, at + 1]).collect();
    let step = (bytes.len() / 8).max(1);
    around_ends.into_iter().chain((0..bytes.len()).step_by(step))
}

/// Whatever a journal tells, the supervisor that takes over knows what to do, and may record that it does.
fn replay(journal: &Journal) {
    let mut state = State::default();
    for line in &journal.lines {
        state = match state.step(&line.record) {
            Ok(state) => state,
            Err(illegal) => {
                assert!(!illegal.to_string().is_empty());
                return assert!(State::replay(journal).is_err());
            }
        };
        for bits in 0..=u8::MAX {
            what_is_next_can_be_recorded(&state, bits);
        }
    }
    assert_eq!(State::replay(journal), Ok(state));
}

fn what_is_next_can_be_recorded(state: &State, bits: u8) {
    let bit = |number: u8| bits & (1 << number) != 0;
    let reboot = if bit(0) { Reboot::Wanted } else { Reboot::Never };
    let policy = Policy {
        reboot,
        engine_restart: bit(1),
        idempotent: bit(2),
        has_rollback: bit(3),
        awaits_go: bit(0),
        only_looks: false,
    };
    let host = HostView {
        go: bit(1).then_some(1),
        boot_id: "b".into(),
        engine_up: bit(4),
        called_down: bit(3),
        engine_restart_wanted: bit(5).then(|| "it was replaced".into()),
        reboot_wanted: bit(6).then(|| "a marker says so".into()),
        reboot_wanted_before: bit(7),
    };
    let record = match next(state, &host, policy) {
        Action::Start { phase, attempt } => Record::Starting { phase, attempt, engine_up: host.engine_up },
        Action::RecordInterrupted => Record::Interrupted,
        Action::RestartEngine(why) => Record::RestartingEngine { why },
        Action::Reboot { reason } => Record::Rebooting { reason, from_boot: host.boot_id },
        Action::RebootNow => return,
        Action::RecordRebooted => Record::Rebooted { boot: host.boot_id },
        Action::Close(outcome) => closed(outcome),
        Action::Nothing => {
            let may_not_begin = matches!(
                state.stage,
                TransactionStage::Prepared | TransactionStage::Offered { .. } | TransactionStage::Revoked
            );
            return assert!(may_not_begin || matches!(state.stage, TransactionStage::Closed(_)));
        }
    };
    assert!(state.clone().step(&record).is_ok(), "{} cannot follow {:?}", record.name(), state);
}

fn closed(outcome: Outcome) -> Record {
    assert!(!outcome.to_string().is_empty());
    let (exit_code, notes) = (outcome.exit_code(), Vec::new());
    let result = journal::TransactionResult {
        outcome,
        exit_code,
        output_bytes: 0,
        duration_ms: None,
        notes,
        answer: None,
        changes: None,
    };
    Record::Closed { result }
}

fn index(bytes: &[u8]) {
    let mut reader = IndexReader::default();
    let whole = reader.push(bytes);
    let piece = bytes.get(20).map_or(1, |byte| usize::from(*byte) + 1);
    assert_eq!(in_pieces(bytes, piece).map_err(drop), whole.clone().map_err(drop));
    let Ok(records) = whole else { return };
    let encoded: Vec<u8> = records.iter().flat_map(Piece::encode).collect();
    assert_eq!(encoded, bytes.get(MAGIC.len()..MAGIC.len() + encoded.len()).unwrap_or_default());
    assert_eq!(records.len(), bytes.len().saturating_sub(MAGIC.len()) / RECORD_BYTES);
    assert_eq!(reader.next_offset(), records.last().map_or(0, Piece::end));
    for limit in [0, 1, 65536, 256 << 20, u64::MAX] {
        for record in &records {
            every_byte_has_its_place(Room::of_limit(limit), record, reader.next_offset());
        }
    }
}

fn in_pieces(bytes: &[u8], size: usize) -> Result<Vec<Piece>, IndexError> {
    let mut reader = IndexReader::default();
    let mut records = Vec::new();
    for piece in bytes.chunks(size) {
        records.extend(reader.push(piece)?);
    }
    Ok(records)
}

fn every_byte_has_its_place(room: Room, record: &Piece, written: u64) {
    let length = record.length as usize;
    let first = room.place(record.offset, length).length();
    assert!(first <= length && (first > 0 || length == 0));
    assert!(room.overwritten(record, written) <= u64::from(record.length));
}

fn manifest(bytes: &[u8]) {
    match Manifest::parse(bytes) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(manifest) => {
            let Ok(written) = serde_json::to_vec(&manifest) else { panic!("cannot be written") };
            assert_eq!(Manifest::parse(&written).ok().as_ref(), Some(&manifest));
            let (_, _, _) = (manifest.policy(), manifest.timeout(), manifest.stop_grace_period());
        }
    }
}

fn control(bytes: &[u8]) {
    let whole = Decoder::default().push(bytes);
    let piece = bytes.last().map_or(1, |byte| usize::from(*byte) + 1);
    let mut decoder = Decoder::default();
    let pieces: Result<Vec<Vec<Message>>, FrameError> =
        bytes.chunks(piece).map(|piece| decoder.push(piece)).collect();
    match (whole, pieces) {
        (Ok(whole), Ok(pieces)) => {
            assert_eq!(whole, pieces.concat());
            let frames: Vec<u8> = whole.iter().flat_map(Message::encode).collect();
            assert_eq!(Decoder::default().push(&frames).ok(), Some(whole));
        }
        (Err(whole), Err(pieces)) => assert_eq!(whole.to_string(), pieces.to_string()),
        (whole, pieces) => panic!("{whole:?} at once, {pieces:?} in pieces"),
    }
}

fn facts(bytes: &[u8]) {
    match Facts::parse(bytes) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(facts) => {
            let Ok(written) = serde_json::to_vec(&facts) else { panic!("cannot be written") };
            assert_eq!(Facts::parse(&written).ok().as_ref(), Some(&facts));
            let same = FactsDiff::between(&facts, &facts);
            assert!(same.is_empty(), "{same}");
            let appeared = FactsDiff::between(&Facts::default(), &facts);
            let _ = (appeared.to_string(), FactsDiff::between(&facts, &Facts::default()).to_string());
        }
    }
}

fn packages(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().count();
    for parsed in [facts::parse_dpkg(&text), facts::parse_rpm(&text), facts::parse_apk(&text)] {
        no_more_than_there_is(&parsed, lines);
    }
}

fn no_more_than_there_is(parsed: &Parsed, lines: usize) {
    let packages = &parsed.packages;
    assert!(packages.installed.len() + packages.broken.len() + parsed.not_understood <= lines);
    for (name, version) in &packages.installed {
        assert!(!name.is_empty() && !version.is_empty(), "{name:?} has the version {version:?}");
    }
}

fn host(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    assert!(mountinfo::parse(&text).len() <= text.lines().count());
    if let Some(id) = own_id(&text, &text) {
        assert!(id.len() == 64 && id.is_ascii());
    }
    assert!(!Os::parse(&text).id.is_empty());
    let lines: Vec<&str> = text.lines().take(8).collect();
    let newest =
        facts::newest_kernel(lines.iter().copied(), lines.iter().copied(), lines.first().unwrap_or(&""));
    assert!(newest.is_none_or(|newest| lines.iter().any(|line| line.ends_with(&newest))));
    for one in &lines {
        for other in &lines {
            let both = facts::kernel_is_newer(one, other) && facts::kernel_is_newer(other, one);
            assert!(!both, "{one:?} and {other:?} are newer than each other");
        }
    }
    let _ =
        [facts::version_of_dockerd, facts::version_of_containerd, facts::version_of_runc].map(|of| of(&text));
}
