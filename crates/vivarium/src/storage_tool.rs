//! `vivarium storage`: kafka-storage.sh's commands, with its flags and its output.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use node::config::Config;
use protocol::messages::{FeatureLevelRecord, MetadataRecord};
use protocol::{NodeId, Str, Uuid, WallMs};
use quorum::{Voter, VoterSet};
use server::DataDir;
use storage::meta::MetaProperties;

use crate::features::{KRAFT_VERSION, METADATA_VERSION, initial_levels, shown};

/// Kafka's storage tool.
#[derive(clap::Subcommand)]
pub(crate) enum StorageCommand {
    /// Format the log directories of a configuration
    Format {
        /// A Kafka server.properties
        #[arg(short, long, value_name = "CONFIG")]
        config: PathBuf,
        /// The cluster's id
        #[arg(short = 't', long, value_name = "CLUSTER_ID")]
        cluster_id: String,
        /// Leave directories alone that are formatted already
        #[arg(short = 'g', long)]
        ignore_formatted: bool,
        /// This node alone votes: its log says so from its first start on
        #[arg(short = 's', long, conflicts_with_all = ["initial_controllers", "no_initial_controllers"])]
        standalone: bool,
        /// The voters of a new cluster, as id@host:port:directory,…: the same on each of them
        #[arg(short = 'I', long, value_name = "CONTROLLERS", conflicts_with = "no_initial_controllers")]
        initial_controllers: Option<String>,
        /// This node joins a cluster that is there: a broker, or a controller that becomes a voter by add-controller
        #[arg(short = 'N', long)]
        no_initial_controllers: bool,
        /// The release whose levels of features the cluster begins with, like 4.2 or 4.0-IV3
        #[arg(short, long, value_name = "RELEASE_VERSION")]
        release_version: Option<String>,
        /// The level of one feature, like group.version=1
        #[arg(short, long, value_name = "FEATURE")]
        feature: Vec<String>,
        /// Refused: there are no SCRAM credentials here
        #[arg(short = 'S', long, value_name = "ADD_SCRAM")]
        add_scram: Vec<String>,
    },
    /// Show what the log directories of a configuration hold
    Info {
        /// A Kafka server.properties
        #[arg(short, long, value_name = "CONFIG")]
        config: PathBuf,
    },
    /// Print a random id
    RandomUuid,
}

