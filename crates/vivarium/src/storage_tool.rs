//! `vivarium storage`: kafka-storage.sh's commands, with its flags and its output.

use ordered::Map;
use std::path::{Path, PathBuf};

use node::config::Config;
use protocol::Uuid;
use server::DataDir;
use storage::meta::MetaProperties;

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
        /// The voters of a dynamic quorum, as id@host:port:directory (not supported yet)
        #[arg(short = 'I', long, value_name = "CONTROLLERS", conflicts_with = "no_initial_controllers")]
        initial_controllers: Option<String>,
        /// No voters: a broker (a controller that joins others is not supported yet)
        #[arg(short = 'N', long)]
        no_initial_controllers: bool,
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

pub(crate) fn run(command: StorageCommand) -> Result<(), String> {
    match command {
        StorageCommand::RandomUuid => {
            println!("{}", server::random_id().map_err(|error| error.to_string())?);
            Ok(())
        }
        StorageCommand::Format {
            config,
            cluster_id,
            ignore_formatted,
            standalone,
            initial_controllers,
            no_initial_controllers,
        } => {
            let config = parse(&config)?;
            check_voters(&config, standalone, initial_controllers.as_deref(), no_initial_controllers)?;
            format(&config, &cluster_id, ignore_formatted)
        }
        StorageCommand::Info { config } => info(&parse(&config)?),
    }
}

/// Who votes is said once: by the configuration of each node, or by the log of a dynamic quorum.
fn check_voters(config: &Config, standalone: bool, initial: Option<&str>, none: bool) -> Result<(), String> {
    if !config.voters.is_empty() && (standalone || initial.is_some()) {
        return Err("You cannot specify controller.quorum.voters and format the node with --initial-controllers or --standalone. \
                    If you want to use dynamic quorum, please remove controller.quorum.voters and specify \
                    controller.quorum.bootstrap.servers instead."
            .into());
    }
    if standalone && !config.roles.controller {
        return Err("You can only use --standalone on a controller.".into());
    }
    if none && config.roles.controller {
        return Err("--no-initial-controllers on a controller: a quorum whose voters are in its log is not supported yet; name \
                    them in controller.quorum.voters of every node, and leave the flag out"
            .into());
    }
    match initial {
        Some(voters) => Err(format!(
            "--initial-controllers {voters}: a quorum whose voters are in its log is not supported yet; name them in \
             controller.quorum.voters of every node"
        )),
        None => Ok(()),
    }
}

fn parse(path: &Path) -> Result<Config, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let properties = node::config::parse_properties(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let (config, _) = Config::parse(&properties).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(config)
}

fn format(config: &Config, cluster_id: &str, ignore_formatted: bool) -> Result<(), String> {
    let id: Uuid = cluster_id
        .parse()
        .map_err(|error| format!("Cluster ID string {cluster_id} does not appear to be a valid UUID: {error}"))?;
    let mut empty = Vec::new();
    for path in &config.log_dirs {
        let dir = DataDir::open(Path::new(path.as_str())).map_err(|error| error.to_string())?;
        match server::read_meta(&dir).map_err(|error| error.to_string())? {
            None => empty.push(dir),
            Some(_) if ignore_formatted => {}
            Some(_) => {
                return Err(format!(
                    "Log directory {path} is already formatted. Use --ignore-formatted to ignore this directory and format the others."
                ));
            }
        }
    }
    if empty.is_empty() {
        println!("All of the log directories are already formatted.");
    }
    for dir in empty {
        let directory_id = server::random_id().map_err(|error| error.to_string())?;
        let meta = MetaProperties { cluster_id: id.to_string().as_str().into(), node_id: config.node_id, directory_id };
        dir.write_meta(&meta.format()).map_err(|error| error.to_string())?;
        println!("Formatting data directory {} with metadata.version {METADATA_VERSION}.", dir.path.display());
    }
    Ok(())
}

fn info(config: &Config) -> Result<(), String> {
    let mut found = Vec::new();
    let mut problems = Vec::new();
    let mut metas = Map::new();
    for path in &config.log_dirs {
        // Looked at without the lock, so that a running server may be asked too.
        match std::fs::read_to_string(Path::new(path.as_str()).join("meta.properties")) {
            Ok(text) => {
                let meta = MetaProperties::parse(&text).map_err(|error| format!("{path}: {error}"))?;
                found.push(path.to_string());
                metas.insert(path.to_string(), meta);
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && Path::new(path.as_str()).is_dir() => {
                problems.push(format!("{path} is not formatted."));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                problems.push(format!("{path} does not exist."))
            }
            Err(error) => problems.push(format!("{path}: {error}")),
        }
    }
    if !found.is_empty() {
        println!("Found log director{}:\n  {}\n", if found.len() == 1 { "y" } else { "ies" }, found.join("\n  "));
    }
    if let Some((_, meta)) = metas.first_key_value() {
        println!(
            "Found metadata: {{cluster.id={}, directory.id={}, node.id={}, version=1}}\n",
            meta.cluster_id, meta.directory_id, meta.node_id
        );
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(format!("Found problem{}:\n  {}", if problems.len() == 1 { "" } else { "s" }, problems.join("\n  ")))
}

/// The level that a new cluster starts at, by its name in Kafka's MetadataVersion.
const METADATA_VERSION: &str = "4.3-IV0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voters_are_named_once() {
        let config = |pairs: &[(&str, &str)]| {
            let properties = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            Config::parse(&properties).unwrap().0
        };
        let alone = Config::default();
        assert_eq!(check_voters(&alone, true, None, false), Ok(()));
        assert!(check_voters(&alone, false, Some("1@a:9093:id"), false).unwrap_err().contains("not supported yet"));
        let named = [("controller.quorum.voters", "1@a:9093,2@b:9093"), ("controller.listener.names", "CONTROLLER")];
        let voter = config(&[&named[..], &[("listeners", "PLAINTEXT://:9092,CONTROLLER://:9093")]].concat());
        assert_eq!(check_voters(&voter, false, None, false), Ok(()));
        assert!(
            check_voters(&voter, true, None, false)
                .unwrap_err()
                .starts_with("You cannot specify controller.quorum.voters")
        );
        let broker = [("process.roles", "broker"), ("node.id", "3"), ("controller.quorum.bootstrap.servers", "a:9093")];
        let broker = config(&[&broker[..], &[("controller.listener.names", "CONTROLLER")]].concat());
        assert_eq!(
            check_voters(&broker, true, None, false).unwrap_err(),
            "You can only use --standalone on a controller."
        );
        assert_eq!(check_voters(&broker, false, None, true), Ok(()));
        // Started, it would elect itself.
        for controller in [&alone, &voter] {
            assert!(check_voters(controller, false, None, true).unwrap_err().contains("not supported yet"));
        }
    }
}
