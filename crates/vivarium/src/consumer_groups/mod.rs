//! `vivarium consumer-groups`: kafka-consumer-groups.sh, with its flags and its output.

mod cluster;
mod csv;
mod describe;
mod group;
mod offsets;
mod reset;
mod table;
mod when;

use std::io::Write as _;
use std::process::ExitCode;

use client::ClientConfig;
use protocol::Str;

use crate::metadata_quorum::properties;
use cluster::Cluster;
use table::{Column, Table};

/// The states of groups of consumers.
const STATES: [&str; 7] =
    ["PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Empty", "Assigning", "Reconciling"];
const TYPES: [&str; 2] = ["Classic", "Consumer"];

/// Kafka's tool for groups of consumers.
#[derive(clap::Args)]
pub(crate) struct ConsumerGroupsArguments {
    /// Brokers to connect to, host:port,host:port
    #[arg(long, value_name = "server to connect to")]
    bootstrap_server: Option<String>,
    /// A properties file with settings of the admin client
    #[arg(long, value_name = "command config property file")]
    command_config: Option<String>,
    /// Wait so long for answers
    #[arg(long, value_name = "timeout (ms)", default_value_t = 30_000)]
    timeout: i64,
    /// The group; may be repeated
    #[arg(long, value_name = "consumer group")]
    group: Vec<String>,
    /// All groups of consumers
    #[arg(long)]
    all_groups: bool,
    /// List groups
    #[arg(long)]
    list: bool,
    /// Describe groups: how far they are
    #[arg(long)]
    describe: bool,
    /// Delete groups and all that they have committed
    #[arg(long)]
    delete: bool,
    /// Say where the members of a group go on; it must have none now
    #[arg(long)]
    reset_offsets: bool,
    /// Forget what a group has committed for topics
    #[arg(long)]
    delete_offsets: bool,
    /// Say whether a regular expression is one that brokers take
    #[arg(long, value_name = "regex")]
    validate_regex: Option<String>,
    /// With --describe: who is in the group
    #[arg(long)]
    members: bool,
    /// With --describe: how far the group is, as if nothing is said
    #[arg(long)]
    offsets: bool,
    /// With --describe: the state of the group; with --list: the states of all, or only groups in these states
    #[arg(long, value_name = "state,state", num_args = 0..=1)]
    state: Option<Option<String>>,
    /// With --list: the types of groups, or only groups of these types
    #[arg(long = "type", value_name = "type,type", num_args = 0..=1)]
    kind: Option<Option<String>>,
    /// With --describe: all there is to say
    #[arg(long)]
    verbose: bool,
    /// The topic whose offsets are reset or deleted, or only some of its partitions: topic:0,1,2; may be repeated
    #[arg(long, value_name = "topic")]
    topic: Vec<String>,
    /// All topics for which the group has committed
    #[arg(long)]
    all_topics: bool,
    /// Show what a reset would do, as if nothing is said
    #[arg(long)]
    dry_run: bool,
    /// Reset
    #[arg(long)]
    execute: bool,
    /// Show new offsets as comma-separated values
    #[arg(long)]
    export: bool,
    /// Reset to this offset
    #[arg(long, value_name = "offset", allow_negative_numbers = true)]
    to_offset: Option<i64>,
    /// Reset to what a file says that --export wrote
    #[arg(long, value_name = "path to CSV file")]
    from_file: Option<String>,
    /// Reset to the first record that is not older: 2026-01-31T23:59:59.000
    #[arg(long, value_name = "datetime")]
    to_datetime: Option<String>,
    /// Reset to the first record that is not older than so long: P1DT2H3M4S
    #[arg(long, value_name = "duration", allow_hyphen_values = true)]
    by_duration: Option<String>,
    /// Reset to the first record there is
    #[arg(long)]
    to_earliest: bool,
    /// Reset to the end
    #[arg(long)]
    to_latest: bool,
    /// Reset to what is committed; to the end where nothing is
    #[arg(long)]
    to_current: bool,
    /// Reset to so many records later, or earlier
    #[arg(long, value_name = "number-of-offsets", allow_negative_numbers = true)]
    shift_by: Option<i64>,
}

