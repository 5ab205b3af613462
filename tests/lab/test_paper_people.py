"""The people of the evaluation: CelebA-HQ's lists, references, and folders in which something is wrong."""

import numpy as np
import pytest
from PIL import Image
from skimage import data

from paper import celeba, people
from paper.mtcnn import Detector, Face
from paper.pictures import picture_files
from paper.prompts import CLASS, Prompt, read_prompts

ASTRONAUT = Image.fromarray(data.astronaut()).resize((256, 256))


@pytest.fixture
def lists(tmp_path):
    """CelebA-HQ in small: pictures 0 .. 9; person 7 is in five, 3 in three, 5 in two. Paths of lists and pictures."""
    images = tmp_path / "images"
    images.mkdir()
    of_person = [7, 3, 7, 5, 7, 3, 7, 5, 7, 3]
    mapping = ["idx\torig_idx\torig_file"]
    identities = ["999999.jpg 7"]  # a picture of CelebA's that is not in CelebA-HQ
    attributes = ["11", "5_o_Clock_Shadow Male Young"]
    for number, person in enumerate(of_person):
        name = f"{200000 + 3 * number:06}.jpg"
        mapping.append(f"{number}       {200000 + 3 * number - 1}  {name}")
        identities.append(f"{name} {person}")
        attributes.append(f"{name} -1  {1 if person == 3 or number == 0 else -1}  1")
        Image.new("RGB", (8, 8), (number, 0, 0)).save(images / f"{number:05}.png")
    for name, lines in (("mapping", mapping), ("identities", identities), ("attributes", attributes)):
        (tmp_path / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def run(lists, *more):
    named = ["--mapping", str(lists / "mapping.txt"), "--identities", str(lists / "identities.txt")]
    people.main(["--celeba-hq", str(lists / "images"), *named, *more, str(lists / "out")])


class TestCelebA:
    def test_those_with_more_pictures_get_a_folder_with_theirs(self, lists):
        run(lists, "--more-than", "2")
        out = lists / "out"
        assert sorted(path.name for path in out.iterdir()) == ["00003", "00007"]
        of_seven = picture_files(out / "00007")
        assert [path.name for path in of_seven] == [f"{number:05}.png" for number in (0, 2, 4, 6, 8)]
        assert all(path.is_symlink() for path in of_seven)
        assert [Image.open(path).getpixel((0, 0))[0] for path in of_seven] == [0, 2, 4, 6, 8]

    def test_at_most_so_many_people_are_taken_those_with_the_most_pictures(self, lists):
        run(lists, "--more-than", "1", "--count", "2", "--copy")
        assert sorted(path.name for path in (lists / "out").iterdir()) == ["00003", "00007"]
        assert not any(path.is_symlink() for path in (lists / "out").rglob("*.png"))

    def test_of_equals_the_lower_number_comes_first(self):
        chosen = celeba.choose({0: "a", 1: "b", 2: "c"}, {"a": 9, "b": 4, "c": 6}, 0, 2)
        assert list(chosen) == [4, 6]

    def test_the_class_word_is_what_most_of_the_pictures_say(self, lists):
        run(lists, "--more-than", "2", "--attributes", str(lists / "attributes.txt"))
        words = {person.identity: person.word for person in people.read_people(lists / "out")}
        assert words == {"00003": "man", "00007": "woman"}

    def test_a_second_run_gives_the_same(self, lists):
        for _ in range(2):
            run(lists, "--more-than", "2")
        assert len(picture_files(lists / "out" / "00007")) == 5

    @pytest.mark.parametrize(
        ("file", "text", "said"),
        [
            ("mapping", "idx orig_idx orig_file\nzero 1 a.jpg", "mapping.txt, line 2"),
            ("mapping", "0 1 a.jpg extra", "mapping.txt, line 1"),
            ("identities", "a.jpg someone", "identities.txt, line 1"),
            ("identities", "a.jpg 7", "do the two lists belong together?"),
            ("mapping", "77 1 200000.jpg\n78 1 200006.jpg\n79 1 200012.jpg", "3 of the chosen .* number 77"),
        ],
    )
    def test_lists_that_are_wrong_are_named(self, lists, file, text, said):
        (lists / f"{file}.txt").write_text(text, encoding="utf-8")
        with pytest.raises(SystemExit, match=said):
            run(lists, "--more-than", "2")

    def test_attributes_without_the_column_are_named(self, lists):
        (lists / "attributes.txt").write_text("1\nYoung\na.jpg 1\n", encoding="utf-8")
        with pytest.raises(SystemExit, match="attributes.txt: has no column 'Male'"):
            run(lists, "--attributes", str(lists / "attributes.txt"), "--more-than", "2")

    def test_without_the_lists_it_is_refused(self, lists, capsys):
        with pytest.raises(SystemExit):
            people.main(["--celeba-hq", str(lists / "images"), str(lists / "out")])
        assert "--celeba-hq needs --mapping and --identities" in capsys.readouterr().err

    def test_a_folder_without_numbered_pictures_is_named(self, tmp_path):
        with pytest.raises(ValueError, match="has no pictures whose names are numbers"):
            celeba.find_pictures(tmp_path)


FRONTAL = np.array([[30.0, 40], [70, 40], [50, 60], [35, 80], [65, 80]])


def face(box=(10, 10, 90, 110), points=FRONTAL, probability=0.999):
    return Face(np.array(box, float), np.array(points, float), probability)


class TestFullFace:
    def test_a_certain_face_turned_to_the_camera_is_full(self):
        assert people.shows_full_face(face(), (100, 120))

    @pytest.mark.parametrize(
        "other",
        [
            None,
            face(probability=0.98),
            face(box=(-1, 10, 90, 110)),
            face(box=(10, 10, 90, 121)),
            face(points=FRONTAL + np.array([[0, 0], [0, 0], [14, 0], [0, 0], [0, 0]])),
            face(points=FRONTAL - np.array([[0, 0], [0, 0], [30, 0], [0, 0], [0, 0]])),
        ],
        ids=["none", "uncertain", "cut at the left", "cut below", "turned", "in profile"],
    )
    def test_others_are_not(self, other):
        assert not people.shows_full_face(other, (100, 120))


@pytest.fixture
def folder(tmp_path):
    """Two people: three photographs with the full face and one without; two with."""
    plain = Image.new("RGB", (64, 64), (9, 99, 200))
    variants = [
        ASTRONAUT,
        ASTRONAUT.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        ASTRONAUT.point(lambda v: v // 2),
        plain,
    ]
    for name, pictures in (("ada", variants), ("bob", variants[:2])):
        (tmp_path / "people" / name).mkdir(parents=True)
        for number, picture in enumerate(pictures):
            picture.save(tmp_path / "people" / name / f"{number}.png")
    (tmp_path / "people" / "ada" / "class.txt").write_text("woman\n", encoding="utf-8")
    return tmp_path / "people"


@pytest.fixture(scope="module")
def detector():
    return Detector()


class TestReferences:
    def test_the_reference_shows_the_full_face_and_the_others_are_all_the_rest(self, folder, detector):
        ada, bob = people.read_people(folder)
        chosen = people.choose_reference(ada, detector)
        assert [path.name for path in chosen.full] == ["0.png", "1.png", "2.png"]
        assert chosen.reference in chosen.full
        assert {chosen.reference, *chosen.others} == set(ada.pictures) and len(chosen.others) == 3
        assert (ada.word, bob.word) == ("woman", "person")

    def test_seeds_choose_differently_and_nobody_elses_folder_matters(self, folder, detector):
        ada = people.read_people(folder)[0]
        by_seed = [people.choose_reference(ada, detector, seed).reference for seed in range(12)]
        assert set(by_seed) == set(people.choose_reference(ada, detector).full)
        assert people.choose_reference(ada, detector, 0).reference == by_seed[0]

    def test_the_check_prints_a_line_for_each_person(self, folder, capsys):
        people.main([str(folder)])
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 4 and "| ada | woman |" in lines[2] and lines[2].endswith("| 4 | 3 |")

    def test_a_person_without_a_full_face_is_named(self, folder):
        Image.new("RGB", (64, 64)).save(folder / "bob" / "0.png")
        Image.new("RGB", (64, 64)).save(folder / "bob" / "1.png")
        with pytest.raises(SystemExit, match="bob: none of its 2 pictures shows the full face"):
            people.main([str(folder)])

    def test_wrong_folders_are_named(self, folder, tmp_path):
        with pytest.raises(ValueError, match="nowhere: is not a folder"):
            people.read_people(tmp_path / "nowhere")
        with pytest.raises(ValueError, match="ada: has no folders"):
            people.read_people(folder / "ada")
        (folder / "ada" / "class.txt").write_text("astronaut", encoding="utf-8")
        with pytest.raises(ValueError, match="class.txt: says 'astronaut'"):
            people.read_people(folder)
        for path in picture_files(folder / "ada")[1:]:
            path.unlink()
        with pytest.raises(ValueError, match="ada: has 1 pictures"):
            people.read_people(folder)

    def test_a_file_that_is_no_picture_is_named(self, folder):
        (folder / "bob" / "1.png").write_text("no picture", encoding="utf-8")
        with pytest.raises(SystemExit, match="1.png: cannot be read as a picture"):
            people.main([str(folder)])

    def test_input_records_are_each_photograph_against_the_others(self, folder):
        ada = people.read_people(folder)[0]
        records = people.input_records(ada)
        assert [record.picture for record in records] == list(ada.pictures)
        assert all({record.picture, *record.others} == set(ada.pictures) for record in records)


class TestPrompts:
    def test_there_are_forty_two_of_each_kind_all_different(self):
        prompts = read_prompts()
        kinds = [prompt.kind for prompt in prompts]
        assert [prompt.number for prompt in prompts] == list(range(1, 41))
        assert len(set(kinds)) == 20 and all(kinds.count(kind) == 2 for kind in kinds)
        assert len({prompt.pattern for prompt in prompts}) == 40

    def test_none_names_a_gender_and_each_is_short_enough_for_clip(self):
        for prompt in read_prompts():
            words = prompt.text("person").replace(",", " ").split()
            assert not {"she", "he", "her", "his", "him", "woman", "man"} & set(words)
            assert 6 <= len(words) <= 20

    def test_the_trigger_stands_right_after_the_class_word(self):
        prompt = Prompt(1, "hair", f"a photo of a {CLASS} with red hair")
        assert prompt.text("woman") == "a photo of a woman with red hair"
        assert prompt.text("man", "img") == "a photo of a man img with red hair"

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("a <class>", "line 1: comes before the first"),
            ("[x]\na cat", "line 2: needs <class> exactly once"),
            ("[x]\na <class> and a <class>", "line 2: needs"),
            ("# nothing", "has no prompts"),
        ],
    )
    def test_a_file_that_is_wrong_is_named(self, text, said, tmp_path):
        (tmp_path / "prompts.txt").write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=f"prompts.txt.*{said}"):
            read_prompts(tmp_path / "prompts.txt")
