"""The fleet's plan, ledger and queue on simulated hosts: the same code as with a thousand of them, on a few."""

import json
import sys

import pytest
from helpers.paths import CHECKOUT

sys.path.append(str(CHECKOUT / "lab"))

import fleet_results
import fleet_simulation


@pytest.mark.parametrize("seed", range(3))
def test_each_job_is_done_once_and_hosts_have_work(tmp_path, monkeypatch, seed):
    monkeypatch.setattr(fleet_simulation, "FAILURES", 0.02)
    monkeypatch.setattr(fleet_simulation, "OUTAGES", 0.002)
    found = fleet_simulation.simulate(jobs=6000, hosts=12, seed=seed, folder=tmp_path)
    assert found["jobs done"] == found["ends of jobs"] == 6000
    assert found["outages"] > 0 and found["pieces taken over"] > 0
    assert found["utilisation"] > 0.95
    assert 0 < found["guider calls more than planned, share"] < 0.1


def test_without_failures_and_with_one_host_the_plan_is_exact(tmp_path, monkeypatch):
    monkeypatch.setattr(fleet_simulation, "FAILURES", 0)
    monkeypatch.setattr(fleet_simulation, "OUTAGES", 0)
    found = fleet_simulation.simulate(jobs=1000, hosts=1, seed=0, folder=tmp_path)
    scenes = 1000 / fleet_simulation.PEOPLE
    assert found["guider calls planned"] == scenes * (50 + 51) + 1000 * 50
    assert found["guider calls more than planned, share"] == pytest.approx(0, abs=1e-9)


def test_results_name_no_folder_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(
        sys, "argv", ["/a/lab/fleet_speed.py", "--models", "/b/models", "--results=/c", "--rounds", "5"]
    )
    file = fleet_results.write_results({"ratio": 1.0}, "speed", tmp_path / "new")
    found = json.loads(file.read_text())
    assert found["about"]["command"] == "python lab fleet_speed --models DIR --results=DIR --rounds 5"
    assert found["ratio"] == 1.0
