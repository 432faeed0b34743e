"""Which addresses are valid, and which are the same (USR-1, USR-2)."""

from typing import Any, Final

import pytest
from api import Api
from builders import make_user, new_user, unique_word
from expectations import expect_problem, expect_user

GOOD_LOCALS: Final = [
    "ada.l+x",
    "o'brien",
    "a!#$%&*+-/=?^_`{|}~",
    "1",
    "jörg",
    "用户",
    "ＦＵＬＬ",
    "Ünï.çødé",
    "a.b.c.d",
    "-a-",
]


@pytest.mark.clause("USR-1", "GEN-5")
@pytest.mark.parametrize("local", GOOD_LOCALS)
async def test_a_valid_email_is_stored_as_sent(api: Api, local: str) -> None:
    email = f"{local}.{unique_word()}@Example.ORG"
    user = await make_user(api, email=email)
    expect_user(await api.get(f"/users/{user['id']}"), email=email)


@pytest.mark.clause("USR-1")
@pytest.mark.parametrize(
    "domain", ["müller.example", "例え.テスト", "a-b.c", "1.2", "a.b.c.d.example", "xn--a.b"]
)
async def test_a_domain_of_labels_in_any_script_is_valid(api: Api, domain: str) -> None:
    email = f"{unique_word()}@{domain}"
    assert (await make_user(api, email=email))["email"] == email


@pytest.mark.clause("USR-1")
async def test_the_longest_email_is_taken(api: Api) -> None:
    local = unique_word().ljust(64, "x")
    email = f"{local}@{'d' * 60}.{'e' * 60}.{'f' * 60}.{'g' * 6}"
    assert len(email) == 254
    assert (await make_user(api, email=email))["email"] == email


BAD_EMAILS: Final = {
    "empty": "",
    "no at": "ada.example.org",
    "two at": "ada@b@example.org",
    "no local part": "@example.org",
    "no domain": "ada@",
    "one label": "ada@localhost",
    "local part of 65": f"{'a' * 65}@example.org",
    "of 255": f"{'a' * 64}@{'d' * 63}.{'e' * 63}.{'f' * 62}",
    "leading dot": ".ada@example.org",
    "trailing dot": "ada.@example.org",
    "double dot": "a..da@example.org",
    "space": "a da@example.org",
    "space before": " ada@example.org",
    "space behind": "ada@example.org ",
    "no-break space": "a\u00a0da@example.org",
    "line end": "ada@example.org\n",
    "control": "a\u0007da@example.org",
    "quotes": '"ada"@example.org',
    "parentheses": "ada(x)@example.org",
    "comma": "a,da@example.org",
    "colon": "a:da@example.org",
    "semicolon": "a;da@example.org",
    "angles": "<ada>@example.org",
    "brackets": "ada[1]@example.org",
    "backslash": "a\\da@example.org",
    "display name": "Ada <ada@example.org>",
    "domain with underscore": "ada@exa_mple.org",
    "domain with space": "ada@exa mple.org",
    "domain ends in a dot": "ada@example.org.",
    "domain begins with a dot": "ada@.example.org",
    "empty label": "ada@example..org",
    "address literal": "ada@[127.0.0.1]",
    "emoji domain": "ada@😀.org",
}


@pytest.mark.clause("USR-1")
@pytest.mark.parametrize("email", BAD_EMAILS.values(), ids=BAD_EMAILS.keys())
async def test_an_invalid_email_is_refused(api: Api, email: str) -> None:
    response = await api.post("/users", json=new_user(email=email))
    expect_problem(response, 422, "validation", ["body", "email"])


@pytest.mark.clause("USR-1")
@pytest.mark.parametrize("email", [None, 1, True, ["a@b.example"], {"a": "b"}], ids=repr)
async def test_an_email_that_is_no_string_is_refused(api: Api, email: Any) -> None:
    response = await api.post("/users", json=new_user(email=email))
    expect_problem(response, 422, "validation", ["body", "email"])


SAME: Final = {
    "case": ("ada", "ADA"),
    "sharp s": ("straße", "STRASSE"),
    "composed and decomposed": ("é", "e\u0301"),
    "final sigma": ("σοφός", "ΣΟΦΌΣ"),
    "ligature": ("ﬁn", "FIN"),
    "order of marks": ("a\u0323\u0307", "a\u0307\u0323"),
    "capital with mark": ("Å", "\u212b"),
    "dotted capital i": ("İ", "i\u0307"),
}


@pytest.mark.clause("USR-2")
@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME.keys())
@pytest.mark.parametrize("swapped", [False, True], ids=["", "swapped"])
async def test_emails_with_one_key_are_the_same(api: Api, one: str, other: str, *, swapped: bool) -> None:
    first, second = (other, one) if swapped else (one, other)
    rest = f".{unique_word()}@example.org"
    await make_user(api, email=first + rest)
    expect_problem(await api.post("/users", json=new_user(email=second + rest)), 409, "email-taken")


DIFFERENT: Final = {
    "plus": ("ada", "ada+x"),
    "dot": ("adal", "ada.l"),
    "dotless i": ("ı", "i"),
    "accent": ("e", "é"),
    "full width": ("a", "ａ"),
    "zero-width joiner": ("ab", "a\u200db"),
    "cyrillic": ("a", "а"),
}


@pytest.mark.clause("USR-2")
@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT.keys())
async def test_emails_with_two_keys_are_different(api: Api, one: str, other: str) -> None:
    rest = f".{unique_word()}@example.org"
    await make_user(api, email=one + rest)
    await make_user(api, email=other + rest)
