//! `kafka-consumer-groups.sh`: lists, describes and deletes groups of consumers, and says where they go on.

mod cluster;
mod csv;
mod describe;
mod group;
mod offsets;
mod reset;
mod when;

use protocol::Str;

use super::args::{Args, Opt, Refusal, Trouble, Value};
use super::asking::{Asker, Plan, Said, asking};
use super::table::{Column, Table};
use super::{Host, Made, config_of};
use crate::config::ClientConfig;
use cluster::{Cluster, Offsets};
use reset::{Rare, To};

/// The states of groups of consumers.
const STATES: [&str; 7] =
    ["PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Empty", "Assigning", "Reconciling"];
const TYPES: [&str; 2] = ["Classic", "Consumer"];
const ACTIONS: [&str; 6] = ["list", "describe", "delete", "reset-offsets", "delete-offsets", "validate-regex"];
/// What it waits for answers, if nothing is said.
const TIMEOUT_MS: i64 = 30_000;

pub(super) const OPTIONS: &[Opt] = &[
    Opt { name: "all-groups", value: Value::No, about: "All groups of consumers." },
    Opt { name: "all-topics", value: Value::No, about: "All topics for which the group has committed." },
    Opt {
        name: "bootstrap-server",
        value: Value::Text,
        about: "Required: brokers to connect to, host:port,host:port.",
    },
    Opt {
        name: "by-duration",
        value: Value::Text,
        about: "Reset to the first record that is not older than so long: P1DT2H3M4S.",
    },
    Opt { name: "command-config", value: Value::Text, about: "A properties file with settings of the admin client." },
    Opt { name: "delete", value: Value::No, about: "Delete groups and all that they have committed." },
    Opt { name: "delete-offsets", value: Value::No, about: "Forget what a group has committed for topics." },
    Opt { name: "describe", value: Value::No, about: "Describe groups: how far they are." },
    Opt { name: "dry-run", value: Value::No, about: "Show what a reset would do, as if nothing is said." },
    Opt { name: "execute", value: Value::No, about: "Reset." },
    Opt { name: "export", value: Value::No, about: "Show new offsets as comma-separated values." },
    Opt { name: "from-file", value: Value::Text, about: "Reset to what a file says that --export wrote." },
    Opt { name: "group", value: Value::Text, about: "The group. May be repeated." },
    Opt { name: "list", value: Value::No, about: "List groups." },
    Opt { name: "members", value: Value::No, about: "With --describe: who is in the group." },
    Opt { name: "offsets", value: Value::No, about: "With --describe: how far the group is, as if nothing is said." },
    Opt {
        name: "reset-offsets",
        value: Value::No,
        about: "Say where the members of a group go on; it must have none now.",
    },
    Opt { name: "shift-by", value: Value::Long, about: "Reset to so many records later, or earlier." },
    Opt {
        name: "state",
        value: Value::Maybe,
        about: "With --describe: the state of the group; with --list: the states of all, or only groups in these.",
    },
    Opt { name: "timeout", value: Value::Long, about: "Wait so long for answers." },
    Opt { name: "to-current", value: Value::No, about: "Reset to what is committed; to the end where nothing is." },
    Opt {
        name: "to-datetime",
        value: Value::Text,
        about: "Reset to the first record that is not older: 2026-01-31T23:59:59.000.",
    },
    Opt { name: "to-earliest", value: Value::No, about: "Reset to the first record there is." },
    Opt { name: "to-latest", value: Value::No, about: "Reset to the end." },
    Opt { name: "to-offset", value: Value::Long, about: "Reset to this offset." },
    Opt {
        name: "topic",
        value: Value::Text,
        about: "Whose offsets are reset or deleted; topic:0,1,2 for some partitions. May be repeated.",
    },
    Opt {
        name: "type",
        value: Value::Maybe,
        about: "With --list: the types of groups, or only groups of these types.",
    },
    Opt {
        name: "validate-regex",
        value: Value::Text,
        about: "Say whether a regular expression is one that brokers take.",
    },
    Opt { name: "verbose", value: Value::No, about: "With --describe: all there is to say." },
];

/// Options that take what is in [`Rest`].
pub(super) const LEFT_OUT: &[&str] =
    &[super::FILE, "by-duration", "delete-offsets", "export", "from-file", "to-datetime", "validate-regex"];

/// What few need of this tool.
pub(super) struct Rest {
    by_duration: Rare,
    from_file: Rare,
    to_datetime: Rare,
    export: Export,
    delete_offsets: DeleteOffsets,
}

