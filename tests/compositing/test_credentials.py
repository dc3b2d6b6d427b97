"""Content credentials are there, hold, say nothing personal, and never make a word go to a network."""

import datetime
import json
import os
import stat
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
from cryptography import x509
from PIL import Image

from engine.compositing.credentials import Credentials, Ingredient, can_carry, read_credentials, sign_video
from engine.compositing.provenance import SOURCE_TYPE, marked_encoding, read_mark
from engine.compositing.signing import identity, identity_path
from engine.errors import StudioError, WriteFailed
from engine.media.formats import FORMATS
from engine.media.frames import frames_of, look_into
from engine.media.write import Encoding, VideoWriter, read_xmp

SIZE = (160, 120)


@pytest.fixture(autouse=True)
def own_identity(tmp_path, monkeypatch):
    monkeypatch.setenv("ROUNDTABLE_SIGNING", str(tmp_path / "signing"))


def video(path, format_name="h264"):
    marked = marked_encoding("t", "0.1", "animatic")
    with VideoWriter(path, SIZE, 25, None, Encoding(marked.metadata, marked.xmp, FORMATS[format_name])) as writer:
        for level in range(10):
            writer.write(np.full((SIZE[1], SIZE[0], 3), 20 * level, np.uint8))
    return path


def photo(path, **more):
    Image.new("RGB", (64, 64), (200, 90, 40)).save(path, **more)
    return path


def assertions(report):
    manifest = report["manifests"][report["active_manifest"]]
    return manifest, {each["label"]: each["data"] for each in manifest["assertions"]}


def boxes(path):
    content, at, kinds = path.read_bytes(), 0, []
    while at < len(content):
        kinds.append(content[at + 4 : at + 8].decode("latin1"))
        at += int.from_bytes(content[at : at + 4], "big")
    return kinds


@pytest.mark.parametrize(("format_name", "suffix"), [("h264", ".mp4"), ("prores", ".mov")])
def test_a_signed_video_holds_and_still_is_all_it_was(tmp_path, format_name, suffix):
    plain = video(tmp_path / f"plain{suffix}", format_name)
    made_of = (Ingredient("Photo", photo(tmp_path / "Aunt Ada.png"), "image/png"),)
    said = Credentials("Sofa talk", "0.1", "animatic", made_of, num_people=3, num_consenting=2)
    signed = sign_video(plain, tmp_path / f"signed{suffix}", said, identity())
    report = read_credentials(signed)
    assert report["validation_state"] == "Valid"
    # What the documentation says of a certificate that this computer made.
    assert [each["code"] for each in report["validation_status"]] == ["signingCredential.untrusted"]
    manifest, told = assertions(report)
    created, placed = told["c2pa.actions.v2"]["actions"]
    assert (created["action"], created["digitalSourceType"]) == ("c2pa.created", SOURCE_TYPE)
    assert placed["action"] == "c2pa.placed"
    assert len(placed["parameters"]["ingredients"]) == 1
    assert told["roundtable.consent"]["statement"] == "Consent noted for 2 of 3 people."
    assert [each["title"] for each in manifest["ingredients"]] == ["Photo"]
    assert b"Aunt" not in signed.read_bytes()
    assert "thumbnail" not in json.dumps(report)
    assert boxes(signed).index("moov") < boxes(signed).index("mdat")
    assert read_xmp(signed) == read_xmp(plain)
    assert read_mark(signed) == read_mark(plain)
    with frames_of(plain, look_into(plain)) as before, frames_of(signed, look_into(signed)) as after:
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("large", [False, True])
def test_a_changed_video_does_not_hold(tmp_path, monkeypatch, large):
    if large:
        monkeypatch.setattr("engine.compositing.credentials._LARGE_BYTES", 0)
    signed = sign_video(video(tmp_path / "a.mp4"), tmp_path / "b.mp4", Credentials("t", "1", "m"), identity())
    assert read_credentials(signed)["validation_state"] == "Valid"
    content = bytearray(signed.read_bytes())
    content[content.rindex(b"mdat") + 40] ^= 1
    signed.write_bytes(content)
    assert read_credentials(signed)["validation_state"] == "Invalid"


