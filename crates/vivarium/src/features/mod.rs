//! `vivarium features`: kafka-features.sh, with its flags and its output.

mod releases;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use client::ClientConfig;
use client::tools::exception::Refusal;
use protocol::messages::update_features_request::FeatureUpdateKey;
use protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, UpdateFeaturesRequest};
use protocol::{ResponseBody, Str};

use crate::metadata_quorum::admin::Admin;
use crate::metadata_quorum::properties;
use releases::{FEATURES, LATEST, dependencies, level_of, name_and_level, version_mapping};
pub(crate) use releases::{KRAFT_VERSION, METADATA_VERSION, initial_levels, shown};

/// Kafka's tool for the levels of features.
#[derive(clap::Args)]
pub(crate) struct FeaturesArguments {
    /// Brokers to connect to, host:port,host:port
    #[arg(long, value_name = "BOOTSTRAP_SERVER", conflicts_with = "bootstrap_controller")]
    bootstrap_server: Option<String>,
    /// Controllers to connect to, host:port,host:port
    #[arg(long, value_name = "BOOTSTRAP_CONTROLLER")]
    bootstrap_controller: Option<String>,
    /// A properties file with settings of the admin client
    #[arg(long, value_name = "COMMAND_CONFIG")]
    command_config: Option<String>,
    #[command(subcommand)]
    command: FeaturesCommand,
}

