//! How the engine's unit starts it: docker.service with its drop-ins and the files of variables that it names, read as
//! systemd.unit(5), systemd.service(5) and systemd.exec(5) say. Read from the files and not asked of systemd: the next start
//! goes by the files, which a package or a person may have changed since systemd read them.

use jiff::Timestamp;
use std::collections::BTreeMap;
use std::io;

/// Where systemd looks for units, the strongest first (systemd.unit(5)).
const PLACES: [&str; 12] = [
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
];

const NAME: &str = "docker.service";

/// What a program is started with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Start {
    /// The program, as a path, or as a name where an init script looks for it.
    pub program: String,
    /// Its arguments, variables put in.
    pub arguments: Vec<String>,
    pub environment: BTreeMap<String, String>,
}

/// What docker.service says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum Unit {
    /// There is none: no systemd, or an engine under another name.
    None,
    /// It starts a dockerd like this.
    Starts(Start),
    /// systemd would not start it.
    Broken { why: String },
    /// It does something that cannot be followed, such as a shell in between.
    Unclear { why: String },
}

/// Words that cannot be told apart.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' has a quote that does not end")]
struct OpenQuote {
    text: String,
}

/// How the files of a host are read.
pub trait Files {
    /// The text of a file; `None` when there is none.
    fn read(&self, path: &str) -> io::Result<Option<String>>;
    /// The names in a directory; none when there is no such directory.
    fn list(&self, directory: &str) -> Vec<String>;
    /// Since when something is there as it is; `None` when that cannot be told.
    fn since(&self, _path: &str) -> Option<Timestamp> {
        None
    }
}

/// How a host starts its engine: by docker.service, or where there is none by an init script.
pub fn docker_service(files: &dyn Files) -> Unit {
    match texts(files) {
        Ok(texts) if texts.is_empty() => init_script(files),
        Ok(texts) if texts[0].trim().is_empty() => Unit::Broken { why: "it is masked".to_owned() },
        Ok(texts) => start(&Service::of(&texts), files),
        Err(error) => Unit::Unclear { why: error.to_string() },
    }
}

/// Init scripts give the engine what `DOCKER_OPTS` says, from the files that Debian and Alpine have for that. A shell reads
/// them: what is more than words is not followed.
fn init_script(files: &dyn Files) -> Unit {
    if !matches!(files.read("/etc/init.d/docker"), Ok(Some(_))) {
        return Unit::None;
    }
    let texts = ["/etc/default/docker", "/etc/conf.d/docker"].map(|path| files.read(path).ok().flatten());
    let found: Vec<(String, String)> = texts
        .into_iter()
        .flatten()
        .flat_map(|text| variables(&text))
        .filter(|(name, _)| name == "DOCKER_OPTS")
        .collect();
    let options = found.last().map(|(_, value)| value.as_str()).unwrap_or_default();
    match words(options) {
        Ok(arguments) if !options.contains(['$', '`']) => {
            Unit::Starts(Start { program: "dockerd".to_owned(), arguments, environment: BTreeMap::new() })
        }
        Ok(_) | Err(_) => Unit::Unclear { why: format!("DOCKER_OPTS is '{options}'") },
    }
}

/// The unit's file, and behind it its drop-ins in the order in which they count.
fn texts(files: &dyn Files) -> io::Result<Vec<String>> {
    let mut texts = Vec::new();
    for place in PLACES {
        if let Some(text) = files.read(&format!("{place}/{NAME}"))? {
            texts.push(text);
            break;
        }
    }
    if texts.is_empty() {
        return Ok(texts);
    }
    // Of several of one name the strongest counts alone; those for all services are weaker than those for this one.
    let mut drop_ins: BTreeMap<String, String> = BTreeMap::new();
    for directory in [format!("{NAME}.d"), "service.d".to_owned()] {
        for place in PLACES {
            let directory = format!("{place}/{directory}");
            for name in files.list(&directory).into_iter().filter(|name| name.ends_with(".conf")) {
                let path = format!("{directory}/{name}");
                drop_ins.entry(name).or_insert(path);
            }
        }
    }
    for path in drop_ins.values() {
        texts.extend(files.read(path)?);
    }
    Ok(texts)
}

/// What of a service decides how its program is started.
#[derive(Debug, Default)]
struct Service {
    starts: Vec<String>,
    environment: Vec<String>,
    environment_files: Vec<String>,
}

