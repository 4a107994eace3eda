//! `CAREEN_ON_REMOVE=stop`: was the container removed by somebody, or did it go with its engine?
//!
//! Every graceful stop of an engine removes the containers of Swarm tasks. So a missing container means 'removed' only
//! while the engine that ran it is still the one that answers, and only when that is so at two looks in a row: between
//! an engine's removal of its containers and its own end there is a moment in which the first look would be wrong.

/// One running engine: its process, and when that process started (a process id alone is used again).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInstance {
    /// The process id of dockerd.
    pub pid: u32,
    /// Its start time in clock ticks since boot (field 22 of proc_pid_stat(5)).
    pub start_ticks: u64,
}

/// What one look at the engine showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The engine's process, if there is one.
    pub engine: Option<EngineInstance>,
    /// How many of the agents' containers the engine knows; `None` when it did not answer.
    pub containers: Option<usize>,
}

/// Decides from look to look.
#[derive(Debug)]
pub struct RemovalWatch {
    engine: EngineInstance,
    gone_at_last_look: bool,
}

impl RemovalWatch {
    /// Starts with the engine that runs the containers now.
    pub fn new(engine: EngineInstance) -> Self {
        Self { engine, gone_at_last_look: false }
    }

    /// Takes a look and says whether the containers were removed while the engine stayed up.
    pub fn removed(&mut self, look: &Look) -> bool {
        let same_engine = look.engine.as_ref() == Some(&self.engine);
        match (same_engine, look.containers) {
            (true, Some(0)) => std::mem::replace(&mut self.gone_at_last_look, true),
            (true, Some(_)) => {
                self.gone_at_last_look = false;
                false
            }
            // An engine that is starting, stopping or another one: its containers say nothing. When a new engine
            // knows a container of ours again (a new task joined), the watch goes on with that engine.
            (false, Some(known)) if known > 0 => {
                self.gone_at_last_look = false;
                if let Some(engine) = &look.engine {
                    self.engine = engine.clone();
                }
                false
            }
            (_, None) | (false, Some(_)) => {
                self.gone_at_last_look = false;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(pid: Option<u32>, containers: Option<usize>) -> Look {
        Look { engine: pid.map(|pid| EngineInstance { pid, start_ticks: 1 }), containers }
    }

    fn watched(looks: &[Look]) -> Vec<bool> {
        let mut watch = RemovalWatch::new(EngineInstance { pid: 1, start_ticks: 1 });
        looks.iter().map(|look| watch.removed(look)).collect()
    }

    #[test]
    fn a_container_gone_at_two_looks_was_removed() {
        let here = look(Some(1), Some(1));
        let gone = look(Some(1), Some(0));
        assert_eq!(watched(&[here.clone(), gone.clone(), gone.clone()]), [false, false, true]);
        assert_eq!(watched(&[gone.clone(), here, gone]), [false, false, false]);
    }

    #[test]
    fn an_engine_on_its_way_down_removes_nothing_of_ours() {
        let looks = [
            look(Some(1), Some(1)),
            look(Some(1), Some(0)), // graceful stop: containers go first
            look(Some(1), None),    // the socket is closed
            look(None, None),
            look(Some(2), Some(0)), // restarted without our container
            look(Some(2), Some(0)),
        ];
        assert!(watched(&looks).iter().all(|removed| !removed));
    }

    #[test]
    fn a_task_that_joined_after_an_engine_restart_counts_again() {
        let looks =
            [look(Some(2), Some(0)), look(Some(2), Some(1)), look(Some(2), Some(0)), look(Some(2), Some(0))];
        assert_eq!(watched(&looks), [false, false, false, true]);
    }
}
