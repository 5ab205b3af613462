"""Whole runs on hosts that misbehave: nothing is lost, nothing doubled, and each failure is told once."""

import contextlib
import json
import threading
import time
from types import SimpleNamespace

import pytest
from helpers.prompts import node
from helpers.simulated_host import SimulatedComfyUI

from fleet.errors import FleetError
from fleet.fleet import Fleet
from fleet.host_api import PENDING, RUNNING, HttpHost, JobState
from fleet.hosts import Addresses
from fleet.ledger import DONE, FAILED, IN_FLIGHT, Ledger, Planned
from fleet.plan import Plan
from fleet.runner import Runner
from fleet.work import Work

QUICK = {"poll": 0.02, "patience": 0.4, "silence": 30.0}
GRAPH = {
    "set": node("Set", value=0),
    "person": node("LoadImage", image="x.png"),
    "save": node("SaveImage", images=["set", 0]),
}


class Run:
    """Runs of one list in one folder, on hosts by their addresses."""

    def __init__(self, folder, job_list):
        self.folder, self._job_list = folder, job_list
        (folder / "graph.json").write_text(json.dumps(GRAPH))

    def __call__(self, rows, *urls, hosts=None, **settings):
        """Run it. Returns the jobs as the ledger has them."""
        ledger = Ledger(self.folder / "results")
        try:
            plan = Plan(self._job_list(rows, workflow="graph.json"))
            ledger.plan(plan.jobs(), "list")
            source = Addresses(hosts or ",".join(urls))
            Fleet(ledger, plan, self.folder / "results", source, **{**QUICK, **settings}).run()
            return list(ledger.rows())
        finally:
            ledger.close()

    def pictures(self):
        return sorted(path.name for path in (self.folder / "results" / "pictures").rglob("*") if path.is_file())


@pytest.fixture
def run(tmp_path, job_list):
    return Run(tmp_path, job_list)


def rows(count):
    return [{"Set.value": number} for number in range(1, count + 1)]


def states(jobs):
    return [job["state"] for job in jobs]


def value(graph):
    return graph["set"]["inputs"]["value"]


def test_each_job_is_made_once_and_its_picture_is_there(run):
    first, second = SimulatedComfyUI(), SimulatedComfyUI()
    with first.serve() as one, second.serve() as two:
        jobs = run(rows(20), one, two)
    assert states(jobs) == [DONE] * 20 and {job["seconds"] for job in jobs} == {0.5}
    assert sorted(value(graph) for _, graph in first.received + second.received) == list(range(1, 21))
    assert first.received and second.received and max(first.most, second.most) <= 2
    assert run.pictures() == [f"{number:06d} SaveImage.png" for number in range(1, 21)]
    assert {job_id for job_id, _ in first.received + second.received} == {job["id"] for job in jobs}


def test_the_same_command_makes_nothing_again(run):
    host = SimulatedComfyUI()
    with host.serve() as url:
        run(rows(3), url)
        run(rows(5), url)
    assert [value(graph) for _, graph in host.received].count(1) == 1 and len(host.received) == 5


def test_pictures_are_brought_to_the_host_once(run):
    (run.folder / "bob.png").write_bytes(b"bob")
    host = SimulatedComfyUI()
    with host.serve() as url:
        run([{"Set.value": number, "LoadImage.image": "bob.png"} for number in (1, 2, 3)], url)
    (name,) = host.uploaded
    assert host.uploaded[name] == b"bob" and {graph["person"]["inputs"]["image"] for _, graph in host.received} == {
        name
    }


def test_a_bad_input_fails_once_with_the_nodes_message_and_the_rest_goes_on(run):
    def wrong(graph):
        return value(graph) == 2 and {"type": "value_smaller_than_min", "message": "too small", "details": "value"}

    host = SimulatedComfyUI(refuse=wrong)
    with host.serve() as url:
        jobs = run(rows(3), url)
    assert states(jobs) == [DONE, FAILED, DONE]
    assert jobs[1]["reason"] == "Set (set): too small: value" and jobs[1]["attempts"] == 1


