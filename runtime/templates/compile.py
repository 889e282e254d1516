"""Compiles the texts of a send: judges every field, then makes each text ready for each of its channels."""

from collections.abc import Iterator, Mapping

from runtime.errors import Invalid, Problem
from runtime.spec.compiled import CompiledText
from runtime.spec.model import SendStep
from runtime.spec.names import Names
from runtime.templates.fields import Field
from runtime.templates.judging import judge_text
from runtime.templates.making import make_texts
from runtime.templates.policy import Flaw


def compile_texts(step: SendStep, path: str, names: Mapping[str, Names]) -> tuple[CompiledText, ...]:
    """Return a send's texts, one for each channel they are for; raises Invalid with every problem.

    `path` is the step's JSON pointer, `names` what its texts may print (see `runtime.spec.names`). Warnings do not
    stop it; `check_texts` tells them. Blocks that lack what they need are for `runtime.spec` to refuse; here they are
    left out.
    """
    compiled, problems = _compiled(step, path, names)
    wrong = [problem for problem in problems if not problem.warning]
    if wrong:
        raise Invalid(wrong)
    return tuple(compiled)


def check_texts(step: SendStep, path: str, names: Mapping[str, Names]) -> list[Problem]:
    """Return every problem and warning of a send's texts, by the same rules, text by text."""
    return _compiled(step, path, names)[1]


def _compiled(step: SendStep, path: str, names: Mapping[str, Names]) -> tuple[list[CompiledText], list[Problem]]:
    compiled: list[CompiledText] = []
    problems: list[Problem] = []
    for number, text in enumerate(step.texts):
        place = f"{path}/texts/{number}"
        judged = judge_text(text, step, names)
        problems += _problems(place, judged.flaws, is_warning=False)
        problems += _problems(place, judged.warnings, is_warning=True)
        if not judged.flaws:
            made, found = make_texts(text, judged, step)
            compiled += made
            problems += _problems(place, [(Field("", "", "line"), flaw) for flaw in found], is_warning=False)
    return compiled, list(dict.fromkeys(problems))


def _problems(place: str, found: list[tuple[Field, Flaw]], *, is_warning: bool) -> Iterator[Problem]:
    for field, flaw in found:
        line = f"Line {flaw.line}: " if flaw.line and "\n" in field.source.strip() else ""
        path = f"{place}/{field.name}" if field.name else place
        yield Problem(path, flaw.code, line + flaw.message, flaw.fix, warning=is_warning)
