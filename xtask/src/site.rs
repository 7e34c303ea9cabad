//! A small HTTP server of static files, for one person on this machine: the page, in the lab and in its tests.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::bundle;

const IDLE: Duration = Duration::from_secs(30);
/// A request's line or one of its headers.
const LINE: u64 = 8 * 1024;
const HEADERS: usize = 100;

/// Takes a port of loopback, so that nobody waits for a build only to hear that it is taken; 0 takes a free one.
pub(crate) fn bind(port: u16) -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("port {port} is taken by another program; choose one with --port N")
        }
        _ => anyhow::Error::new(error).context(format!("listen on port {port}")),
    })
}

/// Serves `folder` until the process ends. Returns where.
pub(crate) fn serve(listener: TcpListener, folder: PathBuf) -> Result<SocketAddr> {
    let address = listener.local_addr()?;
    thread::Builder::new()
        .name("site".to_owned())
        .spawn(move || {
            for stream in listener.incoming().flatten() {
                let folder = folder.clone();
                // A connection that can't be served is the browser's to retry.
                let _ = thread::Builder::new().name("visitor".to_owned()).spawn(move || converse(&stream, &folder));
            }
        })
        .context("start the page's thread")?;
    Ok(address)
}

struct Request {
    method: String,
    target: String,
    gzip: bool,
    brotli: bool,
    known: Option<String>,
    close: bool,
}

struct Answer {
    status: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

/// Request after request, until the browser has had enough, goes quiet, or says what we do not understand.
fn converse(stream: &TcpStream, folder: &Path) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let request = match read(&mut reader) {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                write(stream, &plain("400 Bad Request", "not an HTTP request"), false, true)?;
                return linger(stream, &mut reader);
            }
            Err(error) => return Err(error),
        };
        let answer = answer(&request, folder);
        write(stream, &answer, request.method == "HEAD", request.close)?;
        if request.close {
            return linger(stream, &mut reader);
        }
    }
}

/// Reads away a bounded rest before the connection closes: closing on unread bytes resets it, and a reset can overtake
/// the answer.
fn linger(stream: &TcpStream, reader: &mut impl BufRead) -> io::Result<()> {
    stream.shutdown(std::net::Shutdown::Write)?;
    stream.set_read_timeout(Some(std::time::Duration::from_secs(1)))?;
    io::copy(&mut reader.take(1 << 20), &mut io::sink()).map(drop)
}

fn read(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let Some(first) = read_line(reader)? else { return Ok(None) };
    let mut words = first.split(' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(malformed());
    };
    let mut request = Request {
        method: method.to_owned(),
        target: target.to_owned(),
        gzip: false,
        brotli: false,
        known: None,
        close: version != "HTTP/1.1",
    };
    for _ in 0..HEADERS {
        let line = read_line(reader)?.ok_or_else(malformed)?;
        if line.is_empty() {
            return Ok(Some(request));
        }
        let (name, value) = line.split_once(':').ok_or_else(malformed)?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "accept-encoding" => {
                request.gzip = accepts(value, "gzip");
                request.brotli = accepts(value, "br");
            }
            "if-none-match" => request.known = Some(value.to_owned()),
            "connection" => request.close |= value.eq_ignore_ascii_case("close"),
            // A body would be taken for the next request: none is expected, so none is waited for.
            "content-length" | "transfer-encoding" => request.close = true,
            _ => {}
        }
    }
    Err(malformed())
}

/// A line without its end; None at the end of the stream.
fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    reader.by_ref().take(LINE).read_until(b'\n', &mut bytes)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let text = String::from_utf8(bytes).map_err(|_| malformed())?;
    let line = text.strip_suffix('\n').ok_or_else(malformed)?;
    Ok(Some(line.strip_suffix('\r').unwrap_or(line).to_owned()))
}

fn malformed() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

fn accepts(value: &str, wanted: &str) -> bool {
    value.split(',').any(|it| {
        let (coding, parameters) = it.split_once(';').unwrap_or((it, "q=1"));
        let quality = parameters.trim().strip_prefix("q=").and_then(|it| it.parse::<f32>().ok());
        coding.trim() == wanted && quality.is_some_and(|it| it > 0.0)
    })
}

