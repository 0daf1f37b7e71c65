"""A call's socket: PCM in, wide PCM out, in messages of any length.

    ws://HOST:PORT/v1/live?source_rate=8000&in=mulaw&target_rate=48000&out=s16le

Binary messages are samples. Text messages are JSON objects: from the client `{"detail": 0.5}`,
`lows`, `bypass`, `{"statistics": true}` and `{"end": true}`; from the server what was opened, that
a call is bypassed and no longer, statistics, the end, and what went wrong. Close codes are those of
RFC 6455 and its registry.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from fullband.audio.pcm import PcmDecoder, bytes_per_sample, encode
from fullband.audio.samples import Audio
from fullband.errors import AudioError, FullbandError
from fullband.streaming import Stream
from fullband.web.access import Access
from fullband.web.hub import Hub
from fullband.web.limits import Limits

__all__ = ["GOING_AWAY", "Lines"]

_DONE, GOING_AWAY, _BAD_DATA, _AGAINST_RULES, _FAILED, _FULL = 1000, 1001, 1007, 1008, 1011, 1013

_PARAMETERS = ("source_rate", "target_rate", "in", "out", "bandwidth_hz", "detail", "lows")
_ORDERS = ("detail", "lows", "bypass", "statistics", "end")
_LOOKS_EVERY_S = 0.01  # whether there is room again


class _EndedError(Exception):
    """The call is over: with what code, and what is said before."""

    def __init__(self, code: int, error: str | None = None) -> None:
        super().__init__(error or "")
        self.code, self.error = code, error


class Lines:
    """All calls' sockets of a server.

    Attributes:
        taken: calls so far.
    """

    def __init__(self, hub: Hub, access: Access, limits: Limits) -> None:
        self._hub, self._access, self._limits = hub, access, limits
        self._closing = asyncio.Event()
        self._open: set[asyncio.Task[Any]] = set()
        self.taken = 0

    async def close(self) -> None:
        """Take no more calls, have those that are open flushed and closed, and wait for that."""
        self._closing.set()
        if self._open:
            await asyncio.wait(self._open, timeout=self._limits.grace_s)

    async def answer(self, socket: WebSocket) -> None:
        """One call, from its opening to its end."""
        if not self._access.allows(socket.headers, socket.query_params):
            await socket.close(_AGAINST_RULES)  # before it is accepted: HTTP 403
            return
        await socket.accept()
        task = asyncio.current_task()
        assert task is not None
        if self._closing.is_set() or len(self._open) >= self._limits.most_calls:
            await _leave(socket, _EndedError(_FULL, "no room for another call; try again later"))
            return
        self._open.add(task)
        self.taken += 1
        try:
            await _Conversation(socket, self._hub, self._limits, self._closing).hold()
        except _EndedError as end:
            await _leave(socket, end)
        except (WebSocketDisconnect, RuntimeError):  # the client went away, perhaps as we spoke
            pass
        finally:
            self._open.discard(task)


class _Conversation:
    """One call while it lasts."""

    def __init__(self, socket: WebSocket, hub: Hub, limits: Limits, closing: asyncio.Event) -> None:
        self._socket, self._hub, self._limits, self._closing = socket, hub, limits, closing
        query = socket.query_params
        unknown = [name for name in query if name not in (*_PARAMETERS, "token")]
        if unknown:
            known = ", ".join(_PARAMETERS)
            raise _EndedError(_AGAINST_RULES, f"unknown parameter '{unknown[0]}'; one of {known}")
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Queue[Audio | Exception | None] = asyncio.Queue()
        self._unsent = 0  # samples that are done and were not yet sent
        self._said_bypassed = False
        self._ends = False
        try:
            self._coding, self._out = (query.get(name, "s16le") for name in ("in", "out"))
            self._decoder = PcmDecoder(self._coding)
            bytes_per_sample(self._out)
            self._call = hub.open(
                self._deliver,
                source_rate=_number(query, "source_rate", 8000 if "law" in self._coding else None),
                target_rate=_number(query, "target_rate", 48_000),
                bandwidth_hz=_number(query, "bandwidth_hz", None, float),
                detail=_number(query, "detail", 1.0, float),
                lows=_number(query, "lows", 0.0, float),
            )
        except FullbandError as error:
            raise _EndedError(_AGAINST_RULES, str(error)) from None

    async def hold(self) -> None:
        stream: Stream = self._call.stream
        sending = asyncio.create_task(self._send())
        try:
            await self._say(
                opened={
                    "source_rate": stream.source_rate,
                    "target_rate": stream.target_rate,
                    "in": self._coding,
                    "out": self._out,
                    "delay_ms": round(1000 * stream.delay_s, 3),
                }
            )
            going = await self._listen(sending)
            self._hub.end(self._call)
            await asyncio.wait_for(sending, self._limits.grace_s + self._limits.waiting_s)
            await self._say(ended={"audio_s": round(stream.taken / stream.source_rate, 3)})
            await self._socket.close(GOING_AWAY if going else _DONE)
        except asyncio.TimeoutError:
            raise _EndedError(_AGAINST_RULES, "what was made is not being read") from None
        finally:
            self._hub.drop(self._call)
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await sending

    async def _listen(self, sending: asyncio.Task[None]) -> bool:
        """Take messages until the client ends the call; True where the server does."""
        closing = asyncio.create_task(self._closing.wait())
        receiving: asyncio.Task[Any] | None = None
        try:
            while not self._ends:
                await self._room(sending)
                receiving = asyncio.create_task(self._socket.receive())
                waits = {receiving, closing, sending}
                done, _ = await asyncio.wait(
                    waits, timeout=self._limits.idle_s, return_when=asyncio.FIRST_COMPLETED
                )
                if sending in done:
                    await sending  # it ends before the call does only where something went wrong
                if receiving in done:
                    await self._hear(receiving.result())
                elif closing in done:
                    return True
                elif not done:
                    raise _EndedError(_AGAINST_RULES, "nothing was heard for too long")
        finally:
            closing.cancel()
            if receiving is not None:
                receiving.cancel()
        return False

    async def _room(self, sending: asyncio.Task[None]) -> None:
        """Wait until little enough waits; the client's messages wait in its socket then."""
        stream = self._call.stream
        while not sending.done():
            waiting_s = self._call.waiting / stream.source_rate
            if waiting_s + self._unsent / stream.target_rate <= self._limits.waiting_s:
                return
            await asyncio.sleep(_LOOKS_EVERY_S)

    async def _hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1006))
        data, text = message.get("bytes"), message.get("text")
        if data is not None:
            try:
                audio = self._decoder.push(data)
            except AudioError as error:
                raise _EndedError(_BAD_DATA, str(error)) from None
            stream = self._call.stream
            samples = stream.taken + self._call.waiting + audio.shape[-1]
            if samples / stream.source_rate > self._limits.duration_s:
                raise _EndedError(_AGAINST_RULES, "the call has lasted as long as a call may")
            self._hub.put(self._call, audio)
        elif text is not None:
            await self._obey(text)

    async def _obey(self, text: str) -> None:
        try:
            orders = json.loads(text)
        except (ValueError, RecursionError):
            raise _EndedError(_BAD_DATA, "a text message has to be a JSON object") from None
        if not isinstance(orders, dict):
            raise _EndedError(_BAD_DATA, "a text message has to be a JSON object")
        unknown = [name for name in orders if name not in _ORDERS]
        if unknown:
            known = ", ".join(_ORDERS)
            raise _EndedError(_BAD_DATA, f"unknown order '{unknown[0][:40]}'; one of {known}")
        changes = {name: orders[name] for name in ("detail", "lows", "bypass") if name in orders}
        try:
            self._call.stream.adjust(**changes)
        except AudioError as error:
            raise _EndedError(_BAD_DATA, str(error)) from None
        if orders.get("statistics"):
            await self._say(statistics=self._statistics())
        self._ends = bool(orders.get("end"))

    def _statistics(self) -> dict[str, Any]:
        stream = self._call.stream
        return {
            "audio_s": round(stream.taken / stream.source_rate, 3),
            "bandwidth_hz": round(stream.bandwidth_hz),
            "waiting_ms": round(1000 * self._call.waiting / stream.source_rate, 1),
            "bypassed": self._call.bypassed,
            "calls": len(self._hub),
            "work_ms": self._hub.work.summary_ms(),
        }

    def _deliver(self, what: Audio | Exception | None) -> None:
        """From the hub's thread."""
        with contextlib.suppress(RuntimeError):  # the event loop is gone
            self._loop.call_soon_threadsafe(self._delivered, what)

    def _delivered(self, what: Audio | Exception | None) -> None:
        if what is not None and not isinstance(what, Exception):
            self._unsent += what.shape[-1]
        self._done.put_nowait(what)

    async def _send(self) -> None:
        while (what := await self._done.get()) is not None:
            if isinstance(what, Exception):
                raise _EndedError(_FAILED, str(what))
            if self._call.bypassed != self._said_bypassed:
                self._said_bypassed = self._call.bypassed
                await self._say(bypassed=self._said_bypassed, reason="load")
            if what.shape[-1]:
                await self._socket.send_bytes(encode(what, self._out))
            self._unsent -= what.shape[-1]

    async def _say(self, **what: Any) -> None:
        await self._socket.send_text(json.dumps(what))


def _number(query: Any, name: str, default: Any, kind: type = int) -> Any:
    text = query.get(name)
    if text is None:
        if default is None and kind is int:
            raise AudioError(f"give the {name} in Hz")
        return default
    try:
        return kind(text[:40])
    except ValueError:
        raise AudioError(f"{name} has to be a number, not '{text[:40]}'") from None


async def _leave(socket: WebSocket, end: _EndedError) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        if end.error is not None:
            await socket.send_text(json.dumps({"error": end.error}))
        await socket.close(end.code)
