# SPDX-License-Identifier: GPL-3.0-or-later
"""Kamailio's configuration: `routing.cfg` with the settings filled in. Pure."""

import hashlib
import string
from collections.abc import Iterable, Iterator
from importlib.resources import files
from ipaddress import ip_network
from typing import TypeVar

from gateway.config import Config
from gateway.edge.config import EdgeConfig, RelayConfig
from gateway.trunks.config import TrunkConfig
from gateway.trunks.selection import host_and_port, hosts

T = TypeVar("T")

MODULES = "/usr/lib/x86_64-linux-gnu/kamailio/modules/:/usr/lib/aarch64-linux-gnu/kamailio/modules/"
"""Where Debian has them."""
_SIP, _SIPS = 5060, 5061
_REGION_CODES = string.digits[1:] + string.ascii_lowercase
_NO_REGION = "0"
_OFFERS = {
    "a": "RTP/AVP",
    "o": "OSRTP-offer RTP/AVP",
    "s": "RTP/SAVP DTLS=off",
    "S": "RTP/SAVPF DTLS=off",
    "d": "UDP/TLS/RTP/SAVP SDES-off",
    "D": "UDP/TLS/RTP/SAVPF SDES-off",
}
"""What rtpengine offers outside, by keying (`route[KEYING]`)."""
_ALWAYS = "replace-origin replace-session-connection trust-address strict-source ICE=remove"
_NO_MEDIA = """\
route[MEDIA_IN] { return; }
route[MEDIA_OUT] { return; }
route[MEDIA_REPLIED] { return; }
route[MEDIA_ANSWER] { return; }
route[MEDIA_END] { return; }
"""
_MEDIA = """\
# An offer to a node: plain RTP.
route[MEDIA_IN] {
	if (!has_body("application/sdp")) {
		$avp(delayed) = 1;
		return;
	}
	route(RELAYS);
	$var(flags) = "@ALWAYS@ rtcp-mux-demux RTP/AVP direction=outside direction=inside" + $var(core);
	route(OFFER);
}

# An offer of a node, encrypted as it has to be outside.
route[MEDIA_OUT] {
	if (!has_body("application/sdp")) {
		$avp(delayed) = 1;
		return;
	}
	route(RELAYS);
	route(OUTSIDE);
	route(OFFER);
}

route[OUTSIDE] {
	switch ($avp(keying)) {
@OFFERS@
	}
	$var(flags) = "@ALWAYS@ " + $avp(transport) + " direction=inside direction=outside";
}

route[OFFER] {
	if (has_totag()) {
		$var(flags) = $var(flags) + " port-latching";
	}
	if (!rtpengine_offer("$var(flags)")) {
		route(UNCOUNT);
		append_to_reply("Retry-After: 10\\r\\n");
		send_reply("503", "Service Unavailable");
		exit;
	}
}

# A session description in a response, or in the ACK of one: the answer, unless the request had none.
route[MEDIA_REPLIED] {
	route(RELAYS);
	if ($avp(delayed) == 1) {
		if ($avp(to_node) == 1) {
			route(OUTSIDE);
		} else {
			$var(flags) = "@ALWAYS@ rtcp-mux-demux RTP/AVP direction=outside direction=inside" + $var(core);
		}
		rtpengine_offer("$var(flags)");
		return;
	}
	if ($avp(to_node) == $null && $avp(keying) =~ "^[sSdD]") {
		if (!sdp_transport("$avp(answered)") || !($avp(answered) =~ "SAVP")) {
			# Plain, where keys were offered: no audio at all, and the node ends the call.
			subst_body('/^m=audio [0-9]+ /m=audio 0 /g');
			return;
		}
	}
	route(MEDIA_ANSWER);
}

route[MEDIA_ANSWER] {
	route(RELAYS);
	rtpengine_answer("@ALWAYS@");
}

route[MEDIA_END] {
	route(RELAYS);
	rtpengine_delete();
}

# Which rtpengines have the call's media, and what the nodes behind them hear.
route[RELAYS] {
	$var(core) = "";
	switch ($avp(region)) {
@RELAYS@
	}
}
"""
_FROM_OUTSIDE = """\
	if (!($ru =~ "transport=(tcp|tls)")) {
		$fs = "@SOCKET@";
	}
"""
_HIDING = """
event_route[topoh:msg-outgoing] {
	if (is_in_subnet("$sndto(ip)", "@NODE_NETWORKS@")) {
		drop;
	}
}
"""


