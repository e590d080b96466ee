"""Where a visitor's requests come from, as far as limits tell visitors apart by it."""

from ipaddress import IPv6Address, ip_address, ip_network


def network_address(host: str | None) -> str | None:
    """What counts as one network address; None for this machine, and where nothing is known.

    Of IPv6 it is the first 64 bits: the rest is for each household to choose, as often as it likes.
    """
    if not host:
        return None
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if address.is_loopback:
        return None
    if isinstance(address, IPv6Address):
        return str(ip_network((address, 64), strict=False))
    return str(address)
