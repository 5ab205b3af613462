"""dev.py's Server on fake hosts: it starts, says why it did not, and never stays behind."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import torch
from helpers.paths import CHECKOUT

import dev
from devtools import processes
from devtools import server as server_module
from devtools.processes import SetupError
from devtools.server import Server

# A host's main.py: it answers /system_stats, says so when asked to end, and is started like the real one.
FAKE_HOST = """
import http.server, os, pathlib, sys, time
class Stats(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/system_stats" else 404)
        self.end_headers()
port = int(sys.argv[sys.argv.index("--port") + 1])
print("arguments", sys.argv[1:], "cwd", os.getcwd())
try:
    http.server.HTTPServer(("127.0.0.1", port), Stats).serve_forever()
except KeyboardInterrupt:
    print("asked to end")
"""


def gone(process_id: int) -> bool:
    """Whether no process of this id is left."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return True
    return False


class TestServer:
    @pytest.fixture
    def start(self, tmp_path):
        """Make a Server whose host is the given main.py."""

        def start(main, **options):
            (tmp_path / "host").mkdir()
            (tmp_path / "host" / "main.py").write_text(main)
            packs = {"some-pack": tmp_path / "host"}
            options = {"timeout": 20, "log": tmp_path / "log", **options}
            return Server(tmp_path / "base", tmp_path / "host", tmp_path / "models", packs, **options)

        return start

    def test_it_answers_and_is_asked_to_end(self, start, tmp_path, monkeypatch):
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # a proxy that would lead nowhere
        with start(FAKE_HOST) as server:
            assert urllib.request.build_opener(urllib.request.ProxyHandler({})).open(server.url + "/system_stats")
            assert (tmp_path / "base" / "custom_nodes" / "some-pack" / "main.py").read_text() == FAKE_HOST
            assert (tmp_path / "base" / "user" / "default").is_dir()
        log = server.log.read_text()
        assert str(tmp_path / "models") in log and "'--cpu'" in log
        assert server.process.returncode is not None
        assert os.name == "nt" or (server.process.returncode == 0 and "asked to end" in log)

    def test_it_is_stopped_whatever_happens_inside(self, start):
        with pytest.raises(ZeroDivisionError), start(FAKE_HOST) as server:
            raise ZeroDivisionError
        assert server.process.returncode is not None

    def test_a_host_that_dies_shows_the_end_of_its_log(self, start):
        with pytest.raises(SetupError, match="exit status 3(.|\n)*no such model"):
            start("import sys; print('no such model'); sys.exit(3)").__enter__()

    @pytest.mark.parametrize(("cpu", "wanted"), [(True, True), (False, False)])
    def test_only_a_server_that_is_to_stay_on_the_cpu_is_told_so(self, start, cpu, wanted):
        with start(FAKE_HOST, cpu=cpu) as server:
            pass
        assert ("'--cpu'" in server.log.read_text()) == wanted

    @pytest.mark.skipif(os.name == "nt", reason="Windows ends processes without a signal")
    def test_a_host_that_is_killed_says_so_at_the_end(self, start):
        with pytest.raises(SetupError, match="killed by SIGKILL.*memory(.|\n)*arguments"), start(FAKE_HOST) as server:
            server.process.kill()
            server.process.wait()

    @pytest.mark.skipif(os.name == "nt", reason="Windows ends processes without a signal")
    def test_whoever_lost_the_connection_learns_why(self, start):
        with pytest.raises(SetupError, match="killed by SIGKILL") as raised, start(FAKE_HOST) as server:
            server.process.kill()
            server.process.wait()
            raise ConnectionError("lost")
        assert isinstance(raised.value.__context__, ConnectionError)

    def test_a_host_that_lives_passes_the_check(self, start):
        with start(FAKE_HOST) as server:
            server.check(patience=0.1)

    def test_a_host_that_is_silent_is_given_up_and_killed(self, start, monkeypatch):
        monkeypatch.setattr(processes, "GRACE", 0.3)
        stubborn = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)"
        server = start(stubborn, timeout=1)
        with pytest.raises(SetupError, match="has not answered for 1 s"):
            server.__enter__()
        assert server.process.returncode is not None

    def test_a_taken_port_is_refused(self, start):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            with pytest.raises(SetupError, match=f"port {port}"):
                start(FAKE_HOST, port=port)

    def test_it_can_start_again_in_the_same_folder(self, start):
        with start(FAKE_HOST) as server:
            first = server.process
        with server:
            assert first.poll() is not None and server.process.poll() is None


