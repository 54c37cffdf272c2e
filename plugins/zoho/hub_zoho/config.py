"""What an administrator sets for one Zoho CRM organisation; the set-up page shows titles and descriptions."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from hub.address import HttpAddress, is_loopback

__all__ = ["ACCOUNTS", "APIS", "SCOPES", "ZohoSettings"]

DataCentre = Literal["", "us", "eu", "in", "au", "jp", "cn", "ca", "sa", "uk"]
#: the accounts server of each data centre (1)
ACCOUNTS: dict[str, str] = {
    "us": "https://accounts.zoho.com",
    "eu": "https://accounts.zoho.eu",
    "in": "https://accounts.zoho.in",
    "au": "https://accounts.zoho.com.au",
    "jp": "https://accounts.zoho.jp",
    "cn": "https://accounts.zoho.com.cn",
    "ca": "https://accounts.zohocloud.ca",
    "sa": "https://accounts.zoho.sa",
    "uk": "https://accounts.zoho.uk",
}
#: the API host of each data centre (1); sandbox and developer editions differ in the first label only
APIS: dict[str, str] = {
    "us": "https://www.zohoapis.com",
    "eu": "https://www.zohoapis.eu",
    "in": "https://www.zohoapis.in",
    "au": "https://www.zohoapis.com.au",
    "jp": "https://www.zohoapis.jp",
    "cn": "https://www.zohoapis.com.cn",
    "ca": "https://www.zohoapis.ca",
    "sa": "https://www.zohoapis.sa",
    "uk": "https://www.zohoapis.uk",
}
SCOPES = (
    "ZohoCRM.modules.ALL",
    "ZohoSearch.securesearch.READ",
    "ZohoCRM.coql.READ",
    "ZohoCRM.users.READ",
    "ZohoCRM.org.READ",
    "ZohoCRM.settings.ALL",
    "ZohoCRM.notifications.ALL",
)
_EDITIONS = ("www", "sandbox", "developer")


class ZohoSettings(BaseModel):
    """One organisation, and what Zoho leaves unclear: each such doubt of the vendor's documents is one value here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data_centre: DataCentre = Field(
        default="",
        title="Data centre",
        description="Where the organisation lives: the end of the address when you are logged in (zoho.eu: eu, the "
        "default; zoho.com: us).",
    )
    client_id: str = Field(
        default="", title="Client ID", description="Of the client that you made in Zoho's API console."
    )
    client_secret: SecretStr = Field(
        default=SecretStr(""), title="Client secret", description="Of the client that you made in Zoho's API console."
    )
    refresh_token: SecretStr = Field(
        default=SecretStr(""),
        title="Refresh token",
        description="Instead of connecting in the browser: the token of a self-client.",
    )
    api_address: HttpAddress = Field(
        default="",
        title="API address",
        description="Filled in when the account is connected. Set https://sandbox.zohoapis.eu for a Zoho sandbox.",
    )
    accounts_address: HttpAddress = Field(
        default="",
        title="Accounts address",
        description="Filled in when the account is connected; empty: that of the data centre.",
    )
    scopes: tuple[str, ...] = Field(
        default=SCOPES, title="Scopes", description="What is asked for on the consent page."
    )
    is_loopback_allowed: bool = Field(
        default=False,
        title="Allow a sandbox on this machine",
        description="Lets the account live at http://127.0.0.1, as the sandbox does. Never needed for a real account.",
    )
    new_enquiries: Literal["leads", "deals"] = Field(
        default="leads",
        title="New enquiries become",
        description="leads: one Zoho lead. deals: a contact and a deal. A policy that names a pipeline overrules it.",
    )
    uses_accounts: bool = Field(
        default=True,
        title="Look at accounts",
        description="Whether a number on a Zoho account (a company) identifies a client.",
    )
    lead_company: str = Field(
        default="-",
        min_length=1,
        title="Company of a new lead",
        description="Zoho's standard layout demands a company for every lead; private clients have none.",
    )
    closed_lead_statuses: tuple[str, ...] = Field(
        default=("Junk Lead", "Lost Lead", "Not Qualified"),
        title="Final lead statuses",
        description="A lead in one of them counts as closed. Zoho itself has no such mark for leads.",
    )
    closing_days: int = Field(
        default=30, ge=0, title="Days until closing", description="Zoho demands a closing date for every deal."
    )
    reminds: bool = Field(
        default=True,
        title="Remind of tasks",
        description="Zoho's tasks are due on a day; the reminder carries the hour.",
    )
    runs_automations: bool = Field(
        default=True, title="Run automations", description="Off: workflows and approvals ignore what the hub writes."
    )
    in_flight: int = Field(
        default=8,
        ge=1,
        le=25,
        title="Calls at once",
        description="Of the edition's limit (Free 5, Standard 10, Professional 15, Enterprise 20, Ultimate 25).",
    )
    poll_every: timedelta = Field(
        default=timedelta(minutes=5),
        title="Poll every",
        description="While notifications arrive. A poll costs about ten of the day's credits.",
    )
    poll_alone_every: timedelta = Field(
        default=timedelta(minutes=1), title="Poll every, without notifications", description="While none arrive."
    )
    credits_warning: int = Field(
        default=1000,
        ge=0,
        title="Warn at credits",
        description="The set-up page warns when fewer are left for the day.",
    )
    subscribes: bool = Field(
        default=True, title="Subscribe to notifications", description="Off: changes are only polled."
    )
    channel_life: timedelta = Field(
        default=timedelta(days=6),
        title="Life of the channel",
        description="At most a week; it is renewed at half of its life. Older texts of Zoho's say one day.",
    )
    batch_size: int = Field(default=100, ge=1, le=100, title="Records in one request", description="100 is the most.")
    page_size: int = Field(default=200, ge=1, le=200, title="Records on a page", description="200 is the most.")
    ids_per_request: int = Field(
        default=100, ge=1, le=100, title="Ids in one read", description="Longer addresses may be refused."
    )
    list_limit: int = Field(
        default=50, ge=1, le=100, title="Values in a query", description="How many ids one COQL condition lists."
    )
    hub_id_field: str = Field(
        default="Hub ID",
        min_length=1,
        title="Field for the hub's mark",
        description="A text field that you make, best as unique; without it the mark ends the description.",
    )
    service_name: str = Field(default="Hub", title="Name on notes", description="The title of notes made by the hub.")
    recording_field: str = Field(
        default="Voice_Recording__s",
        title="Recording field of calls",
        description="API name; if the organisation has no such field the link stands in the description only.",
    )
    card_address: str = Field(
        default="{site}/crm/tab/{module}/{id}",
        title="Address of a card",
        description="How a record is opened in the browser: {site}, {module} and {id} are filled in.",
    )
    # (?) Zoho's names of merge fields in links, which no page that we know lists
    panel_id_field: str = Field(
        default="${{module}.{record} Id}",
        title="Merge field of a record's id",
        description="For the link to the hub's card: {module} becomes Contacts, {record} becomes Contact.",
    )
    panel_user_field: str = Field(
        default="${User.Email}",
        title="Merge field of whoever looks",
        description="For the link to the hub's card; empty: the page tells whose client it is, and no more.",
    )
    search_digits: int = Field(
        default=9, ge=6, le=15, title="Digits searched for", description="The end of a number that goes into a search."
    )
    name_limit: int = Field(default=80, ge=20, title="Longest name", description="Names are cut to the field's length.")
    text_limit: int = Field(
        default=32000, ge=100, title="Longest text", description="Descriptions and notes are cut to this length."
    )
    tag_limit: int = Field(default=25, ge=5, title="Longest tag", description="Zoho refuses longer ones.")
    clock_skew: timedelta = Field(
        default=timedelta(seconds=30),
        title="Clock difference",
        description="How far this machine's clock and Zoho's may be apart.",
    )
    feed_overlap: timedelta = Field(
        default=timedelta(seconds=10),
        title="Feed overlap",
        description="Polls reach back this far, for records that appear in lists late.",
    )
    refresh_ahead: timedelta = Field(
        default=timedelta(minutes=10),
        title="Refresh tokens ahead",
        description="Access tokens live an hour and are renewed when they have less than this left.",
    )

    @property
    def accounts(self) -> str:
        """The accounts server, without a trailing slash."""
        return self.accounts_address or ACCOUNTS[self.data_centre or "eu"]

    @property
    def api(self) -> str:
        """The API host, without a trailing slash, before the organisation is connected."""
        return self.api_address or APIS[self.data_centre or "eu"]

    @property
    def site(self) -> str:
        """Where people open the CRM."""
        accounts = self.accounts
        return accounts.replace("://accounts.", "://crm.", 1)

    def allows_accounts(self, address: str) -> bool:
        """Whether the client's secret may be sent to ``address``."""
        if is_loopback(address):
            return self.is_loopback_allowed
        return address in ACCOUNTS.values()

    def allows_api(self, address: str) -> bool:
        """Whether tokens may be sent to ``address``: the API hosts of the table, in any edition."""
        if is_loopback(address):
            return self.is_loopback_allowed
        known = {api.replace("://www.", f"://{edition}.", 1) for api in APIS.values() for edition in _EDITIONS}
        return address in known
