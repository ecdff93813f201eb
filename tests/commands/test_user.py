"""`user`: the file of users, as the command line writes it."""

import hashlib
import json
import os
import pty
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pyconfserve.commands import user
from pyconfserve.errors import SettingsError
from pyconfserve.http.passwords import hash_password, hash_token
from pyconfserve.http.users_file import parse

PROJECT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "pyconfserve", "user"]
PATIENCE = 20  # seconds for what takes a fraction of one
HASH = hash_password("s3cret", cost=1)
ERROR = "pyconfserve: error: "
FORM = "u.yml: has another form than this command writes"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder that the file is in, and that commands run in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments, given=b""):
    """(exit status, stdout, stderr) of a process with this standard input."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        env=os.environ | {"PYTHONPATH": str(PROJECT), "COLUMNS": "100"},
        input=given,
        capture_output=True,
        timeout=PATIENCE,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def users(path="u.yml"):
    """The users of the file."""
    return parse(Path(path).read_bytes(), path)


def problem(*arguments):
    """What the command says about these, in this process."""
    with pytest.raises(SettingsError) as caught:
        user.run(arguments)
    return str(caught.value)


def mode(path="u.yml"):
    return oct(stat.S_IMODE(os.stat(path).st_mode))


# add


def test_a_user_is_added_with_a_password_of_standard_input():
    """Who then gets in with it; a new file is for its owner's eyes."""
    assert call("add", "u.yml", "orders", given=b"s3cret\nmore\n") == (0, "", "")
    (orders,) = users().by_name.values()
    assert orders.secret.fits("s3cret")
    assert ("orders", {"read"}, ("*",), ("*",), None) == (orders.name, orders.rights, orders.applications, orders.profiles, orders.files)  # fmt: skip
    assert mode() == "0o600"
    form = r'users:\n  - name: "orders"\n    password: "scrypt\$15\$8\$1\$[^"]{22}\$[^"]{43}"\n'
    assert re.fullmatch(form, Path("u.yml").read_text())


