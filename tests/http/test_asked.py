"""asked: what a request asks for beside its path."""

import pytest

from pyconfserve.http.asked import GZIP, coding_of, target_of
from pyconfserve.http.messages import Request


def asking(**headers):
    """A request with these headers, `_` for `-` in their names."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("GET", "/orders/prod", "wait=5", named)


@pytest.mark.parametrize(
    ("accept_encoding", "coding"),
    [
        (None, ""),
        ("", ""),
        ("identity", ""),
        ("br, deflate, zstd", ""),
        ("gzip", GZIP),
        ("GZip", GZIP),
        ("x-gzip", GZIP),
        ("gzip, deflate, br, zstd", GZIP),
        ("br;q=1.0, gzip;q=0.001", GZIP),
        ("gzip;q=0", ""),
        ("gzip;q=0.000", ""),
        ("gzip ; Q=0", ""),
        ("gzip;q=0, x-gzip", ""),
        ("*", GZIP),
        ("*;q=0", ""),
        ("*;q=0, gzip", GZIP),
        ("gzip;q=0, *", ""),
        ("br, *;q=0.1", GZIP),
        ("identity;q=0", ""),
        ("identity;q=0, *", GZIP),
        ("gzip;q=0.5, identity", ""),
        ("gzip;q=0.5, identity;q=0.5", GZIP),
        ("gzip;q=0.3, *;q=0.8", ""),
        ("gzip;q=nan", ""),
        ("gzippy", ""),
        (",".join(["gzip;q=0"] * 100), ""),
        (",".join(["gzip"] * 100), GZIP),
    ],
)
def test_accept_encoding_chooses_the_coding(accept_encoding, coding):
    """Gzip where it is wanted no less than none, by the weights of RFC 9110 §12.5.3."""
    headers = {} if accept_encoding is None else {"accept_encoding": accept_encoding}
    assert coding == coding_of(asking(**headers))


@pytest.mark.parametrize(
    ("site", "coding"),
    [
        ("same-origin", GZIP),
        ("none", GZIP),
        ("same-site", ""),
        ("cross-site", ""),
        ("what may come", ""),
    ],
)
def test_a_page_of_another_site_gets_no_gzip(site, coding):
    """Its length would tell what stands beside the names that such a page chose."""
    asked = asking(accept_encoding="gzip", sec_fetch_site=site)
    assert coding == coding_of(asked)


def test_a_target_is_all_that_decides_about_an_answer():
    """Two requests that may have different answers have different targets."""
    plain, zipped = asking(), asking(accept_encoding="br, gzip")
    assert target_of(plain) == ("/orders/prod", "wait=5", "*/*", "", "")
    assert target_of(zipped) == ("/orders/prod", "wait=5", "*/*", GZIP, "")
    assert target_of(plain) == target_of(asking(accept_encoding="gzip;q=0"))
