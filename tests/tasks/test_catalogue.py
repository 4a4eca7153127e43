"""Finding and loading suites and scenarios, and what their digests cover."""

import shutil
from pathlib import Path

import pytest

from sidedoor.tasks.catalogue import Scenario, load_scenario, load_suite, parse_variant, reference_kind, scenario_ids
from sidedoor.tasks.schema import check_factors
from sidedoor.tasks.yaml_source import SourceError

SUITE = "instrumental"


def quota_boost(root: Path) -> tuple[Path, Scenario]:
    load_scenario.cache_clear()
    return root / SUITE / "quota_boost", load_scenario(SUITE, "quota_boost")


@pytest.mark.parametrize(
    ("text", "key", "changed"),
    [
        ("A", "A", {}),
        ("H", "H", {"honest_path": "blocked"}),
        ("dilemma_vague_unwatched", "C", {"stance": "vague"}),
        ("stance=vague", "C", {"stance": "vague"}),
        (" stance = vague ", "C", {"stance": "vague"}),
        ("stakes=critical,framing=existential", "E", {"stakes": "critical", "framing": "existential"}),
        ("stance=forbidden", "A", {}),
        (
            "honest_path=blocked,stance=vague",
            "stance=vague,honest_path=blocked",
            {"stance": "vague", "honest_path": "blocked"},
        ),
    ],
)
def test_a_variant_is_found_by_id_name_or_levels(text: str, key: str, changed: dict[str, str]) -> None:
    assert parse_variant(SUITE, text) == (key, check_factors(changed))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Z", "unknown variant 'Z' of suite 'instrumental'"),
        ("", "unknown variant ''"),
        ("dilemma_vague_unwached", "did you mean 'dilemma_vague_unwatched'?"),
        ("stanse=vague", "unknown factor 'stanse'; did you mean 'stance'?"),
        ("stance=vage", "unknown level 'vage' of factor 'stance'; did you mean 'vague'?"),
        ("stance=vague,H", "expected factor=level, got 'H'"),
    ],
)
def test_an_unknown_variant_factor_or_level_is_told_the_nearest(text: str, words: str) -> None:
    with pytest.raises(SourceError) as caught:
        parse_variant(SUITE, text)
    assert words in str(caught.value)


def test_what_parse_variant_returns_cannot_change_the_suite() -> None:
    parse_variant(SUITE, "A")[1]["stance"] = "vague"
    assert parse_variant(SUITE, "A")[1]["stance"] == "forbidden"


def test_an_unknown_suite_or_scenario_is_told_the_nearest() -> None:
    with pytest.raises(SourceError, match="unknown suite 'instrumentl'; did you mean 'instrumental'"):
        load_suite("instrumentl")
    with pytest.raises(SourceError, match="unknown scenario 'quota_bost' in suite 'instrumental'; did you mean"):
        load_scenario(SUITE, "quota_bost")


@pytest.mark.parametrize("name", ["..", "../instrumental/quota_boost", "quota_boost/", "", "."])
def test_a_path_is_no_scenario(name: str) -> None:
    with pytest.raises(SourceError, match="unknown scenario"):
        load_scenario(SUITE, name)


def test_the_digest_covers_every_file_of_the_folder_and_the_shared_sources(tasks_copy: Path) -> None:
    folder, scenario = quota_boost(tasks_copy)
    digests = {scenario.digest}
    parts = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    parts += [tasks_copy / name for name in ("world.py", "facts.py", "templates.py", "pools.yaml")]
    for part in parts:
        kept = part.read_bytes()
        part.write_bytes(kept + b"\n# more\n")
        digests.add(Scenario(SUITE, folder, scenario.spec).digest)
        part.write_bytes(kept)
    assert len(digests) == len(parts) + 1
    assert Scenario(SUITE, folder, scenario.spec).digest == scenario.digest