type Export = fn(&[(Str, Offsets)], bool) -> String;
type DeleteOffsets = fn(&Cluster<'_>, &[Str], &[String], &mut Said) -> Result<(), Trouble>;

pub(super) const REST: Rest = Rest {
    by_duration: reset::by_duration,
    from_file: reset::from_file,
    to_datetime: reset::to_datetime,
    export: csv::written,
    delete_offsets: offsets::delete,
};

/// A run of the tool.
struct ConsumerGroups {
    args: Args,
    action: Action,
    /// None is all that there are.
    groups: Option<Vec<Str>>,
    topics: Vec<String>,
    /// Said first.
    warning: &'static str,
}

enum Action {
    /// Only those in these states and of these types; none is all.
    List {
        states: Vec<Str>,
        types: Vec<Str>,
    },
    Describe,
    Delete,
    Reset(To, Option<Export>),
    DeleteOffsets(DeleteOffsets),
}

/// The cluster's words within Java's.
fn wrapped(why: String) -> Trouble {
    Trouble::Failed(format!("java.util.concurrent.ExecutionException: {why}"))
}

/// A run with these arguments.
pub(super) fn make(raw: &[String], host: &mut Host<'_>) -> Result<Made, Refusal> {
    let args = Args::parse(OPTIONS, raw).map_err(Refusal::stderr)?;
    let about = "This tool helps to list all consumer groups, describe a consumer group, delete consumer group info, or \
                 reset consumer group offsets.";
    args.help_or_version(raw.is_empty(), about)?;
    let misused = |why: String| args.misused(&why);
    let warning = check(&args).map_err(misused)?;
    if let Some(pattern) = args.value("validate-regex").map_err(misused)? {
        return Err(Refusal { stdout: validated(pattern, (host.re2)(pattern)), stderr: String::new(), exit: 0 });
    }
    let (action, config) = parse(&args, host).map_err(|trouble| match trouble {
        Trouble::Misused(why) => args.misused(&why),
        Trouble::Failed(why) => {
            let mut said = Said::default();
            failed(&why, &mut said);
            Refusal { stdout: said.out, stderr: said.err, exit: 0 }
        }
    })?;
    let names = |option: &str| args.values(option).into_iter();
    let groups = (!args.has("all-groups")).then(|| names("group").map(Str::from).collect());
    let topics = names("topic").map(str::to_owned).collect();
    Ok((asking(ConsumerGroups { action, groups, topics, warning, args }), config))
}

fn parse(args: &Args, host: &mut Host<'_>) -> Result<(Action, ClientConfig), Trouble> {
    let action = action(args, host)?;
    let mut config = host.settings(args).and_then(|it| config_of(&it)).map_err(Trouble::Failed)?;
    config.default_api_timeout_ms = args.long("timeout")?.unwrap_or(TIMEOUT_MS);
    Ok((action, config))
}

/// Kafka's tool says so, and exits as if all were well.
fn failed(why: &str, said: &mut Said) {
    said.error(&format!("Executing consumer group command failed due to {why}"));
}

/// What to do, of the one action that there is.
fn action(args: &Args, host: &mut Host<'_>) -> Result<Action, String> {
    if args.has("list") {
        let (states, types) = filters(args)?;
        Ok(Action::List { states, types })
    } else if args.has("describe") {
        Ok(Action::Describe)
    } else if args.has("delete") {
        Ok(Action::Delete)
    } else if args.has("reset-offsets") {
        let export = host.rest.filter(|_| args.has("export")).map(|it| it.groups.export);
        Ok(Action::Reset(To::parse(args, host)?, export))
    } else {
        host.rest
            .map(|it| Action::DeleteOffsets(it.groups.delete_offsets))
            .ok_or_else(|| "--delete-offsets is not here".to_owned())
    }
}

impl Plan for ConsumerGroups {
    fn run(&self, asker: &Asker<'_>, said: &mut Said) -> i32 {
        said.err += self.warning;
        match self.act(&Cluster(asker), said) {
            Ok(()) => 0,
            Err(Trouble::Failed(why)) => {
                failed(&why, said);
                0
            }
            Err(Trouble::Misused(why)) => {
                said.err += &self.args.misused(&why).stderr;
                1
            }
        }
    }
}

impl ConsumerGroups {
    fn act(&self, cluster: &Cluster<'_>, said: &mut Said) -> Result<(), Trouble> {
        if let Action::List { states, types } = &self.action {
            let groups = cluster.groups(states, types).map_err(wrapped)?;
            let (with_type, with_state) = (self.args.has("type"), self.args.has("state"));
            if with_type || with_state {
                said.out += &list(&groups, with_type, with_state);
            } else {
                said.out.extend(groups.iter().map(|it| format!("{}\n", it.group)));
            }
            return Ok(());
        }
        let groups: Vec<Str> = match &self.groups {
            Some(groups) => groups.clone(),
            None => cluster.groups(&[], &[]).map_err(wrapped)?.into_iter().map(|it| it.group).collect(),
        };
        match &self.action {
            Action::List { .. } | Action::Describe => self.describe(cluster, groups, said),
            Action::Delete => {
                delete(cluster, &groups, said);
                Ok(())
            }
            Action::Reset(to, export) => reset::run(cluster, self, to, *export, &groups, said),
            Action::DeleteOffsets(delete) => delete(cluster, &groups, &self.topics, said),
        }
    }

    fn describe(&self, cluster: &Cluster<'_>, mut groups: Vec<Str>, said: &mut Said) -> Result<(), Trouble> {
        ordered::sort(&mut groups);
        groups.dedup();
        let (is_verbose, of_state) = (self.args.has("verbose"), self.args.has("state"));
        let mut described = Vec::new();
        for name in groups {
            let group = cluster.describe(&name).map_err(Trouble::Failed)?;
            let mut group = group.map_err(|it| Trouble::Failed(it.told()))?;
            if of_state {
                group.coordinator = cluster.coordinator(&name).map_err(Trouble::Failed)?;
            }
            described.push((name, group));
        }
        for (name, group) in &described {
            if self.args.has("members") {
                describe::members(name, group, is_verbose, said)?;
            } else if of_state {
                describe::state(name, group, is_verbose, said)?;
            } else {
                describe::offsets(cluster, name, group, is_verbose, said)?;
            }
        }
        Ok(())
    }
}

/// What Kafka's tool demands of its options, in its words; and what it warns of.
fn check(it: &Args) -> Result<&'static str, String> {
    let is_regex = it.has("validate-regex");
    if !it.has("bootstrap-server") && !is_regex {
        return Err("Missing required argument \"[bootstrap-server]\"".to_owned());
    }
    let has_group = it.has("group");
    let has_topic = it.has("topic");
    let unavailable = |option: &str, others: &[&str]| {
        let is_open = it.has(option) && !others.iter().any(|other| it.has(other));
        let why = || format!("Option(s) [{option}] are unavailable given other options on the command line");
        if is_open { Err(why()) } else { Ok(()) }
    };
    let scope = |action: &str| {
        let is_open = it.has(action) && !has_group && !it.has("all-groups");
        let why = || format!("Option [{action}] takes one of these options: [group], [all-groups]");
        if is_open { Err(why()) } else { Ok(()) }
    };
    for option in ["members", "verbose", "offsets"] {
        unavailable(option, &["describe"])?;
    }
    unavailable("type", &["list"])?;
    unavailable("state", &["describe", "list"])?;
    scope("describe")?;
    if it.has("describe") {
        if ["members", "offsets", "state"].iter().filter(|option| it.has(option)).count() > 1 {
            let why = "Option [describe] takes at most one of these options: [members], [offsets], [state]";
            return Err(why.to_owned());
        }
        if it.value("state")?.is_some() {
            return Err("Option [describe] does not take a value for [state]".to_owned());
        }
    }
    scope("delete")?;
    if it.has("delete") && has_topic {
        return Err("The consumer does not support topic-specific offset deletion from a consumer group.".to_owned());
    }
    if it.has("delete-offsets") && (!has_group || !has_topic) {
        return Err("Option [delete-offsets] takes the following options: [group], [topic]".to_owned());
    }
    let mut warning = "";
    if it.has("reset-offsets") {
        warning = reset::check(it)?;
        scope("reset-offsets")?;
    }
    for (used, other) in [("group", "all-groups"), ("group", "list"), ("topic", "list"), ("topic", "describe")] {
        if it.has(used) && it.has(other) {
            return Err(format!("Option \"[{used}]\" can't be used with option \"[{other}]\""));
        }
    }
    if ACTIONS.iter().filter(|action| it.has(action)).count() != 1 {
        let actions: Vec<String> = ACTIONS.iter().map(|it| format!("--{it}")).collect();
        return Err(format!("Command must include exactly one action: {}", actions.join(", ")));
    }
    if it.has("delete-offsets") {
        it.value("group")?;
    }
    Ok(warning)
}

