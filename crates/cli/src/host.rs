//! Addresses of engines, as docker writes them: `unix://`, `tcp://`, `ssh://`.

use percent_encoding::percent_decode_str;
use std::fmt;
use std::path::PathBuf;

/// The port of `tcp://NAME`, with TLS or without, as the docker CLI has it.
const TCP_PORT: u16 = 2375;

/// Where an engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// Where engines listen by default.
    Default,
    /// At this unix socket.
    Socket(PathBuf),
    /// At this port.
    Tcp(TcpHost),
    /// On a host that ssh reaches.
    Ssh(SshHost),
}

/// A host and a port of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct TcpHost {
    /// A name or an IP address, that of IPv6 without brackets.
    pub name: String,
    pub port: u16,
}

/// A host that ssh reaches. What is not given here is left to ssh and its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct SshHost {
    pub user: Option<String>,
    /// A name, an IP address, or an alias of ssh's configuration.
    pub name: String,
    pub port: Option<u16>,
    /// The engine's socket on that host, where it is not the default one.
    pub socket: Option<String>,
}

/// An address that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum InvalidHost {
    /// Something else than these three.
    #[error("the host '{given}' cannot be asked: write unix:///PATH, tcp://NAME:PORT or ssh://USER@NAME")]
    Scheme { given: String },
    /// One of the three, and wrong.
    #[error("the host '{given}' cannot be asked: {why}")]
    Malformed { given: String, why: Malformation },
}

/// What is wrong with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum Malformation {
    #[error("it names no host")]
    NoName,
    #[error("its port is no number from 1 to 65535")]
    Port,
    #[error("an IPv6 address stands in brackets: [::1]")]
    Brackets,
    #[error("nothing may follow the port")]
    Path,
    #[error("a password cannot be given in the address; use a key, and an agent that holds it")]
    Password,
    #[error("a user name needs ssh://")]
    User,
    #[error("'?' and '#' mean nothing in it")]
    Query,
    #[error("it is no UTF-8")]
    Encoding,
}

impl Host {
    /// Reads an address. An empty one is the default, as it is for the docker CLI.
    pub fn parse(given: &str) -> Result<Self, InvalidHost> {
        let given = given.trim();
        let malformed = |why| InvalidHost::Malformed { given: without_password(given), why };
        match given.split_once("://") {
            _ if given.is_empty() => Ok(Self::Default),
            Some(("unix", "")) => Ok(Self::Default),
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Socket(PathBuf::from(path))),
            Some(("tcp", rest)) => tcp(rest).map(Self::Tcp).map_err(malformed),
            Some(("ssh", rest)) => ssh(rest).map(Self::Ssh).map_err(malformed),
            // docker takes it for tcp. A path is a socket that lacks its scheme.
            None if !given.contains('/') => tcp(given).map(Self::Tcp).map_err(malformed),
            Some(_) | None => Err(InvalidHost::Scheme { given: given.to_owned() }),
        }
    }
}

/// `ssh://root:secret@m1` as it may be shown.
fn without_password(given: &str) -> String {
    let hidden = |(before, place): (&str, &str)| {
        let user = before.rfind(':').filter(|at| !before[*at..].starts_with("://"))?;
        Some(format!("{}:***@{place}", &before[..user]))
    };
    given.rsplit_once('@').and_then(hidden).unwrap_or_else(|| given.to_owned())
}

impl SshHost {
    /// The engine's address on that host, where it is not the default one.
    pub fn engine(&self) -> Option<String> {
        Some(format!("unix://{}", self.socket.as_ref()?))
    }
}

fn tcp(rest: &str) -> Result<TcpHost, Malformation> {
    if rest.contains('@') {
        return Err(Malformation::User);
    }
    let (authority, path) = split_path(rest)?;
    if path.is_some() {
        return Err(Malformation::Path);
    }
    let (name, port) = name_and_port(authority)?;
    Ok(TcpHost { name, port: port.unwrap_or(TCP_PORT) })
}

fn ssh(rest: &str) -> Result<SshHost, Malformation> {
    let (authority, path) = split_path(rest)?;
    let (user, place) = match authority.rsplit_once('@') {
        Some((user, _)) if user.contains(':') => return Err(Malformation::Password),
        Some((user, place)) => (Some(decoded(user)?).filter(|user| !user.is_empty()), place),
        None => (None, authority),
    };
    let (name, port) = name_and_port(place)?;
    let socket = path.map(|path| decoded(&format!("/{path}"))).transpose()?;
    Ok(SshHost { user, name, port, socket })
}

