"""The tables of stores in SQL and their queries, the same for all databases."""

from __future__ import annotations

__all__ = [
    "ALL",
    "BUMP",
    "CREATE",
    "LABEL",
    "MARK",
    "PAST",
    "REMEMBER",
    "REMOVE",
    "REPLACE",
    "SINCE",
    "THEN",
    "TOKEN",
    "tables",
]

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS pyconfserve_bundle ("
    "application TEXT NOT NULL, profile TEXT NOT NULL, label TEXT NOT NULL, "
    "version TEXT NOT NULL, body TEXT NOT NULL, updated_at TEXT NOT NULL, "
    "PRIMARY KEY (application, profile, label))",
    "CREATE TABLE IF NOT EXISTS pyconfserve_change ("
    "revision BIGINT NOT NULL PRIMARY KEY, mark TEXT NOT NULL, "
    "application TEXT NOT NULL, profile TEXT NOT NULL, label TEXT NOT NULL, "
    "body TEXT, changed_at TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS pyconfserve_change_of "
    "ON pyconfserve_change (application, profile, label, revision)",
    "CREATE TABLE IF NOT EXISTS pyconfserve_revision ("
    "one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1), "
    "revision BIGINT NOT NULL, mark TEXT NOT NULL)",
)
_FIRST = (
    "INSERT INTO pyconfserve_revision (one, revision, mark) "
    "SELECT 1, COALESCE(MAX(revision), 0), '{}' FROM pyconfserve_change WHERE 1 = 1 "
    "ON CONFLICT (one) DO NOTHING"
)
TOKEN = "SELECT revision, mark FROM pyconfserve_revision WHERE one = 1"
BUMP = (
    "UPDATE pyconfserve_revision SET revision = revision + 1, mark = :mark "
    "WHERE one = 1 RETURNING revision"
)
ALL = "SELECT application, profile, label, version, body FROM pyconfserve_bundle"
_THIS = "application = :application AND profile = :profile AND label = :label"
CREATE = (
    "INSERT INTO pyconfserve_bundle "
    "(application, profile, label, version, body, updated_at) "
    "VALUES (:application, :profile, :label, :version, :body, :now) "
    "ON CONFLICT DO NOTHING"
)
REPLACE = (
    "UPDATE pyconfserve_bundle SET version = :version, body = :body, updated_at = :now "
    f"WHERE {_THIS} AND version = :expected"
)
REMOVE = f"DELETE FROM pyconfserve_bundle WHERE {_THIS} AND version = :expected"
REMEMBER = (
    "INSERT INTO pyconfserve_change "
    "(revision, mark, application, profile, label, body, changed_at) "
    "VALUES (:revision, :mark, :application, :profile, :label, :body, :now)"
)
MARK = "SELECT mark FROM pyconfserve_change WHERE revision = :revision"
LABEL = "SELECT label FROM pyconfserve_change WHERE revision = :revision"
SINCE = (
    "SELECT revision, mark, application, profile, label, body FROM pyconfserve_change "
    "WHERE revision > :revision ORDER BY revision"
)
PAST = (
    "SELECT revision, mark, changed_at, application, profile, label, body IS NULL "
    "FROM pyconfserve_change WHERE revision < :before AND application IN ({0}) "
    "AND profile IN ({1}) AND label IN ({2}) ORDER BY revision DESC LIMIT :limit"
)
THEN = (
    f"SELECT body FROM pyconfserve_change WHERE {_THIS} AND revision <= :revision "
    "ORDER BY revision DESC LIMIT 1"
)


def tables(mark: str) -> tuple[str, ...]:
    """The statements that make what is missing of the tables.

    *mark* is that of the first change, in hexadecimal digits.
    """
    return (*_SCHEMA, _FIRST.format(mark))
