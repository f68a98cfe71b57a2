//! Addresses in one spelling.
//!
//! Guarantees: two addresses with the same host and port come out equal, and what comes out is
//! its own spelling.

use std::net::{Ipv6Addr, SocketAddrV6};

use super::{DEFAULT_RAFT_PORT, Rule};

/// `host:port`, from a host name, an IPv4 address or an IPv6 address (in brackets where a port
/// follows), with or without a port.
pub(super) fn normalise(address: &str) -> Result<String, Vec<Rule>> {
    if let Ok(ip) = address.parse::<Ipv6Addr>() {
        return Ok(SocketAddrV6::new(ip, DEFAULT_RAFT_PORT, 0, 0).to_string());
    }
    parse(address, Ok(DEFAULT_RAFT_PORT))
}

/// The same, with a port.
pub(super) fn with_port(address: &str) -> Result<String, Vec<Rule>> {
    parse(address, Err(Rule::Port))
}

fn parse(address: &str, default: Result<u16, Rule>) -> Result<String, Vec<Rule>> {
    let (host, port) = match address.rsplit_once(':') {
        // A colon within the brackets starts no port.
        Some((host, port)) if !address.ends_with(']') => (host, Some(port)),
        _ => (address, None),
    };
    match (parse_host(host), port.map_or(default, parse_port)) {
        (Ok(host), Ok(port)) => Ok(format!("{host}:{port}")),
        (host, port) => Err([host.err(), port.err()].into_iter().flatten().collect()),
    }
}

fn parse_host(host: &str) -> Result<String, Rule> {
    if host.is_empty() {
        return Err(Rule::NotEmpty);
    }
    if let Some(ip) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return ip.parse::<Ipv6Addr>().map(|ip| format!("[{ip}]")).map_err(|_| Rule::Host);
    }
    // Names are the resolver's to judge; these could not have been meant as one.
    let misplaced = |c: char| c.is_whitespace() || c.is_control() || "[]:/".contains(c);
    if host.contains(misplaced) {
        return Err(Rule::Host);
    }
    Ok(host.to_ascii_lowercase())
}

fn parse_port(port: &str) -> Result<u16, Rule> {
    // `u16::from_str` takes a leading plus.
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    port.parse().ok().filter(|port| digits && *port != 0).ok_or(Rule::Port)
}
