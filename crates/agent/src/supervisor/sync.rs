//! Syncs the output's files beside the supervisor's loop: a disk that takes seconds for it holds up neither the command's
//! output nor its time limit nor whoever wants to stop it.

use crate::files::File;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// A thread that syncs when it is asked.
#[derive(Debug)]
pub struct Syncer {
    ask: Option<SyncSender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Syncer {
    /// Starts it for these files, synced in this order.
    pub fn start(files: &[&File]) -> io::Result<Self> {
        let files = files.iter().map(|file| file.try_clone()).collect::<io::Result<Vec<_>>>()?;
        // One sync may run while another is asked for, which then tells of everything that was written meanwhile.
        let (ask, asked) = sync_channel(1);
        let thread = thread::Builder::new().name("sync".into()).spawn(move || sync(&files, &asked))?;
        Ok(Self { ask: Some(ask), thread: Some(thread) })
    }

    /// Asks for a sync of everything that was written until now. `false` when the disk does not keep up: ask again.
    pub fn ask(&self) -> bool {
        self.ask.as_ref().is_some_and(|ask| ask.try_send(()).is_ok())
    }

    /// Waits until all that was asked for is done, and ends the thread. Returns the last error, once.
    pub fn finish(&mut self) -> io::Result<()> {
        self.ask = None;
        let ended = self.thread.take().map(JoinHandle::join);
        ended
            .unwrap_or(Ok(Ok(())))
            .unwrap_or_else(|_| Err(io::Error::other("the thread that syncs panicked")))
    }
}

fn sync(files: &[File], asked: &Receiver<()>) -> io::Result<()> {
    let mut result = Ok(());
    for () in asked {
        if let Err(error) = files.iter().try_for_each(File::sync_data) {
            result = Err(error);
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_orders_until_its_end() {
        let mut syncer =
            Syncer::start(&[&File::open(tempfile::NamedTempFile::new().unwrap()).unwrap()]).unwrap();
        assert!(syncer.ask());
        assert!(syncer.finish().is_ok());
        assert!(!syncer.ask());
        assert!(syncer.finish().is_ok(), "a second time changes nothing");
    }

    #[test]
    fn what_cannot_be_synced_is_told_at_the_end() {
        let mut syncer = Syncer::start(&[&File::open("/proc/self/status").unwrap()]).unwrap();
        assert!(syncer.ask());
        assert!(syncer.finish().is_err());
    }
}
