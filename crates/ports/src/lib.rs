//! Ports that are known before anybody listens on them: voters name each other's before the first of them runs.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket, sockopt};

/// A port of 127.0.0.1 that no one is given who asks for any, and no connection begins at, while this value lives. Who knows its
/// number can listen there, as often as they like; until then it refuses, as any closed port does.
#[derive(Debug)]
pub struct ReservedPort {
    number: u16,
    /// Bound and never listening. Linux lets others bind the same address if both allow reuse, as every listener of the standard
    /// library, of mio and of Java does. Elsewhere that is refused, and the port is only one that was free a moment ago.
    _socket: Option<OwnedFd>,
}

impl ReservedPort {
    /// Any free one.
    pub fn any() -> io::Result<ReservedPort> {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        // It is this process that reserves, not those that it starts.
        fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
        let number = SocketAddrV4::try_from(getsockname(&socket)?)?.port();
        Ok(ReservedPort { number, _socket: cfg!(target_os = "linux").then_some(socket) })
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_reserved_port_is_taken_until_somebody_listens_there_who_knows_it() {
        let port = ReservedPort::any().unwrap();
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port.number());
        // Who looks for any free one is as strict as who allows no reuse.
        let strict = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        assert_eq!(bind(&strict, &address), Err(rustix::io::Errno::ADDRINUSE));
        for _ in 0..2 {
            assert_eq!(TcpStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
            let listener = TcpListener::bind(address).unwrap();
            assert!(TcpStream::connect(address).is_ok());
            drop(listener);
        }
        drop(port);
        bind(&strict, &address).unwrap();
    }
}