@pytest.mark.parametrize(
    ("given", "password"),
    [
        (b"s3cret", "s3cret"),
        (b"s3cret\r\n", "s3cret"),
        (b" a b \n", " a b "),
        ("pässwörd:☃\n".encode(), "pässwörd:☃"),
        (b"x" * 1022 + b"\n", "x" * 1022),
    ],
    ids=["no line end", "Windows", "blanks", "letters", "the longest"],
)
def test_a_password_is_one_line(given, password):
    """Without its end, and otherwise as it is."""
    assert call("add", "u.yml", "u", given=given) == (0, "", "")
    assert users().by_name["u"].secret.fits(password)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (b"", "password: expected one, on one line of standard input"),
        (b"\n", "password: expected one, on one line of standard input"),
        (b"a\0b\n", "password: has control characters, or more than 1024 bytes"),
        (b"a\x7f\n", "password: has control characters, or more than 1024 bytes"),
        (b"x" * 1023, "password: has control characters, or more than 1024 bytes"),
        (b"\xff\n", "password: is not UTF-8"),
    ],
    ids=["nothing", "an empty line", "NUL", "DEL", "too long", "no UTF-8"],
)
def test_a_password_that_no_client_can_send_is_refused(given, expected):
    """And nothing is written."""
    assert (2, "", f"{ERROR}{expected}\n") == call("add", "u.yml", "u", given=given)
    assert os.listdir() == []


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ([b"s3cret", b"s3cret"], (0, "")),
        ([b"s3cret", b"s3cre"], (2, f"{ERROR}password: the two are not the same")),
        ([b"", b""], (2, f"{ERROR}password: expected one, on one line of standard input")),
        ([b"\x04"], (2, f"{ERROR}password: expected one, on one line of standard input")),
    ],
    ids=["twice the same", "two", "empty", "the end"],
)  # fmt: skip
def test_a_terminal_is_asked_twice_and_shows_nothing(typed, expected):
    """The password is not echoed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "add", "u.yml", "orders"],
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        start_new_session=True,  # which has no terminal but the one it is given
    )
    os.close(theirs)
    shown = b""
    for prompt, line in zip([b"Password of orders: ", b"Once more: "], typed, strict=False):  # fmt: skip
        while not shown.endswith(prompt):
            shown += os.read(ours, 1000)
        os.write(ours, line if line == b"\x04" else line + b"\n")
    out, _ = process.communicate(timeout=PATIENCE)
    while data := _rest(ours):
        shown += data
    os.close(ours)
    _, error, rest = shown.decode().partition(ERROR)
    message = error + rest.strip()
    assert (*expected, b"") == (process.returncode, message, out)
    assert b"s3cre" not in shown
    assert (expected[0] == 0) is os.path.exists("u.yml")


def _rest(descriptor):
    try:
        return os.read(descriptor, 1000)
    except OSError:  # how Linux says that the other side is closed
        return b""


def test_a_token_is_printed_once():
    """Only its digest is in the file; standard input is not asked."""
    status, out, errors = call("add", "u.yml", "robot", "--token")
    token = out.removesuffix("\n")
    assert (status, errors, len(token)) == (0, "", 43)
    found = users()
    assert {hashlib.sha256(token.encode()).hexdigest(): found.by_name["robot"]} == found.by_token  # fmt: skip
    assert token not in Path("u.yml").read_text()
    assert found.by_name["robot"].secret is None


def test_what_a_user_may_do():
    """Each flag may be there several times."""
    patterns = ("--application", "orders", "--application", "o-*", "--profile", "p,q", "--file", "*.conf")  # fmt: skip
    rights = ("--right", "read", "--right", "write")
    assert call("add", "u.yml", "u", "--token", *patterns, *rights)[0] == 0
    (found,) = users().by_name.values()
    assert ({"read", "write"}, ("orders", "o-*"), ("p,q",), ("*.conf",)) == (found.rights, found.applications, found.profiles, found.files)  # fmt: skip


BEFORE = f"""# who may ask us
# (owner: ops)
users:
  # the shop
  - name: orders
    password: {HASH}  # from Anna
    rights: [read, write]

  # the robot
  - token: {hash_token("t")}
    name: robot
