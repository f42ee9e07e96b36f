"""`rewindd.blocking`: the client without async. Loads no asyncio and no anyio."""

from rewindd.client.blocking import Client as Client
from rewindd.client.blocking import Session as Session
from rewindd.client.blocking import connect as connect
