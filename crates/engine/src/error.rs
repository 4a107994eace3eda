//! Why an engine could not be asked, or said no.

/// Why an engine could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Nothing listens there, or it does not let us in, or it broke off.
    #[error("the docker engine at {at} cannot be asked")]
    Unreachable {
        /// Where: [`crate::transport::Transport::at`].
        at: String,
        /// What the kernel or the HTTP client says.
        #[source]
        source: Box<ureq::Error>,
    },
    /// It answered, with an error.
    #[error("the docker engine answered {status} to {request}: {message}")]
    Answer {
        /// The HTTP status.
        status: u16,
        /// Method and path.
        request: String,
        /// Its words.
        message: String,
    },
    /// It answered with something else than documented.
    #[error("the docker engine's answer to {request} was not understood")]
    Malformed {
        /// Method and path.
        request: String,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
}

impl EngineError {
    /// What the kernel said to it, when it was the kernel that said no.
    pub fn io_kind(&self) -> Option<std::io::ErrorKind> {
        self.io().map(std::io::Error::kind)
    }

    /// What the way to the engine said of why it leads nowhere, if it is one that says this.
    pub fn carried<E: std::error::Error + 'static>(&self) -> Option<&E> {
        self.io()?.get_ref()?.downcast_ref()
    }

    fn io(&self) -> Option<&std::io::Error> {
        let Self::Unreachable { source, .. } = self else { return None };
        let ureq::Error::Io(error) = source.as_ref() else { return None };
        Some(error)
    }
}
