//! Links, addresses and routes, over rtnetlink.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags};
use rtnetlink::packet_route::link::{InfoData, InfoVeth};
use rtnetlink::packet_route::route::{RouteMessage, RouteScope};
use rtnetlink::{
    Handle, LinkBridge, LinkBridgePort, LinkMessageBuilder, LinkUnspec, LinkVeth,
    RouteMessageBuilder,
};

use crate::namespace::Namespace;
use crate::wait::wait_until;

/// A hardware address.
pub(crate) type Mac = [u8; 6];

/// An address or destination with its prefix length.
pub(crate) type Prefix = (IpAddr, u8);

/// One end of a veth pair.
pub(crate) struct End<'a> {
    pub name: &'a str,
    pub mac: Mac,
}

/// Does `work` with an rtnetlink handle opened inside `namespace`.
pub(crate) fn netlink<T: Send>(
    namespace: &Namespace,
    work: impl AsyncFnOnce(Handle) -> io::Result<T> + Send,
) -> io::Result<T> {
    namespace.run(|| netlink_here(work))
}

/// Does `work` with an rtnetlink handle opened in the calling thread's namespace.
pub(crate) fn netlink_here<T>(work: impl AsyncFnOnce(Handle) -> io::Result<T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let (connection, handle, _messages) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        work(handle).await
    })
}

/// Makes a veth pair, one end here and the other in `there`, both down.
pub(crate) async fn add_veth(
    handle: &Handle,
    here: End<'_>,
    there: End<'_>,
    peer: &Namespace,
) -> io::Result<()> {
    let far = LinkMessageBuilder::<LinkUnspec>::new()
        .name(there.name)
        .address(there.mac.to_vec())
        .setns_by_fd(peer.as_fd().as_raw_fd())
        .build();
    let pair = LinkVeth::new(here.name, there.name)
        .address(here.mac.to_vec())
        .set_info_data(InfoData::Veth(InfoVeth::Peer(far)))
        .build();
    let tried = format!("add veth {} with peer {}", here.name, there.name);
    handle
        .link()
        .add(pair)
        .execute()
        .await
        .map_err(failed(&tried))
}

/// Makes a bridge and sets it up.
pub(crate) async fn add_bridge(handle: &Handle, name: &str, mac: Mac) -> io::Result<()> {
    let bridge = LinkBridge::new(name).address(mac.to_vec()).up().build();
    handle
        .link()
        .add(bridge)
        .execute()
        .await
        .map_err(failed(&format!("add bridge {name}")))
}

/// Makes the link `name` a port of `bridge`.
pub(crate) async fn add_port(
    handle: &Handle,
    bridge: &str,
    name: &str,
    hairpin: bool,
) -> io::Result<()> {
    let tried = format!("add port {name} to bridge {bridge}");
    let port = LinkUnspec::new_with_index(index(name)?)
        .controller(index(bridge)?)
        .build();
    handle
        .link()
        .set(port)
        .execute()
        .await
        .map_err(failed(&tried))?;
    let mode = LinkBridgePort::new(index(name)?).hairpin(hairpin).build();
    handle
        .link()
        .set_port(mode)
        .execute()
        .await
        .map_err(failed(&format!("set hairpin of {name}")))
}

/// Sets a link up.
pub(crate) async fn set_up(handle: &Handle, name: &str) -> io::Result<()> {
    let link = LinkUnspec::new_with_index(index(name)?).up().build();
    handle
        .link()
        .set(link)
        .execute()
        .await
        .map_err(failed(&format!("set {name} up")))
}

/// Adds an address that is usable at once (no duplicate address detection). Without `connected`
/// the kernel makes no route to the prefix, as on point-to-point links.
pub(crate) async fn add_address(
    handle: &Handle,
    name: &str,
    address: Prefix,
    connected: bool,
) -> io::Result<()> {
    let (ip, length) = address;
    let mut flags = AddressFlags::empty();
    if ip.is_ipv6() {
        flags |= AddressFlags::Nodad;
    }
    if !connected {
        flags |= AddressFlags::Noprefixroute;
    }
    let mut request = handle.address().add(index(name)?, ip, length);
    request
        .message_mut()
        .attributes
        .push(AddressAttribute::Flags(flags));
    request
        .execute()
        .await
        .map_err(failed(&format!("add address {ip}/{length} to {name}")))
}

/// Adds a route out of the link `name`, through `via` or straight onto the link.
pub(crate) async fn add_route(
    handle: &Handle,
    name: &str,
    to: Prefix,
    via: Option<IpAddr>,
) -> io::Result<()> {
    let tried = format!("add route {}/{} via {via:?} dev {name}", to.0, to.1);
    let route =
        route(index(name)?, to, via).map_err(|e| io::Error::other(format!("{tried}: {e}")))?;
    handle
        .route()
        .add(route)
        .execute()
        .await
        .map_err(failed(&tried))
}

fn route(
    link: u32,
    to: Prefix,
    via: Option<IpAddr>,
) -> Result<RouteMessage, Box<dyn std::error::Error>> {
    let mut builder = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(to.0, to.1)?
        .output_interface(link);
    if let Some(via) = via {
        builder = builder.gateway(via)?;
    } else if to.0.is_ipv4() {
        builder = builder.scope(RouteScope::Link);
    }
    Ok(builder.build())
}

/// Waits until every link here is ready for use: the kernel sees carriers and makes the local routes of
/// IPv6 addresses in work queues (`linkwatch_event`, `addrconf_dad_work`).
pub(crate) fn wait_until_ready(namespace: &Namespace) -> io::Result<()> {
    let carries = |link: &InterfaceAddress| {
        !link.flags.contains(InterfaceFlags::IFF_UP)
            || link.flags.contains(InterfaceFlags::IFF_RUNNING)
    };
    let ready = || {
        getifaddrs().is_ok_and(|mut links| links.all(|link| carries(&link)))
            && has_local_routes().unwrap_or(false)
    };
    if !namespace.run(|| wait_until(Duration::from_secs(30), ready)) {
        return Err(io::Error::other(
            "a link has no carrier or an IPv6 address no route after 30 s",
        ));
    }
    // That work holds the lock which this request needs, so when it is answered the work is done.
    netlink(namespace, async |handle| set_up(&handle, "lo").await)
}

/// Whether every IPv6 address of this namespace has its local route. The first two columns of `if_inet6`
/// are address and index, the first two of `ipv6_route` destination and prefix length, all hexadecimal.
fn has_local_routes() -> io::Result<bool> {
    let addresses = fs::read_to_string("/proc/thread-self/net/if_inet6")?;
    let routes = fs::read_to_string("/proc/thread-self/net/ipv6_route")?;
    let has_route = |address: &str| {
        let local = format!("{address} 80 ");
        routes.lines().any(|route| route.starts_with(&local))
    };
    let mut addresses = addresses.lines().filter_map(|line| line.split(' ').next());
    Ok(addresses.all(has_route))
}

fn index(name: &str) -> io::Result<u32> {
    if_nametoindex(name).map_err(|e| io::Error::other(format!("find link {name}: {e}")))
}

fn failed(tried: &str) -> impl Fn(rtnetlink::Error) -> io::Error {
    move |e| io::Error::other(format!("{tried}: {e}"))
}
