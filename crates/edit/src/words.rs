//! The words of a call: `careen-agent file` and `careen-agent json-merge`.

use crate::owner::{Owner, OwnerError};
use thiserror::Error;

/// What is appended to a path for its backup, unless another suffix is given.
pub const BACKUP_SUFFIX: &str = ".before-careen";

/// Exit codes that have a meaning of their own: an error, drift, a failed validation.
const TAKEN_EXITS: [u8; 3] = [1, 2, 3];

/// What both helpers are told about the file that they are to change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// The file.
    pub path: String,
    /// Nothing is changed, only told.
    pub check: bool,
    /// Its permission bits.
    pub mode: Option<u32>,
    /// Whose it is.
    pub owner: Option<Owner>,
    /// The suffix of the backup of what is replaced.
    pub backup: Option<String>,
    /// What has to accept the new content before it replaces anything.
    pub validate: Option<Validation>,
    /// A link in the place of the file is followed.
    pub follow: bool,
    /// The difference is not shown: it has secrets.
    pub no_diff: bool,
    /// The exit code where something was changed.
    pub changed_exit: u8,
}

/// What the file is to contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// What it has now.
    Kept,
    /// This text.
    Text(String),
    /// What is read elsewhere.
    From(ReadFrom),
}

/// Where something is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadFrom {
    /// Standard input.
    Stdin,
    /// A file.
    File(String),
}

/// `careen-agent file`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileWords {
    /// The file.
    pub target: Target,
    /// What it is to contain.
    pub content: Content,
}

/// `careen-agent json-merge`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeWords {
    /// The file.
    pub target: Target,
    /// What is merged into it.
    pub patch: ReadFrom,
    /// The keys that change are printed instead of the difference.
    pub changed_keys: bool,
}

/// A command that looks at a file; `%s` is the file's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validation {
    text: String,
}

/// Why a call was not understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WordsError {
    /// There is no such option.
    #[error("there is no option '{option}'")]
    Unknown {
        /// The option.
        option: String,
    },
    /// An option without its value.
    #[error("{option} needs a value")]
    NoValue {
        /// The option.
        option: &'static str,
    },
    /// An option that has none, with a value.
    #[error("{option} takes no value")]
    Value {
        /// The option.
        option: &'static str,
    },
    /// Twice the same.
    #[error("{option} is given twice")]
    Twice {
        /// The option.
        option: &'static str,
    },
    /// Both would be the content.
    #[error("--src and --content cannot be used together: both are the content")]
    TwoContents,
    /// Nothing would be done.
    #[error("nothing is wanted of the file: give --src or --content, --mode or --owner")]
    Nothing,
    /// No mode.
    #[error("'{text}' is no mode: write it in octal digits, as 0644")]
    Mode {
        /// As it was given.
        text: String,
    },
    /// No owner.
    #[error(transparent)]
    Owner(#[from] OwnerError),
    /// No suffix.
    #[error("'{text}' is no suffix of a backup: it must not be empty and has no '/'")]
    Suffix {
        /// As it was given.
        text: String,
    },
    /// The command would not see the new content.
    #[error("--validate has no %s: it stands for the file that has the new content")]
    NoPlace,
    /// No exit code.
    #[error("'{text}' cannot be --changed-exit: write a number from 4 to 125, or 0")]
    Exit {
        /// As it was given.
        text: String,
    },
    /// Too few or too many words without a dash.
    #[error("{wanted}: {found} were given")]
    Operands {
        /// What they are to be.
        wanted: &'static str,
        /// How many came.
        found: usize,
    },
    /// An empty word where a path belongs.
    #[error("a path is empty: is a variable of the script not set?")]
    EmptyPath,
}

/// The words of `careen-agent file`, without these two.
pub fn file(words: &[String]) -> Result<FileWords, WordsError> {
    let (mut target, mut content, mut operands) = (Target::default(), None, Vec::new());
    let mut seen = Vec::new();
    let mut words = Words { words: words.iter() };
    while let Some(word) = words.next() {
        let given = match word {
            Word::Operand(operand) => {
                operands.push(operand);
                continue;
            }
            Word::Option(given) => given,
        };
        let another = match given.name {
            "--src" => Content::From(read_from(&words.value(&given, "--src")?)?),
            "--content" => Content::Text(words.value(&given, "--content")?),
            _ => {
                common(&mut target, &given, &mut words, &mut seen)?;
                continue;
            }
        };
        if content.replace(another).is_some() {
            return Err(WordsError::TwoContents);
        }
    }
    let [path] = operands.as_slice() else {
        return Err(WordsError::Operands { wanted: "one PATH is needed", found: operands.len() });
    };
    target.path = path_of(path)?;
    let content = content.unwrap_or(Content::Kept);
    if content == Content::Kept && target.mode.is_none() && target.owner.is_none() {
        return Err(WordsError::Nothing);
    }
    Ok(FileWords { target, content })
}

