//! What the operator asked for. The command line writes it as arguments, and every command of the payload reads it.

use crate::names;

/// What is to be upgraded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// `--engine`: the packages of the container engine, too.
    pub engine: bool,
    /// `--security-only`: nothing but what a security archive has.
    pub security_only: bool,
    /// `--package NAME`: these alone, and what they need.
    pub packages: Vec<String>,
    /// `--experimental`: also where it was not tried on real hosts.
    pub experimental: bool,
    /// `--allow-removal NAME`: this package may go although nothing takes its place.
    pub may_go: Vec<String>,
    /// `--allow-removals`: any may, but those that a host cannot do without.
    pub any_may_go: bool,
}

/// Why the arguments were refused. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOptions {
    /// Not one of ours.
    #[error(
        "'{0}' is not understood: use --engine, --security-only, --package NAME, --allow-removal NAME, --allow-removals or \
         --experimental"
    )]
    Unknown(String),
    /// `--package` and nothing behind it.
    #[error("{0} wants a package's name")]
    NoName(&'static str),
    /// A name that no distribution would give.
    #[error("'{}' is no package's name", .0.escape_default())]
    Name(String),
    /// A package of the engine without `--engine`.
    #[error("{0} belongs to the container engine: say --engine, too")]
    Engine(String),
}

const PACKAGE: &str = "--package";
const MAY_GO: &str = "--allow-removal";

impl Options {
    /// Reads the arguments of a command.
    pub fn parse<I: IntoIterator<Item = String>>(args: I) -> Result<Self, InvalidOptions> {
        let mut options = Self::default();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--engine" => options.engine = true,
                "--security-only" => options.security_only = true,
                "--experimental" => options.experimental = true,
                "--allow-removals" => options.any_may_go = true,
                PACKAGE => options.packages.push(args.next().ok_or(InvalidOptions::NoName(PACKAGE))?),
                MAY_GO => options.may_go.push(args.next().ok_or(InvalidOptions::NoName(MAY_GO))?),
                other => match other.split_once('=') {
                    Some((PACKAGE, name)) => options.packages.push(name.to_owned()),
                    Some((MAY_GO, name)) => options.may_go.push(name.to_owned()),
                    Some(_) | None => return Err(InvalidOptions::Unknown(arg)),
                },
            }
        }
        options.check()
    }

    /// Refuses what contradicts itself.
    pub fn check(self) -> Result<Self, InvalidOptions> {
        if let Some(bad) = self.packages.iter().chain(&self.may_go).find(|name| !is_name(name)) {
            return Err(InvalidOptions::Name(bad.clone()));
        }
        let engine = self.packages.iter().find(|name| names::is_engine(name));
        match engine.filter(|_| !self.engine) {
            Some(name) => Err(InvalidOptions::Engine(name.clone())),
            None => Ok(self),
        }
    }

    /// The arguments that [`Options::parse`] reads.
    pub fn to_args(&self) -> Vec<String> {
        let flags = [
            (self.engine, "--engine"),
            (self.security_only, "--security-only"),
            (self.experimental, "--experimental"),
            (self.any_may_go, "--allow-removals"),
        ];
        let flags = flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag.to_owned());
        let named = |flag: &'static str, names: &[String]| {
            names.iter().flat_map(|name| [flag.to_owned(), name.clone()]).collect::<Vec<_>>()
        };
        flags.chain(named(PACKAGE, &self.packages)).chain(named(MAY_GO, &self.may_go)).collect()
    }
}

/// Nothing that a package manager would take for an option, a version, a pattern or an order to remove (`name-`).
fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "+-._:".contains(c);
    let ends_well = !name.ends_with(['-', '+']) || name.ends_with("++");
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(allowed) && ends_well
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &str) -> Result<Options, InvalidOptions> {
        Options::parse(args.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn what_is_written_is_read_again() {
        let options = Options {
            engine: true,
            security_only: true,
            packages: vec!["openssl".into(), "g++".into(), "libc6:i386".into()],
            experimental: true,
            may_go: vec!["keepalived".into()],
            any_may_go: true,
        };
        assert_eq!(Options::parse(options.to_args()), Ok(options));
        assert_eq!(parse("--allow-removal=nfs-common").unwrap().may_go, ["nfs-common"]);
        assert_eq!(parse(""), Ok(Options::default()));
        assert_eq!(parse("--package=vim").unwrap().packages, ["vim"]);
    }

    #[test]
    fn what_apt_would_take_for_something_else_is_refused() {
        for name in ["docker.io-", "vim+", "vim=1", "-o", "vim/stable", "*", "a b", ""] {
            let args = ["--package".to_owned(), name.to_owned()];
            assert_eq!(Options::parse(args), Err(InvalidOptions::Name(name.to_owned())), "{name}");
        }
        assert_eq!(parse("--package"), Err(InvalidOptions::NoName("--package")));
        assert_eq!(parse("--allow-removal"), Err(InvalidOptions::NoName("--allow-removal")));
        assert_eq!(parse("--allow-removal vim-"), Err(InvalidOptions::Name("vim-".into())));
        assert_eq!(parse("--all"), Err(InvalidOptions::Unknown("--all".into())));
    }

    #[test]
    fn the_engines_packages_want_their_flag() {
        assert_eq!(parse("--package runc"), Err(InvalidOptions::Engine("runc".into())));
        assert!(parse("--package runc --engine").is_ok());
    }
}
