//! TLS to an engine: whom it trusts, who we are, and what it means when either side does not trust the other.

use careen_engine::transport::Connection;
use jiff::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct,
    InvalidMessage, RootCertStore, SignatureScheme, StreamOwned,
};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Where systems keep the authorities that they trust.
const SYSTEM_AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// How an engine is known, and how it knows us.
#[derive(Debug, Clone)]
pub struct Secure {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    /// Where `cert.pem` and `key.pem` are looked for, and whether both are there.
    directory: PathBuf,
    has_certificate: bool,
}

/// A directory with `ca.pem`, `cert.pem` and `key.pem`, as docker's are.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// Where they are.
    pub directory: PathBuf,
    /// Whether the engine's certificate counts.
    pub verify: bool,
    /// Whether `ca.pem` has to be there; without, the system's authorities are trusted.
    pub needs_authority: bool,
}

/// Certificates of no use.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum InvalidCertificates {
    #[error("{path} cannot be read")]
    Unreadable { path: PathBuf, source: io::Error },
    /// The parser's words could quote what is in it.
    #[error("{path} has no certificate in PEM")]
    NoCertificate { path: PathBuf },
    #[error("{path} has no private key in PEM, or one with a password, which cannot be used")]
    NoKey { path: PathBuf },
    #[error("the certificate and the key in {directory} do not belong together, or are of no use")]
    Pair { directory: PathBuf, source: rustls::Error },
    #[error("'{name}' is no name that a certificate could have")]
    Name { name: String },
    #[error("the TLS settings are of no use")]
    Settings(#[from] rustls::Error),
}

/// Why two sides do not trust each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum TlsFailure {
    #[error("the engine's certificate has expired{}", since(.when))]
    Expired { when: Option<String> },
    #[error("the engine's certificate is not valid yet{}", until(.when))]
    NotYetValid { when: Option<String> },
    #[error("the engine's certificate is from an authority that {trusted} does not have")]
    UnknownAuthority { trusted: String },
    #[error("the engine's certificate is for other names than '{name}'{}", those(.valid))]
    OtherName { name: String, valid: Vec<String> },
    #[error("the engine wants a client certificate, and {directory} has no cert.pem with a key.pem")]
    CertificateWanted { directory: PathBuf },
    #[error("the engine refuses the client certificate in {directory}: {why}")]
    CertificateRefused { directory: PathBuf, why: String },
    #[error("what listens there speaks no TLS")]
    NoTls,
    #[error("{why}")]
    Unknown { why: String },
}

fn since(when: &Option<String>) -> String {
    when.as_ref().map_or_else(String::new, |when| format!(": it was valid until {when}"))
}

fn until(when: &Option<String>) -> String {
    when.as_ref().map_or_else(String::new, |when| format!(": it is from {when} on"))
}

fn those(valid: &[String]) -> String {
    if valid.is_empty() { String::new() } else { format!(": {}", valid.join(", ")) }
}

impl TlsFailure {
    /// What to do next.
    pub const fn next(&self) -> &'static str {
        match self {
            Self::Expired { .. } => "give the engine a new certificate, and meanwhile ask another manager",
            Self::NotYetValid { .. } => "compare the clocks of both machines",
            Self::UnknownAuthority { .. } => {
                "bring the ca.pem of the authority that signed the engine's certificate (DOCKER_CERT_PATH, or the context's)"
            }
            Self::OtherName { .. } => "ask for the engine by a name of its certificate",
            Self::CertificateWanted { .. } => {
                "put cert.pem and key.pem there, or say where they are (DOCKER_CERT_PATH, or the context's)"
            }
            Self::CertificateRefused { .. } => {
                "get a client certificate that is valid and from the authority that the engine trusts (its --tlscacert)"
            }
            Self::NoTls => {
                "unset DOCKER_TLS_VERIFY if the engine is meant to be open; look at the port otherwise"
            }
            Self::Unknown { .. } => "look at the engine's log and its --tls options",
        }
    }
}

