"""Mistakes in objects by the names that git fsck gives them (git help fsck).

Many old repositories have harmless ones: a zero too much, an address without a name.
They are ignored, as the objects are only read. The others could mislead whoever makes
files of them, or cannot be read.
"""

from __future__ import annotations

__all__ = ["HARMLESS", "SERIOUS"]

HARMLESS = (
    "badDate", "badDateOverflow", "badEmail", "badFilemode", "badName",
    "badTagName", "badTimezone", "missingEmail", "missingNameBeforeEmail",
    "missingSpaceBeforeDate", "missingSpaceBeforeEmail", "missingTaggerEntry",
    "multipleAuthors", "nulInCommit", "zeroPaddedDate", "zeroPaddedFilemode",
)  # fmt: skip
SERIOUS = frozenset((
    "badObjectSha1", "badParentSha1", "badTree", "badTreeSha1", "badType",
    "duplicateEntries", "emptyName", "fullPathname", "gitattributesBlob",
    "gitattributesLarge", "gitattributesLineLength", "gitattributesMissing",
    "gitattributesSymlink", "gitignoreSymlink", "gitmodulesBlob", "gitmodulesLarge",
    "gitmodulesMissing", "gitmodulesName", "gitmodulesParse", "gitmodulesPath",
    "gitmodulesSymlink", "gitmodulesUpdate", "gitmodulesUrl", "hasDot", "hasDotdot",
    "hasDotgit", "largePathname", "mailmapSymlink", "missingAuthor",
    "missingCommitter", "missingObject", "missingTag", "missingTagEntry",
    "missingTree", "missingTreeObject", "missingType", "missingTypeEntry",
    "nulInHeader", "nullSha1", "treeNotSorted", "unknownType", "unterminatedHeader",
))  # fmt: skip