/// What the tool has to say.
#[derive(Default)]
struct Said {
    out: String,
    err: String,
}

impl Said {
    /// Kafka's tool tells errors where it tells the rest.
    fn error(&mut self, what: &str) {
        self.out += &format!("\nError: {what}\n");
    }
}

/// Why the tool ends early.
#[derive(Debug)]
enum Trouble {
    /// Its options make no sense.
    Misused(String),
    /// The cluster does not do it. Kafka's tool says so, and exits as if all were well.
    Failed(String),
}

impl Trouble {
    /// The cluster's words within Java's.
    fn wrapped(why: String) -> Trouble {
        Trouble::Failed(format!("java.util.concurrent.ExecutionException: {why}"))
    }
}

pub(crate) fn run(arguments: &ConsumerGroupsArguments) -> ExitCode {
    let mut said = Said::default();
    let result = act(arguments, &mut said);
    let code = match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Trouble::Failed(why)) => {
            said.error(&format!("Executing consumer group command failed due to {why}"));
            ExitCode::SUCCESS
        }
        Err(Trouble::Misused(why)) => {
            said.err += &why;
            said.err += "\n`vivarium consumer-groups --help` lists the options.\n";
            ExitCode::FAILURE
        }
    };
    // What goes wrong on stderr cannot be told anywhere.
    let _ = std::io::stderr().write_all(said.err.as_bytes());
    let written = std::io::stdout().write_all(said.out.as_bytes());
    if written.is_ok() { code } else { ExitCode::FAILURE }
}

fn act(arguments: &ConsumerGroupsArguments, said: &mut Said) -> Result<(), Trouble> {
    check(arguments, said).map_err(Trouble::Misused)?;
    if let Some(pattern) = &arguments.validate_regex {
        said.out += &validated(pattern);
        return Ok(());
    }
    let (states, types) = filters(arguments).map_err(Trouble::Misused)?;
    let cluster = Cluster::new(config(arguments).map_err(Trouble::Failed)?);
    if arguments.list {
        let groups = cluster.groups(&states, &types).map_err(Trouble::wrapped)?;
        if arguments.state.is_none() && arguments.kind.is_none() {
            said.out.extend(groups.iter().map(|it| format!("{}\n", it.group)));
        } else {
            said.out += &list(&groups, arguments.kind.is_some(), arguments.state.is_some());
        }
        return Ok(());
    }
    let groups: Vec<Str> = if arguments.all_groups {
        cluster.groups(&[], &[]).map_err(Trouble::wrapped)?.into_iter().map(|it| it.group).collect()
    } else {
        arguments.group.iter().map(|it| Str::from(it.as_str())).collect()
    };
    if arguments.describe {
        describe(&cluster, arguments, groups, said)
    } else if arguments.delete {
        delete(&cluster, &groups, said);
        Ok(())
    } else if arguments.reset_offsets {
        reset::run(&cluster, arguments, &groups, said)
    } else {
        offsets::delete(&cluster, &groups, &arguments.topic, said)
    }
}

