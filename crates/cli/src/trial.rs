//! `careen try`: a command of a payload on the host of the asked engine, for its author. There is no rollout, and no swarm is needed: a
//! container of careen's image with the payload in it, as `docker run --rm -v /:/host IMAGE COMMAND` is one.

use crate::args::{Format, TryArgs};
use crate::backend::Stream;
use crate::carried::own_image;
use crate::console::Console;
use crate::delivery;
use crate::error::Failure;
use crate::exit::Exit;
use crate::file::payload;
use crate::given::{self, InvalidGiven};
use crate::render::notes::Question;
use crate::render::print;
use crate::render::trial::{Beside, Printed, Tried};
use careen_contract::payload::{CHECK_COMMAND, HELP_COMMAND, check_name, takes_host_lock};
use careen_contract::settings::DEFAULT_PAYLOAD;
use careen_contract::{TransactionId, chain, label, variable};
use careen_engine::frames::{STDERR, STDOUT, each_frame};
use careen_engine::tar::Archive;
use careen_engine::{ApiPath, Engine, EngineError, LogQuery, Source};
use careen_swarm::PayloadFile;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufReader, Read};
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// Who waits for output looks so often whether Ctrl-C was pressed.
const LOOK: Duration = Duration::from_millis(100);

/// A command may run as long as it likes; the engine's client wants to know how long.
const NO_LIMIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// So long an engine may be away that was restarted meanwhile, and so often it is asked.
const ENGINE_BACK: Duration = Duration::from_secs(60);
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// What ended so long ago is read by nobody any more.
const LEFT_BEHIND: SignedDuration = SignedDuration::from_mins(10);

/// How much of a line is held until it ends.
const LONGEST_LINE: usize = 64 << 10;

/// What the log of the container may take on the host's disk: the agent keeps the whole output beside it.
const LOG_SIZE: &str = "64m";

/// The signal with which an agent stops its command.
const STOP: &str = "SIGINT";

/// Everything that is known before the engine is asked for anything.
struct Trial<'a> {
    args: &'a TryArgs,
    command: String,
    files: Vec<PayloadFile>,
    environment: Vec<String>,
}

/// Tries a payload, and ends as its command does.
pub fn try_payload(
    engine: &Engine,
    args: &TryArgs,
    format: Format,
    console: &mut impl Console,
) -> Result<Exit, Failure> {
    let trial = Trial::of(args, console.random()?)?;
    let image = args.image.clone().unwrap_or_else(own_image);
    let not_tried = |source| Failure::NotTried { image: image.clone(), source };
    if engine.find::<Value>(&ApiPath::image(&image)).map_err(not_tried)?.is_none() {
        return Err(Failure::NoOwnImage { image });
    }
    let host = engine.info().map_err(not_tried)?.name;
    trial.may_run(&host, console)?;
    remove_what_was_left(engine);
    let container = trial.create(engine, &image).map_err(not_tried)?;
    let (container, command) = (container.as_str(), trial.command.as_str());
    let mut running = Running { engine, container, command, format, console, stopping: false };
    let ended = running.run(&image);
    running.remove()?;
    let exit = ended?;
    print(&Tried { command, host: &host, exit }, format, console)?;
    Ok(Exit::OfCommand(exit))
}

impl<'a> Trial<'a> {
    /// Looks at the payload as a rollout of it would.
    fn of(args: &'a TryArgs, random: [u8; 8]) -> Result<Self, Failure> {
        let directory = args.dir.as_path();
        let command = command(directory, args.command.as_deref())?;
        // A text explains a payload without being executable.
        let to_run = (command != HELP_COMMAND).then_some(command.as_str());
        let files = delivery::directory(directory, to_run)?;
        let own = |name: &str| std::env::var(name).ok();
        let mut environment = given::environment([], &args.environment, own).map_err(InvalidGiven::from)?;
        if let Some(manifest) = payload::beside(directory)? {
            given::heed(&mut environment, &manifest);
        }
        environment.push(format!("{}={}", variable::TRANSACTION, transaction(random)?));
        Ok(Self { args, command, files, environment })
    }

    /// What only looks needs no question.
    fn may_run(&self, host: &str, console: &mut impl Console) -> Result<(), Failure> {
        if self.args.yes || !takes_host_lock(&self.command) {
            return Ok(());
        }
        let question = Question::Try { command: &self.command, host };
        match console.ask(&question.to_string())? {
            Some(true) => Ok(()),
            Some(false) => Err(Failure::Declined),
            None => Err(Failure::NobodyToAskAboutTry { command: self.command.clone() }),
        }
    }

    /// A container that has the payload, and was not started.
    fn create(&self, engine: &Engine, image: &str) -> Result<String, EngineError> {
        let words: Vec<&str> =
            [&self.command].into_iter().chain(&self.args.args).map(String::as_str).collect();
        let container = engine.create_container(&json!({
            "Image": image,
            "User": "0:0",
            "Cmd": words,
            "Env": self.environment,
            "Labels": { label::ROLE: label::role::TRY },
            "HostConfig": {
                "Binds": ["/:/host"],
                "LogConfig": { "Type": "json-file", "Config": { "max-size": LOG_SIZE } },
            },
        }))?;
        match engine.put_archive(&container, &archive(&self.files)) {
            Ok(()) => Ok(container),
            Err(error) => {
                // The first error says more.
                let _best_effort = engine.remove_container(&container);
                Err(error)
            }
        }
    }
}

