//! Running other programs: said before it is done, checked after.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A cargo of the toolchain that runs us, in the project's folder.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(crate::paths::root());
    if crate::test::ci() {
        // What is built once is built faster without notes for a second time.
        command.env("CARGO_INCREMENTAL", "0");
    }
    command
}

/// clippy's rustc, which compiles as well.
pub(crate) fn clippy() -> PathBuf {
    Path::new(cargo().get_program()).with_file_name("clippy-driver")
}

/// A cargo that lints what it builds of ours, as `cargo clippy -- --deny warnings` does: what is tested is not compiled a second time
/// for that. Where there is no clippy, it only builds.
pub(crate) fn linting_cargo() -> Command {
    let mut command = cargo();
    let clippy = clippy();
    if clippy.exists() {
        // How cargo-clippy hands its arguments on.
        command.env("RUSTC_WORKSPACE_WRAPPER", clippy);
        command.env("CLIPPY_ARGS", "--deny__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__");
    }
    command
}

/// On CI, the versions of Cargo.lock and no others; on a desk a changed Cargo.toml updates it.
pub(crate) fn locked() -> &'static [&'static str] {
    if crate::test::ci() { &["--locked"] } else { &[] }
}

/// The command as a person would type it.
pub(crate) fn line(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    std::iter::once(name).chain(command.get_args()).map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// Runs to the end with its output visible; an exit code other than 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("start `{}`", line(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", line(command));
    }
    Ok(())
}

/// Runs to the end and returns what it wrote to stdout.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("start `{}`", line(command)))?;
    if !output.status.success() {
        // Maven, for one, says on stdout what went wrong.
        let said = [output.stdout, output.stderr].concat();
        bail!("`{}` failed: {}\n{}", line(command), output.status, String::from_utf8_lossy(&said).trim_end());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The same, but whoever is not done by then is ended: a client whose server is gone asks for it for ever.
pub(crate) fn output_within(command: &mut Command, most: Duration) -> Result<String> {
    let what = line(command);
    let start = Instant::now();
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("start `{what}`"))?;
    let heard = [child.stdout.take().map(hear), child.stderr.take().map(hear)];
    let status = loop {
        match child.try_wait()? {
            Some(status) => break Some(status),
            None if start.elapsed() > most => {
                child.kill()?;
                child.wait()?;
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let said: Vec<_> = heard.into_iter().flatten().map(|it| it.join().unwrap_or_default()).collect();
    match status {
        Some(status) if status.success() => Ok(said.into_iter().next().unwrap_or_default()),
        Some(status) => bail!("`{what}` failed: {status}\n{}", said.concat().trim_end()),
        None => bail!("`{what}` did not end within {}: is its server gone?\n{}", human(most), said.concat().trim_end()),
    }
}

/// Collects what is written to a pipe.
fn hear(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut said = Vec::new();
        match pipe.read_to_end(&mut said) {
            Ok(_) => String::from_utf8_lossy(&said).into_owned(),
            Err(error) => format!("its output cannot be read: {error}"),
        }
    })
}

/// Runs to the end, shows stdout line by line as it comes, and hands each line on. True if it ended well.
pub(crate) fn tee(command: &mut Command, mut each: impl FnMut(&str)) -> Result<bool> {
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("start `{}`", line(command)))?;
    if let Some(stdout) = child.stdout.take() {
        for text in BufReader::new(stdout).split(b'\n') {
            let text = text?;
            let text = String::from_utf8_lossy(&text);
            println!("{text}");
            each(&text);
        }
        std::io::stdout().flush()?;
    }
    Ok(child.wait()?.success())
}

/// "74 ms", "3.2 s", "2 min 05 s".
pub(crate) fn human(took: Duration) -> String {
    let seconds = took.as_secs();
    match seconds {
        0 => format!("{} ms", took.as_millis()),
        1..60 => format!("{:.1} s", took.as_secs_f64()),
        _ => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

/// Says what is being done, does it, and says how long it took.
pub(crate) fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("· {what}");
    let start = Instant::now();
    let done = work()?;
    let took = start.elapsed();
    if took > Duration::from_secs(5) {
        println!("  {what}: {}", human(took));
    }
    Ok(done)
}