"""


@pytest.mark.parametrize(
    ("before", "indent"),
    [
        pytest.param(BEFORE, "  ", id="comments"),
        pytest.param(BEFORE.removesuffix("\n"), "  ", id="no line end"),
        pytest.param(BEFORE.replace("\n  ", "\n"), "", id="not indented"),
        pytest.param(BEFORE.replace("\n  ", "\n      "), "      ", id="far indented"),
        pytest.param(BEFORE.replace("\n", "\r\n"), "  ", id="Windows"),
        pytest.param("\ufeff" + BEFORE, "  ", id="byte order mark"),
        pytest.param(BEFORE + "\n# the end\n", "  ", id="a comment at the end"),
        pytest.param("# nobody yet\n", "  ", id="only comments"),
        pytest.param("users:\n", "  ", id="only the key"),
        pytest.param("users:  # nobody", "  ", id="the key and a comment"),
        pytest.param("", "  ", id="empty"),
    ],
)
def test_what_stands_in_the_file_stays(before, indent):
    """Comments, order and all: a user is added below it."""
    Path("u.yml").write_bytes(before.encode())
    had = [*users().by_name] if "name" in before else []
    assert user.run(["add", "u.yml", "new", "--token"]) == 0
    after = Path("u.yml").read_bytes().decode()
    assert after.startswith(before)
    form = rf'{indent}- name: "new"\n{indent}  token: "sha256\$[0-9a-f]+"\n'
    assert re.fullmatch(rf"(\n|\n?users:\n)?{form}", after.removeprefix(before))
    assert [*had, "new"] == [*users().by_name]


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(f"users: [{{name: a, password: {HASH}}}]\n", id="one line"),
        pytest.param(f"users[0]:\n  name: a\n  password: {HASH}\n", id="an index"),
        pytest.param(BEFORE + "...\n", id="an end"),
        pytest.param(json.dumps({"users": [{"name": "a", "password": HASH}]}), id="JSON"),
    ],
)  # fmt: skip
def test_another_form_is_left_as_it_is(before):
    """Rather than made into something else."""
    Path("u.yml").write_text(before)
    assert problem("add", "u.yml", "new", "--token") == FORM
    assert (before, ["u.yml"]) == (Path("u.yml").read_text(), os.listdir())


@pytest.mark.parametrize("name", ["", "a:b", "a b", "é", "a\nb", "- x", "x" * 129, "a/b", "*"])  # fmt: skip
def test_a_name_is_letters_digits_and_few_signs(name):
    """What HTTP and YAML can say without quotes."""
    expected = "NAME: expected letters, digits and -_.@+"
    assert expected == problem("add", "--token", "--", "u.yml", name)
    assert os.listdir() == []


@pytest.mark.parametrize("pattern", ["", " ", "\udcff", "a\u2028b"], ids=ascii)
def test_a_pattern_that_no_file_can_hold_is_refused(pattern):
    """And nothing is written."""
    problem("add", "u.yml", "a", "--token", "--application", pattern)
    assert os.listdir() == []


@pytest.mark.parametrize("name", ["yes", "null", "123", "1e5", "0x1F", "2024-01-01", "~a".strip("~"), "-", "+", ".", "@a", "_"])  # fmt: skip
def test_names_that_yaml_would_take_for_something_else(name):
    """Stay texts."""
    assert user.run(["add", "--token", "--", "u.yml", name]) == 0
    assert [name] == [*users().by_name]


def test_patterns_stay_texts():
    """Whatever is in them."""
    patterns = ['"', "'", "#", "a: b", "{x}", "[x]", "&x", "*", "\\n", "{cipher}", "${x}", "é"]  # fmt: skip
    flags = [item for pattern in patterns for item in ("--application", pattern)]
    assert user.run(["add", "u.yml", "a", "--token", *flags]) == 0
    assert tuple(patterns) == users().by_name["a"].applications


def test_a_name_that_is_there_is_not_added_again():
    """It is removed first."""
    Path("u.yml").write_text(BEFORE)
    assert problem("add", "u.yml", "orders", "--token") == "u.yml: orders is there already"  # fmt: skip
    assert Path("u.yml").read_text() == BEFORE


# remove


@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("orders", BEFORE.replace(f"  - name: orders\n    password: {HASH}  # from Anna\n    rights: [read, write]\n", "")),
        ("robot", BEFORE.replace(f"  - token: {hash_token('t')}\n    name: robot\n", "")),
    ],
)  # fmt: skip
def test_a_user_is_removed_and_comments_stay(name, after):
    """Those of the others, too."""
    Path("u.yml").write_text(BEFORE)
    assert user.run(["remove", "u.yml", name]) == 0
    assert after == Path("u.yml").read_text()
    assert [({"orders", "robot"} - {name}).pop()] == [*users().by_name]


def test_what_was_added_can_be_removed():
    """In any order."""
    for name in "abc":
        user.run(["add", "u.yml", name, "--token"])
    for name in "ba":
        user.run(["remove", "u.yml", name])
    assert [*users().by_name] == ["c"]
    assert problem("remove", "u.yml", "c") == "u.yml: c is the only one: remove the file"  # fmt: skip
    assert [*users().by_name] == ["c"]


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (BEFORE, "u.yml: there is no x"),
        (None, "u.yml: there is no x"),
        ("# nobody\n", "u.yml: there is no x"),
        (f"users: [{{name: x, token: {hash_token('x')}}}, {{name: y, token: {hash_token('y')}}}]\n", FORM),
        ("users: [", "u.yml: 1:9: did not find expected node content"),
    ],
    ids=["another", "no file", "no users", "one line", "broken"],
)  # fmt: skip
def test_what_cannot_be_removed(before, expected):
    """Leaves the file as it is."""
    if before is not None:
        Path("u.yml").write_text(before)
    found = problem("remove", "u.yml", "x")
    assert expected.split(": 1:9")[0] in found
    assert before == (Path("u.yml").read_text() if before is not None else None)


# list


def test_users_are_listed_without_their_secrets():
    """In columns."""
    Path("u.yml").write_text(BEFORE + f'  - name: b\n    password: {HASH}\n    token: {hash_token("b")}\n    applications: ["a", "b*"]\n    files: ["\\e[31m"]\n')  # fmt: skip
    expected = """\
