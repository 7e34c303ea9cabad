//! Closes files that were deleted, on a thread of its own and little by little.
//!
//! Closing the last handle of a file without a name frees its blocks. Of a whole segment that is a gigabyte, which the file system
//! gives up, and on many disks discards, within one transaction of its journal, and every sync of every other file waits for that.
//! So a large file is cut from its end, a piece at a time, before it is closed.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::file::NativeFile;

/// Freed at once.
const PIECE: u64 = 16 << 20;
/// Between two pieces, so that what others sync comes in between: a gigabyte goes in a second at most.
const PAUSE: Duration = Duration::from_millis(10);

/// The near end of the thread, which is started when it is needed and ends with this.
#[derive(Debug, Default)]
pub(crate) struct Closer {
    sender: Option<Sender<Vec<NativeFile>>>,
}

impl Closer {
    /// Closes files that no answer names any more. Who still holds one, closes it in the end.
    pub(crate) fn close(&mut self, files: Vec<NativeFile>) {
        if self.sender.is_none() {
            let (sender, receiver) = channel();
            match std::thread::Builder::new().name("closer".into()).spawn(move || run(&receiver)) {
                Ok(_) => self.sender = Some(sender),
                Err(error) => tracing::debug!(%error, "files are closed by the core's own thread"),
            }
        }
        // Without a thread they are closed here.
        let _ = self.sender.as_ref().map(|sender| sender.send(files));
    }
}

fn run(receiver: &Receiver<Vec<NativeFile>>) {
    for files in receiver {
        for file in files {
            file.free(PIECE, || std::thread::sleep(PAUSE));
        }
    }
}
