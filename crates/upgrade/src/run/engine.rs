//! Whether the engine answers, asked without a client: a host need not have one.

use super::fail::Fail;
use super::say;
use careen_engine::Engine;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_millis(500);

/// An engine that does not answer within a minute is an error.
pub fn verify() -> Result<(), Fail> {
    let begin = Instant::now();
    loop {
        match Engine::connect().and_then(|engine| engine.ping()) {
            Ok(()) => {
                say!("the engine answers");
                return Ok(());
            }
            Err(why) if begin.elapsed() > LIMIT => return Err(Fail::Engine(why)),
            Err(_) => std::thread::sleep(INTERVAL),
        }
    }
}

/// The storage driver in which the running engine has its images; `None` when it does not tell.
pub fn storage_driver() -> Option<String> {
    let driver = Engine::connect().and_then(|engine| engine.info()).ok()?.driver;
    (!driver.is_empty()).then_some(driver)
}
