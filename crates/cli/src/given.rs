//! What hosts are given besides the image: `--env`, `--secret`, `--config` in docker's own words. Pure.

use careen_contract::payload_manifest::PayloadManifest;
use careen_contract::settings::DEFAULT_PAYLOAD;
use careen_contract::variable;
use careen_planner::GivenFile;
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

/// Where secrets without a path of their own lie there.
const SECRETS: &str = "/run/secrets";

/// A secret or a config as the flag names it; its id is not known yet.
pub type Named = GivenFile;

/// A secret or a config that is not written as docker writes it, or has a place that it must not have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFile {
    /// Neither a name nor fields.
    #[error("it is NAME, or source=NAME[,target=PATH][,uid=N][,gid=N][,mode=0444]")]
    Syntax,
    /// `uid` or `gid`.
    #[error("a {field} is a number")]
    #[expect(missing_docs, reason = "the field's name says it")]
    Number { field: &'static str },
    /// No octal number, or one with more than the nine bits of permissions.
    #[error("a mode is octal: 0400")]
    Mode,
    /// A secret among the payload's files.
    #[error(
        "a payload lies on the host's disk, and a secret must not: give it a target outside of {DEFAULT_PAYLOAD}"
    )]
    OnDisk,
}

/// A variable that cannot be given.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum InvalidVariable {
    #[error("'{name}' is no variable's name: it is KEY=VALUE, or KEY for a variable that careen has itself")]
    Name { name: String },
    #[error(
        "{name} is set by careen itself; of its own names only these can be given: {}",
        variable::OPERATORS.join(", ")
    )]
    CareensOwn { name: String },
    #[error("{name} has no value here: it is not in careen's own environment")]
    NoValue { name: String },
    #[error("the value of {name} has a byte that no variable can have")]
    Value { name: String },
    /// A line of `--env-file`, counted from 1.
    #[error("{path}, line {line}: {why}")]
    InFile { path: String, line: usize, why: Box<InvalidVariable> },
}

/// What hosts are to get cannot be understood, or read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum InvalidGiven {
    #[error("no registry has the image, so --with-registry-auth is of no use: hosts have it or do not")]
    InNoRegistry,
    #[error("'{name}' has the same target as another one: give it one of its own")]
    SameTarget { name: String },
    /// A file of `--env-file`.
    #[error("cannot read {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Variable(#[from] InvalidVariable),
}

/// `--secret`: `NAME`, or `source=NAME[,target=…][,uid=…][,gid=…][,mode=…]`.
pub fn secret(text: &str) -> Result<Named, InvalidFile> {
    let file = file(text)?;
    if is_below(&container_path(SECRETS, &file.target), DEFAULT_PAYLOAD) {
        return Err(InvalidFile::OnDisk);
    }
    Ok(file)
}

/// `--config`, in the same syntax.
pub fn config(text: &str) -> Result<Named, InvalidFile> {
    file(text)
}

fn file(text: &str) -> Result<Named, InvalidFile> {
    let mut file = GivenFile {
        id: String::new(),
        name: String::new(),
        target: String::new(),
        uid: "0".to_owned(),
        gid: "0".to_owned(),
        mode: 0o444,
    };
    if !text.contains(['=', ',']) {
        file.name = text.to_owned();
    } else {
        for field in text.split(',') {
            let (key, value) = field.split_once('=').ok_or(InvalidFile::Syntax)?;
            let number = || value.parse::<u32>().map(|number| number.to_string());
            match key.trim().to_ascii_lowercase().as_str() {
                "source" | "src" => file.name = value.to_owned(),
                "target" => file.target = value.to_owned(),
                "uid" => file.uid = number().map_err(|_| InvalidFile::Number { field: "uid" })?,
                "gid" => file.gid = number().map_err(|_| InvalidFile::Number { field: "gid" })?,
                "mode" => file.mode = mode(value)?,
                _ => return Err(InvalidFile::Syntax),
            }
        }
    }
    if file.name.is_empty() || file.name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '/') {
        return Err(InvalidFile::Syntax);
    }
    if file.target.is_empty() {
        file.target = file.name.clone();
    }
    Ok(file)
}

fn mode(text: &str) -> Result<u32, InvalidFile> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
    mode.ok_or(InvalidFile::Mode)
}

/// Two files of a container at one place, where there are two.
pub fn clash<'a>(secrets: &'a [Named], configs: &'a [Named]) -> Option<&'a str> {
    let mut seen = BTreeSet::new();
    let secrets = secrets.iter().map(|file| (container_path(SECRETS, &file.target), file));
    let configs = configs.iter().map(|file| (container_path("", &file.target), file));
    secrets.chain(configs).find(|(path, _)| !seen.insert(path.clone())).map(|(_, file)| file.name.as_str())
}

fn container_path(base: &str, target: &str) -> String {
    if target.starts_with('/') { target.to_owned() } else { format!("{base}/{target}") }
}

