//! What is installed, in dpkg's words.

/// What `dpkg-query --show` is asked for, a line for each package.
pub const FORMAT: &str =
    "${db:Status-Want} ${db:Status-Status} ${db:Status-Eflag} ${Version} ${binary:Package}\\n";

/// A package that dpkg knows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Package {
    /// Its name, with the architecture where dpkg tells it apart by that.
    pub name: String,
    pub version: String,
    /// How far it is installed.
    pub state: State,
    /// Whether an operator holds it.
    pub is_held: bool,
}

/// How far a package is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Installed,
    /// `dpkg --configure` has still to run.
    Unfinished,
    /// Its files are there in part; it has to be installed again.
    Broken,
    /// Not there, or nothing but its configuration.
    Absent,
}

/// Every package of an answer in [`FORMAT`]. A line that is none is left out: dpkg prints warnings elsewhere.
pub fn packages(text: &str) -> Vec<Package> {
    text.lines().filter_map(package).collect()
}

fn package(line: &str) -> Option<Package> {
    let mut words = line.split(' ');
    let (want, status, flag) = (words.next()?, words.next()?, words.next()?);
    let (version, name) = (words.next()?, words.next()?);
    let state = match (status, flag) {
        ("half-installed", _) | (_, "reinstreq") => State::Broken,
        ("installed", _) => State::Installed,
        ("unpacked" | "half-configured" | "triggers-awaited" | "triggers-pending", _) => State::Unfinished,
        _ => State::Absent,
    };
    Some(Package { name: name.to_owned(), version: version.to_owned(), state, is_held: want == "hold" })
}

/// The names of those in a state.
pub fn names_in(packages: &[Package], state: State) -> Vec<String> {
    packages.iter().filter(|package| package.state == state).map(|package| package.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_of_dpkg_is_understood() {
        let text = "install installed ok 1:9.2 openssh-server\n\
                    hold installed ok 2.0 careen-test-hello\n\
                    install half-configured ok 1.0 careen-test-broken\n\
                    install unpacked ok 1.0 late\n\
                    install triggers-pending ok 2.36-9 libc-bin\n\
                    install half-installed reinstreq 1.0 torn\n\
                    deinstall config-files ok 1.0 gone\n\
                    unknown not-installed ok  never\n";
        let packages = packages(text);
        assert_eq!(names_in(&packages, State::Installed), ["openssh-server", "careen-test-hello"]);
        assert_eq!(names_in(&packages, State::Unfinished), ["careen-test-broken", "late", "libc-bin"]);
        assert_eq!(names_in(&packages, State::Broken), ["torn"]);
        assert_eq!(names_in(&packages, State::Absent), ["gone", "never"]);
        assert!(packages[1].is_held && !packages[0].is_held);
    }
}
