"""check: what is wrong with a folder, as a user and as CI run it."""

import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("jsonschema")

PROJECT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "pyconfserve"]
PATIENCE = 20  # seconds for what takes a fraction of one

SCHEMA = {
    "required": ["owner"],
    "properties": {"db": {"properties": {"pool": {"type": "integer", "maximum": 50}}}},
}
FILES = {
    "application.yml": "http:\n  timeout: 30\n  retries: 3\nmail: ${mail.host:localhost}\n",
    "application-prod.yml": "http:\n  timeout: soon\n  retries: 3\n",
    "orders.yml": "company.name: A\ncompany:\n  name: B\ndb:\n  url: jdbc:${db.hots}/orders\n  host: localhost\n  password: ${DB_PASSWORD}\n",
    "orders-prod.yml": "db:\n  pool: 99\n---\nspring.config.activate.on-profile: '!prod'\ndb:\n  pool: 1\n",
    "orders-prod.json": "{}",
    "orders.schema.json": json.dumps(SCHEMA),
    "payments.properties": "a=1\na=2\n",
    "payments-prod.yml": "key: [1\n,2\n",
    "shipping-prod.yml": "x: 1\n",
    "shipping.yml": "x: 2\n",
    "returns-prod.yml": "x: 1\n",
    "returns.yml": "x: 2\n",
    "returns-prdo.yml": "x: 3\n",
    "v2/orders.yml": "owner: team-a\n",
    "no label;/orders.yml": "owner: x\n",
    "_secret.yml": "x: 1\n",
    "inventory.YAML": "x: 1\n",
    "docs/README.md": "# Read me\n",
    "nginx.conf": "server {}\n",
}
LINES = [
    "cfg/_secret.yml:1:1: error: no request can reach a file of this name",
    "cfg/application-prod.yml:2:12: error: http.timeout is a text here and a number in cfg/application.yml:2:12",
    "cfg/application-prod.yml:3:12: warning: http.retries is the same as in cfg/application.yml:3:12, which it lies over",
    "cfg/inventory.YAML:1:1: error: .YAML is no suffix of configuration: .yaml is",
    "cfg/no label;/orders.yml:1:1: error: no request can reach a file of this place",
    "cfg/orders-prod.json:1:1: error: is never read: orders-prod.yml beside it is read instead",
    "cfg/orders-prod.yml:2:9: error: db.pool is above 50 (cfg/orders.schema.json, profile prod and 1 more)",
    "cfg/orders-prod.yml:4:36: warning: no request can make this document active",
    "cfg/orders.yml:1:1: error: the answer lacks owner (cfg/orders.schema.json, profile default and 1 more)",
    "cfg/orders.yml:3:3: error: company.name is there twice: line 1 has it too",
    "cfg/orders.yml:5:8: error: ${db.hots} has no value in any answer, and no default",
    "cfg/payments-prod.yml:3:1: error: did not find expected ',' or ']'",
    "cfg/payments.properties:2:1: error: a is there twice: line 1 has it too",
    "cfg/returns-prdo.yml:1:1: warning: profile prdo has 1 file: is prod meant, which has 6?",
]  # fmt: skip


@pytest.fixture
def repository(tmp_path):
    """A folder `cfg` with a mistake of each kind."""
    for path, text in FILES.items():
        file = tmp_path / "cfg" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "cfg"


def write(root, **files):
    root.mkdir(exist_ok=True)
    for name, text in files.items():
        (root / f"{name}.yml").write_text(text)


def test_a_repository_with_a_mistake_of_each_kind(run, repository):
    """Each in a line, where it is; a summary on standard error, exit status 1."""
    status, out, errors = run("check", "cfg")
    assert out.splitlines() == LINES
    assert (status, errors) == (1, "pyconfserve: 15 files, 11 errors and 3 warnings\n")


def test_no_value_is_quoted(run, repository):
    """Not even by a schema."""
    out = run("check", "cfg", "--format", "json")[1]
    assert not [text for text in ("soon", "99", "team-a", "localhost") if text in out]