def test_a_node_that_raises_fails_once_with_its_message(run):
    def error(graph):
        return value(graph) == 1 and {"node_type": "Set", "node_id": "set", "exception_message": "value: is 1\n"}

    host = SimulatedComfyUI(fail=error)
    with host.serve() as url:
        jobs = run(rows(2), url)
    assert states(jobs) == [FAILED, DONE] and len(host.received) == 2
    assert jobs[0]["reason"] == "Set (set): value: is 1"


def test_want_of_memory_is_tried_again_elsewhere_and_not_for_ever(run):
    def error(graph):
        return {
            "node_type": "Set",
            "node_id": "set",
            "exception_type": "torch.OutOfMemoryError",
            "exception_message": "x",
        }

    small, large = SimulatedComfyUI(fail=error), SimulatedComfyUI()
    with small.serve() as one, large.serve() as two:
        jobs = run(rows(6), one, two)
    assert states(jobs) == [DONE] * 6 and small.received
    with small.serve() as url:
        (job,) = run([{"Set.value": 100}], url, attempts=3)
    assert (job["state"], job["attempts"]) == (FAILED, 3) and job["reason"].endswith("(attempt 3 of 3)")


def test_a_host_that_lacks_a_model_leaves_the_jobs_to_others(run):
    lacks = {"type": "value_not_in_list", "message": "Value not in list", "details": "ckpt_name"}
    poor, rich = SimulatedComfyUI(refuse=lambda graph: lacks), SimulatedComfyUI()
    with poor.serve() as one, rich.serve() as two:
        jobs = run(rows(6), one, two)
    assert states(jobs) == [DONE] * 6 and not poor.received
    with poor.serve() as url:
        assert run([{"Set.value": 100}], url)[0]["reason"] == "Set (set): Value not in list: ckpt_name"


def test_a_host_that_answers_500_rests_and_comes_back(run):
    host = SimulatedComfyUI(answers=[500, 500])
    with host.serve() as url:
        jobs = run(rows(3), url, patience=30.0)
    assert states(jobs) == [DONE] * 3 and len(host.received) == 3


def test_a_host_that_loses_its_history_makes_the_job_again(run):
    host = SimulatedComfyUI(automatic=False)

    def restart():
        while len(host.received) < 2:
            time.sleep(0.01)
        host.forget()
        host.automatic = True

    with host.serve() as url:
        threading.Thread(target=restart, daemon=True).start()
        jobs = run(rows(3), url)
    assert states(jobs) == [DONE] * 3 and jobs[0]["attempts"] == 2
    assert len(run.pictures()) == 3


def test_a_job_that_hangs_is_given_up_and_tried_elsewhere(run):
    stuck, well = SimulatedComfyUI(hang=True), SimulatedComfyUI()
    with stuck.serve() as one, well.serve() as two:
        jobs = run(rows(4), one, two, silence=0.3, attempts=20)
    assert states(jobs) == [DONE] * 4 and stuck.cancelled
    assert all(job["host"] == two for job in jobs)


def test_a_sign_of_any_of_its_jobs_is_one_of_the_host(tmp_path, ledger):
    """As where an earlier run's jobs are taken up in another order than the host makes them in."""
    asked, cancelled = [], []
    host = SimpleNamespace(
        name="host",
        state=lambda job_id: asked.append(job_id) or JobState(RUNNING if job_id == "second" else PENDING),
        cancel=cancelled.append,
    )
    ledger.plan([Planned(f"id-{line}", line, {}, "m", "", "") for line in (1, 2)], "")
    runner = Runner(host, Work(ledger, tmp_path, None, attempts=3), poll=0.1, silence=0.1, patience=1.0)
    runner.adopt(1, "first", {})
    runner.adopt(2, "second", {})
    time.sleep(0.2)
    runner._look_for_silence()
    assert asked == ["first", "second"] and not cancelled
    time.sleep(0.2)
    runner._look_for_silence()
    assert cancelled == ["first", "second"]


