"""Starting the studio: what is refused at once, and that the page can be installed as an app."""

import importlib.util
import json

from app import __main__ as start
from app import texts, theme
from app.desk import Desks
from app.studio import launch_options


def test_a_window_without_its_library_is_told_before_anything_starts(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert start.main(["--window"]) == 1
    assert texts.NO_WINDOW in capsys.readouterr().err
    assert "pip install pywebview" in texts.NO_WINDOW_REMEDY


def test_a_folder_that_cannot_be_used_is_told(monkeypatch, capsys, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("ROUNDTABLE_PROJECTS", str(tmp_path / "file" / "projects"))
    assert start.main(["--no-open"]) == 1
    assert capsys.readouterr().err


def test_only_this_computer_shares_its_projects_unless_asked(tmp_path):
    parser = start._parser()
    assert parser.parse_args([]).together is None
    assert parser.parse_args(["--together"]).together is True
    assert parser.parse_args(["--host", "0.0.0.0", "--no-together"]).together is False


def test_the_page_is_an_app_with_an_icon_and_asks_nobody_else(tmp_path):
    desks = Desks(tmp_path)
    options = launch_options(desks)
    desks.close()
    assert options["pwa"] is True
    assert theme.ICON.read_bytes().startswith(b"\x89PNG")
    assert "http://" not in theme.head().replace("http://www.w3.org", "")
    assert "https://" not in theme.head()


def test_words_of_the_components_cannot_end_their_script():
    head = theme.head()
    assert head.count("<script>") == head.count("</script>") == 1 + len(theme.SCRIPTS)
    words = head.split("window.roundtableWords = ")[1].split(";</script>")[0]
    assert json.loads(words) == texts.COMPONENT_WORDS
