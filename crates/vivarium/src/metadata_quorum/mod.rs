//! `vivarium metadata-quorum`: kafka-metadata-quorum.sh's commands, with its flags and its output.

pub(crate) mod admin;

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use client::ClientConfig;
use client::tools::metadata_quorum::{Quorum, endpoint};
use ordered::Map;
use protocol::messages::{AddRaftVoterRequest, RemoveRaftVoterRequest, add_raft_voter_request};
use protocol::{ErrorCode, Uuid};
use storage::meta::MetaProperties;

use admin::Admin;

/// After so long without an answer people are told why: an election takes less.
const PATIENCE: Duration = Duration::from_secs(2);

/// Kafka's tool for the metadata quorum.
#[derive(clap::Args)]
pub(crate) struct MetadataQuorumArguments {
    #[command(flatten)]
    servers: Servers,
    /// A properties file with settings of the admin client; for add-controller, those of the controller
    #[arg(long, value_name = "COMMAND_CONFIG")]
    command_config: Option<String>,
    #[command(subcommand)]
    command: QuorumCommand,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Servers {
    /// Brokers to connect to, host:port,host:port
    #[arg(long, value_name = "BOOTSTRAP_SERVER")]
    bootstrap_server: Option<String>,
    /// Controllers to connect to, host:port,host:port
    #[arg(long, value_name = "BOOTSTRAP_CONTROLLER")]
    bootstrap_controller: Option<String>,
}

#[derive(clap::Subcommand)]
enum QuorumCommand {
    /// Describe the metadata quorum
    Describe {
        /// Who leads, how far the others are, who votes and who looks on
        #[arg(long)]
        status: bool,
        /// How far each replica is
        #[arg(long)]
        replication: bool,
        /// Times as people read them
        #[arg(long)]
        human_readable: bool,
    },
    /// Make a controller a voter
    AddController {
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Let a controller vote no more
    RemoveController {
        /// The controller's id
        #[arg(short = 'i', long, allow_negative_numbers = true)]
        controller_id: i32,
        /// The id of its metadata log's directory
        #[arg(short = 'd', long)]
        controller_directory_id: String,
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
}

pub(crate) fn run(arguments: MetadataQuorumArguments) -> Result<String, String> {
    let properties = arguments.command_config.as_deref().map(properties).transpose()?;
    let admin = admin(&arguments.servers, properties.as_ref())?;
    match arguments.command {
        QuorumCommand::Describe { status: true, replication: true, .. } => {
            Err("Only one of --status or --replication should be specified with describe sub-command".to_owned())
        }
        QuorumCommand::Describe { replication: true, human_readable, .. } => {
            let quorum = quorum(&admin)?;
            quorum.replication(human_readable.then(now_ms))
        }
        QuorumCommand::Describe { status: true, human_readable: true, .. } => {
            Err("The option --human-readable is only supported along with --replication".to_owned())
        }
        QuorumCommand::Describe { status: true, .. } => quorum(&admin)?.status(&admin.cluster()?.cluster_id),
        QuorumCommand::Describe { .. } => {
            Err("One of --status or --replication must be specified with describe sub-command".to_owned())
        }
        QuorumCommand::AddController { dry_run } => {
            let properties = properties.ok_or(
                "You must supply the configuration file of the controller you are adding when using add-controller.",
            )?;
            add_controller(&admin, &properties, dry_run)
        }
        QuorumCommand::RemoveController { controller_id, controller_directory_id, dry_run } => {
            remove_controller(&admin, controller_id, &controller_directory_id, dry_run)
        }
    }
}

pub(crate) fn properties(path: &str) -> Result<Map<String, String>, String> {
    if !Path::new(path).exists() {
        return Err(format!("Properties file {path} does not exist."));
    }
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path} ({error})"))?;
    node::config::parse_properties(&text).map_err(|error| format!("{path}: {error}"))
}

fn admin(servers: &Servers, properties: Option<&Map<String, String>>) -> Result<Admin, String> {
    let by_controllers = servers.bootstrap_controller.is_some();
    let list = servers.bootstrap_controller.as_deref().or(servers.bootstrap_server.as_deref()).unwrap_or_default();
    let mut config = ClientConfig::default();
    if let Some(properties) = properties {
        let pairs = properties.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        config.set_all(pairs).map_err(|error| error.0)?;
    }
    config.set("bootstrap.servers", list).map_err(|error| error.0)?;
    Ok(Admin::new(config, by_controllers))
}

fn quorum(admin: &Admin) -> Result<Quorum, String> {
    let question = Quorum::question();
    let (began, mut reasons) = (Instant::now(), Reasons::default());
    let mut tell = |why: &str| {
        if reasons.is_news(began.elapsed(), why) {
            eprintln!("{why}; trying on");
        }
    };
    let answer = admin.ask_on("describeMetadataQuorum", &question, ErrorCode::is_retriable, &mut tell)?;
    Quorum::of(&answer)
}

/// Why there is no answer, as far as people were told: a majority that is lost is what this tool is taken out for.
#[derive(Default)]
struct Reasons {
    told: Vec<String>,
}

impl Reasons {
    /// True for what lasts longer than an election, once, whatever its figures are by now.
    fn is_news(&mut self, after: Duration, why: &str) -> bool {
        let why: String = why.chars().filter(|it| !it.is_ascii_digit()).collect();
        let is_news = after >= PATIENCE && !self.told.contains(&why);
        if is_news {
            self.told.push(why);
        }
        is_news
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_millis() as i64)
}

fn add_controller(admin: &Admin, properties: &Map<String, String>, dry_run: bool) -> Result<String, String> {
    let (id, directory_id) = (controller_id(properties)?, directory_id(&metadata_dir(properties)?)?);
    let listeners = controller_listeners(properties)?;
    if !dry_run {
        let listener = |(name, host, port): &(String, String, u16)| add_raft_voter_request::Listener {
            name: name.as_str().into(),
            host: host.as_str().into(),
            port: *port,
        };
        let question = AddRaftVoterRequest {
            cluster_id: None,
            timeout_ms: 30_000,
            voter_id: id,
            voter_directory_id: directory_id,
            listeners: listeners.iter().map(listener).collect(),
            ..Default::default()
        };
        admin.ask("addRaftVoter", &question.into(), |_| false)?;
    }
    let done = if dry_run { "DRY RUN of adding" } else { "Added" };
    let endpoints =
        listeners.iter().map(|(name, host, port)| endpoint(name, host, *port)).collect::<Vec<_>>().join(", ");
    Ok(format!("{done} controller {id} with directory id {directory_id} and endpoints: {endpoints}\n"))
}

fn remove_controller(admin: &Admin, id: i32, directory_id: &str, dry_run: bool) -> Result<String, String> {
    if id < 0 {
        return Err(format!("Invalid negative --controller-id: {id}"));
    }
    let directory_id = uuid(directory_id).map_err(|why| format!("Failed to parse --controller-directory-id: {why}"))?;
    if !dry_run {
        let question = RemoveRaftVoterRequest { cluster_id: None, voter_id: id, voter_directory_id: directory_id };
        admin.ask("removeRaftVoter", &question.into(), |_| false)?;
    }
    // With two spaces, as Kafka's tool.
    let done = if dry_run { "DRY RUN of removing " } else { "Removed " };
    Ok(format!("{done} KRaft controller {id} with directory id {directory_id}\n"))
}

/// An id of the wire's 22 characters; the error is Java's.
fn uuid(text: &str) -> Result<Uuid, String> {
    if text.len() > 24 {
        let start: String = text.chars().take(24).collect();
        return Err(format!("Input string with prefix `{start}` is too long to be decoded as a base64 UUID"));
    }
    let is_base64 = |it: &char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '=');
    if let Some(other) = text.chars().find(|it| !is_base64(it)) {
        return Err(format!("Illegal base64 character {:x}", u32::from(other)));
    }
    let decoded = text.trim_end_matches('=').len() * 6 / 8;
    text.trim_end_matches('=').parse().map_err(|_| {
        format!(
            "Input string `{text}` decoded as {decoded} bytes, which is not equal to the expected 16 bytes of a \
             base64-encoded UUID"
        )
    })
}

fn controller_id(properties: &Map<String, String>) -> Result<i32, String> {
    let ask = "Is this a valid controller configuration file?";
    let id = properties.get("node.id").ok_or(format!("node.id not found in configuration file. {ask}"))?;
    let id: i32 = id.parse().map_err(|_| format!("For input string: \"{id}\""))?;
    if id < 0 {
        return Err(format!("node.id was negative in configuration file. {ask}"));
    }
    if !properties.get("process.roles").is_some_and(|roles| roles.contains("controller")) {
        return Err(format!("process.roles did not contain 'controller' in configuration file. {ask}"));
    }
    Ok(id)
}

fn metadata_dir(properties: &Map<String, String>) -> Result<String, String> {
    let first = || properties.get("log.dirs").and_then(|dirs| dirs.trim().split(',').next());
    let dir = properties.get("metadata.log.dir").map(String::as_str).or_else(first);
    dir.map(str::to_owned).ok_or_else(|| {
        "Neither metadata.log.dir nor log.dirs were found. Is this a valid controller configuration file?".to_owned()
    })
}

fn directory_id(dir: &str) -> Result<Uuid, String> {
    let text = std::fs::read_to_string(Path::new(dir).join("meta.properties"));
    let text = text.map_err(|_| format!("Unable to read meta.properties from {dir}"))?;
    let meta = MetaProperties::parse(&text).map_err(|error| format!("{dir}: {error}"))?;
    if meta.directory_id.is_zero() {
        return Err(format!("No directory id found in {dir}"));
    }
    Ok(meta.directory_id)
}

/// Where the controller tells others that it listens.
fn controller_listeners(properties: &Map<String, String>) -> Result<Vec<(String, String, u16)>, String> {
    let mut known: Map<String, (String, u16)> = Map::new();
    for key in ["listeners", "advertised.listeners"] {
        for entry in
            properties.get(key).map_or("", String::as_str).split(',').map(str::trim).filter(|it| !it.is_empty())
        {
            let (name, at) = listener(entry).ok_or_else(|| format!("Unable to parse {entry} to a broker endpoint"))?;
            known.insert(name, at);
        }
    }
    let names = properties
        .get("controller.listener.names")
        .ok_or("controller.listener.names was not found. Is this a valid controller configuration file?")?;
    let mut found: Vec<(String, String, u16)> = Vec::new();
    for name in names.split(',').map(str::to_ascii_uppercase) {
        let at = known
            .get(&name)
            .ok_or_else(|| format!("Cannot find information about controller listener name: {name}"))?;
        let host = if at.0.is_empty() { "localhost" } else { at.0.as_str() };
        found.push((name, host.to_owned(), at.1));
    }
    Ok(found)
}

/// `NAME://host:port`, `NAME://[v6]:port`, `NAME://:port`.
fn listener(entry: &str) -> Option<(String, (String, u16))> {
    let (name, address) = entry.split_once("://")?;
    let (host, port) = address.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host);
    Some((name.to_ascii_uppercase(), (bare.to_owned(), port.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_there_is_no_answer_is_told_once_it_lasts() {
        let mut reasons = Reasons::default();
        assert!(!reasons.is_news(Duration::from_secs(1), "for 6 s no leader"), "it may be an election");
        assert!(reasons.is_news(Duration::from_secs(3), "for 8 s no leader"));
        assert!(!reasons.is_news(Duration::from_secs(4), "for 9 s no leader"), "the same for longer");
        assert!(reasons.is_news(Duration::from_secs(5), "nobody there"));
    }

    fn controller(pairs: &[(&str, &str)]) -> Map<String, String> {
        let all = [
            ("node.id", "5"),
            ("process.roles", "controller"),
            ("controller.listener.names", "CONTROLLER"),
            ("listeners", "PLAINTEXT://:9092,controller://:9093"),
        ];
        let all = all.iter().chain(pairs).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        all.filter(|(_, value)| !value.is_empty()).collect()
    }

    #[test]
    fn a_controllers_file_says_who_and_where_it_is() {
        let listens = |pairs: &[(&str, &str)]| controller_listeners(&controller(pairs));
        assert_eq!(listens(&[]), Ok(vec![("CONTROLLER".into(), "localhost".into(), 9093)]));
        let advertised = ("advertised.listeners", "CONTROLLER://[::1]:7");
        assert_eq!(listens(&[advertised]), Ok(vec![("CONTROLLER".into(), "::1".into(), 7)]));
        assert!(listens(&[("listeners", "CONTROLLER:9093")]).unwrap_err().starts_with("Unable to parse"));
        let other = ("controller.listener.names", "OTHER");
        assert!(listens(&[other]).unwrap_err().ends_with("controller listener name: OTHER"));
        assert_eq!(controller_id(&controller(&[])), Ok(5));
        for (pair, why) in [
            (("node.id", "x"), "For input string: \"x\""),
            (("node.id", "-1"), "node.id was negative"),
            (("process.roles", "broker"), "process.roles did not contain 'controller'"),
        ] {
            assert!(controller_id(&controller(&[pair])).unwrap_err().starts_with(why));
        }
        assert_eq!(metadata_dir(&controller(&[("log.dirs", "/a,/b")])), Ok("/a".to_owned()));
        assert_eq!(metadata_dir(&controller(&[("log.dirs", "/a"), ("metadata.log.dir", "/c")])), Ok("/c".to_owned()));
        assert!(metadata_dir(&controller(&[])).is_err());
    }

    #[test]
    fn ids_are_read_as_java_reads_them() {
        assert_eq!(uuid("AQEBAQEBAQEBAQEBAQEBAQ"), Ok(Uuid([1; 16])));
        for (text, why) in [
            (
                "AAAA",
                "Input string `AAAA` decoded as 3 bytes, which is not equal to the expected 16 bytes of a base64-encoded UUID",
            ),
            ("A!AA", "Illegal base64 character 21"),
            (
                "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                "Input string with prefix `AAAAAAAAAAAAAAAAAAAAAAAA` is too long to be decoded as a base64 UUID",
            ),
        ] {
            assert_eq!(uuid(text), Err(why.to_owned()));
        }
    }
}
