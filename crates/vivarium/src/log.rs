//! Log lines, written to standard error by a thread of their own: whoever does not read them holds nobody up.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

/// Lines that may wait. What comes when so many do is counted and dropped.
const WAITING: usize = 4096;
/// How long the end of the process waits for the last lines.
const PATIENCE: Duration = Duration::from_secs(1);

enum Line {
    Text(Vec<u8>),
    /// Everything before is written; says so.
    Flushed(SyncSender<()>),
}

/// The near end of the log: takes a line at once, whatever becomes of it. A clone writes to the same end.
#[derive(Clone)]
pub(crate) struct Log {
    lines: SyncSender<Line>,
    dropped: Arc<AtomicU64>,
}

impl Log {
    /// Starts the thread that writes to `out`.
    pub(crate) fn start(out: impl Write + Send + 'static) -> io::Result<Log> {
        let (lines, receiver) = sync_channel(WAITING);
        let log = Log { lines, dropped: Arc::default() };
        let dropped = Arc::clone(&log.dropped);
        std::thread::Builder::new().name("log".into()).spawn(move || write_lines(&receiver, &dropped, out))?;
        Ok(log)
    }

    /// Waits until the lines so far are written, but not for long: who reads them may have stopped doing so.
    pub(crate) fn flush(&self) {
        let (done, is_done) = sync_channel(1);
        let end = Instant::now() + PATIENCE;
        let mut last = Line::Flushed(done);
        loop {
            match self.lines.try_send(last) {
                Ok(()) => break,
                Err(TrySendError::Full(back)) if Instant::now() < end => last = back,
                Err(_) => return,
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        // Nothing depends on whether they got out.
        let _ = is_done.recv_timeout(end.saturating_duration_since(Instant::now()));
    }
}

/// One call of `write` is one line.
impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.lines.try_send(Line::Text(line.to_vec())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_lines(lines: &Receiver<Line>, dropped: &AtomicU64, mut out: impl Write) {
    while let Ok(line) = lines.recv() {
        // There is nobody to tell that standard error cannot be written.
        let _ = match line {
            Line::Text(text) => out.write_all(&text),
            Line::Flushed(done) => done.try_send(()).map_err(io::Error::other),
        };
        match dropped.swap(0, Ordering::Relaxed) {
            0 => {}
            count => {
                let _ = writeln!(out, "{count} log lines were dropped: they came faster than they could be written");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};

    /// Writes nothing until it is let.
    struct Pipe {
        gate: Receiver<()>,
        is_open: bool,
        written: Sender<String>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if !self.is_open {
                self.gate.recv().unwrap();
                self.is_open = true;
            }
            self.written.send(String::from_utf8(bytes.to_vec()).unwrap()).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_pipe_that_nobody_reads_holds_nobody_up_and_what_was_dropped_is_counted() {
        let ((open, gate), (written, lines)) = (channel(), channel());
        let mut log = Log::start(Pipe { gate, is_open: false, written }).unwrap();
        let count = 3 * WAITING;
        for index in 0..count {
            log.write_all(format!("line {index}\n").as_bytes()).unwrap();
        }
        open.send(()).unwrap();
        Log::flush(&log);
        let lines: String = lines.try_iter().collect();
        let kept = lines.lines().filter(|it| it.starts_with("line ")).count();
        // One more may be in the writer's hands.
        assert!((WAITING..=WAITING + 1).contains(&kept), "{kept}");
        assert!(lines.contains(&format!("{} log lines were dropped", count - kept)), "{kept}");
    }
}
