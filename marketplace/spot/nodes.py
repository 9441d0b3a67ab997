"""Nodes: brought in, set, taken out; looked after by one process at a time, and lost where nobody hears of them."""

from __future__ import annotations

from msgspec import json

from marketplace.foundation.clock import SECOND
from marketplace.foundation.errors import Refusal
from marketplace.spot import errors, happenings, leaving, sql
from marketplace.spot.book import Book
from marketplace.spot.commands import (
    AddNode,
    ClaimedNode,
    ClaimNodes,
    Heartbeat,
    LoseNodes,
    NodeRow,
    RemoveNode,
    SetNode,
)
from marketplace.spot.records import NodeRecord

DRAINED = "Its node is to be emptied."
LOST = "Nothing was heard of its node any more."


def add(book: Book, command: AddNode) -> NodeRow | Refusal:
    if command.pool not in book.pools:
        return errors.UnknownPool(command.pool)
    settings = json.encode(command.settings, order="deterministic").decode()
    node = book.nodes.get((command.pool, command.node))
    if node is None:
        node = NodeRecord(
            command.pool,
            command.node,
            command.provider,
            command.backend,
            settings,
            command.owner,
            command.cpu_millis,
            command.memory_mib,
            "ready",
            None,
            book.now,
        )
        _note(book, node, "It was brought in.")
        book.opened(node.pool)
        return node.told()
    if node.provider != command.provider and not command.is_admin:
        return errors.NotYours(command.pool, command.node)
    before = (node.backend, node.settings, node.cpu_millis, node.memory_mib)
    after = (command.backend, settings, command.cpu_millis, command.memory_mib)
    if after != before:
        was_removed = _is_removed(node)
        node.backend, node.settings, node.cpu_millis, node.memory_mib = after
        if was_removed:
            node.state, node.heartbeat_at, node.added_at = "ready", None, book.now
        _note(book, node, "It offers something else.")
        if after[2] < before[2] or after[3] < before[3]:
            book.took(node.pool)
        if after[2] > before[2] or after[3] > before[3]:
            book.opened(node.pool)
    return node.told()


def set_state(book: Book, command: SetNode) -> NodeRow | Refusal:
    node = _find(book, command.pool, command.node, command.provider)
    if isinstance(node, Refusal):
        return node
    if node.state != command.state:
        node.state = command.state
        _note(book, node, f"It was set {command.state}.")
        if command.state == "ready":
            book.opened(node.pool)
        else:
            book.took(node.pool)
        if command.state == "draining":
            _drain(book, node)
    return node.told()


def _drain(book: Book, node: NodeRecord) -> None:
    """Tell all leases that are placed there to go; who waits for room there is queued again by the next plan."""
    policy = book.pool_of(node).policy()
    for lease in [one for one in book.leases.values() if (one.pool, one.node) == (node.pool, node.node)]:
        if lease.state in ("starting", "running"):
            notice = policy.notice(book.bid_of(lease).notice_seconds)
            leaving.evict(book, lease, cause="drained", reason=DRAINED, stop_at=book.now + notice * SECOND)
            book.took(node.pool)


def remove(book: Book, command: RemoveNode) -> Refusal | None:
    node = _find(book, command.pool, command.node, command.provider)
    if isinstance(node, Refusal):
        return node
    here = (node.pool, node.node)
    placed_now = [one for one in book.leases.values() if (one.pool, one.node) == here and not one.is_clean]
    if unclean := max(sql.count_unclean(book.tx, here), len(placed_now)):
        return errors.NodeInUse(node.pool, node.node, leases=unclean)
    node.state, node.cpu_millis, node.memory_mib, node.claim, node.claimed_until = "cordoned", 0, 0, None, None
    _note(book, node, "It was taken out.")
    book.took(node.pool)
    return None


def _is_removed(node: NodeRecord) -> bool:
    return node.cpu_millis == node.memory_mib == 0


def _find(book: Book, pool: str, name: str, provider: str | None) -> NodeRecord | errors.UnknownNode:
    node = book.nodes.get((pool, name))
    if node is None or _is_removed(node) or provider not in (None, node.provider):
        return errors.UnknownNode(pool, name)
    return node


def _note(book: Book, node: NodeRecord, reason: str) -> None:
    said = happenings.NodeSet(node.pool, node.node, node.state, node.cpu_millis, node.memory_mib, reason)
    book.note(said)
    book.touch_node(node)


# ── looked after ─────────────────────────────────────────────────────────────────────────────────────────────────────


def claim(book: Book, command: ClaimNodes) -> list[ClaimedNode]:
    """A claim that has most of its time before it is left as it is: it would be written for nothing."""
    claimed = []
    lasting = book.now + command.seconds * SECOND * 2 // 3
    for found in sql.read_claimable(book.tx, command.token, now=book.now, limit=command.limit):
        node = book.nodes.setdefault((found.pool, found.node), found)
        is_free = node.claimed_until is None or node.claimed_until <= book.now
        if _is_removed(node) or not (is_free or node.claim == command.token):
            continue
        if not command.seconds:
            _let_go(book, node, command.token)
            continue
        if node.claim != command.token or node.claimed_until is None or node.claimed_until < lasting:
            node.claim, node.claimed_until = command.token, book.now + command.seconds * SECOND
            book.keep_node(node)
            book.log.is_dirty = True
        settings = json.decode(node.settings, type=dict[str, object])
        offers = (node.cpu_millis, node.memory_mib)
        claimed.append(ClaimedNode(node.pool, node.node, node.backend, settings, node.owner, node.state, *offers))
    return claimed


def _let_go(book: Book, node: NodeRecord, token: str) -> None:
    if node.claim == token:
        node.claim = node.claimed_until = None
        book.keep_node(node)
        book.log.is_dirty = True


def hear(book: Book, command: Heartbeat) -> None:
    node = book.nodes.get((command.pool, command.node))
    if node is None or _is_removed(node):
        return
    node.heartbeat_at = book.now
    if node.state == "lost":
        node.state = "ready"
        _note(book, node, "It was heard of again.")
        book.opened(node.pool)
    else:
        book.keep_node(node)
        book.log.is_dirty = True


def lose(book: Book, command: LoseNodes) -> int:
    """Give up silent nodes. One that is cordoned or to be emptied stays so, but its leases are gone all the same."""
    count = 0
    for key, lease_ids in book.open_leases.items():
        node = book.nodes[key]
        last_sign = node.added_at if node.heartbeat_at is None else node.heartbeat_at
        leases = [lease for one in lease_ids if (lease := book.leases[one]).is_open]
        if last_sign > book.now - command.seconds * SECOND or (node.state != "ready" and not leases):
            continue
        if node.state == "ready":
            node.state = "lost"
            _note(book, node, LOST)
            book.took(node.pool)
        for lease in leases:
            if lease.state == "stopping" and lease.cause is not None:  # nobody wants it any more
                leaving.end(book, lease, ended_at=last_sign, cause=lease.cause, reason=lease.reason or LOST)
            else:
                leaving.end(book, lease, ended_at=last_sign, cause="lost", reason=LOST)
            book.took(node.pool)
        count += 1
    return count
