"""``khepri cluster members|status|join|reset|remove|transfer``: speak to a running node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from khepri.errors import NotDoneError
from khepri.transport.address import parse_node_name

from .guest import Guest, add_node_arguments, add_vote_argument, guest_at
from .outcomes import ExitCode, sentence
from .rendering import as_json, as_plain

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the commands take."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, (what, do) in _ACTIONS.items():
        action = actions.add_parser(name, help=what, description=sentence(what))
        if name == "join":
            action.add_argument("remote", metavar="REMOTE", help="a node of the cluster to join")
            add_vote_argument(action)
        elif name == "remove":
            action.add_argument("member", metavar="MEMBER", help="the name of its node")
        elif name == "transfer":
            help_text = "who is to lead (default: the most up-to-date member)"
            action.add_argument("member", metavar="MEMBER", nargs="?", help=help_text)
        add_node_arguments(action)
        if do in {_members, _status}:
            action.add_argument(
                "--output",
                choices=("plain", "json"),
                default="plain",
                help="for people (default) or as JSON",
            )


def run(arguments: argparse.Namespace) -> int:
    """Do it."""
    with guest_at(arguments) as guest:
        _ACTIONS[arguments.action][1](guest, arguments)
    return ExitCode.DONE


def _members(guest: Guest, arguments: argparse.Namespace) -> None:
    """Tell the members, as a majority has just confirmed them."""
    status = _confirmed_status(guest)
    leader = status["leader"]
    if arguments.output == "json":
        print(as_json([{"node": name, "leads": name == leader} for name in status["members"]]))
        return
    for name in status["members"]:
        print(f"{name}  leader" if name == leader else name)


def _status(guest: Guest, arguments: argparse.Namespace) -> None:
    """Describe the member asked, as it sees itself; works without a majority."""
    status: dict[str, Any] = guest.ask("status")
    if arguments.output == "json":
        print(as_json(status))
        return
    status["members"] = ", ".join(status["members"])
    peers = status.pop("peers")
    width = max(map(len, status)) + 1
    for name, value in status.items():
        print(f"{name + ':':{width}} {as_plain(value)}")
    for peer in peers:
        reachable = "reachable" if peer["is_reachable"] else "not reachable"
        version = peer.get("machine_version")  # an older release does not tell
        knows = f", knows machine version {version}" if version else ""
        forgotten = ", HAS FORGOTTEN what it had confirmed" if peer["has_forgotten"] else ""
        print(
            f"{'peer:':{width}} {peer['node']}  {peer['kind']}, {peer['state']},"
            f" has {peer['match_index']}, {reachable}{knows}{forgotten}"
        )


def _join(guest: Guest, arguments: argparse.Namespace) -> None:
    parse_node_name(arguments.remote)
    function = "join_store" if arguments.votes else "join_store_without_vote"
    guest.ask_for_long(function, arguments.remote)
    print(f"{guest.asked} has joined the cluster of {arguments.remote}")


def _reset(guest: Guest, arguments: argparse.Namespace) -> None:
    del arguments
    guest.ask_for_long("reset_store")
    print(f"{guest.asked} has left its cluster and has an empty store")


def _remove(guest: Guest, arguments: argparse.Namespace) -> None:
    try:
        guest.ask_leader("remove_member", arguments.member)
    except NotDoneError as error:
        if error.facts.get("reason") == "not_member":
            raise NotDoneError(f"{arguments.member} is no member", **error.facts) from error
        raise
    print(f"{arguments.member} is no member any more")


def _transfer(guest: Guest, arguments: argparse.Namespace) -> None:
    try:
        guest.ask_leader("transfer_leadership", arguments.member)
    except NotDoneError as error:
        if error.facts.get("reason") != "already_leader":
            raise
    print(f"{_confirmed_status(guest)['leader']} leads")


def _confirmed_status(guest: Guest) -> dict[str, Any]:
    """Describe the member asked once the leader has answered it: it knows that leader now.

    Just after a change of leader the member may still name the old one, or none.
    """
    guest.ask("has_quorum")
    status: dict[str, Any] = guest.ask("status")
    return status


_ACTIONS: dict[str, tuple[str, Callable[[Guest, argparse.Namespace], None]]] = {
    "members": ("tell who belongs to the cluster, as a majority confirms it", _members),
    "status": ("describe the member on the node: role, term, indexes", _status),
    "join": ("replace the node's store by a member of another node's cluster", _join),
    "reset": ("leave the cluster in order and begin again with an empty store", _reset),
    "remove": ("remove a member that will not come back", _remove),
    "transfer": ("hand leadership to another member", _transfer),
}
