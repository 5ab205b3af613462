"""The settings in words: which starting step and scales they are, and that they follow the schedule's length."""

import pytest
import torch
from customenhancer.host.balances import BALANCES, PAPER
from customenhancer.nodes.flows import IdentityBalanceNode


def sigmas(steps):
    return torch.linspace(14, 0, steps + 1)


def test_the_papers_setting_starts_at_ten_of_fifty_steps():
    assert IdentityBalanceNode.execute(PAPER, sigmas(50)).result == (10, 1.0, 1.0)


@pytest.mark.parametrize("steps", [2, 5, 15, 50, 1000])
def test_from_the_scene_to_the_identity_the_start_comes_ever_earlier(steps):
    starts = [IdentityBalanceNode.execute(balance, sigmas(steps)).result[0] for balance in BALANCES]
    assert starts == sorted(starts, reverse=True) and starts[0] < steps and starts[-1] == 0


def test_one_step_is_left_to_the_person():
    assert [IdentityBalanceNode.execute(balance, sigmas(1)).result[0] for balance in BALANCES] == [0] * len(BALANCES)


def test_it_says_what_it_set():
    told = IdentityBalanceNode.execute("keep the scene", sigmas(50)).ui.as_dict()
    assert told["text"] == ("The forward flow acts from step 30 of 50 on, at scale 1; the backward flow at scale 1.",)


def test_a_schedule_without_steps_is_refused():
    with pytest.raises(ValueError, match=r"^sigmas: 1 values make no step"):
        IdentityBalanceNode.execute(PAPER, torch.zeros(1))
