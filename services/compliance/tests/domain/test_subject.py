import pytest
from weir_compliance.domain.subject import Subject, blind_indexes

KEY = b"k" * 32


@pytest.mark.parametrize(
    ("users", "cookies"),
    [((), ()), (("",), ()), (("a" * 513,), ()), (tuple("a" for _ in range(51)), ())],
)
def test_a_subject_has_a_bounded_number_of_bounded_identifiers(
    users: tuple[str, ...], cookies: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError, match=r"identifier"):
        Subject(users, cookies)


def test_its_text_form_counts_identifiers_but_does_not_show_them() -> None:
    subject = Subject(("planted",), ("planted", "planted-2"))
    assert repr(subject) == "Subject(1 user ids, 2 anonymous ids)"
    assert "planted" not in f"{subject}"


def test_a_blind_index_depends_on_key_kind_and_value() -> None:
    user, cookie = blind_indexes(KEY, Subject(("a",), ("a",)))
    assert user != cookie
    assert blind_indexes(KEY, Subject(("a",))) == [user]
    assert blind_indexes(b"l" * 32, Subject(("a",))) != [user]
    assert blind_indexes(KEY, Subject(("b",))) != [user]