/// What Kafka's tool demands of its options, in its words.
fn check(it: &ConsumerGroupsArguments, said: &mut Said) -> Result<(), String> {
    let is_regex = it.validate_regex.is_some();
    if it.bootstrap_server.is_none() && !is_regex {
        return Err("Missing required argument \"[bootstrap-server]\"".to_owned());
    }
    let has_group = !it.group.is_empty();
    let scope = |action: &str, is_there: bool| {
        let is_open = is_there && !has_group && !it.all_groups;
        let why = || format!("Option [{action}] takes one of these options: [group], [all-groups]");
        if is_open { Err(why()) } else { Ok(()) }
    };
    for (option, is_there) in [("members", it.members), ("verbose", it.verbose), ("offsets", it.offsets)] {
        if is_there && !it.describe {
            return Err(format!("Option(s) [{option}] are unavailable given other options on the command line"));
        }
    }
    if (it.state.is_some() && !it.describe && !it.list) || (it.kind.is_some() && !it.list) {
        let option = if it.kind.is_some() && !it.list { "type" } else { "state" };
        return Err(format!("Option(s) [{option}] are unavailable given other options on the command line"));
    }
    scope("describe", it.describe)?;
    if it.describe && [it.members, it.offsets, it.state.is_some()].iter().filter(|it| **it).count() > 1 {
        return Err("Option [describe] takes at most one of these options: [members], [offsets], [state]".to_owned());
    }
    if it.describe && matches!(it.state, Some(Some(_))) {
        return Err("Option [describe] does not take a value for [state]".to_owned());
    }
    scope("delete", it.delete)?;
    if it.delete && !it.topic.is_empty() {
        return Err("The consumer does not support topic-specific offset deletion from a consumer group.".to_owned());
    }
    if it.delete_offsets && (!has_group || it.topic.is_empty()) {
        return Err("Option [delete-offsets] takes the following options: [group], [topic]".to_owned());
    }
    if it.reset_offsets {
        check_reset(it, said)?;
        scope("reset-offsets", true)?;
    }
    let barred = |used: &str, other: &str| Err(format!("Option \"[{used}]\" can't be used with option \"[{other}]\""));
    match (has_group, !it.topic.is_empty()) {
        (true, _) if it.all_groups => return barred("group", "all-groups"),
        (true, _) if it.list => return barred("group", "list"),
        (_, true) if it.list => return barred("topic", "list"),
        (_, true) if it.describe => return barred("topic", "describe"),
        _ => {}
    }
    let actions = [it.list, it.describe, it.delete, it.reset_offsets, it.delete_offsets, is_regex];
    if actions.iter().filter(|it| **it).count() != 1 {
        return Err("Command must include exactly one action: --list, --describe, --delete, --reset-offsets, \
                    --delete-offsets, --validate-regex"
            .to_owned());
    }
    if it.delete_offsets && it.group.len() > 1 {
        return Err("Found multiple arguments for option group, but you asked for only one".to_owned());
    }
    Ok(())
}

fn check_reset(it: &ConsumerGroupsArguments, said: &mut Said) -> Result<(), String> {
    if it.dry_run && it.execute {
        return Err("Option [reset-offsets] only accepts one of [execute] and [dry-run]".to_owned());
    }
    if !it.dry_run && !it.execute {
        said.err += "WARN: No action will be performed as the --execute option is missing. In version 5.0, this command \
                     will require either --dry-run or --execute to be specified. You should add the --dry-run option \
                     explicitly if you are scripting this command and want to keep the current default behavior without \
                     prompting.\n";
    }
    let scenarios = [
        ("to-offset", it.to_offset.is_some()),
        ("to-datetime", it.to_datetime.is_some()),
        ("by-duration", it.by_duration.is_some()),
        ("to-earliest", it.to_earliest),
        ("to-latest", it.to_latest),
        ("to-current", it.to_current),
        ("shift-by", it.shift_by.is_some()),
        ("from-file", it.from_file.is_some()),
    ];
    let mut given = scenarios.iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name);
    match (given.next(), given.next()) {
        (Some(one), Some(other)) => Err(format!("Option \"[{one}]\" can't be used with option \"[{other}]\"")),
        _ => Ok(()),
    }
}

/// The states and types that --list is to show; none is all.
fn filters(it: &ConsumerGroupsArguments) -> Result<(Vec<Str>, Vec<Str>), String> {
    let of = |given: &Option<Option<String>>, what: &str, known: &[&'static str]| {
        let Some(Some(list)) = given else { return Ok(Vec::new()) };
        let one = |it: &str| known.iter().find(|known| known.eq_ignore_ascii_case(it.trim()));
        let all: Option<Vec<Str>> = list.split(',').map(|it| one(it).map(|it| Str::from_static(it))).collect();
        all.ok_or_else(|| format!("Invalid {what} list '{list}'. Valid {what} are: {}", known.join(", ")))
    };
    let types = of(&it.kind, "types", &TYPES)?;
    let states = of(&it.state, "state", &STATES).map_err(|why| why.replace("Valid state are", "Valid states are"))?;
    Ok((states, types))
}

