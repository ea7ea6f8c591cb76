"""People and their roles, for admins."""

from __future__ import annotations

import streamlit as st

from saebrain.annotation.database import Database
from saebrain.annotation.people import Person, check_role, enrol, people
from saebrain.annotation.schema import ROLES
from saebrain.errors import InputError
from saebrain.ui.text import escaped, plain

_NAME, _ROLE, _LOGIN, _SAID = "role name", "role role", "role login", "role said"


def show(database: Database, admin: Person) -> None:
    """Everyone with a role, and a form that gives one."""
    with st.expander("People and roles", icon=":material/group:"):
        rows = "".join(
            f"<tr><td>{escaped(person.name)}</td><td>{person.role}</td><td>{escaped(person.login or '')}</td></tr>" for person in people(database)
        )
        head = "<tr><th>Name</th><th>Role</th><th>Signs in as</th></tr>"
        st.html(f'<div class="sb"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>')
        with st.form("role", border=False):
            name, role, login = st.columns(3)
            name.text_input("Name", key=_NAME)
            role.selectbox("Role", ROLES, key=_ROLE)
            login.text_input("E-mail address for signing in (optional)", key=_LOGIN)
            st.form_submit_button("Give the role", on_click=_give, args=(database, admin))
        if said := st.session_state.pop(_SAID, None):
            (st.success if said[0] else st.error)(plain(said[1]))


def _give(database: Database, admin: Person) -> None:
    name, role, login = (str(st.session_state[key]) for key in (_NAME, _ROLE, _LOGIN))
    try:
        if name == admin.name and role != admin.role:
            raise InputError(f"{name} would no longer be admin; let another admin do this")
        person = enrol(database, name, check_role(role), login or None)
    except InputError as error:
        st.session_state[_SAID] = (False, str(error))
    else:
        st.session_state[_SAID] = (True, f"{person.name} is {person.role}")