#[derive(clap::Subcommand)]
enum FeaturesCommand {
    /// Show which levels the nodes can have, and which the cluster has
    Describe {
        /// The node that is asked
        #[arg(long, allow_negative_numbers = true)]
        node_id: Option<i32>,
    },
    /// Raise levels
    Upgrade {
        #[command(flatten)]
        levels: Levels,
        /// Say whether it can be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Lower levels
    Downgrade {
        #[command(flatten)]
        levels: Levels,
        /// Even if metadata are lost with it
        #[arg(long = "unsafe")]
        is_unsafe: bool,
        /// Say whether it can be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Lower levels to none
    Disable {
        /// A feature; may be repeated
        #[arg(long)]
        feature: Vec<String>,
        /// Even if metadata are lost with it
        #[arg(long = "unsafe")]
        is_unsafe: bool,
        /// Say whether it can be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Show the levels of features that a release begins with
    VersionMapping {
        /// The release, such as 4.2 or 4.2-IV1; the latest if there is none
        #[arg(long)]
        release_version: Option<String>,
    },
    /// Show what levels of features need
    FeatureDependencies {
        /// A feature and its level, as group.version=1; may be repeated
        #[arg(long, required = true)]
        feature: Vec<String>,
    },
}

/// Which levels features are to have.
#[derive(clap::Args)]
struct Levels {
    /// Deprecated: the release whose metadata.version is wanted
    #[arg(long)]
    metadata: Option<String>,
    /// The release whose levels all features get
    #[arg(long)]
    release_version: Option<String>,
    /// A feature and its level, as group.version=1; may be repeated
    #[arg(long)]
    feature: Vec<String>,
}

/// What is done to levels; the numbers are UpdateFeatures' own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Update {
    Upgrade = 1,
    SafeDowngrade = 2,
    UnsafeDowngrade = 3,
}

impl Update {
    fn downgrade(is_unsafe: bool) -> Update {
        if is_unsafe { Update::UnsafeDowngrade } else { Update::SafeDowngrade }
    }
}

pub(crate) fn run(arguments: &FeaturesArguments) -> ExitCode {
    let mut said = String::new();
    let result = features(arguments, &mut said);
    let written = std::io::stdout().write_all(said.as_bytes());
    if let Err(what) = &result {
        // What goes wrong on stderr cannot be told anywhere.
        let _ = writeln!(std::io::stderr(), "{what}");
    }
    if result.is_ok() && written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn features(arguments: &FeaturesArguments, said: &mut String) -> Result<(), String> {
    let (op, update, updates, dry_run) = match &arguments.command {
        FeaturesCommand::VersionMapping { release_version } => {
            return version_mapping(release_version.as_deref().unwrap_or(LATEST), said);
        }
        FeaturesCommand::FeatureDependencies { feature } => return dependencies(feature, said),
        FeaturesCommand::Describe { node_id } => {
            *said += &table(&described(&admin(arguments)?.0, *node_id)?);
            return Ok(());
        }
        FeaturesCommand::Upgrade { levels, dry_run } => {
            ("upgrade", Update::Upgrade, levels.updates(Update::Upgrade, said)?, *dry_run)
        }
        FeaturesCommand::Downgrade { levels, is_unsafe, dry_run } => {
            let update = Update::downgrade(*is_unsafe);
            ("downgrade", update, levels.updates(update, said)?, *dry_run)
        }
        FeaturesCommand::Disable { feature, is_unsafe, dry_run } => {
            let mut updates = BTreeMap::new();
            for name in feature {
                put(&mut updates, name, 0)?;
            }
            ("disable", Update::downgrade(*is_unsafe), updates, *dry_run)
        }
    };
    let (admin, timeout_ms) = admin(arguments)?;
    if updates.is_empty() {
        return Err(format!("You must specify at least one feature to {op}"));
    }
    let refused = change(&admin, &updates, update, dry_run, timeout_ms)?;
    outcome(op, dry_run, &updates, &refused, said);
    if refused.is_empty() {
        return Ok(());
    }
    Err(format!("{} out of {} operation(s) failed.", refused.len(), updates.len()))
}

fn admin(arguments: &FeaturesArguments) -> Result<(Admin, i32), String> {
    let by_controllers = arguments.bootstrap_controller.is_some();
    let servers = arguments.bootstrap_controller.as_deref().or(arguments.bootstrap_server.as_deref());
    let mut config = ClientConfig::default();
    let mut set = |key: &str, value: &str| config.set(key, value).map_err(|error| error.0);
    for (key, value) in arguments.command_config.as_deref().map(properties).transpose()?.iter().flatten() {
        set(key, value)?;
    }
    let servers = servers.ok_or("You must specify either --bootstrap-controller or --bootstrap-server.")?;
    set("bootstrap.servers", servers)?;
    let timeout_ms = i32::try_from(config.request_timeout_ms).unwrap_or(i32::MAX);
    Ok((Admin::new(config, by_controllers), timeout_ms))
}

fn described(admin: &Admin, node_id: Option<i32>) -> Result<ApiVersionsResponse, String> {
    let question = ApiVersionsRequest {
        client_software_name: Str::from_static("vivarium"),
        client_software_version: Str::from_static(env!("CARGO_PKG_VERSION")),
    };
    let call = "describeFeatures";
    let answer = match node_id {
        Some(id) if id < 0 => return Err(format!("Invalid node id {id}: must be non-negative.")),
        Some(id) => admin.ask_node(id, call, &question.into())?,
        None => admin.ask(call, &question.into(), |_| false)?,
    };
    match answer {
        ResponseBody::ApiVersions(answer) => match Refusal::of(answer.error_code, None) {
            None => Ok(answer),
            Some(refusal) => Err(refusal.told()),
        },
        other => Err(format!("{} is no answer to this", other.api_key().name())),
    }
}

fn table(answer: &ApiVersionsResponse) -> String {
    let mut supported: Vec<_> = answer.supported_features.iter().collect();
    supported.sort_by(|a, b| a.name.cmp(&b.name));
    let epoch = match answer.finalized_features_epoch {
        epoch if epoch >= 0 => epoch.to_string(),
        _ => "-".to_owned(),
    };
    let mut text = String::new();
    for it in supported {
        let finalized = answer.finalized_features.iter().find(|finalized| finalized.name == it.name);
        let finalized = finalized.map_or(0, |finalized| finalized.max_version_level);
        let [least, most, finalized] = [it.min_version, it.max_version, finalized].map(|level| shown(&it.name, level));
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "Feature: {:<40}  SupportedMinVersion: {least:<15}  SupportedMaxVersion: {most:<15}  \
             FinalizedVersionLevel: {finalized:<15}  Epoch: {epoch}",
            &*it.name
        );
    }
    text
}

/// Notes a level for a feature that has none yet.
fn put(updates: &mut BTreeMap<String, i16>, name: &str, level: i16) -> Result<(), String> {
    match updates.insert(name.to_owned(), level) {
        None => Ok(()),
        Some(_) => Err(format!("Feature {name} was specified more than once.")),
    }
}

impl Levels {
    fn updates(&self, update: Update, said: &mut String) -> Result<BTreeMap<String, i16>, String> {
        let mut updates = BTreeMap::new();
        if let Some(release) = &self.release_version {
            if self.metadata.is_some() || !self.feature.is_empty() {
                return Err("Can not specify `release-version` with other feature flags.".to_owned());
            }
            let level = level_of(release)?;
            put(&mut updates, METADATA_VERSION, level)?;
            for feature in &FEATURES {
                let level = feature.default_level(level);
                // No upgrade leads to none.
                if update != Update::Upgrade || level > 0 {
                    put(&mut updates, feature.name, level)?;
                }
            }
            return Ok(updates);
        }
        if let Some(release) = &self.metadata {
            said.push_str(" `metadata` flag is deprecated and may be removed in a future release.\n");
            put(&mut updates, METADATA_VERSION, level_of(release)?)?;
        }
        for it in &self.feature {
            let (name, level) = name_and_level(it)?;
            put(&mut updates, name, level)?;
        }
        Ok(updates)
    }
}

/// Has the active controller change levels: all or none. Answers why it would not, by the feature.
fn change(
    admin: &Admin,
    updates: &BTreeMap<String, i16>,
    update: Update,
    validate_only: bool,
    timeout_ms: i32,
) -> Result<BTreeMap<String, String>, String> {
    let one = |(feature, level): (&String, &i16)| FeatureUpdateKey {
        feature: Str::from(feature.as_str()),
        max_version_level: *level,
        upgrade_type: update as i8,
        ..Default::default()
    };
    let feature_updates = updates.iter().map(one).collect();
    let question = UpdateFeaturesRequest { timeout_ms, feature_updates, validate_only };
    let ResponseBody::UpdateFeatures(answer) = admin.ask("updateFeatures", &question.into(), |_| false)? else {
        return Err("this is no answer to UpdateFeatures".to_owned());
    };
    if let Some(refusal) = Refusal::of(answer.error_code, answer.error_message.as_ref()) {
        return Ok(updates.keys().map(|feature| (feature.clone(), refusal.message().to_owned())).collect());
    }
    let mut refused = BTreeMap::new();
    for it in &answer.results {
        if let Some(refusal) = Refusal::of(it.error_code, it.error_message.as_ref()) {
            refused.insert(it.feature.to_string(), refusal.message().to_owned());
        }
    }
    Ok(refused)
}

/// A line for each feature.
fn outcome(
    op: &str,
    dry_run: bool,
    updates: &BTreeMap<String, i16>,
    refused: &BTreeMap<String, String>,
    said: &mut String,
) {
    for (feature, level) in updates {
        let to = if op == "disable" { String::new() } else { format!(" to {level}") };
        let _ = match refused.get(feature) {
            Some(why) => {
                let could = if dry_run { "Can not" } else { "Could not" };
                writeln!(said, "{could} {op} {feature}{to}. {why}")
            }
            None => {
                let verb = if dry_run { "can be" } else { "was" };
                writeln!(said, "{feature} {verb} {op}d{to}.")
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use protocol::messages::api_versions_response::{FinalizedFeatureKey, SupportedFeatureKey};

    use super::*;

    #[test]
    fn levels_are_named_once_or_by_a_release() {
        let levels = |metadata: Option<&str>, release: Option<&str>, features: &[&str]| Levels {
            metadata: metadata.map(str::to_owned),
            release_version: release.map(str::to_owned),
            feature: features.iter().map(|it| (*it).to_owned()).collect(),
        };
        let updates = |levels: Levels, update| {
            let mut said = String::new();
            levels.updates(update, &mut said).map(|updates| (updates.into_iter().collect::<Vec<_>>(), said))
        };
        let of =
            |pairs: &[(&str, i16)]| pairs.iter().map(|(name, level)| ((*name).to_owned(), *level)).collect::<Vec<_>>();
        let (all, _) = updates(levels(None, Some("3.9"), &[]), Update::Upgrade).unwrap();
        assert_eq!(all, of(&[("kraft.version", 1), ("metadata.version", 21)]));
        assert_eq!(updates(levels(None, Some("3.9"), &[]), Update::SafeDowngrade).unwrap().0.len(), 7);
        let (one, warned) = updates(levels(Some("4.2-IV0"), None, &["group.version=1"]), Update::Upgrade).unwrap();
        assert_eq!(one, of(&[("group.version", 1), ("metadata.version", 28)]));
        assert_eq!(warned, " `metadata` flag is deprecated and may be removed in a future release.\n");
        let both = updates(levels(None, Some("3.9"), &["a=1"]), Update::Upgrade).unwrap_err();
        assert_eq!(both, "Can not specify `release-version` with other feature flags.");
        let twice = updates(levels(None, None, &["a=1", "a=2"]), Update::Upgrade).unwrap_err();
        assert_eq!(twice, "Feature a was specified more than once.");
    }

    #[test]
    fn outcomes_are_told_as_kafka_tells_them() {
        let updates: BTreeMap<String, i16> = [("a".to_owned(), 1), ("b".to_owned(), 2)].into();
        let refused: BTreeMap<String, String> = [("b".to_owned(), "No.".to_owned())].into();
        let told = |op: &str, dry_run: bool| {
            let mut said = String::new();
            outcome(op, dry_run, &updates, &refused, &mut said);
            said
        };
        assert_eq!(told("upgrade", false), "a was upgraded to 1.\nCould not upgrade b to 2. No.\n");
        assert_eq!(told("downgrade", true), "a can be downgraded to 1.\nCan not downgrade b to 2. No.\n");
        assert_eq!(told("disable", false), "a was disabled.\nCould not disable b. No.\n");
    }

    #[test]
    fn the_table_is_kafkas() {
        let supported = |name: &'static str, min_version, max_version| SupportedFeatureKey {
            name: Str::from_static(name),
            min_version,
            max_version,
        };
        let mut answer = ApiVersionsResponse {
            supported_features: vec![supported("metadata.version", 7, 99), supported("group.version", 0, 1)],
            finalized_features: vec![FinalizedFeatureKey {
                name: Str::from_static("metadata.version"),
                max_version_level: 30,
                min_version_level: 30,
            }],
            finalized_features_epoch: 12,
            ..Default::default()
        };
        let row = |name: &str, [least, most, level]: [&str; 3], epoch: &str| {
            let pad = |text: &str, width: usize| format!("{text}{}", " ".repeat(width - text.len()));
            format!(
                "Feature: {}  SupportedMinVersion: {}  SupportedMaxVersion: {}  FinalizedVersionLevel: {}  Epoch: {epoch}\n",
                pad(name, 40),
                pad(least, 15),
                pad(most, 15),
                pad(level, 15)
            )
        };
        let rows = |epoch: &str| {
            row("group.version", ["0", "1", "0"], epoch)
                + &row("metadata.version", ["3.3-IV3", "UNKNOWN 99", "4.3-IV0"], epoch)
        };
        assert_eq!(table(&answer), rows("12"));
        answer.finalized_features_epoch = -1;
        assert_eq!(table(&answer), rows("-"));
    }
}
