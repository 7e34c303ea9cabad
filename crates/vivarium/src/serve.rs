//! `vivarium server`: from a properties file and flags to a running node.

use ordered::Map;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use node::config::{BROKER_KEYS, Config, Warning};
use server::{Ended, Server, Stop, Stopper};

use crate::ephemeral::EphemeralDir;
use crate::log::Log;

/// Signals that ask for a controlled stop.
pub(crate) const STOP_SIGNALS: [i32; 3] =
    [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP];

/// `vivarium server [server.properties] [--set KEY=VALUE]… [--data DIR | --ephemeral] [--port N]`
#[derive(clap::Args)]
pub(crate) struct ServerArguments {
    /// A Kafka server.properties; without one: one node on 127.0.0.1:9092, data in ./vivarium-data
    properties: Option<PathBuf>,
    /// Set one configuration key, over the file's; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Keep the logs here (log.dirs)
    #[arg(long, value_name = "DIR", conflicts_with = "ephemeral")]
    data: Option<PathBuf>,
    /// Keep the logs in a temporary directory that is removed at the end
    #[arg(long)]
    ephemeral: bool,
    /// Listen for clients on this port of 127.0.0.1; 0 takes any free one (the ready line names it)
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// Stop when standard input ends, as it does when whoever started this is gone
    #[arg(long, hide = true)]
    stop_at_end_of_input: bool,
}

pub(crate) fn run(arguments: ServerArguments) -> Result<(), String> {
    let filter = tracing_subscriber::EnvFilter::try_from_env("VIVARIUM_LOG").unwrap_or_else(|_| "warn".into());
    let log = Log::start(std::io::stderr()).map_err(|error| error.to_string())?;
    let lines = log.clone();
    tracing_subscriber::fmt().with_writer(move || lines.clone()).with_env_filter(filter).with_target(false).init();
    let result = start(&arguments);
    log.flush();
    result
}

fn start(arguments: &ServerArguments) -> Result<(), String> {
    let mut properties = match &arguments.properties {
        Some(path) => read(path)?,
        None => Map::new(),
    };
    for assignment in &arguments.set {
        let (key, value) = assignment
            .split_once('=')
            .filter(|(key, _)| !key.trim().is_empty())
            .ok_or_else(|| format!("--set {assignment}: expected KEY=VALUE, for example --set num.partitions=3"))?;
        properties.insert(key.trim().to_owned(), value.trim().to_owned());
    }
    if let Some(port) = arguments.port {
        properties.insert("listeners".into(), format!("PLAINTEXT://127.0.0.1:{port}"));
        properties.remove("advertised.listeners");
    }
    // From here on a signal is a controlled stop, and leaves no directory behind.
    let (stopper, stop) = Stopper::pair().map_err(|error| error.to_string())?;
    hear_stops(&stopper, arguments.stop_at_end_of_input).map_err(|error| error.to_string())?;
    // Removed when this value goes, after the server has stopped.
    let mut _ephemeral = None;
    if arguments.ephemeral {
        let dir = EphemeralDir::create()?;
        properties.insert("log.dirs".into(), dir.path().display().to_string());
        _ephemeral = Some(dir);
    } else if let Some(data) = &arguments.data {
        properties.insert("log.dirs".into(), data.display().to_string());
    } else if !properties.contains_key("log.dirs") && !properties.contains_key("log.dir") {
        properties.insert("log.dirs".into(), "vivarium-data".into());
    }
    let (config, warnings) = Config::parse(&properties).map_err(|error| error.to_string())?;
    for warning in warnings {
        match &warning {
            // In a file it may be another version's, and Kafka passes over it; here it is a slip of the hand.
            Warning::Unknown { key } if arguments.sets(key) => return Err(unknown(key)),
            _ => crate::say(&warning.to_string()),
        }
    }
    serve(config, stopper, stop)
}

impl ServerArguments {
    /// True if `--set` names the key.
    fn sets(&self, key: &str) -> bool {
        self.set.iter().filter_map(|it| it.split_once('=')).any(|(name, _)| name.trim() == key)
    }
}

fn unknown(key: &str) -> String {
    let nearest = BROKER_KEYS.iter().map(|it| it.name).min_by_key(|name| distance(key, name));
    match nearest {
        Some(name) if distance(key, name) <= key.len() / 2 => {
            format!("--set {key}: no such configuration key; did you mean {name}?")
        }
        _ => format!("--set {key}: no such configuration key; they are those of Apache Kafka's server.properties"),
    }
}

/// How many letters must be put in, taken out or changed to make one word of the other.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, a) in from.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, b) in to.bytes().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

fn read(path: &Path) -> Result<Map<String, String>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    node::config::parse_properties(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// What asks for a controlled stop: signals, and the end of whoever started us.
fn hear_stops(stopper: &Stopper, at_end_of_input: bool) -> std::io::Result<()> {
    for signal in STOP_SIGNALS {
        signal_hook::low_level::pipe::register(signal, stopper.another()?.into_pipe())?;
    }
    if at_end_of_input {
        let stopper = stopper.another()?;
        let wait = move || {
            // Whatever comes is not for us; an error is an end as well.
            let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
            stopper.stop();
        };
        std::thread::Builder::new().name("input".into()).spawn(wait)?;
    }
    Ok(())
}

fn serve(config: Config, stopper: Stopper, stop: Stop) -> Result<(), String> {
    // A file as large as the limit of the process is a write that fails (EFBIG), not a signal that ends it.
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default()).map_err(|error| error.to_string())?;
    let server = Server::begin(config, stopper, stop).map_err(|error| error.to_string())?;
    if server.wait_until_ready() {
        announce(&server);
    }
    // A stop before it served is an end in good order, too.
    match server.wait().map_err(|error| error.to_string())? {
        Ended::Stopped => Ok(()),
        Ended::StorageFailed(what) => Err(what),
    }
}

fn announce(server: &Server) {
    let addresses: Vec<String> = server.addresses().iter().map(ToString::to_string).collect();
    let mut out = std::io::stdout();
    // Whoever started us may not read this; the server serves all the same.
    let _ = writeln!(out, "ready {}", addresses.join(" ")).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_answered_with_the_nearest() {
        for (key, nearest) in [
            ("num.partition", "did you mean num.partitions?"),
            ("log.retention.hour", "did you mean log.retention.hours?"),
            ("auto.create.topic.enabled", "did you mean auto.create.topics.enable?"),
            ("xyzzy", "Apache Kafka's server.properties"),
        ] {
            assert!(unknown(key).ends_with(nearest), "{}", unknown(key));
        }
        assert_eq!((distance("kitten", "sitting"), distance("", "abc"), distance("same", "same")), (3, 3, 0));
    }
}
