//! The name by which others reach this machine.

use std::io;
use std::net::ToSocketAddrs;

use node::config::Config;
use protocol::Str;

use crate::start::StartError;

/// Advertises this machine's own name for listeners that are bound to every address, where nothing else was said, as Apache
/// Kafka does. A name without an address would lead nobody here: a node that is alone is reached from this machine all the
/// same, one of several is not.
pub(crate) fn advertise(config: &mut Config) -> Result<(), StartError> {
    if config.wild_listeners.is_empty() {
        return Ok(());
    }
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    match address_of(&host) {
        Ok(()) => {
            tracing::info!(listeners = config.wild_listeners.join(","), host, "reached by the name of this machine");
            config.reached_by(&Str::from(host));
        }
        Err(error) if config.is_alone() => {
            tracing::warn!(host, %error, "the name of this machine has no address; others are told localhost, see advertised.listeners");
        }
        Err(error) => return Err(StartError::Nameless(host, config.wild_listeners.clone(), error)),
    }
    Ok(())
}

fn address_of(host: &str) -> io::Result<()> {
    let mut addresses = (host, 0).to_socket_addrs()?;
    addresses.next().map(drop).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no address"))
}

#[cfg(test)]
mod tests {
    use ordered::Map;

    use super::*;

    #[test]
    fn who_says_nothing_is_reached_by_the_name_of_the_machine() {
        let config = |listeners: &str| {
            let settings = [("listeners", listeners), ("controller.quorum.bootstrap.servers", "other.example:9093")];
            let named =
                [("process.roles", "broker,controller"), ("node.id", "1"), ("controller.listener.names", "CONTROLLER")];
            let all = settings.into_iter().chain(named).map(|(key, value)| (key.to_owned(), value.to_owned()));
            Config::parse(&all.collect::<Map<_, _>>()).expect("valid").0
        };
        let hosts = |config: &Config| config.advertised_listeners.iter().map(|it| it.host.clone()).collect::<Vec<_>>();
        let mut said = config("PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.2:0");
        advertise(&mut said).expect("nothing to find out");
        assert_eq!(hosts(&said), ["127.0.0.1", "127.0.0.2"]);
        let mut unsaid = config("PLAINTEXT://127.0.0.1:0,CONTROLLER://:0");
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        match advertise(&mut unsaid) {
            Ok(()) => assert_eq!(hosts(&unsaid), ["127.0.0.1", name.as_str()]),
            Err(error) => assert!(error.to_string().starts_with("CONTROLLER listens on every address"), "{error}"),
        }
        assert!(address_of("no such name").is_err());
    }
}
