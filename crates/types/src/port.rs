//! Published ports as the user types them.

use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr, str::FromStr};

/// A transport protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

impl FromStr for Protocol {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.to_ascii_lowercase().as_str() {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            "sctp" => Ok(Self::Sctp),
            _ => Err(()),
        }
    }
}

/// One port of the host led to one port of a container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PortMapping {
    /// The host's address to publish on; `None` is every address, IPv4 and IPv6.
    pub host_ip: Option<IpAddr>,
    /// The host's port; 0 lets the engine choose a free one.
    pub host_port: u16,
    /// The container's port, not 0.
    pub container_port: u16,
    /// The transport.
    pub protocol: Protocol,
}

impl PortMapping {
    /// Parses `[IP:]HOST:CTR[/proto]`, `CTR[/proto]` and ranges `8000-8002:80-82`, which give one mapping a port.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] with the part that is wrong.
    pub fn parse(text: &str) -> Result<Vec<Self>> {
        let invalid = |why: String| {
            Error::new(ErrorKind::InvalidInput, format!("invalid published port {text:?}"))
                .because(why)
                .hint("-p [IP:]HOST:CONTAINER[/tcp|udp|sctp], as in -p 8080:80 or -p 127.0.0.1:5353:53/udp")
        };
        let (ports, protocol) = match text.split_once('/') {
            Some((ports, protocol)) => {
                (ports, protocol.parse().map_err(|()| invalid(format!("unknown protocol {protocol:?}")))?)
            }
            None => (text, Protocol::Tcp),
        };
        let (rest, container) = match ports.rsplit_once(':') {
            Some((rest, container)) => (Some(rest), container),
            None => (None, ports),
        };
        let (host_ip, host) = match rest {
            None => (None, None),
            Some(rest) => match rest.rsplit_once(':') {
                Some((ip, host)) => (Some(ip), Some(host)),
                None => (None, Some(rest)),
            },
        };
        let host_ip = match host_ip {
            None | Some("") => None,
            Some(ip) => {
                let bare = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip);
                Some(bare.parse::<IpAddr>().map_err(|_| invalid(format!("{ip:?} is not an IP address")))?)
            }
        };
        // 0.0.0.0 and :: mean what leaving the address out means, each for its own family only when typed.
        let container = parse_range(container).map_err(&invalid)?;
        let host = match host {
            None | Some("") => (0, 0),
            Some(host) => parse_range(host).map_err(&invalid)?,
        };
        let count = container.1 - container.0;
        if host != (0, 0) && host.1 - host.0 != count {
            return Err(invalid("the two ranges differ in length".into()));
        }
        Ok((0..=count)
            .map(|n| Self {
                host_ip,
                host_port: if host == (0, 0) { 0 } else { host.0 + n },
                container_port: container.0 + n,
                protocol,
            })
            .collect())
    }
}

fn parse_range(text: &str) -> Result<(u16, u16), String> {
    let port = |text: &str| match text.parse::<u16>() {
        Ok(port) if port > 0 && text.bytes().all(|b| b.is_ascii_digit()) => Ok(port),
        _ => Err(format!("{text:?} is not a port (1 to 65535)")),
    };
    match text.split_once('-') {
        None => port(text).map(|p| (p, p)),
        Some((from, to)) => {
            let (from, to) = (port(from)?, port(to)?);
            if from > to { Err(format!("the range {text} runs backwards")) } else { Ok((from, to)) }
        }
    }
}

impl fmt::Display for PortMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host_ip {
            Some(IpAddr::V6(ip)) => write!(f, "[{ip}]:")?,
            Some(IpAddr::V4(ip)) => write!(f, "{ip}:")?,
            None => {}
        }
        write!(f, "{}->{}/{}", self.host_port, self.container_port, self.protocol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> PortMapping {
        PortMapping::parse(text).unwrap().remove(0)
    }

    #[test]
    fn forms() {
        assert_eq!(one("8080:80").to_string(), "8080->80/tcp");
        assert_eq!(one("80").host_port, 0);
        assert_eq!(one("127.0.0.1:53:5353/udp").to_string(), "127.0.0.1:53->5353/udp");
        assert_eq!(one("[::1]:80:80").to_string(), "[::1]:80->80/tcp");
        assert_eq!(one("127.0.0.1::80").host_port, 0);
        assert_eq!(PortMapping::parse("8000-8002:80-82").unwrap().len(), 3);
    }

    #[test]
    fn refused() {
        for bad in
            ["", "0:80", "80:0", "a:80", "1.2.3:80:80", "80:80/icmp", "1-2:80", "9-8:8-9", "70000:80", "+1:2"]
        {
            let error = PortMapping::parse(bad).unwrap_err();
            assert!(error.to_string().starts_with("invalid published port"), "{bad}");
        }
    }
}
