"""Where people have to sign in, no page shows anything to whoever has not."""

from __future__ import annotations

from pathlib import Path

import pytest

from saebrain.ui.frame import FILES
from tests.pages.conftest import Open
from tests.studies import configure
from tests.studies import copy_study as copied


@pytest.mark.parametrize("page", FILES)
def test_page_is_closed(open_page: Open, demo_study: Path, tmp_path: Path, page: str) -> None:
    study = copied(demo_study, tmp_path / "study")
    configure(study, annotation={"login": "oidc"})
    app = open_page(study, page)
    assert not app.exception
    assert any("no identity provider is configured" in error.value for error in app.error)
    assert not app.title and not app.dataframe and not app.get("vega_lite_chart")
