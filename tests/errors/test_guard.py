"""User code that is no handler is asked, and what it raises is an answer."""

import pytest

from routilux.guard import guarded, text_of


def raising(error):
    def ask():
        raise error

    return ask


def test_what_is_asked_answers_or_its_error_is_the_answer():
    broken = ValueError("no")
    assert guarded(len, "abc") == (3, None)
    assert guarded(raising(broken)) == (None, broken)


def test_what_is_asked_cannot_end_the_thread_that_asks():
    end = SystemExit(3)
    _, broken = guarded(raising(end))
    assert isinstance(broken, RuntimeError)
    assert "SystemExit" in str(broken)
    assert broken.__cause__ is end


def test_ctrl_c_is_heeded_also_while_user_code_is_asked():
    with pytest.raises(KeyboardInterrupt):
        guarded(raising(KeyboardInterrupt()))


def test_an_exception_that_cannot_be_printed_says_so():
    class UnprintableError(Exception):
        def __str__(self):
            raise OSError("no paper")

    assert text_of(ValueError("no")) == "no"
    assert text_of(UnprintableError()) == "<str() of it raised OSError>"
