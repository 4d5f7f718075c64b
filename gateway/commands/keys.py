# SPDX-License-Identifier: GPL-3.0-or-later
"""`parley token` and `parley keys`: what opens the API of the gateway that runs; and its store's encryption key."""

import argparse
import json
from urllib.parse import quote

from gateway.commands import key_change
from gateway.commands.api import Subcommands, add_gateway, add_json, answer_of, calling_api


def add_commands(commands: Subcommands) -> None:
    """To those of `parley`."""
    token = commands.add_parser("token", help="a token with which a backend attaches to a call, once")
    token.add_argument("--scope", choices=("stream", "listen"), required=True, help="what the backend may do")
    token.add_argument(
        "--ttl", type=int, default=60, metavar="S", help="seconds until it is worth nothing (default 60)"
    )
    token.add_argument("--call", metavar="CALL_ID", help="the only call it is good for (default: any one call)")
    token.set_defaults(run=_token)

    keys = commands.add_parser("keys", help="API keys with scopes, in the gateway that runs; and the encryption key")
    verbs = keys.add_subparsers(required=True, metavar="COMMAND")
    add = verbs.add_parser("add", help="make a key and print it, this once")
    add.add_argument("name", metavar="NAME", help="what it is for")
    add.add_argument(
        "--scopes",
        "--role",
        required=True,
        metavar="LIST",
        help="calls:read,calls:write,streams,...; or a role: viewer, operator, supervisor, campaigner, auditor, admin",
    )
    for what in ("agents", "tags", "trunks"):
        add.add_argument(
            f"--only-{what}", default="", metavar="LIST", help=f"limited to calls, sessions... of these {what}"
        )
    add.add_argument("--days", type=int, metavar="N", help="how long it is good (default: until it is revoked)")
    add.set_defaults(run=_add_key)
    listing = verbs.add_parser("list", help="the keys, without what opens")
    listing.set_defaults(run=_list_keys)
    revoke = verbs.add_parser("revoke", help="a key opens nothing from now on")
    revoke.add_argument("key_id", metavar="KEY_ID")
    revoke.set_defaults(run=_revoke_key)
    key_change.add_commands(verbs)
    for command in (token, add, listing, revoke):
        add_gateway(command)
        add_json(command)


def _token(options: argparse.Namespace) -> int:
    order = {"scope": options.scope, "ttl_s": options.ttl, "call_id": options.call}
    with calling_api(options) as api:
        issued = answer_of(api.post("/tokens", json=order))
    print(json.dumps(issued) if options.json else issued["token"])
    return 0


def _add_key(options: argparse.Namespace) -> int:
    order = {"name": options.name, "scopes": _listed(options.scopes), "ttl_days": options.days}
    order |= {f"only_{what}": _listed(getattr(options, f"only_{what}")) for what in ("agents", "tags", "trunks")}
    with calling_api(options) as api:
        created = answer_of(api.post("/keys", json=order))
    print(json.dumps(created) if options.json else f"{created['key']}\n{created['key_id']}: shown this once")
    return 0


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _list_keys(options: argparse.Namespace) -> int:
    with calling_api(options) as api:
        listed = answer_of(api.get("/keys"))
    if options.json:
        print(json.dumps(listed))
    else:
        for key in listed["keys"]:
            until = f", until {key['expires_at']}" if key["expires_at"] else ""
            only = "".join(f"; only {what}: {', '.join(names)}" for what, names in (key["only"] or {}).items() if names)
            print(f"{key['key_id']}  {key['name']}: {', '.join(key['scopes'])}{only}{until}")
    return 0


def _revoke_key(options: argparse.Namespace) -> int:
    with calling_api(options) as api:
        answer_of(api.delete(f"/keys/{quote(options.key_id, safe='')}"))
    return 0
