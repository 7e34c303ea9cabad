//! A scenario's broker or controller as a process of its own, behind doors.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ports::ReservedPort;
use protocol::{Str, Uuid};
use rustix::process::{Pid, Signal, kill_process};
use sim::setup::BrokerSetup;
use storage::meta::MetaProperties;

use super::link::{Door, Links};

/// Who votes.
pub(crate) enum Quorum {
    /// These, as `id@host:port`.
    Static(Vec<String>),
    /// Whom the log names: at first these.
    Dynamic {
        /// The cluster's id.
        cluster_id: Uuid,
        /// Who votes first.
        first: Vec<Founder>,
    },
}

/// Who votes from the beginning.
pub(crate) struct Founder {
    pub(crate) id: i32,
    pub(crate) address: String,
    pub(crate) directory: Uuid,
}

/// A node of the scenario.
pub(crate) struct Machine {
    pub(crate) name: Str,
    pub(crate) id: i32,
    pub(crate) is_broker: bool,
    pub(crate) is_controller: bool,
    /// Its own ports: for brokers and clients, and for controllers. Only this process goes there directly, to look.
    pub(crate) client_port: ReservedPort,
    pub(crate) controller_port: ReservedPort,
    pub(crate) client_door: Door,
    pub(crate) controller_door: Door,
    pub(crate) dir: PathBuf,
    settings: Vec<String>,
    /// Of a cluster whose log says who votes, where directories are formatted by hand.
    cluster_id: Option<Uuid>,
    child: Option<Child>,
    is_ready: Arc<AtomicBool>,
}

impl Machine {
    pub(crate) fn new(setup: &BrokerSetup, id: i32, folder: &std::path::Path) -> std::io::Result<Machine> {
        let (client_port, controller_port) = (ReservedPort::any()?, ReservedPort::any()?);
        Ok(Machine {
            name: setup.name.clone(),
            id,
            is_broker: setup.is_broker(),
            is_controller: setup.is_controller(),
            client_door: Door::new(setup.name.clone(), client_port.number())?,
            controller_door: Door::new(setup.name.clone(), controller_port.number())?,
            client_port,
            controller_port,
            dir: folder.join(&*setup.name),
            settings: setup.settings.iter().map(|(key, value)| format!("{key}={value}")).collect(),
            cluster_id: None,
            child: None,
            is_ready: Arc::default(),
        })
    }

    /// Where others reach it as a controller.
    pub(crate) fn controller_address(&self) -> String {
        format!("127.0.0.1:{}", self.controller_door.port())
    }

    /// The voters are those that the others reach.
    pub(crate) fn configure(&mut self, quorum: &Quorum) -> Result<(), String> {
        let (mut own, mut advertised) = (Vec::new(), Vec::new());
        if self.is_broker {
            own.push(format!("PLAINTEXT://127.0.0.1:{}", self.client_port.number()));
            advertised.push(format!("PLAINTEXT://127.0.0.1:{}", self.client_door.port()));
        }
        if self.is_controller {
            own.push(format!("CONTROLLER://127.0.0.1:{}", self.controller_port.number()));
            advertised.push(format!("CONTROLLER://127.0.0.1:{}", self.controller_door.port()));
        }
        let given = std::mem::take(&mut self.settings);
        self.settings = vec![
            "process.roles=broker,controller".to_owned(),
            format!("node.id={}", self.id),
            format!("listeners={}", own.join(",")),
            format!("advertised.listeners={}", advertised.join(",")),
            "controller.listener.names=CONTROLLER".to_owned(),
            match quorum {
                Quorum::Static(voters) => format!("controller.quorum.voters={}", voters.join(",")),
                Quorum::Dynamic { first, .. } => {
                    let servers: Vec<&str> = first.iter().map(|it| it.address.as_str()).collect();
                    format!("controller.quorum.bootstrap.servers={}", servers.join(","))
                }
            },
            format!("log.dirs={}", self.dir.display()),
        ];
        self.settings.extend(given);
        let Quorum::Dynamic { cluster_id, first } = quorum else { return Ok(()) };
        self.cluster_id = Some(*cluster_id);
        if !first.iter().any(|it| it.id == self.id) {
            return self.format(&["--no-initial-controllers"]);
        }
        let all = first.iter().map(|it| format!("{}@{}:{}", it.id, it.address, it.directory));
        self.format(&["--initial-controllers", &all.collect::<Vec<_>>().join(",")])
    }