impl Service {
    fn of(texts: &[String]) -> Self {
        let mut service = Self::default();
        for (key, value) in texts.iter().flat_map(|text| of_section(text, "Service")) {
            let list = match key.as_str() {
                "ExecStart" => &mut service.starts,
                "Environment" => &mut service.environment,
                "EnvironmentFile" => &mut service.environment_files,
                _ => continue,
            };
            // Nothing takes back all that stood before it.
            if value.is_empty() { list.clear() } else { list.push(value) }
        }
        service
    }
}

/// The assignments of one section.
fn of_section(text: &str, wanted: &str) -> Vec<(String, String)> {
    let mut section = String::new();
    let mut found = Vec::new();
    for line in joined(text) {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if let Some((key, value)) = line.split_once('=').filter(|_| section == wanted) {
            found.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    found
}

/// Lines without comments, those that end with a backslash joined with the next.
fn joined(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = String::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with(['#', ';'])) {
        match line.strip_suffix('\\') {
            Some(begun) => {
                open.push_str(begun);
                open.push(' ');
            }
            None => lines.push(std::mem::take(&mut open) + line),
        }
    }
    lines.push(open);
    lines
}

fn start(service: &Service, files: &dyn Files) -> Unit {
    let command = match service.starts.as_slice() {
        [command] => command,
        [] => return Unit::Broken { why: "no ExecStart= is left in it".to_owned() },
        several => {
            let why = format!(
                "it has {} times ExecStart=, and a service of its type may have one: a drop-in begins with an empty 'ExecStart='",
                several.len()
            );
            return Unit::Broken { why };
        }
    };
    match environment(service, files).and_then(|environment| started(command, environment)) {
        Ok(start) => Unit::Starts(start),
        Err(unit) => *unit,
    }
}

fn environment(service: &Service, files: &dyn Files) -> Result<BTreeMap<String, String>, Box<Unit>> {
    let mut environment = BTreeMap::new();
    for line in &service.environment {
        let words = words(&specified(line)?)?;
        let pairs = words.iter().filter_map(|word| word.split_once('='));
        environment.extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    for path in &service.environment_files {
        let path = specified(path)?;
        let (path, may_be_missing) = match path.strip_prefix('-') {
            Some(path) => (path, true),
            None => (path.as_str(), false),
        };
        if path.contains(['*', '?', '[']) {
            return Err(unclear(format!("EnvironmentFile={path} is a pattern")));
        }
        match files.read(path) {
            Ok(Some(text)) => environment.extend(variables(&text)),
            Ok(None) | Err(_) if may_be_missing => {}
            Ok(None) => {
                let why = format!("{path}, which its EnvironmentFile= names, is not there");
                return Err(Box::new(Unit::Broken { why }));
            }
            Err(error) => return Err(unclear(format!("{path}: {error}"))),
        }
    }
    Ok(environment)
}

/// The variables of a file, `NAME=VALUE` a line.
pub(super) fn variables(text: &str) -> Vec<(String, String)> {
    let pair = |line: String| {
        let (name, value) = line.split_once('=')?;
        let value = value.trim();
        let quoted = ['"', '\'']
            .iter()
            .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote).map(str::to_owned));
        Some((name.trim().to_owned(), quoted.unwrap_or_else(|| value.to_owned())))
    };
    joined(text).into_iter().filter_map(pair).collect()
}

fn started(command: &str, environment: BTreeMap<String, String>) -> Result<Start, Box<Unit>> {
    let command = command.trim_start_matches([':', '-', '+', '!', '|']);
    let (command, has_name) = match command.strip_prefix('@') {
        Some(command) => (command.trim_start_matches([':', '-', '+', '!', '|']), true),
        None => (command, false),
    };
    let mut words = words(&specified(command)?)?.into_iter();
    let program = words.next().unwrap_or_default();
    if has_name {
        words.next();
    }
    let name = program.rsplit('/').next().unwrap_or_default();
    if !program.starts_with('/') || !name.starts_with("dockerd") {
        return Err(unclear(format!("it starts {program}, not dockerd itself")));
    }
    let mut arguments = Vec::new();
    for word in words {
        expand(&word, &environment, &mut arguments)?;
    }
    Ok(Start { program, arguments, environment })
}