def test_a_host_that_falls_silent_loses_its_jobs_to_others(run):
    dead, well = SimulatedComfyUI(automatic=False), SimulatedComfyUI()
    with contextlib.ExitStack() as stack:
        serving = stack.enter_context(contextlib.ExitStack())
        one, two = serving.enter_context(dead.serve()), stack.enter_context(well.serve())

        def die():
            while not dead.received:
                time.sleep(0.01)
            serving.close()

        threading.Thread(target=die, daemon=True).start()
        jobs = run(rows(8), one, two)
    assert states(jobs) == [DONE] * 8 and {job["host"] for job in jobs} == {two}


def test_a_host_that_comes_back_is_told_to_drop_what_others_have(run, monkeypatch):
    monkeypatch.setattr("fleet.runner.SHORTEST_REST", 0.1)
    host, well = SimulatedComfyUI(automatic=False), SimulatedComfyUI(automatic=False)

    def fall_silent():
        while len(host.received) < 2:
            time.sleep(0.01)
        host.answers = [500] * 2
        while len(host.cancelled) < 2:
            time.sleep(0.01)
        well.automatic = host.automatic = True

    with host.serve() as one, well.serve() as two:
        threading.Thread(target=fall_silent, daemon=True).start()
        jobs = run(rows(8), one, two, patience=0.05)
    assert states(jobs) == [DONE] * 8 and set(host.cancelled) == {job_id for job_id, _ in host.received[:2]}
    assert len(run.pictures()) == 8


def test_hosts_join_and_leave_by_a_line_of_their_file(run, monkeypatch):
    monkeypatch.setattr("fleet.fleet.HOSTS_EVERY", 0.05)
    first, second = SimulatedComfyUI(automatic=False), SimulatedComfyUI()
    with first.serve() as one, second.serve() as two:
        file = run.folder / "hosts.txt"
        file.write_text(f"{one}  # the first\n")

        def change():
            while not first.received:
                time.sleep(0.01)
            file.write_text(f"{one}\n{two}\n")
            while not second.received:
                time.sleep(0.01)
            file.write_text(f"{two}\n")
            time.sleep(0.3)
            first.automatic = True

        threading.Thread(target=change, daemon=True).start()
        jobs = run(rows(30), hosts=str(file))
    assert states(jobs) == [DONE] * 30
    assert len(first.received) == 2 and len(second.received) == 28  # what it had, it has finished


def test_a_hosts_file_that_is_being_written_changes_nothing(tmp_path):
    file = tmp_path / "hosts.txt"
    file.write_text("http://a:1\nhttp://b:1\n")
    source = Addresses(str(file))
    before = source.current()
    for content in (b"http://a:1\nhtt", b"\xff"):
        file.write_bytes(content)
        assert source.current() == before
    file.unlink()
    assert source.current() == before
    file.write_text("")  # nobody, for now
    assert source.current() == {}
    file.write_text("htt")
    assert source.current() == {}
    file.write_text("http://c:1\n")
    assert list(source.current()) == ["http://c:1"]


def test_what_an_earlier_run_left_with_a_host_is_asked_for_and_not_made_again(run):
    host = SimulatedComfyUI(automatic=False)
    with host.serve() as url:
        results = run.folder / "results"
        ledger = Ledger(results)
        plan = Plan(run._job_list(rows(3), workflow="graph.json"))
        ledger.plan(plan.jobs(), "list")
        for number in (1, 2):  # as a driver does that is killed then
            job = ledger.job(number)
            ledger.submit(number, url)
            host.submit({"prompt": plan.prepare(job["id"], job["row"])[0], "prompt_id": job["id"]})
        host.step()
        assert ledger.counts()[IN_FLIGHT] == 2
        ledger.close()
        host.automatic = True
        jobs = run(rows(3), url)
    assert states(jobs) == [DONE] * 3 and len(host.received) == 3
    assert len(run.pictures()) == 3


