"""`[gateway]` is read as strictly as the rest of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

import guard
from guard.config import load_config
from tests.conftest import POLICE

LISTENER = '[[gateway.listener]]\nbind = "127.0.0.1:8443"\nserves = "proxy"\n'
TLS = 'certificate = "server.pem"\nkey = "server.key"\nclient_ca = "clients.pem"\n'
UPSTREAM = '[[gateway.upstream]]\nmatch = "/openai"\nshape = "openai"\nurl = "https://api.openai.com/"\n'
GOOD = f'[gateway]\nmax_requests = 8\nclients = {{ "spiffe://a/b" = "bodycam" }}\n{LISTENER}{TLS}{UPSTREAM}'


def read(tmp_path: Path, text: str):
    path = tmp_path / "guard.toml"
    path.write_text(POLICE + '[services]\n"mine" = "self_hosted"\n' + text)
    return load_config(path).gateway


def test_a_good_one_is_read(tmp_path):
    config = read(tmp_path, GOOD)
    (listener,), (upstream,) = config.listeners, config.upstreams
    assert config.max_requests == 8
    assert config.deadline_s == 2.0
    assert config.clients == {"spiffe://a/b": "bodycam"}
    assert listener.address == ("127.0.0.1", 8443)
    assert listener.client_ca == tmp_path / "clients.pem"
    assert listener.socket_path is None
    assert (upstream.match, upstream.url, upstream.service) == ("/openai", "https://api.openai.com", "openai")


def test_a_file_without_it_has_none(tmp_path):
    assert read(tmp_path, "") is None


def test_a_name_under_services_counts_and_a_host_has_no_case(tmp_path):
    text = GOOD.replace('"/openai"', '"LLM.example"\nservice = "mine"').replace("api.openai.com", "llm.example")
    (upstream,) = read(tmp_path, text).upstreams
    assert (upstream.match, upstream.service) == ("llm.example", "self_hosted")


def test_a_unix_socket_lies_beside_the_file(tmp_path):
    text = GOOD.replace('"127.0.0.1:8443"', '"unix:guard.sock"').replace(TLS, 'source_header = "X-Source"\n')
    (listener,) = read(tmp_path, text).listeners
    assert listener.socket_path == tmp_path / "guard.sock"
    assert listener.source_header == "x-source"


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("max_requests", "max_request", r"gateway\.max_request\b.*did you mean 'max_requests'"),
        ("max_requests = 8", "max_requests = 0", r"gateway\.max_requests"),
        ("max_requests = 8", "deadline_s = 1e9", r"gateway\.deadline_s"),
        ('= "bodycam"', '= "bodycom"', "no source is called 'bodycom'.*did you mean 'bodycam'"),
        ("clients = {", "clients = 7 #", "clients must be a table"),
        ('serves = "proxy"', 'serves = "proxi"', "did you mean 'proxy'"),
        ('serves = "proxy"', 'serves = "status"', "nothing is guarded"),
        ("serves", "server", r"listener\[0\]\.server"),
        ('"127.0.0.1:8443"', '"8443"', "no address"),
        ('"127.0.0.1:8443"', '"127.0.0.1:99999"', "no address"),
        ('key = "server.key"\n', "", "go together"),
        ('certificate = "server.pem"\nkey = "server.key"\n', "", "need TLS"),
        (TLS, "", "nothing names the source"),
        (TLS, 'source_header = "x-source"\n', "could name any source"),
        (TLS, 'source_header = "x-source"\ntrusted = "yes"\n', "trusted"),
        (TLS, TLS + 'source_header = "x-source"\n', "not by both"),
        (UPSTREAM, "", "nothing stands behind"),
        (UPSTREAM, UPSTREAM + UPSTREAM, "two upstreams match '/openai'"),
        (LISTENER + TLS, LISTENER + TLS + LISTENER + TLS, "two listeners bind"),
        ('shape = "openai"', 'shape = "opena"', "did you mean 'openai'"),
        ('shape = "openai"', 'shape = "rekognition"', "signed with its path"),
        ('shape = "openai"', 'shape = "openai"\nservice = "other-one"', "no service is called"),
        ('shape = "openai"', 'shape = "azure_face"\nservice = "self_hosted"', "always the same service"),
        ('match = "/openai"\n', "", r"upstream\[0\]\.match"),
        ('url = "https://api.openai.com/"\n', "", "nowhere to forward to"),
        ('"https://api.openai.com/"', '"ftp://api.openai.com/"', "no address of a server"),
        ('"https://api.openai.com/"', '"https://user@api.openai.com/"', "no address of a server"),
        ('"https://api.openai.com/"', '"https://api.openai.com:port/"', "port is no number"),
        ("[[gateway.upstream]]", "[gateway.upstream]", "list of tables"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(tmp_path, before, after, says):
    assert before in GOOD
    with pytest.raises(guard.ConfigError, match=says):
        read(tmp_path, GOOD.replace(before, after))


def test_a_host_s_own_path_is_not_changed(tmp_path):
    text = GOOD.replace('match = "/openai"', 'match = "api.openai.com"').replace(".com/", ".com/v2")
    with pytest.raises(guard.ConfigError, match="own path"):
        read(tmp_path, text)


def test_envoy_forwards_itself_so_a_check_needs_no_address(tmp_path):
    text = GOOD.replace('"proxy"', '"check"').replace('url = "https://api.openai.com/"\n', "")
    assert read(tmp_path, text).upstreams[0].url is None
