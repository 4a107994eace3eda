//! The house as its documents describe it: which crate knows which, what each folder is, and no two files that need each other.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Enums that share a name: each is a type of its own, known to other files only beside what it belongs to.
const NAMESAKES: [(&str, &str); 13] = [
    ("Action", "what a supervisor does next; the planner's is a word of the JSON that controllers keep"),
    ("At", "where each of the protocol's two machines is"),
    ("Effect", "what each of the protocol's two machines wants done"),
    ("EngineRestart", "the option, and how the journal says that one is done"),
    ("Event", "what each of the protocol's machines is told"),
    ("Kind", "of an entry in a directory, and of what keeps a rollout without a controller"),
    ("Order", "the option that says who goes first, and what an operator tells a rollout"),
    ("Reboot", "the option, and its word in the contract"),
    ("Restart", "what is restarted; in upgrade, whether one is expected"),
    ("Step", "what to do about a stop of the engine, what an operator types, a command of the payload"),
    ("Stream", "of a command on its host, and of a line that is shown"),
    ("Then", "what follows in each of the protocol's two machines"),
    ("Verdict", "what came of the one question that the file at hand asks"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn document(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

fn folders() -> BTreeSet<String> {
    let entries = std::fs::read_dir(root().join("crates")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The crates of this workspace that each one of them needs to be built, by their folders' names.
fn known() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").expect("cargo runs the tests");
    let told = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--locked", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    let packages = told["packages"].as_array().unwrap();
    let folder = |manifest: &Value| {
        let directory = Path::new(manifest.as_str().unwrap()).parent().unwrap().to_owned();
        directory.file_name().unwrap().to_str().unwrap().to_owned()
    };
    let names: BTreeMap<&str, String> = packages
        .iter()
        .map(|package| (package["name"].as_str().unwrap(), folder(&package["manifest_path"])))
        .collect();
    let needs = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        let built = all.filter(|one| one["kind"] != "dev");
        built.filter_map(|one| names.get(one["name"].as_str().unwrap()).cloned()).collect()
    };
    packages.iter().map(|package| (folder(&package["manifest_path"]), needs(package))).collect()
}

/// `crates/NAME  what  -> a, b (why); more`: what stands behind the arrow.
fn arrows(line: &str) -> BTreeSet<String> {
    let Some((_, behind)) = line.split_once("->") else { return BTreeSet::new() };
    let behind = behind.split(';').next().unwrap_or_default();
    let names = behind.split(',').filter_map(|name| name.split_whitespace().next());
    names.map(str::to_owned).collect()
}

fn lines_of_crates(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter_map(|line| Some((line.strip_prefix("crates/")?, line)));
    lines.map(|(rest, line)| (rest.split_whitespace().next().unwrap().to_owned(), line.to_owned())).collect()
}

#[test]
fn the_arrows_of_the_architecture_are_those_of_cargo() {
    let drawn = lines_of_crates(&document("docs/architecture.md"));
    let drawn: BTreeMap<String, BTreeSet<String>> =
        drawn.into_iter().map(|(name, line)| (name, arrows(&line))).collect();
    assert_eq!(drawn, known());
}

#[test]
fn every_folder_has_its_line_in_the_layout() {
    let told: BTreeSet<String> = lines_of_crates(&document("CONTRIBUTING.md")).into_keys().collect();
    assert_eq!(told, folders());
}

/// A file of a crate: the path of its module.
type Module = Vec<String>;

fn modules(source: &Path, directory: &Path, found: &mut BTreeMap<Module, String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            modules(source, &path, found);
            continue;
        }
        let relative = path.strip_prefix(source).unwrap().with_extension("");
        let mut module: Module = relative.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            module.pop();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let shipped = text.split("#[cfg(test)]\nmod ").next().unwrap();
        let code = shipped.lines().map(|line| line.split("//").next().unwrap_or_default());
        found.insert(module, code.collect::<Vec<_>>().join("\n"));
    }
}

/// The files of a crate.
fn sources(name: &str) -> BTreeMap<Module, String> {
    let source = root().join("crates").join(name).join("src");
    let mut files = BTreeMap::new();
    modules(&source, &source, &mut files);
    files
}

/// The paths that a text names from the crate's root, from its own module or from the one above: `crate::a::{b, c::d}` are two.
fn paths(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in text.match_indices(start) {
            let before = text[..at].chars().next_back();
            if !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '$') {
                expand(&text[at..], &mut Vec::new(), &mut found);
            }
        }
    }
    found
}

