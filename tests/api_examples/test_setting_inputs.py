"""The examples without a server: inputs set by title, settings of the command line, the end of a websocket's show."""

import importlib

import pytest
import websocket
from helpers.paths import CHECKOUT
from helpers.prompts import node


@pytest.fixture(autouse=True)
def on_the_path(monkeypatch):
    """The folder from which `python examples/...` imports."""
    monkeypatch.syspath_prepend(str(CHECKOUT / "api_examples"))


@pytest.fixture
def example():
    return importlib.import_module("run_workflow")


@pytest.fixture
def prompt():
    prompt = {"1": node("CLIPTextEncode", text="before", clip=["2", 1]), "2": node("A"), "3": node("A")}
    prompt["1"]["_meta"]["title"] = "Prompt"
    return prompt


def test_an_input_is_set_by_title(example, prompt):
    example.set_input(prompt, "Prompt", "text", "after")
    assert prompt["1"]["inputs"] == {"text": "after", "clip": ["2", 1]}


@pytest.mark.parametrize(
    ("title", "name", "says"),
    [
        ("Promt", "text", "^0 nodes are titled 'Promt'. The titles are: A, Prompt$"),
        ("A", "text", "^2 nodes are titled 'A'"),
        ("Prompt", "txt", "^'Prompt' has no input 'txt'. Its inputs are: text, clip$"),
    ],
)
def test_what_cannot_be_set_is_refused_with_what_there_is(example, prompt, title, name, says):
    with pytest.raises(ValueError, match=says):
        example.set_input(prompt, title, name, "after")
    assert prompt["1"]["inputs"]["text"] == "before"


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("Prompt.text=a man, f/2.8 = bright", ("Prompt", "text", "a man, f/2.8 = bright")),
        ("Label: No. 1.width=8", ("Label: No. 1", "width", "8")),
        ("Prompt.text=", ("Prompt", "text", "")),
    ],
)
def test_a_setting_is_read_at_its_first_equals_sign_and_the_last_dot_before(example, text, setting):
    assert example.read_setting(text) == setting


@pytest.mark.parametrize("text", ["Prompt.text", "Prompt=a.b", "text=1"])
def test_what_is_no_setting_is_refused(example, text):
    with pytest.raises(ValueError, match="is not TITLE.INPUT=VALUE"):
        example.read_setting(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("4", 4), ("0.5", 0.5), ("false", False), ("a man img", "a man img"), ('{"points": []}', {"points": []})],
)
def test_a_value_is_json_or_else_text(example, text, value):
    assert example.read_value(text) == value


class Socket:
    """A websocket that has these messages; an error among them is raised."""

    def __init__(self, *messages):
        self.messages = list(messages)

    def recv(self):
        message = self.messages.pop(0)
        if isinstance(message, Exception):
            raise message
        return message


@pytest.mark.parametrize(
    ("messages", "statuses"),
    [
        ([websocket.WebSocketTimeoutException()] * 3, ["pending", "in_progress", "completed"]),
        ([websocket.WebSocketConnectionClosedException()], []),
        ([ConnectionResetError()], []),
        ([b"preview", '{"type": "executing", "data": {"prompt_id": "it", "node": null}}'], []),
    ],
    ids=["silent until the job has ended", "closed", "broken", "told that the job has ended"],
)
def test_a_websocket_is_followed_until_the_job_or_the_connection_ends(monkeypatch, messages, statuses):
    with_messages, asked = importlib.import_module("run_workflow_websocket"), iter(statuses)
    monkeypatch.setattr(with_messages, "job", lambda server, prompt_id: {"status": next(asked)})
    socket = Socket(*messages)
    with_messages.show(socket, "http://nowhere", {}, "it")
    assert not socket.messages and not list(asked)


def test_other_jobs_messages_are_not_shown(monkeypatch, capsys):
    with_messages = importlib.import_module("run_workflow_websocket")
    progress = '{"type": "progress", "data": {"prompt_id": "PID", "value": 1, "max": 2, "node": "1"}}'
    end = '{"type": "executing", "data": {"prompt_id": "it", "node": null}}'
    with_messages.show(Socket(progress.replace("PID", "other"), end), "", {}, "it")
    assert capsys.readouterr().err == ""
    with_messages.show(Socket(progress.replace("PID", "it"), end), "", {}, "it")
    assert "1/2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["workflows/CustomEnhancer InstantID.app.json"], "InstantID.app.json is for the browser"),
        (["workflows/api/customenhancer_instantid.json", "--set", "Prompt=a man"], "is not TITLE.INPUT=VALUE"),
        (["workflows/api/customenhancer_instantid.json", "--photo", "absent.jpg"], "No such file.*absent.jpg"),
        (["workflows/api/customenhancer_instantid.json", "--server", "http://127.0.0.1:9"], "refused"),
    ],
)
def test_what_cannot_be_run_is_said_in_one_line(example, monkeypatch, tmp_path, arguments, says):
    monkeypatch.setattr("sys.argv", ["run_workflow.py", str(CHECKOUT / arguments[0]), *arguments[1:]])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=says):
        example.main()
