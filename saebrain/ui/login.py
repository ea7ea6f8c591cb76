"""Who is at the dashboard: a name that was chosen, or whom an identity provider vouches for (``[annotation] login = "oidc"``).

With a provider nobody sees any page without a role. Without one, whoever can open the dashboard may take any name, so it should
be open to this machine only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import streamlit as st

from saebrain.errors import InputError
from saebrain.study import Study
from saebrain.ui.selection import View
from saebrain.ui.text import plain

if TYPE_CHECKING:
    from saebrain.annotation.database import Database
    from saebrain.annotation.people import Person

AS = "as"


def gate(study: Study) -> None:
    """Where people sign in, stop the page for whoever has not, or has no role; elsewhere do nothing."""
    if study.config.annotation.login == "oidc":
        from saebrain.annotation.database import the_database  # brings SQLAlchemy, which other pages do not need

        person = _signed_in(the_database(study))
        with st.sidebar:
            st.caption(f":material/person: {plain(person.name)}, {person.role}")
            st.button("Sign out", icon=":material/logout:", type="tertiary", on_click=st.logout)


def person(view: View, study: Study, database: Database) -> Person | None:
    """Who is working; where names are chosen, draws the choice, and returns None as long as there is none."""
    if study.config.annotation.login == "oidc":
        return _signed_in(database)
    from saebrain.annotation.people import check_name, enrol, find, people

    name = view.text(AS)
    found = find(database, name=name) if name else None

    def chosen() -> None:
        try:
            wanted = st.session_state[_CHOICE + name]
            view.set(AS, enrol(database, check_name(wanted)).name if wanted else None)
        except InputError as error:
            st.session_state[_PROBLEM] = str(error)

    if problem := st.session_state.pop(_PROBLEM, None):
        st.error(plain(problem), icon=":material/error:")
    names = [known.name for known in people(database)]
    if found is not None:
        with st.popover(f"{found.name} · {found.role}", icon=":material/person:", type="tertiary"):
            _choice(names, chosen, name)
            st.caption("Labels are saved under this name.")
        return found
    st.markdown("Labels are saved under a name. Choose yours, or type a new one.")
    _choice(names, chosen, name)
    return None


def known(view: View, study: Study, database: Database) -> Person | None:
    """Who is working, without asking anybody who is not known yet."""
    if study.config.annotation.login == "oidc":
        return _signed_in(database)
    from saebrain.annotation.people import find

    return find(database, name=view.text(AS))


def _choice(names: list[str], chosen: Callable[[], None], name: str) -> None:
    index, key = names.index(name) if name in names else None, _CHOICE + name
    st.selectbox("Your name", names, index=index, key=key, on_change=chosen, accept_new_options=True, placeholder="Choose or type a name", width=360)


_CHOICE, _PROBLEM = "person choice ", "person problem"


def _signed_in(database: Database) -> Person:
    """The person whom the identity provider vouches for; stops the page if there is none, or they have no role."""
    from saebrain.annotation.people import find

    if "is_logged_in" not in st.user:
        st.error("study.toml asks for people to sign in, but no identity provider is configured. Write one into:", icon=":material/key_off:")
        st.code(".streamlit/secrets.toml", language=None)
        st.markdown("with a section `[auth]`, as docs/annotation.md shows, and start the dashboard again.")
        st.stop()
    if not st.user.is_logged_in:
        st.markdown("This dashboard is open to people with a role.")
        st.button("Sign in", icon=":material/login:", type="primary", on_click=st.login)
        st.stop()
    address, verified = st.user.get("email"), st.user.get("email_verified", True)
    found = find(database, login=str(address)) if address and verified is True else None
    if found is None:
        who = plain(address or "this account")
        unsure = "" if verified is True else " The provider has not verified this address."
        st.error(f"{who} has no role here.{unsure} An admin gives one with:", icon=":material/block:")
        st.code("python -m saebrain annotations role NAME ROLE --login ADDRESS", language="bash")
        st.button("Sign out", icon=":material/logout:", on_click=st.logout)
        st.stop()
    return found
