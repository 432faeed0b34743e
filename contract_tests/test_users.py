"""One user: create, read, change, delete, summary, documents (USR-1…5, 8, 9)."""

import unicodedata
from typing import Any, Final

import pytest
from api import Api
from builders import (
    etag,
    if_match,
    make_document,
    make_documents,
    make_user,
    make_users,
    new_user,
    unique_email,
)
from expectations import (
    check_document,
    expect_gone,
    expect_not_modified,
    expect_page,
    expect_problem,
    expect_user,
)

NOBODY: Final = "01890000-0000-7000-8000-000000000000"


@pytest.mark.clause("USR-1", "USR-3")
async def test_a_created_user_is_read_back(api: Api) -> None:
    body = new_user(name="Ada")
    user = expect_user(await api.post("/users", json=body), 201, version=1, **body)
    assert expect_user(await api.get(f"/users/{user['id']}")) == user


@pytest.mark.clause("USR-1")
@pytest.mark.parametrize("name", ["a", "ä" * 200, "😀" * 200, " "], ids=["one", "200", "200 emoji", "space"])
async def test_a_name_of_1_to_200_characters_is_taken(api: Api, name: str) -> None:
    assert (await make_user(api, name=name))["name"] == name


@pytest.mark.clause("USR-1")
@pytest.mark.parametrize(
    "name", ["", "a" * 201, "e\u0301" * 101, None, 1, ["a"], {"a": 1}, True], ids=lambda name: repr(name)[:20]
)
async def test_another_name_is_invalid(api: Api, name: Any) -> None:
    response = await api.post("/users", json=new_user(name=name))
    expect_problem(response, 422, "validation", ["body", "name"])


@pytest.mark.clause("USR-2", "GEN-11")
async def test_a_taken_email_changes_nothing(api: Api) -> None:
    user = await make_user(api)
    response = await api.post("/users", json=new_user(email=user["email"], name="Thief"))
    expect_problem(response, 409, "email-taken")
    assert expect_page(await api.get("/users", params={"q": user["email"]}))[0] == [user]


@pytest.mark.clause("USR-2", "USR-5")
async def test_the_email_of_a_deleted_user_is_free(api: Api) -> None:
    user = await make_user(api)
    expect_gone(await api.delete(f"/users/{user['id']}"))
    assert (await make_user(api, email=user["email"].upper()))["id"] != user["id"]


@pytest.mark.clause("USR-3", "GEN-10")
async def test_a_user_that_is_known_is_not_sent_again(api: Api) -> None:
    user = await make_user(api)
    response = await api.get(f"/users/{user['id']}", headers={"If-None-Match": etag(user)})
    expect_not_modified(response, etag(user))


@pytest.mark.clause("USR-4")
@pytest.mark.parametrize("fields", [["name"], ["email"], ["name", "email"]], ids="-".join)
async def test_a_patch_changes_what_it_names(api: Api, fields: list[str]) -> None:
    user = await make_user(api)
    change = {name: value for name, value in new_user(name="Grace").items() if name in fields}
    response = await api.patch(f"/users/{user['id']}", json=change, headers=if_match(user))
    changed = expect_user(
        response, **{**user, **change, "version": 2, "updated_at": response.json()["updated_at"]}
    )
    assert expect_user(await api.get(f"/users/{user['id']}")) == changed


@pytest.mark.clause("USR-4", "USR-2")
async def test_a_patch_to_a_taken_email_changes_nothing(api: Api) -> None:
    taken, user = await make_users(api, 2)
    change = {"email": taken["email"].upper(), "name": "Thief"}
    response = await api.patch(f"/users/{user['id']}", json=change, headers=if_match(user))
    expect_problem(response, 409, "email-taken")
    assert expect_user(await api.get(f"/users/{user['id']}")) == user


@pytest.mark.clause("USR-4", "USR-2")
@pytest.mark.parametrize("form", [str.upper, str.title], ids=["upper", "title"])
async def test_a_user_may_respell_the_own_email(api: Api, form: Any) -> None:
    user = await make_user(api)
    change = {"email": form(user["email"])}
    response = await api.patch(f"/users/{user['id']}", json=change, headers=if_match(user))
    expect_user(response, email=change["email"], version=2)


@pytest.mark.clause("USR-4", "GEN-5")
async def test_another_normal_form_of_the_name_is_a_change(api: Api) -> None:
    user = await make_user(api, name="é")
    change = {"name": unicodedata.normalize("NFD", "é")}
    response = await api.patch(f"/users/{user['id']}", json=change, headers=if_match(user))
    assert expect_user(response, version=2)["name"] == change["name"]