    /// Formats its directory, as people do.
    fn format(&self, how: &[&str]) -> Result<(), String> {
        let Some(cluster_id) = self.cluster_id else { return Ok(()) };
        let fail = |error: std::io::Error| format!("{} cannot be formatted: {error}", self.name);
        let file = self.dir.with_extension("properties");
        fs::write(&file, self.settings.join("\n")).map_err(fail)?;
        let mut command = Command::new(std::env::current_exe().map_err(fail)?);
        command.args(["storage", "format", "--cluster-id", &cluster_id.to_string(), "--config"]).arg(&file).args(how);
        let done = command.stdin(Stdio::null()).output().map_err(fail)?;
        if done.status.success() {
            return Ok(());
        }
        Err(format!("{} cannot be formatted: {}", self.name, String::from_utf8_lossy(&done.stderr).trim()))
    }

    /// Its number as a voter, and the id of its directory.
    pub(crate) fn voter(&self) -> Result<(i32, Uuid), String> {
        let file = self.dir.join("meta.properties");
        let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let meta = MetaProperties::parse(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        Ok((self.id, meta.directory_id))
    }

    pub(crate) fn start(&mut self, links: &Arc<Links>) -> Result<(), String> {
        if self.child.is_some() {
            return Err(format!("{} runs already", self.name));
        }
        let fail = |error: std::io::Error| format!("{} cannot be started: {error}", self.name);
        fs::create_dir_all(&self.dir).map_err(fail)?;
        let mut command = Command::new(std::env::current_exe().map_err(fail)?);
        command.arg("server");
        for setting in &self.settings {
            command.args(["--set", setting]);
        }
        // It ends with this process, and stops in good order when its input ends.
        command.arg("--stop-at-end-of-input").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut errors = self.dir.clone().into_os_string();
        errors.push(".err");
        command.stderr(File::options().create(true).append(true).open(errors).map_err(fail)?);
        let mut child = command.spawn().map_err(fail)?;
        self.is_ready = Arc::default();
        if let Some(out) = child.stdout.take() {
            let is_ready = self.is_ready.clone();
            thread::spawn(move || {
                for line in BufReader::new(out).lines().map_while(Result::ok) {
                    if line.starts_with("ready ") {
                        is_ready.store(true, Ordering::SeqCst);
                    }
                }
            });
        }
        self.child = Some(child);
        let opened = self.doors().try_for_each(|door| door.open(links));
        opened.map_err(|error| format!("the doors of {} cannot be opened: {error}", self.name))
    }

    fn doors(&mut self) -> impl Iterator<Item = &mut Door> {
        let client = self.is_broker.then_some(&mut self.client_door);
        client.into_iter().chain(self.is_controller.then_some(&mut self.controller_door))
    }

    pub(crate) fn is_up(&self) -> bool {
        self.child.is_some()
    }

    pub(crate) fn is_serving(&self) -> bool {
        self.is_up() && self.is_ready.load(Ordering::SeqCst)
    }

    /// Notices that it has ended by itself.
    pub(crate) fn reap(&mut self) {
        if matches!(self.child.as_mut().map(Child::try_wait), Some(Ok(Some(_)))) {
            self.ended();
        }
    }

    fn ended(&mut self) {
        self.child = None;
        self.doors().for_each(Door::close);
    }

    pub(crate) fn kill(&mut self) -> Result<(), String> {
        let child = self.child.as_mut().ok_or(format!("{} does not run", self.name))?;
        let killed = child.kill().and_then(|()| child.wait());
        killed.map_err(|error| format!("{} cannot be killed: {error}", self.name))?;
        self.ended();
        Ok(())
    }

    /// Asks for a controlled shutdown.
    pub(crate) fn stop(&mut self) -> Result<(), String> {
        let child = self.child.as_mut().ok_or(format!("{} does not run", self.name))?;
        drop(child.stdin.take());
        Ok(())
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<(), String> {
        let child = self.child.as_ref().ok_or(format!("{} does not run", self.name))?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or("a process has an id")?;
        kill_process(pid, signal).map_err(|error| format!("{}: {error}", self.name))
    }

    /// All that it had is gone but who it is, as in the simulator: under another directory id it would be somebody else, and no
    /// replica of its would be there.
    pub(crate) fn wipe(&mut self) -> Result<(), String> {
        if self.is_up() {
            return Err(format!("{} runs: its disk cannot be taken out", self.name));
        }
        let fail = |error: std::io::Error| format!("{}: {error}", self.dir.display());
        if self.cluster_id.is_some() {
            // To those who vote by their directories it is somebody else.
            fs::remove_dir_all(&self.dir).map_err(fail)?;
            return self.format(&["--no-initial-controllers"]);
        }
        let identity = self.dir.join("meta.properties");
        let kept = fs::read(&identity).map_err(fail)?;
        fs::remove_dir_all(&self.dir).map_err(fail)?;
        fs::create_dir(&self.dir).and_then(|()| fs::write(&identity, kept)).map_err(fail)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // A paused process dies of this as well; there is nobody left to tell of an error.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
