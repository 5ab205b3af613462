"""Which host does what: every job once, what is shared computed once, nobody idle for long."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.job_queue import JobQueue


def jobs(*groups, models="m"):
    """Jobs of groups of these sizes, numbered in order."""
    numbers = iter(range(1000))
    return [(next(numbers), models, f"g{group}") for group, size in enumerate(groups) for _ in range(size)]


def queue(found, shared=10, own=10, hosts=("a", "b")):
    made = JobQueue(found, lambda number, before: (shared, own))
    for host in hosts:
        made.join(host)
    return made


def taken(made, host, count):
    return [made.take(host) for _ in range(count)]


def test_a_host_keeps_to_its_group_and_another_takes_the_next():
    made = queue(jobs(3, 3, 3))
    assert [made.take("a"), made.take("b"), made.take("a"), made.take("b")] == [0, 3, 1, 4]
    assert taken(made, "a", 2) == [2, 6]


def test_a_host_keeps_its_models_loaded():
    found = jobs(2, 2) + [(number + 10, "n", group) for number, _, group in jobs(2, 2)]
    made = queue(found)
    assert made.take("a") == 0 and made.take("b") == 10  # other models than a's
    assert taken(made, "a", 3) == [1, 2, 3] and taken(made, "b", 3) == [11, 12, 13]


def test_the_end_of_a_long_group_is_taken_over_when_that_is_sooner():
    made = queue(jobs(10))
    assert made.take("a") == 0
    assert made.take("b") == 6  # of nine that are left: worth one of them, so four
    assert made.taken_over == [(6, 5)]
    rest = taken(made, "a", 5) + taken(made, "b", 3)
    assert sorted(rest) == [1, 2, 3, 4, 5, 7, 8, 9]


def test_nothing_is_taken_over_that_its_host_does_sooner():
    made = queue(jobs(2), shared=50)
    assert made.take("a") == 0
    assert made.take("b") is None
    assert made.take("a") == 1


def test_a_fast_host_takes_over_more():
    made = queue(jobs(101), shared=0)
    made.take("a")
    made.report("a", 1.0)
    made.report("b", 4.0)
    assert made.take("b") == 21  # four fifths of a hundred


def test_what_a_host_leaves_is_taken_by_others():
    made = queue(jobs(4), shared=1000)
    assert made.take("a") == 0
    made.leave("a")
    made.give_back(0)
    assert taken(made, "b", 5) == [0, 1, 2, 3, None]


def test_a_job_does_not_go_back_to_a_host_that_failed_it_while_there_are_others():
    made = queue(jobs(1))
    assert made.take("a") == 0
    made.give_back(0, ["a"])
    assert made.take("a") is None and made.take("b") == 0
    made.give_back(0, ["a"])
    made.leave("b")
    assert made.take("a") == 0


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_every_job_is_given_out_once_whatever_happens(data):
    sizes = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=6))
    made = queue(jobs(*sizes), shared=data.draw(st.integers(0, 30)), hosts=("a", "b", "c"))
    out, done = {}, Counter()
    for _ in range(500):
        if not made.waiting and not out:
            break
        host = data.draw(st.sampled_from("abc"))
        event = data.draw(st.sampled_from(["take", "take", "finish", "finish", "lose", "leave"]))
        held = [number for number, holder in out.items() if holder == host]
        if event == "take" and (number := made.take(host)) is not None:
            assert number not in out and not done[number]
            out[number] = host
        elif event == "finish" and held:
            done[held[0]] += 1
            del out[held[0]]
        elif event == "lose" and held:
            made.give_back(held[0], [host] if data.draw(st.booleans()) else ())
            del out[held[0]]
        elif event == "leave":
            made.leave(host)
            for number in held:
                made.give_back(number)
                del out[number]
            made.join(host)
    for number in out:
        made.give_back(number)
    while made.waiting:
        for host in "abc":
            if (number := made.take(host)) is not None:
                done[number] += 1
    assert done == Counter(dict.fromkeys(range(sum(sizes)), 1))
    assert taken(made, "a", 1) == [None]
