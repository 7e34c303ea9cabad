//! A server in front of the lab's: another origin, that can be given other files than the lab has, and that can go away. It has the lab
//! a second time, below `second/`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::Browser;

/// Files by path, with their types: what is served instead of the lab's.
type Files = BTreeMap<String, (&'static str, String)>;

/// One of them; it serves until [`Front::go_away`], or until its value goes.
pub struct Front {
    port: u16,
    files: Arc<Mutex<Files>>,
    gone: Arc<AtomicBool>,
    redirects: Arc<AtomicBool>,
}

impl Front {
    /// Begins to serve what the lab's server serves.
    pub fn start() -> Result<Front> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let lab = Browser::address("")?;
        let lab = lab.strip_prefix("http://").and_then(|it| it.strip_suffix('/')).context("the lab's host")?.to_owned();
        let front = Front {
            port: listener.local_addr()?.port(),
            files: Arc::default(),
            gone: Arc::default(),
            redirects: Arc::default(),
        };
        let (files, gone, redirects) =
            (Arc::clone(&front.files), Arc::clone(&front.gone), Arc::clone(&front.redirects));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if gone.load(Ordering::SeqCst) {
                    return;
                }
                let (files, lab, redirects) = (Arc::clone(&files), lab.clone(), redirects.load(Ordering::SeqCst));
                // A request that comes to nothing is the browser's to tell.
                std::thread::spawn(move || serve(&stream, &files, &lab, redirects));
            }
        });
        Ok(front)
    }

    /// The address of a path.
    pub fn address(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// From now on serves this instead of what the lab has there.
    pub fn put(&self, path: &str, kind: &'static str, text: String) {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), (kind, text));
    }

    /// From now on serves what the lab has, everywhere.
    pub fn restore(&self) {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// From now on sends whoever asks for `/index.html` to `/`, as some hosts do.
    pub fn redirect_index(&self) {
        self.redirects.store(true, Ordering::SeqCst);
    }

    /// Closes its port: who connects is refused.
    pub fn go_away(&self) {
        self.gone.store(true, Ordering::SeqCst);
        // It waits for somebody; with the connection it wakes and ends.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.go_away();
    }
}

/// One request a connection.
fn serve(mut stream: &TcpStream, files: &Mutex<Files>, lab: &str, redirects: bool) -> Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let target = line.split(' ').nth(1).context("a target")?.to_owned();
    let mut headers = String::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        if line.trim().is_empty() {
            break;
        }
        if name == "if-none-match" || name == "accept-encoding" {
            headers.push_str(&line);
        }
    }
    let target = target.strip_prefix("/second").filter(|it| it.starts_with('/')).unwrap_or(&target);
    if redirects && target == "/index.html" {
        write!(
            stream,
            "HTTP/1.1 301 Moved Permanently\r\nLocation: /\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )?;
        return Ok(());
    }
    let path = target.split('?').next().unwrap_or_default().trim_start_matches('/');
    let path = if path.is_empty() { "index.html" } else { path };
    let own = files.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
    if let Some((kind, text)) = own {
        let length = text.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n{text}"
        )?;
        return Ok(());
    }
    let mut lab = TcpStream::connect(lab)?;
    write!(lab, "GET {target} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n")?;
    let mut answer = Vec::new();
    lab.read_to_end(&mut answer)?;
    stream.write_all(&answer)?;
    Ok(())
}