fn is_below(path: &str, directory: &str) -> bool {
    path == directory || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

/// The variables of `--env-file` and `--env`, in this order: of two with one name the later one counts. `own` is careen's
/// own environment, for those that are named without a value.
pub fn environment<'a>(
    files: impl IntoIterator<Item = (&'a str, &'a str)>,
    flags: &[String],
    own: impl Fn(&str) -> Option<String>,
) -> Result<Vec<String>, InvalidVariable> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut add = |text: &str| {
        let (name, value) = variable(text, &own)?;
        found.retain(|(other, _)| *other != name);
        found.push((name, value));
        Ok::<_, InvalidVariable>(())
    };
    for (path, text) in files {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_start();
            if !line.is_empty() && !line.starts_with('#') {
                add(line).map_err(|why| InvalidVariable::InFile {
                    path: path.to_owned(),
                    line: number + 1,
                    why: Box::new(why),
                })?;
            }
        }
    }
    flags.iter().try_for_each(|flag| add(flag))?;
    Ok(found.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
}

/// Heeds what a payload says of itself. What the operator has said of the same counts for more.
pub fn heed(environment: &mut Vec<String>, manifest: &PayloadManifest) {
    let said = |name: &str| environment.iter().any(|one| one.split('=').next() == Some(name));
    if manifest.idempotent && !said(variable::IDEMPOTENT) {
        environment.push(format!("{}=1", variable::IDEMPOTENT));
    }
}

fn variable(text: &str, own: impl Fn(&str) -> Option<String>) -> Result<(String, String), InvalidVariable> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text.trim_end(), own(text.trim_end())),
    };
    if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(InvalidVariable::Name { name: name.to_owned() });
    }
    if name.starts_with(variable::PREFIX) && !variable::OPERATORS.contains(&name) {
        return Err(InvalidVariable::CareensOwn { name: name.to_owned() });
    }
    let value = value.ok_or_else(|| InvalidVariable::NoValue { name: name.to_owned() })?;
    if value.contains('\0') {
        return Err(InvalidVariable::Value { name: name.to_owned() });
    }
    Ok((name.to_owned(), value))
}

/// The name of a variable.
pub fn name_of(variable: &str) -> &str {
    variable.split_once('=').map_or(variable, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_configs_are_written_as_for_docker() {
        let simple = secret("db").unwrap();
        assert_eq!((simple.name.as_str(), simple.target.as_str(), simple.mode), ("db", "db", 0o444));
        let long = secret("source=db,target=/etc/app/key,uid=33,gid=34,mode=0400").unwrap();
        assert_eq!(
            (long.target.as_str(), long.uid.as_str(), long.gid.as_str(), long.mode),
            ("/etc/app/key", "33", "34", 0o400)
        );
        assert_eq!(config("src=app.conf").unwrap().target, "app.conf");
        for (text, hint) in [
            ("", "source=NAME"),
            ("db=password", "source=NAME"),
            ("target=x", "source=NAME"),
            ("source=db,mode=9", "octal"),
            ("source=db,mode=04000", "octal"),
            ("source=db,uid=root", "number"),
            ("source=db,file=x", "source=NAME"),
            ("source=db,target=/install/key", "disk"),
        ] {
            assert!(secret(text).unwrap_err().to_string().contains(hint), "{text}");
        }
        assert!(config("source=c,target=/install/data").is_ok());
    }

    #[test]
    fn two_files_at_one_place_are_found() {
        let of = |text: &str| file(text).unwrap();
        assert_eq!(clash(&[of("a"), of("b")], &[of("a")]), None, "/run/secrets/a and /a");
        assert_eq!(clash(&[of("a"), of("source=b,target=a")], &[]), Some("b"));
        assert_eq!(clash(&[of("a")], &[of("source=c,target=/run/secrets/a")]), Some("c"));
    }

    #[test]
    fn variables_come_from_files_flags_and_careens_own_environment() {
        let own = |name: &str| (name == "TOKEN").then(|| "t".to_owned());
        let file = "# comment\n\nA=1\n  B=two words \nTOKEN\n";
        let flags = ["A=3".to_owned(), "C=x=y".to_owned(), "EMPTY=".to_owned()];
        let found = environment([("vars", file)], &flags, own).unwrap();
        assert_eq!(found, ["B=two words ", "TOKEN=t", "A=3", "C=x=y", "EMPTY="]);
        let error = |flag: &str| environment([], &[flag.to_owned()], own).unwrap_err().to_string();
        assert!(error("MISSING").contains("MISSING has no value here"));
        assert!(error("=x").contains("no variable's name"));
        assert!(error("CAREEN_TRANSACTION=x").contains("CAREEN_OUTPUT_LIMIT"));
        assert!(environment([], &["CAREEN_OUTPUT_LIMIT=1MiB".to_owned()], own).is_ok());
        let error = environment([("vars", "A=1\nCAREEN_RUN=2")], &[], own).unwrap_err().to_string();
        assert!(error.starts_with("vars, line 2: CAREEN_RUN"), "{error}");
    }

    #[test]
    fn an_idempotent_payload_may_be_run_again_unless_its_operator_says_no() {
        let idempotent = PayloadManifest { idempotent: true, ..PayloadManifest::default() };
        let heeded = |given: &[&str], manifest| {
            let mut environment = given.iter().map(|one| (*one).to_owned()).collect();
            heed(&mut environment, manifest);
            environment.join(" ")
        };
        assert_eq!(heeded(&["A=1"], &idempotent), "A=1 CAREEN_IDEMPOTENT=1");
        assert_eq!(heeded(&["CAREEN_IDEMPOTENT=0"], &idempotent), "CAREEN_IDEMPOTENT=0");
        assert_eq!(heeded(&["A=1"], &PayloadManifest::default()), "A=1");
    }
}