/// The words of `careen-agent json-merge`, without these two.
pub fn json_merge(words: &[String]) -> Result<MergeWords, WordsError> {
    let (mut target, mut changed_keys, mut operands) = (Target::default(), false, Vec::new());
    let mut seen = Vec::new();
    let mut words = Words { words: words.iter() };
    while let Some(word) = words.next() {
        match word {
            Word::Operand(operand) => operands.push(operand),
            Word::Option(given) if given.name == "--changed-keys" => {
                given.alone("--changed-keys")?;
                changed_keys = true;
            }
            Word::Option(given) => common(&mut target, &given, &mut words, &mut seen)?,
        }
    }
    let [path, patch] = operands.as_slice() else {
        return Err(WordsError::Operands { wanted: "PATH and PATCH are needed", found: operands.len() });
    };
    target.path = path_of(path)?;
    Ok(MergeWords { target, patch: read_from(patch)?, changed_keys })
}

/// One option that both have.
fn common(
    target: &mut Target,
    given: &Given<'_>,
    words: &mut Words<'_>,
    seen: &mut Vec<&'static str>,
) -> Result<(), WordsError> {
    const ALL: [&str; 8] =
        ["--check", "--mode", "--owner", "--backup", "--validate", "--follow", "--no-diff", "--changed-exit"];
    let Some(name) = ALL.into_iter().find(|name| *name == given.name) else {
        return Err(WordsError::Unknown { option: given.name.to_owned() });
    };
    if seen.contains(&name) {
        return Err(WordsError::Twice { option: name });
    }
    seen.push(name);
    match name {
        "--check" => given.alone(name).map(|()| target.check = true)?,
        "--follow" => given.alone(name).map(|()| target.follow = true)?,
        "--no-diff" => given.alone(name).map(|()| target.no_diff = true)?,
        "--mode" => target.mode = Some(mode(&words.value(given, name)?)?),
        "--owner" => target.owner = Some(Owner::parse(&words.value(given, name)?)?),
        "--backup" => target.backup = Some(suffix(given.value.unwrap_or(BACKUP_SUFFIX))?),
        "--validate" => target.validate = Some(Validation::parse(&words.value(given, name)?)?),
        _ => target.changed_exit = changed_exit(&words.value(given, name)?)?,
    }
    Ok(())
}

enum Word<'a> {
    Option(Given<'a>),
    Operand(&'a str),
}

struct Given<'a> {
    name: &'a str,
    value: Option<&'a str>,
}

impl Given<'_> {
    fn alone(&self, option: &'static str) -> Result<(), WordsError> {
        if self.value.is_some() { Err(WordsError::Value { option }) } else { Ok(()) }
    }
}

struct Words<'a> {
    words: std::slice::Iter<'a, String>,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<Word<'a>> {
        let word = self.words.next()?;
        if word == "--" {
            // What follows is no option, whatever it begins with: of two operands the first begins rarely with a dash.
            return self.words.next().map(|word| Word::Operand(word));
        }
        if !word.starts_with("--") {
            return Some(Word::Operand(word));
        }
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word.as_str(), None),
        };
        Some(Word::Option(Given { name, value }))
    }

    /// `--option=VALUE` or `--option VALUE`.
    fn value(&mut self, given: &Given<'_>, option: &'static str) -> Result<String, WordsError> {
        let value = given.value.map(str::to_owned).or_else(|| self.words.next().cloned());
        value.ok_or(WordsError::NoValue { option })
    }
}

fn path_of(word: &str) -> Result<String, WordsError> {
    if word.is_empty() { Err(WordsError::EmptyPath) } else { Ok(word.to_owned()) }
}

fn read_from(word: &str) -> Result<ReadFrom, WordsError> {
    if word == "-" { Ok(ReadFrom::Stdin) } else { path_of(word).map(ReadFrom::File) }
}

fn mode(text: &str) -> Result<u32, WordsError> {
    let is_octal = (1..=5).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| is_octal && *mode <= 0o7777);
    mode.ok_or_else(|| WordsError::Mode { text: text.to_owned() })
}

