"""What the feature browser knows of the people who label: their names and which features they have done, never what they said.

Whose labels may be seen by whom is for the annotation pages to decide; in the browser only those that have been published stand.
"""

from __future__ import annotations

import streamlit as st

from saebrain.study import Study
from saebrain.ui.login import AS
from saebrain.ui.selection import held

FILE = "annotations.db"


def people(study: Study) -> list[str]:
    """Whose work may be asked for, whoever is at the dashboard first; nobody without an annotation log. With sign-in, oneself alone."""
    if not (study.config.annotation.database or (study.folder / FILE).is_file()):
        return []
    from saebrain.annotation.database import the_database  # brings SQLAlchemy, which only studies with a log need
    from saebrain.annotation.people import find
    from saebrain.annotation.people import people as everyone

    database = the_database(study)
    if study.config.annotation.login == "oidc":
        found = find(database, login=str(st.user.get("email"))) if st.user.is_logged_in else None
        return [found.name] if found else []
    me = held(AS)
    return sorted((person.name for person in everyone(database)), key=lambda name: (name != me, name))


def labelled(study: Study, person: str) -> set[int]:
    """Features of this layer that a person has labelled."""
    from saebrain.annotation.database import the_database
    from saebrain.annotation.log import read_events
    from saebrain.annotation.state import standing

    table = standing(read_events(the_database(study), study.layer))
    return set(table.loc[table["annotator"] == person, "feature"].tolist())
