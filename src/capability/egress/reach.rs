//! What one tool may reach: hosts it is confined to, and private places the operator opened for it.

use std::net::IpAddr;

use reqwest::Url;

use super::EgressError;
use super::address::{Network, class};

/// What one tool may reach. The default is the whole public internet and nothing private.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reach {
    only: Option<Vec<Host>>,
    trusted: Vec<Host>,
    networks: Vec<Network>,
}

/// How a checked URL may be connected to. Connections are shared only between equal passages.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Passage {
    /// To wherever the name leads: the operator trusts it by name.
    Anywhere,
    /// To public addresses, and to these networks.
    Public(Vec<Network>),
}

impl Passage {
    /// The class of an address that may not be connected to.
    pub(super) fn bars(&self, address: IpAddr) -> Option<&'static str> {
        match self {
            Self::Anywhere => None,
            Self::Public(networks) if networks.iter().any(|network| network.contains(address)) => None,
            Self::Public(_) => class(address),
        }
    }
}

impl Reach {
    /// Confines a tool to the hosts `only` (`example.org`, `*.example.org`, each with or without `:port`), if
    /// there are any, and opens what is private in `private`: `host`, `host:port`, an address or a network
    /// (`10.0.0.0/8`). A trusted host may lead to any address.
    ///
    /// # Errors
    /// A sentence that names the entry that is none of these.
    pub fn new(only: Option<&[String]>, private: &[String]) -> Result<Self, String> {
        let mut reach = Self::default();
        if let Some(only) = only {
            reach.only = Some(only.iter().map(|entry| Host::parse(entry)).collect::<Result<_, _>>()?);
        }
        for entry in private {
            match entry.trim_matches(['[', ']']).parse() {
                Ok(network) => reach.networks.push(network),
                Err(()) => reach.trusted.push(Host::parse(entry)?),
            }
        }
        Ok(reach)
    }

    /// Whether a URL may be asked for, as far as can be told without resolving its host.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, url: &Url) -> Result<(), EgressError> {
        self.passage(url).map(drop)
    }

    /// How a URL may be connected to, if it may.
    pub(super) fn passage(&self, url: &Url) -> Result<Passage, EgressError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(EgressError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EgressError::Credentials);
        }
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default();
        if self.only.as_ref().is_some_and(|only| !only.iter().any(|one| one.names(host, port))) {
            return Err(EgressError::NotListed(host.into()));
        }
        let passage = if self.trusted.iter().any(|one| one.names(host, port)) {
            Passage::Anywhere
        } else {
            Passage::Public(self.networks.clone())
        };
        // A literal address never reaches the resolver, where names are checked.
        let literal = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        match literal.and_then(|address| passage.bars(address)) {
            Some(class) => Err(EgressError::Barred { host: host.into(), class }),
            None => Ok(passage),
        }
    }
}

/// A host, as a URL would write it, perhaps with all its subdomains, perhaps at one port only.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Host {
    name: String,
    below: bool,
    port: Option<u16>,
}

impl Host {
    fn parse(entry: &str) -> Result<Self, String> {
        let bad = || format!("`{entry}` is no host, `host:port` or network");
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, Some(port.parse::<u16>().map_err(|_| bad())?))
            }
            Some(_) | None => (entry, None),
        };
        let (below, host) = host.strip_prefix("*.").map_or((false, host), |host| (true, host));
        if host.contains(['/', '@', '?', '#', '\\', '*']) {
            return Err(bad());
        }
        let url = Url::parse(&format!("http://{host}/")).map_err(|_| bad())?;
        let name = url.host_str().ok_or_else(bad)?;
        Ok(Self { name: name.into(), below, port })
    }

    fn names(&self, host: &str, port: Option<u16>) -> bool {
        let same = if self.below {
            host.strip_suffix(&self.name).is_some_and(|above| above.ends_with('.'))
        } else {
            host == self.name
        };
        same && self.port.is_none_or(|own| Some(own) == port)
    }
}