fn suffix(text: &str) -> Result<String, WordsError> {
    let is_one = !text.is_empty() && !text.contains(['/', '\0']);
    if is_one { Ok(text.to_owned()) } else { Err(WordsError::Suffix { text: text.to_owned() }) }
}

fn changed_exit(text: &str) -> Result<u8, WordsError> {
    let code = text.parse().ok().filter(|code| *code <= 125 && !TAKEN_EXITS.contains(code));
    code.ok_or_else(|| WordsError::Exit { text: text.to_owned() })
}

impl Validation {
    /// `CMD %s`, for the shell. `%%` is a percent sign.
    pub fn parse(text: &str) -> Result<Self, WordsError> {
        if text.replace("%%", "").contains("%s") {
            Ok(Self { text: text.to_owned() })
        } else {
            Err(WordsError::NoPlace)
        }
    }

    /// The command for the shell, with a file's path in it.
    pub fn command(&self, path: &str) -> String {
        let quoted = format!("'{}'", path.replace('\'', r"'\''"));
        let parts = self.text.split("%%").map(|part| part.replace("%s", &quoted));
        parts.collect::<Vec<_>>().join("%")
    }

    /// As it was given, for people.
    pub fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    fn refused(line: &str) -> String {
        file(&words(line)).unwrap_err().to_string()
    }

    #[test]
    fn all_options_of_file_are_understood_in_both_spellings() {
        let line = "--check --mode 0640 --owner=bob:adm --backup --follow --no-diff --changed-exit 10 --src - /etc/x";
        let FileWords { target, content } = file(&words(line)).unwrap();
        assert_eq!(content, Content::From(ReadFrom::Stdin));
        assert!(target.check && target.follow && target.no_diff);
        assert_eq!((target.path.as_str(), target.mode, target.changed_exit), ("/etc/x", Some(0o640), 10));
        assert_eq!(target.backup.as_deref(), Some(BACKUP_SUFFIX));
        assert_eq!(target.owner, Some(Owner::parse("bob:adm").unwrap()));
        let words = file(&words("--backup=.old --content=a=b -- --x")).unwrap();
        assert_eq!(words.content, Content::Text("a=b".into()));
        assert_eq!((words.target.backup.as_deref(), words.target.path.as_str()), (Some(".old"), "--x"));
    }

    #[test]
    fn a_merge_has_two_operands() {
        let merge = json_merge(&words("--check --changed-keys /etc/a.json patch.json")).unwrap();
        assert!(merge.target.check && merge.changed_keys);
        assert_eq!(merge.patch, ReadFrom::File("patch.json".into()));
        for line in ["/etc/a.json", "a b c"] {
            assert!(matches!(json_merge(&words(line)), Err(WordsError::Operands { .. })), "{line}");
        }
        assert_eq!(json_merge(&[]).unwrap_err().to_string(), "PATH and PATCH are needed: 0 were given");
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, part) in [
            ("--moed 1 /x", "there is no option '--moed'"),
            ("--changed-keys --mode 1 /x", "there is no option '--changed-keys'"),
            ("/x", "nothing is wanted of the file"),
            ("--mode 0644", "one PATH is needed: 0 were given"),
            ("--mode 0644 /x /y", "one PATH is needed: 2 were given"),
            ("--mode u+x /x", "'u+x' is no mode"),
            ("--mode 77777 /x", "'77777' is no mode"),
            ("--mode 0644 --mode 0600 /x", "--mode is given twice"),
            ("--src a --content b /x", "cannot be used together"),
            ("--src a --backup= /x", "'' is no suffix"),
            ("--src a --backup=/y /x", "'/y' is no suffix"),
            ("--src a --changed-exit 2 /x", "'2' cannot be --changed-exit"),
            ("--src a --check=yes /x", "--check takes no value"),
            ("--src a --owner : /x", "':' is no owner"),
            ("/x --src", "--src needs a value"),
            ("--src a --validate true /x", "--validate has no %s"),
        ] {
            let found = refused(line);
            assert!(found.contains(part), "{line}: {found}");
        }
        let empty = ["--src".to_owned(), "a".to_owned(), String::new()];
        assert_eq!(file(&empty), Err(WordsError::EmptyPath));
    }

    #[test]
    fn a_validation_gets_the_path_as_one_word_whatever_is_in_it() {
        let validation = Validation::parse("date +%%s; visudo -cf %s").unwrap();
        assert_eq!(validation.command("/etc/it's"), r"date +%s; visudo -cf '/etc/it'\''s'");
        assert_eq!(Validation::parse("date +%%s"), Err(WordsError::NoPlace));
    }
}