def test_ctrl_c_leaves_jobs_with_their_hosts_for_the_next_run(run, monkeypatch):
    host = SimulatedComfyUI(automatic=False)

    def interrupt(*_):
        if len(host.received) == 2:
            raise KeyboardInterrupt

    with host.serve() as url:
        with monkeypatch.context() as patch:
            patch.setattr("fleet.bars.Bars.update", interrupt)
            with pytest.raises(FleetError, match="the same command goes on where it ended"):
                run(rows(4), url)
        host.automatic = True
        jobs = run(rows(4), url)
    assert states(jobs) == [DONE] * 4 and len(host.received) == 4


def test_a_limit_stops_after_so_many_jobs(run):
    host = SimulatedComfyUI()
    with host.serve() as url:
        jobs = run(rows(10), url, limit=3)
    assert states(jobs).count(DONE) == 3 and len(host.received) == 3


def test_a_picture_that_changes_during_a_run_is_told(run):
    (run.folder / "bob.png").write_bytes(b"bob")
    host = SimulatedComfyUI()
    with host.serve() as url:
        ledger = Ledger(run.folder / "results")
        plan = Plan(run._job_list([{"LoadImage.image": "bob.png"}], workflow="graph.json"))
        ledger.plan(plan.jobs(), "list")
        (run.folder / "bob.png").write_bytes(b"somebody else")
        Fleet(ledger, plan, run.folder / "results", Addresses(url), **QUICK).run()
        (job,) = ledger.rows()
        ledger.close()
    assert job["state"] == FAILED and "bob.png: has changed since the run began" in job["reason"] and not host.received


def test_a_folder_that_cannot_be_written_to_ends_the_run(run):
    host = SimulatedComfyUI()
    (run.folder / "results").mkdir()
    (run.folder / "results" / "pictures").write_text("a file stands where the folder should")
    with host.serve() as url, pytest.raises(FleetError, match="cannot be written to"):
        run(rows(1), url)


def test_a_job_that_one_host_cannot_make_does_not_wait_for_one_that_is_away(run):
    def error(graph):
        return {"node_type": "Set", "node_id": "set", "exception_type": "torch.OutOfMemoryError"}

    small, away = SimulatedComfyUI(fail=error), SimulatedComfyUI()
    with away.serve() as gone:
        pass
    with small.serve() as url:
        (job,) = run(rows(1), url, gone, attempts=2)
    assert job["state"] == FAILED and job["reason"].endswith("(attempt 2 of 2)")


def test_a_list_that_drops_jobs_in_flight_ends_all_of_its_own(run):
    host = SimulatedComfyUI(automatic=False)
    with host.serve() as url:
        ledger = Ledger(run.folder / "results")
        ledger.plan(Plan(run._job_list(rows(2), workflow="graph.json")).jobs(), "list")
        ledger.submit(1, url)
        ledger.close()
        host.automatic = True
        jobs = run(rows(4)[2:], url)
    assert states(jobs) == [DONE] * 2 and len(host.received) == 2


@pytest.mark.parametrize("route", ["/prompt", "/api/jobs", "/view"])
@pytest.mark.parametrize("status", [401, 403, 413])
def test_an_answer_that_is_not_comfyuis_fails_no_job(run, monkeypatch, route, status):
    monkeypatch.setattr("fleet.runner.SHORTEST_REST", 0.05)
    host = SimulatedComfyUI(answers=[(route, status)] * 2)
    with host.serve() as url:
        jobs = run(rows(2), url, patience=30.0)
    assert states(jobs) == [DONE] * 2 and len(host.received) == 2 and not host.answers


def test_a_picture_that_one_host_does_not_take_is_made_on_another(run):
    (run.folder / "bob.png").write_bytes(b"bob")
    small, large = SimulatedComfyUI(wrong_upload=413), SimulatedComfyUI()
    row = {"LoadImage.image": "bob.png"}
    with small.serve() as one, large.serve() as two:
        jobs = run([row | {"Set.value": number} for number in range(6)], one, two)
    assert states(jobs) == [DONE] * 6 and not small.received and len(large.received) == 6
    with small.serve() as url:
        (job,) = run([row | {"Set.value": 100}], url)
    assert job["state"] == FAILED and "does not take the picture" in job["reason"] and job["attempts"] == 1