/// The states and types that --list is to show; none is all.
fn filters(it: &Args) -> Result<(Vec<Str>, Vec<Str>), String> {
    let of = |option: &str, what: &str, known: &[&'static str]| {
        let mut all = Vec::new();
        let Some(list) = it.value(option)? else { return Ok(all) };
        for it in list.split(',') {
            match known.iter().find(|known| known.eq_ignore_ascii_case(it.trim())) {
                Some(known) => all.push(Str::from_static(known)),
                None => return Err(format!("Invalid {what} list '{list}'. Valid {what} are: {}", known.join(", "))),
            }
        }
        Ok(all)
    };
    let types = of("type", "types", &TYPES)?;
    let states = of("state", "state", &STATES).map_err(|why| why.replace("Valid state are", "Valid states are"))?;
    Ok((states, types))
}

fn list(groups: &[group::Listed], with_type: bool, with_state: bool) -> String {
    let width = groups.iter().map(|it| it.group.len()).max().unwrap_or(0).max(15) + 10;
    let mut table = Table::new(&[Column::fixed("GROUP", width), Column::fixed("TYPE", 20), Column::fixed("STATE", 20)]);
    table.only_if(with_type, &["TYPE"]);
    table.only_if(with_state, &["STATE"]);
    for it in groups {
        // Apache Kafka's brokers send types in small letters, which its tool shows with a capital.
        let kind = TYPES.into_iter().find(|known| known.eq_ignore_ascii_case(&it.kind)).unwrap_or(&it.kind);
        table.row(vec![it.group.to_string(), kind.to_owned(), it.state.to_string()]);
    }
    // This table alone has no empty line before it.
    table.rows()
}

fn delete(cluster: &Cluster<'_>, groups: &[Str], said: &mut Said) {
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

fn validated(pattern: &str, checked: Result<(), String>) -> String {
    match checked {
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
