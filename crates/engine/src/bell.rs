//! Something that rings when it may be worth looking again.
//!
//! A ring carries no news. What an engine tells may be late, twice, out of order or lost, so whoever hears it asks anew, and
//! looks from time to time although nothing rang. A stream that ends, hangs or cannot be had costs time and nothing else.

use crate::{ApiPath, Engine};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// After so long a stream is asked for anew: one that hangs is not told from one that has nothing to tell.
const STREAM_LIMIT: Duration = Duration::from_secs(60);

/// When one is asked for again that could not be had, or ended at once.
const AGAIN: Duration = Duration::from_secs(1);

/// So much of a line is looked at.
const LONGEST_LINE: u64 = 64 << 10;

/// A bell. Its clones are the same one.
#[derive(Debug, Clone)]
pub struct Bell(Arc<EventFd>);

/// Rings for what one stream tells, until it is dropped.
#[derive(Debug)]
pub struct Ringer {
    rang: Arc<AtomicBool>,
}

impl Bell {
    /// One that has not rung. An error where the system has no more descriptors.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?)))
    }

    /// Rings.
    pub fn ring(&self) {
        ring(&self.0);
    }

    /// Whether it rang since this was asked last.
    pub fn rang(&self) -> bool {
        self.0.read().is_ok()
    }

    /// Can be read once it has rung.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Rings for each line of a stream that is meant, and when the stream ends or is there again. `engine` is asked for a
    /// connection each time that the stream is. Where there is no thread to be had, nothing rings.
    pub fn follow(
        &self,
        path: ApiPath,
        engine: impl Fn() -> Option<Arc<Engine>> + Send + 'static,
        is_meant: impl Fn(&[u8]) -> bool + Send + 'static,
    ) -> Ringer {
        let rang = Arc::new(AtomicBool::new(false));
        let listener = Listener { bell: Arc::downgrade(&self.0), rang: Arc::downgrade(&rang), again: AGAIN };
        let listen = move || listener.listen(|| engine()?.reader_within(&path, STREAM_LIMIT).ok(), is_meant);
        let _looked_by_the_clock = thread::Builder::new().name("bell".to_owned()).spawn(listen);
        Ringer { rang }
    }
}

impl Ringer {
    /// Whether it rang since this was asked last.
    pub fn rang(&self) -> bool {
        self.rang.swap(false, Ordering::Relaxed)
    }
}

fn ring(bell: &EventFd) {
    // It fails when nobody has asked for 2^64 rings.
    let _rings_already = bell.write(1);
}

/// What a stream's thread knows of whoever hears it.
struct Listener {
    bell: Weak<EventFd>,
    rang: Weak<AtomicBool>,
    /// When the stream is asked for again.
    again: Duration,
}

impl Listener {
    fn listen<R: Read>(&self, open: impl Fn() -> Option<R>, is_meant: impl Fn(&[u8]) -> bool) {
        let mut lost = false;
        while self.rang.strong_count() > 0 {
            let began = Instant::now();
            if let Some(stream) = open() {
                if std::mem::take(&mut lost) {
                    self.ring();
                }
                each_line(stream, |line| {
                    if is_meant(line) {
                        self.ring();
                    }
                });
                if began.elapsed() < STREAM_LIMIT {
                    self.ring();
                }
            } else {
                lost = true;
            }
            // One that ends at once, or is refused, must not spin.
            thread::sleep(self.again.saturating_sub(began.elapsed()));
        }
    }

    fn ring(&self) {
        if let (Some(bell), Some(rang)) = (self.bell.upgrade(), self.rang.upgrade()) {
            rang.store(true, Ordering::Relaxed);
            ring(&bell);
        }
    }
}

/// Until the stream ends, or reading fails. Of a line that is too long the pieces count as lines.
fn each_line(stream: impl Read, mut each: impl FnMut(&[u8])) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    while let Ok(1..) = stream.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
        each(&line);
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::sync::Mutex;

    #[test]
    fn it_is_heard_once_however_often_it_rang() {
        let bell = Bell::new().unwrap();
        assert!(!bell.rang());
        bell.ring();
        bell.clone().ring();
        assert!(bell.rang() && !bell.rang());
    }

    #[test]
    fn it_rings_for_what_is_meant_and_when_a_stream_is_lost_and_back() {
        let bell = Bell::new().unwrap();
        let rang = Arc::new(AtomicBool::new(false));
        let listener =
            Listener { bell: Arc::downgrade(&bell.0), rang: Arc::downgrade(&rang), again: Duration::ZERO };
        let noise = "x".repeat(3 * LONGEST_LINE as usize);
        let streams: VecDeque<Option<String>> =
            [Some(format!("{noise}\nnoise\n")), None, Some("noise\nmeant".to_owned())].into();
        let (streams, rang) = (Mutex::new(streams), Mutex::new(Some(rang)));
        let heard = Mutex::new(Vec::new());
        listener.listen(
            || {
                let mut rang = rang.lock().unwrap();
                heard.lock().unwrap().push(rang.as_ref().unwrap().swap(false, Ordering::Relaxed));
                let Some(stream) = streams.lock().unwrap().pop_front() else {
                    rang.take(); // nobody hears it any more
                    return None;
                };
                stream.map(|text| io::Cursor::new(text.into_bytes()))
            },
            |line| line == b"meant",
        );
        // It ended; it could not be had; it was back, told what is meant, and ended.
        assert_eq!(*heard.lock().unwrap(), [false, true, false, true]);
        assert!(bell.rang());
    }
}