def test_json_has_the_same(run, repository):
    """For programs."""
    status, out, _ = run("check", "cfg", "--format", "json")
    problems = json.loads(out)["problems"]
    assert problems[0] == {
        "path": "cfg/_secret.yml",
        "line": 1,
        "column": 1,
        "severity": "error",
        "text": "no request can reach a file of this name",
    }
    lines = [
        "{path}:{line}:{column}: {severity}: {text}".format(**problem)
        for problem in problems
    ]
    assert (status, lines) == (1, LINES)


def test_github_shows_them_beside_the_lines(run, tmp_path):
    """What would end a part of such a line is escaped."""
    write(tmp_path / "a,b", **{"a": "x: 1\ny: ${50%\\n}", "a-prod": "x: 1"})
    (tmp_path / "a,b" / "c.yml").write_text('"k\\n::error::": 1\nb: ${c}\n')
    (tmp_path / "a,b" / "c-x.yml").write_text('"k\\n::error::": a\n')
    assert run("check", "a,b", "--format", "github")[:2] == (
        1,
        "::warning file=a%2Cb/a-prod.yml,line=1,col=4::x is the same as in a,b/a.yml:1:4, which it lies over\n"
        "::error file=a%2Cb/a.yml,line=2,col=4::${50%25\\n} has no value in any answer, and no default\n"
        "::error file=a%2Cb/c-x.yml,line=1,col=17::k%0A::error:: is a text here and a number in a,b/c.yml:1:17\n"
        "::error file=a%2Cb/c.yml,line=2,col=4::${c} has no value in any answer, and no default\n",
    )


def test_no_name_can_write_to_the_terminal(run, tmp_path):
    """Keys and names of files are escaped."""
    write(tmp_path / "cfg", **{"a": '"k\\e]0;x\\n": 1', "a-b": '"k\\e]0;x\\n": x'})
    (tmp_path / "cfg" / "x\n\x1b[2J.yml").write_text("")
    assert run("check", "cfg")[:2] == (
        1,
        "cfg/a-b.yml:1:14: error: k\\x1b]0;x\\n is a text here and a number in cfg/a.yml:1:14\n"
        "cfg/x\\n\\x1b[2J.yml:1:1: error: no request can reach it: no file, or a link that leads nowhere or out, or a name that cannot be printed\n",
    )


def test_the_example_is_clean(run):
    """As it is served; --spring says which of its formats Java does not read."""
    example = str(PROJECT / "tests" / "example")
    assert run("check", example, "--strict") == (
        0,
        "",
        "pyconfserve: 10 files, no problems\n",
    )
    status, out, _ = run("check", example, "--spring")
    assert (status, [line.rpartition(": ")[2] for line in out.splitlines()]) == (
        0,
        [
            "no answer has the keys of .json files under --spring",
            *["no answer has the keys of .toml files under --spring"] * 2,
        ],
    )


def test_warnings_are_no_failure_unless_strict(run, tmp_path):
    """They are printed all the same."""
    write(tmp_path / "cfg", **{"a": "x: 1", "a-prod": "x: 1"})
    line = "cfg/a-prod.yml:1:4: warning: x is the same as in cfg/a.yml:1:4, which it lies over\n"
    assert run("check", "cfg") == (0, line, "pyconfserve: 2 files, 1 warning\n")
    assert run("check", "cfg", "--strict") == (
        1,
        line,
        "pyconfserve: 2 files, 1 warning\n",
    )


def test_search_locations_and_label(run, tmp_path):
    """Several folders are tiers of one answer; a label is a folder in each."""
    for folder, value in (("top", "1"), ("low", "one"), ("low/v2", "2")):
        write(tmp_path / folder, a=f"x: {value}")
    tiers = ("check", "--search-location", "top", "--search-location", "low/")
    line = "top/a.yml:1:4: error: x is a number here and a text in low/a.yml:1:4\n"
    assert run(*tiers) == (1, line, "pyconfserve: 3 files, 1 error\n")
    assert (
        run("check", "--spring", "--search-location", "file:low", "--label", "x")[0]
        == 1
    )


def test_what_is_left_out_is_named(run, tmp_path):
    """Files and placeholders, by pattern."""
    write(tmp_path / "cfg", **{"compose": "a: [", "a": "x: ${vault.a}"})
    asked = ("check", "cfg", "--ignore", "comp*", "--ignore-placeholder", "vault.*")
    assert run(*asked) == (0, "", "pyconfserve: 1 file, no problems\n")