/// The part before the first slash, and what is behind it if there is more than slashes.
fn split_path(rest: &str) -> Result<(&str, Option<&str>), Malformation> {
    if rest.contains(['?', '#']) {
        return Err(Malformation::Query);
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = (!path.trim_matches('/').is_empty()).then_some(path);
    Ok((authority, path))
}

fn name_and_port(authority: &str) -> Result<(String, Option<u16>), Malformation> {
    let (name, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (name, behind) = rest.split_once(']').ok_or(Malformation::Brackets)?;
            let port = behind.strip_prefix(':');
            if !behind.is_empty() && port.is_none() {
                return Err(Malformation::Brackets);
            }
            (name, port)
        }
        None => match authority.split_once(':') {
            Some((_, port)) if port.contains(':') => return Err(Malformation::Brackets),
            Some((name, port)) => (name, Some(port)),
            None => (authority, None),
        },
    };
    if name.is_empty() {
        return Err(Malformation::NoName);
    }
    let port = port.filter(|port| !port.is_empty());
    let port = port.map(|port| port.parse::<u16>().ok().filter(|port| *port > 0).ok_or(Malformation::Port));
    Ok((decoded(name)?, port.transpose()?))
}

fn decoded(text: &str) -> Result<String, Malformation> {
    let text = percent_decode_str(text).decode_utf8().map_err(|_| Malformation::Encoding)?;
    Ok(text.into_owned())
}

impl fmt::Display for TcpHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tcp://{}:{}", in_brackets(&self.name), self.port)
    }
}

impl fmt::Display for SshHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ssh://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        f.write_str(&in_brackets(&self.name))?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(self.socket.as_deref().unwrap_or_default())
    }
}

fn in_brackets(name: &str) -> String {
    if name.contains(':') { format!("[{name}]") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp_host(name: &str, port: u16) -> Host {
        Host::Tcp(TcpHost { name: name.to_owned(), port })
    }

    fn ssh_host(user: Option<&str>, name: &str, port: Option<u16>, socket: Option<&str>) -> Host {
        let text = |text: &str| text.to_owned();
        Host::Ssh(SshHost { user: user.map(text), name: text(name), port, socket: socket.map(text) })
    }

    #[test]
    fn addresses_mean_what_they_mean_to_docker() {
        for (given, meant) in [
            ("", Host::Default),
            ("unix://", Host::Default),
            ("unix:///run/d.sock", Host::Socket("/run/d.sock".into())),
            ("tcp://m1:2376", tcp_host("m1", 2376)),
            ("tcp://m1", tcp_host("m1", 2375)),
            ("tcp://m1:/", tcp_host("m1", 2375)),
            (" m1:2377 ", tcp_host("m1", 2377)),
            ("tcp://[fd00::1]:2376", tcp_host("fd00::1", 2376)),
            ("ssh://m1", ssh_host(None, "m1", None, None)),
            ("ssh://root@m1:2222/", ssh_host(Some("root"), "m1", Some(2222), None)),
            ("ssh://a%40b@m1/run/d.sock", ssh_host(Some("a@b"), "m1", None, Some("/run/d.sock"))),
            ("ssh://[::1]:22", ssh_host(None, "::1", Some(22), None)),
        ] {
            assert_eq!(Host::parse(given), Ok(meant), "{given}");
        }
    }

    #[test]
    fn what_is_no_address_is_named_with_what_is_wrong() {
        for (given, why) in [
            ("npipe:////./pipe/docker_engine", "write unix:///PATH"),
            ("fd://3", "write unix:///PATH"),
            ("unix://relative", "write unix:///PATH"),
            ("/run/docker.sock", "write unix:///PATH"),
            ("tcp://", "names no host"),
            ("tcp://m1:0", "no number from 1 to 65535"),
            ("tcp://m1:http", "no number from 1 to 65535"),
            ("tcp://fd00::1", "in brackets"),
            ("tcp://[fd00::1", "in brackets"),
            ("tcp://m1:2375/v1", "nothing may follow"),
            ("tcp://root@m1", "needs ssh://"),
            ("ssh://root@", "names no host"),
            ("ssh://m1?x", "mean nothing"),
        ] {
            let error = Host::parse(given).unwrap_err().to_string();
            assert!(error.contains(given) && error.contains(why), "{given}: {error}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_shown() {
        let error = Host::parse("ssh://root:secret@m1:22").unwrap_err().to_string();
        assert!(
            error.contains("'ssh://root:***@m1:22'") && error.contains("a password cannot be"),
            "{error}"
        );
    }

    #[test]
    fn an_address_is_shown_as_it_is_written() {
        for given in ["tcp://m1:2376", "tcp://[fd00::1]:2376", "ssh://root@m1:2222/run/d.sock", "ssh://[::1]"]
        {
            let shown = match Host::parse(given).unwrap() {
                Host::Tcp(host) => host.to_string(),
                Host::Ssh(host) => host.to_string(),
                Host::Default | Host::Socket(_) => unreachable!(),
            };
            assert_eq!(shown, given);
        }
    }
}