/// An id of its own, so that what is tried twice runs twice.
fn transaction(random: [u8; 8]) -> Result<TransactionId, Failure> {
    let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let id = TransactionId::parse(&format!("try-{text}"));
    // A text that is none would be a defect of this line.
    id.map_err(|invalid| Failure::Output(io::Error::other(invalid)))
}

/// The command that is meant, if the payload has it.
fn command(directory: &Path, named: Option<&str>) -> Result<String, Failure> {
    let payload = directory.display().to_string();
    let cannot = |why: &str| Failure::CannotTry { payload: payload.clone(), why: why.to_owned() };
    let metadata = fs::metadata(directory).map_err(|error| cannot(&format!("cannot be read: {error}")))?;
    if !metadata.is_dir() {
        return Err(cannot("is no directory: a payload is one, with a file for each command"));
    }
    let name = named.unwrap_or(CHECK_COMMAND);
    if fs::symlink_metadata(directory.join(name)).is_ok() {
        return Ok(name.to_owned());
    }
    let commands = commands(directory).map_err(|error| cannot(&format!("cannot be read: {error}")))?;
    Err(match named {
        None => Failure::NothingToTry { payload, commands },
        Some(_) if commands.is_empty() => cannot("has no command: none of its files is executable"),
        Some(name) => cannot(&format!("has no command '{name}': it has {}", commands.join(", "))),
    })
}

/// The commands of a directory, as the agent lists them.
fn commands(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let is_command = fs::metadata(entry.path())
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_command && check_name(&name).is_ok() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// The files, with the directories above them: what unpacks them may give those no bits at all.
fn archive(files: &[PayloadFile]) -> Vec<u8> {
    const DIRECTORY_MODE: u32 = 0o755;
    let above = |file: &PayloadFile| {
        let above =
            Path::new(&file.target).ancestors().skip(1).filter(|path| path.starts_with(DEFAULT_PAYLOAD));
        above.map(|path| path.display().to_string()).collect::<Vec<_>>()
    };
    let directories: BTreeSet<String> = files.iter().flat_map(above).collect();
    let archive =
        directories.iter().fold(Archive::default(), |archive, path| archive.directory(path, DIRECTORY_MODE));
    files.iter().fold(archive, |archive, file| archive.file(&file.target, file.mode, &file.content)).finish()
}

/// A `careen try` that was killed has left its container. One that has just ended may be another one's that still reads it.
fn remove_what_was_left(engine: &Engine) {
    let role = format!("{}={}", label::ROLE, label::role::TRY);
    let filters = json!({ "label": [role], "status": ["exited", "dead"] });
    let listed: Vec<Value> = engine.get(&ApiPath::containers(&filters)).unwrap_or_default();
    let Ok(info) = engine.get::<Value>(&ApiPath::info()) else { return };
    let Some(now) = time(info.get("SystemTime")) else { return };
    for id in listed.iter().filter_map(|one| one.get("Id")?.as_str()) {
        let container: Value = engine.get(&ApiPath::container(id)).unwrap_or_default();
        let ended = time(container.pointer("/State/FinishedAt"));
        if ended.is_some_and(|ended| now.duration_since(ended) > LEFT_BEHIND) {
            // In nobody's way.
            let _best_effort = engine.remove_container_if_there(id);
        }
    }
}

fn time(text: Option<&Value>) -> Option<Timestamp> {
    text?.as_str()?.parse().ok()
}

/// A container that runs.
struct Running<'a, C> {
    engine: &'a Engine,
    container: &'a str,
    command: &'a str,
    format: Format,
    console: &'a mut C,
    /// Whether its command was told to stop.
    stopping: bool,
}

/// What is read of its log.
enum LogNews {
    Line(Stream, String),
    /// There is no more, or it cannot be read.
    Over(io::Result<()>),
}