def kamailio_config(config: Config) -> str:
    """The whole file, for Kamailio 5.6."""
    edge = config.edge
    host, port = host_and_port(edge.listen)
    inside_host, inside_port = host_and_port(edge.inside_listen)
    inside_socket = f"udp:{inside_host}:{inside_port or _SIP}"
    outside_socket = f"udp:{host}:{port or _SIP}"
    filled = {
        "MEDIA": _media(edge),
        "HIDING": _HIDING if edge.hide else "",
        "PROCESSES": str(edge.processes),
        "SOFTWARE": config.sip.user_agent.replace('"', ""),
        "MODULES": MODULES,
        "LISTEN": "\n".join(_listen(edge)),
        "LOAD": "\n".join(f'loadmodule "{name}.so"' for name in _more_modules(edge)),
        "PARAMETERS": "\n".join(f'modparam("{module}", {rest})' for module, rest in _parameters(config)),
        "RPC_SOCKET": str(edge.rpc_socket),
        "NODE_LIST": str(edge.node_list),
        "TRYING_MS": str(edge.trying_ms),
        "RINGING_MS": str(edge.ringing_s * 1000),
        "RINGING_S": str(edge.ringing_s),
        "LONGEST_CALL_S": str(edge.longest_call_s),
        "REQUESTS_PER_2S": str(2 * edge.requests_per_s),
        "BAN_S": str(edge.ban_s),
        "HOST": edge.public_address or host,
        "INSIDE_SOCKET": inside_socket,
        "OUTSIDE_SOCKET": "" if outside_socket == inside_socket else _FROM_OUTSIDE.replace("@SOCKET@", outside_socket),
        "SRTP": edge.srtp,
        "KEYING": _keying(edge.srtp),
        "DEFAULT_REGION": region_code(edge, edge.default_region),
        "CALLERS": "\n".join(_callers(config)),
        "CALLEES": "\n".join(_callees(config)),
        "NODE_NETWORKS": ",".join(edge.nodes),
    }
    text = files("gateway.edge").joinpath("routing.cfg").read_text()
    for name, value in filled.items():
        text = text.replace(f"@{name}@", value)
    return text


def region_code(edge: EdgeConfig, region: str | None) -> str:
    """One character, for Record-Route."""
    return _NO_REGION if region is None else _REGION_CODES[edge.regions.index(region)]


def _listen(edge: EdgeConfig) -> Iterator[str]:
    host, port = host_and_port(edge.listen)
    public = edge.public_address
    for transport in edge.transports:
        at = edge.tls_port if transport == "tls" else port or _SIP
        yield f"listen={transport}:{host}:{at}" + (f" advertise {public}:{at}" if public else "")
    if edge.inside is not None or "udp" not in edge.transports:
        host, port = host_and_port(edge.inside_listen)
        yield f"listen=udp:{host}:{port or _SIP}"
    if "tls" in edge.transports:
        yield "enable_tls=yes"


def _more_modules(edge: EdgeConfig) -> Iterator[str]:
    if edge.relay:
        yield "rtpengine"
    if edge.hide:
        yield "topoh"
    if "tls" in edge.transports:
        yield "tls"


def _parameters(config: Config) -> Iterator[tuple[str, str]]:
    edge = config.edge
    for number, region in enumerate(edge.regions, 1):
        sockets = " ".join(f"udp:{relay.ng}" for relay in edge.relay if relay.region == region)
        yield "rtpengine", f'"rtpengine_sock", "{number} == {sockets}"'
    if edge.relay:
        # A relay that was restarted is asked again after 2 s; one that is slow is given up after 0.5 s.
        yield "rtpengine", '"rtpengine_disable_tout", 2'
        yield "rtpengine", '"rtpengine_tout_ms", 500'
        yield "rtpengine", '"rtpengine_retr", 2'
        yield "rtpengine", f'"setid_default", {edge.regions.index(edge.default_region or edge.regions[0]) + 1}'
    if edge.hide:
        yield "topoh", f'"mask_key", "{_mask_key(config)}"'
        yield "topoh", '"mask_ip", "127.0.0.8"'
    if "tls" in edge.transports:
        yield "tls", f'"certificate", "{edge.tls_cert}"'
        yield "tls", f'"private_key", "{edge.tls_key}"'
        yield "tls", '"tls_method", "TLSv1.2+"'