/// Reads one path, or a tree of them; what is left of the text behind it.
fn expand<'a>(text: &'a str, before: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> &'a str {
    let depth = before.len();
    let mut rest = text.trim_start();
    loop {
        if let Some(mut inner) = rest.strip_prefix('{') {
            loop {
                inner = expand(inner, before, found).trim_start();
                match inner.strip_prefix(',') {
                    Some(next) => inner = next,
                    None => break,
                }
            }
            before.truncate(depth);
            return inner.strip_prefix('}').unwrap_or(inner);
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        if end > 0 {
            before.push(rest[..end].to_owned());
        }
        match rest[end..].strip_prefix("::") {
            Some(next) => rest = next,
            None => {
                found.push(before.clone());
                before.truncate(depth);
                // An alias belongs to the path.
                let behind = rest[end..].trim_start();
                let behind = behind.strip_prefix("as ").map_or(behind, |alias| {
                    alias.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_')
                });
                return behind;
            }
        }
    }
}

/// The file that a path leads to.
fn target<'a>(files: &'a BTreeMap<Module, String>, from: &Module, path: &[String]) -> Option<&'a Module> {
    let (mut at, mut rest) = (from.clone(), path);
    while let Some((first, behind)) = rest.split_first() {
        match first.as_str() {
            "crate" => at.clear(),
            "super" => drop(at.pop()),
            "self" => {}
            _ => break,
        }
        rest = behind;
    }
    at.extend(rest.iter().cloned());
    (0..=at.len()).rev().find_map(|length| files.get_key_value(&at[..length]).map(|(module, _)| module))
}

/// Which files each file needs. A module and those below it are one thing to others, and may know each other.
fn needs(files: &BTreeMap<Module, String>) -> BTreeMap<&Module, BTreeSet<&Module>> {
    let of_one = |module: &Module, text: &String| {
        let related = |other: &Module| module.starts_with(other) || other.starts_with(module);
        let targets = paths(text).into_iter().filter_map(|path| target(files, module, &path));
        targets.filter(|other| !related(other)).collect()
    };
    files.iter().map(|(module, text)| (module, of_one(module, text))).collect()
}

/// A way from a file over others back to it.
fn circle<'a>(
    needs: &BTreeMap<&'a Module, BTreeSet<&'a Module>>,
    start: &'a Module,
) -> Option<Vec<&'a Module>> {
    let mut ways = vec![vec![start]];
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop() {
        for next in &needs[way[way.len() - 1]] {
            if *next == start {
                return Some(way);
            }
            if seen.insert(*next) {
                ways.push([&way[..], &[*next]].concat());
            }
        }
    }
    None
}

