//! Requests by hand: a scenario's wire client, and the questions that this process asks of nodes.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use protocol::{ApiKey, Request, RequestBody, ResponseBody, Str, WallMs, frame};
use sim::action::WireProduce;

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
    stream: Option<TcpStream>,
    next_correlation_id: i32,
    answers: Arc<Mutex<Vec<ResponseBody>>>,
}

impl Wire {
    /// It goes through a broker's door.
    pub(crate) fn new(name: Str, port: u16) -> Wire {
        Wire { name, port, stream: None, next_correlation_id: 0, answers: Arc::default() }
    }

    pub(crate) fn answers(&self) -> Vec<ResponseBody> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn produce(&mut self, it: &WireProduce, now: WallMs) -> Result<(), String> {
        let body = it.request(now)?;
        self.say(WireProduce::VERSION, RequestBody::Produce(body)).map_err(|error| format!("{}: {error}", self.name))
    }

    fn say(&mut self, version: i16, body: RequestBody) -> io::Result<()> {
        let api = body.api_key();
        let bytes = encoded(self.next_correlation_id, version, &self.name, body)?;
        self.next_correlation_id += 1;
        // A connection that broke is opened again, once.
        if let Some(stream) = &mut self.stream
            && stream.write_all(&bytes).is_ok()
        {
            return self.listen(api, version);
        }
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_nodelay(true)?;
        stream.write_all(&bytes)?;
        self.stream = Some(stream);
        self.listen(api, version)
    }

    /// One answer, on a thread of its own: answers come in the order of the requests, and so do these threads' turns only if
    /// there is one request at a time, as in every scenario.
    fn listen(&self, api: ApiKey, version: i16) -> io::Result<()> {
        let Some(stream) = &self.stream else { return Ok(()) };
        let (mut stream, answers) = (stream.try_clone()?, self.answers.clone());
        thread::spawn(move || {
            if let Ok(body) = answer(&mut stream, api, version) {
                answers.lock().unwrap_or_else(PoisonError::into_inner).push(body);
            }
        });
        Ok(())
    }
}