NAME    SECRETS         RIGHTS      APPLICATIONS  PROFILES  FILES
orders  password        read,write  *             *         -
robot   token           read        *             *         -
b       password,token  read        a,b*          *         '\\x1b[31m'
"""
    assert (0, expected, "") == call("list", "u.yml")


def test_any_format_is_listed():
    """JSON and TOML, too; only YAML is written."""
    Path("u.toml").write_text(f'[[users]]\nname = "a"\ntoken = "{hash_token("t")}"\n')
    assert user.run(["list", "u.toml"]) == 0
    for work in (("add", "u.toml", "b", "--token"), ("remove", "u.toml", "a")):
        assert problem(*work) == "u.toml: expected a .yml or .yaml file"


# the file


def test_the_file_keeps_its_readers_but_not_all_the_world():
    """A group that was let in stays; what all could read, the owner alone can."""
    Path("u.yml").write_text(BEFORE)
    for before, after in ((0o644, "0o640"), (0o640, "0o640"), (0o600, "0o600")):
        os.chmod("u.yml", before)
        user.run(["add", "u.yml", f"u{before}", "--token"])
        assert after == mode()


def test_a_link_stays_a_link():
    """What it points to is written."""
    Path("real.yml").write_text(BEFORE)
    os.symlink("real.yml", "u.yml")
    user.run(["remove", "u.yml", "robot"])
    assert (os.path.islink("u.yml"), [*users("real.yml").by_name]) == (True, ["orders"])


def test_nothing_is_left_beside_the_file():
    """No unfinished file, whether it went well or not."""
    user.run(["add", "u.yml", "a", "--token"])
    problem("add", "u.yml", "a", "--token")
    assert os.listdir() == ["u.yml"]


def test_a_folder_that_is_not_there_is_an_error():
    """With its reason."""
    expected = "no/u.yml: cannot be written: No such file or directory"
    assert expected == problem("add", "no/u.yml", "a", "--token")


def test_two_at_once_lose_no_user():
    """One of them is told to try again, if they meet."""
    Path("u.yml").write_text(BEFORE)
    processes = [
        subprocess.Popen(
            [*COMMAND, "add", "u.yml", f"u{number}", "--token"],
            env=os.environ | {"PYTHONPATH": str(PROJECT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for number in range(6)
    ]
    done = [(process, *process.communicate(timeout=PATIENCE)) for process in processes]
    added = {f"u{number}" for number, (process, *_) in enumerate(done) if not process.returncode}  # fmt: skip
    assert added | {"orders", "robot"} == set(users().by_name)
    errors = {error.decode() for process, _, error in done if process.returncode}
    assert errors <= {f"{ERROR}u.yml: was changed by someone else meanwhile\n"}


# how it is called


def test_without_a_command_it_shows_its_help():
    """Which is an error all the same."""
    status, out, errors = call()
    assert (status, out, errors.find("usage: python -m pyconfserve user")) == (2, "", 0)
    assert all(name in errors for name in ("add", "remove", "list"))


def test_a_right_that_is_none_is_refused():
    """The message names those that are."""
    status, out, errors = call("add", "u.yml", "a", "--token", "--right", "all")
    assert (status, out) == (2, "")
    assert all(right in errors for right in ("decrypt", "encrypt", "list", "monitor", "read", "write"))  # fmt: skip


def test_no_password_can_stand_on_the_command_line():
    """Everyone on the machine could read it."""
    status, _, errors = call("add", "u.yml", "a", "s3cret")
    assert (status, "unrecognized arguments" in errors) == (2, True)
