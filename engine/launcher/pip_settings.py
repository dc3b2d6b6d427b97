"""The user's own settings for pip (mirrors, local wheels, certificates), passed on to uv, which does not read them."""

import ast
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

PYPI = "https://pypi.org/simple"


@dataclass(frozen=True)
class PipSettings:
    """What pip was told about where packages come from; values as the user wrote them."""

    values: dict[str, str]

    @property
    def index_url(self) -> str:
        return self.values.get("index-url", PYPI)

    @property
    def has_own_sources(self) -> bool:
        """Whether the user named any place for packages besides PyPI."""
        return any(self.values.get(name) for name in ("find-links", "index-url", "extra-index-url", "no-index"))

    def uv_sources(self) -> list[str]:
        """uv's options for the same places."""
        options = [word for link in self._words("find-links") for word in ("--find-links", link)]
        options += [word for url in self._words("index-url") for word in ("--default-index", url)]
        extra = self._words("extra-index-url")
        options += [word for url in extra for word in ("--index", url)]
        if extra:  # pip looks for the best version in all of them; uv stops at the first that has the name
            options += ["--index-strategy", "unsafe-best-match"]
        if self.values.get("no-index", "").lower() in ("1", "true", "yes", "on"):
            options.append("--no-index")
        options += [word for host in self._words("trusted-host") for word in ("--allow-insecure-host", host)]
        return options

    def uv_constraints(self) -> list[str]:
        return [word for path in self._words("constraint") for word in ("--constraint", path)]

    def environment(self) -> dict[str, str]:
        """This process's variables, with pip's certificate, proxy and timeout where none are set already."""
        variables = dict(os.environ)
        for name, variable in (("cert", "SSL_CERT_FILE"), ("proxy", "HTTPS_PROXY"), ("proxy", "HTTP_PROXY")):
            if self.values.get(name):
                variables.setdefault(variable, self.values[name])
        timeout = self.values.get("timeout") or self.values.get("default-timeout")
        if timeout:
            variables.setdefault("UV_HTTP_TIMEOUT", timeout)
        return variables

    def _words(self, name: str) -> list[str]:
        return self.values.get(name, "").split()


def read_pip_settings(python: Path) -> PipSettings:
    """What ``pip config list`` says: files of the system, the user and the environment, and PIP_* variables."""
    command = [str(python), "-m", "pip", "config", "list", "--disable-pip-version-check"]
    listed = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False)
    return parse_pip_settings(listed.stdout)


def parse_pip_settings(listed: str) -> PipSettings:
    """From lines such as ``global.index-url='https://…'``; a variable counts more than a command's section."""
    values: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in listed.splitlines():
        key, _, written = line.partition("=")
        section, _, name = key.rpartition(".")
        if section not in values:
            continue
        try:
            values[section][name] = str(ast.literal_eval(written))
        except (ValueError, SyntaxError):
            continue
    return PipSettings({**values["global"], **values["install"], **values[":env:"]})
