//! Several managers were named, and the one that is asked goes away.

use super::Session;
use super::follow::Following;
use crate::backend::{Backend, BackendError};
use crate::console::Console;
use crate::error::Failure;
use crate::render::notes::Note;
use std::time::Duration;

/// Two managers that both have no leader would be asked in turn without a rest.
const REST: Duration = Duration::from_secs(1);

impl<B: Backend, C: Console> Session<'_, B, C> {
    /// What a manager answers. When the one that is asked cannot answer and `goes_on`, the next of those that were named is asked; who
    /// asks once is told, and may ask again. `None` after Ctrl-C.
    pub(super) fn answered<T>(
        &mut self,
        goes_on: bool,
        mut ask: impl FnMut(&mut Self) -> Result<T, Failure>,
    ) -> Result<Option<T>, Failure> {
        loop {
            match ask(self) {
                Err(failure) if goes_on => self.ask_elsewhere(failure)?,
                answer => return answer.map(Some),
            }
            self.console.wait(REST);
            if self.console.interrupted() {
                return Ok(None);
            }
        }
    }

    /// Asks the next manager from now on, and says so, behind a failure that says that this one cannot be asked. It is the failure when
    /// it says something else, or nobody else can be asked.
    pub(super) fn ask_elsewhere(&mut self, failure: Failure) -> Result<(), Failure> {
        let Failure::Backend(BackendError::NoManager(away)) = &failure else { return Err(failure) };
        match self.goes_to_another(Some(&away.to_string()))? {
            true => Ok(()),
            false => Err(failure),
        }
    }

    /// The same for whoever waits until somebody answers, whoever that is: the engine that is asked may be the one that is being
    /// restarted. Whether another manager is asked from now on.
    pub(super) fn is_away(&mut self, following: &mut Following, why: &str) -> Result<bool, Failure> {
        self.unavailable(following, why)?;
        let goes = self.goes_to_another(None)?;
        following.silent &= !goes;
        Ok(goes)
    }

    /// Asks the next manager from now on, and says so, with why this one was passed over where nobody has said that yet. `false` where nobody
    /// else can be asked.
    fn goes_to_another(&mut self, passed: Option<&str>) -> Result<bool, Failure> {
        let Some(manager) = self.backend.ask_another() else { return Ok(false) };
        if let Some(why) = passed {
            self.show(&Note::PassedOver { why })?;
        }
        self.show(&Note::AsksAnother { manager: &manager })?;
        Ok(true)
    }
}
