"""Signing in for real: a provider on this machine, the browser's redirects, and what each role may see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from oidc_provider_mock import User, run_server_in_thread
from playwright.sync_api import Browser, Page, expect

from saebrain.annotation.database import the_database
from saebrain.annotation.people import enrol
from saebrain.study import Study
from tests.browser.dashboard import Dashboard, free_port, serving
from tests.browser.watching import PATIENCE_MS
from tests.studies import configure, copy_study

USERS = {
    "1": {"email": "Ana@lab.org", "email_verified": True},
    "2": {"email": "vic@lab.org", "email_verified": True},
    "3": {"email": "stranger@lab.org", "email_verified": True},
    "4": {"email": "ana@lab.org", "email_verified": False},
}
SECRETS = """
[auth]
redirect_uri = "http://localhost:{port}/oauth2callback"
cookie_secret = "a secret of this test alone"
client_id = "saebrain"
client_secret = "secret"
server_metadata_url = "http://localhost:{provider}/.well-known/openid-configuration"
"""


@pytest.fixture(scope="module")
def study(demo_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = copy_study(demo_study, tmp_path_factory.mktemp("login") / "study")
    configure(folder, annotation={"login": "oidc"})
    found = Study.open(folder)
    enrol(the_database(found), "Ana", "annotator", "ana@lab.org")
    enrol(the_database(found), "Vic", "viewer", "vic@lab.org")
    return found


@pytest.fixture(scope="module")
def served(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    folder, port = tmp_path_factory.mktemp("login"), free_port()
    users = [User(sub=sub, claims=claims) for sub, claims in USERS.items()]
    with run_server_in_thread(user_claims=users) as provider:
        secrets = folder / ".streamlit" / "secrets.toml"  # where Streamlit looks in a home folder
        secrets.parent.mkdir()
        secrets.write_text(SECRETS.format(port=port, provider=provider.server_port))
        with serving(study.folder, folder / "streamlit.log", port=port, HOME=str(folder)) as running:
            yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    yield page
    context.close()


def sign_in(page: Page, url: str, sub: str) -> None:
    page.goto(url)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_placeholder("sub").fill(sub)
    page.get_by_role("button", name="Authorize").click()


@pytest.mark.parametrize("path", ["", "Features", "Annotate", "Agreement", "Adjudicate"])
def test_nothing_is_shown_before_signing_in(page: Page, served: Dashboard, path: str) -> None:
    page.goto(f"{served.url}/{path}")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible(timeout=PATIENCE_MS)
    assert page.locator(".sb-context, [data-testid=stDataFrame], [data-testid=stVegaLiteChart]").count() == 0


def test_annotator_labels_under_the_name_of_the_login(page: Page, served: Dashboard, study: Study) -> None:
    sign_in(page, f"{served.url}/Annotate?as=Vic", "1")
    page.get_by_test_id("stSidebar").get_by_text("Ana, annotator").wait_for()
    page.get_by_test_id("stSidebar").get_by_role("link", name="Annotate").click()
    page.get_by_role("button", name="Lexical").wait_for()
    assert page.get_by_role("combobox", name="Your name").count() == 0
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="End session").click()  # at the provider
    expect(page.get_by_role("button", name="Sign in")).to_be_visible(timeout=PATIENCE_MS)


def test_viewer_sees_figures_and_cannot_write(page: Page, served: Dashboard) -> None:
    sign_in(page, f"{served.url}/Annotate", "2")
    page.get_by_test_id("stSidebar").get_by_role("link", name="Annotate").click()
    expect(page.get_by_text("does not label")).to_be_visible(timeout=PATIENCE_MS)
    assert page.get_by_role("button", name="Lexical").count() == 0
    page.get_by_test_id("stSidebar").get_by_role("link", name="Adjudicate").click()
    expect(page.get_by_text("takes the role adjudicator")).to_be_visible(timeout=PATIENCE_MS)


@pytest.mark.parametrize("sub", ["3", "4"], ids=["no role", "address not verified"])
def test_without_a_role_there_is_no_access(page: Page, served: Dashboard, sub: str) -> None:
    sign_in(page, f"{served.url}/Features", sub)
    expect(page.get_by_text("has no role here")).to_be_visible(timeout=PATIENCE_MS)
    assert page.locator(".sb-context, [data-testid=stDataFrame]").count() == 0


def test_provider_that_is_not_configured(page: Page, study: Study, tmp_path: Path) -> None:
    with serving(study.folder, tmp_path / "streamlit.log", HOME=str(tmp_path)) as running:
        page.goto(f"{running.url}/Features")
        expect(page.get_by_text("no identity provider is configured")).to_be_visible(timeout=PATIENCE_MS)
        assert page.locator(".sb-context, [data-testid=stDataFrame]").count() == 0