def test_a_picture_that_lies_there_in_part_is_brought_again(run):
    (run.folder / "bob.png").write_bytes(b"bob")
    host, row = SimulatedComfyUI(), {"LoadImage.image": "bob.png"}
    with host.serve() as url:
        run([row], url)
        (name,) = host.uploaded
        host.uploaded[name] = b"bo"
        run([row | {"Set.value": 2}], url)
    assert host.uploaded == {name: b"bob"}


def test_a_job_that_failed_is_made_again_when_it_is_asked_for(run):
    host = SimulatedComfyUI(fail=lambda graph: {"node_type": "Set", "exception_message": "no"})
    with host.serve() as url:
        assert states(run(rows(1), url)) == [FAILED]
        host.fail = lambda graph: None
        ledger = Ledger(run.folder / "results")
        ledger.retry_failed()
        ledger.close()
        (job,) = run(rows(1), url)
    assert job["state"] == DONE and len(host.received) == 2  # the host's memory of the failure was struck out


def test_a_job_that_its_host_has_made_already_is_not_made_again(run):
    host = SimulatedComfyUI()
    with host.serve() as url:
        run(rows(1), url)
        for file in run.folder.glob("results/ledger.sqlite*"):
            file.unlink()
        (job,) = run(rows(1), url)
    assert job["state"] == DONE and len(host.received) == 1


def test_a_host_takes_nothing_until_a_cancelled_job_has_ended_and_that_is_no_second_failure(run, monkeypatch):
    """As after an outage: others may have what it had, and an interrupt takes a while."""
    monkeypatch.setattr("fleet.runner.SHORTEST_REST", 0.05)
    host = SimulatedComfyUI(automatic=False, hang=True)

    def come_back():
        while len(host.received) < 2:
            time.sleep(0.01)
        host.answers = [500] * 3
        while not host.cancelled:
            time.sleep(0.01)
        time.sleep(0.3)
        host.taken_meanwhile = len(host.received)
        with host.lock:  # now the interrupt lands
            running = next(iter(host.queue))
            del host.queue[running]
            host.history[running] = {"status": "cancelled"}
        host.hang, host.automatic = False, True

    with host.serve() as url:
        threading.Thread(target=come_back, daemon=True).start()
        jobs = run(rows(4), url, patience=0.01, attempts=2)
    assert host.taken_meanwhile == 2 and states(jobs) == [DONE] * 4


def test_the_end_of_a_run_does_not_wait_for_a_host_that_is_still_starting(run):
    may_answer, host = threading.Event(), SimulatedComfyUI()

    class Starting(HttpHost):
        def state(self, job_id):
            may_answer.wait(60)
            return super().state(job_id)

    with host.serve() as url:
        source = Addresses(url)
        source._known["http://starting"] = Starting("http://starting")
        source.current = lambda: source._known
        ledger = Ledger(run.folder / "results")
        plan = Plan(run._job_list(rows(3), workflow="graph.json"))
        ledger.plan(plan.jobs(), "list")
        before = time.monotonic()
        Fleet(ledger, plan, run.folder / "results", source, **QUICK).run()
        seconds = time.monotonic() - before
        may_answer.set()
        assert states(ledger.rows()) == [DONE] * 3 and seconds < 30  # it would be 60
        ledger.close()


def test_a_fault_of_the_fleet_itself_ends_the_run(run, monkeypatch):
    monkeypatch.setattr("fleet.work.Work.prepare", lambda *_: 1 / 0)
    with SimulatedComfyUI().serve() as url, pytest.raises(FleetError, match="an error of the fleet itself: ZeroDiv"):
        run(rows(1), url)
