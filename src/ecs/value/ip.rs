//! Addresses and networks as 128-bit numbers; IPv4 is the same as IPv4-mapped IPv6.

// `core`, which has addresses but no sockets: this layer does no I/O.
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address.
pub fn parse(text: &str) -> Option<u128> {
    let address: IpAddr = text.parse().ok()?;
    Some(match address {
        IpAddr::V4(v4) => u128::from(v4.to_ipv6_mapped()),
        IpAddr::V6(v6) => u128::from(v6),
    })
}

/// A network in CIDR notation, as its first and last address. Bits below the prefix are ignored.
pub fn network(text: &str) -> Option<(u128, u128)> {
    let (address, prefix) = text.split_once('/')?;
    if prefix.is_empty() || !prefix.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let prefix: u32 = prefix.parse().ok()?;
    let (address, prefix) = if let Ok(v4) = address.parse::<Ipv4Addr>() {
        (u128::from(v4.to_ipv6_mapped()), (prefix <= 32).then_some(prefix + 96)?)
    } else {
        (u128::from(address.parse::<Ipv6Addr>().ok()?), (prefix <= 128).then_some(prefix)?)
    };
    let hosts = u128::MAX.checked_shr(prefix).unwrap_or(0);
    Some((address & !hosts, address | hosts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_networks() {
        assert_eq!(parse("1.2.3.4"), parse("::ffff:1.2.3.4"));
        assert_eq!(parse("01.2.3.4"), None);
        assert_eq!(parse("s3.amazonaws.com"), None);
        let (first, last) = network("10.1.2.3/8").unwrap();
        assert_eq!((Some(first), Some(last)), (parse("10.0.0.0"), parse("10.255.255.255")));
        assert_eq!(network("::/0"), Some((0, u128::MAX)));
        assert_eq!(network("1.2.3.4/33"), None);
        assert_eq!(network("2001:db8::/32").map(|n| n.0), parse("2001:db8::"));
    }
}
