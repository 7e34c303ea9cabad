//! The wire of WebDriver: JSON over HTTP/1.1, one connection a command, and ChromeDriver as a child process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The longest a command may take: a browser starting, or a script that is long, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// A ChromeDriver on a port of its own choice; it ends with this value.
pub(crate) struct Driver {
    child: Child,
    port: u16,
}

impl Driver {
    pub(crate) fn start(program: &str) -> Result<Driver> {
        let mut child = Command::new(program)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("start {program}"))?;
        let stdout = child.stdout.take().context("its stdout is piped")?;
        let mut lines = BufReader::new(stdout).lines();
        for line in lines.by_ref() {
            let Some((_, port)) = line.as_ref().ok().and_then(|it| it.split_once("started successfully on port "))
            else {
                continue;
            };
            let port = port.trim_end_matches('.').parse().context("ChromeDriver's port")?;
            // It must not block on a full pipe.
            std::thread::spawn(move || lines.for_each(drop));
            return Ok(Driver { child, port });
        }
        bail!("{program} ended before it had a port: {}", child.wait()?)
    }

    /// One command; its `value`, or the error that it names.
    pub(crate) fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let (status, text) = self.exchange(method, path, &body).with_context(|| format!("{method} {path}"))?;
        let mut answer: Value = serde_json::from_str(&text).with_context(|| format!("{method} {path}: {text}"))?;
        let value = answer["value"].take();
        if status != 200 {
            bail!("{method} {path}: {}: {}", value["error"], value["message"]);
        }
        Ok(value)
    }

    fn exchange(&self, method: &str, path: &str, body: &str) -> Result<(u16, String)> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.port,
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let status = line.split(' ').nth(1).context("a status")?.parse()?;
        let mut length = None;
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = Some(value.trim().parse()?)
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut text = vec![0; length.context("a content length")?];
        reader.read_exact(&mut text)?;
        Ok((status, String::from_utf8(text)?))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // It may have ended already; there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