pub(crate) fn run(command: StorageCommand) -> ExitCode {
    let said = match command {
        StorageCommand::RandomUuid => match server::random_id() {
            Ok(id) => Ok((format!("{id}\n"), true)),
            Err(error) => Err(error.to_string()),
        },
        StorageCommand::Format {
            config,
            cluster_id,
            ignore_formatted,
            standalone,
            initial_controllers,
            no_initial_controllers,
            release_version,
            feature,
            add_scram,
        } => parse(&config).and_then(|config| {
            if !add_scram.is_empty() {
                return Err(
                    "--add-scram is not supported: this version knows no SASL, and would not start on credentials."
                        .into(),
                );
            }
            let levels = initial_levels(release_version.as_deref(), &feature, config.voters.is_empty())?;
            let voters = voters_of(&config, standalone, initial_controllers.as_deref(), no_initial_controllers)?;
            format(&config, &cluster_id, voters.as_ref(), &levels, ignore_formatted)?;
            Ok((String::new(), true))
        }),
        StorageCommand::Info { config } => parse(&config).map(|config| info(&config)),
    };
    // In Kafka's words, and nothing else.
    let written = match &said {
        Ok((text, _)) => std::io::stdout().write_all(text.as_bytes()),
        Err(what) => writeln!(std::io::stderr(), "{what}"),
    };
    if matches!(said, Ok((_, true))) && written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Who votes in a new cluster, by the flags; none where the configuration of each node says so, or the log of others.
fn voters_of(config: &Config, standalone: bool, initial: Option<&str>, none: bool) -> Result<Option<VoterSet>, String> {
    if !config.voters.is_empty() && (standalone || initial.is_some()) {
        return Err("You cannot specify controller.quorum.voters and format the node with --initial-controllers or --standalone. \
                    If you want to use dynamic quorum, please remove controller.quorum.voters and specify \
                    controller.quorum.bootstrap.servers instead."
            .into());
    }
    if standalone {
        return alone(config).map(Some);
    }
    if let Some(text) = initial {
        return initial_controllers(config, text).map(Some);
    }
    if !none && config.roles.controller && config.voters.is_empty() {
        return Err(
            "Because controller.quorum.voters is not set on this controller, you must specify one of the following: \
                    --standalone, --initial-controllers, or --no-initial-controllers."
                .into(),
        );
    }
    Ok(None)
}

/// This node alone, where it tells others that it listens.
fn alone(config: &Config) -> Result<VoterSet, String> {
    if !config.roles.controller {
        return Err("You can only use --standalone on a controller.".into());
    }
    let listener = config.advertised_listeners.iter().find(|it| config.is_controller_listener(&it.name));
    let listener = listener.ok_or("No controller listeners found.")?;
    let host = if listener.host.is_empty() { Str::from_static("localhost") } else { listener.host.clone() };
    let directory_id = server::random_id().map_err(|error| error.to_string())?;
    Ok(VoterSet::of([voter(config, config.node_id, host, listener.port, directory_id)]))
}

/// `1@host:port:directory,2@…`, as Kafka reads it.
fn initial_controllers(config: &Config, text: &str) -> Result<VoterSet, String> {
    let mut voters: Vec<Voter> = Vec::new();
    for entry in text.split(',') {
        let entry = entry.trim();
        let (id, rest) = entry.split_once('@').ok_or("No @ found in dynamic voter string.")?;
        if id.is_empty() {
            return Err("Invalid @ at beginning of dynamic voter string.".into());
        }
        let id: i32 = id.parse().map_err(|_| "Failed to parse node id in dynamic voter string.")?;
        if id < 0 {
            return Err(format!("Invalid negative node id {id} in dynamic voter string."));
        }
        if rest.is_empty() {
            return Err("No hostname found after node id.".into());
        }
        let (host, rest) = match rest.strip_prefix('[') {
            Some(rest) => {
                let what = "Hostname began with left bracket, but no right bracket was found.";
                let (host, rest) = rest.split_once(']').ok_or(what)?;
                (host, rest.strip_prefix(':').ok_or("Port section must start with a colon.")?)
            }
            None => rest.split_once(':').ok_or("No colon following hostname could be found.")?,
        };
        let (port, directory_id) = rest.split_once(':').ok_or("No colon following port could be found.")?;
        let number: i32 = port.parse().map_err(|_| "Failed to parse port in dynamic voter string.")?;
        let port = u16::try_from(number).map_err(|_| format!("Invalid port {number} in dynamic voter string."))?;
        let directory_id: Uuid =
            directory_id.parse().map_err(|_| "Failed to parse directory ID in dynamic voter string.")?;
        if voters.iter().any(|it| it.id == NodeId(id)) {
            return Err(format!("Node id {id} was specified more than once."));
        }
        voters.push(voter(config, NodeId(id), Str::from(host), port, directory_id));
    }
    Ok(VoterSet::of(voters))
}

fn voter(config: &Config, id: NodeId, host: Str, port: u16, directory_id: Uuid) -> Voter {
    let listener = config.controller_listener_names.first().cloned().unwrap_or(Str::from_static("CONTROLLER"));
    Voter { id, directory_id, endpoints: vec![(listener, host, port)], kraft_versions: (0, 1) }
}

fn parse(path: &Path) -> Result<Config, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let properties = node::config::parse_properties(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let (config, _) = Config::parse(&properties).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(config)
}

fn format(
    config: &Config,
    cluster_id: &str,
    voters: Option<&VoterSet>,
    levels: &[(&'static str, i16)],
    ignore_formatted: bool,
) -> Result<(), String> {
    let (mut empty, mut formatted) = (Vec::new(), None);
    for (index, path) in config.log_dirs.iter().enumerate() {
        let dir = DataDir::open(Path::new(path.as_str())).map_err(|error| error.to_string())?;
        match server::read_meta(&dir).map_err(|error| error.to_string())? {
            None => empty.push((dir, index == usize::from(config.metadata_log_dir))),
            Some(meta) if *meta.cluster_id != *cluster_id => {
                let known = meta.cluster_id;
                return Err(format!(
                    "Invalid cluster.id in: {path}/meta.properties. Expected {cluster_id}, but read {known}"
                ));
            }
            Some(meta) if meta.node_id != config.node_id => {
                let (stored, wanted) = (meta.node_id, config.node_id);
                return Err(format!(
                    "Stored node id {stored} doesn't match previous node id {wanted} in {path}/meta.properties. If you moved your \
                     data, make sure your configured node id matches. If you intend to create a new node, you should remove all \
                     data in your data directories."
                ));
            }
            Some(_) => formatted = formatted.or(Some(path)),
        }
    }
    if let Some(path) = formatted.filter(|_| !ignore_formatted) {
        return Err(format!(
            "Log directory {path} is already formatted. Use --ignore-formatted to ignore this directory and format the others."
        ));
    }
    let features = records(levels);
    let level = levels.iter().find(|(name, _)| *name == METADATA_VERSION).map_or(0, |(_, level)| *level);
    let metadata_version = shown(METADATA_VERSION, level);
    match empty.is_empty() {
        true => println!("All of the log directories are already formatted."),
        false => println!("Bootstrap metadata: {}", told(&features)),
    }
    let now = WallMs(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_millis() as i64));
    for (dir, is_metadata) in empty {
        let own = voters.filter(|_| is_metadata).and_then(|voters| voters.get(config.node_id));
        let kind = match (is_metadata, own, voters) {
            (false, ..) => "data directory",
            (true, Some(_), _) => "dynamic metadata voter directory",
            (true, None, Some(_)) => "dynamic metadata directory",
            (true, None, None) => "metadata directory",
        };
        println!("Formatting {kind} {} with metadata.version {metadata_version}.", dir.path.display());
        let random = || server::random_id().map_err(|error| error.to_string());
        let directory_id = own.map_or_else(random, |voter| Ok(voter.directory_id))?;
        // Before the file that says that the directory is formatted, as Kafka does.
        if is_metadata {
            let write = |name: &str, bytes: &[u8]| dir.write_file(name, bytes).map_err(|error| error.to_string());
            let bytes = quorum::bootstrap_checkpoint(now, features.clone());
            write("bootstrap.checkpoint", &bytes)?;
            if let Some(voters) = voters {
                write(FIRST_SNAPSHOT, &quorum::voters_checkpoint(now, voters))?;
            }
        }
        let meta = MetaProperties { cluster_id: cluster_id.into(), node_id: config.node_id, directory_id };
        dir.write_meta(&meta.format()).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// What stands for the levels at the beginning of a log; where nothing does, there is none.
fn records(levels: &[(&'static str, i16)]) -> Vec<MetadataRecord> {
    let levels = levels.iter().filter(|(name, level)| *name != KRAFT_VERSION && *level > 0);
    let record = |(name, level): &(&'static str, i16)| FeatureLevelRecord {
        name: Str::from_static(name),
        feature_level: *level,
    };
    levels.map(|it| record(it).into()).collect()
}

/// What a new cluster begins with, as Java prints it.
fn told(features: &[MetadataRecord]) -> String {
    let mut level = 0;
    let records = features.iter().filter_map(|it| match it {
        MetadataRecord::FeatureLevel(it) => {
            if *it.name == *METADATA_VERSION {
                level = it.feature_level;
            }
            let (name, level) = (&it.name, it.feature_level);
            Some(format!("ApiMessageAndVersion(FeatureLevelRecord(name='{name}', featureLevel={level}) at version 0)"))
        }
        _ => None,
    });
    let records: Vec<String> = records.collect();
    format!("BootstrapMetadata(records=[{}], metadataVersionLevel={level}, source=format command)", records.join(", "))
}

/// What is in the log directories, and whether nothing is wrong with them. They are looked at without their lock, so that a
/// running server may be asked too.
fn info(config: &Config) -> (String, bool) {
    let mut paths: Vec<&str> = config.log_dirs.iter().map(Str::as_str).collect();
    paths.sort_unstable();
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    let mut first: Option<MetaProperties> = None;
    for path in paths {
        if !Path::new(path).is_dir() {
            let is_there = Path::new(path).exists();
            problems.push(format!("{path} {}", if is_there { "is not a directory" } else { "does not exist" }));
            continue;
        }
        found.push(path.to_owned());
        let file = format!("{path}/meta.properties");
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                problems.push(format!("{path} is not formatted."));
                continue;
            }
            Err(error) => {
                problems.push(format!("Error loading {file}: {error}"));
                continue;
            }
        };
        match (MetaProperties::parse(&text), &first) {
            (Err(error), _) => problems.push(format!("Error loading {file}: {error}")),
            (Ok(meta), Some(first)) if meta.cluster_id != first.cluster_id => {
                problems.push("Mismatched cluster IDs between storage directories.".to_owned());
            }
            (Ok(meta), Some(first)) if meta.node_id != first.node_id => {
                problems.push("Mismatched node IDs between storage directories.".to_owned());
            }
            (Ok(_), Some(_)) => {}
            (Ok(meta), None) => first = Some(meta),
        }
    }
    let mut said = String::new();
    list(&mut said, ["Found log directory", "Found log directories"], &found);
    if let Some(meta) = first {
        said += &format!(
            "Found metadata: {{cluster.id={}, directory.id={}, node.id={}, version=1}}\n\n",
            meta.cluster_id, meta.directory_id, meta.node_id
        );
    }
    list(&mut said, ["Found problem", "Found problems"], &problems);
    (said, problems.is_empty())
}

/// Lines under a title, which is another one for several.
fn list(said: &mut String, [one, several]: [&str; 2], lines: &[String]) {
    if !lines.is_empty() {
        let title = if lines.len() == 1 { one } else { several };
        *said += &format!("{title}:\n  {}\n\n", lines.join("\n  "));
    }
}

/// Of the metadata log: what stands for nothing but the voters.
const FIRST_SNAPSHOT: &str = "__cluster_metadata-0/00000000000000000000-0000000000.checkpoint";

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Config {
        let properties = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Config::parse(&properties).unwrap().0
    }

    const CONTROLLER: [(&str, &str); 5] = [
        ("process.roles", "broker,controller"),
        ("node.id", "1"),
        ("controller.listener.names", "CONTROLLER"),
        ("listeners", "PLAINTEXT://:9092,CONTROLLER://a:9093"),
        ("controller.quorum.bootstrap.servers", "a:9093,b:9093"),
    ];

    #[test]
    fn voters_are_named_once() {
        let joining = config(&CONTROLLER);
        let why = voters_of(&joining, false, None, false).unwrap_err();
        assert!(why.ends_with("--standalone, --initial-controllers, or --no-initial-controllers."), "{why}");
        assert_eq!(voters_of(&joining, false, None, true), Ok(None));
        let alone = voters_of(&joining, true, None, false).unwrap().unwrap();
        let voter = alone.get(NodeId(1)).unwrap();
        assert_eq!((alone.len(), &voter.endpoints[..]), (1, &[("CONTROLLER".into(), "a".into(), 9093)][..]));
        assert!(!voter.directory_id.is_zero());
        let named = [("controller.quorum.voters", "1@a:9093,2@b:9093"), ("controller.listener.names", "CONTROLLER")];
        let named = config(&[&named[..], &[("listeners", "PLAINTEXT://:9092,CONTROLLER://:9093")]].concat());
        assert_eq!(voters_of(&named, false, None, false), Ok(None));
        let why = voters_of(&named, true, None, false).unwrap_err();
        assert!(why.starts_with("You cannot specify controller.quorum.voters"));
        let broker = [("process.roles", "broker"), ("node.id", "3"), ("controller.quorum.bootstrap.servers", "a:9093")];
        let broker = config(&[&broker[..], &[("controller.listener.names", "CONTROLLER")]].concat());
        assert_eq!(
            voters_of(&broker, true, None, false).unwrap_err(),
            "You can only use --standalone on a controller."
        );
        assert_eq!(voters_of(&broker, false, None, true), Ok(None));
        assert_eq!(voters_of(&broker, false, None, false), Ok(None));
    }

    #[test]
    fn directories_are_described_as_kafka_does() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| folder.path().join(name).display().to_string());
        let config = config(&[&CONTROLLER[..], &[("log.dirs", &*format!("{two},{one}"))]].concat());
        let missing = format!("Found problems:\n  {one} does not exist\n  {two} does not exist\n\n");
        assert_eq!(info(&config), (missing, false));
        let voters = alone(&config).unwrap();
        let levels = initial_levels(None, &[], true).unwrap();
        let format = |cluster, ignore| super::format(&config, cluster, Some(&voters), &levels, ignore);
        format("any-name", false).unwrap();
        let (said, is_well) = info(&config);
        let start =
            format!("Found log directories:\n  {one}\n  {two}\n\nFound metadata: {{cluster.id=any-name, directory.id=");
        assert!(said.starts_with(&start) && said.ends_with(", node.id=1, version=1}\n\n") && is_well, "{said}");
        let again = format("any-name", false).unwrap_err();
        assert!(again.starts_with("Log directory ") && again.ends_with("format the others."), "{again}");
        format("any-name", true).unwrap();
        // Neither way is a directory of another cluster taken for this one's.
        for ignore_formatted in [false, true] {
            let other = format("another", ignore_formatted).unwrap_err();
            assert_eq!(
                other,
                format!("Invalid cluster.id in: {two}/meta.properties. Expected another, but read any-name")
            );
        }
        std::fs::remove_dir_all(&one).unwrap();
        std::fs::write(&one, "").unwrap();
        let (said, is_well) = info(&config);
        assert!(said.ends_with(&format!("Found problem:\n  {one} is not a directory\n\n")) && !is_well, "{said}");
    }

    #[test]
    fn a_cluster_begins_as_the_node_itself_would_have_it() {
        let levels = initial_levels(None, &[], true).unwrap();
        assert_eq!(records(&levels), node::controller::initial_features());
        let old = initial_levels(Some("3.3-IV3"), &[], false).unwrap();
        assert_eq!(records(&old), [FeatureLevelRecord { name: METADATA_VERSION.into(), feature_level: 7 }.into()]);
    }

    #[test]
    fn what_a_cluster_begins_with_is_told_as_java_does() {
        let levels: [MetadataRecord; 2] = [("metadata.version", 30), ("group.version", 1)]
            .map(|(name, level)| FeatureLevelRecord { name: Str::from_static(name), feature_level: level }.into());
        assert_eq!(
            told(&levels),
            "BootstrapMetadata(records=[ApiMessageAndVersion(FeatureLevelRecord(name='metadata.version', featureLevel=30) at \
             version 0), ApiMessageAndVersion(FeatureLevelRecord(name='group.version', featureLevel=1) at version 0)], \
             metadataVersionLevel=30, source=format command)"
        );
    }

    #[test]
    fn initial_controllers_are_read_as_kafka_does() {
        let config = config(&CONTROLLER);
        let id = "AAAAAAAAAAAAAAAAAAAAAQ";
        let voters = initial_controllers(&config, &format!("2@[::1]:9094:{id}, 1@a:9093:{id}")).unwrap();
        let places: Vec<_> =
            voters.iter().map(|it| (it.id.0, it.endpoints[0].1.to_string(), it.endpoints[0].2)).collect();
        assert_eq!(places, [(1, "a".to_owned(), 9093), (2, "::1".to_owned(), 9094)]);
        assert_eq!(voters.get(NodeId(1)).unwrap().directory_id.to_string(), id);
        for (text, why) in [
            ("a:9093", "No @ found"),
            ("@a:9093", "Invalid @ at beginning"),
            ("x@a:9093", "Failed to parse node id"),
            ("-1@a:9093", "Invalid negative node id -1"),
            ("1@", "No hostname found"),
            ("1@[::1:9093", "no right bracket"),
            ("1@[::1]9093", "Port section must start with a colon"),
            ("1@a", "No colon following hostname"),
            ("1@a:9093", "No colon following port"),
            ("1@a:x:y", "Failed to parse port"),
            ("1@a:70000:y", "Invalid port 70000"),
            ("1@a:9093:y", "Failed to parse directory ID"),
        ] {
            let error = initial_controllers(&config, text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        let twice = format!("1@a:9093:{id},1@b:9093:{id}");
        assert!(initial_controllers(&config, &twice).unwrap_err().contains("more than once"));
    }
}