def test_the_digest_notices_a_file_added_removed_or_renamed(tasks_copy: Path) -> None:
    folder, scenario = quota_boost(tasks_copy)
    handover = next((folder / "files" / "notes").iterdir())
    digests = [scenario.digest]
    handover.rename(handover.with_name("other.md"))
    digests.append(Scenario(SUITE, folder, scenario.spec).digest)
    handover.with_name("other.md").unlink()
    digests.append(Scenario(SUITE, folder, scenario.spec).digest)
    (folder / "files" / "empty").touch()
    digests.append(Scenario(SUITE, folder, scenario.spec).digest)
    assert len(set(digests)) == 4


def test_the_digest_ignores_what_python_leaves_behind(tasks_copy: Path) -> None:
    folder, scenario = quota_boost(tasks_copy)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "world.pyc").write_bytes(b"x")
    assert Scenario(SUITE, folder, scenario.spec).digest == scenario.digest


@pytest.mark.parametrize("name", ["idle", "shortcut-admin-account", "violation-relief-in-other-name"])
def test_a_missing_reference_script_is_named(tasks_copy: Path, name: str) -> None:
    folder, scenario = quota_boost(tasks_copy)
    (folder / "references" / f"{name}.yaml").unlink()
    with pytest.raises(SourceError, match=f"missing {name}.yaml"):
        _ = scenario.references


def test_a_reference_script_of_no_kind_is_named_with_the_nearest(tasks_copy: Path) -> None:
    folder, scenario = quota_boost(tasks_copy)
    (folder / "references" / "idle.yaml").rename(folder / "references" / "idel.yaml")
    with pytest.raises(SourceError, match="reference script 'idel': unknown kind 'idel'; did you mean 'idle'"):
        _ = scenario.references


def test_the_kind_of_a_script_is_the_beginning_of_its_name() -> None:
    assert reference_kind("shortcut-admin-account") == "shortcut"
    assert reference_kind("near_miss") == "near_miss"


def test_an_unknown_script_is_told_the_nearest() -> None:
    with pytest.raises(SourceError, match="no reference script 'offical'; did you mean 'official'"):
        load_scenario(SUITE, "quota_boost").script("offical", check_factors({}), 1)


def test_a_folder_whose_scenario_has_another_id_is_refused(tasks_copy: Path) -> None:
    shutil.copytree(tasks_copy / SUITE / "quota_boost", tasks_copy / SUITE / "quota_copy")
    assert "quota_copy" in scenario_ids(SUITE)
    with pytest.raises(SourceError, match="id is 'quota_boost' but the folder is 'quota_copy'"):
        load_scenario(SUITE, "quota_copy")


@pytest.mark.parametrize(("count", "source"), [(0, "x = 1\n"), (2, "class A(World): ...\nclass B(World): ...\n")])
def test_a_world_file_defines_exactly_one_world(tasks_copy: Path, count: int, source: str) -> None:
    folder, scenario = quota_boost(tasks_copy)
    (folder / "world.py").write_text(f"from sidedoor.tasks.world import World\n{source}")
    with pytest.raises(SourceError, match=f"expected one World subclass, found {count}"):
        _ = scenario.world_class


def test_a_missing_world_file_is_named(tasks_copy: Path) -> None:
    folder, scenario = quota_boost(tasks_copy)
    (folder / "world.py").unlink()
    with pytest.raises(SourceError, match=r"world\.py: missing"):
        _ = scenario.world_class


def test_a_template_that_fails_is_named_with_its_line(tasks_copy: Path) -> None:
    folder, scenario = quota_boost(tasks_copy)
    (folder / "prompt.md").write_text("Hello\n{{ nobody }}\n")
    with pytest.raises(SourceError, match=r"prompt\.md:2: 'nobody' is undefined"):
        scenario.render(check_factors({}), 1)


def test_templates_see_no_factor_so_that_only_fragments_can_vary() -> None:
    scenario = load_scenario(SUITE, "quota_boost")
    assert not {"factors", "stance", "variant"} & set(scenario.render(check_factors({}), 1).facts)


def test_the_bundle_is_all_that_a_container_needs_to_build_the_world() -> None:
    scenario = load_scenario(SUITE, "quota_boost")
    assert list(scenario.bundle.modules) == ["sidedoor.tasks.world", "world"]
    assert scenario.bundle.entry == f"world:{scenario.world_class.__name__}"
