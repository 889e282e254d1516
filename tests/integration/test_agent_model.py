"""The model client against the local Messages server: the real SDK, a real socket."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from agent.model import CutShort, Prompt, Reply, open_anthropic
from runtime.errors import NotAllowed, NotFound, Permanent, Temporary
from runtime.spec.json_schema import json_schema, model_schema
from tests.servers.anthropic import (
    KEY,
    OVERLOADED,
    RATE_LIMITED,
    Breaks,
    Fails,
    MessagesServer,
    Says,
    Script,
    messages_server,
    refuses,
)
from tests.servers.anthropic_rules import refusal, schema_refusals

SCHEMA = {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"], "additionalProperties": False}
PROMPT = Prompt(("Who you are.", "What is there."), ("A request.",), SCHEMA)
GOOD = Says({"x": "é" * 500})


def ask(
    *script: Script, prompt: Prompt = PROMPT, key: str = KEY, heard: Callable[[int], None] = lambda _: None
) -> tuple[Reply, MessagesServer]:
    async def once(server: MessagesServer) -> Reply:
        async with open_anthropic("claude-sonnet-5-5", api_key=key, base_url=server.url) as model:
            return await model.answer(prompt, heard=heard)

    with messages_server(*script) as server:
        return asyncio.run(once(server)), server


def body(**changes: Any) -> dict[str, Any]:
    _, server = ask(GOOD)
    return server.bodies[0] | changes


def test_an_answer_streams_in_and_its_cost_is_counted() -> None:
    lengths: list[int] = []
    reply, server = ask(Says({"x": "é" * 500}, thinking="Let me see. " * 20), heard=lengths.append)
    assert reply.text == '{"x": "' + "é" * 500 + '"}'
    assert (reply.stop, reply.detail) == ("end_turn", "")
    assert (reply.usage.input, reply.usage.cached, reply.usage.output) == (2100, 900, 300)
    assert lengths == sorted(lengths)
    assert lengths[-1] == len(reply.text)
    assert len(lengths) > 3
    assert server.refused == []


def test_the_stable_parts_of_a_prompt_end_cached_prefixes_and_what_was_said_alternates() -> None:
    prompt = Prompt(("Who you are.", "What is there."), ("A request.", '{"x": "draft"}', "A problem."), SCHEMA)
    _, server = ask(GOOD, prompt=prompt)
    sent = server.bodies[0]
    assert [block["text"] for block in sent["system"]] == list(prompt.system)
    assert all(block["cache_control"] == {"type": "ephemeral", "ttl": "1h"} for block in sent["system"])
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "user"]
    assert sent["output_config"]["format"] == {"type": "json_schema", "schema": SCHEMA}


def test_a_busy_service_is_asked_again_by_the_sdk_alone() -> None:
    reply, server = ask(RATE_LIMITED, OVERLOADED, GOOD)
    assert reply.stop == "end_turn"
    assert len(server.bodies) == 3


def test_a_service_that_stays_busy_is_given_up_after_two_more_tries() -> None:
    last = Fails(429, "rate_limit_error", {"retry-after": "7", "retry-after-ms": "1"})
    with messages_server(OVERLOADED, OVERLOADED, last, GOOD) as server, pytest.raises(Temporary) as caught:
        asyncio.run(_once(server))
    assert "busy or broken (HTTP 429" in str(caught.value)
    assert caught.value.retry_after is not None
    assert caught.value.retry_after.total_seconds() == 7
    assert len(server.bodies) == 3
    assert not isinstance(caught.value, CutShort)


@pytest.mark.parametrize(
    "turn",
    [Breaks({"x": "long" * 99}), Breaks({"x": "long" * 99}, politely=True), Breaks({"x": "y"}, "overloaded_error")],
    ids=["cut", "ended too early", "error event"],
)
def test_an_answer_that_breaks_off_is_told_apart_and_not_asked_again_here(turn: Breaks) -> None:
    with messages_server(turn, GOOD) as server, pytest.raises(CutShort, match="Go on with the same thread"):
        asyncio.run(_once(server))
    assert len(server.bodies) == 1


def test_an_answer_that_the_service_refuses_while_it_streams_is_not_worth_another_try() -> None:
    with pytest.raises(Permanent, match="refused the request"):
        ask(Breaks({"x": "y"}, "invalid_request_error"))


def test_a_refusal_and_a_full_answer_are_replies_with_their_reason() -> None:
    reply, _ = ask(refuses("Not that."))
    assert (reply.stop, reply.detail) == ("refusal", "Not that.")
    reply, _ = ask(Says('{"x": "cut', "max_tokens"))
    assert (reply.stop, reply.text) == ("max_tokens", '{"x": "cut')


@pytest.mark.parametrize(
    ("turn", "kind", "said"),
    [
        (Fails(404, "not_found_error"), NotFound, "knows no model 'claude-sonnet-5-5'.*TIDINGS_MODEL"),
        (Fails(403, "permission_error"), NotAllowed, "ANTHROPIC_API_KEY"),
        (Fails(413, "request_too_large"), Permanent, "HTTP 413"),
    ],
)
def test_an_error_says_what_to_do(turn: Fails, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        ask(turn)


def test_a_service_that_is_not_there_is_named_without_the_key() -> None:
    async def once() -> Reply:
        async with open_anthropic("m", api_key=KEY, base_url="http://user:secret@127.0.0.1:9") as model:
            return await model.answer(PROMPT, heard=lambda _: None)

    with pytest.raises(Temporary, match=r"127\.0\.0\.1 can't be reached") as caught:
        asyncio.run(once())
    assert "secret" not in str(caught.value)


def test_a_wrong_key_is_refused_and_no_key_or_prompt_is_ever_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(NotAllowed, match="Set a valid one") as caught:
        ask(GOOD, key="sk-ant-wrong")
    assert "sk-ant-wrong" not in str(caught.value)
    ask(GOOD)
    assert "model.answered" in caplog.text
    assert not [secret for secret in (KEY, "sk-ant-wrong", "A request.", "Who you are.") if secret in caplog.text]


def test_the_server_refuses_what_the_api_refuses() -> None:
    text = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
    hour = text | {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    use = {"type": "tool_use", "id": "t1", "name": "x", "input": {}}
    prefilled = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "{"}]
    bad = {
        "unexpected": body(temperature=0.2),
        "required": {key: value for key, value in body().items() if key != "max_tokens"},
        "not valid": body(messages=[{"role": "user", "content": [{"type": "text", "text": "x", "bold": True}]}]),
        "at least one message": body(messages=[]),
        "user role": body(messages=[{"role": "assistant", "content": "x"}]),
        "non-whitespace": body(system=[{"type": "text", "text": " "}]),
        "maximum of 4": body(system=[text] * 5),
        "ttl='1h'": body(system=[text, hour]),
        "prefilled": body(messages=prefilled),
        "tool_use": body(messages=[{"role": "user", "content": "x"}, {"role": "assistant", "content": [use]}]),
        "unique": body(tools=[{"name": "a", "input_schema": {"type": "object"}}] * 2),
        "bad name": body(tools=[{"name": "a b", "input_schema": {"type": "object"}}]),
        "explicitly set to false": body(
            output_config={"format": {"type": "json_schema", "schema": {"type": "object", "properties": {}}}}
        ),
        "budget_tokens": body(thinking={"type": "enabled", "budget_tokens": 99}),
    }
    assert refusal(body()) is None
    for said, sent in bad.items():
        assert said in (refusal(sent) or "accepted"), said


def test_structured_outputs_take_the_form_for_models_and_not_the_published_schema() -> None:
    assert schema_refusals(model_schema()) == []
    assert schema_refusals(json_schema())
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/N"}}, "additionalProperties": False}
    assert "Circular" in schema_refusals({"$ref": "#/$defs/N", "$defs": {"N": node}})[0]
    many = {str(number): {"anyOf": [{"type": "string"}, {"type": "null"}]} for number in range(25)}
    wide = {"type": "object", "properties": many, "additionalProperties": False}
    assert [text.split(": ")[1] for text in schema_refusals(wide)] == [
        "25 optional parameters, at most 24",
        "25 union parameters, at most 16",
    ]


async def _once(server: MessagesServer) -> Reply:
    async with open_anthropic("claude-sonnet-5-5", api_key=KEY, base_url=server.url) as model:
        return await model.answer(PROMPT, heard=lambda _: None)