fn config(arguments: &ConsumerGroupsArguments) -> Result<ClientConfig, String> {
    let mut config = ClientConfig::default();
    for (key, value) in arguments.command_config.as_deref().map(properties).transpose()?.iter().flatten() {
        config.set(key, value).map_err(|error| error.0)?;
    }
    let servers = arguments.bootstrap_server.as_deref().unwrap_or_default();
    config.set("bootstrap.servers", servers).map_err(|error| error.0)?;
    config.default_api_timeout_ms = arguments.timeout;
    Ok(config)
}

fn list(groups: &[group::Listed], with_type: bool, with_state: bool) -> String {
    let width = groups.iter().map(|it| it.group.len()).max().unwrap_or(0).max(15) + 10;
    let mut table = Table::new(&[
        Column::fixed("GROUP", width),
        Column::fixed("TYPE", 20).only_if(with_type),
        Column::fixed("STATE", 20).only_if(with_state),
    ]);
    for it in groups {
        // Apache Kafka's brokers send types in small letters, which its tool shows with a capital.
        let kind = TYPES.into_iter().find(|known| known.eq_ignore_ascii_case(&it.kind)).unwrap_or(&it.kind);
        table.row(vec![it.group.to_string(), kind.to_owned(), it.state.to_string()]);
    }
    // This table alone has no empty line before it.
    table.text().trim_start_matches('\n').to_owned()
}

fn describe(
    cluster: &Cluster,
    arguments: &ConsumerGroupsArguments,
    mut groups: Vec<Str>,
    said: &mut Said,
) -> Result<(), Trouble> {
    groups.sort_unstable();
    groups.dedup();
    let mut described = Vec::new();
    for name in groups {
        let group = cluster.describe(&name).map_err(Trouble::Failed)?.map_err(|it| Trouble::Failed(it.told()))?;
        described.push((name, group));
    }
    for (name, group) in &described {
        if arguments.members {
            describe::members(name, group, arguments.verbose, said)?;
        } else if arguments.state.is_some() {
            describe::state(name, group, arguments.verbose, said)?;
        } else {
            describe::offsets(cluster, name, group, arguments.verbose, said)?;
        }
    }
    Ok(())
}

fn delete(cluster: &Cluster, groups: &[Str], said: &mut Said) {
    let (mut deleted, mut failed) = (Vec::new(), Vec::new());
    for group in groups {
        match cluster.delete(group) {
            Ok(Ok(())) => deleted.push(format!("'{group}'")),
            Ok(Err(refusal)) => failed.push((group, refusal.told())),
            Err(why) => failed.push((group, why)),
        }
    }
    let deleted = deleted.join(", ");
    if failed.is_empty() {
        said.out += &format!("Deletion of requested consumer groups ({deleted}) was successful.\n");
        return;
    }
    said.error("Deletion of some consumer groups failed:");
    for (group, why) in failed {
        said.out += &format!("* Group '{group}' could not be deleted due to: {why}\n");
    }
    if !deleted.is_empty() {
        said.out += &format!("\nThese consumer groups were deleted successfully: {deleted}\n");
    }
}

fn validated(pattern: &str) -> String {
    match server::check_pattern(pattern) {
        Ok(()) => format!("The regular expression `{pattern}` is valid.\n"),
        Err(why) => format!("The regular expression `{pattern}` is invalid: {why}.\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_listed_in_one_form_however_a_broker_spells_them() {
        let listed = |kind: &str| {
            let group = group::Listed { group: "g".into(), state: "Empty".into(), kind: kind.into() };
            list(&[group], true, false).split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        for (sent, shown) in [("classic", "Classic"), ("Consumer", "Consumer"), ("share", "share")] {
            assert_eq!(listed(sent), ["GROUP", "TYPE", "g", shown]);
        }
    }
}