impl Certificates {
    /// What a connection to the engine of this name needs of them.
    pub fn secure(self, name: &str) -> Result<Secure, InvalidCertificates> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let verifier: Arc<dyn ServerCertVerifier> = match self.verify {
            true => WebPkiServerVerifier::builder_with_provider(Arc::new(self.authorities()?), provider)
                .build()
                .map_err(|error| InvalidCertificates::Settings(rustls::Error::General(error.to_string())))?,
            false => Arc::new(Anybody(provider)),
        };
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let own = self.own()?;
        let has_certificate = own.is_some();
        let config = match own {
            Some((chain, key)) => builder
                .with_client_auth_cert(chain, key)
                .map_err(|source| InvalidCertificates::Pair { directory: self.directory.clone(), source })?,
            None => builder.with_no_client_auth(),
        };
        let server = ServerName::try_from(name.to_owned())
            .map_err(|_| InvalidCertificates::Name { name: name.to_owned() })?;
        Ok(Secure { config: Arc::new(config), name: server, directory: self.directory, has_certificate })
    }

    /// Whom we trust.
    fn authorities(&self) -> Result<RootCertStore, InvalidCertificates> {
        let path = self.directory.join("ca.pem");
        let mut roots = RootCertStore::empty();
        match read(&path)? {
            Some(text) => {
                for certificate in certificates(&path, &text)? {
                    let added = roots.add(certificate);
                    added.map_err(|_| InvalidCertificates::NoCertificate { path: path.clone() })?;
                }
            }
            None if self.needs_authority => {
                let source = io::Error::from(ErrorKind::NotFound);
                return Err(InvalidCertificates::Unreadable { path, source });
            }
            None => {
                let bundle = SYSTEM_AUTHORITIES.iter().find_map(|path| std::fs::read(path).ok());
                let bundle = bundle.unwrap_or_default();
                // Some of what systems trust is older than what is understood here.
                roots.add_parsable_certificates(
                    CertificateDer::pem_slice_iter(&bundle).filter_map(Result::ok),
                );
            }
        }
        Ok(roots)
    }

    /// Who we are. Where one of the two is missing we are nobody, as for the docker CLI.
    fn own(
        &self,
    ) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, InvalidCertificates> {
        let path = |name: &str| self.directory.join(name);
        let (Some(chain), Some(key)) = (read(&path("cert.pem"))?, read(&path("key.pem"))?) else {
            return Ok(None);
        };
        let chain = certificates(&path("cert.pem"), &chain)?;
        let key = PrivateKeyDer::from_pem_slice(&key);
        Ok(Some((chain, key.map_err(|_| InvalidCertificates::NoKey { path: path("key.pem") })?)))
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, InvalidCertificates> {
    match std::fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(InvalidCertificates::Unreadable { path: path.to_owned(), source }),
    }
}