impl From<OpenQuote> for Box<Unit> {
    fn from(quote: OpenQuote) -> Self {
        unclear(quote.to_string())
    }
}

fn unclear(why: String) -> Box<Unit> {
    Box::new(Unit::Unclear { why })
}

/// Puts `%%` in; what other specifiers stand for only systemd knows.
fn specified(text: &str) -> Result<String, Box<Unit>> {
    let plain = text.replace("%%", "\0");
    if plain.contains('%') {
        return Err(unclear(format!("'{text}' has a specifier (%)")));
    }
    Ok(plain.replace('\0', "%"))
}

/// `$NAME` as a word of its own becomes as many words as its value has; `${NAME}` is put in anywhere.
fn expand(
    word: &str,
    environment: &BTreeMap<String, String>,
    into: &mut Vec<String>,
) -> Result<(), OpenQuote> {
    let value = |name: &str| environment.get(name).map_or("", String::as_str);
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if let Some(name) = word.strip_prefix('$').filter(|name| is_name(name)) {
        into.extend(words(value(name))?);
        return Ok(());
    }
    let (mut plain, mut rest) = (String::new(), word);
    while let Some(at) = rest.find('$') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let braced = rest.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        match braced.filter(|(name, _)| is_name(name)) {
            Some((name, behind)) => {
                plain.push_str(value(name));
                rest = behind;
            }
            None => {
                plain.push('$');
                rest = rest.strip_prefix('$').unwrap_or(rest);
            }
        }
    }
    plain.push_str(rest);
    into.push(plain);
    Ok(())
}

/// Splits at blanks, outside of quotes; quotes go, and what a backslash stands for is put in.
fn words(text: &str) -> Result<Vec<String>, OpenQuote> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '"' | '\'') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (_, '\\') => word.get_or_insert_default().push_str(&escaped(&mut characters)),
            (None, blank) if blank.is_whitespace() => words.extend(word.take()),
            (_, plain) => word.get_or_insert_default().push(plain),
        }
    }
    if quote.is_some() {
        return Err(OpenQuote { text: text.to_owned() });
    }
    words.extend(word);
    Ok(words)
}

