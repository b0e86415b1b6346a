"""Which network interface gloo and NCCL are to use: the one over which this node and the main node see each other.

Left to themselves, gloo takes the one that the host's own name stands for (often 127.0.0.1: a job that dies after two
minutes in connectFullMesh), NCCL the first of its list.
"""

from __future__ import annotations

from collections.abc import Mapping

from launcher.discovery.network_facts import interface_of, network

__all__ = ["interface_variables"]

GLOO = "GLOO_SOCKET_IFNAME"
NCCL = "NCCL_SOCKET_IFNAME"


def interface_variables(*, address: str, written: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Variables to set on this node.

    address: this node's own end of the connection between it and the main node. written: launch.network.interface,
    which holds as it is; `auto`: only where a library would choose another interface by itself. environment: of the
    job; what a person set there stays.
    """
    if written != "auto":
        chosen = {GLOO: written, NCCL: f"={written}"}
    else:
        interface = interface_of(address)
        defaults = network({})["default"] if interface is not None else {}
        # NCCL takes names as prefixes (eth1 is eth10 too) unless they follow `=`
        named = {"gloo": (GLOO, interface), "nccl": (NCCL, f"={interface}")}
        chosen = {
            named[library][0]: str(named[library][1])
            for library, default in defaults.items()
            if default != interface and not (library == "nccl" and str(default).startswith("ib"))
        }
    return {name: text for name, text in chosen.items() if name not in environment}
