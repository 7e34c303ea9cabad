//! The `vivarium` command: a Kafka server, Kafka's tools and the simulator in one binary.

mod cluster;
mod dump_log;
mod ephemeral;
mod explain;
mod export;
mod features;
mod log;
mod metadata_quorum;
mod native;
mod native_client;
mod reassign;
mod serve;
mod simulate;
mod storage_tool;
mod tools;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use client::tools::{CONFIGS, CONSOLE_CONSUMER, CONSOLE_PRODUCER, CONSUMER_GROUPS, LEADER_ELECTION, TOPICS};

/// A Kafka cluster under glass: server, tools and simulator over one deterministic core.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a node of Kafka: broker, controller or both, as process.roles says (both if nothing does)
    Server(serve::ServerArguments),
    /// Start several nodes on this machine, a process each
    Cluster(cluster::ClusterArguments),
    /// Format a log directory, look at one, or make an id
    #[command(subcommand)]
    Storage(storage_tool::StorageCommand),
    /// Create, list, describe, change and delete topics (kafka-topics.sh)
    #[command(disable_help_flag = true)]
    Topics(ToolArguments),
    /// Show and change configurations (kafka-configs.sh)
    #[command(disable_help_flag = true)]
    Configs(ToolArguments),
    /// Send lines of standard input as records (kafka-console-producer.sh)
    #[command(disable_help_flag = true)]
    ConsoleProducer(ToolArguments),
    /// Print records (kafka-console-consumer.sh)
    #[command(disable_help_flag = true)]
    ConsoleConsumer(ToolArguments),
    /// List, describe and delete consumer groups, reset their offsets (kafka-consumer-groups.sh)
    #[command(disable_help_flag = true)]
    ConsumerGroups(ToolArguments),
    /// Describe the metadata quorum, add a voter to it or remove one (kafka-metadata-quorum.sh)
    MetadataQuorum(metadata_quorum::MetadataQuorumArguments),
    /// Elect preferred leaders, or leaders at the cost of records (kafka-leader-election.sh)
    #[command(disable_help_flag = true)]
    LeaderElection(ToolArguments),
    /// Move partitions between brokers and directories (kafka-reassign-partitions.sh)
    ReassignPartitions(reassign::ReassignArguments),
    /// Show and change the levels of features (kafka-features.sh)
    Features(features::FeaturesArguments),
    /// Print what is in log files, indexes and snapshots (kafka-dump-log.sh)
    DumpLog(dump_log::DumpLogArguments),
    /// Decode a request, response or record batch and show every field with its bytes
    Explain(explain::ExplainArguments),
    /// Run simulated clusters: one seed, a swarm of seeds, a benchmark
    #[command(subcommand)]
    Sim(simulate::SimCommand),
    /// Run a scenario file and print its transcript
    Scenario(simulate::ScenarioArguments),
}

/// Flags are those of Kafka's tool of the same name; `--help` lists them.
#[derive(clap::Args)]
struct ToolArguments {
    /// As for Kafka's tool
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Server(arguments) => report(serve::run(arguments)),
        Command::Cluster(arguments) => report(cluster::run(arguments)),
        Command::Storage(command) => storage_tool::run(command),
        Command::Topics(tool) => tools::run(&TOPICS, &tool.arguments),
        Command::Configs(tool) => tools::run(&CONFIGS, &tool.arguments),
        Command::ConsoleProducer(tool) => tools::run(&CONSOLE_PRODUCER, &tool.arguments),
        Command::ConsoleConsumer(tool) => tools::run(&CONSOLE_CONSUMER, &tool.arguments),
        Command::ConsumerGroups(tool) => tools::run(&CONSUMER_GROUPS, &tool.arguments),
        Command::MetadataQuorum(arguments) => print(metadata_quorum::run(arguments)),
        Command::LeaderElection(tool) => tools::run(&LEADER_ELECTION, &tool.arguments),
        Command::ReassignPartitions(arguments) => reassign::run(&arguments),
        Command::Features(arguments) => features::run(&arguments),
        Command::DumpLog(arguments) => report(dump_log::run(&arguments)),
        Command::Explain(arguments) => report(explain::run(&arguments)),
        Command::Sim(command) => simulate::run(command),
        Command::Scenario(arguments) => simulate::scenario(&arguments),
    }
}

/// One line on standard error says what went wrong and what to do.
fn report(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            say(&what);
            ExitCode::FAILURE
        }
    }
}

/// What one of Kafka's tools says: its output, or its own words on standard error.
fn print(result: Result<String, String>) -> ExitCode {
    let written = match &result {
        Ok(text) => std::io::stdout().write_all(text.as_bytes()),
        Err(what) => writeln!(std::io::stderr(), "{what}"),
    };
    if result.is_ok() && written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A line on standard error. Where that goes may be the disk that is full, and a panic would hide the exit code.
fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "vivarium: {what}");
}
