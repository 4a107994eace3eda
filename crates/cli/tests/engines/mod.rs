//! Engines that say what a test wants, behind real sockets.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, Stream};
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use tempfile::TempDir;

/// What TLS begins with.
const TLS_HANDSHAKE: u8 = 22;

/// The one node of the swarm, which leads it.
const NODE: &str = r#"[{"ID":"n1","Version":{"Index":1},"Spec":{"Role":"manager","Availability":"active"},"Status":{"State":"ready"},"Description":{"Hostname":"m1"},"ManagerStatus":{"Leader":true,"Reachability":"reachable"}}]"#;

/// What an engine says.
#[derive(Clone)]
pub struct Words {
    api: &'static str,
    info: String,
    /// To everything, in the place of an answer.
    refusal: Option<&'static str>,
}

/// A manager of a swarm in which nothing is.
pub fn manager(name: &str) -> Words {
    let info = format!(
        r#"{{"Name":"{name}","Swarm":{{"NodeID":"n-{name}","LocalNodeState":"active","ControlAvailable":true,"Cluster":{{"ID":"c1"}}}}}}"#
    );
    Words { api: "1.45", info, refusal: None }
}

/// A worker.
pub fn worker(name: &str) -> Words {
    let info = format!(
        r#"{{"Name":"{name}","Swarm":{{"NodeID":"n-{name}","LocalNodeState":"active","RemoteManagers":[{{"NodeID":"n1"}}]}}}}"#
    );
    Words { info, ..manager(name) }
}

/// What an engine's port for TLS says to whoever speaks none.
pub fn wants_tls() -> Words {
    Words { refusal: Some("Client sent an HTTP request to an HTTPS server.\n"), ..manager("m1") }
}

impl Words {
    /// The same, of another API.
    pub fn speaking(self, api: &'static str) -> Self {
        Self { api, ..self }
    }