def _mask_key(config: Config) -> str:
    if config.edge.mask_key is not None:
        return config.edge.mask_key
    secret = config.store.encryption_key
    text = config.edge.listen if secret is None else secret.get_secret_value()
    return hashlib.sha256(f"edge mask {text}".encode()).hexdigest()[:32]


# Who calls, and whom nodes call


def _callers(config: Config) -> Iterator[str]:
    """Lines of `route[WHOSE]`."""
    edge = config.edge
    trunks = [(network, trunk) for trunk in config.trunk for network in trunk.allow]
    regions = [(network, relay.region) for relay in edge.relay for network in relay.callers]
    for network in config.sip.exempt:
        yield _when_from(network, "$var(limited) = 0;")
    for network, region in _widest_first(regions):
        yield _when_from(network, f'$avp(region) = "{region_code(edge, region)}";')
    for network, trunk in _widest_first(trunks):
        yield _when_from(
            network, f'$var(limited) = 0;\n\t\t$avp(trunk) = 1;\n\t\t$var(srtp) = "{trunk.srtp or edge.srtp}";'
        )


def _callees(config: Config) -> Iterator[str]:
    """Lines of `route[WHITHER]`."""
    edge = config.edge
    for trunk in config.trunk:
        region = edge.region_of(trunk.allow[0]) if trunk.allow else edge.default_region
        settings = [
            f'$avp(region) = "{region_code(edge, region)}";',
            f'$avp(keying) = "{_keying(trunk.srtp or edge.srtp, dtls=trunk.srtp_keying == "dtls")}";',
            f"$var(wait_ms) = {_wait_ms(trunk)};",
            "$avp(trunk) = 1;",
        ]
        if trunk.transport != "udp":
            settings.append(f'if (!($ru =~ "transport=")) $ru = $ru + ";transport={trunk.transport}";')
        names = " || ".join(f'$var(host) == "{host_and_port(host)[0].lower()}"' for host in hosts(trunk))
        yield f"\tif ({names}) {{\n\t\t" + "\n\t\t".join(settings) + "\n\t}"


def _wait_ms(trunk: TrunkConfig) -> int:
    return round(trunk.failover_s * 1000)


def _keying(srtp: str, *, dtls: bool = False) -> str:
    if srtp == "off":
        return "a"
    if dtls:
        return "d"
    return "s" if srtp == "required" else "o"


def _when_from(network: str, then: str) -> str:
    return f'\tif (is_in_subnet("$si", "{network}")) {{\n\t\t{then}\n\t}}'


def _widest_first(networks: Iterable[tuple[str, T]]) -> list[tuple[str, T]]:
    """So that the narrowest has the last word."""
    return sorted(networks, key=lambda pair: ip_network(pair[0]).prefixlen)


# Media


def _media(edge: EdgeConfig) -> str:
    if not edge.relay:
        return _NO_MEDIA
    offers = (
        f'\t\tcase "{keying}":\n\t\t\t$avp(transport) = "{flags}";\n\t\t\tbreak;' for keying, flags in _OFFERS.items()
    )
    relays = (
        f'\t\tcase "{region_code(edge, region)}":\n\t\t\tset_rtpengine_set("{number}");'
        f"{_core(edge, region)}\n\t\t\tbreak;"
        for number, region in enumerate(edge.regions, 1)
    )
    return (
        _MEDIA.replace("@ALWAYS@", _ALWAYS)
        .replace("@OFFERS@", "\n".join(offers))
        .replace("@RELAYS@", "\n".join(relays))
    )


def _core(edge: EdgeConfig, region: str) -> str:
    relay: RelayConfig = next(one for one in edge.relay if one.region == region)
    if relay.core_codec == "as_offered":
        return ""
    codec = {"pcmu": "PCMU", "pcma": "PCMA", "g722": "G722", "l16": "L16", "opus": "opus"}[relay.core_codec]
    return f'\n\t\t\t$var(core) = " codec-mask-all codec-transcode-{codec}";'
