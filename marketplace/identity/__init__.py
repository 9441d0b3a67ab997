"""Identity: members, the API keys by which they call, and what each key is for.

How a key is checked: `http.callers` takes it from the request, `Authentication` tells whose it is (from the database,
at most half a second old), `http.callers` holds its scopes against what the route asks for. How one is made: `routes`
draw it, the lane `money` stores the hash of its secret, and its owner is shown it once.

    commands        CreateMember CreateKey RevokeKey NoteUses OpenSession CloseSession
    reads           lookups: functions of a read-only tx
    handlers()      what the lane needs to run the commands
    make_key()      a key to be created; make_session_id() the id of a session to be opened
    Authentication  whose key it is
    audit           proves the books
"""

from marketplace.identity import errors
from marketplace.identity.audit import audit
from marketplace.identity.authentication import Authentication
from marketplace.identity.keys import hash_secret, make_session_id
from marketplace.identity.keys import make as make_key
from marketplace.identity.lookups import find_key, find_member, find_session, list_keys, list_members
from marketplace.identity.model import (
    KINDS,
    SCOPES,
    CloseSession,
    CreateKey,
    CreateMember,
    ForgetSessions,
    Key,
    Limit,
    Member,
    NoteUses,
    OpenSession,
    RevokeKey,
    Session,
)
from marketplace.identity.service import handlers

__all__ = [
    "KINDS",
    "SCOPES",
    "Authentication",
    "CloseSession",
    "CreateKey",
    "CreateMember",
    "ForgetSessions",
    "Key",
    "Limit",
    "Member",
    "NoteUses",
    "OpenSession",
    "RevokeKey",
    "Session",
    "audit",
    "errors",
    "find_key",
    "find_member",
    "find_session",
    "handlers",
    "hash_secret",
    "list_keys",
    "list_members",
    "make_key",
    "make_session_id",
]
