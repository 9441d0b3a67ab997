"""Signing in and out, as whom to act, and where one begins."""

from __future__ import annotations

from urllib.parse import urlsplit

from litestar import Response, get, post

from marketplace import identity
from marketplace.dashboard import forms, pages, visits
from marketplace.dashboard.pages import HttpRequest
from marketplace.database import Lane, money
from marketplace.foundation import clock, errors
from marketplace.http.resources import resources

BEGIN = "/dashboard/hours"


@get("/", opt={"scope": None}, sync_to_thread=False)
def begin() -> Response[str]:
    """Lead to the markets."""
    return pages.redirect(BEGIN)


@get(pages.SIGN_IN, opt={"scope": None}, sync_to_thread=False)
def ask_key(request: HttpRequest) -> Response[str]:
    """Ask for a key, where members have some."""
    if not visits.has_keys(request):
        return pages.redirect(BEGIN)
    return pages.page(request, "sign_in.html", refusal=None)


@post(pages.SIGN_IN, status_code=200, opt={"scope": None})
async def sign_in(request: HttpRequest) -> Response[str]:
    """Open a session by a key. The key itself goes no further than this."""
    if not visits.has_keys(request):
        return pages.redirect(BEGIN)
    form = await forms.read(request)
    authentication: identity.Authentication = request.app.state[visits.AUTHENTICATION]
    session_id = identity.make_session_id()
    try:
        caller = await authentication((form.text("key") or "").strip())
        assert caller.key_id
        until = clock.now() + visits.SESSION_SECONDS * clock.SECOND
        command = identity.OpenSession(identity.hash_secret(session_id), caller.key_id, until)
        session: identity.Session = await _lane(request).run(command)
    except (errors.Unauthenticated, identity.errors.UnknownKey) as refusal:
        return pages.page(request, "sign_in.html", status=401, refusal=refusal.detail)
    answer = pages.redirect(BEGIN)
    seconds = (session.expires_at - clock.now()) // clock.SECOND
    # A new id: whatever the browser was known by before opens nothing.
    answer.set_cookie(visits.visit_cookie(request, session_id, max_age=seconds))
    return answer


@post("/dashboard/sign-out", status_code=200, opt={"scope": None})
async def sign_out(request: HttpRequest) -> Response[str]:
    """Close the session, here and everywhere."""
    await forms.read(request)
    answer = pages.redirect(pages.SIGN_IN)
    if visits.has_keys(request):
        session_id = visits.visit_id(request)
        await _lane(request).run(identity.CloseSession(identity.hash_secret(session_id)))
        authentication: identity.Authentication = request.app.state[visits.AUTHENTICATION]
        authentication.forget_session(session_id)
    answer.set_cookie(visits.visit_cookie(request, "", max_age=0))
    answer.set_cookie(visits.acting_cookie(request, ""))
    return answer


@post("/dashboard/acting", status_code=200, opt={"scope": "read"})
async def act_as(request: HttpRequest) -> Response[str]:
    """Remember as whom to act; the scopes of the key stay what they are."""
    form = await forms.read(request)
    viewer = visits.viewer(request)
    text = form.text("username") or ""
    username = visits.read_username(text) if text else ""
    if not viewer.may_choose:
        viewer.caller.acting_for(username)
    answer = pages.redirect(_page_of_ours(form.text("to")))
    answer.set_cookie(visits.acting_cookie(request, username))
    return answer


def _page_of_ours(address: str | None) -> str:
    """Return a path of a page; nobody is led anywhere else."""
    parts = urlsplit(address or "")
    is_ours = not (parts.scheme or parts.netloc) and parts.path.startswith("/dashboard/")
    return parts.path if is_ours else BEGIN


def _lane(request: HttpRequest) -> Lane:
    return resources(request).lanes[money.LANE]


HANDLERS = (begin, ask_key, sign_in, sign_out, act_as)
