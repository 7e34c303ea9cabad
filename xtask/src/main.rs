//! `cargo xtask`: set-up, build, tests, benchmarks, code generation. One file a command; `cargo xtask help` lists them.

mod ahead;
mod apt;
mod args;
mod axe;
mod bench;
mod browser;
mod bundle;
mod clients;
mod codegen;
mod conformance;
mod docs;
mod failures;
mod lab;
mod librdkafka;
mod minify;
mod oracle;
mod paths;
mod process;
mod purity;
mod site;
mod size;
mod soak;
mod test;
mod wasm;

use std::process::ExitCode;

const HELP: &str = "\
Vivarium's tasks. Each sets up what it lacks, and says what it installs.

    cargo xtask lab [--port 8080] [--kafka-port 9092] [--no-open]
                              build, serve the lab in the browser and run a broker for Kafka clients
    cargo xtask test [STAGE…] every check that CI runs; stages: fmt clippy purity native clients wasm bundle e2e
    cargo xtask soak [PART…] [--seeds 10000] [--from 0] [--fuzz-seconds 120] [--minutes 10]
                              the long forms of the tests, groups in trouble, seeds by the thousands, fuzzing;
                              parts: tests walk groups swarm cluster-swarm fuzz
    cargo xtask build         the page into web/dist, the `vivarium` binary into target/release
    cargo xtask size          what the page weighs, against its goal and limit
    cargo xtask bench [PART…] speed, beside Apache Kafka on the same machine; parts: lab wasm start produce consume latency
                              groups cluster …
    cargo xtask conformance [librdkafka|librdkafka-consumer|kafka-python|cluster-tools] [--on vivarium|apache-kafka] [--nodes 1|3] [--jobs 4]
                              [--timeout 300] [--port 0 | --broker HOST:PORT] [--record] [TEST…]
                              test suites that others wrote, held against what tests/conformance expects
    cargo xtask oracle        fetch and start Apache Kafka, the reference for behaviour
    cargo xtask docs          write the pages anew that are made from code
    cargo xtask codegen       write the codecs anew from Kafka's published message definitions

Downloads and tools that are built once live in $XDG_CACHE_HOME/vivarium (~/.cache/vivarium), never in this folder.
";

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let command = if args.is_empty() { "help".to_owned() } else { args.remove(0) };
    if args.iter().any(|it| it == "--help" || it == "-h") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let done = match command.as_str() {
        "lab" => lab::run(&args),
        "test" => test::run(&args),
        "soak" => soak::run(&args),
        "build" => bundle::run(&args),
        "size" => size::run(&args),
        "bench" => bench::run(&args),
        "conformance" => conformance::run(&args),
        "oracle" => oracle::run(&args),
        "docs" => docs::run(&args),
        "codegen" => codegen::run(&args).map_err(anyhow::Error::msg),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        unknown => Err(anyhow::anyhow!("there is no `cargo xtask {unknown}`; `cargo xtask help` lists what there is")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
