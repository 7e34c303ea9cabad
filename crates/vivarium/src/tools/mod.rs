//! Kafka's command-line tools over real sockets. Their logic is [`client::tools`]; here are stdin, stdout and Ctrl-C.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use bytes::Bytes;
use client::Client;
use client::tools::{Host, REST, Session, SessionInput, SessionOutbox, ToolKind, regex_pattern};

use crate::native_client::{Happened, Network, Teller};

/// What the terminal tells.
enum Typed {
    /// At least one line, and those that came with it; `None` at the end of input.
    Lines(Vec<Option<Bytes>>),
    Interrupt,
}

/// Lines that are handed over at once, if they are there.
const LINES_AT_ONCE: usize = 500;

/// Runs a tool with Kafka's arguments; answers its exit code.
pub(crate) fn run(kind: &ToolKind, args: &[String]) -> ExitCode {
    let mut network: Network<Typed> = Network::new();
    watch_interrupts(network.teller());
    let permits = read_lines(network.teller());
    let interactive = io::stdin().is_terminal() && io::stdout().is_terminal();
    let mut files = |path: &str| std::fs::read_to_string(path).map_err(|error| format!("{path} ({error})"));
    let seed = seed();
    let re2 = server::check_pattern;
    let mut host = Host { files: &mut files, pattern: regex_pattern, re2, interactive, seed, rest: Some(&REST) };
    let (mut session, config) = Session::new(kind, args, &mut host);
    let mut client = Client::boot(config, seed);
    let mut input = SessionInput::Start;
    let mut lines: VecDeque<Option<Bytes>> = VecDeque::new();
    let mut asked = false;
    loop {
        let mut out = SessionOutbox::default();
        session.handle(&mut client, network.now(), input, &mut out);
        network.carry_out(&mut out.client);
        if let Some(code) = show(&out) {
            return code;
        }
        if session.wants_line() {
            if let Some(line) = lines.pop_front() {
                input = SessionInput::Line(line);
                continue;
            }
            if !asked {
                // An error only means that stdin has ended, which was told already.
                let _ = permits.send(());
                asked = true;
            }
        }
        input = match network.next(client.wake_at()) {
            Happened::Input(input) => SessionInput::Client(*input),
            Happened::Other(Typed::Interrupt) => SessionInput::Interrupt,
            Happened::Other(Typed::Lines(more)) => {
                asked = false;
                lines.extend(more);
                // Nothing has happened to the session; it asks for its line now.
                SessionInput::Client(client::Input::Wake)
            }
        };
    }
}

/// Writes what the tool says; the exit code if it is done, or if nobody listens any more.
fn show(out: &SessionOutbox) -> Option<ExitCode> {
    let mut stdout = io::stdout().lock();
    // What goes wrong on stderr cannot be told anywhere.
    let _ = io::stderr().write_all(&out.stderr);
    if !out.stdout.is_empty() && stdout.write_all(&out.stdout).and_then(|()| stdout.flush()).is_err() {
        let _ = io::stderr().write_all(b"Unable to write to standard out, closing consumer.\n");
        return Some(ExitCode::FAILURE);
    }
    out.exit.map(|code| ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// Reads lines of stdin for each permit, so that not much more is read than is sent.
fn read_lines(teller: Teller<Typed>) -> Sender<()> {
    let (permits, wanted): (Sender<()>, Receiver<()>) = channel();
    thread::spawn(move || {
        let mut stdin = BufReader::new(io::stdin());
        for () in wanted {
            let mut lines = vec![read_line(&mut stdin)];
            while lines.len() < LINES_AT_ONCE && stdin.buffer().contains(&b'\n') {
                lines.push(read_line(&mut stdin));
            }
            let ended = lines.contains(&None);
            if !teller.tell(Typed::Lines(lines)) || ended {
                return;
            }
        }
    });
    permits
}

/// A line without its end (LF or CRLF, as Java reads them); `None` at the end of input. What cannot be read ends it too.
fn read_line(input: &mut impl BufRead) -> Option<Bytes> {
    let mut line = Vec::new();
    if input.read_until(b'\n', &mut line).ok()? == 0 {
        return None;
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    Some(line.into())
}

/// Lets Ctrl-C end the tool in its own words. Without it (the signal cannot be caught) it just ends.
fn watch_interrupts(teller: Teller<Typed>) {
    let Ok((mut here, there)) = UnixStream::pair() else { return };
    if signal_hook::low_level::pipe::register(signal_hook::consts::SIGINT, there).is_ok() {
        thread::spawn(move || {
            let mut byte = [0];
            while here.read_exact(&mut byte).is_ok() && teller.tell(Typed::Interrupt) {}
        });
    }
}

/// Draws the seed of this run's own choices (partitions, back-offs).
fn seed() -> u64 {
    // Without randomness the choices are only less well spread.
    getrandom::u64().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_as_in_java() {
        let mut input = &b"a\nb\r\n\nlast"[..];
        let lines: Vec<Bytes> = std::iter::from_fn(|| read_line(&mut input)).collect();
        assert_eq!(lines, ["a", "b", "", "last"]);
    }
}
