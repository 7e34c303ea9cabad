//! The `vivarium` command: a Kafka server, Kafka's tools and the simulator in one binary.

mod ephemeral;
mod explain;
mod serve;
mod storage_tool;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A Kafka cluster under glass: server, tools and simulator over one deterministic core.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a Kafka server (one node: broker and controller)
    Server(serve::ServerArguments),
    /// Format a log directory, look at one, or make an id
    #[command(subcommand)]
    Storage(storage_tool::StorageCommand),
    /// Decode a request, response or record batch and show every field with its bytes
    Explain(explain::ExplainArguments),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Server(arguments) => report(serve::run(arguments)),
        Command::Storage(command) => report(storage_tool::run(command)),
        Command::Explain(arguments) => report(explain::run(&arguments)),
    }
}

/// One line on standard error says what went wrong and what to do.
fn report(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("vivarium: {what}");
            ExitCode::FAILURE
        }
    }
}