#[test]
fn no_two_files_need_each_other() {
    let mut circles = Vec::new();
    for name in folders() {
        let files = sources(&name);
        let needs = needs(&files);
        let edges: usize = needs.values().map(BTreeSet::len).sum();
        let leads = |(module, text): (&Module, &String)| {
            paths(text).iter().any(|path| target(&files, module, path).is_some_and(|other| other != module))
        };
        // Where there are few, only the crate's root may need them.
        assert!(files.iter().any(leads) || files.len() < 4, "{name}: no path was understood");
        assert!(files.len() < 6 || edges > 0, "{name}: nothing was understood");
        for module in files.keys() {
            if let Some(way) = circle(&needs, module) {
                let way: Vec<String> = way.iter().map(|module| module.join("/")).collect();
                circles.push(format!("{name}: {} and back", way.join(" -> ")));
            }
        }
    }
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn a_circle_is_found_however_it_is_written() {
    let files = |texts: &[(&str, &str)]| -> BTreeMap<Module, String> {
        let module = |name: &str| name.split('/').map(str::to_owned).collect();
        texts.iter().map(|(name, text)| (module(name), (*text).to_owned())).collect()
    };
    for (texts, circles) in [
        (&[("a", "use crate::b::B;"), ("b", "fn f() { crate::a::g() }")][..], true),
        (
            &[("a", "use crate::{\n    c::C as D,\n    b::{B, E},\n};"), ("b", "use super::a;"), ("c", "")][..],
            true,
        ),
        (&[("a", "use crate::b::B;"), ("b", "use crate::a_b::C;"), ("a_b", "")][..], false),
        (&[("a", "use crate::a::c::C;"), ("a/c", "use super::A;")][..], false),
        (&[("a/c", "use super::d::D;"), ("a/d", "use super::{A, c::C};"), ("a", "")][..], true),
    ] {
        let files = files(texts);
        let needs = needs(&files);
        let found = files.keys().any(|module| circle(&needs, module).is_some());
        assert_eq!(found, circles, "{texts:?}");
    }
}

/// What decides gets time, randomness and what was seen as arguments.
const PURE: [&str; 5] = ["contract", "edit", "host", "planner", "protocol"];

const ACTS: [&str; 8] = [
    "std::env::",
    "std::fs::",
    "std::os::",
    "std::process::",
    "std::thread::",
    "Instant::now",
    "SystemTime::now",
    "println!",
];

#[test]
fn what_decides_asks_nobody() {
    let mut found = Vec::new();
    for name in PURE {
        for (module, text) in shipped(name) {
            let acts = ACTS.iter().filter(|acts| text.contains(**acts));
            found.extend(acts.map(|acts| format!("{name}: {}: {acts}", module.join("/"))));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn two_enums_have_one_name_only_where_it_is_listed() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    // The lab's are known to tests alone.
    for name in folders().into_iter().filter(|name| name != "lab") {
        for (module, text) in sources(&name) {
            for line in text.lines().map(str::trim_start) {
                let public = ["pub enum ", "pub(crate) enum "].iter().find_map(|by| line.strip_prefix(by));
                let Some(named) = public else { continue };
                let end = named.find(|c: char| !c.is_alphanumeric()).unwrap_or(named.len());
                let place = format!("{name}: {}", module.join("/"));
                places.entry(named[..end].to_owned()).or_default().push(place);
            }
        }
    }
    assert!(places.len() > 100, "few enums were found: {places:#?}");
    places.retain(|_, places| places.len() > 1);
    let listed: BTreeSet<&str> = NAMESAKES.iter().map(|(name, _)| *name).collect();
    let found: BTreeSet<&str> = places.keys().map(String::as_str).collect();
    let new: Vec<_> = places.iter().filter(|(name, _)| !listed.contains(name.as_str())).collect();
    assert!(new.is_empty(), "give one of them another name: {new:#?}");
    let old: Vec<_> = listed.difference(&found).collect();
    assert!(old.is_empty(), "no two have these names any more, so they need not be listed: {old:?}");
}

#[test]
fn the_supervisors_events_have_the_keys_of_the_document() {
    let document = document("docs/journal-format.md");
    let section = document.split("## What a supervisor says").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let told: BTreeSet<String> = rows.map(str::to_owned).collect();
    let mut found = BTreeSet::new();
    for text in shipped("agent").into_values() {
        for event in text.split("tracing::").skip(1).filter_map(|rest| rest.split_once("!(")) {
            // The sentence stands behind the fields.
            let fields = event.1.split('"').next().unwrap().split(',');
            let keys = fields.filter_map(|field| field.split('=').next());
            found.extend(keys.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty()));
        }
    }
    assert_eq!(told, found);
}

#[test]
fn commands_know_no_format() {
    const FORMATS: [&str; 5] = ["Format::", "serde_json", "json!", "json_", "Page::"];
    let mut found = Vec::new();
    let commands =
        shipped("cli").into_iter().filter(|(module, _)| module[..].starts_with(&["commands".to_owned()]));
    for (module, text) in commands {
        let names = FORMATS.iter().filter(|format| text.contains(**format));
        found.extend(names.map(|format| format!("{}: {format}", module.join("/"))));
    }
    assert!(found.is_empty(), "what is shown is made in render/: {found:#?}");
}

#[test]
fn a_file_is_at_most_600_lines_beside_its_tests() {
    let mut long = Vec::new();
    for name in folders() {
        for (module, text) in shipped(&name) {
            let lines = text.lines().count();
            if lines > 600 {
                long.push(format!("{name}: {}: {lines} lines", module.join("/")));
            }
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}

/// The files of a crate without their tests.
fn shipped(name: &str) -> BTreeMap<Module, String> {
    let mut files = sources(name);
    files.retain(|module, _| !module.iter().any(|part| part == "tests" || part == "testing"));
    files
}

#[test]
fn dockers_words_are_compared_in_one_place() {
    const WORDS: [&str; 5] = [
        "update out of sequence",
        "is in use by",
        "not have a leader",
        "not a swarm manager",
        "no such image",
    ];
    let mut found = Vec::new();
    // The lab drives the docker CLI, as a user would.
    for name in folders().into_iter().filter(|name| name != "lab") {
        for (module, text) in shipped(&name) {
            let text = text.to_ascii_lowercase();
            let compares = |words: &&&str| {
                ["contains(\"", "starts_with(\"", "== \""]
                    .iter()
                    .any(|by| text.contains(&format!("{by}{words}")))
            };
            found.extend(WORDS.iter().filter(compares).map(|words| (name.clone(), module.join("/"), *words)));
        }
    }
    let only = vec![("engine".to_owned(), "meaning".to_owned(), "no such image")];
    assert_eq!(found, only);
}

#[test]
fn paths_of_dockers_api_are_spelled_in_one_place() {
    const PLACES: [&str; 8] =
        ["containers", "services", "tasks", "nodes", "configs", "secrets", "distribution", "images"];
    // Of a list, of an object, of what is done with one.
    const ENDS: [&str; 5] = ["\"", "?", "/{", "/json", "/create"];
    let mut found = BTreeSet::new();
    // The lab drives the docker CLI, as a user would.
    for name in folders().into_iter().filter(|name| name != "lab") {
        for (module, text) in shipped(&name) {
            let spells = |place: &&&str| ENDS.iter().any(|end| text.contains(&format!("\"/{place}{end}")));
            found.extend(PLACES.iter().filter(spells).map(|_| (name.clone(), module.join("/"))));
        }
    }
    assert_eq!(found, BTreeSet::from([("engine".to_owned(), "path".to_owned())]));
}

/// The words of a text that begin so, as long as they have no other characters than these.
fn words<'a>(text: &'a str, prefix: &str, goes_on: impl Fn(char) -> bool) -> BTreeSet<&'a str> {
    let begins = text.match_indices(prefix).map(|(at, _)| at);
    // In the middle of a longer word it is another one.
    let begins =
        begins.filter(|at| !text[..*at].ends_with(|c: char| c.is_alphanumeric() || "_/.-".contains(c)));
    begins
        .map(|at| {
            let rest = &text[at..];
            let end = prefix.len()
                + rest[prefix.len()..].find(|c| !goes_on(c)).unwrap_or(rest.len() - prefix.len());
            rest[..end].trim_end_matches(['.', '-', '_'])
        })
        .filter(|word| word.len() > prefix.len())
        .collect()
}

/// What agents and those who start them say to each other is spelled where both directions are. A message may name it, if it is
/// one that there is.
#[test]
fn careens_names_are_spelled_in_the_contract_alone() {
    let variable = |text: &str| -> BTreeSet<String> {
        words(text, "CAREEN_", |c| c.is_ascii_uppercase() || c == '_')
            .into_iter()
            .map(str::to_owned)
            .collect()
    };
    let label = |text: &str| -> BTreeSet<String> {
        words(text, "careen.", |c| c.is_ascii_lowercase() || c == '-' || c == '.')
            .into_iter()
            .map(str::to_owned)
            .collect()
    };
    let contract: String = shipped("contract").into_values().collect();
    let known: BTreeSet<String> = variable(&contract).into_iter().chain(label(&contract)).collect();
    assert!(known.len() > 60, "{known:?}");
    let (mut spelled, mut unknown) = (Vec::new(), Vec::new());
    // The lab is a user of careen, and has labels of its own.
    for name in folders().into_iter().filter(|name| !["contract", "lab"].contains(&name.as_str())) {
        for (module, text) in shipped(&name) {
            let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            // A build for tests is told where to die, and nothing else reads that.
            let ours = |name: &String| !name.starts_with("CAREEN_FAULT") && !name.starts_with("CAREEN_CRASH");
            for found in variable(&code).into_iter().chain(label(&code)).filter(ours) {
                let place = format!("{name}: {}: {found}", module.join("/"));
                let is_alone = ["\"", "=", "."].iter().any(|end| code.contains(&format!("\"{found}{end}")));
                if !known.contains(&found) {
                    unknown.push(place);
                } else if is_alone {
                    spelled.push(place);
                }
            }
        }
    }
    assert!(unknown.is_empty(), "told to people, and not there: {unknown:#?}");
    assert!(spelled.is_empty(), "{spelled:#?}");
}

#[test]
fn no_error_says_its_cause_twice() {
    let mut found = Vec::new();
    for name in folders() {
        for (module, text) in shipped(&name) {
            for error in text.split("#[error(").skip(1) {
                let message = error.split(")]").next().unwrap();
                let variant = error[message.len()..].split(['}', ',', ';']).next().unwrap();
                if message.contains("{source}") || message.contains("{0}") && variant.contains("#[from]") {
                    found.push(format!("{name}: {}: {message}", module.join("/")));
                }
            }
        }
    }
    assert!(found.is_empty(), "a chain of causes tells it again: {found:#?}");
}

/// The crates whose errors are types. Those that are missing still have some that are text.
const TYPED_ERRORS: [&str; 12] = [
    "agent",
    "bench",
    "cli",
    "contract",
    "controller",
    "edit",
    "engine",
    "host",
    "planner",
    "protocol",
    "swarm",
    "upgrade",
];

/// What follows the opening bracket, up to the one that closes it, cut at the commas of its own level.
fn generics(text: &str) -> Vec<&str> {
    let (mut depth, mut begin, mut found) = (0_u32, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '<' | '(' | '[' => depth += 1,
            '>' if text[..at].ends_with('-') => {} // of an arrow
            '>' if depth == 0 => {
                found.push(text[begin..at].trim());
                return found;
            }
            '>' | ')' | ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                found.push(text[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    Vec::new()
}

/// Each `Result<_, String>` of a text.
fn errors_as_text(text: &str) -> Vec<String> {
    let results = text.split("Result<").skip(1).map(generics);
    let text = results.filter(|parts| parts.get(1).is_some_and(|error| *error == "String"));
    text.map(|parts| format!("Result<{}>", parts.join(", "))).collect()
}

#[test]
fn errors_are_types() {
    let mut found = Vec::new();
    for name in TYPED_ERRORS {
        for (module, text) in shipped(name) {
            // What tests find wrong is for whoever reads their output.
            if module.last().is_some_and(|file| file == "typed") {
                continue;
            }
            let errors = errors_as_text(&text).into_iter();
            found.extend(errors.map(|error| format!("{name}: {}: {error}", module.join("/"))));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn an_error_that_is_text_is_found_wherever_it_stands() {
    for (text, count) in [
        ("fn f() -> Result<(), String> {", 1),
        ("fn f() -> Result<Result<Vec<u8>, String>, Ended> {", 1),
        ("type T = Result<\n    BTreeMap<String, Box<dyn Fn(u8) -> u8>>,\n    String,\n>;", 1),
        ("fn f() -> io::Result<BTreeMap<String, String>> {", 0),
        ("fn f() -> Result<String, Fail> { a < b }", 0),
    ] {
        assert_eq!(errors_as_text(text).len(), count, "{text}");
    }
}

#[test]
fn every_ignored_test_of_the_lab_is_among_the_slow_ones() {
    let slow = document("tools/slow-test");
    let suites = slow.lines().find_map(|line| line.strip_prefix("suites='")).expect("its suites");
    let suites: Vec<&str> = suites.trim_end_matches('\'').split_whitespace().collect();
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(root().join("crates/lab/tests")).unwrap() {
        let path = entry.unwrap().path();
        let mut files = BTreeMap::new();
        if path.is_dir() {
            modules(&path, &path, &mut files);
        } else {
            files.insert(Vec::new(), std::fs::read_to_string(&path).unwrap());
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        texts.extend(files.into_values().map(|text| (name.clone(), text)));
    }
    let ignored: BTreeSet<String> =
        texts.into_iter().filter(|(_, text)| text.contains("#[ignore")).map(|(name, _)| name).collect();
    assert!(ignored.len() > 5, "{ignored:?}");
    let forgotten: Vec<&String> = ignored.iter().filter(|name| !suites.contains(&name.as_str())).collect();
    assert!(forgotten.is_empty(), "{forgotten:?} have tests that nothing runs");
}

/// The rows of a table: what stands in the first column, and in the second.
fn rows(text: &str) -> Vec<(&str, &str)> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    let rows = rows.filter(|(word, _)| !word.starts_with("---") && !["word", "not said"].contains(word));
    rows.map(|(word, meaning)| (word, meaning.trim_end_matches(" |"))).collect()
}

/// docs/nomenclature.md: the table of words, and the table of those that are not said.
fn nomenclature() -> (String, String) {
    let text = document("docs/nomenclature.md");
    let (words, not_said) = text.split_once("## Not said").expect("its section");
    (words.to_owned(), not_said.to_owned())
}

#[test]
fn the_words_of_the_nomenclature_are_those_of_the_code() {
    let code: String = folders().iter().flat_map(|name| shipped(name).into_values()).collect();
    let code = code.to_lowercase();
    let (words, _) = nomenclature();
    let mut missing = Vec::new();
    // `host entry, way` are two words; `refusal (of a go)` and `to stop` are one each.
    let cells = rows(&words).into_iter().flat_map(|(cell, _)| cell.split(','));
    for word in cells.map(|cell| cell.split('(').next().unwrap_or_default().trim()) {
        let plain = word.trim_start_matches("to ").trim_start_matches("the ").to_lowercase();
        // `host lock` may be `host_lock`, `host-lock`, `HostLock`; `re-join` may be `rejoin`.
        let written = ["_", "-", ""].map(|between| plain.replace([' ', '-'], between));
        if !code.contains(&plain) && !written.iter().any(|written| code.contains(written)) {
            missing.push(word);
        }
    }
    assert!(rows(&words).len() > 40, "the table was not understood");
    assert!(missing.is_empty(), "docs/nomenclature.md has words that the program has not: {missing:?}");
}

/// Crates in which a word that is not said is still an identifier.
const STILL_SAID: [(&str, &str); 12] = [
    ("agent", "stage"),
    ("agent", "standing"),
    ("cli", "stage"),
    ("cli", "standing"),
    // How a host stands to an enforcement is a word of its own.
    ("contract", "standing"),
    ("host", "stage"),
    ("host", "standing"),
    ("planner", "standing"),
    ("protocol", "stage"),
    ("protocol", "standing"),
    // It reads what hosts store.
    ("sim", "stage"),
    ("swarm", "standing"),
];

/// A text without what stands between quotes.
fn without_strings(text: &str) -> String {
    let (mut left, mut quoted) = (String::new(), false);
    let mut chars =
        text.replace("'\"'", "' '").replace("'\\\"'", "' '").chars().collect::<Vec<_>>().into_iter();
    while let Some(c) = chars.next() {
        match (quoted, c) {
            (true, '\\') => drop(chars.next()),
            (_, '"') => quoted = !quoted,
            (true, _) => {}
            (false, c) => left.push(c),
        }
    }
    left
}

/// The words of identifiers: `NodeState` and `node_state` are `node` and `state`.
fn words_of_identifiers(text: &str) -> BTreeSet<String> {
    let mut spaced = String::new();
    let mut before = ' ';
    for c in without_strings(text).chars() {
        if c.is_uppercase() && before.is_lowercase() {
            spaced.push(' ');
        }
        spaced.extend(c.to_lowercase());
        before = c;
    }
    spaced.split(|c: char| !c.is_alphanumeric()).map(str::to_owned).collect()
}

/// The documents, and what is between backquotes left out: names of the program and its output stay what they are.
fn prose() -> Vec<(String, String)> {
    let entries = std::fs::read_dir(root().join("docs")).unwrap();
    let names = entries.map(|entry| format!("docs/{}", entry.unwrap().file_name().to_str().unwrap()));
    let names = names.filter(|name| name.ends_with(".md") && !name.ends_with("nomenclature.md"));
    let all = names.chain(["README.md".to_owned(), "CONTRIBUTING.md".to_owned()]);
    let plain = |text: String| {
        let text: String = text.split("```").step_by(2).collect();
        let text: String =
            text.lines().map(|line| line.split('`').step_by(2).collect::<String>() + " ").collect();
        text.to_lowercase()
    };
    all.map(|name| (name.clone(), plain(document(&name)))).collect()
}

#[test]
fn what_is_not_said_is_said_nowhere() {
    let (_, not_said) = nomenclature();
    let not_said = rows(&not_said);
    assert!(not_said.len() > 5, "the table was not understood");
    let mut found = Vec::new();
    for (name, text) in prose() {
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        let text = format!(" {} ", words.collect::<Vec<_>>().join(" "));
        let said = not_said
            .iter()
            .filter(|(word, _)| text.contains(&format!(" {word} ")) || text.contains(&format!(" {word}s ")));
        found.extend(said.map(|(word, say)| format!("{name}: '{word}': {say}")));
    }
    // The lab's words are those of tests.
    for name in folders().into_iter().filter(|name| name != "lab") {
        for (module, text) in shipped(&name) {
            let words = words_of_identifiers(&text);
            let is_new = |word: &str| !STILL_SAID.contains(&(name.as_str(), word));
            let said = not_said.iter().filter(|(word, _)| {
                is_new(word) && (words.contains(*word) || words.contains(&format!("{word}s")))
            });
            found.extend(said.map(|(word, say)| format!("{name}: {}: '{word}': {say}", module.join("/"))));
        }
    }
    assert!(found.is_empty(), "docs/nomenclature.md says how to say it: {found:#?}");
}