fn escaped(characters: &mut std::str::Chars<'_>) -> String {
    match characters.next() {
        Some('n') => "\n".to_owned(),
        Some('t') => "\t".to_owned(),
        Some('r') => "\r".to_owned(),
        Some('s') => " ".to_owned(),
        Some('x') => {
            let digits: String = characters.by_ref().take(2).collect();
            u8::from_str_radix(&digits, 16)
                .map_or_else(|_| format!("\\x{digits}"), |byte| char::from(byte).to_string())
        }
        Some(plain @ ('\\' | '"' | '\'')) => plain.to_string(),
        Some(other) => format!("\\{other}"),
        None => "\\".to_owned(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A host that has these files and no others.
    pub struct Host<'a>(pub &'a [(&'a str, &'a str)]);

    impl Files for Host<'_> {
        fn read(&self, path: &str) -> io::Result<Option<String>> {
            Ok(self.0.iter().find(|(there, _)| *there == path).map(|(_, text)| (*text).to_owned()))
        }

        fn list(&self, directory: &str) -> Vec<String> {
            let name = |path: &str| path.strip_prefix(directory)?.strip_prefix('/').map(str::to_owned);
            self.0.iter().filter_map(|(path, _)| name(path)).filter(|name| !name.contains('/')).collect()
        }
    }

    /// As Debian's docker.io has it.
    const DEBIAN: &str = "[Unit]\nDescription=Docker\n\n[Service]\nType=notify\nEnvironmentFile=-/etc/default/docker\n\
        # comment\nExecStart=/usr/sbin/dockerd -H fd:// \\\n    --containerd=/run/containerd/containerd.sock $DOCKER_OPTS\n\
        [Install]\nExecStart=no\n";
    const UNIT: &str = "/lib/systemd/system/docker.service";

    fn arguments(files: &[(&str, &str)]) -> Vec<String> {
        let found = docker_service(&Host(files));
        let Unit::Starts(start) = found else { panic!("{found:?}") };
        start.arguments
    }

    fn broken(files: &[(&str, &str)]) -> String {
        let found = docker_service(&Host(files));
        let Unit::Broken { why } = found else { panic!("{found:?}") };
        why
    }

    #[test]
    fn a_units_command_has_its_variables() {
        let plain = ["-H", "fd://", "--containerd=/run/containerd/containerd.sock"];
        assert_eq!(arguments(&[(UNIT, DEBIAN)]), plain);
        let options = "# DOCKER_OPTS=\"--no\"\nDOCKER_OPTS=\"--dns 8.8.8.8 --label 'a=b c'\"\n";
        let with = arguments(&[(UNIT, DEBIAN), ("/etc/default/docker", options)]);
        assert_eq!(with, [&plain[..], &["--dns", "8.8.8.8", "--label", "a=b c"]].concat());
    }

    #[test]
    fn drop_ins_count_by_their_names_and_the_strongest_of_one_name() {
        let files = [
            (UNIT, DEBIAN),
            (
                "/etc/systemd/system/docker.service.d/20-b.conf",
                "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd $A ${B}c $$D\n",
            ),
            ("/run/systemd/system/docker.service.d/20-b.conf", "[Service]\nExecStart=/nobody\n"),
            ("/usr/lib/systemd/system/service.d/30-c.conf", "[Service]\nEnvironment=\"A=x y\" B=z\n"),
            ("/etc/systemd/system/docker.service.d/README", "[Service]\nExecStart=/nobody\n"),
        ];
        assert_eq!(arguments(&files), ["x", "y", "zc", "$D"]);
        let stronger = [(
            "/etc/systemd/system/docker.service",
            "[Service]\nExecStart=@/usr/bin/dockerd dockerd --debug\n",
        )];
        assert_eq!(arguments(&[&files[..1], &stronger].concat()), ["--debug"]);
    }

    #[test]
    fn what_systemd_would_not_start_is_said() {
        assert_eq!(docker_service(&Host(&[])), Unit::None);
        assert_eq!(broken(&[("/etc/systemd/system/docker.service", ""), (UNIT, DEBIAN)]), "it is masked");
        let twice =
            ("/etc/systemd/system/docker.service.d/a.conf", "[Service]\nExecStart=/usr/bin/dockerd\n");
        assert!(broken(&[(UNIT, DEBIAN), twice]).contains("2 times ExecStart="));
        let emptied = ("/etc/systemd/system/docker.service.d/a.conf", "[Service]\nExecStart=\n");
        assert!(broken(&[(UNIT, DEBIAN), emptied]).contains("no ExecStart="));
        let missing = "[Service]\nEnvironmentFile=/etc/docker/env\nExecStart=/usr/bin/dockerd $X\n";
        assert!(broken(&[(UNIT, missing)]).contains("/etc/docker/env"));
    }

    #[test]
    fn what_cannot_be_followed_is_not_guessed() {
        for command in
            ["/bin/sh -c 'exec dockerd'", "/usr/bin/dockerd --label host=%H", "/usr/bin/dockerd 'open"]
        {
            let unit = format!("[Service]\nExecStart={command}\n");
            let read = docker_service(&Host(&[(UNIT, &unit)]));
            assert!(matches!(read, Unit::Unclear { .. }), "{command}: {read:?}");
        }
        assert_eq!(
            arguments(&[(UNIT, "[Service]\nExecStart=-/usr/bin/dockerd --label a=50%%\n")]),
            ["--label", "a=50%"]
        );
    }

    #[test]
    fn an_init_script_has_its_options_in_a_file_of_its_own() {
        let script = ("/etc/init.d/docker", "#!/bin/sh\n");
        assert_eq!(arguments(&[script]), [""; 0]);
        let options =
            ("/etc/default/docker", "#DOCKER_OPTS=\"-D\"\nDOCKER_OPTS=\"--dns 8.8.8.8 -H unix://\"\n");
        assert_eq!(arguments(&[script, options]), ["--dns", "8.8.8.8", "-H", "unix://"]);
        let shell = ("/etc/conf.d/docker", "DOCKER_OPTS=\"$(cat /x)\"\n");
        assert!(matches!(docker_service(&Host(&[script, shell])), Unit::Unclear { .. }));
    }

    #[test]
    fn words_are_split_as_systemd_does() {
        let split = |text: &str| words(text).unwrap();
        assert_eq!(
            split(r#"a "b c" 'd "e"' f\x20g \"h\" "" i\sj"#),
            ["a", "b c", "d \"e\"", "f g", "\"h\"", "", "i j"]
        );
        assert!(split("  ").is_empty());
    }
}