fn certificates(path: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, InvalidCertificates> {
    let all: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(text).collect();
    let all = all.ok().filter(|all| !all.is_empty());
    all.ok_or_else(|| InvalidCertificates::NoCertificate { path: path.to_owned() })
}

/// Takes every certificate: `SkipTLSVerify` of a context. That the other side has the certificate's key is still looked at.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A connection with TLS.
#[derive(Debug)]
pub(super) struct Session {
    stream: StreamOwned<ClientConnection, TcpStream>,
    secure: Secure,
}

impl Session {
    /// Shakes hands; each read and write of it may take so long.
    pub(super) fn open(secure: &Secure, stream: TcpStream, limit: Option<Duration>) -> io::Result<Self> {
        let session = ClientConnection::new(Arc::clone(&secure.config), secure.name.clone())
            .map_err(io::Error::other)?;
        let mut session = Self { stream: StreamOwned::new(session, stream), secure: secure.clone() };
        session.limit_read(limit)?;
        session.limit_write(limit)?;
        while session.stream.conn.is_handshaking() {
            let StreamOwned { conn, sock } = &mut session.stream;
            conn.complete_io(sock).map_err(|error| secure.explained(error))?;
        }
        Ok(session)
    }

    /// The other side may have said why before it closed.
    fn last_words(&mut self, error: io::Error) -> io::Error {
        if !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) {
            return error;
        }
        let StreamOwned { conn, sock } = &mut self.stream;
        let said = conn.read_tls(sock).ok().and_then(|_| conn.process_new_packets().err());
        said.map_or(error, |said| io::Error::new(ErrorKind::InvalidData, said))
    }

    /// Whether nothing is there to read, and the other side has not closed.
    fn is_silent(&mut self) -> io::Result<bool> {
        let StreamOwned { conn, sock } = &mut self.stream;
        loop {
            // Tickets for later sessions come whenever they want.
            let state = conn.process_new_packets().map_err(io::Error::other)?;
            if state.plaintext_bytes_to_read() > 0 || state.peer_has_closed() {
                return Ok(false);
            }
            match conn.read_tls(sock) {
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Read for Session {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer).map_err(|error| self.secure.explained(error))
    }
}

impl Write for Session {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.stream.write(bytes);
        written.map_err(|error| {
            let error = self.last_words(error);
            self.secure.explained(error)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Connection for Session {
    fn limit_read(&self, limit: Option<Duration>) -> io::Result<()> {
        self.stream.sock.set_read_timeout(limit)
    }

    fn limit_write(&self, limit: Option<Duration>) -> io::Result<()> {
        self.stream.sock.set_write_timeout(limit)
    }

    fn is_idle(&mut self) -> bool {
        let silent = self.stream.sock.set_nonblocking(true).and_then(|()| self.is_silent());
        self.stream.sock.set_nonblocking(false).is_ok() && silent.unwrap_or(false)
    }
}

impl Secure {
    /// The same error, in words that say whose certificate it is about.
    fn explained(&self, error: io::Error) -> io::Error {
        let said = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match said.map(|said| self.meaning(said)) {
            Some(failure) => io::Error::other(failure),
            None => error,
        }
    }

    fn meaning(&self, said: &rustls::Error) -> TlsFailure {
        if let rustls::Error::InvalidCertificate(wrong) = said {
            return self.distrust(wrong);
        }
        if let rustls::Error::AlertReceived(alert) = said
            && is_about_our_certificate(*alert)
        {
            let directory = self.directory.clone();
            return match self.has_certificate {
                true => TlsFailure::CertificateRefused { directory, why: format!("{alert:?}") },
                false => TlsFailure::CertificateWanted { directory },
            };
        }
        match matches!(said, rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) {
            true => TlsFailure::NoTls,
            false => TlsFailure::Unknown { why: said.to_string() },
        }
    }

    fn distrust(&self, wrong: &CertificateError) -> TlsFailure {
        use CertificateError as Wrong;
        if let Some(failure) = out_of_time(wrong) {
            return failure;
        }
        // Two authorities of one name, as docker's instructions make them, differ by their key alone.
        if matches!(wrong, Wrong::UnknownIssuer | Wrong::BadSignature) {
            let path = self.directory.join("ca.pem");
            let trusted = if path.exists() { path.display().to_string() } else { "this system".to_owned() };
            return TlsFailure::UnknownAuthority { trusted };
        }
        if let Wrong::NotValidForNameContext { presented, .. } = wrong {
            return self.other_name(presented);
        }
        match matches!(wrong, Wrong::NotValidForName) {
            true => self.other_name(&[]),
            false => TlsFailure::Unknown { why: format!("the engine's certificate cannot be used: {wrong}") },
        }
    }

    fn other_name(&self, valid: &[String]) -> TlsFailure {
        let valid = valid.iter().map(|name| plain(name).to_owned()).collect();
        TlsFailure::OtherName { name: self.name.to_str().into_owned(), valid }
    }
}

fn out_of_time(wrong: &CertificateError) -> Option<TlsFailure> {
    use CertificateError as Wrong;
    if let Wrong::ExpiredContext { not_after, .. } = wrong {
        return Some(TlsFailure::Expired { when: day(*not_after) });
    }
    if let Wrong::NotValidYetContext { not_before, .. } = wrong {
        return Some(TlsFailure::NotYetValid { when: day(*not_before) });
    }
    let expired = matches!(wrong, Wrong::Expired).then_some(TlsFailure::Expired { when: None });
    expired.or_else(|| matches!(wrong, Wrong::NotValidYet).then_some(TlsFailure::NotYetValid { when: None }))
}

/// `DnsName("m1")`, as the library shows a certificate's names, is m1.
fn plain(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

/// Whether an engine says so of a certificate that it does not get, or does not take.
fn is_about_our_certificate(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;
    let all = [
        Alert::NoCertificate,
        Alert::BadCertificate,
        Alert::UnsupportedCertificate,
        Alert::CertificateRevoked,
        Alert::CertificateExpired,
        Alert::CertificateUnknown,
        Alert::UnknownCA,
        Alert::AccessDenied,
        Alert::CertificateRequired,
        Alert::DecryptError,
    ];
    all.contains(&alert)
}

fn day(time: UnixTime) -> Option<String> {
    let time = Timestamp::from_second(i64::try_from(time.as_secs()).ok()?).ok()?;
    Some(time.to_string())
}
