//! Calls of apt-get and dpkg. What they say is read by the library.

use super::fail::Fail;
use super::work::Work;
use super::{dpkg_lock, tool};
use crate::apt::{self, Sizes};
use crate::change::Simulation;
use crate::dpkg::{self, Package};
use crate::engine::Engine;
use crate::options::Options;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

/// How dpkg treats a configuration file that somebody changed: it stays, and nobody is asked.
const KEEP_CONFIGURATION: [&str; 2] = ["--force-confdef", "--force-confold"];

/// What of an apt.conf would change the words that are read, or what is done.
const OWN_SETTINGS: [&str; 15] = [
    "Dpkg::Use-Pty=0",
    "Dpkg::Progress-Fancy=0",
    "APT::Color=0",
    "APT::Get::Show-Versions=0",
    "APT::Get::Show-Upgraded=1",
    "APT::Get::Show-User-Simulation-Note=0",
    "APT::Get::Simulate=0",
    "APT::Get::Download-Only=0",
    "APT::Get::Assume-No=0",
    "APT::Get::Print-URIs=0",
    "APT::Get::Trivial-Only=0",
    "APT::Get::AutomaticRemove=0",
    "APT::Get::Purge=0",
    "APT::Get::Remove=1",
    "APT::Cache::AllVersions=1",
];

pub fn installed() -> Result<Vec<Package>, Fail> {
    let format = format!("--showformat={}", dpkg::FORMAT);
    let text = tool::read(tool::command("dpkg-query").args(["--show", &format]), &[])?;
    Ok(dpkg::packages(&text))
}

/// `dpkg --configure -a`.
pub fn configure_all() -> Result<(), Fail> {
    dpkg_lock::wait()?;
    tool::run(tool::command("dpkg").args(KEEP_CONFIGURATION).args(["--configure", "-a"]))
}

/// Whether dpkg was interrupted while it wrote its database: apt does nothing before `dpkg --configure -a`.
pub fn is_interrupted() -> bool {
    let is_number = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    let entries = std::fs::read_dir("/var/lib/dpkg/updates").into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).any(|name| is_number(&name))
}

/// apt-get on a directory of our own.
pub struct Apt<'a> {
    work: &'a Work,
    options: &'a Options,
}

impl<'a> Apt<'a> {
    /// For these options, in this directory.
    pub fn new(work: &'a Work, options: &'a Options) -> Self {
        Self { work, options }
    }

    /// Fetches the lists and sets the pins.
    pub fn refresh(&self, installed: &[Package], engine: &Engine) -> Result<(), Fail> {
        let host = Directories::of_the_host()?;
        self.work.take_lists(&host.lists)?;
        self.work.pin(&host.preferences, &apt::preferences(installed, self.options, engine))?;
        let updated = tool::run_and_keep(self.command().arg("update"));
        updated.map_err(|(fail, said)| match apt::advice(&said) {
            Some(advice) => Fail::Repository(Box::new(fail), advice),
            None => fail,
        })
    }

    /// What would be done. Takes no lock.
    pub fn simulate(&self) -> Result<Simulation, Fail> {
        let verb = self.verb()?;
        let text = tool::read(self.command().arg("--simulate").args(verb), &[])?;
        let mut simulation = apt::simulation(&text);
        if !simulation.removals.is_empty() {
            simulation.replaced = self.replaced(&simulation)?;
        }
        Ok(simulation)
    }

    /// Which of what goes has something in its place. A package that nothing can be said of replaces nothing.
    fn replaced(&self, simulation: &Simulation) -> Result<BTreeSet<String>, Fail> {
        let comes = simulation.changes.iter().map(|change| format!("{}={}", change.name, change.to));
        let mut ask = self.settled("apt-cache");
        ask.arg("show").args(comes);
        Ok(apt::replaced(&tool::read(&mut ask, &[100])?, &simulation.removals))
    }