impl<C: Console> Running<'_, C> {
    /// Starts it, shows what it prints, and says what it ended with.
    fn run(&mut self, image: &str) -> Result<u8, Failure> {
        self.console.catch_interrupts()?;
        let not_tried = |source| Failure::NotTried { image: image.to_owned(), source };
        self.engine.start_container(self.container).map_err(not_tried)?;
        let shown = self.show_what_it_prints();
        let exit = self.end();
        shown.and(exit)
    }

    /// Until its log ends. When nobody can be shown anything any more the command is stopped, as by Ctrl-C.
    fn show_what_it_prints(&mut self) -> Result<(), Failure> {
        let (sender, receiver) = channel();
        let (engine, container) = (self.engine, self.container);
        let mut shown = Ok(());
        thread::scope(|scope| {
            scope.spawn(move || follow(engine, container, &sender));
            loop {
                match receiver.recv_timeout(LOOK) {
                    Ok(LogNews::Line(stream, text)) if shown.is_ok() => {
                        shown = print(&Printed { stream, text: &text }, self.format, self.console);
                        if shown.is_err() {
                            self.stop();
                        }
                    }
                    Ok(LogNews::Line(..)) | Err(RecvTimeoutError::Timeout) => {}
                    Ok(LogNews::Over(read)) => {
                        if let (Err(error), true) = (read, shown.is_ok()) {
                            let why = error.to_string();
                            shown = print(&Beside::NoOutput { why: &why }, self.format, self.console);
                        }
                        return;
                    }
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                self.heed_interrupts(&mut shown);
            }
        });
        shown
    }

    fn heed_interrupts(&mut self, shown: &mut Result<(), Failure>) {
        if !self.console.interrupted() || self.stopping {
            return;
        }
        if shown.is_ok() {
            *shown = print(&Beside::Stopping { command: self.command }, self.format, self.console);
        }
        self.stop();
    }

    /// Tells its agent to stop the command. A container that has ended is told nothing.
    fn stop(&mut self) {
        self.stopping = true;
        let _has_ended = self.engine.kill_container(self.container, STOP);
    }

    /// What it ended with. Its engine may be restarted by what is tried.
    fn end(&mut self) -> Result<u8, Failure> {
        let mut unheard = Duration::ZERO;
        loop {
            match self.engine.ended(self.container) {
                Ok(Some(exit)) => return Ok(exit),
                Ok(None) => unheard = Duration::ZERO,
                Err(source) if unheard >= ENGINE_BACK || source.is_not_found() => {
                    return Err(Failure::TryUnheard { command: self.command.to_owned(), source });
                }
                Err(_) => unheard += ASK_AGAIN,
            }
            if self.console.interrupted() && !self.stopping {
                self.stop();
            }
            thread::sleep(ASK_AGAIN);
        }
    }

    fn remove(&mut self) -> Result<(), Failure> {
        let Err(error) = self.engine.remove_container_if_there(self.container) else { return Ok(()) };
        let container = self.container.get(..12).unwrap_or(self.container);
        print(&Beside::ContainerStays { container, why: &chain(&error) }, self.format, self.console)
    }
}

/// Reads the log to its end. Who hears it may have gone.
fn follow(engine: &Engine, container: &str, sender: &Sender<LogNews>) {
    let query = LogQuery { stdout: true, follow: true, ..LogQuery::default() };
    let read = engine
        .reader_within(&ApiPath::logs(Source::Container(container), query), NO_LIMIT)
        .map_err(io::Error::other)
        .and_then(|log| each_line(log, |stream, line| sender.send(LogNews::Line(stream, line)).is_ok()));
    let _nobody_hears = sender.send(LogNews::Over(read));
}

/// Gives each line of a log, the two streams apart, until `each` does not want more. What is not ended at the end is a line, too.
fn each_line(log: impl Read, mut each: impl FnMut(Stream, String) -> bool) -> io::Result<()> {
    let mut open = [Vec::new(), Vec::new()];
    let mut goes_on = true;
    let mut give = |stream, line: &mut Vec<u8>| {
        let text = String::from_utf8_lossy(line).into_owned();
        line.clear();
        each(stream, text)
    };
    each_frame(BufReader::new(log), |stream, body| {
        let (stream, line) = match stream {
            STDOUT => (Stream::Stdout, &mut open[0]),
            STDERR => (Stream::Stderr, &mut open[1]),
            _ => return Ok(ControlFlow::Continue(())),
        };
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes)?;
        for byte in bytes {
            if byte != b'\n' {
                line.push(byte);
            }
            if goes_on && (byte == b'\n' || line.len() >= LONGEST_LINE) {
                goes_on = give(stream, line);
            }
        }
        Ok(if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    for (stream, line) in [Stream::Stdout, Stream::Stderr].into_iter().zip(&mut open) {
        if goes_on && !line.is_empty() {
            goes_on = give(stream, line);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: u8, text: &str) -> Vec<u8> {
        [&[stream, 0, 0, 0][..], &(text.len() as u32).to_be_bytes(), text.as_bytes()].concat()
    }

    #[test]
    fn lines_of_both_streams_are_put_together_and_none_is_held_for_ever() {
        let long = "x".repeat(LONGEST_LINE + 1);
        let log = [
            frame(1, "one\ntw"),
            frame(2, "careen: it runs\n"),
            frame(1, "o\n\n"),
            frame(2, &long),
            frame(1, "not ended"),
        ];
        let mut lines = Vec::new();
        let read = each_line(&log.concat()[..], |stream, line| {
            lines.push((stream, line));
            true
        });
        read.unwrap();
        let told: Vec<(Stream, usize)> = lines.iter().map(|(stream, line)| (*stream, line.len())).collect();
        let (out, err) = (Stream::Stdout, Stream::Stderr);
        assert_eq!(told, [(out, 3), (err, 15), (out, 3), (out, 0), (err, LONGEST_LINE), (out, 9), (err, 1)]);
        assert_eq!(lines[2].1, "two");
        let mut few = 0;
        each_line(&log.concat()[..], |_, _| {
            few += 1;
            few < 2
        })
        .unwrap();
        assert_eq!(few, 2);
    }
}