@pytest.mark.parametrize(("available", "found"), [("True", True), ("False", False)])
def test_the_accelerator_is_the_one_that_pytorch_finds(tmp_path, monkeypatch, available, found):
    (tmp_path / "torch.py").write_text(f"class accelerator:\n    is_available = lambda: {available}\n")
    monkeypatch.setattr(server_module, "variables", lambda: {**os.environ, "PYTHONPATH": str(tmp_path)})
    assert server_module.accelerator(sys.executable) is found


def test_pytorch_can_be_asked_for_an_accelerator():
    assert server_module.accelerator(sys.executable) is torch.accelerator.is_available()


@pytest.mark.parametrize(
    ("models", "forbidden", "there", "stays"),
    [(False, False, True, True), (True, False, True, False), (True, True, True, True), (True, False, False, True)],
)
def test_only_real_models_use_an_accelerator_and_only_if_it_may_be_used(
    monkeypatch, tmp_path, capsys, models, forbidden, there, stays
):
    monkeypatch.setattr(dev, "accelerator", lambda python: there)
    assert dev.stays_on_cpu(tmp_path if models else None, forbidden, Path(sys.executable)) is stays
    said = capsys.readouterr().out
    assert bool(said) == models and ("on the CPU" in said) == (models and stays) and ("--cpu" in said) == forbidden


def test_the_test_of_real_models_is_told_the_device_and_the_size(monkeypatch, tmp_path):
    runs = []
    monkeypatch.setattr(dev, "accelerator", lambda python: True)
    monkeypatch.setattr(dev, "set_up", lambda models: {"python": Path("python"), "comfyui": tmp_path})
    monkeypatch.setattr(dev, "run", lambda *command, **places: runs.append((command, places)) or 0)
    assert dev.main(["test", "--models", str(tmp_path), "--size", "512", "--steps", "20", "-k", "real"]) == 0
    command, places = runs[-1]
    assert command[-2:] == ("-k", "real")
    assert places["CUSTOMENHANCER_MODELS"] == str(tmp_path) and places["CUSTOMENHANCER_DEVICE"] == "accelerator"
    assert (places["CUSTOMENHANCER_SIZE"], places["CUSTOMENHANCER_STEPS"]) == ("512", "20")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["demo", "--size", "1024", "--steps", "1"], None),
        (["demo", "--size", "100"], "multiple of 8"),
        (["demo", "--size", "8"], "from 64"),
        (["demo", "--steps", "0"], "less than 1"),
        (["test", "--steps", "5"], "--models"),
    ],
)
def test_a_size_that_cannot_be_is_refused(monkeypatch, capsys, arguments, said):
    monkeypatch.setattr(dev, "demo", lambda *_: 0)
    if said is None:
        assert dev.main(arguments) == 0
        return
    with pytest.raises(SystemExit):
        dev.main(arguments)
    assert said in capsys.readouterr().err


@pytest.fixture
def serving(tmp_path):
    """`dev.py serve` on a fake host: its process, the host's process id, and the lines that it goes on to print."""
    host = tmp_path / "host"
    host.mkdir()
    (host / "main.py").write_text("import os; print('host', os.getpid(), flush=True)\n" + FAKE_HOST)
    code = (
        "import sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "import dev\n"
        "from devtools.server import free_port\n"
        "dev.environment = lambda: sys.executable\n"
        "sys.exit(dev.main(['serve', '--cpu', '--models', sys.argv[2], '--port', str(free_port())]))"
    )
    places = {"CUSTOMENHANCER_CACHE": str(tmp_path / "cache"), "COMFYUI_PATH": str(host)}
    command = [sys.executable, "-c", code, str(CHECKOUT), str(tmp_path)]
    process = subprocess.Popen(command, env={**os.environ, **places}, stdout=subprocess.PIPE, text=True)
    try:
        lines = iter(process.stdout.readline, "")
        server_id = next(int(line.split()[1]) for line in lines if line.startswith("host "))
        next(line for line in lines if "Ctrl-C ends it" in line)
        yield process, server_id, lines
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows ends processes without a signal")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_no_server_outlives_dev_py(serving, name):
    """`serve`, ended as a service manager, Ctrl-C or a closed terminal does it."""
    process, server_id, _ = serving
    number = getattr(signal, name)
    process.send_signal(number)
    assert process.wait(20) == (130 if number == signal.SIGINT else 128 + number)
    assert gone(server_id)


@pytest.mark.skipif(os.name == "nt", reason="Windows ends processes without a signal")
def test_serve_says_how_its_server_ended(serving):
    process, server_id, lines = serving
    os.kill(server_id, signal.SIGKILL)
    assert process.wait(20) == 1
    assert "dev.py: ComfyUI was killed by SIGKILL" in "".join(lines)
