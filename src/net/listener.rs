//! Listening sockets. Every core has one of its own per address, joined by `SO_REUSEPORT`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::Path;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// An address of the `bind` parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindAddress {
    /// The address.
    pub ip: IpAddr,
    /// Written with a leading `-`: may be missing on this host.
    pub optional: bool,
}

impl BindAddress {
    /// Parses `127.0.0.1`, `-::1`, `*` (all IPv4 addresses), `::*` (all IPv6 addresses), a host name.
    ///
    /// # Errors
    /// A text if it is no address.
    pub fn parse(text: &str) -> Result<BindAddress, String> {
        let (optional, host) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let ip = match host {
            "*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            "::*" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            _ => host.parse().or_else(|_| {
                use std::net::ToSocketAddrs;
                let mut found = (host, 0).to_socket_addrs().map_err(|error| format!("{host}: {error}"))?;
                found.next().map(|address| address.ip()).ok_or_else(|| format!("{host}: no address"))
            })?,
        };
        Ok(BindAddress { ip, optional })
    }
}

fn bound(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket =
        Socket::new(Domain::for_address(address), Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

/// One listening TCP socket per core on `address`.
///
/// # Errors
/// Those of `bind` and `listen`; `AddrInUse` also if another process shares its port by `SO_REUSEPORT`.
pub fn tcp(address: SocketAddr, backlog: i32, cores: usize) -> io::Result<Vec<OwnedFd>> {
    // SO_REUSEPORT would silently share the port with another server of the same user.
    drop(bound(address, false)?);
    (0..cores)
        .map(|_| {
            let socket = bound(address, true)?;
            socket.listen(backlog)?;
            Ok(socket.into())
        })
        .collect()
}

/// A listening Unix socket; a file left over from before is replaced.
///
/// # Errors
/// Those of `bind`, `chmod` and `listen`.
pub fn unix(path: &Path, mode: Option<u32>, backlog: i32) -> io::Result<OwnedFd> {
    use std::os::unix::fs::PermissionsExt;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    if let Some(mode) = mode {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    socket.listen(backlog)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_shared_by_reuseport_counts_as_taken() {
        let any = tcp(SocketAddr::from(([127, 0, 0, 1], 0)), 16, 1).unwrap();
        let taken = socket2::SockRef::from(&any[0]).local_addr().unwrap().as_socket().unwrap();
        assert_eq!(tcp(taken, 16, 2).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(any);
        assert_eq!(tcp(taken, 16, 2).unwrap().len(), 2);
    }

    #[test]
    fn bind_addresses_are_read_as_redis_reads_them() {
        let parse = |text| BindAddress::parse(text).unwrap();
        assert_eq!(parse("-::1"), BindAddress { ip: "::1".parse().unwrap(), optional: true });
        assert_eq!(parse("*").ip, IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        assert!(!parse("127.0.0.1").optional);
    }
}
