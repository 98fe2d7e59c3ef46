"""The definition of a good measuring host, and the setting and putting back, on trees that stand in for hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InputError
from harness.host import boot_rows, host_rows, load_definition, setting_advice, wish_of
from harness.kernel.host_settings import Host, Setting, SettingRow, look, prepare, restore
from tests import command

CPU = "sys/devices/system/cpu"
NIC = "sys/class/net/eth1"

# Two packages of two cores with two threads each; the card is near the second.
SERVER = {
    f"{CPU}/online": "0-7\n",
    **{f"{CPU}/cpu{n}/cpufreq/scaling_governor": "powersave\n" for n in range(8)},
    **{f"{CPU}/cpu{n}/topology/thread_siblings_list": f"{n % 4},{n % 4 + 4}\n" for n in range(8)},
    f"{CPU}/intel_pstate/no_turbo": "0\n",
    "sys/devices/system/node/node1/cpulist": "2-3,6-7\n",
    f"{NIC}/device/numa_node": "1\n",
    f"{NIC}/device/msi_irqs/30": "msix\n",
    f"{NIC}/device/msi_irqs/31": "msix\n",
    f"{NIC}/queues/rx-0/rps_cpus": "000000ff\n",
    "proc/irq/30/smp_affinity_list": "0-7\n",
    "proc/irq/31/smp_affinity_list": "2,6\n",
    "proc/sys/kernel/random/boot_id": "one\n",
    "proc/sys/vm/swappiness": "60\n",
    "proc/cmdline": "quiet nohz_full=3 mitigations=off\n",
    "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
    "proc/77/comm": "irqbalance\n",
    "sys/devices/virtual/workqueue/cpumask": "ff\n",
}


@pytest.fixture
def server(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for name, text in SERVER.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def rows_of(rows: list[SettingRow], name: str) -> list[SettingRow]:
    return [row for row in rows if row["name"] == name]


def settings() -> list[Setting]:
    return list(load_definition().settings)


def test_interrupts_and_application_are_kept_apart_near_the_card(server: Path) -> None:
    found = host_rows(wish_of("latency", "3", ["eth1"]), server)
    # CPU 7 is the sibling of 3; 2 and 6 are what is left of the card's node, of which one interrupt uses both.
    assert [(row["target"], row["wanted"], row["state"]) for row in rows_of(found, "device_irqs")] == [
        ("/proc/irq/30/smp_affinity_list", "2,6", "differs"),
        ("/proc/irq/31/smp_affinity_list", "2,6", "ok"),
    ]
    assert [row["wanted"] for row in rows_of(found, "device_rps")] == ["0"]
    assert [row["wanted"] for row in rows_of(found, "workqueues")] == ["77"]
    # Per-CPU settings are for the named CPUs alone.
    assert [row["target"] for row in rows_of(found, "cpu_governor")] == [f"/{CPU}/cpu3/cpufreq/scaling_governor"]


def test_what_a_host_lacks_is_said_with_the_reason(server: Path) -> None:
    found = host_rows(wish_of("latency"), server)
    lacking = {row["name"]: row["reason"] for row in found if row["state"] == "not applicable"}
    assert lacking["device_irqs"] == "the application's CPUs are not named: --cpus"
    assert lacking["device_rps"] == "no device is named: --device"
    assert lacking["boost"] == "no cpufreq driver with boost"
    assert all(lacking.values())
    every = host_rows(wish_of("latency", "0-7"), server)
    assert rows_of(every, "workqueues")[0]["reason"] == "the application's CPUs are all there are"


def test_prepare_keeps_what_was_found_and_restore_puts_exactly_that_back(server: Path, tmp_path: Path) -> None:
    state = str(tmp_path / "lib" / "host.json")
    host, wish = Host(str(server), [3], ["eth1"]), wish_of("latency", "3", ["eth1"])
    # A service is no file: here none of systemd's is to be asked.
    wanted = wish.values | {"irqbalance": "leave", "huge_pages": "leave"}
    before = {name: (server / name).read_text() for name in SERVER}
    done = prepare(host, settings(), wanted, state)
    assert {row["state"] for row in done} == {"changed", "ok", "not applicable"}
    assert host.files.chosen("/proc/sys/vm/swappiness") == "1"
    assert host.files.chosen(f"/{CPU}/cpu3/cpufreq/scaling_governor") == "performance"
    assert host.files.chosen(f"/{CPU}/cpu2/cpufreq/scaling_governor") == "powersave"
    again = prepare(host, settings(), wanted, state)
    assert [row for row in again if row["state"] == "changed"] == []
    restore(host, state)
    after = {name: (server / name).read_text().split() for name in SERVER}
    assert after == {name: text.split() for name, text in before.items()}
    assert not Path(state).exists()


def test_check_changes_nothing(server: Path, tmp_path: Path) -> None:
    state = tmp_path / "host.json"
    done = prepare(Host(str(server)), settings(), {"swappiness": "1"}, str(state), check=True)
    assert [(row["target"], row["found"], row["wanted"], row["state"]) for row in done] == [
        ("/proc/sys/vm/swappiness", "60", "1", "would change")
    ]
    assert (server / "proc/sys/vm/swappiness").read_text() == "60\n"
    assert not state.exists()


def test_the_first_value_found_counts_over_two_profiles(server: Path, tmp_path: Path) -> None:
    state = str(tmp_path / "host.json")
    host = Host(str(server))
    for value in ("1", "10"):
        prepare(host, settings(), {"swappiness": value}, state)
    assert [row["state"] for row in restore(host, state)] == ["restored"]
    assert host.files.chosen("/proc/sys/vm/swappiness") == "60"


def test_what_somebody_else_changed_is_theirs_until_the_next_boot(server: Path, tmp_path: Path) -> None:
    state = str(tmp_path / "host.json")
    host = Host(str(server))
    prepare(host, settings(), {"swappiness": "1"}, state)
    host.files.write("/proc/sys/vm/swappiness", "33")
    (row,) = restore(host, state, check=True)
    assert (row["state"], row["reason"]) == ("left", "it reads 33; found was 60, prepare wrote 1")
    # After a reboot every value is the kernel's or the distribution's: then what was found is put back.
    host.files.write("/proc/sys/kernel/random/boot_id", "two")
    assert [row["state"] for row in restore(host, state)] == ["restored"]
    assert host.files.chosen("/proc/sys/vm/swappiness") == "60"


def test_a_value_that_does_not_take_is_told_and_not_kept(server: Path, tmp_path: Path) -> None:
    state = tmp_path / "host.json"
    host = Host(str(server))
    # A choice reads back what is chosen, which this file, being no kernel's, cannot do for its old text.
    odd = [{"name": "odd", "what": "odd", "kind": "value", "path": "/proc/odd"}]
    (server / "proc/odd").mkdir()
    assert [row["state"] for row in look(host, odd, {"odd": "1"})] == ["not applicable"]
    (server / "proc/odd").rmdir()
    (server / "proc/odd").symlink_to("/proc/self/comm")
    # The kernel cuts what is written there to 15 bytes: it reads back otherwise.
    done = prepare(host, odd, {"odd": "a value of more than fifteen bytes"}, str(state))
    assert [(row["state"], row["reason"]) for row in done] == [("failed", "written, but it reads a value of more")]
    assert [row["state"] for row in restore(host, str(state))] == ["restored"]
    assert not state.exists()


def test_a_state_file_that_cannot_be_written_changes_nothing(server: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        prepare(Host(str(server)), settings(), {"swappiness": "1"}, str(tmp_path / "file" / "host.json"))
    assert (server / "proc/sys/vm/swappiness").read_text() == "60\n"


@pytest.mark.parametrize(
    "text",
    [
        '{"format": 1, "ent',
        "[]",
        '{"format": 1}',
        '{"format": 1, "entries": [{"target": 1}]}',
        '{"format": 1, "entries": 3}',
    ],
)
def test_a_damaged_state_file_is_named_and_changes_nothing(server: Path, tmp_path: Path, text: str) -> None:
    state = tmp_path / "host.json"
    state.write_text(text)
    for act in (
        lambda: prepare(Host(str(server)), settings(), {"swappiness": "1"}, str(state)),
        lambda: restore(Host(str(server)), str(state)),
    ):
        with pytest.raises(ValueError, match=rf"{state}, which keeps the values found, is damaged"):
            act()
    assert (server / "proc/sys/vm/swappiness").read_text() == "60\n"
    assert state.read_text() == text


@pytest.mark.parametrize("action", ["show", "prepare"])
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--device", "nosuch0"], "--device: {} this host: it has no device nosuch0; there are: "),
        (["--cpus", "0,8190"], "--cpus: {} this host: it has no CPU 8190; online: "),
    ],
)
def test_what_a_host_does_not_have_is_bad_input(action: str, words: list[str], reason: str) -> None:
    done = command.call("host", action, *words)
    assert done.returncode == 2
    assert reason.format(action) in done.stderr


def test_the_boot_line_is_exact_and_knows_what_is_there(server: Path) -> None:
    rows = {row["parameter"]: row for row in boot_rows(wish_of("latency", "2-3"), server)}
    assert rows["isolcpus"]["line"] == "isolcpus=managed_irq,domain,2-3"
    assert rows["irqaffinity"]["line"] == "irqaffinity=0-1,4-5"
    assert [name for name, row in rows.items() if row["there"]] == ["nohz_full", "mitigations"]


def test_doctor_quotes_the_same_settings(server: Path) -> None:
    found = {item.check: item for item in setting_advice(wish_of("latency"), server)}
    assert found["frequency governor"].state == "powersave (wanted: performance)"
    assert {item.check for item in found.values() if not item.good} == {
        "frequency governor",
        "turbo",
        "irqbalance",
        "transparent huge pages",
        "swappiness",
    }
    definition = load_definition()
    words = {(each["what"], each["why"], each["todo"]) for each in definition.settings}
    assert {(item.check, item.why, item.todo) for item in found.values()} <= words


def test_every_setting_is_wholly_described() -> None:
    names = [each["name"] for each in settings()]
    assert len(names) == len(set(names)) > 20
    for each in settings():
        assert {"name", "what", "kind", "why", "todo", *load_definition().profiles} <= set(each)
        assert each["kind"] in ("value", "mask", "service", "irqs", "kthreads")


def test_a_profile_of_the_user(tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_text("extends: balanced\ncpus: 2-3\ndevices: [eth1]\nsettings: {swappiness: 0, irqbalance: leave}\n")
    wish = wish_of(str(path))
    assert (wish.values["swappiness"], wish.values["irqbalance"], wish.values["timer_migration"]) == (
        "0",
        "leave",
        "leave",
    )
    assert (wish.cpus, wish.devices) == ((2, 3), ("eth1",))
    assert wish_of(str(path), "1", ["eth2"]).cpus == (1,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("settings: {swapiness: 1}", 'mine.yml:1:12: unknown setting "swapiness"; did you mean "swappiness"?'),
        ("extends: fast", 'mine.yml:1:10: there is no profile "fast"'),
        ("cpu: 1", 'mine.yml:1:1: unknown key "cpu"; did you mean "cpus"?'),
        ("cpus: x", "mine.yml:1:7: CPUs"),
        ("settings: {swappiness: [1]}", "mine.yml:1:24: settings.swappiness: not one value"),
        ("devices: eth1", "mine.yml:1:10: devices: not a list of names"),
    ],
)
def test_a_mistake_in_a_profile_is_pointed_at(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.yml"
    path.write_text(text + "\n")
    with pytest.raises(InputError) as caught:
        wish_of(str(path))
    assert said in caught.value.line()


def test_an_unknown_profile() -> None:
    with pytest.raises(InputError, match="there is no profile"):
        wish_of("fastest")