fn answer(request: &Request, folder: &Path) -> Answer {
    if request.method != "GET" && request.method != "HEAD" {
        let mut refusal = plain("405 Method Not Allowed", "only GET and HEAD");
        refusal.headers.push(("Allow", "GET, HEAD".to_owned()));
        return refusal;
    }
    let Some(name) = name(&request.target) else { return plain("400 Bad Request", "not a path of this site") };
    let path = folder.join(&name);
    let [gzipped, brotli] = bundle::twins(&path);
    // Only what was built to be served has a gzipped twin.
    if !path.is_file() || !gzipped.is_file() {
        return plain("404 Not Found", "there is no such page");
    }
    let (file, coding) = if request.brotli && brotli.is_file() {
        (brotli, Some("br"))
    } else if request.gzip {
        (gzipped, Some("gzip"))
    } else {
        (path, None)
    };
    let Ok((mut file, tag)) = open(&file) else { return plain("500 Internal Server Error", "the file can't be read") };
    let mut headers =
        vec![("Cache-Control", "no-cache".to_owned()), ("ETag", tag.clone()), ("Vary", "Accept-Encoding".to_owned())];
    if request.known.as_ref().is_some_and(|it| it == &tag) {
        return Answer { status: "304 Not Modified", headers, body: Vec::new() };
    }
    headers.push(("Content-Type", mime(&name).to_owned()));
    // A page of another origin may have the lab within it, and imports its module then. There is nothing here that is not for anybody.
    headers.push(("Access-Control-Allow-Origin", "*".to_owned()));
    headers.extend(coding.map(|it| ("Content-Encoding", it.to_owned())));
    let mut body = Vec::new();
    match file.read_to_end(&mut body) {
        Ok(_) => Answer { status: "200 OK", headers, body },
        Err(_) => plain("500 Internal Server Error", "the file can't be read"),
    }
}

/// A file and its tag: of the bytes that are sent, whatever a build puts in the file's place meanwhile. A tag of the file that
/// a twin was made of would be new while the twin is not, and with it the browser would keep the old one for good.
fn open(path: &Path) -> io::Result<(File, String)> {
    let file = File::open(path)?;
    let about = file.metadata()?;
    let modified = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok((file, format!("\"{:x}-{:x}\"", modified.as_nanos(), about.len())))
}

/// The file that a request's target names: below the folder, whatever it says.
fn name(target: &str) -> Option<PathBuf> {
    let path = target.split(['?', '#']).next()?.strip_prefix('/')?;
    // Our names need no escapes, so an escape names none of our files.
    if path.contains(['%', '\\', '\0']) {
        return None;
    }
    let path = if path.is_empty() || path.ends_with('/') { format!("{path}index.html") } else { path.to_owned() };
    let path = PathBuf::from(path);
    path.components().all(|it| matches!(it, Component::Normal(_))).then_some(path)
}