def test_files_without_credentials_and_those_that_cannot_have_any(tmp_path):
    assert read_credentials(video(tmp_path / "a.mp4")) is None
    assert not can_carry(tmp_path / "a.webm")
    assert read_credentials(tmp_path / "a.webm") is None


def test_the_key_is_made_once_and_is_nobody_elses_to_read():
    first = identity()
    assert identity() == first
    assert first.made_here
    if os.name != "nt":
        assert stat.S_IMODE(identity_path().stat().st_mode) == 0o600


def test_a_certificate_of_this_computer_that_has_run_out_is_made_anew(monkeypatch):
    from engine.compositing import signing

    with monkeypatch.context() as patch:
        patch.setattr(signing, "_VALID_FOR", datetime.timedelta(seconds=-1))
        signing._keep(identity_path(), signing._made())
    ended = identity_path().read_bytes()
    assert identity().made_here
    assert identity_path().read_bytes() != ended


def own_pem(monkeypatch, valid_for=datetime.timedelta(days=9)):
    """A key and certificates as somebody else would issue them."""
    from engine.compositing import signing

    with monkeypatch.context() as patch:
        patch.setattr(signing, "OWN_ISSUER", "Some Authority")
        patch.setattr(signing, "_VALID_FOR", valid_for)
        return signing._made()


def test_the_creators_own_certificate_is_used_and_never_replaced(tmp_path, monkeypatch):
    path = identity_path()
    path.parent.mkdir()
    path.write_bytes(own_pem(monkeypatch))
    assert not identity().made_here
    signed = sign_video(video(tmp_path / "a.mp4"), tmp_path / "b.mp4", Credentials("t", "1", "m"), identity())
    manifest, _ = assertions(read_credentials(signed))
    assert manifest["signature_info"]["issuer"] == "Some Authority"
    ended = own_pem(monkeypatch, datetime.timedelta(seconds=-5))
    path.write_bytes(ended)
    with pytest.raises(StudioError, match="ended on"):
        identity()
    assert path.read_bytes() == ended


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_an_unusable_identity_is_told(content):
    identity_path().parent.mkdir()
    identity_path().write_bytes(content)
    with pytest.raises(StudioError, match="cannot be used to sign"):
        identity()


def test_a_foreign_certificate_is_not_taken_for_the_keys(monkeypatch):
    one, other = own_pem(monkeypatch), own_pem(monkeypatch)
    key = one[: one.index(b"-----BEGIN CERT")]
    identity_path().parent.mkdir()
    identity_path().write_bytes(key + other[other.index(b"-----BEGIN CERT") :])
    with pytest.raises(StudioError, match="not that of the key"):
        identity()


def test_a_photo_that_names_an_address_is_not_followed(tmp_path):
    asked = []

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

    server = HTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    xmp = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:dcterms="http://purl.org/dc/terms/" '
        f'dcterms:provenance="http://127.0.0.1:{server.server_port}/x.c2pa"/></rdf:RDF></x:xmpmeta>'
    )
    made_of = (Ingredient("Photo", photo(tmp_path / "p.jpg", xmp=xmp.encode()), "image/jpeg"),)
    signed = sign_video(video(tmp_path / "a.mp4"), tmp_path / "b.mp4", Credentials("t", "1", "m", made_of), identity())
    server.shutdown()
    assert read_credentials(signed)["validation_state"] == "Valid"
    assert asked == []


def test_a_refused_certificate_or_folder_leaves_nothing(tmp_path, monkeypatch):
    from engine.compositing import signing

    monkeypatch.setattr(signing, "ExtendedKeyUsageOID", type("Other", (), {"EMAIL_PROTECTION": x509.OID_SERVER_AUTH}))
    refused = identity()
    plain = video(tmp_path / "a.mp4")
    with pytest.raises(StudioError, match="could not be added"):
        sign_video(plain, tmp_path / "b.mp4", Credentials("t", "1", "m"), refused)
    with pytest.raises(WriteFailed):
        sign_video(plain, tmp_path / "absent" / "b.mp4", Credentials("t", "1", "m"), refused)
    assert sorted(os.listdir(tmp_path)) == ["a.mp4", "signing"]
