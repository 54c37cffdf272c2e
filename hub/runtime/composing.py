"""A message to a client before it is queued: to whom, on which of our numbers, with which links (W8, W9)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx
from sqlalchemy import Connection, select

from hub.core.interaction import ClientId, Identity, Message
from hub.core.messenger import channel_to_write_on, expanded, short_links
from hub.core.outgoing import Outgoing
from hub.core.policy import Policy
from hub.core.records import EmployeeId
from hub.engine.projects import LiveProject
from hub.errors import ConfigurationError
from hub.messenger import SenderAccount, SendsMessages
from hub.ports import ChannelConfig
from hub.runtime.ingest import join_rules
from hub.runtime.links import ShortLinks
from hub.runtime.services import Services
from hub.store import acquaintance, clients, codec, outgoing
from hub.store.schema import interaction

__all__ = ["Composer", "Wanted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A message that somebody wants to send."""

    #: an existing client, or by what they are found
    client_id: ClientId | None = None
    to: Identity = Identity()
    text: str = ""
    content_url: str = ""
    #: None = the hub itself
    author: EmployeeId | None = None
    is_automatic: bool = False
    #: the policy's channel; "" = the client's last, else the author's choice (W9)
    channel: str = ""
    #: the same id twice is one message; "" = a new one
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """Where a message can go: a hook with one of its accounts, as one of the policy's channels."""

    channel: ChannelConfig
    account: SenderAccount
    #: the policy's word for it (W11)
    name: str


class Composer:
    """Puts messages into the outbox; ``http`` gives the client for a channel, ``wake`` the outbox's attention."""

    def __init__(
        self,
        services: Services,
        *,
        http: Callable[[ChannelConfig], httpx.AsyncClient],
        wake: Callable[[], None],
        links: ShortLinks | None = None,
    ) -> None:
        self._services, self.http, self.wake = services, http, wake
        self.links = links or ShortLinks()

    async def queue(self, project: LiveProject, wanted: Wanted) -> Outgoing:
        """Choose, check and queue; durable when it returns, sent soon after.

        Raises ConfigurationError naming what is missing (the client's chat, a channel), Rejected for what the vendor
        would refuse, VendorError if the vendor cannot be asked for its accounts.
        """
        policy = project.policy
        if policy is None:
            raise ConfigurationError("the project has no policy yet", path=f"project {project.name}")
        if wanted.id:
            known = await self._services.store.read(lambda conn: outgoing.find(conn, project.name, wanted.id))
            if known is not None:
                return known.message
        client_id, identity = await self._whom(project, wanted)
        way, chat = await self._way(project, policy, wanted, client_id, identity)
        text = await self._expanded(wanted, policy)
        message = Outgoing(
            id=wanted.id or outgoing.new_outgoing_id(),
            project=project.name,
            channel=way.channel.name,
            client_id=client_id,
            chat=chat,
            account=way.account.id,
            text=text,
            content_url=wanted.content_url,
            author=wanted.author,
            is_automatic=wanted.is_automatic,
            created_at=self._services.clock.now(),
        )
        self._sender(way.channel).check(message, way.channel)
        await self._services.store.write(lambda conn: outgoing.add(conn, message))
        self.wake()
        return message

    async def _whom(self, project: LiveProject, wanted: Wanted) -> tuple[ClientId, Identity]:
        now = self._services.clock.now()

        def resolve(conn: Connection) -> tuple[ClientId, Identity]:
            id = wanted.client_id
            if id is not None:
                found = clients.find(conn, id)
                if found is None or found.project != project.name:
                    raise ConfigurationError(f"there is no client {id}", path="client")
                id = found.id
            elif wanted.to.is_empty:
                raise ConfigurationError("say to whom: a client, a number or a chat", path="to")
            else:
                id = clients.resolve(conn, project.name, wanted.to, join_rules(project.policy), now=now).client_id
            return id, acquaintance.identity_of(conn, id)

        return await self._services.store.write(resolve)

    # --- the way (W9) -------------------------------------------------------------------------------------------

    async def _way(
        self, project: LiveProject, policy: Policy, wanted: Wanted, client_id: ClientId, identity: Identity
    ) -> tuple[_Way, tuple[str, str]]:
        last = await self._services.store.read(lambda conn: _last_message(conn, project.name, client_id))
        ways = await self._ways(project, policy)
        reached = [(way, chat) for way in ways if (chat := _chat_on(way.account, identity, last)) is not None]
        name = wanted.channel
        if not name:
            answered = policy.channel_of(last.channel, last.account) if last else ""
            usable = [way.name for way, _ in reached]
            if last is not None and answered in usable:
                # a reply goes out on the very number that the client wrote to
                for way, chat in reached:
                    if way.name == answered and (not last.account or way.account.id == last.account):
                        return way, chat
            author = wanted.author
            chosen = channel_to_write_on(author, policy, usable=usable) if author is not None else None
            name = chosen or (usable[0] if usable else "")
        for way, chat in reached:
            if way.name == name:
                return way, chat
        problem = f"the client cannot be reached on {name!r}" if name else "no channel reaches the client"
        raise ConfigurationError(problem, path="channel")

    async def _ways(self, project: LiveProject, policy: Policy) -> list[_Way]:
        """Every active account that messages can go out on, in the policy's order of channels."""
        found: list[_Way] = []
        for channel in project.channels.values():
            sender = self._services.plugins.sources.get(channel.source)
            if not isinstance(sender, SendsMessages):
                continue
            for account in await sender.list_accounts(channel, self.http(channel)):
                if account.is_active:
                    name = policy.channel_of(channel.name, account.id)
                    found.append(_Way(channel=channel, account=account, name=name))
        order = list(policy.channels)
        return sorted(found, key=lambda way: order.index(way.name) if way.name in order else len(order))

    def _sender(self, channel: ChannelConfig) -> SendsMessages:
        sender = self._services.plugins.sources[channel.source]
        assert isinstance(sender, SendsMessages)
        return sender

    # --- links (W8) ---------------------------------------------------------------------------------------------

    async def _expanded(self, wanted: Wanted, policy: Policy) -> str:
        links: Sequence[str] = short_links(wanted.text, is_automatic=wanted.is_automatic, policy=policy)
        if not links:
            return wanted.text
        return expanded(wanted.text, await self.links.targets(links))


def _last_message(conn: Connection, project: str, client_id: ClientId) -> Message | None:
    """The client's most recent message, in either direction: the conversation that a reply belongs to."""
    row = conn.execute(
        select(interaction.c.body)
        .where(interaction.c.project == project, interaction.c.client_id == client_id, interaction.c.kind == "message")
        .order_by(interaction.c.sequence.desc())
        .limit(1)
    ).first()
    found = None if row is None else codec.load_interaction(row.body)
    return found if isinstance(found, Message) else None


#: messengers that can be written to by number alone
_BY_NUMBER = ("whatsapp", "viber")


def _chat_on(account: SenderAccount, identity: Identity, last: Message | None) -> tuple[str, str] | None:
    """The dialogue with the client that ``account`` serves: the last one, else a known one, else by number."""
    known = [handle for handle in (last.client.handles if last else ()) if handle[0] in account.chat_kinds]
    known += [handle for handle in identity.handles if handle[0] in account.chat_kinds]
    if known:
        return known[0]
    for kind in account.chat_kinds:
        if kind in _BY_NUMBER and identity.phones:
            return kind, identity.phones[0].lstrip("+")
    return None
