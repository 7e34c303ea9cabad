//! Processes of the binary under test: they go with their test, and no wait for them is without end.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A machine that is slow and busy takes long for what is done at once elsewhere.
const PATIENCE: Duration = Duration::from_secs(120);
const STEP: Duration = Duration::from_millis(10);

/// Looks until there is what is sought, where nobody tells when that is; a look that finds nothing says what it saw.
pub(crate) fn until<T>(mut look: impl FnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(why) => assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {why}"),
        }
        std::thread::sleep(STEP);
    }
}

/// What a process said until it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) succeeded: bool,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs the binary to its end.
pub(crate) fn run(arguments: &[&str], input: &[u8]) -> Said {
    let mut running = Running::start(arguments, &std::env::temp_dir());
    running.child.stdin.take().unwrap().write_all(input).unwrap();
    running.end()
}

/// A process of the binary; it goes with this value. Its input is open until then.
pub(crate) struct Running {
    child: Child,
    pub(crate) out: Lines,
    pub(crate) err: Lines,
}

impl Running {
    pub(crate) fn start(arguments: &[&str], temp: &Path) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vivarium"));
        command.args(arguments).env("TMPDIR", temp);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Running { child, out: Lines::of(out), err: Lines::of(err) }
    }

    /// Waits until it serves; its addresses.
    pub(crate) fn ready(&mut self) -> String {
        let line = self.out.next().unwrap_or_default();
        match line.trim_end().strip_prefix("ready ") {
            Some(addresses) => addresses.to_owned(),
            None => panic!("{line}{}", self.err.by_ref().collect::<String>()),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until it has ended; what it said that nobody has read.
    pub(crate) fn end(mut self) -> Said {
        let (out, err) = (self.out.by_ref().collect(), self.err.by_ref().collect());
        Said { succeeded: self.child.wait().unwrap().success(), out, err }
    }

    /// Asks it to end, which it does cleanly.
    pub(crate) fn stop(self) {
        self.send(Signal::INT);
        let said = self.end();
        assert!(said.succeeded, "{said:?}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended, which is as good. The nodes of a cluster end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprint!("{}", self.err.until_now());
        }
    }
}

/// What a process says, by lines with their ends. They end when it does; a process that is silent for too long fails its test.
pub(crate) struct Lines(Receiver<Vec<u8>>);

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Lines {
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            loop {
                let mut line = Vec::new();
                // Where nobody listens any more, a test has ended.
                if stream.read_until(b'\n', &mut line).unwrap() == 0 || sender.send(line).is_err() {
                    return;
                }
            }
        });
        Lines(lines)
    }

    /// What has come and nobody has read.
    pub(crate) fn until_now(&mut self) -> String {
        self.0.try_iter().map(text).collect()
    }
}

impl Iterator for Lines {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        match self.0.recv_timeout(PATIENCE) {
            Ok(line) => Some(text(line)),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("silent for {PATIENCE:?}"),
        }
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// Servers, and the tools that talk to them.
pub(crate) struct Place {
    pub(crate) servers: Running,
    pub(crate) addresses: String,
}

impl Place {
    pub(crate) fn start(arguments: &[&str], temp: &Path) -> Place {
        let mut servers = Running::start(arguments, temp);
        let addresses = servers.ready();
        Place { servers, addresses }
    }

    /// A tool that runs beside the test.
    pub(crate) fn begin(&self, tool: &str, arguments: &[&str]) -> Running {
        Running::start(&self.arguments(tool, arguments), &std::env::temp_dir())
    }

    pub(crate) fn run(&self, tool: &str, arguments: &[&str], input: &[u8]) -> Said {
        run(&self.arguments(tool, arguments), input)
    }

    /// The output of a tool that succeeds.
    pub(crate) fn tell(&self, tool: &str, arguments: &[&str], input: &[u8]) -> String {
        let said = self.run(tool, arguments, input);
        assert!(said.succeeded, "{tool} {arguments:?}: {said:?}");
        said.out
    }

    fn arguments<'a>(&'a self, tool: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
        [&[tool, "--bootstrap-server", &self.addresses], arguments].concat()
    }
}
