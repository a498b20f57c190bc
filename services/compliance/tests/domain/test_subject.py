import pytest
from weir_compliance.domain.subject import Subject, blind_indexes

KEY = b"k" * 32


def test_a_subject_has_an_identifier() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Subject()
    with pytest.raises(ValueError, match="at least one"):
        Subject(user_id="")


def test_its_text_form_says_which_identifiers_but_not_their_values() -> None:
    assert repr(Subject(user_id="planted", anonymous_id="planted")) == "Subject(user_id, anonymous_id)"
    assert "planted" not in f"{Subject(user_id='planted')}"


def test_a_blind_index_depends_on_key_kind_and_value() -> None:
    user, cookie = blind_indexes(KEY, Subject(user_id="a", anonymous_id="a"))
    assert user != cookie
    assert blind_indexes(KEY, Subject(user_id="a")) == [user]
    assert blind_indexes(b"l" * 32, Subject(user_id="a")) != [user]
    assert blind_indexes(KEY, Subject(user_id="b")) != [user]
