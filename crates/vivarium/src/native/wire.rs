//! Requests by hand: a scenario's wire client, and the questions that this process asks of nodes.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use protocol::{ApiKey, Request, RequestBody, ResponseBody, Str, frame};

/// How long a node may take to answer a question.
const PATIENCE: Duration = Duration::from_secs(2);
const LONGEST_ANSWER: usize = 512 << 20;

/// Asks one thing of a node, on a connection of its own.
pub(crate) fn ask(port: u16, version: i16, body: RequestBody) -> io::Result<ResponseBody> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let api = body.api_key();
    stream.write_all(&encoded(0, version, "scenario", body)?)?;
    answer(&mut stream, api, version)
}

fn encoded(correlation_id: i32, version: i16, name: &str, body: RequestBody) -> io::Result<Bytes> {
    let mut request = Request { version, correlation_id, client_id: Some(Str::from(name)), body };
    let frame = frame::encode_request(&mut request).map_err(|error| io::Error::other(error.to_string()))?;
    frame.bytes().ok_or_else(|| io::Error::other("a request names bytes of a log"))
}

fn answer(stream: &mut TcpStream, api: ApiKey, version: i16) -> io::Result<ResponseBody> {
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let size = usize::try_from(i32::from_be_bytes(size)).ok().filter(|it| *it <= LONGEST_ANSWER);
    let mut bytes = vec![0; size.ok_or_else(|| io::Error::other("an answer has no such size"))?];
    stream.read_exact(&mut bytes)?;
    let response = frame::decode_response(api, version, Bytes::from(bytes));
    response.map(|it| it.body).map_err(|error| io::Error::other(error.to_string()))
}

/// A client that says exactly what it is told, to one broker.
pub(crate) struct Wire {
    name: Str,
    port: u16,
    line: Option<Line>,
    next_correlation_id: i32,
    answers: Arc<Mutex<Vec<ResponseBody>>>,
}

/// A connection, and who listens to it: answers come in the order of the requests.
struct Line {
    stream: TcpStream,
    asked: Sender<(ApiKey, i16)>,
}

impl Wire {
    /// It goes through a broker's door.
    pub(crate) fn new(name: Str, port: u16) -> Wire {
        Wire { name, port, line: None, next_correlation_id: 0, answers: Arc::default() }
    }

    pub(crate) fn answers(&self) -> Vec<ResponseBody> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn say(&mut self, version: i16, body: RequestBody) -> Result<(), String> {
        self.try_say(version, body).map_err(|error| format!("{}: {error}", self.name))
    }

    fn try_say(&mut self, version: i16, body: RequestBody) -> io::Result<()> {
        let asked = (body.api_key(), version);
        let bytes = encoded(self.next_correlation_id, version, &self.name, body)?;
        self.next_correlation_id += 1;
        // A connection that broke is opened again, once.
        if self.line.as_mut().is_some_and(|it| it.send(&bytes, asked).is_ok()) {
            return Ok(());
        }
        let mut line = Line::open(self.port, self.answers.clone())?;
        line.send(&bytes, asked)?;
        self.line = Some(line);
        Ok(())
    }
}

impl Line {
    fn open(port: u16, answers: Arc<Mutex<Vec<ResponseBody>>>) -> io::Result<Line> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        let (asked, requests) = channel();
        let mut listening = stream.try_clone()?;
        thread::spawn(move || {
            for (api, version) in requests {
                // Who hears no more says so: the next request opens another connection.
                let Ok(body) = answer(&mut listening, api, version) else { return };
                answers.lock().unwrap_or_else(PoisonError::into_inner).push(body);
            }
        });
        Ok(Line { stream, asked })
    }

    fn send(&mut self, bytes: &[u8], asked: (ApiKey, i16)) -> io::Result<()> {
        self.asked.send(asked).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        self.stream.write_all(bytes)
    }
}
