//! careen's own image: what it is called, and the copy of it that a release's program carries. `careen image load` brings that onto an
//! engine, so that nobody has to build one.

use careen_engine::{ApiPath, Engine, EngineError};
use serde_json::Value;

/// The image, as `docker load` takes it; `None` in a program that was not built by `make dist`.
pub const ARCHIVE: Option<&[u8]> = include!(concat!(env!("OUT_DIR"), "/carried.rs"));

/// What careen's own image is called. It is the asked engine's: a name that everybody could have on a public registry is never
/// pulled from there.
pub fn own_image() -> String {
    format!("careen/installer:{}", env!("CARGO_PKG_VERSION"))
}

/// Why the image that this program carries is not on an engine.
#[derive(Debug, thiserror::Error)]
pub enum NotLoaded {
    /// It was built without.
    #[error("this careen carries no image")]
    NoneCarried,
    /// The engine says no.
    #[error("{message}")]
    Refused {
        /// In its own words.
        message: String,
    },
    /// The engine took the archive, and has no image of this name.
    #[error("the engine took the archive, and does not have the image")]
    NotThere,
    /// The engine gave no answer that can be used.
    #[error(transparent)]
    Engine(EngineError),
}

impl From<EngineError> for NotLoaded {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Answer { message, .. } => Self::Refused { message },
            EngineError::Unreachable { .. } | EngineError::Malformed { .. } => Self::Engine(error),
        }
    }
}

/// An image that is on an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Its id, which is the same on every engine of one storage.
    pub id: String,
    /// The architecture that it is for, in docker's words.
    pub architecture: String,
}

/// Loads the image, and looks whether it is there.
pub fn load(engine: &Engine, archive: Option<&[u8]>) -> Result<Loaded, NotLoaded> {
    let archive = archive.ok_or(NotLoaded::NoneCarried)?;
    engine.load_image(archive)?;
    let found: Value = engine.find(&ApiPath::image(&own_image()))?.ok_or(NotLoaded::NotThere)?;
    let word = |name: &str| found.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Loaded { id: word("Id"), architecture: word("Architecture") })
}