    /// How much it is. Asked in the words that come before the question, which is answered with no.
    pub fn sizes(&self) -> Result<Sizes, Fail> {
        let mut command = self.command();
        command.args(["-o", "Debug::NoLocking=1", "--assume-no"]).args(self.verb()?);
        Ok(apt::sizes(&tool::read(&mut command, &[1])?))
    }

    pub fn download(&self) -> Result<(), Fail> {
        dpkg_lock::wait()?;
        tool::run(self.command().args(["--assume-yes", "--download-only"]).args(self.verb()?))
    }

    /// Does it. What was fetched is there, and the lists are still those of then, so nothing else comes. (`--no-download`
    /// would say so, but breaks on `file:` sources, in the middle: nobody gives dpkg the path then.) What dpkg had begun when
    /// it fails is finished as far as it can be.
    pub fn install(&self) -> Result<(), Fail> {
        dpkg_lock::wait()?;
        let done = tool::run(self.command().arg("--assume-yes").args(self.verb()?));
        done.inspect_err(|_| drop(configure_all()))
    }

    /// Asked for packages that a host does not have, apt would fail, or do nothing: hosts differ, and this is no reason.
    fn verb(&self) -> Result<Vec<String>, Fail> {
        let mut options = self.options.clone();
        if options.packages.is_empty() {
            return Ok(apt::verb(&options));
        }
        let installed = installed()?;
        let has = |name: &String| {
            let is_it = |one: &Package| one.name == *name || crate::names::plain(&one.name) == name;
            installed.iter().any(|one| one.state != dpkg::State::Absent && !one.is_held && is_it(one))
        };
        options.packages.retain(has);
        let words = apt::verb(&options);
        // With no package left it would be all of them.
        Ok(if options.packages.is_empty() {
            ["install", "--only-upgrade"].map(str::to_owned).to_vec()
        } else {
            words
        })
    }

    fn command(&self) -> Command {
        let mut command = self.settled("apt-get");
        command.arg("--quiet");
        command
    }

    /// A program of apt's with our directory, and with whatever changes its words or its doing as we want it: the host's own
    /// apt.conf may say anything.
    fn settled(&self, program: &str) -> Command {
        let work = self.work;
        let mut command = tool::command(program);
        let settings = [
            format!("Dir::State::lists={}", work.lists().display()),
            format!("Dir::Cache::archives={}", work.archives().display()),
            format!("Dir::Etc::preferencesparts={}", work.preferences().display()),
            // The host's own would be thrown away and made again for our lists, and once more for its own.
            "Dir::Cache::pkgcache=".to_owned(),
            "Dir::Cache::srcpkgcache=".to_owned(),
            format!("DPkg::Lock::Timeout={}", dpkg_lock::LIMIT.as_secs()),
            "APT::Update::Error-Mode=any".to_owned(),
            "Acquire::Retries=3".to_owned(),
        ];
        let own = OWN_SETTINGS.map(str::to_owned);
        let keep = KEEP_CONFIGURATION.map(|option| format!("Dpkg::Options::={option}"));
        for setting in settings.iter().chain(&own).chain(&keep) {
            command.args(["-o", setting]);
        }
        command
    }
}

/// Where the host's apt has its things.
struct Directories {
    lists: PathBuf,
    preferences: PathBuf,
}

impl Directories {
    fn of_the_host() -> Result<Self, Fail> {
        let ask = ["shell", "LISTS", "Dir::State::lists/d", "PINS", "Dir::Etc::preferencesparts/d"];
        let text = tool::read(tool::command("apt-config").args(ask), &[])?;
        let of = |name: &str, default: &str| {
            let value =
                text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("='")?.strip_suffix('\''));
            PathBuf::from(value.unwrap_or(default))
        };
        Ok(Self {
            lists: of("LISTS", "/var/lib/apt/lists"),
            preferences: of("PINS", "/etc/apt/preferences.d"),
        })
    }
}
