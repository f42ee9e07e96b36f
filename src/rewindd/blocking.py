"""`rewindd.blocking`: the client without async. Loads no asyncio and no anyio."""

from rewindd.client.blocking import Client as Client
from rewindd.client.blocking import connect as connect
from rewindd.client.blocking_session import Session as Session