def test_links(run, tmp_path):
    """Those within the folder are files; others no request can follow."""
    write(tmp_path / "cfg", a="x: ${y}")
    for name, target in (
        ("in", "a.yml"),
        ("out", "/etc/hostname"),
        ("gone", "gone"),
        ("loop", "loop.yml"),
    ):
        (tmp_path / "cfg" / f"{name}.yml").symlink_to(target)
    os.mkfifo(tmp_path / "cfg" / "pipe.yml")
    (tmp_path / "cfg" / "folder").symlink_to("..")
    reason = "no request can reach it: no file, or a link that leads nowhere or out, or a name that cannot be printed"
    status, out, errors = run("check", "cfg")
    assert (status, out.splitlines(), errors) == (
        1,
        [
            "cfg/a.yml:1:4: error: ${y} has no value in any answer, and no default",
            f"cfg/gone.yml:1:1: error: {reason}",
            "cfg/in.yml:1:4: error: ${y} has no value in any answer, and no default",
            *(
                f"cfg/{name}.yml:1:1: error: {reason}"
                for name in ("loop", "out", "pipe")
            ),
        ],
        "pyconfserve: 2 files, 6 errors\n",
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read(run, tmp_path):
    """A file, and a folder."""
    write(tmp_path / "cfg", a="x: 1")
    (tmp_path / "cfg" / "shut").mkdir(mode=0)
    (tmp_path / "cfg" / "a.yml").chmod(0)
    assert run("check", "cfg")[:2] == (
        1,
        "cfg/a.yml:1:1: error: cannot be read: permission denied\ncfg/shut:1:1: error: cannot be read: permission denied\n",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "say what to check: python -m pyconfserve check ROOT"),
        (("absent",), "absent is not a folder"),
        (("redis:/:pw@h/0",), "redis:h/0 is not a folder: after redis: two slashes are missing"),
        (
            ("https://example.org/x.git",),
            "check reads folders: give it a checkout instead",
        ),
        (("git+./x",), "check reads folders: give it a checkout instead"),
    ],
    ids=["nothing", "absent", "mistyped", "address", "git"],
)
def test_how_it_was_called_is_exit_2(run, arguments, message):
    """In one line."""
    assert run("check", *arguments) == (2, "", f"pyconfserve: error: {message}\n")


def test_a_schema_without_its_library_is_exit_2(run, repository):
    """It says how to install it; without a schema it is not needed."""
    missing = "raise ModuleNotFoundError('no', name='jsonschema')\n"
    (repository.parent / "jsonschema.py").write_text(missing)
    message = "a .schema.json file needs jsonschema: pip install 'pyconfserve[schema]'"
    assert run("check", "cfg") == (2, "", f"pyconfserve: error: {message}\n")
    (repository / "orders.schema.json").unlink()
    assert run("check", "cfg")[0] == 1


def test_a_terminal_sees_how_far_it_is(environ, tmp_path):
    """On standard error, which is left as clean as it was; nobody else does."""
    write(
        tmp_path / "cfg",
        **{
            f"s{number}": "x:\n" + "".join(f"  k{key}: {key}\n" for key in range(400))
            for number in range(200)
        },
    )
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "check", "cfg"],
        cwd=tmp_path,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    while select.select([ours], [], [], PATIENCE)[0]:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # how the end of a terminal reads
            break
    os.close(ours)
    assert (process.communicate(timeout=PATIENCE)[0], process.returncode) == (b"", 0)
    parts = shown.decode().split("\r")
    assert (parts[1][:1], parts[1][-13:]) == ("[", " of 200 files")
    assert parts[-2] == "\x1b[Kpyconfserve: 200 files, no problems"


def test_a_pipe_that_nobody_reads_ends_it_quietly(environ, repository):
    """As `cat` ends."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as output:
        done = subprocess.run(
            [*COMMAND, "check", "cfg"],
            cwd=repository.parent,
            env=environ,
            stdout=output,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
        )
    assert (done.returncode, done.stderr) == (141, b"")