    /// The same, of another swarm than all others.
    pub fn elsewhere(self) -> Self {
        Self { info: self.info.replace(r#""ID":"c1""#, r#""ID":"c2""#), ..self }
    }

    /// Answers request after request until the other side hangs up. Of events there are none.
    fn answer(&self, stream: &mut (impl Read + Write)) -> io::Result<()> {
        while let Some(request) = Self::request(stream)? {
            if request.contains("/events") {
                io::copy(stream, &mut io::sink())?;
                return Ok(());
            }
            self.answer_one(&request, stream)?;
        }
        Ok(())
    }

    fn request(stream: &mut (impl Read + Write)) -> io::Result<Option<String>> {
        let mut reader = BufReader::new(&mut *stream);
        match reader.fill_buf()?.first() {
            None => return Ok(None),
            Some(&TLS_HANDSHAKE) => {
                reader.get_mut().write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")?;
                return Ok(None);
            }
            Some(_) => {}
        }
        let mut request = String::new();
        reader.read_line(&mut request)?;
        let mut header = String::from("x");
        while !header.trim().is_empty() {
            header.clear();
            reader.read_line(&mut header)?;
        }
        Ok(Some(request))
    }

    fn answer_one(&self, request: &str, stream: &mut impl Write) -> io::Result<()> {
        let path = request.split([' ', '?']).nth(1).unwrap_or_default();
        let Self { api, .. } = self;
        let (status, body) = match path.rsplit('/').next().unwrap_or_default() {
            _ if self.refusal.is_some() => ("400 Bad Request", self.refusal.unwrap_or_default()),
            "_ping" => ("200 OK", "OK"),
            "info" => ("200 OK", self.info.as_str()),
            "nodes" => ("200 OK", NODE),
            "swarm" => ("200 OK", r#"{"ID":"c1","Version":{"Index":1},"Spec":{}}"#),
            "configs" | "secrets" | "services" | "tasks" | "json" => ("200 OK", "[]"),
            _ => ("404 Not Found", r#"{"message":"there is no such thing"}"#),
        };
        let length = body.len();
        // In one piece: the kernel keeps small ones back.
        let answer =
            format!("HTTP/1.1 {status}\r\nApi-Version: {api}\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes())?;
        stream.flush()
    }
}

/// An engine, as long as the test runs.
pub struct Engine {
    host: String,
    /// That of the socket.
    directory: Option<TempDir>,
}

impl Engine {
    pub fn on_unix(words: Words) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let words = words.clone();
                // Whoever hangs up is no concern of the engine's.
                thread::spawn(move || words.answer(&mut stream));
            }
        });
        Self { host: format!("unix://{}", socket.display()), directory: Some(directory) }
    }

    pub fn on_tcp(words: Words) -> Self {
        Self::on_port(move |mut stream| words.answer(&mut stream))
    }

    pub fn on_tls(words: Words, https: &Https) -> Self {
        let config = Arc::new(https.config());
        Self::on_port(move |mut stream| {
            let mut session = ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
            while session.is_handshaking() {
                if let Err(error) = session.complete_io(&mut stream) {
                    // What the other side still sends would make the kernel reset the connection.
                    io::copy(&mut stream, &mut io::sink())?;
                    return Err(error);
                }
            }
            let mut stream = Stream::new(&mut session, &mut stream);
            words.answer(&mut stream)?;
            stream.conn.send_close_notify();
            stream.flush()
        })
    }

    fn on_port(answer: impl Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = format!("tcp://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let answer = answer.clone();
                thread::spawn(move || answer(stream));
            }
        });
        Self { host, directory: None }
    }

    pub fn host(&self) -> String {
        self.host.clone()
    }

    /// A line of shell that joins standard input and output to the engine's socket, as 'docker system dial-stdio' does.
    pub fn bridge(&self) -> String {
        let socket = self.directory.as_ref().unwrap().path().join("docker.sock");
        let program = "$s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die; $all = IO::Select->new($s, \\*STDIN); \
             for (;;) { for my $from ($all->can_read) { sysread($from, $bytes, 65536) or exit 0; \
             syswrite($from == $s ? \\*STDOUT : $s, $bytes); } }";
        format!("exec perl -MIO::Socket::UNIX -MIO::Select -e '{program}' '{}'", socket.display())
    }
}

/// Somebody who signs certificates. All of them have one name.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = named("the authority", &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes its own certificate there.
    pub fn write(&self, directory: &Path) {
        fs::create_dir_all(directory).unwrap();
        fs::write(directory.join("ca.pem"), self.0.pem()).unwrap();
    }

    /// The same, and a client's certificate with its key.
    pub fn write_client(&self, directory: &Path) {
        self.write(directory);
        let (certificate, key) = self.sign(named("somebody", &["somebody"]));
        fs::write(directory.join("cert.pem"), certificate).unwrap();
        fs::write(directory.join("key.pem"), key).unwrap();
    }

    fn sign(&self, params: CertificateParams) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

fn named(name: &str, valid: &[&str]) -> CertificateParams {
    let valid: Vec<String> = valid.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(valid).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// What an engine that speaks TLS has.
pub struct Https<'a> {
    authority: &'a Authority,
    params: CertificateParams,
}

impl<'a> Https<'a> {
    /// A certificate that is in order.
    pub fn of(authority: &'a Authority) -> Self {
        Self { authority, params: named("the engine", &["127.0.0.1"]) }
    }

    pub fn expired(mut self) -> Self {
        self.params.not_before = date_time_ymd(2019, 1, 1);
        self.params.not_after = date_time_ymd(2020, 1, 1);
        self
    }

    pub fn for_name(self, name: &str) -> Self {
        Self { params: named("the engine", &[name]), ..self }
    }

    /// Clients need a certificate of the same authority.
    fn config(&self) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.0.der().clone()).unwrap();
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let (certificate, key) = self.authority.sign(self.params.clone());
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let builder =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_client_cert_verifier(clients.build().unwrap());
        builder.with_single_cert(vec![certificate], key).unwrap()
    }
}