fn mime(name: &Path) -> &'static str {
    match name.extension().and_then(|it| it.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("json") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("ts" | "txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn plain(status: &'static str, text: &str) -> Answer {
    Answer {
        status,
        headers: vec![("Content-Type", "text/plain; charset=utf-8".to_owned())],
        body: format!("{text}\n").into_bytes(),
    }
}

fn write(mut stream: &TcpStream, answer: &Answer, head_only: bool, close: bool) -> io::Result<()> {
    let mut out = format!("HTTP/1.1 {}\r\nX-Content-Type-Options: nosniff\r\n", answer.status);
    for (name, value) in &answer.headers {
        out += &format!("{name}: {value}\r\n");
    }
    if !answer.status.starts_with("304") {
        out += &format!("Content-Length: {}\r\n", answer.body.len());
    }
    if close {
        out += "Connection: close\r\n";
    }
    out += "\r\n";
    let mut bytes = out.into_bytes();
    if !head_only {
        bytes.extend_from_slice(&answer.body);
    }
    stream.write_all(&bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A folder with one page and one file that is not to be served.
    fn folder(test: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("vivarium-site-{}-{test}", std::process::id()));
        fs::create_dir_all(folder.join("deep")).unwrap();
        for (file, text) in [("index.html", "<p>hi"), ("a.wasm", "\0asm"), ("secret", "s"), ("deep/index.html", "deep")]
        {
            fs::write(folder.join(file), text).unwrap();
            if file != "secret" {
                let [gzipped, brotli] = bundle::twins(&folder.join(file));
                fs::write(gzipped, "packed").unwrap();
                fs::write(brotli, "pressed").unwrap();
            }
        }
        folder
    }

    /// What a server says to raw bytes, until it closes.
    fn ask(address: SocketAddr, raw: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(raw.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        said
    }

    #[test]
    fn serves_files_with_their_type_and_smallest_twin() {
        let folder = folder("types");
        let address = serve(bind(0).unwrap(), folder.clone()).unwrap();
        let page = ask(address, "GET /?seed=1 HTTP/1.1\r\n\r\n");
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
        assert!(
            page.contains("Content-Type: text/html; charset=utf-8\r\n") && page.ends_with("\r\n\r\n<p>hi"),
            "{page}"
        );
        for (accepted, coding, body) in [("gzip, br", "br", "pressed"), ("br;q=0, gzip", "gzip", "packed")] {
            let said = ask(address, &format!("GET /a.wasm HTTP/1.1\r\nAccept-Encoding: {accepted}\r\n\r\n"));
            assert!(said.contains("Content-Type: application/wasm\r\n"), "{said}");
            assert!(said.contains(&format!("Content-Encoding: {coding}\r\n")), "{said}");
            assert!(said.ends_with(&format!("\r\n\r\n{body}")), "{said}");
        }
        assert!(ask(address, "GET /deep/ HTTP/1.1\r\n\r\n").ends_with("deep"));
        let head = ask(address, "HEAD / HTTP/1.1\r\n\r\n");
        assert!(head.contains("Content-Length: 5\r\n") && head.ends_with("\r\n\r\n"), "{head}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn an_unchanged_file_is_not_sent_again() {
        let folder = folder("etag");
        let address = serve(bind(0).unwrap(), folder.clone()).unwrap();
        let page = ask(address, "GET / HTTP/1.1\r\n\r\n");
        let tag = page.lines().find_map(|it| it.strip_prefix("ETag: ")).unwrap();
        let again = ask(address, &format!("GET / HTTP/1.1\r\nIf-None-Match: {tag}\r\n\r\n"));
        assert!(again.starts_with("HTTP/1.1 304 ") && again.ends_with("\r\n\r\n"), "{again}");
        fs::remove_dir_all(folder).unwrap();
    }

    /// A build in the middle of which a browser asks: the file is new already, its twin is not.
    #[test]
    fn a_tag_is_that_of_the_bytes_sent() {
        let folder = folder("twin");
        let address = serve(bind(0).unwrap(), folder.clone()).unwrap();
        let request = |known: &str| {
            ask(address, &format!("GET /a.wasm HTTP/1.1\r\nAccept-Encoding: gzip\r\nIf-None-Match: {known}\r\n\r\n"))
        };
        fs::write(folder.join("a.wasm"), "\0asm, made anew").unwrap();
        let old = request("");
        assert!(old.ends_with("\r\n\r\npacked"), "{old}");
        let tag = old.lines().find_map(|it| it.strip_prefix("ETag: ")).unwrap();
        assert!(request(tag).starts_with("HTTP/1.1 304 "));
        fs::write(folder.join("a.wasm.gz"), "packed anew").unwrap();
        let new = request(tag);
        assert!(new.starts_with("HTTP/1.1 200 ") && new.ends_with("\r\n\r\npacked anew"), "{new}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn keeps_a_connection_for_more_than_one_request() {
        let folder = folder("keep");
        let address = serve(bind(0).unwrap(), folder.clone()).unwrap();
        let both = ask(
            address,
            "GET / HTTP/1.1\r\n\r\nGET /deep/ HTTP/1.1\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        );
        assert_eq!(both.matches("HTTP/1.1 200 OK").count(), 2, "{both}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn nothing_outside_the_page_is_served() {
        let folder = folder("outside");
        let address = serve(bind(0).unwrap(), folder.clone()).unwrap();
        for (target, status) in [
            ("/secret", "404"),
            ("/none.html", "404"),
            ("/../Cargo.toml", "400"),
            ("/deep/../../Cargo.toml", "400"),
            ("//etc/passwd", "400"),
            ("/%2e%2e/Cargo.toml", "400"),
            ("/..\\Cargo.toml", "400"),
            ("http://other/", "400"),
        ] {
            let said = ask(address, &format!("GET {target} HTTP/1.1\r\n\r\n"));
            assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{target}: {said}");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn bad_requests_are_refused() {
        let folder = folder("bad");
        let address = serve(bind(0).unwrap(), folder.clone()).unwrap();
        let long = "x".repeat(10_000);
        for raw in [
            "hello\r\n\r\n",
            "GET / HTTP/1.1\r\nno colon\r\n\r\n",
            &format!("GET /{long} HTTP/1.1\r\n\r\n"),
            "GET / HTTP/1.1",
        ] {
            let said = ask(address, raw);
            assert!(said.starts_with("HTTP/1.1 400 "), "{raw:.40}: {said}");
        }
        assert!(ask(address, "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n").starts_with("HTTP/1.1 405 "));
        assert_eq!(ask(address, ""), "");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_coding_with_quality_zero_is_refused() {
        for (value, accepted) in
            [("gzip", true), ("br, gzip;q=0.5", true), ("gzip;q=0", false), ("gzip; q=0.000", false), ("br", false)]
        {
            assert_eq!(accepts(value, "gzip"), accepted, "{value}");
        }
    }
}