@pytest.mark.clause("USR-4")
@pytest.mark.parametrize(
    "change",
    [{"name": None}, {"email": None}, {"name": ""}, {"email": "x"}, {"id": NOBODY}, {"version": 9}, [], "x"],
    ids=repr,
)
async def test_an_invalid_patch_changes_nothing(api: Api, change: Any) -> None:
    user = await make_user(api)
    response = await api.patch(f"/users/{user['id']}", json=change, headers=if_match(user))
    expect_problem(response, 422, "validation")
    assert expect_user(await api.get(f"/users/{user['id']}")) == user


@pytest.mark.clause("USR-5")
async def test_a_deleted_user_is_gone(api: Api) -> None:
    user = await make_user(api)
    expect_gone(await api.delete(f"/users/{user['id']}"))
    expect_problem(await api.get(f"/users/{user['id']}"), 404, "not-found")
    expect_problem(await api.delete(f"/users/{user['id']}"), 404, "not-found")


@pytest.mark.clause("USR-5")
async def test_a_deleted_user_takes_the_documents_along_and_no_others(api: Api) -> None:
    user, other = await make_users(api, 2)
    document = (await make_documents(api, user, 3))[0]
    kept = await make_document(api, other)
    expect_gone(await api.delete(f"/users/{user['id']}"))
    expect_problem(await api.get(f"/documents/{document['id']}"), 404, "not-found")
    assert expect_page(await api.get(f"/documents?owner_id={user['id']}")) == ([], None)
    assert expect_page(await api.get(f"/documents?owner_id={other['id']}")) == ([kept], None)


@pytest.mark.clause("USR-8")
async def test_the_summary_of_a_new_user_is_empty(api: Api) -> None:
    user = await make_user(api)
    response = await api.get(f"/users/{user['id']}/summary")
    assert response.json() == {
        "user": user,
        "document_count": 0,
        "latest_documents": [],
        "latest_activity": [],
    }


@pytest.mark.clause("USR-8")
async def test_the_summary_shows_the_newest_five_documents(api: Api) -> None:
    user = await make_user(api)
    documents = await make_documents(api, user, 6) + [await make_document(api, user)]
    await make_document(api)
    summary = (await api.get(f"/users/{user['id']}/summary")).json()
    assert summary["document_count"] == 7
    assert summary["latest_documents"] == documents[::-1][:5]
    check_document(summary["latest_documents"][0])


@pytest.mark.clause("USR-8")
async def test_the_summary_of_nobody_is_not_found(api: Api) -> None:
    expect_problem(await api.get(f"/users/{NOBODY}/summary"), 404, "not-found")


@pytest.mark.clause("USR-9")
@pytest.mark.parametrize(
    "query",
    [
        "",
        "limit=2",
        "sort=-created_at",
        "sort=title&include=owner",
        "tag=engine",
        "where=kind:eq:note",
        "q=engine",
    ],
)
async def test_a_users_documents_are_listed_as_under_documents(api: Api, query: str) -> None:
    user = await make_user(api)
    await make_documents(api, user, 3)
    await make_document(api)
    of_user = await api.get(f"/users/{user['id']}/documents?{query}")
    of_owner = await api.get(f"/documents?owner_id={user['id']}&{query}")
    assert expect_page(of_user)[0] == expect_page(of_owner)[0] != []


@pytest.mark.clause("USR-9")
async def test_the_documents_of_nobody_are_not_found(api: Api) -> None:
    expect_problem(await api.get(f"/users/{NOBODY}/documents"), 404, "not-found")
    assert expect_page(await api.get(f"/documents?owner_id={NOBODY}")) == ([], None)


@pytest.mark.clause("USR-9")
@pytest.mark.parametrize(
    "query", ["limit=0", "sort=name", "where=x", "tag=", "unknown=1", f"owner_id={NOBODY}"]
)
async def test_a_users_documents_refuse_what_documents_refuse(api: Api, query: str) -> None:
    user = await make_user(api)
    expect_problem(await api.get(f"/users/{user['id']}/documents?{query}"), 422, "validation")


@pytest.mark.clause("USR-5", "USR-8")
async def test_the_summary_forgets_a_deleted_document(api: Api) -> None:
    user = await make_user(api)
    first, second = await make_documents(api, user, 2)
    expect_gone(await api.delete(f"/documents/{first['id']}"))
    summary = (await api.get(f"/users/{user['id']}/summary")).json()
    assert (summary["document_count"], summary["latest_documents"]) == (1, [second])


@pytest.mark.clause("USR-1")
async def test_users_are_independent_of_each_other(api: Api) -> None:
    first = await make_user(api, email=unique_email())
    second = await make_user(api)
    change = {"name": "only the first"}
    await api.patch(f"/users/{first['id']}", json=change, headers=if_match(first))
    assert expect_user(await api.get(f"/users/{second['id']}")) == second
