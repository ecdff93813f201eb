"""The backend that a Java server's settings of its bucket in S3 describe."""

from __future__ import annotations

from collections.abc import Mapping

from .backend import ConfigBackend
from .errors import SettingsError
from .setting_kinds import boolean, checked

__all__ = ["S3_NAMES", "s3_backend"]

S3_NAMES = (
    *("bucket", "region", "endpoint", "use-directory-layout", "search-paths"),
    *("order", "enabled"),
)
_DEFAULT_LABEL = "spring.cloud.config.server.default-label"


def s3_backend(
    given: Mapping[str, str], start: str, values: Mapping[str, str]
) -> ConfigBackend:
    """The backend of the settings *given* by name below *start*.

    The default label is that of all settings, *values*; credentials are found as the
    Java server finds them, in the environment, in files, as the role of the machine.
    Raises SettingsError, MissingDependency without boto3.
    """
    bucket = given.get("bucket", "").strip()
    if not bucket:
        raise SettingsError("expected the name of a bucket", f"{start}bucket")
    if given.get("search-paths", "").strip():
        problem = (
            "patterns of keys are not read, and differ by version in Java: leave it "
            "out, or set use-directory-layout"
        )
        raise SettingsError(problem, f"{start}search-paths")
    name = "use-directory-layout"
    in_folders = checked(boolean, given.get(name, "false"), start + name)
    from .adapters.s3 import S3ConfigBackend
    from .adapters.s3_spring import Layout

    try:
        return S3ConfigBackend(
            f"s3://{bucket}",
            endpoint=given.get("endpoint", "").strip(),
            region=given.get("region", "").strip(),
            layout=Layout(in_folders, values.get(_DEFAULT_LABEL, "").strip()),
        )
    except SettingsError as error:
        raise SettingsError(error.problem, start.removesuffix(".")) from error
